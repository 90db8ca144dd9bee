"""Brings every job to its end: posts it, finds out how it ended, and stops it if asked to.

The WebSocket only hints; HTTP decides. A job that seems over is read from the history; one that
fell silent is looked for in the queue first and then in the history, because a prompt moves from
the one to the other and could be missed the other way round. What is in neither, twice, is gone.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING, final

import trio

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
from ._routes._history import HistoryEntry, history_of, read_history_entry
from ._routes._hosted import history_v2_of, read_history_v2, read_job_outcome
from ._routes._jobs import is_unknown, job_request
from ._routes._prompt import read_prompt_reply
from ._routes._queue import CLEAR_QUEUE, QUEUE, QueueState, dequeue, read_queue
from ._state import Gone, Phase, Refused, SeenPending, SeenRunning, ServerLost
from ._tracker import RECORD_GRACE, JobTracker
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
    from ._replies import Reply, Request
    from ._routes._hosted import Found
    from ._routes._prompt import Accepted
    from ._state import JobPlan
    from ._stopper import Stopper


LOST = (ServerUnreachableError, DisconnectedError, CredentialsError, AuthenticationError)
"""What says, once there is no WebSocket any more, that a server is lost."""
SILENCE = 10.0
"""Seconds without a frame after which a job is looked for in the server's queue."""
MISSES = 2
"""How often a job must be found nowhere to be gone: it may be on its way from queue to history."""
MISS_PAUSE = 0.2
ATTEMPTS = 4
"""How often a server that cannot be reached is asked where a job is, or to stop it."""
PATIENCE = 20
"""How often in a row, in some two minutes, a server may answer with something else than asked."""
PICTURE_PATIENCE = 300.0
"""Seconds that pictures on their way are waited for: a large one may be long on a slow network."""
POST_GRACE = 1.0
"""Seconds that a POST under way is given before its job is stopped without waiting for it."""
LONGEST_REPLY = 60.0
"""Seconds after which a question to the server is asked again, because no reply may ever come: from
a host that was switched off, nothing does. Twice as long each time, lest a slow one be cut off."""
PAUSES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds between attempts at the same thing; the last one repeats."""


def _pause(attempt: int) -> float:
    return PAUSES[min(attempt, len(PAUSES) - 1)]


@final
class JobSupervisor:
    """All jobs of one client at one server.

    Args:
        http: For what jobs need while they live.
        stopper: For stopping them.
        connection: Where frames of them come from.
    """

    def __init__(self, http: HttpClient, stopper: Stopper, connection: Connection) -> None:
        self._http = http
        self._stopper = stopper
        self._connection = connection
        self._trackers: dict[str, JobTracker] = {}
        self._running: set[str] = set()
        self._busy = trio.Event()
        self._doubts = trio.Event()
        self._has_history = True

    @property
    def live(self) -> Sequence[JobTracker]:
        """The jobs that are not settled."""
        return tuple(self._trackers.values())

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

    @trio.lowlevel.enable_ki_protection
    async def run_job(self, tracker: JobTracker, request: Request, *, follow: bool) -> None:
        """Post a job and bring it to its end. Raises nothing: the tracker tells.

        Args:
            tracker: The job's.
            request: The POST.
            follow: Whether to go on when the server has it; if not, its end is nobody's business
                unless it is to be stopped by then.
        """
        try:
            try:
                await self._post(tracker, request)
            finally:
                tracker.posted.set()
            if follow or tracker.state.cancelling:
                await self._settle(tracker)
                await self._exchange_if_deaf(tracker)
        finally:
            del self._trackers[tracker.prompt_id]
            self._running.discard(tracker.prompt_id)

    async def _post(self, tracker: JobTracker, request: Request) -> None:
        try:
            with tracker.posting:
                reply = await self._http.request(request)
                self._accept(tracker, read_prompt_reply(reply, tracker.state.plan.prompt))
        except DisconnectedError as error:
            await self._settle_post(tracker, error)
        except ResponseError as error:
            # Of a proxy's 502 or 504 nobody knows whether the server behind it has the job.
            if error.status < 500:
                tracker.feed(Refused(error))
            else:
                await self._settle_post(tracker, error)
        except ComfyError as error:
            tracker.feed(Refused(error))

    def _accept(self, tracker: JobTracker, accepted: Accepted) -> None:
        sent_id = tracker.prompt_id
        tracker.feed(accepted)
        if tracker.prompt_id != sent_id:
            self._trackers[tracker.prompt_id] = self._trackers.pop(sent_id)
            tracker.notice_gap("the server told too late under which id it sends them")
            tracker.suspect_end()

    async def _settle_post(self, tracker: JobTracker, error: ComfyError) -> None:
        """Find out whether the server has the job, by its id; never by posting again."""
        misses = failures = in_vain = 0
        while tracker.state.phase is Phase.SUBMITTED:
            try:
                found = await self._look_up(tracker, failures)
            except ComfyError as lookup_error:
                logger.debug("looking for job %s: %s", tracker.prompt_id, lookup_error)
                failures += 1
                # A server that is away is waited for, for as long as its WebSocket is.
                away = self._connection.state is not ConnectionState.CONNECTED
                in_vain += not away or isinstance(lookup_error, ResponseError | CredentialsError)
            else:
                misses += 1
                if found is not None:
                    tracker.feed(found)
                    return
            if misses >= ATTEMPTS:
                tracker.feed(Refused(error))
                return
            lost = self._connection.state is ConnectionState.FAILED
            if in_vain >= PATIENCE or (failures and lost):
                tracker.feed(Refused(error, unsettled=True))
                return
            await trio.sleep(_pause(misses + failures))

    async def _settle(self, tracker: JobTracker) -> None:
        misses = failures = 0
        while not tracker.ended.is_set():
            await tracker.wait_for_end_signs()
            if tracker.ended.is_set():
                return
            try:
                recorded = tracker.state.phase is Phase.RECORDED
                ask = self._read_history if recorded else self._look_up
                found = await ask(tracker, failures)
            except ComfyError as error:
                logger.debug("looking for job %s: %s", tracker.prompt_id, error)
                failures += 1
                self._give_up_if_lost(error)
                if failures >= PATIENCE and isinstance(error, ResponseError | CredentialsError):
                    self._settle_without_history(tracker, error)
                await trio.sleep(_pause(failures))
                continue
            failures = 0
            if found is not None:
                misses = 0
                tracker.suspect = False
                if isinstance(found, HistoryEntry):
                    await self._wait_for_pictures(tracker)
                tracker.feed(found)
                if not tracker.ended.is_set():
                    await trio.sleep(MISS_PAUSE)
            elif (misses := misses + 1) >= MISSES or tracker.state.cancelling:
                tracker.feed(Gone(dequeued=tracker.state.cancelling))
            else:
                await trio.sleep(MISS_PAUSE)

    async def _wait_for_pictures(self, tracker: JobTracker) -> None:
        """Let pictures arrive that are on their way while the history tells of the job's end.

        They are in no history, and the larger they are, the longer they take, in silence.
        """
        if not tracker.awaits_pictures:
            return
        with trio.move_on_after(PICTURE_PATIENCE):
            await self._connection.catch_up()
            with trio.move_on_after(RECORD_GRACE):
                await tracker.wait_for_last_frames()
        if tracker.awaits_pictures:
            reason = tracker.state.gap or "the WebSocket told nothing of its end"
            tracker.notice_gap(reason)

    async def _exchange_if_deaf(self, tracker: JobTracker) -> None:
        """Exchange the socket if it told nothing at all during a job that was accepted on it."""
        began = tracker.began
        if tracker.state.gap is not None or tracker.state.refused:
            return
        if self._connection.heard_since(began):
            return
        with trio.move_on_after(RECORD_GRACE):
            await self._connection.catch_up()
        if not self._connection.heard_since(began) and tracker.state.gap is None:
            self._connection.exchange(f"no event came while job {tracker.prompt_id} ran")

    def _settle_without_history(
        self, tracker: JobTracker, error: ResponseError | CredentialsError
    ) -> None:
        """End a job whose server answers, but will not tell how it ended, by what frames told."""
        if tracker.state.phase in (Phase.ENDING, Phase.RECORDED):
            tracker.feed(Gone(dequeued=tracker.state.cancelling))
        else:
            tracker.feed(ServerLost(str(error)))

    async def _read_history(self, tracker: JobTracker, failures: int) -> Found:
        prompt_id = tracker.prompt_id
        if self._has_history:
            reply = await self._ask(history_of(prompt_id), failures)
            if reply.status not in {404, 405}:
                return read_history_entry(reply, prompt_id)
        reply = await self._ask(job_request(prompt_id), failures)
        if reply.status not in {404, 405} or is_unknown(reply):
            found = read_job_outcome(reply, prompt_id)
            self._has_history = False
            return found
        reply = await self._ask(history_v2_of(prompt_id), failures)
        return read_history_v2(reply, prompt_id)

    async def _look_up(self, tracker: JobTracker, failures: int) -> Found:
        queue = read_queue(await self._ask(QUEUE, failures))
        return _place_of(tracker, queue) or await self._read_history(tracker, failures)

    async def _ask(self, request: Request, failures: int) -> Reply:
        """Send a GET, which changes nothing if it is sent again, and wait for no reply for ever."""
        with trio.move_on_after(LONGEST_REPLY * 2.0 ** min(failures, PATIENCE)):
            return await self._http.request(request)
        raise DisconnectedError(f"no reply came to {request.method} {request.path}")

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
                queue = read_queue(await self._ask(QUEUE, failures))
                await self._find_what_was_posted(silent, queue, failures)
            except ComfyError as error:
                logger.debug("looking for %d silent jobs: %s", len(silent), error)
                failures += 1
                self._give_up_if_lost(error)
                await trio.sleep(_pause(failures))
                continue
            failures = 0
            self._doubt_the_socket(silent, queue)
            for tracker in silent:
                place = _place_of(tracker, queue)
                if place is not None:
                    tracker.feed(place)
                elif tracker.state.phase is not Phase.SUBMITTED:
                    tracker.suspect_end()
                tracker.last_heard = trio.current_time()

    def _doubt_the_socket(self, silent: Sequence[JobTracker], queue: QueueState) -> None:
        running = [tracker for tracker in silent if queue.is_running(tracker.prompt_id)]
        if running:
            # Pictures that are sent while the sockets change would be lost.
            fragile = any(tracker.awaits_pictures for tracker in running)
            self._connection.suspect(spare_first=fragile)

    async def _find_what_was_posted(
        self, trackers: Sequence[JobTracker], queue: QueueState, failures: int
    ) -> None:
        """Look for the end of jobs whose POST may never be answered. To find none means nothing."""
        for tracker in trackers:
            if tracker.state.phase is Phase.SUBMITTED and _place_of(tracker, queue) is None:
                entry = await self._read_history(tracker, failures)
                if entry is not None:
                    tracker.feed(entry)

    def _is_silent(self, tracker: JobTracker) -> bool:
        followed = tracker.state.phase in (Phase.SUBMITTED, Phase.PENDING, Phase.RUNNING)
        return followed and tracker.last_heard + SILENCE <= trio.current_time()

    def _time_to_silence(self) -> float:
        heard = min((tracker.last_heard for tracker in self.live), default=trio.current_time())
        return max(heard + SILENCE - trio.current_time(), PAUSES[0])

    def _give_up_if_lost(self, error: ComfyError) -> None:
        if self._connection.state is not ConnectionState.FAILED:
            return
        if isinstance(error, LOST):
            self.abandon_all(str(error))

    # --- Stopping ---------------------------------------------------------------------------------

    async def stop(self, *trackers: JobTracker) -> None:
        """Stop jobs at the server, and return when they are over. The caller sets a bound.

        Nobody else's job is touched; see `Stopper`.

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
            try:
                await self.cancel([tracker.prompt_id for tracker in stopping])
            except (ServerUnreachableError, DisconnectedError):
                if attempt >= ATTEMPTS:
                    raise
            with trio.move_on_after(_pause(attempt)):
                for tracker in stopping:
                    await tracker.ended.wait()

    async def cancel(self, prompt_ids: Sequence[str]) -> bool:
        """Ask the server to stop jobs, whoever's they are; see `Stopper.cancel`."""
        with self._stopping(self._ours(prompt_ids)):
            return await self._stopper.cancel(prompt_ids)

    async def interrupt(self, prompt_id: str) -> bool:
        """Ask the server to stop a job if it runs, whoever's it is; see `Stopper.interrupt`."""
        ours = [each for each in self._ours([prompt_id]) if not each.state.cancelling]
        with self._stopping(ours):
            interrupted = await self._stopper.interrupt(prompt_id)
        if not interrupted:
            for tracker in ours:
                tracker.mark_cancelling(
                    cancelling=False
                )  # whoever stops it later, it is not this call
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


def _place_of(tracker: JobTracker, queue: QueueState) -> SeenPending | SeenRunning | None:
    if queue.is_running(tracker.prompt_id):
        return SeenRunning()
    return SeenPending() if queue.is_pending(tracker.prompt_id) else None
