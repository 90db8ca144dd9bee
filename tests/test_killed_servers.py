"""Server processes that are killed or stopped, and connections that are really cut."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import prompts
import pytest
import trio
from cutter import Cutter
from embedded_process import open_server_process

from comfy_trio import (
    Comfy,
    ConnectionState,
    Disappearance,
    DisconnectedError,
    NodeStarted,
    Progress,
    ReconnectPolicy,
    WentMissingError,
    open_comfy,
    open_pool,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from comfy_trio import Job

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

BOUND = 50
"""Seconds of real time after which something hangs."""
OPTIONS: dict[str, Any] = {
    "heartbeat": 0.2,
    "connect_timeout": 1.0,
    "reconnect": ReconnectPolicy(base=0.05, cap=0.2, attempts=1000),
}
"""What is quick to notice and quick to come back."""


@asynccontextmanager
async def open_quick_comfy(url: str, **options: Any) -> AsyncGenerator[Comfy, None]:
    async with open_comfy(url, **{**OPTIONS, **options}) as comfy:
        yield comfy


async def wait_running(job: Job) -> None:
    async for event in job.events():
        if isinstance(event, NodeStarted | Progress):
            return


async def port_of(process: trio.Process, url: str) -> int:
    """Wait until a killed process is gone, and return the port that it had."""
    await process.wait()
    port = urlsplit(url).port
    assert port
    return port


async def test_killed_between_submit_and_finish_and_started_again() -> None:
    with trio.fail_after(BOUND):
        async with open_server_process() as (url, process), open_quick_comfy(url) as comfy:
            job = await comfy.submit(prompts.slow(1000))
            await wait_running(job)
            process.kill()
            await comfy.wait_connection_state(ConnectionState.RECONNECTING)
            async with open_server_process(await port_of(process, url)):
                with pytest.raises(WentMissingError) as caught:
                    await job.wait()
                assert caught.value.disappearance in (
                    Disappearance.RESTARTED,  # if an attempt to connect fell between the two
                    Disappearance.UNKNOWN,
                )
                await comfy.wait_connection_state(ConnectionState.CONNECTED)
                assert (await comfy.run(prompts.image()))["9"]


async def test_killed_for_good() -> None:
    few = ReconnectPolicy(base=0.01, cap=0.01, attempts=3)
    with trio.fail_after(BOUND):
        async with open_server_process() as (url, process):
            async with open_quick_comfy(url, reconnect=few) as comfy:
                job = await comfy.submit(prompts.slow(1000))
                await wait_running(job)
                process.kill()
                with pytest.raises(DisconnectedError):
                    await job.wait()
                assert comfy.connection_state is ConnectionState.FAILED


async def test_stopped_for_a_while_during_a_job() -> None:
    with trio.fail_after(BOUND):
        async with open_server_process() as (url, process), open_quick_comfy(url) as comfy:
            job = await comfy.submit(prompts.slow(20, delay=0.05))
            await wait_running(job)
            os.kill(process.pid, signal.SIGSTOP)
            await comfy.wait_connection_state(ConnectionState.RECONNECTING)
            os.kill(process.pid, signal.SIGCONT)
            assert (await job.wait())["9"]
            await comfy.wait_connection_state(ConnectionState.CONNECTED)
            assert (await comfy.run(prompts.image()))["9"]


async def test_stopped_while_a_job_is_sent() -> None:
    with trio.fail_after(BOUND):
        async with open_server_process() as (url, process), open_quick_comfy(url) as comfy:
            os.kill(process.pid, signal.SIGSTOP)
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def run() -> None:
                    assert (await comfy.run(prompts.image()))["9"]

                await comfy.wait_connection_state(ConnectionState.RECONNECTING)
                os.kill(process.pid, signal.SIGCONT)
            assert len(await comfy.history.page()) == 1


async def test_stopped_while_a_job_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    with trio.fail_after(BOUND):
        async with open_server_process() as (url, process):
            async with open_quick_comfy(url, close_timeout=0.2) as comfy:
                job = await comfy.submit(prompts.slow(1000))
                await wait_running(job)
                os.kill(process.pid, signal.SIGSTOP)
            assert not job.done or "closed" in repr(job._tracker.state.outcome)
            os.kill(process.pid, signal.SIGCONT)


async def test_ten_cuts_in_one_job() -> None:
    with trio.fail_after(BOUND):
        async with open_server_process() as (url, _):
            cutter = Cutter(url)
            async with cutter.listen() as through, open_quick_comfy(through) as comfy:
                job = await comfy.submit(prompts.slow(100, delay=0.05))
                for _ in range(10):
                    await comfy.wait_connection_state(ConnectionState.CONNECTED)
                    cutter.cut()
                    await comfy.wait_connection_state(ConnectionState.RECONNECTING)
                assert not job.done
                assert (await job.wait())["9"]


async def test_a_cable_that_is_pulled_during_a_job() -> None:
    with trio.fail_after(BOUND):
        async with open_server_process() as (url, _):
            cutter = Cutter(url)
            async with cutter.listen() as through, open_quick_comfy(through) as comfy:
                job = await comfy.submit(prompts.slow(20, delay=0.05))
                await wait_running(job)
                cutter.freeze()
                await comfy.wait_connection_state(ConnectionState.RECONNECTING)
                cutter.thaw()
                assert (await job.wait())["9"]


async def test_a_proxy_that_drops_idle_sockets() -> None:
    with trio.fail_after(BOUND):
        async with open_server_process() as (url, _):
            cutter = Cutter(url, idle=0.3)
            async with cutter.listen() as through:
                async with open_quick_comfy(through, heartbeat=100) as comfy:
                    await comfy.wait_connection_state(ConnectionState.RECONNECTING)
                    assert (await comfy.run(prompts.slow(20, delay=0.05)))["9"]


async def test_a_pool_of_which_a_server_is_stopped() -> None:
    with trio.fail_after(BOUND):
        async with (
            open_server_process() as (url_a, _),
            open_server_process() as (url_b, process),
            open_pool(
                [url_a, url_b],
                heartbeat=0.2,
                connect_timeout=1.0,
                patience=1.0,
                rerun_lost=True,
                close_timeout=0.5,
            ) as pool,
        ):
            ids: set[str] = set()
            async with pool.open_batch(prompts.image() for _ in range(20)) as batch:
                async for item in batch:
                    ids.add(item.unwrap().prompt_id)
                    if len(ids) == 5:
                        os.kill(process.pid, signal.SIGSTOP)
            assert len(ids) == 20
            os.kill(process.pid, signal.SIGCONT)
