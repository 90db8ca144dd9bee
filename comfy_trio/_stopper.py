"""Stopping jobs at a server by their ids, whoever's they are; and never any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from ._learned import Learned
from ._replies import raise_for_status
from ._routes._jobs import cancel, is_unknown, read_cancelled
from ._routes._queue import QUEUE, dequeue, interrupt, read_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._http import HttpClient
    from ._replies import Request
    from ._routes._queue import QueueState


@final
class Stopper:
    """Asks one server to stop jobs, in the way that its version has for it.

    Args:
        http: Connections of its own, so that stopping never waits behind other requests.
        reconnections: Tells how often the connection was brought back.
    """

    def __init__(self, http: HttpClient, reconnections: Callable[[], int]) -> None:
        self._http = http
        self._cancels_at_once: Learned[bool] = Learned(reconnections)

    async def cancel(self, prompt_ids: Sequence[str]) -> bool:
        """Take jobs out of the queue if they wait, interrupt them if they run.

        Returns:
            Whether there was any to cancel.

        Raises:
            ComfyError: the server cannot be asked to.
        """
        cancelled = await self._cancel_at_once(prompt_ids)
        if cancelled is not None:
            return cancelled
        before = after = await self._queue()
        waiting = [prompt_id for prompt_id in prompt_ids if before.is_pending(prompt_id)]
        if waiting:
            await self.ask(dequeue(waiting))
            after = await self._queue()  # one of them may have begun before it was taken out
        for prompt_id in prompt_ids:
            if after.is_running(prompt_id) and _runs_alone(after, prompt_ids):
                await self.ask(interrupt(prompt_id))
        return any(prompt_id in before for prompt_id in prompt_ids)

    async def interrupt(self, prompt_id: str) -> bool:
        """Interrupt a job if it runs.

        Servers before 0.3.57 heed no id, and interrupt whatever runs: so they are asked only while
        the queue shows that it is this one. Comfy Cloud's interrupt stops all that an account runs.

        Returns:
            Whether it ran. False, too, if it cannot be stopped without others that run beside it.

        Raises:
            ComfyError: the server cannot be asked to.
        """
        queue = await self._queue()
        if not queue.is_running(prompt_id):
            return False
        cancelled = await self._cancel_at_once([prompt_id])
        if cancelled is not None:
            return cancelled
        alone = _runs_alone(queue, [prompt_id])
        if alone:
            await self.ask(interrupt(prompt_id))
        return alone

    async def ask(self, request: Request) -> None:
        """Ask for something that has no answer.

        Raises:
            ComfyError: the server cannot be asked, or refuses.
        """
        raise_for_status(await self._http.request(request))

    async def _queue(self) -> QueueState:
        return read_queue(await self._http.request(QUEUE))

    async def _cancel_at_once(self, prompt_ids: Sequence[str]) -> bool | None:
        """Cancel jobs in one step, as servers since 0.26 can; None if this one does not."""
        if self._cancels_at_once.value is False:
            return None
        asked = self._cancels_at_once.moment
        reply = await self._http.request(cancel(prompt_ids))
        if reply.status in {404, 405} and not is_unknown(reply):
            self._cancels_at_once.learn(False, asked)
        # They refuse all ids together if one is of no form that they know; the older ways do not.
        return read_cancelled(reply) if reply.status == 200 else None


def _runs_alone(queue: QueueState, prompt_ids: Sequence[str]) -> bool:
    """Whether no other jobs run: ComfyUI runs one at a time, hosted servers run several."""
    return all(entry.prompt_id in prompt_ids for entry in queue.running)
