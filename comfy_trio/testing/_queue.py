"""The queue of prompts, and the history of those that are over."""

from __future__ import annotations

import copy
import heapq
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfy_trio._util import JSONObject

MAXIMUM_HISTORY: Final = 10_000
"""As in the real server: past it, the oldest entry goes."""

SECRET_KEYS: Final = ("auth_token_comfy_org", "api_key_comfy_org")
"""Keys of ``extra_data`` that never reach the history."""


@attrs.frozen(eq=False)
class QueueItem:
    """One accepted prompt.

    Args:
        number: Its place in the queue: lower goes first.
        prompt_id: The id, which also orders prompts of equal number.
        prompt: The validated graph.
        extra_data: What came with it, without secrets if the version hides them.
        outputs: The output nodes to run.
        secrets: The secrets that were taken out of `extra_data`.
    """

    number: int | float
    prompt_id: str
    prompt: JSONObject
    extra_data: JSONObject
    outputs: list[str]
    secrets: JSONObject = attrs.field(factory=dict[str, Any])

    def __lt__(self, other: QueueItem) -> bool:
        mine, its = (self.number, self.prompt_id), (other.number, other.prompt_id)
        if mine == its:
            # The real server compares the next elements of two tuples, which are dicts.
            raise TypeError("'<' not supported between instances of 'dict' and 'dict'")
        return mine < its

    def as_json(self) -> list[Any]:
        """The five elements that `/queue` and `/history` show."""
        return [self.number, self.prompt_id, self.prompt, self.extra_data, self.outputs]


@attrs.frozen
class RunRecord:
    """How the execution of a prompt ended.

    Args:
        success: Whether it ended without error or interruption.
        messages: ``[event, data]`` of its milestones.
        outputs: ui by node id.
        meta: By node id, which node of the prompt that ui belongs to.
    """

    success: bool
    messages: list[list[Any]]
    outputs: JSONObject
    meta: JSONObject


class PromptQueue:
    """Pending and running prompts, and the history.

    Args:
        changed: Called after every change that the real server announces with a ``status`` frame,
            as often as the real one announces it.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self.pending: list[QueueItem] = []
        """In heap order, which is how `/queue` shows them."""
        self.running: list[QueueItem] = []
        self.history: dict[str, JSONObject] = {}
        """Entries by prompt id, in the order of completion."""

    def remaining(self) -> int:
        """How many prompts are pending or running."""
        return len(self.pending) + len(self.running)

    def put(self, item: QueueItem) -> None:
        """Add a prompt."""
        heapq.heappush(self.pending, item)
        self._changed()

    def get(self) -> QueueItem | None:
        """Make the first pending prompt the running one; None if there is none."""
        if not self.pending:
            return None
        item = heapq.heappop(self.pending)
        # What the nodes do to the graph must not show in the queue and in history.
        self.running.append(copy.deepcopy(item))
        self._changed()
        return item

    def done(self, record: RunRecord) -> None:
        """Move the running prompt into the history, atomically."""
        item = self.running.pop()
        if len(self.history) > MAXIMUM_HISTORY:
            del self.history[next(iter(self.history))]
        extra_data = {k: v for k, v in item.extra_data.items() if k not in SECRET_KEYS}
        self.history[item.prompt_id] = {
            "prompt": attrs.evolve(item, extra_data=extra_data).as_json(),
            "outputs": record.outputs,
            "status": {
                "status_str": "success" if record.success else "error",
                "completed": record.success,
                "messages": record.messages,
            },
            "meta": record.meta,
        }
        self._changed()

    def is_running(self, prompt_id: str) -> bool:
        """Whether that prompt is being executed now."""
        return any(item.prompt_id == prompt_id for item in self.running)

    def delete(self, prompt_id: str) -> bool:
        """Remove the first pending prompt of that id; False if there is none."""
        for position, item in enumerate(self.pending):
            if item.prompt_id == prompt_id:
                if len(self.pending) == 1:
                    self.clear()  # announces it too: the real server sends `status` twice
                else:
                    del self.pending[position]
                    heapq.heapify(self.pending)
                self._changed()
                return True
        return False

    def clear(self) -> None:
        """Remove all pending prompts."""
        self.pending.clear()
        self._changed()

    def history_page(self, max_items: int | None, offset: int) -> dict[str, JSONObject]:
        """Entries in order of completion.

        Args:
            max_items: How many at most; all if None.
            offset: Where to start; negative for the last `max_items`.
        """
        if offset < 0 and max_items is not None:
            offset = len(self.history) - max_items
        start = max(offset, 0)
        page: dict[str, JSONObject] = {}
        for key in list(self.history)[start:]:
            page[key] = self.history[key]
            if max_items is not None and len(page) >= max_items:
                break
        return page
