"""What became of jobs of which the server knows nothing any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import prompts
import pytest
import trio

from comfy_trio import Comfy, ConnectionState, Disappearance, Job, WentMissingError, open_comfy
from comfy_trio._disappearance import explain_disappearance

if TYPE_CHECKING:
    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer

D = Disappearance


@pytest.mark.parametrize(
    ("began", "undisturbed", "refused", "keeps_history", "told"),
    [
        (False, True, False, None, D.DEQUEUED),
        (False, True, False, False, D.DEQUEUED),
        (True, True, False, None, D.FORGOTTEN),
        (None, True, False, None, D.REMOVED),
        (None, False, False, None, D.UNKNOWN),
        (True, False, False, True, D.FORGOTTEN),
        (False, False, False, True, D.REMOVED),
        (False, False, False, None, D.UNKNOWN),
        (True, False, False, False, D.UNKNOWN),
        (True, False, True, None, D.RESTARTED),
        (False, True, True, True, D.RESTARTED),
    ],
)
def test_what_is_told(
    began: bool | None,
    undisturbed: bool,
    refused: bool,
    keeps_history: bool | None,
    told: Disappearance,
) -> None:
    found = explain_disappearance(
        began=began,
        undisturbed=undisturbed,
        refused=refused,
        keeps_history=keeps_history,
    )
    assert found is told


async def missing(job: Job) -> Disappearance:
    with pytest.raises(WentMissingError) as caught:
        await job.wait()
    assert caught.value.disappearance in str(caught.value)
    return caught.value.disappearance


async def test_somebody_takes_it_out_of_the_queue(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    running = await comfy.submit(prompts.slow(200))
    waiting = await comfy.submit(prompts.slow())
    async with open_comfy(server.url, transport=server.transport) as somebody:
        await somebody.queue.cancel(waiting.prompt_id)
    assert await missing(waiting) is D.DEQUEUED
    assert (await running.wait())["9"]


async def test_somebody_takes_it_out_of_the_queue_of_a_silent_server(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    running, waiting = await comfy.submit(prompts.slow(1)), await comfy.submit(prompts.slow())
    async with open_comfy(server.url, transport=server.transport) as somebody:
        await somebody.queue.cancel(waiting.prompt_id)
    await running.wait()
    assert await missing(waiting) is D.REMOVED


async def test_somebody_deletes_its_history(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    job = await comfy.submit(prompts.slow())
    await trio.sleep(1)
    server.faults.deaf = True
    await trio.sleep(5)
    await comfy.history.clear()
    assert await missing(job) is D.FORGOTTEN


async def test_somebody_deletes_what_began_while_the_socket_was_deaf(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    await comfy.submit(prompts.slow())
    job = await comfy.submit(prompts.image())
    await trio.sleep(1)
    server.faults.deaf = True
    while server.statistics().history < 2:  # noqa: ASYNC110  # it is virtual time
        await trio.sleep(0.01)
    await comfy.history.clear()
    assert await missing(job) is D.REMOVED


async def test_somebody_deletes_what_another_client_took_up(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    await comfy.queue.submit(prompts.slow())
    waiting = await comfy.queue.submit(prompts.image())
    async with open_comfy(server.url, transport=server.transport) as other:
        job = await other.follow(waiting.prompt_id)
        while server.statistics().history < 2:  # noqa: ASYNC110  # it is virtual time
            await trio.sleep(0.01)
        await comfy.history.clear()
        assert await missing(job) is D.REMOVED


async def test_the_server_is_restarted(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    job = await comfy.submit(prompts.slow())
    await trio.sleep(1)
    server.stop()
    await trio.sleep(10)
    server.start()
    assert await missing(job) is D.RESTARTED


class SlowPosts(httpx.AsyncBaseTransport):
    """HTTP on which a prompt is on its way for long."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._inner = server.transport.http_transport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/prompt") and request.method == "POST":
            await trio.sleep(10)
        return await self._inner.handle_async_request(request)


async def test_a_restart_before_the_server_had_it_explains_nothing(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    async with open_comfy(
        server.url, http_transport=SlowPosts(server), websocket=server.transport.open_websocket
    ) as comfy:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def restart() -> None:
                await trio.sleep(1)
                server.stop()
                await trio.sleep(2)
                server.start()

            job = await comfy.submit(prompts.slow())
        await comfy.wait_connection_state(ConnectionState.CONNECTED)
        server._engine.restart()
        assert await missing(job) is D.UNKNOWN


async def test_the_server_is_restarted_too_quickly_to_be_seen(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    await comfy.run(prompts.image())
    job = await comfy.submit(prompts.slow())
    server.restart()
    assert await missing(job) is D.UNKNOWN


async def test_somebody_removes_it_while_the_socket_is_away(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    await comfy.run(prompts.image())
    await comfy.submit(prompts.slow())
    job = await comfy.submit(prompts.slow())
    server.faults.answer("GET /ws", 503, times=3)
    server.faults.drop_sockets()
    await comfy.wait_connection_state(ConnectionState.RECONNECTING)
    async with open_comfy(
        server.url, transport=server.transport, require_websocket=False
    ) as somebody:
        await somebody.queue.cancel(job.prompt_id)
    assert await missing(job) is D.REMOVED


async def test_a_host_that_was_switched_off_and_on(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    job = await comfy.submit(prompts.slow())
    await trio.sleep(1)
    server.faults.stop_reading()
    server.restart()
    server.faults.resume_reading()
    assert await missing(job) is not D.FORGOTTEN


async def test_a_job_that_ended_after_the_restart_is_no_witness(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    job = await comfy.submit(prompts.slow())
    await trio.sleep(1)
    server.faults.answer("GET /history/{prompt_id}", 502, times=2)
    server.restart()
    assert (await comfy.run(prompts.image()))["9"]
    assert await missing(job) is D.UNKNOWN
