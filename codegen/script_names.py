"""Names in a script: of its variables, and of the classes that it imports."""

from __future__ import annotations

import builtins
import keyword
import re
from importlib import import_module
from typing import TYPE_CHECKING, Final, final

import attrs

from .identifiers import variable_name
from .imports import import_statement, name_order

if TYPE_CHECKING:
    from types import ModuleType

    from comfy_trio.graph import Node

# Before capitals that begin a word: CLIPTextEncode, Hunyuan3Dv2Conditioning, but KSampler.
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z]{2})(?=[A-Z][a-z])|(?<=[0-9])(?=[A-Z][a-z])")
_WITH_PARENTHESES = re.compile(r"(.*?)\s*[(\[\uff08](.+)[)\]\uff09]\s*", flags=re.DOTALL)

_STANDARD: Final = frozenset({"json", "typing"})

TAKEN: Final = frozenset(
    {
        *keyword.kwlist,
        *(name for name in dir(builtins) if not name.startswith("_")),
        # Builtins of interactive use only; and what linters call ambiguous.
        *("copyright", "credits", "exit", "help", "license", "quit"),
        *("l", "o"),
        # What the script itself defines, in `main` too, and may import.
        *("Any", "Graph", "Slot", "UnknownNode", "cast", "comfy", "file", "graph", "json"),
        *("main", "node_id", "open_comfy", "output", "result", "trio"),
    }
)


def default_title(node_class: type[Node] | None, class_type: str) -> str:
    """Return the title that the frontend gives a node, as far as a generated class tells it.

    Args:
        node_class: The class; None if there is none.
        class_type: What the server calls it.
    """
    text = "" if node_class is None else node_class.__doc__ or ""
    return " ".join(text.partition("\n\n")[0].split()).removesuffix(".") or class_type


def is_default(title: str, default: str, class_type: str) -> bool:
    """Tell whether a title says nothing that the class does not."""
    plain = " ".join(title.split()).removesuffix(".")
    return plain in {"", default, class_type, default.removesuffix(" (DEPRECATED)")}


def wanted_name(title: str, default: str, class_type: str) -> str:
    """Return what the variable of a node is best called: after its title, or else its class.

    Of "CLIP Text Encode (Negative Prompt)" it is what tells it from others of its class.

    Args:
        title: Empty if a person gave none.
        default: The title of nodes to which nobody gave one.
        class_type: What the server calls the class.
    """
    parts = _WITH_PARENTHESES.fullmatch(title)
    if parts is not None:
        default_parts = _WITH_PARENTHESES.fullmatch(default)
        known = {default, class_type, default_parts.group(1) if default_parts else default}
        if _letters(parts.group(1)) in map(_letters, known):
            title = parts.group(2)
    by_class = variable_name(_WORD.sub(" ", class_type))
    return variable_name(title) or by_class.removesuffix("_node") or "node"


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()


def _import_order(part: str) -> tuple[int, list[str | int], str]:
    """Numbers in names are sorted as numbers, and capitals as small letters."""
    pieces = re.split(r"(\d+)", part.lower())
    natural = [int(piece) if piece.isdecimal() else piece for piece in pieces]
    return (name_order(part)[0], natural, part)


@final
@attrs.define
class Names:
    """The names at the top of a script, each given once."""

    _package: ModuleType
    _taken: set[str] = attrs.field(factory=lambda: set(TAKEN), init=False)
    _counts: dict[str, int] = attrs.field(factory=dict[str, int], init=False)
    _classes: dict[type[Node], str] = attrs.field(factory=dict["type[Node]", str], init=False)
    _modules: set[str] = attrs.field(factory=set[str], init=False)
    # What to import of modules: ``name``, or ``name as other``.
    _imports: dict[str, set[str]] = attrs.field(factory=dict[str, set[str]], init=False)

    def import_name(self, module: str, name: str) -> str:
        """Import a name that nothing else may have, and return it."""
        self._imports.setdefault(module, set()).add(name)
        return name

    def import_module(self, name: str) -> str:
        """Import a module, and return what it is called in the script."""
        self._modules.add(name)
        return name

    def source(self) -> str:
        """Return the statements as linters sort them where the package is in the same directory."""
        groups: dict[int, list[str]] = {}
        for name in sorted(self._modules):
            groups.setdefault(self._group(name), []).append(f"import {name}")
        for module, parts in sorted(self._imports.items()):
            ordered = sorted(parts, key=_import_order)
            together = [part for part in ordered if " as " not in part]
            alone = [[part] for part in ordered if " as " in part]
            groups.setdefault(self._group(module), []).extend(
                import_statement(module, each, indent=0) for each in [together, *alone] if each
            )
        return "\n\n".join("\n".join(groups[number]) for number in sorted(groups))

    def _group(self, module: str) -> int:
        root = module.partition(".")[0]
        if root in _STANDARD:
            return 0
        return 2 if root == self._package.__name__.partition(".")[0] else 1

    def class_name(self, node_class: type[Node]) -> str:
        """Import a class of nodes, and return what it is called in the script."""
        if node_class not in self._classes:
            module, name = self._home(node_class), node_class.__name__
            local = name
            if local in self._taken:
                local = self.variable(f"{name}_{module.rpartition('.')[2]}")
            self._taken.add(local)
            self._classes[node_class] = local
            self.import_name(module, name if local == name else f"{name} as {local}")
        return self._classes[node_class]

    def variable(self, wanted: str) -> str:
        """Return a name that is free: the one that is wanted, or else one with a number."""
        name = wanted
        if wanted in TAKEN:
            name = wanted = f"{wanted}_node"
        while name in self._taken:
            self._counts[wanted] = number = self._counts.get(wanted, 1) + 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name

    def _home(self, node_class: type[Node]) -> str:
        """Return the module nearest to the top of the package from which a class can be had."""
        root, inside = self._package.__name__, node_class.__module__
        pack = inside.removeprefix(f"{root}.").partition(".")[0]
        for module in (root, f"{root}.{pack}"):
            if getattr(import_module(module), node_class.__name__, None) is node_class:
                return module
        return inside
