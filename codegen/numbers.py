"""Numbers as `/object_info` declares them: ranges and defaults, as far as they make sense."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

from .declarations import Number
from .values import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# For these, -1 has the client draw a number, whatever the server's range.
SEEDS: Final = ("seed", "noise_seed")

# JSON that went through JavaScript has these two limits rounded up, and the latter printed short.
_ROUNDED: Final = {
    2**64: 2**64 - 1,
    18446744073709552000: 2**64 - 1,
    2**63: 2**63 - 1,
    9223372036854776000: 2**63 - 1,
}


def parse_number(
    name: str,
    type_: Literal["INT", "FLOAT"],
    settings: Mapping[str, object],
    note: Callable[[str], None],
) -> Number:
    """Return an input for a number.

    The range holds the default, if there is both, and is not empty.

    Args:
        name: Of the input.
        type_: What its values become.
        settings: What the server declares of it.
        note: Is told what makes no sense.
    """
    read = read_integer if type_ == "INT" else read_float

    def setting(key: str) -> float | None:
        value = settings.get(key)
        number = read(value)
        # An infinite bound is a way to say that there is none.
        if value is not None and number is None and value not in (math.inf, -math.inf):
            note(f"the {key} is no number: {quote(value)}")
        return number

    default, minimum, maximum = setting("default"), setting("min"), setting("max")
    if minimum is not None and maximum is not None and minimum > maximum:
        note(f"an empty range: {quote(minimum)} to {quote(maximum)}")
        minimum = maximum = None
    if default is not None and not (default == -1 and name in SEEDS):
        low = -math.inf if minimum is None else minimum
        high = math.inf if maximum is None else maximum
        if not low <= default <= high:
            note(f"the default is out of range: {quote(default)}")
            default = None
    step = read(settings.get("step"))
    return Number(type_, default, minimum, maximum, step if step and step > 0 else None)


def read_integer(value: object) -> int | None:
    """Return what the server makes of a value where it wants an integer; None if it refuses it."""
    if not isinstance(value, int | float | str):
        return None
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return None
    return _ROUNDED.get(number, number)


def read_float(value: object) -> float | None:
    """Return what the server makes of a value where it wants a float; None if it refuses it."""
    if not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
