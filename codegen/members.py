"""Names within classes: keywords, attributes, properties, and the classes in a class's body.

They share a body with the markers and aliases of its annotations, which are looked up in it first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from .aliases import types_of
from .declarations import Autogrow, Combo, DynamicCombo, DynamicSlot
from .identifiers import (
    TAKEN_IN_BODY,
    allocate,
    allocate_attributes,
    allocate_nested,
    allocate_outputs,
    keyword_name,
)
from .named import NamedChoice, NamedInput, NamedNode, NamedOutput

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from .declarations import Input, Kind, NodeDeclaration, Option, Output
    from .named import NamedPackage


@attrs.frozen
class Scope:
    """What may be meant by a name in the classes of one pack.

    Args:
        package: With all names but those within classes.
        pack: The name of the pack.
    """

    package: NamedPackage
    pack: str

    def name_node(self, declaration: NodeDeclaration, name: str) -> NamedNode:
        """Name what is within a class of nodes.

        Args:
            declaration: Of the class.
            name: Of the class.
        """
        outputs = declaration.outputs
        taken = {*TAKEN_IN_BODY, *self._used_by_inputs(declaration.inputs)}
        for output in outputs:
            taken.update(self._used_by_output(output))
        nested = self._name_nested(declaration.inputs, taken)
        taken.update(nested.values())
        attributes = allocate_outputs((output.name for output in outputs), taken)
        # One output is the node itself, and no attribute of it.
        taken.update(attributes if len(attributes) > 1 else ())
        return NamedNode(
            declaration,
            name,
            self._name_inputs(declaration.inputs, nested, taken),
            tuple(map(NamedOutput, outputs, attributes)),
        )

    def _name_inputs(
        self,
        inputs: Sequence[Input],
        nested: Mapping[tuple[str, str], str],
        taken: AbstractSet[str],
        keywords_taken: AbstractSet[str] = frozenset(),
    ) -> tuple[NamedInput, ...]:
        keywords = allocate({each.name: keyword_name(each.name) for each in inputs}, keywords_taken)
        attributes = allocate_attributes(keywords.values(), taken)
        return tuple(
            NamedInput(
                each,
                keywords[each.name],
                attributes[keywords[each.name]],
                tuple(
                    self._name_choice(each, key, nested[each.name, key], children, slot)
                    for key, children, slot in _nested(each.kind)
                ),
            )
            for each in inputs
        )

    def _name_choice(
        self, owner: Input, key: str, name: str, inputs: Sequence[Input], slot: Kind | None
    ) -> NamedChoice:
        taken = {*TAKEN_IN_BODY, *self._used_by_inputs(inputs)}
        keywords_taken = frozenset[str]()
        if slot is not None:
            # What is given to the slot itself is the first field.
            keywords_taken = frozenset({"slot"})
            taken |= {*keywords_taken, *self._used_by_kind(owner.name, slot)}
        nested = self._name_nested(inputs, taken)
        taken.update(nested.values())
        return NamedChoice(
            key, name, self._name_inputs(inputs, nested, taken, keywords_taken), slot
        )

    def _name_nested(
        self, inputs: Iterable[Input], taken: AbstractSet[str]
    ) -> dict[tuple[str, str], str]:
        """Return the names of the classes in an owner's body, by input and key."""
        return allocate_nested(
            [(each.name, key) for each in inputs for key, _, _ in _nested(each.kind)], taken
        )

    def _used_by_inputs(self, inputs: Iterable[Input]) -> Iterator[str]:
        for each in inputs:
            yield from self._used_by_kind(each.name, each.kind)

    def _used_by_kind(self, name: str, kind: Kind) -> Iterator[str]:
        """Return the names of markers and aliases in the annotation of an input."""
        if isinstance(kind, Autogrow):
            yield from self._used_by_options(kind.names)
            yield from self._used_by_kind(name, kind.item)
        elif isinstance(kind, Combo) and kind.files:
            yield self.package.file_alias(self.pack, name, kind.options)
        elif isinstance(kind, Combo):
            yield from self._used_by_options(kind.options)
        yield from self._used_by_types(types_of(kind))

    def _used_by_output(self, output: Output) -> Iterator[str]:
        yield from self._used_by_options(output.options or ())
        yield from self._used_by_types(output.types)
        if output.types in self.package.unions:
            yield self.package.unions[output.types]

    def _used_by_types(self, types: Iterable[str]) -> Iterator[str]:
        return (self.package.types[type_] for type_ in types if type_ in self.package.types)

    def _used_by_options(self, options: Sequence[Option]) -> Iterator[str]:
        alias = self.package.choices_for(self.pack, options)
        if alias is not None:
            yield alias[1]


def _nested(kind: Kind) -> Iterator[tuple[str, Sequence[Input], Kind | None]]:
    """Return what makes a class of its own of a kind: its key, its inputs, and its slot if any."""
    if isinstance(kind, DynamicCombo):
        yield from ((each.key, each.inputs, None) for each in kind.choices if each.inputs)
    elif isinstance(kind, DynamicSlot):
        yield "", kind.inputs, kind.slot
