"""The shapes of JSON values that were seen, and what several of them have in common.

A shape tells what may be found where, and nothing of what was found: no string of a value is in it,
only the keys of objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from comfy_trio.graph import JSON

MAX_DEPTH: Final = 8
MAX_KEYS: Final = 48
"""An object with more keys is taken for a table, whose keys are data."""


@attrs.frozen
class Shape:
    """What was seen in one place.

    Args:
        scalars: Of ``null``, ``boolean``, ``integer``, ``number`` and ``string``, those seen.
        items: What was in arrays; None if there was no array.
        keys: What was in objects, by key; None if there was no object.
        optional: The keys that some of the objects did not have.
        is_table: There were objects, and their keys differ too much to tell what they are.
    """

    scalars: frozenset[str] = frozenset()
    items: Shape | None = None
    keys: Mapping[str, Shape] | None = None
    optional: frozenset[str] = frozenset()
    is_table: bool = False


NOTHING: Final = Shape()
"""Nothing was seen: the items of an empty array."""


def infer(value: object, depth: int = 0) -> Shape:
    """Return the shape of a value that came from JSON. What is nested too deep is left out."""
    match value:
        case None:
            return Shape(frozenset({"null"}))
        case bool():
            return Shape(frozenset({"boolean"}))
        case int():
            return Shape(frozenset({"integer"}))
        case float():
            return Shape(frozenset({"number"}))
        case list() if depth < MAX_DEPTH:
            items = cast("list[object]", value)
            return Shape(items=merge_all(infer(item, depth + 1) for item in items))
        case dict() if depth < MAX_DEPTH:
            entries = cast("dict[str, object]", value)
            if len(entries) > MAX_KEYS:
                return Shape(is_table=True)
            return Shape(keys={key: infer(item, depth + 1) for key, item in entries.items()})
        case list():
            return Shape(items=NOTHING)
        case dict():
            return Shape(is_table=True)
        case _:
            return Shape(frozenset({"string"}))


def merge_all(shapes: Iterable[Shape]) -> Shape:
    """Return the shape of values of which each has one of the shapes."""
    merged = NOTHING
    for shape in shapes:
        merged = merge(merged, shape)
    return merged


def merge(left: Shape, right: Shape) -> Shape:
    """Return the shape of values that have either shape. Does not depend on the order."""
    is_table = left.is_table or right.is_table
    keys, optional = _merge_keys(left, right)
    if is_table or len(keys or ()) > MAX_KEYS:
        is_table, keys, optional = True, None, frozenset[str]()
    if left.items is None or right.items is None:
        items = left.items or right.items
    else:
        items = merge(left.items, right.items)
    return Shape(left.scalars | right.scalars, items, keys, optional, is_table)


def _merge_keys(left: Shape, right: Shape) -> tuple[Mapping[str, Shape] | None, frozenset[str]]:
    if left.keys is None or right.keys is None:
        only = left if right.keys is None else right
        return only.keys, only.optional
    keys = {
        key: merge(left.keys.get(key, NOTHING), right.keys.get(key, NOTHING))
        for key in sorted(left.keys.keys() | right.keys.keys())
    }
    optional = left.optional | right.optional | (left.keys.keys() ^ right.keys.keys())
    return keys, optional


def dump(shape: Shape) -> JSON:
    """Return a shape as JSON, for a file that people may read."""
    dumped: dict[str, JSON] = {}
    if shape.scalars:
        dumped["scalars"] = sorted(shape.scalars)
    if shape.items is not None:
        dumped["items"] = dump(shape.items)
    if shape.keys is not None:
        dumped["keys"] = {key: dump(item) for key, item in sorted(shape.keys.items())}
    if shape.optional:
        dumped["optional"] = sorted(shape.optional)
    if shape.is_table:
        dumped["is_table"] = True
    return dumped


def load(dumped: Any) -> Shape:
    """Return the shape that `dump` made this of.

    Raises:
        ValueError: it was not made by `dump`.
    """
    try:
        keys = dumped.get("keys")
        return Shape(
            scalars=frozenset(map(str, dumped.get("scalars", ()))),
            items=load(dumped["items"]) if "items" in dumped else None,
            keys=None if keys is None else {str(key): load(item) for key, item in keys.items()},
            optional=frozenset(map(str, dumped.get("optional", ()))),
            is_table=bool(dumped.get("is_table", False)),
        )
    except (AttributeError, TypeError) as error:
        raise ValueError(f"no shape: {error}") from None
