"""JSON that somebody else wrote: looked at without trusting it, and quoted for a person to read."""

from __future__ import annotations

import math
import reprlib
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from comfy_trio.graph import JSON

_QUOTE = reprlib.Repr()
_QUOTE.maxstring = _QUOTE.maxother = 60


def is_object(value: object) -> TypeGuard[Mapping[str, object]]:
    """Tell whether a value that came from JSON is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Tell whether a value that came from JSON is a list."""
    return isinstance(value, list)


def as_object(value: object) -> Mapping[str, object]:
    """Return a value that came from JSON if it is an object, or else an empty one."""
    return value if is_object(value) else {}


def as_list(value: object) -> Sequence[object]:
    """Return a value that came from JSON if it is a list, or else an empty one."""
    return value if is_list(value) else ()


def as_text(value: object) -> str:
    """Return a value that came from JSON if it is a string, or else an empty one."""
    return value if isinstance(value, str) else ""


def is_plain(value: object, *, depth: int) -> TypeGuard[JSON]:
    """Tell whether a value is JSON as the standard has it, nested at most so deep.

    Python's parser also takes NaN and infinities, which a server could not be sent.
    """
    if isinstance(value, float):
        return math.isfinite(value)
    if value is None or isinstance(value, str | int):
        return True
    if is_object(value):
        value = list(value.values())
    return depth > 0 and is_list(value) and all(is_plain(item, depth=depth - 1) for item in value)


def quote(value: object) -> str:
    """Return a value as Python would write it, shortened."""
    return _QUOTE.repr(value)
