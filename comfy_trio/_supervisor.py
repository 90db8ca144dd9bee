"""The jobs of a client: gives each its frames, looks for those that fell silent, and stops them."""

from __future__ import annotations

import itertools
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, final

import trio

from ._backoff import backoff
from ._connection_state import ConnectionState
from ._errors import (
    AuthenticationError,
    ComfyError,
    CredentialsError,
    DisconnectedError,
    ResponseError,
    ServerUnreachableError,
)
from ._logging import logger
from ._lookup import Lookup, place_of
from ._routes._queue import CLEAR_QUEUE, dequeue
from ._settler import MISS_PAUSE, MISSES, PATIENCE, STOP_ATTEMPTS, JobSettler, retry_pause
from ._state import Phase, ServerLost
from ._tracker import JobTracker
from ._wire import (
    Executing,
    ExecutionError,
    ExecutionInterrupted,
    ExecutionStart,
    ExecutionSuccess,
    PreviewImage,
    Progress,
    ProgressText,
    ServerEvent,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from ._connection import Connection
    from ._http import HttpClient
    from ._replies import Request
    from ._routes._hosted import Found
    from ._routes._queue import QueueState
    from ._state import JobPlan
    from ._stopper import Stopper


LOST = (ServerUnreachableError, DisconnectedError, CredentialsError, AuthenticationError)
"""What says, once there is no WebSocket any more, that a server is lost."""
SILENCE = 10.0
"""Seconds without a frame after which a job is looked for in the server's queue."""
MOST_RUNNING = 1000
"""How many jobs are remembered to run, of all clients: a server may not tell of their ends."""
MOST_LOST = 1000
"""How many jobs of lost servers are remembered, to be stopped when the client goes."""
POST_GRACE = 1.0
"""Seconds that a POST under way is given before its job is stopped without waiting for it."""
POST_PATIENCE = 300.0
"""Seconds for the answer to a POST from a server that answers otherwise, and does not know the job:
sending it may take long."""
STOP_PATIENCE = 1.5
"""Seconds that the server is given for stopping a job before it is asked again; from the second
time on that no answer came, twice as long each time."""


@final
class JobSupervisor:
    """All jobs of one client at one server.

    Args:
        http: For what jobs need while they live.
        stopper: For stopping them.
        connection: Where frames of them come from.
    """

    def __init__(self, http: HttpClient, stopper: Stopper, connection: Connection) -> None:
        self._lookup = Lookup(http)
        self._settler = JobSettler(
            http,
            self._lookup,
            connection,
            is_known=lambda prompt_id: prompt_id in self._trackers,
            on_renamed=self._rename,
            on_failure=self._give_up_if_lost,
        )
        self._stopper = stopper
        self._connection = connection
        self._trackers: dict[str, JobTracker] = {}
        self._running: set[str] = set()
        self._lost: dict[str, None] = {}
        """The ids of jobs that ended here only."""
        self._unanswered = 0
        """How often in a row no answer came to the question to stop a job."""
        self._busy = trio.Event()
        self._doubts = trio.Event()

    @property
    def live(self) -> Sequence[JobTracker]:
        """The jobs that are not settled."""
        return tuple(self._trackers.values())

    @property
    def own(self) -> Sequence[JobTracker]:
        """Those of them that this client submitted."""
        return tuple(tracker for tracker in self.live if tracker.state.plan.own)

    def tracker_of(self, prompt_id: str) -> JobTracker | None:
        """Return the tracker of a job that is not settled."""
        return self._trackers.get(prompt_id)

    # --- Frames -----------------------------------------------------------------------------------

    def route(self, event: ServerEvent) -> None:
        """Give a frame to the job that it belongs to; frames of other clients' jobs to none."""
        prompt_id: str | None = getattr(event, "prompt_id", None)
        if prompt_id is not None:
            self._note_running(prompt_id, event)
            tracker = self._trackers.get(prompt_id)
        elif isinstance(event, PreviewImage | ProgressText | Progress) and len(self._running) == 1:
            # These do not tell their prompt, but only one runs. Hosted servers run several at a
            # time, and tell of all: there, nobody knows whose these are.
            (running,) = self._running
            tracker = self._trackers.get(running)
        else:
            return
        if tracker is not None:
            tracker.feed(event)

    def _note_running(self, prompt_id: str, event: ServerEvent) -> None:
        match event:
            case ExecutionStart() | Executing(node=str()):
                if len(self._running) < MOST_RUNNING:
                    self._running.add(prompt_id)
            case ExecutionError(blocked=True):
                pass
            case Executing() | ExecutionSuccess() | ExecutionError() | ExecutionInterrupted():
                self._running.discard(prompt_id)
            case _:
                pass

    def notice_gap(self, reason: str) -> None:
        """Let every job know that the WebSocket was lost."""
        # How strangers' jobs end may be missed now.
        self._running &= self._trackers.keys()
        for tracker in self.live:
            tracker.notice_gap(reason)

    def abandon_all(self, reason: str) -> None:
        """End every job here, whatever becomes of it at the server."""
        for tracker in self.live:
            tracker.feed(ServerLost(reason))

    def doubt_all(self) -> None:
        """Look for every job at once: frames may have been missed."""
        for tracker in self.live:
            tracker.last_heard = -SILENCE
        self._doubts.set()

    # --- The life of a job ------------------------------------------------------------------------

    def register(self, plan: JobPlan) -> JobTracker:
        """Return a tracker that hears of the job from now on, before it is posted."""
        tracker = self._trackers[plan.prompt_id] = JobTracker(plan)
        self._busy.set()
        return tracker

    def take_back(self, tracker: JobTracker) -> None:
        """Let a job hear of itself again that was no longer followed."""
        self._trackers[tracker.prompt_id] = tracker
        self._busy.set()

    @trio.lowlevel.enable_ki_protection
    async def run_job(self, tracker: JobTracker, request: Request, *, follow: bool) -> None:
        """Post a job and bring it to its end. Raises nothing: the tracker tells.

        Args:
            tracker: The job's.
            request: The POST.
            follow: Whether to go on when the server has it; if not, its end is nobody's business
                unless it is to be stopped by then.
        """
        with self._forgetting(tracker):
            try:
                await self._settler.post(tracker, request)
            finally:
                tracker.posted.set()
            if follow or tracker.state.cancelling:
                await self._settler.settle(tracker)
        if follow and tracker.state.unsettled and len(self._lost) < MOST_LOST:
            self._lost[tracker.prompt_id] = None

    @trio.lowlevel.enable_ki_protection
    async def follow_job(self, tracker: JobTracker) -> None:
        """Bring a job to its end that somebody submitted earlier. Raises nothing, as `run_job`."""
        tracker.posted.set()
        tracker.suspect_end()  # what it told before this client heard of it was missed
        with self._forgetting(tracker):
            await self._settler.settle(tracker)

    @contextmanager
    def _forgetting(self, tracker: JobTracker) -> Generator[None]:
        try:
            yield
        finally:
            del self._trackers[tracker.prompt_id]
            self._running.discard(tracker.prompt_id)

    def _rename(self, tracker: JobTracker, sent_id: str) -> None:
        """Take note of the id under which the server tells of a job."""
        self._trackers[tracker.prompt_id] = self._trackers.pop(sent_id)

    async def find(self, prompt_id: str) -> Found:
        """Return where a job is; None if the server does not know it.

        Raises:
            ComfyError: the server cannot be asked.
        """
        for _ in range(MISSES):
            found = await self._lookup.find(prompt_id)
            if found is not None:
                return found
            await trio.sleep(MISS_PAUSE)
        return None

    # --- Silence ----------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def watch(self) -> None:
        """Look for the jobs that fell silent, for as long as the client lives."""
        failures = 0
        while True:
            if not self._trackers:
                self._busy = trio.Event()
                await self._busy.wait()
            with trio.move_on_after(self._time_to_silence()):
                await self._doubts.wait()
            self._doubts = trio.Event()
            silent = [tracker for tracker in self.live if self._is_silent(tracker)]
            if not silent:
                continue
            try:
                queue = await self._lookup.queue()
                await self._find_what_was_posted(silent, queue)
            except ComfyError as error:
                about = self._connection.ids()
                logger.debug("looking for %d silent jobs: %s", len(silent), error, extra=about)
                failures += 1
                self._give_up_if_lost(error)
                if failures >= PATIENCE and isinstance(error, ResponseError):
                    self._suspect_ends(silent)
                await trio.sleep(retry_pause(failures))
                continue
            failures = 0
            self._doubt_the_socket(silent, queue)
            for tracker in silent:
                place = place_of(tracker.prompt_id, queue)
                if place is not None:
                    tracker.feed(place)
                elif tracker.state.phase is not Phase.SUBMITTED:
                    tracker.suspect_end()
                tracker.last_heard = trio.current_time()

    def _suspect_ends(self, trackers: Sequence[JobTracker]) -> None:
        for tracker in trackers:
            if tracker.state.phase is not Phase.SUBMITTED:
                tracker.suspect_end()

    def _doubt_the_socket(self, silent: Sequence[JobTracker], queue: QueueState) -> None:
        running = [tracker for tracker in silent if queue.is_running(tracker.prompt_id)]
        if running:
            # Pictures that are sent while the sockets change would be lost.
            fragile = any(tracker.awaits_pictures for tracker in running)
            self._connection.suspect(spare_first=fragile)

    async def _find_what_was_posted(
        self, trackers: Sequence[JobTracker], queue: QueueState
    ) -> None:
        """Look for the end of jobs whose POST may never be answered.

        To find none means nothing, but after so long that no POST is under way any more.
        """
        for tracker in trackers:
            if (
                tracker.state.phase is Phase.SUBMITTED
                and place_of(tracker.prompt_id, queue) is None
            ):
                entry = await self._lookup.history(tracker.prompt_id)
                if entry is not None:
                    tracker.feed(entry)
                elif trio.current_time() - tracker.began >= POST_PATIENCE:
                    tracker.posting.cancel("the server answers, but not to this")

    def _is_silent(self, tracker: JobTracker) -> bool:
        followed = tracker.state.phase in (Phase.SUBMITTED, Phase.PENDING, Phase.RUNNING)
        return followed and tracker.last_heard + SILENCE <= trio.current_time()

    def _time_to_silence(self) -> float:
        heard = min((tracker.last_heard for tracker in self.live), default=trio.current_time())
        return max(heard + SILENCE - trio.current_time(), retry_pause(0))

    def _give_up_if_lost(self, error: ComfyError) -> None:
        if self._connection.state is not ConnectionState.FAILED:
            return
        if isinstance(error, LOST):
            self.abandon_all(str(error))

    # --- Stopping ---------------------------------------------------------------------------------

    async def stop(self, *trackers: JobTracker, attempts: float = math.inf) -> None:
        """Stop jobs at the server, and return when they are over. The caller sets a bound.

        Nobody else's job is touched; see `Stopper`.

        Args:
            trackers: The jobs.
            attempts: How often the server may fail to be reached.

        Raises:
            ComfyError: the server cannot be asked to.
        """
        stopping = [tracker for tracker in trackers if not tracker.ended.is_set()]
        for tracker in stopping:
            tracker.mark_cancelling()
        await trio.lowlevel.checkpoint()
        # A POST under way is better waited for than raced against.
        with trio.move_on_after(POST_GRACE):
            for tracker in stopping:
                await tracker.accepted.wait()
        for attempt in itertools.count():
            stopping = [tracker for tracker in stopping if not tracker.ended.is_set()]
            if not stopping:
                break
            await self._try_to_cancel([each.prompt_id for each in stopping], attempt, attempts)
            with trio.move_on_after(retry_pause(attempt)):
                for tracker in stopping:
                    await tracker.ended.wait()
        lost = [tracker for tracker in trackers if tracker.state.unsettled]
        may_come = any(tracker.accepted_at == math.inf for tracker in lost)
        await self._stop_lost([tracker.prompt_id for tracker in lost], may_come=may_come)

    async def stop_all(self) -> None:
        """Stop all jobs of this client; see `stop`."""
        await self.stop(*self.own)
        await self._stop_lost([*self._lost])

    async def _stop_lost(self, prompt_ids: Sequence[str], *, may_come: bool = False) -> None:
        """Ask for the end of jobs that ended here because their server was lost: it may be back.

        Args:
            prompt_ids: The jobs.
            may_come: Whether one may still be on its way to the server.
        """
        for attempt in range(STOP_ATTEMPTS if prompt_ids else 0):
            found = await self._try_to_cancel(prompt_ids, attempt, STOP_ATTEMPTS)
            if found or (found is False and not may_come):
                break
            await trio.sleep(retry_pause(attempt))
        for prompt_id in prompt_ids:
            self._lost.pop(prompt_id, None)

    async def _try_to_cancel(
        self, prompt_ids: Sequence[str], attempt: int, attempts: float
    ) -> bool | None:
        """Ask for the end of jobs, and tell whether there were any; None if no answer came.

        To ask again is harmless.

        Args:
            prompt_ids: The jobs.
            attempt: Which attempt this is, counted from 0.
            attempts: How often the server may fail to be reached.

        Raises:
            ComfyError: it could not, and this was the last attempt, or the server refuses.
        """
        try:
            # Some replies never come, and some servers are slow.
            with trio.move_on_after(backoff(STOP_PATIENCE, max(1, self._unanswered))):
                found = await self.cancel(prompt_ids)
                self._unanswered = 0
                return found
            self._unanswered += 1
        except (ServerUnreachableError, DisconnectedError, ResponseError) as error:
            # A proxy may stumble for a moment; what the server itself refuses, it refuses.
            refused = isinstance(error, ResponseError) and error.status < 500
            if refused or attempt + 1 >= attempts:
                raise
        return None

    async def cancel(self, prompt_ids: Sequence[str]) -> bool:
        """Ask the server to stop jobs, whoever's they are; see `Stopper.cancel`."""
        with self._stopping(self._ours(prompt_ids)):
            return await self._stopper.cancel(prompt_ids)

    async def interrupt(self, prompt_id: str) -> bool:
        """Ask the server to stop a job if it runs, whoever's it is; see `Stopper.interrupt`."""
        ours = [each for each in self._ours([prompt_id]) if not each.state.cancelling]
        with self._stopping(ours):
            interrupted = await self._stopper.interrupt(prompt_id)
        if not interrupted:  # whoever stops it later, it is not this call
            for tracker in ours:
                tracker.mark_cancelling(cancelling=False)
        return interrupted

    async def dequeue(self, prompt_ids: Sequence[str] | None) -> None:
        """Take jobs out of the server's queue that wait there, whoever's they are.

        Args:
            prompt_ids: Which; None for all.

        Raises:
            ComfyError: the server cannot be asked to.
        """
        ours = self.live if prompt_ids is None else self._ours(prompt_ids)
        waiting = (Phase.SUBMITTED, Phase.PENDING)
        with self._stopping([tracker for tracker in ours if tracker.state.phase in waiting]):
            await self._stopper.ask(CLEAR_QUEUE if prompt_ids is None else dequeue(prompt_ids))

    def _ours(self, prompt_ids: Sequence[str]) -> Sequence[JobTracker]:
        return [self._trackers[each] for each in prompt_ids if each in self._trackers]

    @contextmanager
    def _stopping(self, trackers: Sequence[JobTracker]) -> Generator[None]:
        """Let this client's own jobs know that it asks for their end, and look for them then."""
        for tracker in trackers:
            tracker.mark_cancelling()
        yield
        for tracker in trackers:
            tracker.suspect_end()
