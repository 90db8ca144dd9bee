"""A real server: its sockets are cut, a proxy drops what is idle, and it is killed and restarted.

Restarting needs a checkout to start; see test_real_local.py.
"""

from __future__ import annotations

import itertools
import os
import shlex
import signal
import time
from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio
from cutter import Cutter
from fake_checkouts import children_of

from comfy_trio import (
    Comfy,
    ConnectionState,
    Disappearance,
    JobReference,
    LocalServer,
    WentMissingError,
    open_comfy,
)
from comfy_trio._address import parse_address
from comfy_trio._local_server import keep_process
from comfy_trio._network import NetworkTransport

if TYPE_CHECKING:
    from comfy_trio import ServerCrashedError

pytestmark = pytest.mark.real

needs_checkout = pytest.mark.skipif("COMFY_CHECKOUT" not in os.environ, reason="nothing to start")

_colors = itertools.count(int(time.time()) % 10**6)


def url() -> str:
    return os.environ["COMFY_HOST"]


def long_job(nodes: int = 24) -> dict[str, Any]:
    """A job of many nodes, of which each takes a CPU half a second or so."""
    prompt: dict[str, Any] = {
        "0": prompts.node("EmptyImage", width=768, height=768, batch_size=1, color=next(_colors))
    }
    for number in range(1, nodes + 1):
        prompt[str(number)] = prompts.node(
            "ImageBlur", image=[str(number - 1), 0], blur_radius=31, sigma=number / 10 + 0.1
        )
    prompt["9999"] = prompts.node("PreviewImage", images=[str(nodes), 0])
    return prompt


async def test_ten_cuts_in_one_job() -> None:
    cutter = Cutter(url())
    async with cutter.listen() as through, open_comfy(through) as comfy:
        async with comfy.open_job(long_job()) as job:
            for _ in range(10):
                await comfy.wait_connection_state(ConnectionState.CONNECTED)
                cutter.cut()
                await comfy.wait_connection_state(ConnectionState.RECONNECTING)
            assert (await job.wait())["9999"]["images"]
        assert cutter.cuts >= 10


async def test_a_proxy_that_drops_what_is_idle_for_five_seconds() -> None:
    cutter = Cutter(url(), idle=5)
    async with cutter.listen() as through, open_comfy(through) as comfy:
        for _ in range(2):
            await trio.sleep(7)
            assert (await comfy.run(long_job(6)))["9999"]["images"]
        assert cutter.cuts


async def test_a_cable_that_is_pulled_during_a_job() -> None:
    """No more bytes, and nobody is told: only pings find out."""
    cutter = Cutter(url())
    async with (
        cutter.listen() as through,
        open_comfy(through, heartbeat=0.5, connect_timeout=1.0) as comfy,
    ):
        job = await comfy.submit(long_job())
        cutter.freeze()
        await comfy.wait_connection_state(ConnectionState.RECONNECTING)
        cutter.thaw()
        assert (await job.wait())["9999"]["images"]


async def test_a_socket_that_the_server_forgets() -> None:
    """As ComfyUI does when another socket of the same client goes: ours stays open, and is deaf."""
    async with open_comfy(url()) as comfy:
        address, _ = parse_address(url())
        async with NetworkTransport.to(address, None).open_websocket(
            address.websocket_url(comfy.client_id), headers=[], max_message_size=2**20
        ) as other:
            await other.receive()
        assert (await comfy.run(long_job()))["9999"]["images"]
        await comfy.wait_connection_state(ConnectionState.CONNECTED)
        job = await comfy.submit(long_job(4))
        kinds = {type(event).__name__ async for event in job.events()}
        assert {"NodeStarted", "Finished"} <= kinds


async def test_another_client_takes_a_job_up() -> None:
    async with open_comfy(url()) as comfy:
        reference = (await comfy.queue.submit(long_job(8))).reference
    again = JobReference.from_dict(reference.to_dict())
    async with open_comfy(again.url, client_id=again.client_id) as heir:
        job = await heir.follow(again)
        kinds = {type(event).__name__ async for event in job.events()}
        assert (await job.wait())["9999"]["images"]
        assert {"NodeStarted", "Finished"} <= kinds
        assert (await heir.attach(reference.prompt_id))["9999"]["images"]


async def test_somebody_takes_a_job_out_of_the_queue() -> None:
    async with open_comfy(url()) as comfy, open_comfy(url()) as somebody:
        running, waiting = await comfy.submit(long_job(60)), await comfy.submit(long_job(6))
        await somebody.queue.cancel(waiting.prompt_id)
        with pytest.raises(WentMissingError) as caught:
            await waiting.wait()
        assert caught.value.disappearance is Disappearance.DEQUEUED
        await running.cancel()


@needs_checkout
async def test_it_is_killed_and_restarted_between_submit_and_finish() -> None:
    crashes: list[str] = []

    def note(error: ServerCrashedError, restart_in: float | None) -> None:
        crashes.append(str(error))

    server = LocalServer(
        os.environ["COMFY_CHECKOUT"],
        python=os.environ.get("COMFY_PYTHON"),
        arguments=shlex.split(os.environ.get("COMFY_ARGUMENTS", "--cpu")),
    )
    async with keep_process(server, note) as process:
        async with open_comfy(await process.wait_ready()) as comfy:
            job = await comfy.submit(long_job())
            await trio.sleep(1)
            (pid,) = children_of(os.getpid())
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(WentMissingError) as caught:
                await job.wait()
            assert caught.value.disappearance is Disappearance.RESTARTED
            assert len(crashes) == 1
            await comfy.wait_connection_state(ConnectionState.CONNECTED)
            assert await works(comfy)


@needs_checkout
async def test_it_is_stopped_for_a_while_during_a_job() -> None:
    server = LocalServer(
        os.environ["COMFY_CHECKOUT"],
        python=os.environ.get("COMFY_PYTHON"),
        arguments=shlex.split(os.environ.get("COMFY_ARGUMENTS", "--cpu")),
    )
    async with keep_process(server, lambda error, restart_in: None) as process:
        ready = await process.wait_ready()
        async with open_comfy(ready, heartbeat=0.5, connect_timeout=2.0) as comfy:
            job = await comfy.submit(long_job())
            (pid,) = children_of(os.getpid())
            os.kill(pid, signal.SIGSTOP)
            await comfy.wait_connection_state(ConnectionState.RECONNECTING)
            os.kill(pid, signal.SIGCONT)
            assert (await job.wait())["9999"]["images"]
            assert await works(comfy)


async def works(comfy: Comfy) -> bool:
    return bool((await comfy.run(long_job(2)))["9999"]["images"])
