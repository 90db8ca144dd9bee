"""What was probably meant by names that are wrong, within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from ._util import nearest

if TYPE_CHECKING:
    from collections.abc import Collection

MOST_COMPARED: Final = 50_000
"""How many names may be compared in all, which takes less than a second."""


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
