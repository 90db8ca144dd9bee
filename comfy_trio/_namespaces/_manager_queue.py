"""The tasks of ComfyUI-Manager: how they are queued, worked off, and what becomes of them."""

from __future__ import annotations

import uuid
from collections import deque
from typing import TYPE_CHECKING

import attrs
import trio

from .._connection_state import ConnectionState
from .._errors import DisconnectedError, ForbiddenError, ResponseError, UnsupportedError
from .._routes._manager import (
    queue_news,
    read_history,
    read_queue_status,
    read_refused,
    read_started,
    settle,
)
from .._routes._manager_protocol import ManagerGeneration
from .._routes._manager_values import ManagerTaskResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._mailbox import Mailbox
    from .._replies import Reply
    from .._routes._manager_protocol import ManagerProtocol, ManagerTask
    from .._routes._manager_values import ManagerQueueStatus
    from .._session import Session
    from .._wire import ServerEvent
    from ._probe import Probe

POLL = 1.0
"""Seconds between two looks at the queue, whose messages may be lost."""
HISTORY = 10_000
"""Results that Manager 4 keeps."""
REFUSED = "refused: Manager's security level forbids it, or Manager does not know it"
"""All that is known of a task that a batch refuses."""


def new_task_id() -> str:
    """Return an id for a task."""
    return str(uuid.uuid4())


class ManagerQueue:
    """The queue of one server's ComfyUI-Manager.

    Args:
        session: Who asks.
        protocol: How to ask.
    """

    def __init__(self, session: Session, protocol: Probe[ManagerProtocol]) -> None:
        self._session = session
        self._protocol = protocol
        self._batch: list[ManagerTask] = []
        """What waits here because it takes a batch."""
        self._queued: deque[str] = deque(maxlen=HISTORY)
        """The tasks of this client since the queue was run."""

    async def add(self, task: ManagerTask) -> str:
        """Queue a task; return its id."""
        request = (await self._protocol.answer()).queue_task(task)
        if request is None:
            self._batch.append(task)
        else:
            action = task.kind.replace("_", " a ")
            what = task.pack or task.model.get("name") or task.model.get("filename")
            settle(await self._session.http.request(request), f"{action} {what!r}")
        return self.note(task.task_id)

    def note(self, task_id: str) -> str:
        """Remember a task that was queued; return its id."""
        self._queued.append(task_id)
        return task_id

    async def status(self) -> ManagerQueueStatus:
        """Return how far the queue is."""
        request = (await self._protocol.answer()).read("/manager/queue/status")
        status = read_queue_status(await self._session.http.request(request))
        return attrs.evolve(status, pending=status.pending + len(self._batch))

    async def reset(self) -> None:
        """Drop what waits."""
        request = (await self._protocol.answer()).act("/manager/queue/reset")
        settle(await self._session.http.request(request), "reset its queue")
        self._batch.clear()
        self._queued.clear()

    async def history(self) -> dict[str, ManagerTaskResult]:
        """Return what became of the tasks since the server's start."""
        protocol = await self._protocol.answer()
        reply = await self._session.http.request(protocol.read("/manager/queue/history"))
        if protocol.generation is ManagerGeneration.BATCHES and reply.status == 400:
            raise UnsupportedError(
                "ComfyUI-Manager with its old interface keeps only a file of each batch of tasks",
                reply.summary(),
            )
        return read_history(reply)

    async def start(self) -> bool:
        """Start the queue. Returns False if it was at work already."""
        if not self._batch:
            return await self._start_work()
        refused, reply = await self._send_batch()
        if refused:
            raise ForbiddenError(
                "ComfyUI-Manager does the rest, but of the tasks that it was given these are"
                f" {REFUSED}: {', '.join(refused)}",
                reply.summary(),
            )
        return True

    async def _start_work(self) -> bool:
        request = (await self._protocol.answer()).act("/manager/queue/start")
        return read_started(await self._session.http.request(request))

    async def _send_batch(self) -> tuple[list[str], Reply]:
        """Queue what waits here, and start the queue; return the tasks that are refused."""
        batch = self._batch.copy()
        request = (await self._protocol.answer()).queue_batch(batch)
        reply = await self._session.http.request(request)
        names = read_refused(reply)
        self._batch = self._batch[len(batch) :]
        return [task.task_id for task in batch if task.batch_id in names], reply

    async def run(self) -> dict[str, ManagerTaskResult]:
        """Start the queue, wait until it is worked off, and return what became of the tasks."""
        events = self._session.subscribe()
        reconnections = self._session.reconnections
        results: dict[str, ManagerTaskResult] = {}
        if self._batch:
            for task_id in (await self._send_batch())[0]:
                results[task_id] = ManagerTaskResult(task_id, ok=False, message=REFUSED)
        else:
            await self._start_work()
        idle = over = False
        while True:
            with trio.move_on_after(POLL):
                if await _read_news(events, results):
                    over = True
                else:  # no more events come
                    await trio.sleep_forever()
            was_idle, idle = idle, not (await self.status()).at_work
            # The last task is told of after the queue has become idle.
            if idle and (over or was_idle):
                break
        connected = self._session.connection.state is ConnectionState.CONNECTED
        lost = not connected or self._session.reconnections != reconnections
        results |= await self._results_missed(results, over=over, lost=lost)
        self._queued.clear()
        return results

    async def _results_missed(
        self, results: Mapping[str, ManagerTaskResult], *, over: bool, lost: bool
    ) -> Mapping[str, ManagerTaskResult]:
        """Return what became of this client's tasks while nobody listened."""
        generation = (await self._protocol.answer()).generation
        if generation is ManagerGeneration.TASKS:
            queued = set(self._queued)
            if not lost and queued <= {_whole(task_id) for task_id in results}:
                return {}
            try:
                history = await self.history()
            except ResponseError:  # versions before 4.2 stumble over it
                history = {}
            found = {k: result for k, result in history.items() if _whole(k) in queued}
            if found or not lost:
                return found
        if not lost or (over and generation is ManagerGeneration.QUEUE):
            return {}  # version 3 tells of all tasks in the end
        raise DisconnectedError(
            "ComfyUI-Manager's queue is worked off, but what became of the tasks it told while the"
            " WebSocket was away, and cannot be asked for again. See what is installed now, and the"
            " server's log"
        )


def _whole(task_id: str) -> str:
    """The task of which another is a part: an update of all packs is one for each of them."""
    return task_id.partition("_")[0]


async def _read_news(events: Mailbox[ServerEvent], results: dict[str, ManagerTaskResult]) -> bool:
    """Note results until the queue is said to be worked off; return False if events end before."""
    async for event in events.subscription():
        news = queue_news(event)
        if news is not None:
            results.update(news.results)
            if news.over:
                return True
    return False
