"""A bounded buffer between a pump that never waits and a reader that may be slow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast, final

import trio

from ._util import NoPublicConstructor, raise_saving_context

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A queue of one reader in which the latest of each kind wins.

    Putting an item takes the place of an unread one with the same key, and goes to the end: what is
    read is in order, and never older than what it replaced. There are never more unread items than
    keys, nor than `max_items`; beyond that the oldest is dropped. What was dropped or replaced is
    counted in `missed`.

    Args:
        max_items: The bound on unread items.
        items: What is there to begin with, by key.
    """

    def __init__(self, max_items: float, items: Iterable[tuple[Hashable, T]] = ()) -> None:
        self._items: dict[Hashable, T] = dict(items)
        self._max_items = max_items
        self._closed = False
        self._error: Exception | None = None
        self._changed = trio.Event()
        self.missed: int = 0

    def __len__(self) -> int:
        return len(self._items)

    def put_nowait(self, key: Hashable, item: T) -> None:
        """Add an item; drop or replace another if need be."""
        if key in self._items:
            del self._items[key]
            self.missed += 1
        elif len(self._items) >= self._max_items:
            del self._items[next(iter(self._items))]
            self.missed += 1
        self._items[key] = item
        self._changed.set()

    def subscription(self) -> Subscription[T]:
        """Return the reading side, for those who are not to write."""
        return cast("Subscription[T]", Subscription._create(self))

    def close(self, error: Exception | None = None) -> None:
        """Let the reader read what is there, and then end, with the error if there is one."""
        self._closed = True
        self._error = error
        self._changed.set()

    async def receive(self) -> T:
        """Return the next item; wait for one if there is none.

        Raises:
            trio.EndOfChannel: the mailbox is closed and read.
            Exception: likewise, and this is what it was closed with.
            trio.BusyResourceError: another task waits here already.
        """
        await trio.lowlevel.checkpoint()
        while not self._items:
            if self._error is not None:
                raise_saving_context(self._error)
            if self._closed:
                raise trio.EndOfChannel
            if self._changed.statistics().tasks_waiting:
                raise trio.BusyResourceError("another task reads here already")
            self._changed = trio.Event()
            await self._changed.wait()
        key = next(iter(self._items))
        return self._items.pop(key)


@final
class Subscription(Generic[T], metaclass=NoPublicConstructor):
    """An iterator over events, to be read by one task; see who returns it."""

    def __init__(self, mailbox: Mailbox[T]) -> None:
        self._mailbox = mailbox

    @property
    def missed(self) -> int:
        """How many events this reader was too slow for: newer ones took their places."""
        return self._mailbox.missed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        try:
            return await self._mailbox.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
