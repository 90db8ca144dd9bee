"""Small helpers that know nothing of ComfyUI: class policing, and JSON as Python sees it."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from reprlib import Repr
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias, TypeGuard, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")

JSON: TypeAlias = "dict[str, Any] | list[Any] | str | int | float | bool | None"
"""What `json.loads` returns. Nested values are `Any`: whoever reads them checks them."""

JSONObject: TypeAlias = dict[str, Any]
"""A JSON object, as read; see `JSON`."""


def is_object(value: object) -> TypeGuard[JSONObject]:
    """Tell whether a value that came from JSON is an object."""
    return isinstance(value, dict)


def from_mapping(value: object) -> object:
    """Return a mapping as a JSON object, anything else as it is."""
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else value


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Tell whether a value that came from JSON is a list."""
    return isinstance(value, list)


def as_object(value: object) -> JSONObject:
    """Return a value that came from JSON if it is an object, or else an empty one."""
    return value if is_object(value) else {}


def as_list(value: object) -> list[Any]:
    """Return a value that came from JSON if it is a list, or else an empty one."""
    return value if is_list(value) else []


def as_number(value: object) -> float | None:
    """Return a value that came from JSON if it is a number to calculate with, or else None.

    That is one which a float can hold, and not infinite. Whole numbers stay such.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None


def as_size(text: str) -> int | None:
    """Return the number that a header has, if it is one of bytes; None for what is none."""
    return int(text) if text.isdecimal() and len(text) <= LONGEST_SIZE else None


def load_json(text: str | bytes | bytearray) -> Any:
    """Parse JSON as ComfyUI writes it.

    Its NaN and infinities, which are no JSON and which no server takes back, become null.

    Raises:
        ValueError: it is no JSON (`UnicodeDecodeError`: no text even).
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, parse_constant=lambda _: None, parse_float=_finite)


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


LONGEST_SIZE: Final = 18
"""Digits of the largest size that a file may have."""

MOST_LEVELS: Final = 200
"""How deep a value may be nested: deeper than that of any workflow. Servers copy each prompt that
they run (`PromptQueue.get` in execution.py of ComfyUI), and one that is too deep for that ends
their worker for good: 490 levels did so on 0.27.0 and on 0.3.64."""

_ATOMS: Final = frozenset({str, int, float, bool, type(None)})


def copy_json(value: T, levels: int = MOST_LEVELS) -> T:
    """Return a copy of a JSON value as `copy.deepcopy` makes it, in a fraction of its time.

    A tuple becomes the list that it is in JSON: what a prompt says must not depend on whether it is
    looked at before or after it is written. Other values that are none of JSON's are copied as they
    are, and refused by who writes them.

    Args:
        value: The value.
        levels: How deep it may be nested.

    Raises:
        RecursionError: it is nested deeper.
    """
    if type(value) in _ATOMS:
        return value
    if not levels:
        raise RecursionError("nested too deeply")
    copied: Any
    if is_object(value):
        copied = {key: copy_json(each, levels - 1) for key, each in value.items()}
    elif isinstance(value, list | tuple):
        copied = [copy_json(each, levels - 1) for each in cast("list[Any]", value)]
    else:
        copied = copy.deepcopy(value)
    return cast("T", copied)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def from_milliseconds(value: object) -> datetime | None:
    """Return a time, in UTC, that came from JSON as milliseconds since 1970; None if it is none.

    0 is a time like any other.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return _EPOCH + timedelta(milliseconds=value)
    except (OverflowError, ValueError):
        return None


_SHORT: Final = Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def shorten(value: object) -> str:
    """Return a value that came from JSON as a message shows it: as Python does, but not long."""
    return _SHORT.repr(value)


def one_line(text: str) -> str:
    """Return a text with every stretch of white space as one space."""
    return " ".join(text.split())


def nearest(name: object, candidates: Iterable[object]) -> str | None:
    """Return what was probably meant by a name that is wrong; None if nothing is near it."""
    if not isinstance(name, str):
        return None
    names = {each.casefold(): each for each in candidates if isinstance(each, str)}
    close = get_close_matches(name.casefold(), names, n=1)
    return names[close[0]] if close else None


def raise_saving_context(error: BaseException) -> NoReturn:
    """Raise an exception that was caught before, as if it had never been caught."""
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context
        del error, context


class NoPublicConstructor(type):
    """Metaclass of the handles that only the library makes.

    Calling such a class raises `TypeError`; library code uses ``Cls._create(...)``.
    """

    def __call__(cls, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError(f"{cls.__module__}.{cls.__qualname__} has no public constructor")

    def _create(cls: type[T], *args: object, **kwargs: object) -> T:
        return cast("T", type.__call__(cls, *args, **kwargs))
