"""``/queue``, as read and as asked for on the embedded server."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio
from bad_replies import BAD_REPLIES, bad_reply, reply

from comfy_trio import (
    Comfy,
    DisconnectedError,
    ExecutionInterruptedError,
    ResponseError,
    WentMissingError,
    open_comfy,
)
from comfy_trio._replies import QUEUE_LENGTH, read_queue_length
from comfy_trio._routes._queue import read_queue
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer

VERSIONS = ["0.3.45", "0.3.56", "0.3.64", "0.6.0", "0.9.0", "0.27.0"]

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
    for read in (read_queue, read_queue_length):
        with pytest.raises(error, match="http://h:8188/api/x"):
            read(bad)


@pytest.mark.parametrize("body", [{}, {"exec_info": {}}, {"exec_info": {"queue_remaining": "3"}}])
def test_what_is_no_length_of_a_queue(body: object) -> None:
    assert read_queue_length(reply({"exec_info": {"queue_remaining": 3}})) == 3
    assert QUEUE_LENGTH.path == "/api/prompt"
    with pytest.raises(ResponseError, match="answered with the length of the queue"):
        read_queue_length(reply(body))


# --- On a server ----------------------------------------------------------------------------------


@asynccontextmanager
async def open_two(version: str) -> AsyncGenerator[tuple[EmbeddedServer, Comfy, Comfy]]:
    """Open a server and two clients of it: ours, and a stranger's."""
    async with open_embedded_server(version=version) as server:
        async with (
            open_comfy(server.url, transport=server.transport) as comfy,
            open_comfy(server.url, transport=server.transport) as stranger,
        ):
            yield server, comfy, stranger


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_state_of_a_queue(autojump_clock: MockClock, version: str) -> None:
    async with open_two(version) as (_, comfy, stranger):
        state = await comfy.queue.state()
        assert (state.running, state.pending) == ((), ())
        assert await comfy.queue.remaining() == 0
        running = await stranger.queue.submit(prompts.slow())
        pending = [await each.queue.submit(prompts.image()) for each in (comfy, stranger) * 6]
        state = await comfy.queue.state()
        assert [entry.prompt_id for entry in state.running] == [running.prompt_id]
        assert [entry.prompt_id for entry in state.pending] == [job.prompt_id for job in pending]
        assert state.running[0].outputs == ("9",)
        assert state.running[0].prompt["1"]["class_type"] == "EmptyImage"
        assert state.pending[0].extra_data["client_id"] == comfy.client_id
        assert await comfy.queue.remaining() == 13


@pytest.mark.parametrize("version", VERSIONS)
async def test_cancelling_what_waits(autojump_clock: MockClock, version: str) -> None:
    async with open_two(version) as (_, comfy, stranger):
        running = await comfy.queue.submit(prompts.slow())
        ours = [await comfy.queue.submit(prompts.image()) for _ in range(4)]
        theirs = [await stranger.submit(prompts.image()) for _ in range(2)]
        gone = [job.prompt_id for job in ours[:3]]
        await comfy.queue.cancel(*gone, gone[0], running.prompt_id, "unknown", "a/b")
        state = await comfy.queue.state()
        assert state.is_running(running.prompt_id)
        left = [ours[3].prompt_id, *(job.prompt_id for job in theirs)]
        assert [entry.prompt_id for entry in state.pending] == left
        await comfy.queue.cancel()
        for job in theirs:
            assert (await job.wait())["9"]
        for prompt_id in gone:
            assert await comfy.jobs.info(prompt_id) is None


@pytest.mark.parametrize("version", VERSIONS)
async def test_clearing(autojump_clock: MockClock, version: str) -> None:
    async with open_two(version) as (server, comfy, stranger):
        running = await stranger.submit(prompts.slow())
        ours = await comfy.submit(prompts.image())
        theirs = await stranger.submit(prompts.image())
        await trio.sleep(0.5)
        await comfy.queue.clear()
        assert server.statistics().pending == 0
        with pytest.raises(ExecutionInterruptedError, match="cancelled by this client") as caught:
            await ours.wait()
        assert caught.value.by_us
        with pytest.raises(WentMissingError):
            await theirs.wait()
        assert (await running.wait())["9"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_job_of_ones_own_knows_who_took_it_out(
    autojump_clock: MockClock, version: str
) -> None:
    async with open_two(version) as (_, comfy, _stranger):
        running = await comfy.submit(prompts.slow())
        pending = await comfy.submit(prompts.image())
        await trio.sleep(0.5)
        await comfy.queue.cancel(running.prompt_id, pending.prompt_id)
        start = trio.current_time()
        with pytest.raises(ExecutionInterruptedError) as caught:
            await pending.wait()
        assert caught.value.by_us
        assert trio.current_time() - start < 1
        assert not running.done
        assert await comfy.queue.interrupt(running.prompt_id)
        with pytest.raises(ExecutionInterruptedError) as caught:
            await running.wait()
        assert caught.value.by_us


@pytest.mark.parametrize("version", VERSIONS)
async def test_interrupting_by_id_harms_no_stranger(
    autojump_clock: MockClock, version: str
) -> None:
    async with open_two(version) as (_, comfy, stranger):
        theirs = await stranger.submit(prompts.slow())
        ours = await comfy.submit(prompts.slow(60))
        over = await comfy.history.page()
        assert over == ()
        await trio.sleep(0.5)
        for prompt_id in (ours.prompt_id, "unknown", "a/b", ""):
            assert await comfy.queue.interrupt(prompt_id) is False
        assert not theirs.done
        assert (await comfy.queue.state()).is_pending(ours.prompt_id)
        assert (await theirs.wait())["9"]
        assert await comfy.queue.interrupt(theirs.prompt_id) is False
        await trio.sleep(0.5)
        assert await stranger.queue.interrupt(ours.prompt_id) is True
        with pytest.raises(ExecutionInterruptedError) as caught:
            await ours.wait()
        assert not caught.value.by_us


@pytest.mark.parametrize("version", VERSIONS)
async def test_interrupting_whatever_runs(autojump_clock: MockClock, version: str) -> None:
    async with open_two(version) as (_, comfy, stranger):
        await comfy.queue.interrupt_whatever_runs()  # nothing runs
        theirs = await stranger.submit(prompts.slow())
        await trio.sleep(0.5)
        await comfy.queue.interrupt_whatever_runs()
        with pytest.raises(ExecutionInterruptedError):
            await theirs.wait()


async def test_a_route_that_is_lacking_is_asked_for_once(autojump_clock: MockClock) -> None:
    async with open_embedded_server(version="0.25.0") as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            for _ in range(3):
                job = await comfy.queue.submit(prompts.slow())
                await trio.sleep(0.5)
                assert await comfy.queue.interrupt(job.prompt_id)
                await trio.sleep(0.5)
                assert not await comfy.jobs.cancel(job.prompt_id)
            assert server.statistics().requests["unknown"] == 1
            server.faults.drop_sockets()
            await trio.sleep(5)
            for _ in range(3):
                assert not await comfy.jobs.cancel("unknown")
            assert server.statistics().requests["unknown"] == 2


async def test_a_server_in_a_bad_mood_is_asked_in_the_old_way(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    job = await comfy.queue.submit(prompts.slow())
    await trio.sleep(0.5)
    server.faults.answer("POST /jobs/cancel", 503)
    assert await comfy.jobs.cancel(job.prompt_id)
    await trio.sleep(0.5)
    assert await comfy.jobs.status(job.prompt_id) == "cancelled"
    assert server.statistics().requests["POST /interrupt"] == 1
    await comfy.jobs.cancel(job.prompt_id)
    assert server.statistics().requests["POST /jobs/cancel"] == 2


@pytest.mark.parametrize("status", [401, 500])
async def test_refusals_and_broken_connections(
    status: int, autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.answer("*", status, times=10)
    with pytest.raises(ResponseError, match=f"HTTP status {status}"):
        await comfy.queue.cancel("a")
    with pytest.raises(ResponseError, match=f"HTTP status {status}"):
        await comfy.queue.clear()
    with pytest.raises(ResponseError, match=f"HTTP status {status}"):
        await comfy.queue.interrupt("a")
    with pytest.raises(ResponseError, match=f"HTTP status {status}"):
        await comfy.queue.interrupt_whatever_runs()
    with pytest.raises(ResponseError, match=f"HTTP status {status}"):
        await comfy.jobs.cancel("a")
    server.faults.clear()
    server.faults.break_connection("POST /queue")
    with pytest.raises(DisconnectedError):
        await comfy.queue.cancel("a")
