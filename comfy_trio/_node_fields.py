"""What generated classes say of their inputs: how they are named on the wire, and their ranges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import attrs

from ._errors import WorkflowError
from ._out import Out
from ._prompt import SEED_INPUTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ._typed_node import Inputs

_SHAPE = "comfy_trio"


@attrs.frozen
class Plain:
    """An input that is one on the wire too.

    Args:
        name: On the wire; None if it is the keyword.
    """

    name: str | None = None


@attrs.frozen
class Grows:
    """An input that is many on the wire: ``images.image0``, ``images.image1``, ...

    Args:
        name: On the wire; None if it is the keyword.
        prefix: What the numbers follow, which begin with 0. None if there are `names`.
        names: Of the inputs, in their order.
        min: How many there must be.
        max: How many there may be; None if nobody knows.
    """

    name: str | None
    prefix: str | None
    names: tuple[str, ...]
    min: int
    max: int | None


@attrs.frozen
class Chosen:
    """An input whose value brings inputs of its own: ``resize_type``, ``resize_type.width``, ...

    Args:
        name: On the wire; None if it is the keyword.
        classes: What it may be, besides plain values.
    """

    name: str | None
    classes: tuple[type[Inputs], ...]


Shape: TypeAlias = Plain | Grows | Chosen


@attrs.frozen
class InputField:
    """One input of a class.

    Args:
        attribute: Where a node keeps it.
        keyword: What a program calls it.
        name: What the wire calls it.
        shape: How it goes over the wire.
        is_optional: Whether None leaves it out.
    """

    attribute: str
    keyword: str
    name: str
    shape: Shape
    is_optional: bool


def describe_field(attribute: attrs.Attribute[Any]) -> InputField:
    """Return the input that a field of a class stands for."""
    shape: Shape = attribute.metadata.get(_SHAPE, Plain())
    keyword = attribute.alias or attribute.name
    return InputField(
        attribute=attribute.name,
        keyword=keyword,
        name=keyword if shape.name is None else shape.name,
        shape=shape,
        is_optional=attribute.default is None,
    )


def wire(name: str) -> Mapping[str, object]:
    """Return the metadata of a field whose input has another name on the wire than in Python."""
    return {_SHAPE: Plain(name)}


def autogrow(
    *,
    prefix: str | None = None,
    names: Sequence[str] = (),
    min: int = 0,  # noqa: A002  # as the server calls it
    max: int | None = None,  # noqa: A002
    name: str | None = None,
) -> Mapping[str, object]:
    """Return the metadata of a field that stands for a row of inputs.

    Args:
        prefix: The wire's names of the inputs in the row begin so, and go on with a number from 0.
        names: Or else these are their names.
        min: How many there must be. Default: 0.
        max: How many there may be. Default: as many as there are names, or any number.
        name: Of the whole on the wire. Default: that of the field.
    """
    most = len(names) if names and max is None else max
    return {_SHAPE: Grows(name, prefix, tuple(names), min, most)}


def dynamic(*classes: type[Inputs], name: str | None = None) -> Mapping[str, object]:
    """Return the metadata of a field whose value brings inputs of its own.

    Args:
        classes: The choices that have inputs.
        name: Of the field on the wire. Default: that in Python.
    """
    return {_SHAPE: Chosen(name, classes)}


def within(
    min: float | None = None,  # noqa: A002  # as the server calls it
    max: float | None = None,  # noqa: A002
) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """Return a validator of a field that takes numbers in a range, both ends included.

    Links pass, and so does -1 for a seed: it is drawn when the job starts. Of a row of inputs each
    is checked.
    """

    def check(node: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is None and attribute.default is None:
            return
        where = f"{type(node).__qualname__}.{attribute.alias}"
        for place, each in _each(value, attribute):
            if not (isinstance(each, Out) or is_fit(each, attribute)):
                raise WorkflowError(
                    f"{where}{place} is {each!r}; it must be a number {_range(min, max)}",
                    input_name=attribute.alias,
                )

    def is_fit(value: object, attribute: attrs.Attribute[Any]) -> bool:
        if not isinstance(value, int | float):
            return False
        if attribute.alias in SEED_INPUTS and value == -1:
            return True
        # Never true of a NaN, which no server checks either.
        return (min is None or value >= min) and (max is None or value <= max)

    return check


def _each(value: object, attribute: attrs.Attribute[Any]) -> Iterable[tuple[str, object]]:
    """Return the values of an input, with where each is if it is a row of them."""
    if isinstance(attribute.metadata.get(_SHAPE), Grows):
        if isinstance(value, Mapping):
            items = cast("Mapping[str, object]", value).items()
            return [(f"[{name!r}]", each) for name, each in items]
        if isinstance(value, list | tuple):
            row = cast("Sequence[object]", value)
            return [(f"[{number}]", each) for number, each in enumerate(row)]
    return [("", value)]


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"up to {high}"
    if high is None:
        return f"of {low} or more"
    return f"from {low} to {high}"
