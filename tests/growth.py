"""How much more is done for twice as much, counted in calls: no clock, so no noise."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

IN_PROPORTION = 2.2
"""The most that twice as much may take to be in proportion."""


def calls(function: Callable[..., object], *arguments: object) -> int:
    """Call a function, and return how many calls that takes, all functions' within it."""
    count = 0

    def profile(_frame: Any, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function(*arguments)
    finally:
        sys.setprofile(before)
    return count


def growth(function: Callable[[T], object], make: Callable[[int], T], size: int = 40) -> float:
    """Return how many times as many calls a function takes for twice as much.

    Args:
        function: What is called.
        make: Makes what it is called with, of a size.
        size: The smaller one.
    """
    function(make(2))  # what is kept from the first call on
    return calls(function, make(2 * size)) / calls(function, make(size))
