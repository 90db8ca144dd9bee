"""What was probably meant by names that are wrong, within bounds."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, final

from ._util import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

NAMES_SUGGESTED: Final = 3
MOST_COMPARED: Final = 50_000
"""How many names may be compared in all, which takes less than a second."""


def did_you_mean(name: object, candidates: Iterable[str]) -> str:
    """Ask, after a sentence, whether one of the nearest names was meant; empty if none is near."""
    close = get_close_matches(str(name), list(candidates), n=NAMES_SUGGESTED)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


@final
class Suggestions:
    """Finds the nearest of some names, as long as that takes less than a second.

    A prompt may have thousands of wrong names, and a server thousands of right ones. The first few
    that are wrong are suggested something; to the others, whoever sees them all needs no more.
    """

    def __init__(self) -> None:
        self._left = MOST_COMPARED

    def nearest(self, name: object, candidates: Collection[object]) -> str | None:
        """Return what was probably meant; None if nothing is near, or too much was asked."""
        if self._left <= 0:
            return None
        self._left -= len(candidates)
        return nearest(name, candidates)
