"""The base classes of generated nodes.

A node is an immutable value that knows its inputs; two nodes are the same only if they are one
object. Nothing here knows which nodes a server has: the generated classes do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, cast

import attrs

from ._errors import WorkflowError
from ._node_fields import Chosen, Grows, InputField, Plain
from ._out import Out, Slot
from ._prompt import TAKEN_FOR_A_LINK, is_link_to_servers
from ._util import is_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._util import JSONObject

U_co = TypeVar("U_co", covariant=True)


class Inputs:
    """Something with typed inputs: a node, or a choice in one that brings inputs of its own.

    The generated subclasses are attrs classes: `attrs.fields` and `attrs.evolve` know them.
    """

    _input_fields: ClassVar[tuple[InputField, ...]] = ()

    def __attrs_post_init__(self) -> None:
        for field in self._input_fields:
            value = getattr(self, field.attribute)
            if value is None and field.is_optional:
                continue
            where = f"{type(self).__qualname__}.{field.keyword}"
            taken = take_input(value, field, where)
            if taken is not value:
                object.__setattr__(self, field.attribute, taken)

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{field.keyword}={_show(getattr(self, field.attribute))}"
            for field in self._input_fields
        )
        return f"{type(self).__qualname__}({shown})"


def _show(value: object) -> str:
    """Show a value without what it is made from, which may be a whole graph."""
    if isinstance(value, Node):
        return f"{type(value).__qualname__}[0]"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_show, cast('tuple[object, ...]', value)))}]"
    return repr(value)


def take_input(value: object, field: InputField, where: str) -> object:
    """Return an input's value as a node keeps it: checked, and out of the caller's reach.

    Raises:
        WorkflowError: it can be no input. The message says which, and what to give.
    """
    match field.shape:
        case Plain():
            return _take_one(value, field, where)
        case Grows() as shape:
            return _take_many(value, shape, field, where)
        case Chosen(classes=classes):
            if not isinstance(value, Inputs) or isinstance(value, Node):
                return _take_one(value, field, where)
            if not isinstance(value, classes):
                names = ", ".join(choice.__qualname__ for choice in classes)
                given = type(value).__qualname__
                raise _refusal(f"{where} is given {given}, not one of {names}", field)
            return value


def _take_many(value: object, shape: Grows, field: InputField, where: str) -> object:
    if isinstance(value, Mapping):
        items: dict[str, object] = dict(cast("Mapping[str, object]", value))
        if unknown := [name for name in items if name not in shape.names]:
            known = ", ".join(shape.names) or "none; give a list"
            raise _refusal(f"{where} has no {unknown[0]!r}; the names are {known}", field)
        if missing := [name for name in shape.names[: shape.min] if name not in items]:
            raise _refusal(f"{where} has no {missing[0]!r}, which must be given", field)
        taken: object = {
            name: _take_one(item, field, f"{where}[{name!r}]") for name, item in items.items()
        }
        count = len(items)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        row = cast("Sequence[object]", value)
        taken = tuple(_take_one(item, field, f"{where}[{i}]") for i, item in enumerate(row))
        count = len(row)
    else:
        raise _refusal(f"{where} is given {_show(value)}, not a list of inputs", field)
    if count < shape.min or (shape.max is not None and count > shape.max):
        most = "any number" if shape.max is None else shape.max
        raise _refusal(f"{where} has {count} inputs; it takes {shape.min} to {most}", field)
    return taken


def _take_one(value: object, field: InputField, where: str) -> object:
    if isinstance(value, Out):
        return cast("object", value)
    if isinstance(value, Node):
        raise _refusal(f"{where} is given {type(value).__qualname__}, {_outputs_of(value)}", field)
    taken = _take_literal(value, field, where)
    if is_link_to_servers(taken):
        raise _refusal(f"{where} is the literal list {taken}, {TAKEN_FOR_A_LINK}", field)
    return taken


def _outputs_of(node: Node) -> str:
    names = [name for name, item in vars(type(node)).items() if isinstance(item, property)]
    if names:
        return f"which has several outputs; give one of them: .{', .'.join(names)}"
    return "which has no outputs"


def _take_literal(value: object, field: InputField, where: str) -> object:
    if isinstance(value, str | int) or value is None:
        return value
    if isinstance(value, float):
        if value - value == 0:
            return value
        raise _refusal(f"{where} is {value}, which JSON does not have", field)
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {str(key): _take_literal(item, field, f"{where}[{key!r}]") for key, item in items}
    if isinstance(value, list | tuple):
        row = cast("Sequence[object]", value)
        return [_take_literal(item, field, f"{where}[{i}]") for i, item in enumerate(row)]
    if isinstance(value, Out | Node):
        raise _refusal(f"{where} is a link, which can be no part of a literal value", field)
    raise _refusal(
        f"{where} is given {type(value).__name__}, which is neither a link nor JSON"
        " (text, number, true or false, list, object)",
        field,
    )


def _refusal(message: str, field: InputField) -> WorkflowError:
    return WorkflowError(message, input_name=field.name)


class Choice(Inputs):
    """A choice that brings inputs of its own."""

    _key: ClassVar[str]

    def __init_subclass__(cls, *, key: str) -> None:
        """Make a class for the choice that the wire calls `key`.

        An empty one stands for a link in its place, which is then the field ``slot``.
        """
        super().__init_subclass__()
        cls._key = key


class Node(Inputs):
    """A node of a graph; see `Graph` for how to run it.

    Subclasses are generated from what a server has (``python -m comfy_trio codegen``). A node is
    immutable; `attrs.evolve` makes one that differs, without its title. Two nodes are the same if
    they are one object: used twice, it is one node of the graph.
    """

    _class_type: ClassVar[str]
    output_is_list: ClassVar[tuple[bool, ...]] = ()
    """For each output whether it gives a list, of which others take one item at a time."""
    _extra: JSONObject = {}  # noqa: RUF012  # never changed, only replaced
    _undeclared: Mapping[str, object] = {}
    _left_out: frozenset[str] = frozenset()

    def __init_subclass__(
        cls,
        *,
        class_type: str | None = None,
        output_is_list: tuple[bool, ...] | None = None,
        abstract: bool = False,
    ) -> None:
        """Make a class of nodes.

        Args:
            class_type: What the server calls it. Default: as its base class, or else its own name.
            output_is_list: For each output whether it gives a list. Default: none does.
            abstract: Whether the server has no such class, but those that derive from it.
        """
        super().__init_subclass__()
        if class_type is not None:
            cls._class_type = class_type
        elif not abstract and not hasattr(cls, "_class_type"):
            cls._class_type = cls.__name__
        if output_is_list is not None:
            cls.output_is_list = output_is_list

    @property
    def class_type(self) -> str:
        """What the server calls the class."""
        return self._class_type

    @property
    def title(self) -> str:
        """The title, as shown on the canvas and in messages. Empty unless given."""
        meta = self._extra.get("_meta")
        return str(meta.get("title", "")) if is_object(meta) else ""

    def with_title(self, title: str) -> Self:
        """Return a node like this one that has a title. It is another node."""
        return self._twin(_extra={"_meta": {"title": title}})

    def with_inputs(self, inputs: Mapping[str, object]) -> Self:
        """Return a node like this one that has inputs which its class does not declare, too.

        Some custom nodes take any number of inputs, of which a server tells nothing.

        Args:
            inputs: By their names on the wire: literal values (JSON), and outputs of other nodes.

        Raises:
            WorkflowError: the node has such an input already, or a value can be no input.
        """
        given = {name for name, _ in self._wire_inputs()}
        taken: dict[str, object] = {**self._undeclared}
        for name, value in inputs.items():
            field = InputField(name, name, name, Plain(), is_optional=False)
            where = f"{type(self).__qualname__}.with_inputs({name!r})"
            if name in given:
                raise _refusal(f"{where}: the node has that input; give it to the class", field)
            taken[name] = take_input(value, field, where)
        return self._twin(_undeclared=taken)

    def without_inputs(self, *names: str) -> Self:
        """Return a node like this one that leaves inputs to the server, their defaults included.

        What a server's code does without an input need not be what it does with the default that
        it declares.

        Args:
            names: Of the inputs on the wire.

        Raises:
            WorkflowError: the node has no such input.
        """
        given = {name for name, _ in self._wire_inputs()}
        if unknown := [name for name in names if name not in given]:
            raise WorkflowError(
                f"{type(self).__qualname__}.without_inputs({unknown[0]!r}): the node has no such"
                f" input; it has {', '.join(given) or 'none'}",
                input_name=unknown[0],
            )
        return self._twin(_left_out=self._left_out.union(names))

    def _twin(self, **changed: object) -> Self:
        """Return another node that differs in what is no field of its class."""
        twin = attrs.evolve(cast("Any", self))
        for name in ("_extra", "_undeclared", "_left_out"):
            object.__setattr__(twin, name, changed.get(name, getattr(self, name)))
        return cast("Self", twin)

    def _output(self, index: int) -> Out[Any]:
        return Slot(self, index)

    def _wire_inputs(self) -> Iterator[tuple[str, object]]:
        """Yield the inputs as the wire names them, in the order of their declaration."""
        for name, value in self._declared_inputs():
            if name not in self._left_out:
                yield name, value
        yield from self._undeclared.items()

    def _declared_inputs(self) -> Iterator[tuple[str, object]]:
        return _flatten(self, "")


def _flatten(inputs: Inputs, prefix: str) -> Iterator[tuple[str, object]]:
    for field in inputs._input_fields:
        value = getattr(inputs, field.attribute)
        if value is None and field.is_optional:
            continue
        name = prefix + field.name
        if isinstance(field.shape, Grows):
            yield from _flatten_many(name, value, field.shape)
        elif isinstance(value, Choice):
            yield from _flatten_choice(name, value)
        else:
            yield name, value


def _flatten_many(name: str, value: object, shape: Grows) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        parts = dict(cast("Mapping[str, object]", value))
    else:
        row = cast("Sequence[object]", value)
        names = shape.names or [f"{shape.prefix}{number}" for number in range(len(row))]
        parts = dict(zip(names, row, strict=False))
    for part, item in parts.items():
        yield f"{name}.{part}", item


def _flatten_choice(name: str, choice: Choice) -> Iterator[tuple[str, object]]:
    if choice._key:
        yield name, choice._key
        yield from _flatten(choice, f"{name}.")
        return
    for part, value in _flatten(choice, ""):
        yield (name if part == "slot" else f"{name}.{part}"), value


class UINode(Node, Generic[U_co], abstract=True):
    """A node that shows something: `U_co` is what the server's history holds of it."""


class OutputNode(UINode[U_co], abstract=True):
    """A node that a graph can be run for, such as SaveImage."""
