"""A job of a pool: the ticket that goes from hand to hand, and the handle that its owner holds."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

import attrs
import trio

from ._util import NoPublicConstructor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._client import Comfy
    from ._dispatcher import Dispatcher, Seat
    from ._profile import JobProfile, Recorder
    from ._requirements import Requirements
    from ._tracker import JobTracker
    from ._weighted_queue import Entry
    from ._workflow import Workflow

T = TypeVar("T")


class PoolJobStatus(StrEnum):
    """Where a job of a pool is."""

    WAITING = "waiting"
    """For a server."""
    RUNNING = "running"
    """A server has it."""
    PAUSING = "pausing"
    """Between two attempts."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """Its owner, or the end of the pool, stopped it."""


@attrs.frozen
class JobAttempt:
    """One attempt at a job.

    Args:
        server_id: Where.
        started: When the server was given the job, by `trio.current_time`.
        ended: When that was over; None if it is not.
        prompt_id: The job's id at the server; None if it was not sent, or is a function.
        error: How it failed; None if it did not.
    """

    server_id: str
    started: float
    ended: float | None = None
    prompt_id: str | None = None
    error: BaseException | None = None


class Stop(Enum):
    """Why an attempt is broken off."""

    CANCELLED = "its owner does not want it any more"
    REMOVED = "the server is removed from the pool"
    GONE = "the server that had it is gone, and its queue with it"
    LOST = "the server did not answer for too long"


@attrs.define(eq=False)
class Attempt:
    """A ticket at a server."""

    ticket: Ticket
    seat: Seat
    started: float
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    recorder: Recorder | None = None
    """Who takes notes for its profile, if there is to be one."""
    tracker: JobTracker | None = None
    """The job at the server, from when it was sent."""
    why: Stop | None = None
    removed: bool = False
    """Whether it was to be broken off because its server is removed."""

    def stop(self, why: Stop) -> None:
        """Break it off. The first reason counts, but that any other outweighs a removal."""
        if self.why is None or self.why is Stop.REMOVED:
            self.why = why
            self.removed = self.removed or why is Stop.REMOVED
            self.scope.cancel(why.value)

    def resume(self) -> None:
        """Wait for it again, because it could not be broken off."""
        self.why = None
        self.scope = trio.CancelScope()

    def record(self, error: BaseException | None = None) -> JobAttempt:
        """Return what is known of it, as of now."""
        return JobAttempt(
            server_id=self.seat.server_id,
            started=self.started,
            ended=trio.current_time() if self.ticket.attempt is not self else None,
            prompt_id=None if self.tracker is None else self.tracker.prompt_id,
            error=error,
        )


@attrs.define(eq=False)
class Ticket:
    """A job of a pool, from when it came in until it is settled."""

    job_id: int
    work: Workflow | Callable[[Comfy], Awaitable[Any]]
    weight: float
    requirements: Requirements
    max_retries: int
    on_settled: Callable[[Ticket], None] | None = None
    status: PoolJobStatus = PoolJobStatus.WAITING
    entry: Entry[Ticket] | None = None
    """Its place in the queue."""
    attempt: Attempt | None = None
    pause: trio.CancelScope | None = None
    past: tuple[JobAttempt, ...] = ()
    added: float = 0.0
    profile: JobProfile | None = None
    failures: int = 0
    """Failed attempts that use up retries."""
    reasons: tuple[tuple[str, str], ...] = ()
    """Why servers cannot run it, by id."""
    cancelled: bool = False
    value: Any = None
    error: BaseException | None = None
    _settled: trio.Event | None = None

    @property
    def done(self) -> bool:
        """Whether it is settled."""
        return self.status in _DONE

    def settle(self, status: PoolJobStatus, value: Any, error: BaseException | None) -> None:
        """Write down how it ended, and wake whoever waits for that."""
        self.status, self.value, self.error = status, value, error
        self.entry = self.attempt = self.pause = None
        if self._settled is not None:
            self._settled.set()
        if self.on_settled is not None:
            self.on_settled(self)

    async def wait(self) -> None:
        """Wait until it is settled."""
        if self.done:
            await trio.lowlevel.checkpoint()
            return
        if self._settled is None:  # most jobs of a long queue are never waited for one by one
            self._settled = trio.Event()
        await self._settled.wait()

    def unwrap(self) -> Any:
        """Return its result, or raise its error."""
        if self.error is not None:
            # The same error may be raised to several tasks: each gets its own traceback.
            raise self.error.with_traceback(None)
        return self.value


_DONE = {PoolJobStatus.SUCCEEDED, PoolJobStatus.FAILED, PoolJobStatus.CANCELLED}


@final
@attrs.define(eq=False, repr=False, slots=False)
class PoolJob(Generic[T], metaclass=NoPublicConstructor):
    """A job of a pool, wherever it runs. Made by `Pool.submit`."""

    _ticket: Ticket
    _dispatcher: Dispatcher

    @property
    def job_id(self) -> int:
        """Its number in the pool."""
        return self._ticket.job_id

    @property
    def status(self) -> PoolJobStatus:
        """Where it is."""
        return self._ticket.status

    @property
    def done(self) -> bool:
        """Whether it is settled, well or not."""
        return self._ticket.done

    @property
    def server_id(self) -> str | None:
        """The server that has it, or had it last; None if none had."""
        attempts = self.attempts
        return attempts[-1].server_id if attempts else None

    @property
    def attempts(self) -> tuple[JobAttempt, ...]:
        """The attempts so far, also one under way."""
        attempt = self._ticket.attempt
        return self._ticket.past if attempt is None else (*self._ticket.past, attempt.record())

    @property
    def percent(self) -> int:
        """How much of it is done, from 0 to 100. It starts anew with each attempt."""
        return percent_of(self._ticket)

    @property
    def profile(self) -> JobProfile | None:
        """Where its time went; None until an attempt is over, or if the pool keeps no profiles."""
        return self._ticket.profile

    def __repr__(self) -> str:
        where = "" if self.server_id is None else f" at {self.server_id}"
        return f"<PoolJob {self.job_id} {self.status}{where}>"

    async def wait(self) -> T:
        """Wait until the job is settled, and return its result.

        Cancelling the wait leaves the job alone.

        Raises:
            JobError, DisconnectedError, WorkflowNotSupportedError: see `Pool.run`.
        """
        await self._ticket.wait()
        value: T = self._ticket.unwrap()
        return value

    async def cancel(self) -> None:
        """Stop the job, at its server too, and return when it is over.

        A job that is over already is left as it is. A server that cannot be asked to stop it is not
        waited for longer than the pool's ``close_timeout``; it is asked again when it is back.
        """
        self._dispatcher.cancel(self._ticket)
        await self._ticket.wait()


def percent_of(ticket: Ticket) -> int:
    """Return how much of a job is done, from 0 to 100."""
    if ticket.status is PoolJobStatus.SUCCEEDED:
        return 100
    attempt = ticket.attempt
    if attempt is None or attempt.tracker is None:
        return 0
    return max(attempt.tracker.state.percent, 0)
