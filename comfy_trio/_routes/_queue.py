"""``/queue``: what runs and what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from .._replies import get, require_object, unexpected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._replies import Reply

QUEUE: Final = get("/queue")


@attrs.frozen
class QueueSnapshot:
    """The server's queue at one moment.

    Args:
        running: Ids of the prompts that run.
        pending: Ids of the prompts that wait, the next one first.
    """

    running: tuple[str, ...]
    pending: tuple[str, ...]

    def __contains__(self, prompt_id: object) -> bool:
        return prompt_id in self.running or prompt_id in self.pending


def read_queue(reply: Reply) -> QueueSnapshot:
    """Read the reply to GET /queue. Pending prompts come in heap order, and are sorted here.

    Raises:
        ResponseError: it is something else.
    """
    body = require_object(reply, "the queue")
    try:
        running = _queue_items(body["queue_running"])
        pending = _queue_items(body["queue_pending"])
    except (KeyError, TypeError, ValueError, IndexError):
        raise unexpected(reply, "the queue") from None
    # Equal numbers are ordered by id: the server's heap holds tuples (number, id, ...).
    return QueueSnapshot(
        tuple(prompt_id for _, prompt_id in running),
        tuple(prompt_id for _, prompt_id in sorted(pending)),
    )


def _queue_items(items: Sequence[Sequence[Any]]) -> list[tuple[float, str]]:
    return [(float(item[0]), str(item[1])) for item in items]
