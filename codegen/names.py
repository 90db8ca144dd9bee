"""Names for everything that a server declares: which class, keyword, attribute, alias, module.

Each name is a function of what it names and of the pack that it comes from, never of the order in
which things were listed nor of the other packs that happen to be installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .declarations import Input, Kind, NodeDeclaration, Option, Output


@attrs.frozen
class NamedInput:
    """An input and what stands for it in Python.

    Args:
        keyword: What a caller writes: an identifier, unique within its owner.
        attribute: What reads it back; differs from `keyword` where that name is taken in the class.
        nested: The classes that its kind needs in the owner's body: of a dynamic combo (also as the
            item of an autogrow) those choices that have inputs, of a dynamic slot the one.
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
        slot: For a dynamic slot, what is given to the slot itself.
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
    """

    packs: tuple[NamedPack, ...]
    types: Mapping[str, str]
    unions: Mapping[tuple[str, ...], str]
    files: Mapping[str, tuple[Option, ...]]

    def choices_for(self, pack: str, options: Sequence[Option]) -> tuple[str, str] | None:
        """Return the alias of a list of options: its module, as ``core.choices``, and its name.

        Args:
            pack: In which it is to be used.
            options: Of a combo, an output, or the names of an autogrow.

        Returns:
            None if the list is to be written where it is used.
        """
        raise NotImplementedError

    def file_alias(self, input_name: str, options: Sequence[Option]) -> str:
        """Return the name in `files` for a combo whose options are files."""
        raise NotImplementedError


def resolve(declarations: Sequence[NodeDeclaration], *, strict_files: bool = False) -> NamedPackage:
    """Name all that is declared.

    Args:
        declarations: In any order.
        strict_files: Keep lists of files apart that differ, instead of one alias by input name.
    """
    raise NotImplementedError
