"""The types of inputs and outputs, as annotations."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  # attrs reads it
from typing import TYPE_CHECKING, final

import attrs

from .declarations import (
    Autogrow,
    Combo,
    DynamicCombo,
    DynamicSlot,
    Flag,
    MatchType,
    Number,
    Socket,
    Text,
)
from .imports import COLLECTIONS, GRAPH, TYPING
from .layout import option, subscript, union

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .declarations import Kind, Option, Output
    from .imports import Imports
    from .layout import Doc
    from .named import NamedChoice, NamedPackage

PRIMITIVES = {"INT": "int", "FLOAT": "float", "STRING": "str", "BOOLEAN": "bool"}
"""Python's types for values of the server's types that are also written as literals."""
RUNTIME_TYPES = frozenset({*PRIMITIVES, "COMBO"})
"""The server's types that are no markers of the generated package."""
ANYTHING = "*"


@final
@attrs.frozen
class Scope:
    """Where types are written.

    Args:
        package: All names.
        pack: The one in which the module is.
        imports: Of the module; what the types need is added.
        variables: The type variable of each template of match types, for the node at hand.
    """

    package: NamedPackage
    pack: str
    imports: Imports
    variables: Mapping[str, str] = attrs.field(factory=dict[str, str])

    def graph(self, name: str, *, running: bool = False) -> str:
        """Import a name of `comfy_trio.graph`."""
        return self.imports.add(GRAPH, name, running=running)

    def out(self, link: Doc, *, running: bool = False) -> Doc:
        """Return ``Out[link]``."""
        return subscript(self.graph("Out", running=running), link)

    def marker(self, type_name: str, *, running: bool = False) -> str:
        """Import the marker of one of the server's types."""
        if type_name in RUNTIME_TYPES:
            return self.graph(type_name, running=running)
        return self.imports.add("..types", self.package.types[type_name], running=running)

    def link(self, types: Sequence[str], *, running: bool = False) -> Doc:
        """Return what an input of some types takes from an output."""
        if ANYTHING in types or not types:
            return "object"
        return union([self.marker(name, running=running) for name in types])

    def options(self, options: Sequence[Option], *, running: bool = False) -> Doc:
        """Return the type of the values of a list of options."""
        if not options:
            return "str"
        alias = self.package.choices_for(self.pack, options)
        if alias is None:
            return self.literals(options, running=running)
        module, name = alias
        home = ".choices" if module == f"{self.pack}.choices" else f"..{module}"
        return self.imports.add(home, name, running=running)

    def literals(self, values: Sequence[Option], *, running: bool = False) -> Doc:
        """Return a ``Literal`` of values, written where it is used."""
        self.imports.add(TYPING, "Literal", running=running)
        return literals(values)


def literals(values: Iterable[Option]) -> Doc:
    """Return a ``Literal`` of values, each once."""
    items = [item for value in values if (item := option(value)) is not None]
    return subscript("Literal", *dict.fromkeys(items))


def output_type(scope: Scope, output: Output, *, running: bool = False) -> Doc:
    """Return what is in the brackets of an output's ``Out[...]``.

    Args:
        scope: Where it is written.
        output: The output.
        running: Whether it is a base class, and not just an annotation.
    """
    if output.template is not None and output.template in scope.variables:
        return scope.variables[output.template]
    if output.options is not None:
        options = scope.options(output.options, running=running)
        return subscript(scope.graph("Options", running=running), options)
    if ANYTHING in output.types or not output.types or output.template is not None:
        return scope.imports.add(TYPING, "Any", running=running)
    if len(output.types) == 1:
        return scope.marker(output.types[0], running=running)
    return scope.imports.add("..types", scope.package.unions[output.types], running=running)


def input_type(scope: Scope, name: str, kind: Kind, nested: Sequence[NamedChoice] = ()) -> Doc:
    """Return the type of an input's values.

    Args:
        scope: Where it is written.
        name: Of the input, as the server knows it.
        kind: What it takes.
        nested: The classes in the body of the input's owner that belong to it.
    """
    match kind:
        case Number():
            return union([PRIMITIVES[kind.type], scope.out(scope.graph(kind.type))])
        case Text():
            return union(["str", scope.out(scope.graph("STRING"))])
        case Flag():
            return union(["bool", scope.out(scope.graph("BOOLEAN"))])
        case Combo():
            return _combo_type(scope, name, kind)
        case Socket():
            return _socket_type(scope, kind)
        case MatchType():
            variable = scope.variables.get(kind.template)
            return scope.out(variable if variable is not None else scope.link(kind.types))
        case Autogrow():
            return _autogrow_type(scope, name, kind, nested)
        case DynamicCombo():
            return _dynamic_combo_type(scope, kind, nested)
        case DynamicSlot():
            return union([choice.class_name for choice in nested])


def _combo_type(scope: Scope, name: str, combo: Combo) -> Doc:
    if combo.loose:
        return union([scope.graph("JSON"), scope.out(scope.graph("COMBO"))])
    if combo.numbers:
        return union(["float", scope.out(scope.graph("COMBO"))])
    if combo.files:
        alias = scope.package.file_alias(scope.pack, name, combo.options)
        one: Doc = scope.imports.add("..files", alias)
    else:
        one = scope.options(combo.options)
    if combo.legacy:
        return union([one, scope.out(subscript(scope.graph("Options"), one))])
    if combo.multiselect:
        one = subscript(scope.imports.add(COLLECTIONS, "Sequence"), one)
    return union([one, scope.out(scope.graph("COMBO"))])


def _socket_type(scope: Scope, socket: Socket) -> Doc:
    link = scope.out(scope.link(socket.types))
    if socket.literal or ANYTHING in socket.types:
        return union([scope.graph("JSON"), link])
    return union([*(PRIMITIVES[name] for name in socket.types if name in PRIMITIVES), link])


def _autogrow_type(
    scope: Scope, name: str, autogrow: Autogrow, nested: Sequence[NamedChoice]
) -> Doc:
    item = input_type(scope, name, autogrow.item, nested)
    several = subscript(scope.imports.add(COLLECTIONS, "Sequence"), item)
    if not autogrow.names:
        return several
    names = scope.options(autogrow.names)
    return union([several, subscript(scope.imports.add(COLLECTIONS, "Mapping"), names, item)])


def _dynamic_combo_type(scope: Scope, combo: DynamicCombo, nested: Sequence[NamedChoice]) -> Doc:
    with_inputs = {choice.key for choice in nested}
    alone = [choice.key for choice in combo.choices if choice.key not in with_inputs]
    classes: list[Doc] = [choice.class_name for choice in nested]
    if not classes and not alone:
        return "str"
    return union([*classes, scope.literals(alone)] if alone else classes)
