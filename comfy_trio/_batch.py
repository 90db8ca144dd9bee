"""Many jobs of a pool at once, as they finish."""

from __future__ import annotations

from collections import deque
from collections.abc import Sized
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, final

import attrs
import trio

from ._pool_job import percent_of
from ._util import NoPublicConstructor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._dispatcher import Dispatcher
    from ._pool_job import Ticket

T = TypeVar("T")

AHEAD: Final = 1000
"""How many jobs of a batch are in the pool, or finished and not read."""


@attrs.frozen
class BatchItem(Generic[T]):
    """A job of a batch that is over.

    Args:
        index: Its place in the batch, from 0.
        job_id: Its number in the pool.
        work: What was run, as it was given.
        value: Its result; None if it failed.
        error: How it failed; None if it did not.
    """

    index: int
    job_id: int
    work: Any = attrs.field(repr=False)
    value: T | None = attrs.field(repr=False)
    error: BaseException | None = None

    def unwrap(self) -> T:
        """Return the result, or raise the error."""
        if self.error is not None:
            raise self.error.with_traceback(None)
        value: Any = self.value
        return value  # type: ignore[no-any-return]  # None may be a result


@final
class Batch(Generic[T], metaclass=NoPublicConstructor):
    """Many jobs of a pool, which is an iterator over them as they finish; see `Pool.open_batch`.

    An error of a job comes with its item, and is no business of the others.
    """

    def __init__(
        self, works: Iterable[Any], ticket: Callable[[Any], Ticket], dispatcher: Dispatcher
    ) -> None:
        self._works = enumerate(works)
        self._total = len(works) if isinstance(works, Sized) else None
        self._ticket = ticket
        self._dispatcher = dispatcher
        self._open: dict[int, tuple[int, Any, Ticket]] = {}
        self._finished: deque[BatchItem[T]] = deque()
        self._succeeded = self._failed = 0
        self._trouble: Exception | None = None
        self._exhausted = False
        self._feeding = False
        self._changed = trio.Event()
        self._feed()

    @property
    def total(self) -> int | None:
        """How many jobs there are; None as long as nobody knows."""
        if self._total is None and self._exhausted:
            self._total = self.done + len(self._open)
        return self._total

    @property
    def done(self) -> int:
        """How many are over, well or not."""
        return self._succeeded + self._failed

    @property
    def failed(self) -> int:
        """How many of these failed."""
        return self._failed

    @property
    def percent(self) -> float | None:
        """How much of the whole batch is done, from 0 to 100; None as long as nobody knows."""
        if self.total is None:
            return None
        under_way = sum(percent_of(ticket) for _, _, ticket in self._open.values())
        return (100 * self.done + under_way) / self.total if self.total else 100.0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BatchItem[T]:
        await trio.lowlevel.checkpoint()
        while not self._finished:
            if self._trouble is not None:
                raise self._trouble
            if not self._open:
                raise StopAsyncIteration
            self._changed = trio.Event()
            await self._changed.wait()
        item = self._finished.popleft()
        self._feed()
        return item

    def _feed(self) -> None:
        """Bring jobs into the pool, as far as there is room."""
        if self._feeding or self._exhausted:
            return  # a job may be settled in the moment in which it is added
        self._feeding = True
        try:
            while len(self._open) + len(self._finished) < AHEAD:
                index, work = next(self._works)
                ticket = self._ticket(work)
                ticket.on_settled = self._settled
                self._open[ticket.job_id] = (index, work, ticket)
                try:
                    self._dispatcher.add(ticket)
                except BaseException:
                    del self._open[ticket.job_id]
                    raise
        except StopIteration:
            self._exhausted = True
        except Exception as error:
            self._exhausted = True
            self._trouble = error
        finally:
            self._feeding = False

    def _settled(self, ticket: Ticket) -> None:
        index, work, _ = self._open.pop(ticket.job_id)
        self._finished.append(BatchItem(index, ticket.job_id, work, ticket.value, ticket.error))
        if ticket.error is None:
            self._succeeded += 1
        else:
            self._failed += 1
        self._changed.set()
        self._feed()

    async def _cancel(self) -> None:
        """Stop what is not over, and return when it is."""
        self._exhausted = True
        tickets = [ticket for _, _, ticket in self._open.values()]
        for ticket in tickets:
            self._dispatcher.cancel(ticket)
        for ticket in tickets:
            await ticket.wait()
