"""``/history``, as read and as asked for on the embedded server."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio
from bad_replies import BAD_REPLIES, bad_reply, reply

from comfy_trio import Comfy, ExecutionFailedError, ResponseError, open_comfy, wire
from comfy_trio._routes._history import (
    HistoryEntry,
    history_of,
    history_page,
    read_history,
    read_history_entry,
)
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from comfy_trio._replies import Reply
    from comfy_trio.testing import EmbeddedServer

VERSIONS = ["0.3.45", "0.3.56", "0.3.64", "0.6.0", "0.9.0", "0.27.0"]

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
        with pytest.raises(error, match="http://h:8188/api/x"):
            read_one(bad)


# --- On a server ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
async def test_entries(autojump_clock: MockClock, version: str) -> None:
    async with open_embedded_server(version=version) as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            job = await comfy.submit(prompts.slow(5), number=2.5)
            assert await comfy.history.entry(job.prompt_id) is None
            result = await job.wait()
            entry = await comfy.history.entry(job.prompt_id)
            assert entry is not None
            assert (entry.prompt_id, entry.number) == (job.prompt_id, 2.5)
            assert (entry.outputs, entry.output_nodes) == (result.nodes, ("9",))
            assert (entry.status, entry.failure) == ("completed", None)
            assert entry.prompt["3"]["class_type"] == "ProbeProgress"
            assert entry.extra_data["client_id"] == comfy.client_id
            assert entry.duration == pytest.approx(0.5, abs=0.1)
            assert entry.raw["status"]["completed"] is True
            assert await comfy.history.entry("unknown") is None
            with pytest.raises(ExecutionFailedError):
                await comfy.run(prompts.failing("no"))
            failed = (await comfy.history.page(1))[0]
            assert failed.status == "failed"
            assert isinstance(failed.failure, wire.ExecutionError)
            assert failed.failure.exception_message.strip() == "no"
            interrupted = await comfy.queue.submit(prompts.slow())
            await trio.sleep(0.5)
            await comfy.queue.interrupt(interrupted.prompt_id)
            await trio.sleep(0.5)
            entry = await comfy.history.entry(interrupted.prompt_id)
            assert entry is not None
            assert entry.status == "cancelled"
            assert isinstance(entry.failure, wire.ExecutionInterrupted)
            assert entry.failure.node_id == "3"


@pytest.mark.parametrize("version", VERSIONS)
async def test_pages_and_deletion(autojump_clock: MockClock, version: str) -> None:
    async with open_embedded_server(version=version) as server:
        async with (
            open_comfy(server.url, transport=server.transport) as comfy,
            open_comfy(server.url, transport=server.transport) as stranger,
        ):
            ids = [
                (await each.run(prompts.image())).prompt_id
                for each in (comfy, stranger, comfy, stranger, comfy)
            ]

            async def page(max_items: int | None = None, offset: int | None = None) -> list[str]:
                entries = await comfy.history.page(max_items, offset=offset)
                return [entry.prompt_id for entry in entries]

            assert await page() == ids
            assert await page(2) == ids[-2:]
            assert await page(2, -1) == ids[-2:]
            assert await page(9) == ids
            assert await page(2, 0) == ids[:2]
            assert await page(2, 2) == ids[2:4]
            assert await page(2, 4) == ids[4:]
            assert await page(2, 5) == []
            assert await page(offset=3) == ids[3:]
            await comfy.history.delete(ids[0], ids[2], ids[2], "unknown")
            assert await page() == [ids[1], ids[3], ids[4]]
            await comfy.history.delete()
            await comfy.history.clear()
            assert await page() == []
            assert (await stranger.run(prompts.image()))["9"]


async def test_deleting_the_history_harms_no_job_that_runs(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    job = await comfy.submit(prompts.slow(5))
    await comfy.history.delete(job.prompt_id)
    await comfy.history.clear()
    assert (await job.wait())["9"]


async def test_refusals(autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer) -> None:
    server.faults.answer("*", 500, times=4)
    with pytest.raises(ResponseError, match=r"GET .*/api/history/a was answered with .* 500"):
        await comfy.history.entry("a")
    with pytest.raises(ResponseError, match=r"GET .*/api/history.* was answered with .* 500"):
        await comfy.history.page(2)
    with pytest.raises(ResponseError, match=r"POST .*/api/history was answered with .* 500"):
        await comfy.history.delete("a")
    with pytest.raises(ResponseError, match=r"POST .*/api/history was answered with .* 500"):
        await comfy.history.clear()
