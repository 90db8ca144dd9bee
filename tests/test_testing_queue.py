from __future__ import annotations

from typing import Any

import pytest

from comfy_trio.testing import _queue
from comfy_trio.testing._queue import PromptQueue, QueueItem, RunRecord

DONE = RunRecord(success=True, messages=[], outputs={}, meta={})


def item(number: float, prompt_id: str = "p", **extra_data: Any) -> QueueItem:
    return QueueItem(number, prompt_id, {"1": {"inputs": {}}}, extra_data, ["1"])


class Announcements:
    def __init__(self) -> None:
        self.count = 0
        self.queue = PromptQueue(self)

    def __call__(self) -> None:
        self.count += 1

    def since(self) -> int:
        count, self.count = self.count, 0
        return count


def test_lowest_number_first_then_by_id() -> None:
    queue = PromptQueue(lambda: None)
    for number, prompt_id in [(2, "a"), (1, "z"), (1, "b"), (-3, "c"), (1.5, "d")]:
        queue.put(item(number, prompt_id))
    order: list[str] = []
    while (got := queue.get()) is not None:
        order.append(got.prompt_id)
        queue.done(DONE)
    assert order == ["c", "b", "z", "d", "a"]
    assert list(queue.history) == order


def test_same_number_and_id_is_the_real_servers_type_error() -> None:
    queue = PromptQueue(lambda: None)
    queue.put(item(1, "same"))
    with pytest.raises(TypeError, match="'dict' and 'dict'"):
        queue.put(item(1, "same"))


def test_what_a_node_does_to_the_graph_does_not_show() -> None:
    queue = PromptQueue(lambda: None)
    queue.put(item(1))
    running = queue.get()
    assert running is not None
    running.prompt["1"]["is_changed"] = 5
    assert queue.running[0].prompt == {"1": {"inputs": {}}}


def test_status_is_announced_as_often_as_by_the_real_server() -> None:
    heard = Announcements()
    queue = heard.queue
    queue.put(item(1, "a"))
    assert heard.since() == 1
    queue.delete("a")
    assert heard.since() == 2  # deleting the only one wipes the queue, and both are announced
    queue.put(item(1, "a"))
    queue.put(item(2, "b"))
    heard.since()
    assert queue.delete("a")
    assert heard.since() == 1
    assert not queue.delete("a")
    assert heard.since() == 0
    queue.clear()
    assert heard.since() == 1
    assert queue.get() is None
    assert heard.since() == 0


def test_secrets_do_not_reach_the_history() -> None:
    queue = PromptQueue(lambda: None)
    queue.put(item(1, "p", api_key_comfy_org="secret", other=1))
    queue.get()
    queue.done(DONE)
    assert queue.history["p"]["prompt"][3] == {"other": 1}


def test_history_pages() -> None:
    queue = PromptQueue(lambda: None)
    for name in "abcde":
        queue.put(item(1, name))
        queue.get()
        queue.done(DONE)

    def page(max_items: int | None, offset: int) -> str:
        return "".join(queue.history_page(max_items, offset))

    assert page(None, -1) == "abcde"
    assert page(2, -1) == "de"
    assert page(9, -1) == "abcde"
    assert page(2, 0) == "ab"
    assert page(2, 4) == "e"
    assert page(None, 3) == "de"
    assert page(0, 0) == "a"  # so does the real one: it looks at the limit after taking an entry


def test_history_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_queue, "MAXIMUM_HISTORY", 2)
    queue = PromptQueue(lambda: None)
    for name in "abcde":
        queue.put(item(1, name))
        queue.get()
        queue.done(DONE)
    assert "".join(queue.history) == "cde"  # one more than the maximum, as in the real server
