"""The embedded server's log: what the real server writes, to whom it is sent, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import prompts
import pytest
import trio

from comfy_trio import Comfy, EnqueueFailedError, ExecutionFailedError, open_comfy
from comfy_trio.testing import EmbeddedServer, Faults, open_embedded_server
from comfy_trio.testing._hub import Hub
from comfy_trio.testing._terminal import CAPACITY, Terminal
from comfy_trio.wire import Logs

if TYPE_CHECKING:
    from trio.testing import MockClock


async def plain_log(comfy: Comfy) -> list[str]:
    return [entry.plain for entry in (await comfy.terminal.logs()).entries][1:]


async def test_jobs_that_are_refused_fail_or_are_interrupted(autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server(version="0.3.64") as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        refused = prompts.image()
        refused["1"]["inputs"]["width"] = -1
        with pytest.raises(EnqueueFailedError):
            await comfy.run(refused)
        with pytest.raises(ExecutionFailedError):
            await comfy.run(prompts.failing("boom"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(comfy.run, prompts.slow())
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        await trio.sleep(1)
        log = await plain_log(comfy)
        assert log[:5] == [
            "got prompt",
            "Failed to validate prompt for output 9:",
            "* EmptyImage 1:",
            "  - Value -1 smaller than min of 1: width",
            "Output will be ignored",
        ]
        assert log[5].startswith("invalid prompt: {'type': 'prompt_outputs_failed_validation'")
        assert log[6:8] == ["got prompt", "!!! Exception during processing !!! boom"]
        assert log[8].startswith("Traceback (most recent call last):\n")
        assert log[9].startswith("Prompt executed in 0.0")
        assert log[10] == "got prompt"
        assert log[11].startswith("Interrupting prompt ")
        assert log[12] == "Processing interrupted"
        assert log[13].startswith("Prompt executed in 1.0")


async def test_the_time_of_a_long_job(autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server() as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        await comfy.run(prompts.slow(117, delay=60))
        assert (await plain_log(comfy))[-1] == "[INFO] Prompt executed in 01:57:00"


async def test_the_size_is_told_once(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    events = comfy.server_events()
    server._engine.terminal.subscribe(comfy.client_id)
    server.log("a")
    server.log("b")
    await trio.sleep(1)
    frames: list[Logs] = []
    async for event in events:
        if isinstance(event, Logs):
            frames.append(event)
            if len(frames) == 2:
                break
    assert [(frame.columns, frame.rows) for frame in frames] == [(80, 24), (None, None)]


def test_an_unfinished_line_is_overwritten() -> None:
    terminal = Terminal(Hub(Faults()), lambda: 0.0, colored=False)
    for text in ("start\n", "\r 1%", "\r 2%", "\r 3%\n", "\r 4%"):
        terminal.write(text)
    assert [entry["m"] for entry in terminal.raw()["entries"][1:]] == [
        "start\n",
        "\r 3%\n",
        "\r 4%",
    ]
    for number in range(2 * CAPACITY):
        terminal.write(f"{number}\n")
    assert len(terminal.raw()["entries"]) == CAPACITY


async def test_clients_without_a_socket_are_forgotten(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    terminal = server._engine.terminal
    terminal.subscribe("nobody")
    terminal.subscribe(comfy.client_id)
    assert len(terminal.subscribers) == 2
    server.log("x")
    assert terminal.subscribers == {comfy.client_id}
    terminal.unsubscribe("nobody")
    terminal.unsubscribe(comfy.client_id)
    assert server.statistics().log_subscribers == 0
