"""``/queue``: what runs and what waits."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import attrs

from .._replies import get, post, require_object, unexpected
from .._util import is_list
from ._record import read_item, safe_item

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._replies import Reply, Request
    from .._util import JSONObject

QUEUE: Final = get("/queue")
CLEAR_QUEUE: Final = post("/queue", {"clear": True})
INTERRUPT: Final = post("/interrupt", {})
"""Has whatever runs interrupted."""


def dequeue(prompt_ids: Iterable[str]) -> Request:
    """Return the request that takes pending jobs out of the queue; it leaves running ones alone."""
    return post("/queue", {"delete": [*prompt_ids]})


def interrupt(prompt_id: str) -> Request:
    """Return the request to interrupt a job. Servers before 0.3.57 interrupt any job upon it."""
    return post("/interrupt", {"prompt_id": prompt_id})


@attrs.frozen(kw_only=True)
class QueueEntry:
    """A job that the server runs, or will.

    Args:
        prompt_id: The job.
        number: Its place in the queue: lower runs earlier.
        prompt: The graph that runs.
        extra_data: What was sent along, without the keys of paid services.
        outputs: The ids of the output nodes to run.
        raw: The server's entry, without those keys.
    """

    prompt_id: str
    number: float
    prompt: JSONObject = attrs.field(repr=False)
    extra_data: JSONObject = attrs.field(repr=False)
    outputs: tuple[str, ...]
    raw: list[Any] = attrs.field(repr=False, eq=False)


@attrs.frozen
class QueueState:
    """The server's queue at one moment; ``prompt_id in state`` tells whether a job is in it.

    Args:
        running: The jobs that run; ComfyUI runs one at a time.
        pending: The jobs that wait, in the order in which they will run.
    """

    running: tuple[QueueEntry, ...]
    pending: tuple[QueueEntry, ...]

    def __contains__(self, prompt_id: object) -> bool:
        return self.is_running(prompt_id) or self.is_pending(prompt_id)

    def is_running(self, prompt_id: object) -> bool:
        """Tell whether a job runs."""
        return any(entry.prompt_id == prompt_id for entry in self.running)

    def is_pending(self, prompt_id: object) -> bool:
        """Tell whether a job waits."""
        return any(entry.prompt_id == prompt_id for entry in self.pending)


def read_queue(reply: Reply) -> QueueState:
    """Read the reply to GET /queue. Pending prompts come in heap order, and are sorted here.

    Raises:
        ResponseError: it is something else.
    """
    body = require_object(reply, "the queue")
    try:
        running = tuple(map(_read_entry, body["queue_running"]))
        pending = tuple(map(_read_entry, body["queue_pending"]))
    except (KeyError, TypeError, ValueError):
        raise unexpected(reply, "the queue") from None
    # Equal numbers are ordered by id: the server's heap holds tuples (number, id, ...).
    return QueueState(running, tuple(sorted(pending, key=attrgetter("number", "prompt_id"))))


def _read_entry(value: object) -> QueueEntry:
    item = read_item(value)
    if item.number is None or item.prompt_id is None or not is_list(value):
        raise ValueError("no entry of a queue")
    return QueueEntry(
        prompt_id=item.prompt_id,
        number=item.number,
        prompt=item.prompt,
        extra_data=item.extra_data,
        outputs=item.outputs,
        raw=safe_item(value),
    )
