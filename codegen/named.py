"""What everything is called: the values that `names.resolve` returns, and all that is rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from .aliases import options_key
from .identifiers import file_alias_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .aliases import FilesKey, OptionsKey
    from .declarations import Input, Kind, NodeDeclaration, Option, Output

CORE: Final = "core"
"""The pack that every server has, and whose aliases all packs may use."""


@attrs.frozen
class NamedInput:
    """An input and what stands for it in Python.

    Args:
        keyword: What a caller writes: an identifier, unique within its owner.
        attribute: What reads it back; differs from `keyword` where that name is taken in the class.
        nested: The classes that its kind needs in the owner's body: of a dynamic combo those
            choices that have inputs, of a dynamic slot the one.
    """

    input: Input
    keyword: str
    attribute: str
    nested: tuple[NamedChoice, ...] = ()


@attrs.frozen
class NamedChoice:
    """A class in the body of another one: inputs that come together.

    Args:
        key: What the server calls the choice; empty for a dynamic slot.
        class_name: Unique within the owner's body.
        slot: For a dynamic slot, what is given to the slot itself: the field called ``slot``, a
            name that none of `inputs` has.
    """

    key: str
    class_name: str
    inputs: tuple[NamedInput, ...]
    slot: Kind | None = None


@attrs.frozen
class NamedOutput:
    """An output and the property that is it, where a node has several."""

    output: Output
    attribute: str


@attrs.frozen
class NamedNode:
    """A class of nodes, its inputs and outputs in the declaration's order."""

    declaration: NodeDeclaration
    class_name: str
    inputs: tuple[NamedInput, ...]
    outputs: tuple[NamedOutput, ...]


@attrs.frozen
class NamedChoices:
    """An alias for a list of options."""

    name: str
    options: tuple[Option, ...]


@attrs.frozen
class NamedModule:
    """The nodes of one category, sorted by class name."""

    name: str
    nodes: tuple[NamedNode, ...]


@attrs.frozen
class NamedPack:
    """What was installed together: a directory. Modules and choices are sorted by name."""

    name: str
    modules: tuple[NamedModule, ...]
    choices: tuple[NamedChoices, ...]


@attrs.frozen
class NamedPackage:
    """All that the renderer needs to know.

    Args:
        packs: Sorted by name.
        types: The name of each marker class by what the server calls the type, sorted by that.
            The runtime's own (INT, FLOAT, STRING, BOOLEAN, COMBO) and ``*`` are not among them.
        unions: The name of the marker of each union that is an output, by its types, sorted.
        files: The options of each alias of model files, sorted by name.
        files_apart: Where lists of files that differ are kept apart, the alias of each.
        shown: The name of the type of what nodes of a class show, in the ``outputs`` of its pack,
            by class type, where that was learned.
    """

    packs: tuple[NamedPack, ...] = ()
    types: Mapping[str, str] = attrs.field(factory=dict[str, str])
    unions: Mapping[tuple[str, ...], str] = attrs.field(factory=dict[tuple[str, ...], str])
    files: Mapping[str, tuple[Option, ...]] = attrs.field(factory=dict[str, "tuple[Option, ...]"])
    files_apart: Mapping[FilesKey, str] = attrs.field(factory=dict["FilesKey", str])
    shown: Mapping[str, str] = attrs.field(factory=dict[str, str])
    _choices: Mapping[tuple[str, OptionsKey], str] = attrs.field(
        init=False,
        eq=False,
        repr=False,
        default=attrs.Factory(lambda self: _index_choices(self.packs), takes_self=True),
    )

    def choices_for(self, pack: str, options: Sequence[Option]) -> tuple[str, str] | None:
        """Return the alias of a list of options: its module, as ``core.choices``, and its name.

        Args:
            pack: In which it is to be used.
            options: Of a combo, an output, or the names of an autogrow. Not files.

        Returns:
            None if the list is to be written where it is used.
        """
        key = options_key(options)
        for owner in (pack, CORE):
            if (owner, key) in self._choices:
                return f"{owner}.choices", self._choices[owner, key]
        return None

    def file_alias(self, pack: str, input_name: str, options: Sequence[Option]) -> str:
        """Return the name in `files` for a combo whose options are files."""
        alias, key = file_alias_name(input_name), options_key(options)
        shared = self.files_apart.get((CORE, alias, key), alias)
        return self.files_apart.get((pack, alias, key), shared)


def _index_choices(packs: Iterable[NamedPack]) -> dict[tuple[str, OptionsKey], str]:
    return {
        (pack.name, options_key(choices.options)): choices.name
        for pack in packs
        for choices in pack.choices
    }
