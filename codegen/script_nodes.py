"""Nodes as expressions: calls of their classes with what is not a default."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast, final

import attrs

from comfy_trio._out import is_out
from comfy_trio.graph import Choice, Node, Out, Slot, UnknownNode

from .annotations import field_types, fits, outputs_of, solve
from .layout import Bracket, Chain, Doc, Keyword, Text, call, lay_out, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from comfy_trio._typed_node import Inputs

    from .script_names import Names

_DEEPEST: Final = 20
"""How many brackets a literal may have around another: Python's own limit is not far."""


@final
@attrs.define
class NodeWriter:
    """Writes the nodes of a script, each after those that it needs.

    Args:
        names: Of the script.
    """

    _names: Names
    variables: dict[Node, str] = attrs.field(factory=dict["Node", str], init=False)
    """By the nodes that are written."""
    _given: dict[Node, Mapping[Any, object]] = attrs.field(
        factory=dict["Node", Mapping[Any, object]], init=False
    )

    def statement(self, node: Node, variable: str, title: str) -> str:
        """Return the statement that makes a node.

        Args:
            node: The node.
            variable: What to call it.
            title: Empty for none.
        """
        notes: list[str] = []
        if isinstance(node, UnknownNode):
            self._names.import_name("comfy_trio", "UnknownNode")
            made = self._unknown(node)
        else:
            made = self._typed(node, notes)
        methods: list[Bracket] = []
        if title:
            methods.append(Bracket(".with_title(", (quote(title),)))
        if node._left_out:
            methods.append(Bracket(".without_inputs(", tuple(map(quote, sorted(node._left_out)))))
        if node._undeclared:
            methods.append(Bracket(".with_inputs(", (self._object(node._undeclared),)))
        self.variables[node] = variable
        value = Chain(made, tuple(methods)) if methods else made
        start = f"{variable} = "
        comments = "".join(f"# {note}\n" for note in notes)
        return f"{comments}{start}{lay_out(value, indent=0, before=len(start))}"

    def _unknown(self, node: UnknownNode) -> Doc:
        inputs = [self._object(node.inputs)] if node.inputs else []
        return call("UnknownNode", quote(node.class_type), *inputs)

    def _typed(self, node: Node, notes: list[str]) -> Doc:
        local = self._names.class_name(type(node))
        self._given[node], is_inferred = solve(node, self._given)
        function = local
        if not is_inferred:
            any_ = self._names.import_name("typing", "Any")
            function = f"{local}[{', '.join([any_] * len(self._given[node]))}]"
        return call(function, *self._arguments(node, local, notes))

    def _arguments(self, owner: Inputs, local: str, notes: list[str]) -> Iterator[Doc]:
        """Yield the arguments that a class needs to make an object that is equal to one.

        Args:
            owner: The object: a node, or a choice in one.
            local: What the script calls the class of the node.
            notes: What to tell of it is added.
        """
        types = field_types(type(owner))
        for field in attrs.fields(cast("type[attrs.AttrsInstance]", type(owner))):
            value = getattr(owner, field.name)
            if is_same(value, _default(field)):
                continue
            if isinstance(value, Choice):
                inner = type(value).__qualname__.partition(".")[2]
                made = call(f"{local}.{inner}", *self._arguments(value, local, notes))
            else:
                made = self._value(value)
            if not fits(value, types[field.name], self._given):
                notes.append(f"Not what {local} declares: {field.alias}.")
                cast_ = self._names.import_name("typing", "cast")
                any_ = self._names.import_name("typing", "Any")
                made = call(cast_, any_, quote(made.text) if isinstance(made, Text) else made)
            yield Keyword(f"{field.alias}=", made)

    def _value(self, value: object, depth: int = 0) -> Doc:
        if is_out(value):
            return self._link(value)
        if isinstance(value, Mapping | list | tuple) and depth == _DEEPEST:
            json_ = self._names.import_module("json")
            return call(f"{json_}.loads", quote(json.dumps(value)))
        match value:
            case str():
                return Text(value)
            case float():
                return repr(value).replace("e+", "e")
            case Mapping():
                return self._object(cast("Mapping[str, object]", value), depth)
            case list() | tuple():
                row = cast("Sequence[object]", value)
                items = (self._value(item, depth + 1) for item in row)
                # Only after a keyword does a text in parentheses look good.
                return Bracket("[", tuple(_in_a_row(item) for item in items))
            case _:
                return repr(value)

    def _object(self, value: Mapping[str, object], depth: int = 0) -> Doc:
        items = (
            Keyword(f"{quote(key)}: ", self._value(item, depth + 1)) for key, item in value.items()
        )
        return Bracket("{", tuple(items))

    def _link(self, out: Out[Any]) -> Doc:
        if not isinstance(out, Slot):
            return self.variables[cast("Node", out)]
        variable = self.variables[out.node]
        if isinstance(out.node, UnknownNode) and out.index >= 0:
            return f"{variable}.output({out.index})"
        if (attribute := outputs_of(out.node).get(out.index)) is not None:
            return f"{variable}.{attribute}"
        slot = self._names.import_name("comfy_trio.graph", "Slot")
        any_ = self._names.import_name("typing", "Any")
        return call(f"{slot}[{any_}]", variable, repr(out.index))


def _in_a_row(item: Doc) -> Doc:
    return quote(item.text) if isinstance(item, Text) else item


def _default(field: attrs.Attribute[Any]) -> object:
    default: Any = field.default
    factory = getattr(default, "factory", None)
    return default if factory is None else factory()


def is_same(one: object, other: object) -> bool:
    """Tell whether two values are the same in JSON, which has 1 and 1.0 and true for different.

    Lists and tuples are both its lists. Links are the same if they are equal.
    """
    is_one_kind = type(one) is type(other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        row, others = cast("Sequence[object]", one), cast("Sequence[object]", other)
        return len(row) == len(others) and all(map(is_same, row, others))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        left, right = cast("Mapping[str, object]", one), cast("Mapping[str, object]", other)
        return left.keys() == right.keys() and all(is_same(left[key], right[key]) for key in left)
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return is_one_kind and one == other
