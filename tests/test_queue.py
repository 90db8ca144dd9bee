"""``/queue``, as read and as asked for on the embedded server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bad_replies import BAD_REPLIES, bad_reply, reply

from comfy_trio import ResponseError
from comfy_trio._routes._queue import read_queue

REPLIES = Path(__file__).parent / "fixtures" / "replies"

KEY = "comfyui-0123"


def test_the_queue_is_put_in_its_true_order() -> None:
    body: dict[str, Any] = {
        "queue_running": [[5, "r", {}, {}, []]],
        "queue_pending": [[7, "c", {}, {}, []], [9, "d"], [-2.5, "a"], [7, "b", {}]],
    }
    queue = read_queue(reply(body))
    assert [entry.prompt_id for entry in queue.running] == ["r"]
    assert [entry.prompt_id for entry in queue.pending] == ["a", "b", "c", "d"]
    assert [entry.number for entry in queue.pending] == [-2.5, 7, 7, 9]
    assert [each in queue for each in ("r", "d", "x", None)] == [True, True, False, False]
    assert queue.is_running("r")
    assert not queue.is_pending("r")


@pytest.mark.parametrize("version", ["0.3.64", "0.27.0"])
def test_a_recorded_queue(version: str) -> None:
    body = json.loads((REPLIES / version / "queue.json").read_text())
    queue = read_queue(reply(body))
    (running,), (pending,) = queue.running, queue.pending
    for entry, raw in ((running, body["queue_running"][0]), (pending, body["queue_pending"][0])):
        assert entry.raw == raw
        assert [entry.number, entry.prompt_id, entry.prompt, entry.extra_data] == raw[:4]
        assert entry.outputs == ("9",)
        assert entry.extra_data["client_id"] == "fixtures"


def test_keys_of_paid_services_are_hidden() -> None:
    secrets = {"api_key_comfy_org": KEY, "auth_token_comfy_org": KEY}
    item: list[Any] = [
        1,
        "a",
        {"1": {"inputs": {}}},
        {"client_id": "me", **secrets},
        ["9"],
        secrets,
    ]
    queue = read_queue(reply({"queue_running": [item], "queue_pending": [item]}))
    for entry in (*queue.running, *queue.pending):
        assert entry.extra_data == {"client_id": "me"}
        assert KEY not in f"{entry!r} {entry.raw!r}"
        assert entry.raw == [1, "a", {"1": {"inputs": {}}}, {"client_id": "me"}, ["9"]]
    with pytest.raises(ResponseError) as caught:
        read_queue(reply({"queue_running": [item, 3], "queue_pending": []}))
    assert KEY not in f"{caught.value} {caught.value.reply!r}"


NO_QUEUES: list[Any] = [
    {},
    [],
    {"queue_running": 3, "queue_pending": []},
    {"queue_running": [[]], "queue_pending": []},
    {"queue_running": [], "queue_pending": [["1", "a"]]},
    {"queue_running": [], "queue_pending": [[1, 2]]},
    {"queue_running": [], "queue_pending": [{"0": 1}]},
]


@pytest.mark.parametrize("body", NO_QUEUES)
def test_what_is_no_queue(body: object) -> None:
    with pytest.raises(ResponseError, match="should have been answered with the queue"):
        read_queue(reply(body))


@pytest.mark.parametrize("name", BAD_REPLIES)
def test_bad_replies(name: str) -> None:
    bad, error = bad_reply(name)
    with pytest.raises(error, match="http://host/api/x"):
        read_queue(bad)
