"""Brings one job to its end: gives it to the server, and finds out how it ended.

The WebSocket only hints; HTTP decides. A job that seems over is read from the history; one that
fell silent is looked for in the queue first and then in the history. What is in neither, twice, is
gone.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

import attrs
import trio

from ._connection_state import ConnectionState
from ._disappearance import explain_disappearance
from ._errors import ComfyError, CredentialsError, DisconnectedError, ResponseError
from ._logging import logger
from ._routes._history import HistoryEntry
from ._routes._prompt import read_prompt_reply
from ._state import Gone, Phase, Refused, ServerLost
from ._tracker import RECORD_GRACE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._connection import Connection
    from ._http import HttpClient
    from ._lookup import Lookup
    from ._replies import Request
    from ._routes._prompt import Accepted
    from ._tracker import JobTracker

MISSES: Final = 2
"""How often a job must be found nowhere to be gone: it may be on its way from queue to history."""
MISS_PAUSE: Final = 0.2
LISTENING: Final = 2.0
"""Seconds in which a server may tell anything at all, when a job is gone that did not begin."""
ATTEMPTS: Final = 4
"""How often a job whose POST failed must be found nowhere to have never come to be."""
STOP_ATTEMPTS: Final = 5
"""How often a server that cannot be reached is asked to stop a job, unless there is a bound."""
PATIENCE: Final = 20
"""How often in a row, in some two minutes, a server may answer with something else than asked."""
PICTURE_PATIENCE: Final = 300.0
"""Seconds that pictures on their way are waited for: a large one may be long on a slow network."""
PAUSES: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds between attempts at the same thing; the last one repeats."""


def retry_pause(attempt: int) -> float:
    """Return the seconds before another attempt at the same thing, counted from 0."""
    return PAUSES[min(attempt, len(PAUSES) - 1)]


@final
class JobSettler:
    """Settles the jobs of one client.

    Args:
        http: For the POST.
        lookup: Where else to ask.
        connection: Where frames come from.
        is_known: Tells whether there is a job of that id.
        on_renamed: Called with a job that the server gave another id, and the one that was sent.
        on_failure: Called with each error that looking for a job came to.
    """

    def __init__(
        self,
        http: HttpClient,
        lookup: Lookup,
        connection: Connection,
        *,
        is_known: Callable[[str | None], bool],
        on_renamed: Callable[[JobTracker, str], None],
        on_failure: Callable[[ComfyError], None],
    ) -> None:
        self._http = http
        self._lookup = lookup
        self._connection = connection
        self._is_known = is_known
        self._on_renamed = on_renamed
        self._on_failure = on_failure
        self._in_history: str | None = None
        """A job that the history held when it was last looked at."""

    async def post(self, tracker: JobTracker, request: Request) -> None:
        """Give a job to the server. Raises nothing: the tracker tells."""
        tracker.witness = self._in_history
        try:
            with tracker.posting:
                reply = await self._http.request(request)
                self._accept(tracker, read_prompt_reply(reply, tracker.state.plan.prompt))
            if tracker.posting.cancelled_caught and tracker.state.phase is Phase.SUBMITTED:
                error = DisconnectedError(f"no reply came to {request.method} {request.path}")
                await self._settle_post(tracker, error)
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
        if accepted.assigned_id != sent_id and self._is_known(accepted.assigned_id):
            accepted = attrs.evolve(accepted, assigned_id=None)  # that is another job's
        tracker.feed(accepted)
        if tracker.prompt_id != sent_id:
            self._on_renamed(tracker, sent_id)
            tracker.notice_gap("the server told too late under which id it sends them")
            tracker.suspect_end()

    async def _settle_post(self, tracker: JobTracker, error: ComfyError) -> None:
        """Find out whether the server has the job, by its id; never by posting again."""
        misses = failures = in_vain = 0
        while tracker.state.phase is Phase.SUBMITTED:
            try:
                found = await self._lookup.find(tracker.prompt_id)
            except ComfyError as lookup_error:
                self._log(tracker, lookup_error)
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
                if not isinstance(error, DisconnectedError):  # a proxy's, of which nothing follows
                    text = f"nobody knows whether the server took job {tracker.prompt_id}: {error}"
                    error = DisconnectedError(text, prompt_id=tracker.prompt_id)
                tracker.feed(Refused(error, unsettled=True))
                return
            await trio.sleep(retry_pause(misses + failures))

    def _log(self, tracker: JobTracker, error: ComfyError) -> None:
        about = self._connection.ids(tracker.prompt_id)
        logger.debug("looking for job %s: %s", tracker.prompt_id, error, extra=about)

    async def settle(self, tracker: JobTracker) -> None:
        """Wait until a job is over, and find out how it ended. Raises nothing, likewise."""
        await self._settle(tracker)
        await self._exchange_if_deaf(tracker)

    async def _settle(self, tracker: JobTracker) -> None:
        misses = failures = too_early = 0
        missed_at = math.inf
        while not tracker.ended.is_set():
            await tracker.wait_for_end_signs()
            if tracker.ended.is_set():
                return
            # That its history is written is only a hint: what is not there may still run.
            recorded = tracker.state.phase is Phase.RECORDED and not misses + too_early
            try:
                ask = self._lookup.history if recorded else self._lookup.find
                found = await ask(tracker.prompt_id)
            except ComfyError as error:
                self._log(tracker, error)
                failures += 1
                self._on_failure(error)
                if failures >= PATIENCE and isinstance(error, ResponseError | CredentialsError):
                    self._settle_without_history(tracker, error)
                await trio.sleep(retry_pause(failures))
                continue
            failures = 0
            if found is not None:
                misses = 0
                tracker.suspect = False
                if isinstance(found, HistoryEntry):
                    self._in_history = tracker.prompt_id
                    await self._wait_for_pictures(tracker)
                tracker.feed(found)
                if not tracker.ended.is_set():
                    told_to_be_over = tracker.state.phase in (Phase.ENDING, Phase.RECORDED)
                    too_early = too_early + 1 if told_to_be_over else 0
                    await trio.sleep(max(MISS_PAUSE, retry_pause(too_early)))
                continue
            misses += 1
            if misses == 1:
                missed_at = trio.current_time()
            if misses >= MISSES or (tracker.state.cancelling and not recorded):
                await self._give_up_missing(tracker, missed_at)
            else:
                await trio.sleep(MISS_PAUSE)

    async def _give_up_missing(self, tracker: JobTracker, missed_at: float) -> None:
        """End a job of which the server knows nothing, and tell why, as far as it tells.

        Args:
            tracker: The job's.
            missed_at: When it was first not found.
        """
        began = tracker.state.phase not in (Phase.SUBMITTED, Phase.PENDING)
        if tracker.state.cancelling and not began:
            tracker.feed(Gone(dequeued=True))
            return
        keeps_history: bool | None = None
        if tracker.witness is not None:
            with suppress(ComfyError):
                keeps_history = await self._lookup.history(tracker.witness) is not None
        connection, since = self._connection, tracker.began
        # A host that was switched off and on again took nothing back on its socket.
        alive = await connection.probe() and connection.heard_since(since)
        undisturbed = alive and tracker.state.gap is None
        # The socket may have gone deaf before the job began: only what came after both proves that
        # the beginning would have been told.
        if undisturbed and not began and tracker.state.plan.own:
            with trio.move_on_after(LISTENING):
                await connection.wait_heard(missed_at)
        deaf = not tracker.state.plan.own or not connection.heard_since(missed_at)
        how = explain_disappearance(
            began=None if deaf and not began else began,
            undisturbed=undisturbed,
            refused=connection.refused_since(tracker.accepted_at),
            keeps_history=keeps_history,
        )
        tracker.feed(Gone(how=how))

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
