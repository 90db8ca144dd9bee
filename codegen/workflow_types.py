"""The types of what can be set in a workflow: values only, for its links stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, final

from .aliases import options_key
from .declarations import Combo, DynamicCombo, Flag, Number, Socket, Text
from .identifiers import alias_name, allocate, file_alias_name
from .imports import COLLECTIONS, GRAPH, TYPING
from .layout import flat, subscript, union
from .render_types import ANYTHING, PRIMITIVES, literals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from .aliases import OptionsKey
    from .declarations import Kind, Option
    from .imports import Imports
    from .layout import Doc
    from .workflow_inputs import SettableInput

Key: TypeAlias = "tuple[bool, OptionsKey]"
"""Whether options are files, and what they are."""

_LONGEST_INLINE = 60


@final
class Aliases:
    """The lists of options of one module that are too long to be written where they are used.

    Args:
        taken: Names that mean something else in the module.
        strict_files: Whether nothing but the files that the server has passes for one.
    """

    def __init__(self, taken: AbstractSet[str], *, strict_files: bool) -> None:
        self._taken = taken
        self._strict = strict_files
        self._found: dict[Key, tuple[str, Doc]] = {}

    def add(self, input_name: str, combo: Combo) -> None:
        """Note a list of options, under the name of the first input that has it."""
        if not combo.options:
            return
        type_ = literals(combo.options)
        if combo.files and not self._strict:
            type_ = union([type_, "str"])
        elif len(flat(type_)) <= _LONGEST_INLINE:
            return
        name = file_alias_name(input_name) if combo.files else alias_name(input_name)
        self._found.setdefault(_key(combo), (name, type_))

    def named(self) -> dict[Key, tuple[str, Doc]]:
        """Return the name and the type of each list. Each name is there once."""
        wanted = {repr(key): name for key, (name, _) in self._found.items()}
        names = allocate(wanted, self._taken)
        return {key: (names[repr(key)], type_) for key, (_, type_) in self._found.items()}


def _key(combo: Combo) -> Key:
    return combo.files, options_key(combo.options)


def value_type(
    each: SettableInput, aliases: Mapping[Key, tuple[str, Doc]], imports: Imports
) -> Doc:
    """Return the type of an input's values: as declared, or else as the value that it has."""
    kind = None if each.declared is None else each.declared.kind
    match kind:
        case Number():
            return PRIMITIVES[kind.type]
        case Text():
            return "str"
        case Flag():
            return "bool"
        case Combo():
            return _combo_type(kind, aliases, imports)
        case DynamicCombo(choices=choices):
            return _literal([choice.key for choice in choices], imports)
        case Socket(types=types) if not kind.literal and ANYTHING not in types:
            known = [PRIMITIVES[type_] for type_ in types if type_ in PRIMITIVES]
            return union(known) if known else imports.add(GRAPH, "JSON")
        case _:
            return _type_of(each.value, kind, imports)


def _combo_type(combo: Combo, aliases: Mapping[Key, tuple[str, Doc]], imports: Imports) -> Doc:
    if combo.loose:
        return imports.add(GRAPH, "JSON")
    if combo.numbers:
        return "float"
    if _key(combo) in aliases:
        one: Doc = aliases[_key(combo)][0]
    else:
        one = _literal(combo.options, imports) if combo.options else "str"
    return subscript(imports.add(COLLECTIONS, "Sequence"), one) if combo.multiselect else one


def _literal(options: Sequence[Option], imports: Imports) -> Doc:
    imports.add(TYPING, "Literal")
    return literals(options)


def _type_of(value: object, kind: Kind | None, imports: Imports) -> Doc:
    if kind is None:
        match value:
            case bool():
                return "bool"
            case int() | float():
                return "float"
            case str():
                return "str"
            case _:
                pass
    return imports.add(GRAPH, "JSON")
