"""Pauses that double."""

from __future__ import annotations

import math
from typing import Final

MAX_DOUBLINGS: Final = 64
"""A float has no room for more than 1023."""


def backoff(
    first: float, attempt: int, *, cap: float = math.inf, jitter: float = 0.0, chance: float = 0.0
) -> float:
    """Return the pause before one of several attempts at the same thing.

    Args:
        first: The pause before the first of them; each is twice the one before.
        attempt: Which attempt, from 1.
        cap: The longest pause.
        jitter: How much of a pause is random, from 0 to 1, so that not all come back at once.
        chance: A random number from 0 to 1.
    """
    longest = min(first * 2.0 ** min(attempt - 1, MAX_DOUBLINGS), cap)
    return longest * (1 - jitter * chance)
