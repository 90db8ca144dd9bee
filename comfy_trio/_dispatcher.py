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

from ._backoff import backoff
from ._breaker import BreakerState
from ._failover import Verdict
from ._logging import ids, logger
from ._pick import pick
from ._pool_endings import cancellation, failure, interruption, unseen_end, unsupported
from ._pool_events import (
    JobAdded,
    JobReturned,
    JobSucceeded,
    JobsWaiting,
    PoolIdle,
    ServerCooling,
    ServerReady,
)
from ._pool_job import Attempt, PoolJobStatus, Stop, Ticket
from ._profile import Recorder
from ._seat import obstacles
from ._weighted_channel import open_weighted_channel

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from ._pick import PickMode, PickStrategy
    from ._pool_events import JobMilestone, PoolEvent
    from ._profile import JobProfile
    from ._requirements import Requirements
    from ._seat import Seat
    from ._weighted_channel import WeightedReceiveChannel

MAX_RETRY_DELAY: Final = 30.0
"""The longest pause between two attempts, in seconds."""
RETRY_JITTER: Final = 0.3


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
        self._tell(ticket, ticket.attempt.began)

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
        if self._is_hopeless(ticket.requirements):
            self._settle_hopeless(ticket, None)
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
        ending = JobSucceeded(ticket.job_id, seat.server_id, len(ticket.past))
        self._settle(ticket, PoolJobStatus.SUCCEEDED, ending, value=value)
        self.reconsider()

    def give_back(self, attempt: Attempt) -> None:
        """Take back a job whose attempt came to nothing and left nothing."""
        ticket = attempt.ticket
        self._leave(attempt)
        if ticket.cancelled:
            self._settle_cancelled(ticket, None)
        else:
            self.retries += 1
            self._tell(ticket, JobReturned(ticket.job_id, attempt.seat.server_id, len(ticket.past)))
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
        hopeless = verdict is Verdict.INCOMPATIBLE and self._is_hopeless(ticket.requirements)
        retry = retry and not hopeless
        then = "; trying again" if retry else ""
        logger.info(
            "job %d failed at %s (%s): %s%s",
            ticket.job_id,
            seat.server_id,
            verdict,
            error,
            then,
            extra=ids(
                server=seat.server_id, prompt_id=ticket.past[-1].prompt_id, job_id=ticket.job_id
            ),
        )
        if retry:
            self.retries += 1
            self._tell(ticket, failure(ticket, error, will_retry=True))
            self._retry(ticket, pause=verdict.counts)
        elif ticket.cancelled:
            self._settle_cancelled(ticket, error)
        elif hopeless:
            self._settle_hopeless(ticket, error)
        else:
            ending = (
                interruption(ticket, by_us=False)
                if verdict is Verdict.PERSON
                else failure(ticket, error, will_retry=False)
            )
            self._settle(ticket, PoolJobStatus.FAILED, ending, error=error)
        self.reconsider()

    def _leave(self, attempt: Attempt, error: BaseException | None = None) -> None:
        ticket = attempt.ticket
        del attempt.seat.attempts[attempt]
        ticket.attempt = None
        ticket.past = (*ticket.past, attempt.record(error))
        ticket.profile = attempt.profile()

    def _blame(self, seat: Seat, verdict: Verdict) -> None:
        if verdict.blames_server:
            before = seat.breaker_state()
            seat.breaker = seat.breaker.failed(trio.current_time(), random.random())
            if before is not BreakerState.OPEN and seat.breaker_state() is BreakerState.OPEN:
                seconds = seat.breaker.until - trio.current_time()
                logger.warning(
                    "%s failed too often: no jobs for %.1f s",
                    seat.server_id,
                    seconds,
                    extra=ids(server=seat.server_id),
                )
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

    def _retry(self, ticket: Ticket, *, pause: bool) -> None:
        if not pause or not self._retry_delay:
            self._return(ticket)
            return
        seconds = backoff(
            self._retry_delay,
            ticket.failures,
            cap=MAX_RETRY_DELAY,
            jitter=RETRY_JITTER,
            chance=random.random(),
        )
        self._move(ticket, PoolJobStatus.PAUSING)
        ticket.pause = trio.CancelScope()
        self._nursery.start_soon(self._pause, ticket, ticket.pause, seconds)

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
            error = unseen_end(ticket)
            ending = interruption(ticket, by_us=True)
            self._settle(ticket, PoolJobStatus.CANCELLED, ending, error=error)

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
                self._settle_hopeless(ticket, None)

    def _is_hopeless(self, requirements: Requirements) -> bool:
        """Tell whether none of the pool's servers will ever run it. One may still be added."""
        return bool(self.seats) and obstacles(requirements, self.seats.values()) is not None

    def _settle_hopeless(self, ticket: Ticket, cause: BaseException | None) -> None:
        found = obstacles(ticket.requirements, self.seats.values()) or {}
        error = unsupported(ticket, found)
        error.__cause__ = cause
        ending = failure(ticket, error, will_retry=False)
        self._settle(ticket, PoolJobStatus.FAILED, ending, error=error)

    def _settle_cancelled(self, ticket: Ticket, error: BaseException | None) -> None:
        ending = interruption(ticket, by_us=True)
        error = cancellation(ticket) if error is None else error
        self._settle(ticket, PoolJobStatus.CANCELLED, ending, error=error)

    def _settle(
        self,
        ticket: Ticket,
        status: PoolJobStatus,
        ending: JobMilestone,
        *,
        value: Any = None,
        error: BaseException | None = None,
    ) -> None:
        self._move(ticket, status)
        del self.tickets[ticket.job_id]
        ticket.ending = ending
        self._tell(ticket, ending)
        if ticket.profile is not None:
            self.profiles.append(ticket.profile)
        ticket.settle(status, value, error)
        if not self.tickets:
            self._idle.set()
            self._emit(PoolIdle())

    def _tell(self, ticket: Ticket, event: JobMilestone) -> None:
        ticket.tell(event)
        self._emit(event)

    def _move(self, ticket: Ticket, status: PoolJobStatus) -> None:
        if ticket.status is PoolJobStatus.WAITING:
            self._room.unpark()
        self.counts[ticket.status] -= 1
        self.counts[status] += 1
        ticket.status = status
