"""What clients of ComfyUI were known to get wrong about connections; each once, by its name."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import prompts
import pytest
import trio

from comfy_trio import (
    Comfy,
    ConnectionState,
    DisconnectedError,
    Preview,
    ReconnectPolicy,
    ServerUnreachableError,
    open_comfy,
)
from comfy_trio.wire import Executing, ExecutionSuccess

if TYPE_CHECKING:
    from trio.testing import MockClock

    from comfy_trio import Job
    from comfy_trio.testing import EmbeddedServer

S = ConnectionState


async def previews_of(job: Job) -> int:
    return len([event async for event in job.events() if isinstance(event, Preview)])


async def test_a_busy_server_that_cannot_tell_its_queue_fails_no_job(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    """As while it loads a model for a minute: neither silence nor an answer that is none."""
    server.faults.answer("GET /queue", 500, times=10)
    server.faults.slow("GET /queue", 60, times=2)
    server.faults.deaf = True
    assert (await comfy.run(prompts.slow(100, delay=1)))["9"]


async def test_a_job_that_still_waits_is_waited_for_however_long_the_socket_is_away(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    longer = await comfy.submit(prompts.slow(100, delay=1))
    job = await comfy.submit(prompts.image())
    server.faults.answer("GET /ws", 503, times=math.inf)
    server.faults.drop_sockets()
    await trio.sleep(30)
    assert not job.done
    server.faults.clear()
    assert (await job.wait())["9"]
    assert (await longer.wait())["9"]


async def test_a_new_socket_has_the_old_name_so_that_frames_find_it(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    """ComfyUI tells of a job only on the socket of the client id that sent it."""
    job = await comfy.submit(prompts.slow(100))
    await trio.sleep(1)
    name = comfy.client_id
    server.faults.drop_sockets()
    await comfy.wait_connection_state(S.RECONNECTING)
    await comfy.wait_connection_state(S.CONNECTED)
    assert comfy.client_id == name
    assert await previews_of(job) > 1


async def test_frames_of_jobs_that_nobody_here_knows_are_nobodys(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    job = await comfy.submit(prompts.slow(10))
    for event in (Executing("stranger", "9"), ExecutionSuccess("stranger"), Executing(None, None)):
        comfy._session._on_event(event)
    assert not job.done
    assert (await job.wait())["9"]


async def test_a_server_is_restarted_five_times(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    """Back each time by itself, in the same states, and good for a job with previews."""
    async with open_comfy(server.url, transport=server.transport) as comfy:
        changes = comfy.connection_changes()
        for _ in range(5):
            assert await previews_of(await comfy.submit(prompts.slow(3)))
            server.stop()
            await comfy.wait_connection_state(S.RECONNECTING)
            await trio.sleep(20)
            server.start()
            await comfy.wait_connection_state(S.CONNECTED)
        assert await previews_of(await comfy.submit(prompts.slow(3)))
    states = [change.state async for change in changes if not change.attempt]
    assert states == [S.CONNECTED, *[S.RECONNECTING, S.CONNECTED] * 5, S.DISCONNECTED]


async def test_a_server_that_stays_down_is_told_of(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    few = ReconnectPolicy(attempts=5)
    async with open_comfy(server.url, transport=server.transport, reconnect=few) as comfy:
        job = await comfy.submit(prompts.slow(1000))
        server.stop()
        with trio.fail_after(60):
            await comfy.wait_connection_state(S.FAILED)
            with pytest.raises(DisconnectedError):
                await job.wait()
        with pytest.raises(ServerUnreachableError):
            await comfy.run(prompts.image())
        server.start()
        with trio.fail_after(60):
            await comfy.wait_connection_state(S.CONNECTED)
        assert (await comfy.run(prompts.image()))["9"]


async def test_a_socket_that_is_lost_while_a_job_runs_costs_no_result(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    job = await comfy.submit(prompts.slow(20))
    await trio.sleep(1)
    server.faults.answer("GET /ws", 503, times=3)
    server.faults.drop_sockets()
    assert (await job.wait())["9"]


@pytest.mark.parametrize("steps", range(1, 40))
async def test_a_socket_that_is_lost_just_when_the_job_ends(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, steps: int
) -> None:
    """Whichever of the two comes first."""
    job = await comfy.submit(prompts.slow(1, delay=1))
    await trio.sleep(1)
    for _ in range(steps):
        await trio.lowlevel.checkpoint()
    server.faults.drop_sockets()
    assert (await job.wait())["9"]


@pytest.mark.parametrize("idle", [11, 130, 4000])
async def test_silence_of_an_idle_server_costs_no_socket(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, idle: float
) -> None:
    """ComfyUI sends nothing while nothing runs; frames and previews come afterwards."""
    await trio.sleep(idle)
    assert server.statistics().requests["GET /ws"] == 1
    assert await previews_of(await comfy.submit(prompts.slow(3)))
    assert server.statistics().requests["GET /ws"] == 1


async def test_a_job_that_fails_while_nobody_waits_for_it_disturbs_nobody(
    autojump_clock: MockClock, comfy: Comfy
) -> None:
    job = await comfy.submit(prompts.failing())
    await trio.sleep(10)
    assert job.done
    assert (await comfy.run(prompts.image()))["9"]
