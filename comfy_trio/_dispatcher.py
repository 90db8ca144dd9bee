"""The one place that decides what happens to the jobs of a pool. It never waits for anything.

Jobs lie in a weighted channel, in lanes by their requirements. The workers of each server wait in
`receive`; whatever changes what a server may take, here or there, ends with `reconsider`. Whoever
gets a job is written down in the moment of the decision, so that the next decision knows of it.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final, cast, final

import attrs
import trio

from ._breaker import Breaker, BreakerState
from ._errors import DisconnectedError, ExecutionInterruptedError, WorkflowNotSupportedError
from ._failover import Verdict
from ._logging import logger
from ._pick import PickMode, ServerLoad, pick
from ._pool_events import (
    JobAdded,
    JobFailed,
    JobInterrupted,
    JobStarted,
    JobSucceeded,
    JobsWaiting,
    PoolIdle,
    ServerCooling,
    ServerReady,
)
from ._pool_job import Attempt, PoolJobStatus, Stop, Ticket
from ._profile import Recorder
from ._requirements import Requirements, find_lack
from ._weighted_channel import open_weighted_channel
from ._workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from ._pick import PickStrategy
    from ._pool_events import PoolEvent
    from ._profile import JobProfile
    from ._requirements import Needs
    from ._util import JSONObject
    from ._weighted_channel import WeightedReceiveChannel

MAX_RETRY_DELAY: Final = 30.0
"""The longest pause between two attempts, in seconds."""
RETRY_JITTER: Final = 0.3


@attrs.define(eq=False)
class Seat:
    """One server, as decisions see it."""

    server_id: str
    concurrency: int
    breaker: Breaker
    connected: bool = False
    leaving: bool = False
    queue_remaining: int = 0
    turn: int = 0
    attempts: dict[Attempt, None] = attrs.field(factory=dict[Attempt, None], init=False)
    succeeded: int = 0
    failed: int = 0
    _definitions: Mapping[str, JSONObject] | None = None
    _lacks: dict[Needs, str | None] = attrs.field(factory=dict["Needs", "str | None"], init=False)

    def learn(self, definitions: Mapping[str, JSONObject]) -> None:
        """Take note of what the server declares."""
        self._definitions = definitions
        self._lacks.clear()

    def breaker_state(self) -> BreakerState:
        """Tell what the breaker lets through."""
        return self.breaker.state(trio.current_time())

    def is_able(self) -> bool:
        """Tell whether it is given jobs at all, now or when it is done with others."""
        usable = self.connected and not self.leaving
        return usable and self.breaker_state() is not BreakerState.OPEN

    def is_free(self) -> bool:
        """Tell whether it can be given a job now."""
        probing = self.breaker_state() is BreakerState.HALF_OPEN
        limit = 1 if probing else self.concurrency
        return self.is_able() and len(self.attempts) < limit

    def obstacle(self, requirements: Requirements) -> str | None:
        """Return why it will never run a job of such requirements; None if it may."""
        if not requirements.admits(self.server_id):
            return "it is excluded for this job"
        if self._definitions is None:
            return None
        needs = requirements.needs
        if needs not in self._lacks:
            self._lacks[needs] = find_lack(needs, self._definitions)
        return self._lacks[needs]

    def load(self) -> ServerLoad:
        """Return what a strategy is told."""
        return ServerLoad(
            self.server_id, self.queue_remaining, len(self.attempts), self.concurrency, self.turn
        )


@final
class Dispatcher:
    """The jobs of a pool, and the servers that they may go to.

    Args:
        mode: How to choose among servers.
        emit: Told of what happens. Must not raise.
        nursery: For pauses.
        retry_delay: Seconds before the first retry; twice as long before each that follows.
        max_queued: How many jobs may wait before `wait_for_room` does.
        rerun_lost: Whether a job of which nobody knows how it ended is run again.
        profiles: How many profiles of settled jobs to keep.
    """

    def __init__(
        self,
        *,
        mode: PickMode | PickStrategy,
        emit: Callable[[PoolEvent], None],
        nursery: trio.Nursery,
        retry_delay: float,
        max_queued: float,
        rerun_lost: bool,
        profiles: int,
    ) -> None:
        self.mode = mode
        self.seats: dict[str, Seat] = {}
        self.tickets: dict[int, Ticket] = {}
        self.counts: Counter[PoolJobStatus] = Counter()
        self.added: int = 0
        self.retries: int = 0
        self.profiles: deque[JobProfile] = deque(maxlen=profiles)
        self.closed: bool = False
        self._emit = emit
        self._nursery = nursery
        self._retry_delay = retry_delay
        self._max_queued = max_queued
        self._rerun_lost = rerun_lost
        self.jobs: WeightedReceiveChannel[Ticket]
        self._send, self.jobs = open_weighted_channel(math.inf, pick=self._pick)
        self.turns: itertools.count[int] = itertools.count(1)
        """For `Seat.turn`: at first, servers take turns in the order in which they were added."""
        self._room = trio.lowlevel.ParkingLot()
        self._idle = trio.Event()
        self._idle.set()

    # --- Servers ----------------------------------------------------------------------------------

    def accepts(self, seat: Seat, lane: Hashable) -> bool:
        """Tell whether a server may be given a job of such requirements now."""
        requirements = cast("Requirements", lane)
        if not seat.is_free() or seat.obstacle(requirements) is not None:
            return False
        if seat.server_id not in requirements.avoid:
            return True
        return not any(
            other.is_able()
            and other.server_id not in requirements.avoid
            and other.obstacle(requirements) is None
            for other in self.seats.values()
        )

    def reconsider(self) -> None:
        """Look again who can take what, because something changed."""
        if not self.closed:
            self.jobs.reconsider()

    def welcome(self, seat: Seat) -> None:
        """Give jobs to a server that is connected now."""
        seat.connected = True
        self._fail_hopeless()  # it may have told what it does not have
        if seat.is_able():
            self._emit(ServerReady(seat.server_id))
        self.reconsider()

    def remove(self, seat: Seat) -> None:
        """Forget a server, which has nothing to do any more."""
        del self.seats[seat.server_id]
        self._fail_hopeless()
        self.reconsider()

    def _pick(self, ticket: Ticket, seats: Sequence[Seat]) -> Seat | None:
        seats = list(dict.fromkeys(seats))  # a server is there once for each of its free workers
        prefer = ticket.requirements.prefer
        preferred = [seat for seat in seats if seat.server_id in prefer]
        chosen = self._choose(ticket, preferred) if preferred else None
        if chosen is None:
            chosen = self._choose(ticket, seats)
        if chosen is not None:
            self._claim(ticket, chosen)
        return chosen

    def _choose(self, ticket: Ticket, seats: Sequence[Seat]) -> Seat | None:
        load = pick(self.mode, ticket.work, [seat.load() for seat in seats])
        return None if load is None else self.seats[load.server_id]

    def _claim(self, ticket: Ticket, seat: Seat) -> None:
        now = trio.current_time()
        recorder = Recorder(now) if self.profiles.maxlen else None
        ticket.attempt = Attempt(ticket, seat, now, recorder=recorder)
        seat.attempts[ticket.attempt] = None
        seat.turn = next(self.turns)
        self._move(ticket, PoolJobStatus.RUNNING)
        self._emit(JobStarted(ticket.job_id, seat.server_id, len(ticket.past) + 1))

    def has_waiting(self) -> bool:
        """Tell whether any job waits for a server."""
        return self.counts[PoolJobStatus.WAITING] > 0

    # --- Jobs coming in ---------------------------------------------------------------------------

    async def wait_for_room(self) -> None:
        """Wait until another job may be added."""
        await trio.lowlevel.checkpoint()
        while self.counts[PoolJobStatus.WAITING] >= self._max_queued and not self.closed:
            await self._room.park()

    def add(self, ticket: Ticket) -> None:
        """Take a job in, and give it to a server at once if there is one.

        Raises:
            trio.ClosedResourceError: the pool's block is over.
        """
        if self.closed:
            raise trio.ClosedResourceError("this pool's block is over")
        self.added += 1
        ticket.added = trio.current_time()
        self.tickets[ticket.job_id] = ticket
        self.counts[ticket.status] += 1
        self._idle = trio.Event() if self._idle.is_set() else self._idle
        self._emit(JobAdded(ticket.job_id, ticket.weight))
        if self._settle_if_hopeless(ticket, None):
            return
        ticket.entry = self._send.send_nowait(
            ticket, weight=ticket.weight, lane=ticket.requirements
        )
        self._tell_waiting(ticket)

    def _return(self, ticket: Ticket) -> None:
        """Let a job wait again, in its old place."""
        assert ticket.entry is not None
        self._move(ticket, PoolJobStatus.WAITING)
        entry = self._send.put_back(ticket.entry, lane=ticket.requirements)
        if not ticket.done:
            ticket.entry = entry
        self._tell_waiting(ticket)

    def _tell_waiting(self, ticket: Ticket) -> None:
        if ticket.status is PoolJobStatus.WAITING and self.counts[PoolJobStatus.WAITING] == 1:
            self._emit(JobsWaiting())

    # --- Attempts coming to an end ----------------------------------------------------------------

    def succeed(self, attempt: Attempt, value: Any) -> None:
        """Settle a job by its result."""
        ticket, seat = attempt.ticket, attempt.seat
        self._leave(attempt)
        seat.succeeded += 1
        seat.breaker = seat.breaker.succeeded()
        self._emit(JobSucceeded(ticket.job_id, seat.server_id, len(ticket.past)))
        self._settle(ticket, PoolJobStatus.SUCCEEDED, value=value)
        self.reconsider()

    def give_back(self, attempt: Attempt) -> None:
        """Take back a job whose attempt came to nothing and left nothing."""
        ticket = attempt.ticket
        self._leave(attempt)
        if ticket.cancelled:
            self._settle_cancelled(ticket, None)
        else:
            self.retries += 1
            self._return(ticket)
        self.reconsider()

    def fail(self, attempt: Attempt, error: BaseException, verdict: Verdict) -> None:
        """Run a job again whose attempt failed, elsewhere and after a pause; or settle it."""
        ticket, seat = attempt.ticket, attempt.seat
        self._leave(attempt, error)
        seat.failed += 1
        self._blame(seat, verdict)
        if verdict is Verdict.UNSETTLED and self._rerun_lost:
            verdict = Verdict.SERVER
        ticket.failures += verdict.counts
        retry = (
            verdict.may_go_elsewhere
            and ticket.failures <= ticket.max_retries
            and not ticket.cancelled
        )
        self._exclude(ticket, seat, verdict, error)
        if verdict is Verdict.INCOMPATIBLE and retry:
            retry = not self._is_hopeless(ticket.requirements)
        self._tell_failure(ticket, seat, error, verdict, will_retry=retry)
        if retry:
            self.retries += 1
            self._retry(ticket, pause=verdict.counts)
        elif ticket.cancelled:
            self._settle_cancelled(ticket, error)
        elif not (verdict is Verdict.INCOMPATIBLE and self._settle_if_hopeless(ticket, error)):
            self._settle(ticket, PoolJobStatus.FAILED, error=error)
        self.reconsider()

    def _leave(self, attempt: Attempt, error: BaseException | None = None) -> None:
        ticket = attempt.ticket
        del attempt.seat.attempts[attempt]
        ticket.attempt = None
        ticket.past = (*ticket.past, attempt.record(error))
        if attempt.recorder is not None:
            ticket.profile = self._profile(attempt, attempt.recorder)

    def _profile(self, attempt: Attempt, recorder: Recorder) -> JobProfile:
        ticket, last = attempt.ticket, attempt.ticket.past[-1]
        return recorder.profile(
            job_id=ticket.job_id,
            server_id=last.server_id,
            prompt_id=last.prompt_id,
            attempts=len(ticket.past),
            succeeded=last.error is None,
            added=ticket.added,
            ended=trio.current_time(),
            is_function=not isinstance(ticket.work, Workflow),
            cached=attempt.tracker.state.cached if attempt.tracker is not None else (),
        )

    def _blame(self, seat: Seat, verdict: Verdict) -> None:
        if verdict.blames_server:
            before = seat.breaker_state()
            seat.breaker = seat.breaker.failed(trio.current_time(), random.random())
            if before is not BreakerState.OPEN and seat.breaker_state() is BreakerState.OPEN:
                seconds = seat.breaker.until - trio.current_time()
                logger.warning("%s failed too often: no jobs for %.1f s", seat.server_id, seconds)
                self._emit(ServerCooling(seat.server_id, seconds))
                self._nursery.start_soon(self._cool_down, seat, seat.breaker.until)
        elif verdict is not Verdict.UNSETTLED:
            seat.breaker = seat.breaker.succeeded()  # it did answer

    @trio.lowlevel.enable_ki_protection
    async def _cool_down(self, seat: Seat, until: float) -> None:
        await trio.sleep_until(until)
        if seat.is_able() and seat.server_id in self.seats:
            self._emit(ServerReady(seat.server_id))
        self.reconsider()

    def _exclude(self, ticket: Ticket, seat: Seat, verdict: Verdict, error: BaseException) -> None:
        here, requirements = frozenset({seat.server_id}), ticket.requirements
        if verdict is Verdict.INCOMPATIBLE:
            ticket.reasons += ((seat.server_id, str(error)),)
            requirements = attrs.evolve(requirements, exclude=requirements.exclude | here)
        elif verdict.may_go_elsewhere:
            requirements = attrs.evolve(requirements, avoid=requirements.avoid | here)
        ticket.requirements = requirements

    def _tell_failure(
        self,
        ticket: Ticket,
        seat: Seat,
        error: BaseException,
        verdict: Verdict,
        *,
        will_retry: bool,
    ) -> None:
        if ticket.cancelled:
            return  # told when it is settled
        if verdict is Verdict.PERSON:
            self._emit(JobInterrupted(ticket.job_id, seat.server_id, by_us=False))
            return
        attempt = len(ticket.past)
        self._emit(JobFailed(ticket.job_id, seat.server_id, attempt, error, will_retry))
        then = "; trying again" if will_retry else ""
        logger.info(
            "job %d failed at %s (%s): %s%s", ticket.job_id, seat.server_id, verdict, error, then
        )

    def _retry(self, ticket: Ticket, *, pause: bool) -> None:
        if not pause or not self._retry_delay:
            self._return(ticket)
            return
        doublings = min(ticket.failures - 1, 64)
        seconds = min(self._retry_delay * 2.0**doublings, MAX_RETRY_DELAY)
        self._move(ticket, PoolJobStatus.PAUSING)
        ticket.pause = trio.CancelScope()
        self._nursery.start_soon(
            self._pause, ticket, ticket.pause, seconds * (1 - RETRY_JITTER * random.random())
        )

    @trio.lowlevel.enable_ki_protection
    async def _pause(self, ticket: Ticket, scope: trio.CancelScope, seconds: float) -> None:
        with scope:
            await trio.sleep(seconds)
        if not ticket.done:
            ticket.pause = None
            self._return(ticket)

    # --- Jobs going out ---------------------------------------------------------------------------

    def cancel(self, ticket: Ticket) -> None:
        """Stop a job. It is settled at once, unless a server has it."""
        if ticket.done or ticket.cancelled:
            return
        ticket.cancelled = True
        if ticket.attempt is not None:
            ticket.attempt.stop(Stop.CANCELLED)
            return
        if ticket.pause is not None:
            ticket.pause.cancel("the job is cancelled")
        elif ticket.entry is not None:
            self._send.withdraw(ticket.entry)
        self._settle_cancelled(ticket, None)

    async def wait_idle(self) -> None:
        """Wait until no job is left."""
        while self.tickets:
            await self._idle.wait()

    def close(self) -> None:
        """Take no more jobs, and stop those that are here."""
        self.closed = True
        self._room.unpark_all()
        for ticket in list(self.tickets.values()):
            self.cancel(ticket)

    def settle_rest(self) -> None:
        """Settle the jobs that are left, because nobody is there any more who would."""
        for ticket in list(self.tickets.values()):
            error = DisconnectedError(
                f"job {ticket.job_id} was not seen to stop before its pool was closed; it may still"
                " run at its server"
            )
            self._settle(ticket, PoolJobStatus.CANCELLED, error=error)

    def _fail_hopeless(self) -> None:
        hopeless: dict[Requirements, bool] = {}
        for ticket in list(self.tickets.values()):
            if ticket.status is not PoolJobStatus.WAITING or ticket.entry is None:
                continue
            requirements = ticket.requirements
            if requirements not in hopeless:
                hopeless[requirements] = self._is_hopeless(requirements)
            if hopeless[requirements]:
                self._send.withdraw(ticket.entry)
                self._settle_if_hopeless(ticket, None)

    def _is_hopeless(self, requirements: Requirements) -> bool:
        """Tell whether none of the pool's servers will ever run it. One may still be added."""
        seats = self.seats.values()
        return bool(seats) and all(seat.obstacle(requirements) for seat in seats)

    def _settle_if_hopeless(self, ticket: Ticket, cause: BaseException | None) -> bool:
        if not self._is_hopeless(ticket.requirements):
            return False
        found = dict(ticket.reasons)
        reasons = {
            server_id: found.get(server_id) or seat.obstacle(ticket.requirements) or ""
            for server_id, seat in self.seats.items()
        }
        listed = "".join(f"\n  {server_id}: {reason}" for server_id, reason in reasons.items())
        error = WorkflowNotSupportedError(
            f"no server of the pool can run job {ticket.job_id}:{listed}", reasons=reasons
        )
        error.__cause__ = cause
        self._settle(ticket, PoolJobStatus.FAILED, error=error)
        return True

    def _settle_cancelled(self, ticket: Ticket, error: BaseException | None) -> None:
        last = ticket.past[-1] if ticket.past else None
        if error is None:
            error = ExecutionInterruptedError(
                f"job {ticket.job_id} was cancelled by this program",
                prompt_id=(last.prompt_id if last else None) or "",
                by_us=True,
            )
        server_id = last.server_id if last else None
        self._emit(JobInterrupted(ticket.job_id, server_id, by_us=True))
        self._settle(ticket, PoolJobStatus.CANCELLED, error=error)

    def _settle(
        self,
        ticket: Ticket,
        status: PoolJobStatus,
        *,
        value: Any = None,
        error: BaseException | None = None,
    ) -> None:
        self._move(ticket, status)
        del self.tickets[ticket.job_id]
        if ticket.profile is not None:
            self.profiles.append(ticket.profile)
        ticket.settle(status, value, error)
        if not self.tickets:
            self._idle.set()
            self._emit(PoolIdle())

    def _move(self, ticket: Ticket, status: PoolJobStatus) -> None:
        if ticket.status is PoolJobStatus.WAITING:
            self._room.unpark()
        self.counts[ticket.status] -= 1
        self.counts[status] += 1
        ticket.status = status
