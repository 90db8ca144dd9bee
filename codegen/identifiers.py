"""From any string to a Python identifier. Each is a function of that string alone.

What is an identifier already stays what it is, as far as nothing else has that name.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import keyword
import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

# Types whose markers are not generated, but in `comfy_trio.graph`.
RUNTIME_TYPES: Final = frozenset({"BOOLEAN", "COMBO", "FLOAT", "INT", "STRING"})

UNION: Final = "_OR_"
"""What is between the names of types in that of their union."""

# Names that the body of a generated class uses.
_BODY: Final = RUNTIME_TYPES | {
    *("bool", "float", "int", "object", "property", "str"),
    *("Any", "Choice", "JSON", "Literal", "Mapping", "Options", "Out", "Sequence", "T"),
    *("autogrow", "dynamic", "field", "frozen", "wire", "within"),
}

# What nodes, choices and outputs have from the runtime.
_RUNTIME_ATTRIBUTES: Final = frozenset(
    {
        *("class_type", "key", "output_is_list", "title"),
        *("with_inputs", "with_title", "without_inputs"),
    }
)

TAKEN_IN_BODY: Final = _BODY | _RUNTIME_ATTRIBUTES
"""Names that no attribute of a generated class may have."""

# Names at the top of some generated module. The builtins of all Python versions, so that the
# version which runs the generator makes no difference.
_TAKEN_IN_MODULE: Final = (
    _BODY
    | {name for name in dir(builtins) if not name.startswith("_")}
    | {"PythonFinalizationError", "copyright", "credits", "exit", "help", "license", "quit"}
    | {"FORMAT", "Final", "Generic", "NODES", "Node", "OutputNode", "TYPE_CHECKING", "TypeAlias"}
    | {"TypeVar", "TypedDict", "UINode", "annotations", "cast", "lazy_exports", "require_format"}
    | {"slot"}  # a field of what is dynamic, in whose body types are named, too
)

# Names at the top of the module of a workflow, and in its functions.
_TAKEN_IN_FUNCTION: Final = frozenset({"comfy", "inputs", "key", "result"})

# Windows has no files of these names, whatever their suffix.
_DEVICES: Final = frozenset(
    {"aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)
_MAX_FILE_NAME: Final = 60
_MAX_VARIABLE: Final = 40
_APOSTROPHE: Final = re.compile("(?<=\\w)['\u2019](?=\\w)")

# Characters that identifiers may have in the middle although nothing is seen of them: names that
# differ in them alone look the same. Most come with emoji, to say that these are to be coloured.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_NUMBER: Final = re.compile(r"[\W_]+\d+(?=[\W_])|[\W_]*\d+$")
# What makes two of one, as in CONDITIONING+ and CONDITIONING-.
_SIGNS: Final = {"+": " plus", "-": " minus"}


def digest(text: str, length: int = 4) -> str:
    """Return the first hexadecimal digits of a string's SHA-256."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:length]


def is_identifier(text: str) -> bool:
    """Tell whether a string is a name that can be written, and is read as what is written."""
    return (
        text.isidentifier()
        and not keyword.iskeyword(text)
        and unicodedata.normalize("NFKC", text) == text
        and not _INVISIBLE.search(text)
    )


def is_free(text: str) -> bool:
    """Tell whether a class or an alias may have a name as it is.

    ``T_...`` are the names of the generated type variables.
    """
    return is_identifier(text) and not text.startswith(("_", "T_")) and text not in _TAKEN_IN_MODULE


def class_name(class_type: str) -> str:
    """Return the name of a class of nodes, as far as no other one has it."""
    if is_free(class_type):
        return class_type
    name = _sound(_pascal(class_type), "Node", class_type)
    return name if is_free(name) else f"{name}_{digest(class_type)}"


def marker_name(type_: str) -> str:
    """Return the name of the class that stands for a type of the server's.

    ``..._OR_...`` are the names of those that stand for unions.
    """
    if is_free(type_) and UNION not in type_:
        return type_
    return f"{_sound('_'.join(_words(type_)) or 'TYPE', 'TYPE_', type_)}_{digest(type_)}"


def alias_name(name: str) -> str:
    """Return the name for the options of an input."""
    alias = _sound(_pascal(name), "Value", name)
    return alias if is_free(alias) else f"{alias}Value"


def file_alias_name(name: str) -> str:
    """Return the name for the files of an input: one for ``lora_name_2`` and ``lora_3_name``."""
    return alias_name(_NUMBER.sub("", name) or name)


def qualified_alias_name(class_name: str, choices: Iterable[str], alias: str) -> str:
    """Return the name for the options of an input that is part of choices in a class.

    Args:
        class_name: Of the class.
        choices: Their keys, from the outermost.
        alias: What the options would be called alone.
    """
    return _sound(class_name + "".join(map(_pascal, choices)) + alias, "Value", alias)


def keyword_name(name: str) -> str:
    """Return the keyword for an input, as far as no other one has it."""
    if is_identifier(name) and not name.startswith("_") and name != "self":
        return name
    mangled = "_".join(_words(_signed(name)))
    if keyword.iskeyword(mangled) or mangled == "self":
        return f"{mangled}_"
    return _sound(mangled, "input_", name)


def output_name(name: str, slot: int) -> str:
    """Return the attribute for an output, as far as nothing else has it."""
    mangled = slug(_signed(name)) or f"output_{slot}"
    return f"{mangled}_" if keyword.iskeyword(mangled) else _sound(mangled, "output_", name)


def variable_name(text: str) -> str:
    """Return the name of a variable, as far as nothing else has it; empty if the text has no words.

    Long ones are cut between words.
    """
    words = [word.lower() for word in _words(_APOSTROPHE.sub("", text))]
    name = "_".join(words)
    while len(name) > _MAX_VARIABLE and len(words) > 1:
        words.pop()
        name = "_".join(words)
    return _sound(name[:_MAX_VARIABLE].rstrip("_"), "node_", text) if name else ""


def function_name(name: str) -> tuple[str, str]:
    """Return the name of a function for something, and what the names of its classes begin with.

    ``run_`` may be put before the former.
    """
    words = slug(name)
    function = _sound(words, "workflow_", name) if words else "workflow"
    if keyword.iskeyword(function) or function in _TAKEN_IN_MODULE | _TAKEN_IN_FUNCTION:
        function = f"{function}_workflow"
    return function, _sound(_pascal(function), "Workflow", name)


def module_name(category: str) -> str:
    """Return the name of the module for the nodes of a category."""
    if not category.strip():
        return "uncategorized"
    return _file_name(category, "category_", frozenset({"choices", "outputs"}))


def pack_name(module: str) -> str:
    """Return the name of the directory for what a Python module at the server declares."""
    package, _, rest = module.partition(".")
    if package == "comfy_api_nodes":
        return "api_nodes"
    if package != "custom_nodes" or not rest:
        return "core"
    return _file_name(rest, "pack_", frozenset({"api_nodes", "core", "files", "types"}))


def _file_name(text: str, prefix: str, reserved: AbstractSet[str]) -> str:
    name = slug(text)
    if keyword.iskeyword(name) or name in reserved or name in _DEVICES:
        name = prefix + name
    name = _sound(name, prefix, text)
    return name if len(name) <= _MAX_FILE_NAME else f"{name[: _MAX_FILE_NAME - 5]}_{digest(text)}"


def allocate(wanted: Mapping[str, str], taken: AbstractSet[str] = frozenset()) -> dict[str, str]:
    """Give each thing a name of its own.

    A thing that is called like the name it wants gets it. Of others that want one name, or one
    that is taken, each gets a hash of what it is called after it.

    Args:
        wanted: The names, by what the things are called.
        taken: Names that are not to be had.
    """
    exact = {each for each, name in wanted.items() if each == name} - taken
    inexact = Counter(name for each, name in wanted.items() if each not in exact)
    given = {
        each: name
        for each, name in wanted.items()
        if each in exact or (inexact[name] == 1 and name not in exact and name not in taken)
    }
    used = {*taken, *given.values()}
    for each in sorted(wanted.keys() - given.keys()):
        length = 4
        while (name := f"{wanted[each]}_{digest(each, length)}") in used:
            length += 1
        given[each] = name
        used.add(name)
    return given


def allocate_attributes(keywords: Iterable[str], taken: AbstractSet[str]) -> dict[str, str]:
    """Give each keyword an attribute: itself, or where that is taken, with underscores after it."""
    keywords = set(keywords)
    given = {each: each for each in keywords - taken}
    used = {*taken, *given}
    for each in sorted(keywords & taken):
        name = f"{each}_"
        while name in used:
            name += "_"
        given[each] = name
        used.add(name)
    return given


def allocate_outputs(names: Iterable[str], taken: AbstractSet[str]) -> tuple[str, ...]:
    """Give each output an attribute, in order; of equal ones all but the first are numbered."""
    given: dict[str, None] = {}
    for slot, name in enumerate(names):
        attribute = output_name(name, slot)
        plain = attribute.rstrip("_")
        while attribute in taken:
            attribute += "_"
        number = 1
        while attribute in given or attribute in taken:
            number += 1
            attribute = f"{plain}_{number}"
        given[attribute] = None
    return tuple(given)


def allocate_nested(
    choices: Iterable[tuple[str, str]], taken: AbstractSet[str]
) -> dict[tuple[str, str], str]:
    """Name the classes in one body, by the name of the input and the key of the choice.

    A class is called after its key; all that would be called alike, or would be called what is
    taken or no name, have the input in front.
    """
    plain = {choice: _pascal(choice[1]) for choice in choices}
    counts = Counter(plain.values())
    given = {
        choice: name
        for choice, name in plain.items()
        if counts[name] == 1 and is_free(name) and name not in taken
    }
    # As one string each, so that no two choices are told apart by where a name ends.
    rest = {json.dumps(choice): choice for choice in plain.keys() - given.keys()}
    wanted = {text: _qualified_name(*choice) for text, choice in rest.items()}
    for text, name in allocate(wanted, {*taken, *given.values()}).items():
        given[rest[text]] = name
    return given


def _qualified_name(input_name: str, key: str) -> str:
    name = _sound(_pascal(input_name) + _pascal(key), "Choice", json.dumps([input_name, key]))
    return name if is_free(name) else f"{name}Choice"


def _words(text: str) -> list[str]:
    """Return the runs of letters and digits in a string, as Python reads them."""
    normal = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    kept = (char if char != "_" and f"a{char}".isidentifier() else " " for char in normal)
    return "".join(kept).split()


def _signed(text: str) -> str:
    """Return a text with a sign at its end in words."""
    before, sign = text[:-1], text[-1:]
    return before + _SIGNS[sign] if sign in _SIGNS and _words(before) else text


def _pascal(text: str) -> str:
    words = _words(text.replace("+", " Plus "))
    return "".join(word[:1].upper() + word[1:] for word in words)


def slug(text: str) -> str:
    """Return the words of a text in lower case, which a name may have after its first letter."""
    return "_".join(_words(text)).lower()


def _sound(name: str, prefix: str, text: str) -> str:
    """Return a name if it can be one, else with something in front of it.

    Args:
        name: Made of characters that identifiers may have.
        prefix: Goes in front of a digit, and of the hash that stands in for an empty name.
        text: What the name was made from.
    """
    name = unicodedata.normalize("NFKC", name)
    if not name:
        return f"{prefix.rstrip('_')}_{digest(text)}"
    if not name.isidentifier():
        name = prefix + name
    # Few characters begin no identifier, yet combine with the prefix into something else.
    return name if is_identifier(name) or keyword.iskeyword(name) else f"{prefix}{digest(text)}"
