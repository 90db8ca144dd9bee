"""The pool: many servers with one queue."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, final, overload
from weakref import WeakSet

import attrs
import trio

from ._batch import Batch
from ._breaker import Breaker, BreakerPolicy
from ._dispatcher import Dispatcher
from ._local_server import LocalServer
from ._logging import ids, logger
from ._mailbox import Mailbox
from ._pool_events import (
    LocalServerCrashed,
    ModeChanged,
    PoolEvent,
    PoolOpened,
    ServerAdded,
    ServerRemoved,
)
from ._pool_job import PoolJob
from ._pool_server import KeeperOptions, PoolServer, ServerKeeper
from ._pool_statistics import PoolStatistics, pool_statistics
from ._seat import Seat
from ._ticket_office import TicketOffice
from ._util import NoPublicConstructor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager
    from typing import Unpack

    from ._client import Comfy
    from ._errors import ServerCrashedError
    from ._mailbox import Subscription
    from ._nursery import BreakableBlock
    from ._pick import PickMode, PickStrategy
    from ._pool_job import Ticket
    from ._profile import JobProfile
    from ._result import JobResult
    from ._runnable import Whole
    from ._ticket_office import PoolJobOptions
    from ._typed_node import OutputNode

T = TypeVar("T")

LOCAL_URL = "http://127.0.0.1"
"""What stands for the address of a server that the pool starts, until it has a port."""
SUBSCRIBER_BOUND = 1000
"""Unread events that a subscriber may have; older ones are dropped for newer ones."""


@final
@attrs.define(eq=False, repr=False, init=False, slots=False)
class Pool(metaclass=NoPublicConstructor):
    """Many servers with one queue; made by `open_pool`."""

    def __init__(
        self,
        nursery: trio.Nursery,
        block: BreakableBlock,
        *,
        mode: PickMode | PickStrategy,
        breaker: BreakerPolicy,
        retry_delay: float,
        max_retries: int,
        max_queued: float,
        rerun_lost: bool,
        profiles: int,
        affinity: Mapping[str, frozenset[str]],
        keeper_options: KeeperOptions,
    ) -> None:
        self._nursery = nursery
        self._block = block
        self._breaker = breaker
        self._keeper_options = keeper_options
        self._dispatcher = Dispatcher(
            mode=mode,
            emit=self._emit,
            nursery=nursery,
            retry_delay=retry_delay,
            max_queued=max_queued,
            rerun_lost=rerun_lost,
            profiles=profiles,
        )
        self._keepers: dict[str, ServerKeeper] = {}
        self._office = TicketOffice(
            self._keepers,
            max_retries=max_retries,
            affinity=affinity,
            match_nodes=keeper_options.match_nodes,
        )
        self._event_numbers = itertools.count()
        self._subscribers: WeakSet[Mailbox[PoolEvent]] = WeakSet()

    def __repr__(self) -> str:
        statistics = self.statistics()
        return (
            f"<Pool of {len(self._keepers)} servers, {statistics.running} jobs running,"
            f" {statistics.waiting} waiting>"
        )

    # --- Servers ----------------------------------------------------------------------------------

    @property
    def mode(self) -> PickMode | PickStrategy:
        """How the pool chooses among the servers that could take a job; may be set at any time."""
        return self._dispatcher.mode

    @mode.setter
    def mode(self, mode: PickMode | PickStrategy) -> None:
        self._dispatcher.mode = mode
        self._emit(ModeChanged(mode))
        self._dispatcher.reconsider()

    @property
    def server_ids(self) -> tuple[str, ...]:
        """The servers, also those that are to be removed and still have jobs."""
        return tuple(self._keepers)

    async def add(self, server: str | PoolServer | LocalServer) -> str:
        """Add a server, and return its id. It has jobs from when it is connected.

        Raises:
            ValueError: it is in the pool already, or its address is none.
            trio.ClosedResourceError: the pool's block is over.
        """
        await trio.lowlevel.checkpoint()
        if self._dispatcher.closed:
            raise trio.ClosedResourceError("this pool's block is over")
        keeper = self._add(server)
        self._emit(ServerAdded(keeper.server.server_id, keeper.server.url))
        return keeper.server.server_id

    async def remove(self, server_id: str, *, drain: bool = True) -> None:
        """Remove a server, and return when nothing of the pool is there any more.

        It has no new jobs from now on. Cancelling this call does not bring it back.

        Args:
            server_id: Which.
            drain: Whether the jobs that it has may end there. Otherwise they are stopped there, and
                run elsewhere. Default: true.

        Raises:
            ValueError: there is none of that id.
        """
        keeper = self._keepers.get(server_id)
        if keeper is None:
            known = ", ".join(self._keepers) or "none"
            raise ValueError(f"there is no server {server_id!r} in the pool; there are {known}")
        keeper.leave(drain=drain)
        await keeper.gone.wait()

    def _open(self, servers: Iterable[str | PoolServer | LocalServer]) -> None:
        for server in servers:
            self._add(server)
        self._emit(PoolOpened(self.server_ids))

    def _add(self, given: str | PoolServer | LocalServer) -> ServerKeeper:
        local = given if isinstance(given, LocalServer) else None
        if isinstance(given, LocalServer):
            server = PoolServer(LOCAL_URL, server_id=given.server_id, concurrency=given.concurrency)
        else:
            server = PoolServer(given) if isinstance(given, str) else given
        if server.server_id in self._keepers:
            raise ValueError(
                f"the pool has a server {server.server_id!r} already; another server_id tells two"
                " at one address apart"
            )
        seat = Seat(
            server.server_id,
            server.concurrency,
            Breaker(self._breaker),
            turn=next(self._dispatcher.turns),
        )
        keeper = ServerKeeper(server, seat, self._dispatcher, self._emit, self._keeper_options)
        self._dispatcher.seats[server.server_id] = seat
        self._keepers[server.server_id] = keeper
        self._nursery.start_soon(self._keep, keeper, local)
        return keeper

    @trio.lowlevel.enable_ki_protection
    async def _keep(self, keeper: ServerKeeper, local: LocalServer | None) -> None:
        await keeper.keep(local, partial(self._note_crash, keeper))
        del self._keepers[keeper.server.server_id]
        self._emit(ServerRemoved(keeper.server.server_id))

    def _note_crash(
        self, keeper: ServerKeeper, error: ServerCrashedError, restart_in: float | None
    ) -> None:
        server_id = keeper.server.server_id
        logger.warning("%s: %s", server_id, error, extra=ids(server=server_id))
        self._emit(LocalServerCrashed(server_id, error, restart_in))
        keeper.bury("its process ended by itself")
        if restart_in is None:
            keeper.leave(drain=False)
            if all(seat.leaving for seat in self._dispatcher.seats.values()):
                self._block.break_off(error)

    # --- Jobs -------------------------------------------------------------------------------------

    @overload
    async def run(self, workflow: Whole, /, **options: Unpack[PoolJobOptions]) -> JobResult: ...
    @overload
    async def run(
        self, output: OutputNode[Any], /, *more: OutputNode[Any], **options: Unpack[PoolJobOptions]
    ) -> JobResult: ...
    @overload
    async def run(
        self, function: Callable[[Comfy], Awaitable[T]], /, **options: Unpack[PoolJobOptions]
    ) -> T: ...
    async def run(self, what: Any, /, *more: Any, **options: Unpack[PoolJobOptions]) -> Any:
        """Run a job on one of the servers, and return its result.

        If this call is cancelled, the job is too, at its server as well.

        Args:
            what: A workflow, a prompt builder, a graph, a prompt in API format, an output node; or
                an asynchronous function, which is called with the client of one server, in a task
                of the pool's. If that server fails, it is called again with another one; so it is
                if it raises `trio.TooSlowError`, as a deadline within it does.
            more: More output nodes.
            options: Its weight, where it may run, and more; see `PoolJobOptions`, `SubmitOptions`.

        Returns:
            The outputs of the workflow, or what the function returns.

        Raises:
            WorkflowError: it is no workflow.
            WorkflowNotSupportedError: no server of the pool has what it needs.
            EnqueueFailedError: a server refused it, as all would.
            JobError: it failed as it would at any server; a person stopped it; or the last attempt
                failed because of its server.
            DisconnectedError: nobody knows what became of it; see `open_pool`.
            ServerUnreachableError, ResponseError, OSError, FileError: see `Comfy.run`.
            Exception: whatever the function raises.
            ValueError, TypeError: ``include`` names no server of the pool, or an option makes no
                sense.
            trio.ClosedResourceError: the pool's block is over.
        """
        ticket = self._office.write(what, *more, **options)
        await self._dispatcher.wait_for_room()
        self._dispatcher.add(ticket)
        try:
            await ticket.wait()
        except BaseException:
            with trio.move_on_after(self._keeper_options.close_timeout, shield=True):
                self._dispatcher.cancel(ticket)
                await ticket.wait()
            raise
        return ticket.unwrap()

    @overload
    async def submit(
        self, workflow: Whole, /, **options: Unpack[PoolJobOptions]
    ) -> PoolJob[JobResult]: ...
    @overload
    async def submit(
        self, output: OutputNode[Any], /, *more: OutputNode[Any], **options: Unpack[PoolJobOptions]
    ) -> PoolJob[JobResult]: ...
    @overload
    async def submit(
        self, function: Callable[[Comfy], Awaitable[T]], /, **options: Unpack[PoolJobOptions]
    ) -> PoolJob[T]: ...
    async def submit(
        self, what: Any, /, *more: Any, **options: Unpack[PoolJobOptions]
    ) -> PoolJob[Any]:
        """Put a job into the pool, and return its handle; wait only while the queue is full.

        The job lives on until it ends. A job that fails and that nobody waits for troubles nobody.

        Args:
            what: See `run`.
            more: More output nodes.
            options: See `PoolJobOptions`.

        Raises:
            WorkflowError, ValueError, trio.ClosedResourceError: see `run`.
        """
        ticket = self._office.write(what, *more, **options)
        await self._dispatcher.wait_for_room()
        self._dispatcher.add(ticket)
        return PoolJob[Any]._create(ticket, self._dispatcher)

    @overload
    async def map(
        self, workflows: Iterable[Whole | OutputNode[Any]], /, **options: Unpack[PoolJobOptions]
    ) -> list[JobResult]: ...
    @overload
    async def map(
        self,
        functions: Iterable[Callable[[Comfy], Awaitable[T]]],
        /,
        **options: Unpack[PoolJobOptions],
    ) -> list[T]: ...
    async def map(self, works: Iterable[Any], /, **options: Unpack[PoolJobOptions]) -> list[Any]:
        """Run many jobs, and return their results in the order of the jobs.

        The first error cancels the rest, at the servers too, and is raised when that is done; so
        does a cancellation of this call.

        Args:
            works: What to run; see `run`.
            options: Of each job; see `PoolJobOptions`.

        Raises:
            Exception: see `run`.
        """
        results: dict[int, Any] = {}
        async with self.open_batch(works, **options) as batch:
            async for item in batch:
                results[item.index] = item.unwrap()
        return [results[index] for index in range(len(results))]

    @overload
    def open_batch(
        self, workflows: Iterable[Whole | OutputNode[Any]], /, **options: Unpack[PoolJobOptions]
    ) -> AbstractAsyncContextManager[Batch[JobResult]]: ...
    @overload
    def open_batch(
        self,
        functions: Iterable[Callable[[Comfy], Awaitable[T]]],
        /,
        **options: Unpack[PoolJobOptions],
    ) -> AbstractAsyncContextManager[Batch[T]]: ...
    def open_batch(
        self, works: Iterable[Any], /, **options: Unpack[PoolJobOptions]
    ) -> AbstractAsyncContextManager[Batch[Any]]:
        """Run many jobs for as long as a block lasts, and iterate over them as they finish.

        ``works`` may be endless: it is read only as far as jobs are soon to run, and no further
        than the finished ones are read. Leaving the block cancels what is not finished.

        Args:
            works: What to run; see `run`.
            options: Of each job; see `PoolJobOptions`.
        """
        return self._open_batch(works, options)

    @asynccontextmanager
    async def _open_batch(
        self, works: Iterable[Any], options: PoolJobOptions
    ) -> AsyncGenerator[Batch[Any], None]:
        def ticket(work: Any) -> Ticket:
            return self._office.write(work, **options)

        batch = Batch[Any]._create(works, ticket, self._dispatcher)
        try:
            yield batch
        finally:
            with trio.move_on_after(self._keeper_options.close_timeout, shield=True):
                await batch._cancel()

    # --- What it tells ----------------------------------------------------------------------------

    def statistics(self) -> PoolStatistics:
        """Tell what the pool holds and did so far."""
        return pool_statistics(self._dispatcher)

    def profiles(self) -> tuple[JobProfile, ...]:
        """Return where the time of the jobs that ended last went, the last one last.

        As many are kept as ``open_pool`` was told to. `PoolJob.profile` is that of one job;
        `comfy_trio.pool.summarize` makes averages by server of them.
        """
        return tuple(self._dispatcher.profiles)

    def events(self) -> Subscription[PoolEvent]:
        """Return an iterator over what happens in the pool from now on, until it is closed.

        The events are those of `comfy_trio.pool`. One that tells of a server's terminal comes only
        with ``terminal=True``, one of its machine only if it has the Crystools extension.

        A reader that falls more than 1000 events behind misses the oldest; it slows down nobody.
        """
        mailbox: Mailbox[PoolEvent] = Mailbox(SUBSCRIBER_BOUND)
        if self._dispatcher.closed:
            mailbox.close()
        else:
            self._subscribers.add(mailbox)
        return mailbox.subscription()

    def _emit(self, event: PoolEvent) -> None:
        telemetry = self._keeper_options.telemetry
        if telemetry is not None:
            telemetry.note(event)
        if self._subscribers:
            number = next(self._event_numbers)
            for mailbox in self._subscribers:
                mailbox.put_nowait(number, event)

    # --- The end ----------------------------------------------------------------------------------

    async def _close(self) -> None:
        """Take no more jobs, and stop those that are here. The caller sets a bound."""
        self._dispatcher.close()
        await self._dispatcher.wait_idle()

    def _end(self) -> None:
        """Let everybody who still waits here know that the pool is closed."""
        self._dispatcher.settle_rest()
        for mailbox in self._subscribers:
            mailbox.close()
