"""Where a job is, as the server tells over HTTP.

The queue is asked first and then the history, because a prompt moves from the one to the other and
could be missed the other way round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import trio

from ._backoff import backoff
from ._errors import DisconnectedError, ResponseError
from ._routes._history import history_of, read_history_entry
from ._routes._hosted import history_v2_of, read_history_v2, read_job_outcome
from ._routes._jobs import is_unknown, job_request
from ._routes._queue import QUEUE, read_queue
from ._state import SeenPending, SeenRunning
from ._util import raise_saving_context

if TYPE_CHECKING:
    from ._http import HttpClient
    from ._replies import Reply, Request
    from ._routes._hosted import Found
    from ._routes._queue import QueueState

LONGEST_REPLY: Final = 60.0
"""Seconds after which a question to the server is asked again, because no reply may ever come: from
a host that was switched off, nothing does. Twice as long each time, lest a slow one be cut off."""
MAX_PATIENCE: Final = 3600.0
"""The longest of these times."""


@final
class Lookup:
    """Looks for jobs at one server.

    Every question may be asked again, as it changes nothing.

    Args:
        http: Where to ask.
    """

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._has_history = True
        self._unanswered = 0
        """How often in a row no reply came."""

    async def find(self, prompt_id: str) -> Found:
        """Return where a job is; None if it is nowhere, or is moving.

        A queue that cannot be read hides nothing that the history tells.

        Raises:
            ComfyError: the server cannot be asked.
        """
        place: Found = None
        unreadable: ResponseError | None = None
        try:
            place = place_of(prompt_id, await self.queue())
        except ResponseError as error:
            unreadable = error
        found = place or await self.history(prompt_id)
        if found is None and unreadable is not None:
            raise_saving_context(unreadable)
        return found

    async def queue(self) -> QueueState:
        """Return what runs and what waits.

        Raises:
            ComfyError: the server cannot be asked.
        """
        return read_queue(await self._ask(QUEUE))

    async def history(self, prompt_id: str) -> Found:
        """Return how a job ended; None if it did not, or the server does not know it.

        Raises:
            ComfyError: the server cannot be asked.
        """
        if self._has_history:
            reply = await self._ask(history_of(prompt_id))
            if reply.status not in {404, 405}:
                return read_history_entry(reply, prompt_id)
        reply = await self._ask(job_request(prompt_id))
        if reply.status not in {404, 405} or is_unknown(reply):
            found = read_job_outcome(reply, prompt_id)
            self._has_history = False
            return found
        reply = await self._ask(history_v2_of(prompt_id))
        return read_history_v2(reply, prompt_id)

    async def _ask(self, request: Request) -> Reply:
        """Wait for no reply for ever."""
        with trio.move_on_after(backoff(LONGEST_REPLY, self._unanswered + 1, cap=MAX_PATIENCE)):
            reply = await self._http.request(request)
            self._unanswered = 0
            return reply
        self._unanswered += 1
        raise DisconnectedError(f"no reply came to {request.method} {request.path}")


def place_of(prompt_id: str, queue: QueueState) -> SeenPending | SeenRunning | None:
    """Return where in the queue a job is; None if it is not there."""
    for entry in queue.running:
        if entry.prompt_id == prompt_id:
            return SeenRunning(entry)
    for entry in queue.pending:
        if entry.prompt_id == prompt_id:
            return SeenPending(entry)
    return None
