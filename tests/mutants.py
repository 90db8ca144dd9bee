"""JSON as a hostile server may send it: every place in it replaced by every nasty value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from comfy_trio._util import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK: Final = "\x00here\x00"

NASTY: Final[dict[str, str]] = {
    "null": "null",
    "true": "true",
    "minus one": "-1",
    "a fraction": "1e-400",
    "infinity": "1e400",
    "minus infinity": "-Infinity",
    "no number": "NaN",
    "huge": "9" * 400,
    "too long for Python": "9" * 5000,
    "empty text": '""',
    "long text": '"' + "x" * 20_000 + '"',
    "half a surrogate pair": '"\\ud800"',
    "nul": '"\\u0000"',
    "path": '"../../etc/passwd"',
    "empty list": "[]",
    "list of nulls": "[null, null]",
    "list of lists": "[[]]",
    "list of objects": "[{}]",
    "empty object": "{}",
    "object of objects": '{"": {"": {}}}',
    "twice the same key": '{"a": 1, "a": [2]}',
    "deep": "[" * 500 + "]" * 500,
    "too deep": "[" * 10_000 + "]" * 10_000,
}
"""What replaces a value, as JSON text: some of it is none that Python parses."""


def paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, the whole first. Of long lists the first two items."""
    yield path
    if is_object(value):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    elif is_list(value):
        for index, inner in enumerate(value[:2]):
            yield from paths(inner, (*path, index))


def replaced(value: Any, path: tuple[Any, ...], text: str) -> str:
    """JSON text of a value that has another one, given as JSON text, in one place."""
    return json.dumps(_marked(value, path)).replace(json.dumps(MARK), text)


def _marked(value: Any, path: tuple[Any, ...]) -> Any:
    if not path:
        return MARK
    copy = value.copy()
    copy[path[0]] = _marked(value[path[0]], path[1:])
    return copy


def mutants(value: Any) -> Iterator[tuple[str, str]]:
    """Every place in a JSON value replaced by every nasty value: what was done, and the text."""
    for path in paths(value):
        where = ".".join(map(str, path)) or "all"
        for name, text in NASTY.items():
            yield f"{where}: {name}", replaced(value, path, text)
