"""Shapes of JSON values: seen, merged, kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.shapes import MAX_DEPTH, MAX_KEYS, NOTHING, Shape, dump, infer, load, merge, merge_all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)
STRING, INTEGER = Shape(frozenset({"string"})), Shape(frozenset({"integer"}))


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("x", STRING),
        (1, INTEGER),
        (True, Shape(frozenset({"boolean"}))),
        (1.5, Shape(frozenset({"number"}))),
        (None, Shape(frozenset({"null"}))),
        ([], Shape(items=NOTHING)),
        ([1, "x"], Shape(items=Shape(frozenset({"integer", "string"})))),
        ({"a": 1}, Shape(keys={"a": INTEGER})),
    ],
)
def test_what_was_seen(value: object, shape: Shape) -> None:
    assert infer(value) == shape


def test_keys_that_some_do_not_have() -> None:
    assert merge(infer({"a": 1, "b": "x"}), infer({"a": "x", "c": 1})) == Shape(
        keys={"a": merge(INTEGER, STRING), "b": STRING, "c": INTEGER},
        optional=frozenset({"b", "c"}),
    )


def test_objects_with_keys_that_are_data() -> None:
    table = infer({str(number): number for number in range(MAX_KEYS + 1)})
    assert table == Shape(is_table=True)
    assert merge(table, infer({"a": 1})) == table
    halves = [infer({f"{half}{n}": n for n in range(MAX_KEYS)}) for half in "ab"]
    assert merge_all(halves) == table


def test_depth_is_bounded() -> None:
    value: Any = 1
    for _ in range(10_000):
        value = [{"a": value}]
    assert json.dumps(dump(infer(value))).count("keys") == MAX_DEPTH / 2


@given(st.lists(JSON, max_size=4))
def test_order_does_not_matter(values: list[object]) -> None:
    shapes = [infer(value) for value in values]
    assert merge_all(shapes) == merge_all(reversed(shapes))
    assert merge_all([*shapes, *shapes]) == merge_all(shapes)


@given(JSON)
def test_shapes_are_kept_as_json(value: object) -> None:
    shape = infer(value)
    assert load(json.loads(json.dumps(dump(shape)))) == shape


@pytest.mark.parametrize("dumped", [None, 1, [], {"keys": 3}, {"items": 1}, {"scalars": 1}])
def test_what_is_no_shape(dumped: object) -> None:
    with pytest.raises(ValueError, match=r"^no shape: "):
        load(dumped)
