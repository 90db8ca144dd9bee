"""What a server once told of itself, for as long as it can be relied on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@final
class Learned(Generic[T]):
    """A fact about a server, which holds until its connection was lost.

    A server that was away may have come back as another version.

    Args:
        reconnections: Tells how often the connection was brought back.
    """

    def __init__(self, reconnections: Callable[[], int]) -> None:
        self._reconnections = reconnections
        self._value: T | None = None
        self._learned_after = 0

    @property
    def moment(self) -> int:
        """When it is, for `learn`."""
        return self._reconnections()

    @property
    def value(self) -> T | None:
        """The fact; None if it is not known, or not any more."""
        return self._value if self._learned_after == self.moment else None

    def learn(self, value: T, asked: int) -> None:
        """Take note of the fact.

        Args:
            value: The fact.
            asked: The `moment` at which the server was asked for it.
        """
        self._value, self._learned_after = value, asked
