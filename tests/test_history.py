"""``/history``, as read and as asked for on the embedded server."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bad_replies import BAD_REPLIES, bad_reply, reply

from comfy_trio import ResponseError, wire
from comfy_trio._routes._history import (
    HistoryEntry,
    history_of,
    history_page,
    read_history,
    read_history_entry,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfy_trio._replies import Reply

REPLIES = Path(__file__).parent / "fixtures" / "replies"

KEY = "comfyui-0123"


def entry(**status: Any) -> dict[str, Any]:
    return {"p": {"prompt": [], "outputs": {"9": {"text": ["x"]}, "8": None}, "status": status}}


def read(body: object) -> HistoryEntry:
    found = read_history_entry(reply(body), "p")
    assert found is not None
    assert read_history(reply(body)) == (found,)
    return found


def test_requests() -> None:
    assert history_of("a/b").path == "/api/history/a%2Fb"
    assert history_page().params == ()
    assert history_page(3).params == (("max_items", "3"),)
    assert history_page(3, 0).params == (("max_items", "3"), ("offset", "0"))
    assert history_page(offset=-1).params == (("offset", "-1"),)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        history_page(0)


def test_a_history_that_is_not_there() -> None:
    assert read_history_entry(reply({}), "p") is None
    assert read_history(reply({})) == ()


def test_a_history_without_status() -> None:
    found = read({"p": {"outputs": {}, "status": None}})
    assert found == HistoryEntry(prompt_id="p")
    assert (found.status, found.duration) == ("completed", None)


def test_the_last_word_of_the_messages_counts() -> None:
    messages = [
        ["execution_start", {"prompt_id": "p", "timestamp": 0}],
        ["execution_cached", {"nodes": ["1"], "prompt_id": "p", "timestamp": 1}],
        ["execution_success", {"prompt_id": "p", "timestamp": 1500}],
    ]
    found = read(entry(status_str="error", messages=messages))
    assert found.outputs == {"9": {"text": ["x"]}}
    assert found.failure is None
    assert (found.cached, found.status) == (frozenset({"1"}), "completed")
    assert found.started == datetime(1970, 1, 1, tzinfo=UTC)
    assert found.duration == 1.5
    failed = [*messages[:2], ["execution_interrupted", {"node_id": "3", "timestamp": 0}]]
    found = read(entry(status_str="success", messages=failed))
    assert found.failure == wire.ExecutionInterrupted("p", "3", timestamp=0)
    assert (found.status, found.duration) == ("cancelled", 0)


def test_an_error_of_which_no_message_tells() -> None:
    found = read(entry(status_str="error", messages=[]))
    assert isinstance(found.failure, wire.ExecutionError)
    assert found.failure.node_id is None
    assert found.status == "failed"


@pytest.mark.parametrize("timestamp", [None, 1e300, -1e300])
def test_times_that_are_none(timestamp: object) -> None:
    messages = [
        ["execution_start", {"timestamp": timestamp}],
        ["execution_success", {"timestamp": 3}],
    ]
    found = read(entry(status_str="success", messages=messages))
    assert (found.started, found.duration) == (None, None)
    assert found.ended == datetime(1970, 1, 1, 0, 0, 0, 3000, tzinfo=UTC)


@pytest.mark.parametrize("version", ["0.3.64", "0.27.0"])
def test_a_recorded_history(version: str) -> None:
    body = json.loads((REPLIES / version / "history.json").read_text())
    entries = read_history(reply(body))
    assert [each.prompt_id for each in entries] == list(body)
    assert [each.status for each in entries] == ["completed", "failed", "cancelled"]
    assert [each.raw for each in entries] == list(body.values())
    done, failed, interrupted = entries
    for each in entries:
        raw = body[each.prompt_id]["prompt"]
        assert [each.number, each.prompt_id, each.prompt, each.extra_data] == raw[:4]
        assert each.output_nodes == ("9",)
        assert each.duration is not None
        assert 0 <= each.duration < 1
        assert each == read_history_entry(reply(body), each.prompt_id)
    assert done.outputs["9"]["images"]
    assert isinstance(failed.failure, wire.ExecutionError)
    assert failed.failure.node_type == "SaveImage"
    assert isinstance(interrupted.failure, wire.ExecutionInterrupted)


def test_keys_of_paid_services_are_hidden() -> None:
    item = [1, "p", {}, {"api_key_comfy_org": KEY}, ["9"]]
    data = {"prompt_id": "p", "current_inputs": {"comfy_api_key": [KEY]}}
    status = {"status_str": "error", "messages": [["execution_error", data]]}
    found = read({"p": {"prompt": item, "outputs": {}, "status": status}})
    assert KEY not in f"{found!r} {found.failure!r} {found.extra_data!r}"


READERS: list[Callable[[Reply], object]] = [
    read_history,
    partial(read_history_entry, prompt_id="p"),
]

NO_HISTORIES: list[Any] = [
    {"p": 3},
    {"p": {"status": {"messages": [3]}}},
    {"p": {"status": {"messages": [["execution_error", {"node_id": 3}]]}}},
    {"p": {"status": {"messages": [["execution_error", {"timestamp": "then"}]]}}},
]


@pytest.mark.parametrize("body", NO_HISTORIES)
def test_what_is_no_history(body: object) -> None:
    for read_one in READERS:
        with pytest.raises(ResponseError, match="should have been answered with a job's history"):
            read_one(reply(body))


@pytest.mark.parametrize("name", BAD_REPLIES)
def test_bad_replies(name: str) -> None:
    bad, error = bad_reply(name)
    for read_one in READERS:
        with pytest.raises(error, match="http://host/api/x"):
            read_one(bad)
