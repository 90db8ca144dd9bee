"""Values in the order of their weight, in lanes from which not everybody may take."""

from __future__ import annotations

import itertools
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

T = TypeVar("T")


@attrs.define(eq=False)
class Entry(Generic[T]):
    """A value in a `WeightedQueue`.

    Args:
        value: The value.
        weight: The lightest comes first.
        number: Its place among equals: first come, first served.
        lane: What it takes to be given the value.
        taken: Whether it is in no queue any more.
    """

    value: T
    weight: float
    number: int
    lane: Hashable
    taken: bool = False

    def __lt__(self, other: Entry[T]) -> bool:
        return (self.weight, self.number) < (other.weight, other.number)


class WeightedQueue(Generic[T]):
    """Values by weight, and by arrival among equals.

    Adding and taking cost O(log n) in the number of values; looking for the first one costs O(m) in
    the number of lanes that hold any.
    """

    def __init__(self) -> None:
        self._lanes: dict[Hashable, list[Entry[T]]] = {}
        self._withdrawn: dict[Hashable, int] = {}
        self._numbers = itertools.count()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Entry[T]]:
        """Iterate over all entries, first come first."""
        entries = [entry for heap in self._lanes.values() for entry in heap if not entry.taken]
        return iter(sorted(entries))

    @property
    def lanes(self) -> int:
        """How many lanes hold a value."""
        return len(self._lanes)

    def add(
        self, value: T, weight: float, lane: Hashable, *, number: int | None = None
    ) -> Entry[T]:
        """Add a value, and return its entry.

        Args:
            value: The value.
            weight: The lightest comes first.
            lane: What it takes to be given it.
            number: Its place among equals, if it had one before. Default: behind all others.
        """
        if number is None:
            number = next(self._numbers)
        entry = Entry(value, weight, number, lane)
        heappush(self._lanes.setdefault(lane, []), entry)
        self._size += 1
        return entry

    def first(self, accepts: Callable[[Hashable], Any]) -> Entry[T] | None:
        """Return the first entry in the lanes that are accepted; None if there is none."""
        heads = (heap[0] for lane, heap in self._lanes.items() if accepts(lane))
        return min(heads, default=None)

    def take(self, entry: Entry[T]) -> None:
        """Take an entry out, wherever it is in its lane."""
        entry.taken = True
        self._size -= 1
        heap = self._lanes[entry.lane]
        withdrawn = self._withdrawn.get(entry.lane, 0) + 1
        while heap and heap[0].taken:
            heappop(heap)
            withdrawn -= 1
        # Entries that were taken from the middle stay there; never more of them than of the others.
        if 2 * withdrawn > len(heap):
            heap[:] = [each for each in heap if not each.taken]
            heapify(heap)
            withdrawn = 0
        self._withdrawn[entry.lane] = withdrawn
        if not heap:
            del self._lanes[entry.lane]
            del self._withdrawn[entry.lane]
