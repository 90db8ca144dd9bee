"""A job of a pool: the ticket that goes from hand to hand, and the handle that its owner holds."""

from __future__ import annotations

import math
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final
from weakref import WeakSet

import attrs
import trio

from ._events import Failed, Finished, kind_of
from ._mailbox import Mailbox
from ._pool_events import JobStarted
from ._submission import SubmitOptions
from ._util import NoPublicConstructor
from ._workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from ._client import Comfy
    from ._dispatcher import Dispatcher
    from ._events import JobEvent
    from ._mailbox import Subscription
    from ._pool_events import PoolJobEvent
    from ._profile import JobProfile, Recorder
    from ._requirements import Requirements
    from ._seat import Seat
    from ._tracker import JobTracker
    from ._weighted_queue import Entry

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
    began: JobStarted = attrs.field(init=False)
    """What was told of it when it began."""
    why: Stop | None = None
    removed: bool = False
    """Whether it was to be broken off because its server is removed."""

    def __attrs_post_init__(self) -> None:
        ticket = self.ticket
        self.began = JobStarted(ticket.job_id, self.seat.server_id, len(ticket.past) + 1)

    def note(self, event: JobEvent, now: float) -> None:
        """Take note of what the job tells. How it ends here may not be how it ends."""
        if self.recorder is not None:
            self.recorder.note(event, now)
        if not isinstance(event, Finished | Failed):
            self.ticket.tell(event)

    def told(self) -> Iterator[PoolJobEvent]:
        """Yield what it told so far, the latest of each kind."""
        yield self.began
        if self.tracker is not None:
            for event in self.tracker.told():
                if not isinstance(event, Finished | Failed):
                    yield event

    def profile(self) -> JobProfile | None:
        """Return where its time went, now that it is over, if notes were taken."""
        if self.recorder is None:
            return None
        ticket, last = self.ticket, self.ticket.past[-1]
        ended = trio.current_time()
        if self.tracker is not None:  # how it ended may have taken long to read
            ended = min(ended, self.tracker.over_at)
        return self.recorder.profile(
            job_id=ticket.job_id,
            server_id=last.server_id,
            prompt_id=last.prompt_id,
            attempts=len(ticket.past),
            succeeded=last.error is None,
            added=ticket.added,
            ended=ended,
            is_function=not isinstance(ticket.work, Workflow),
            cached=self.tracker.state.cached if self.tracker is not None else (),
        )

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
    options: SubmitOptions = attrs.field(factory=SubmitOptions)
    """What is sent with each attempt."""
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
    ending: PoolJobEvent | None = None
    """What was told last of it."""
    _settled: trio.Event | None = None
    _mailboxes: WeakSet[Mailbox[PoolJobEvent]] | None = None

    @property
    def done(self) -> bool:
        """Whether it is settled."""
        return self.status in _DONE

    def settle(self, status: PoolJobStatus, value: Any, error: BaseException | None) -> None:
        """Write down how it ended, and wake whoever waits for that."""
        self.status, self.value, self.error = status, value, error
        self.entry = self.attempt = self.pause = None
        for mailbox in self._mailboxes or ():
            mailbox.close()
        self._mailboxes = None
        if self._settled is not None:
            self._settled.set()
        if self.on_settled is not None:
            self.on_settled(self)

    def tell(self, event: PoolJobEvent) -> None:
        """Let those who listen to this job know of an event."""
        for mailbox in self._mailboxes or ():
            mailbox.put_nowait(kind_of(event), event)

    def subscribe(self) -> Mailbox[PoolJobEvent]:
        """Return a mailbox with the latest of each kind of event so far, and all to come."""
        told = self.attempt.told() if self.attempt is not None else ()
        mailbox = Mailbox(math.inf, [(kind_of(event), event) for event in told])
        if self.ending is not None:
            mailbox.put_nowait(kind_of(self.ending), self.ending)
        if self.done:
            mailbox.close()
            return mailbox
        if self._mailboxes is None:  # as with `wait`
            self._mailboxes = WeakSet()
        self._mailboxes.add(mailbox)
        return mailbox

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

    def events(self) -> Subscription[PoolJobEvent]:
        """Return an iterator over what the job tells, from its attempt of now to its end.

        Each attempt begins with `JobStarted` and goes on with what a `Job` tells, without its end:
        that is a `JobFailed` if the job is run again, or a `JobReturned` if its server is removed.
        The last event is `JobSucceeded`, or
        `JobFailed` without ``will_retry``, or `JobInterrupted`; no iterator misses it. A job that
        is over already tells no more than that.

        Every iterator gets its own copy, in order. A reader that falls behind gets the latest
        `Progress`, `Preview` and the like rather than all of them; it slows down nobody.
        """
        return self._ticket.subscribe().subscription()

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
