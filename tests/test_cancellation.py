"""Every way to abandon a job reaches the server, and nobody else's job."""

from __future__ import annotations

import logging
import math
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import prompts
import pytest
import trio
import trio.testing

from comfy_trio import (
    Comfy,
    DisconnectedError,
    ExecutionInterruptedError,
    Failed,
    ReconnectPolicy,
    open_comfy,
)
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.testing import MockClock

    from comfy_trio import Job
    from comfy_trio.testing import EmbeddedServer

VERSIONS = ["0.27.0", "0.3.64", "0.3.56"]
"""Cancels jobs in one step; interrupts by id; knows no interrupt by id."""


async def wait_until_running(job: Job) -> None:
    async for _ in job.events():
        if job.phase == "running":
            return


def nothing_left(server: EmbeddedServer) -> bool:
    statistics = server.statistics()
    return statistics.pending == statistics.running == 0


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_deadline_stops_a_running_job(autojump_clock: MockClock, version: str) -> None:
    async with open_embedded_server(version=version) as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            start = trio.current_time()
            with trio.move_on_after(1) as deadline:
                await comfy.run(prompts.slow(100))
            assert deadline.cancelled_caught
            assert nothing_left(server)
            assert trio.current_time() - start < 2
            assert (await comfy.run(prompts.image()))["9"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_deadline_takes_a_pending_job_out_of_the_queue(
    autojump_clock: MockClock, version: str
) -> None:
    async with open_embedded_server(version=version) as server:
        async with (
            open_comfy(server.url, transport=server.transport) as comfy,
            open_comfy(server.url, transport=server.transport) as stranger,
        ):
            theirs = await stranger.submit(prompts.slow(50))
            await wait_until_running(theirs)
            with trio.move_on_after(1) as deadline:
                await comfy.run(prompts.slow(100))
            assert deadline.cancelled_caught
            assert server.statistics().pending == 0
            assert not theirs.done
            assert (await theirs.wait())["9"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_strangers_that_wait_behind_a_cancelled_job_run(
    autojump_clock: MockClock, version: str
) -> None:
    async with open_embedded_server(version=version) as server:
        async with (
            open_comfy(server.url, transport=server.transport) as comfy,
            open_comfy(server.url, transport=server.transport) as stranger,
        ):
            ours = await comfy.submit(prompts.slow(50))
            theirs = [await stranger.submit(prompts.slow(3)) for _ in range(3)]
            await wait_until_running(ours)
            await ours.cancel()
            for job in theirs:
                assert (await job.wait())["9"]
            with pytest.raises(ExecutionInterruptedError, match="interrupted by this client") as e:
                await ours.wait()
            assert e.value.by_us
            assert e.value.node_id == "3"


async def test_an_exception_in_the_block_stops_the_job(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    error = RuntimeError("mine")
    jobs: list[Job] = []
    with pytest.raises(RuntimeError) as caught:
        async with comfy.open_job(prompts.slow(100)) as job:
            jobs.append(job)
            await wait_until_running(job)
            raise error
    assert caught.value is error
    assert nothing_left(server)
    assert jobs[0].done


@pytest.mark.parametrize("version", VERSIONS)
async def test_cancelling_by_hand(autojump_clock: MockClock, version: str) -> None:
    async with open_embedded_server(version=version) as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            running = await comfy.submit(prompts.slow(100))
            pending = await comfy.submit(prompts.slow(100))
            await wait_until_running(running)
            await pending.cancel()
            assert pending.done
            assert not running.done
            with pytest.raises(ExecutionInterruptedError, match="before the server began it"):
                await pending.wait()
            await running.cancel()
            assert nothing_left(server)
            await running.cancel()  # once more changes nothing
            events = [event async for event in running.events()]
            assert isinstance(events[-1], Failed)


async def test_cancelling_a_job_that_is_over(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    job = await comfy.submit(prompts.image())
    result = await job.wait()
    before = server.statistics().requests
    with trio.testing.assert_checkpoints():
        await job.cancel()
    with trio.testing.assert_checkpoints():
        assert await job.wait() == result
    assert server.statistics().requests == before


async def test_leaving_the_client_stops_all_its_jobs(autojump_clock: MockClock) -> None:
    async with open_embedded_server() as server:
        async with open_comfy(server.url, transport=server.transport) as stranger:
            async with open_comfy(server.url, transport=server.transport) as comfy:
                jobs = [await comfy.submit(prompts.slow(100)) for _ in range(5)]
                theirs = await stranger.submit(prompts.slow(3))
                await wait_until_running(jobs[0])
                assert server.statistics().pending == 5
            for job in jobs:
                assert job.done
                with pytest.raises(ExecutionInterruptedError):
                    await job.wait()
            assert (await theirs.wait())["9"]


async def test_cancelling_everything_around_the_client(autojump_clock: MockClock) -> None:
    async with open_embedded_server() as server:
        with trio.move_on_after(2):
            async with open_comfy(server.url, transport=server.transport) as comfy:
                async with trio.open_nursery() as nursery:
                    for _ in range(5):
                        nursery.start_soon(comfy.run, prompts.slow(100))
        assert nothing_left(server)
        assert server.statistics().sockets == 0
        assert server.statistics().connections == 0


async def test_one_of_many_is_cancelled_and_the_rest_goes_on(
    autojump_clock: MockClock, comfy: Comfy
) -> None:
    finished: list[int] = []

    async def one(number: int) -> None:
        with trio.move_on_after(0.5 if number % 2 else math.inf):
            await comfy.run(prompts.slow(10))
            finished.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(one, number)
    assert sorted(finished)[:5] == [0, 2, 4, 6, 8]
    assert len(finished) <= 6  # one odd job may have been quick enough


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Have SIGINT interrupt, also in a process that was started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


async def test_ctrl_c_stops_the_job(ctrl_c: None, server: EmbeddedServer) -> None:
    with pytest.raises(KeyboardInterrupt):
        async with open_comfy(server.url, transport=server.transport) as comfy:
            async with comfy.open_job(prompts.slow(1000, delay=0.01)) as job:
                await wait_until_running(job)
                signal.raise_signal(signal.SIGINT)
                await trio.sleep_forever()
    assert nothing_left(server)


# --- The POST and its cancellation ----------------------------------------------------------------


async def test_cancelling_while_the_server_takes_the_job_in(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.slow("POST /prompt", 0.5)
    with trio.move_on_after(0.1) as deadline:
        await comfy.run(prompts.slow(100))
    assert deadline.cancelled_caught
    assert nothing_left(server)
    assert server.statistics().requests["POST /prompt"] == 1


async def test_cancelling_at_every_moment(autojump_clock: MockClock) -> None:
    """Wherever a deadline falls, nothing is left at the server, and a stranger's job is whole."""
    for tick in range(0, 60, 3):
        async with open_embedded_server() as server:
            server.faults.delay = 0.01
            async with (
                open_comfy(server.url, transport=server.transport) as comfy,
                open_comfy(server.url, transport=server.transport) as stranger,
            ):
                with trio.move_on_after(tick / 100):
                    await comfy.run(prompts.slow(4, delay=0.07))
                assert nothing_left(server)
                assert (await stranger.run(prompts.image()))["9"]


async def test_a_server_that_hangs_does_not_hold_the_program(
    autojump_clock: MockClock, server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_comfy(server.url, transport=server.transport, close_timeout=3) as comfy:
        start = trio.current_time()
        with trio.move_on_after(1):
            async with comfy.open_job(prompts.slow(100)):
                server.faults.hang("*", times=math.inf)
                await trio.sleep_forever()
        assert trio.current_time() - start == pytest.approx(4, abs=0.1)
        assert "was not seen to stop" in caplog.text
    assert trio.current_time() - start == pytest.approx(7, abs=1.2)


async def test_a_server_that_is_gone_does_not_hold_the_program(
    autojump_clock: MockClock,
    comfy: Comfy,
    server: EmbeddedServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    start = trio.current_time()
    with trio.move_on_after(1):
        async with comfy.open_job(prompts.slow(100)):
            server.faults.break_connection("*", times=math.inf)
            server.faults.drop_sockets()
            await trio.sleep_forever()
    assert trio.current_time() - start < 1 + 5.1
    assert "may still run" in caplog.text


async def test_waiters_end_with_the_client(
    autojump_clock: MockClock, server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    async with trio.open_nursery() as nursery:

        async def wait(job: Job) -> None:
            with pytest.raises(DisconnectedError, match="this client was closed"):
                await job.wait()

        async with open_comfy(server.url, transport=server.transport) as comfy:
            job = await comfy.submit(prompts.slow(100))
            nursery.start_soon(wait, job)
            server.faults.hang("*", times=math.inf)


@pytest.mark.parametrize("version", VERSIONS)
async def test_someone_else_stops_our_job(autojump_clock: MockClock, version: str) -> None:
    async with open_embedded_server(version=version) as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            job = await comfy.submit(prompts.slow(100))
            await wait_until_running(job)
            async with httpx.AsyncClient(transport=server.transport.http_transport()) as page:
                await page.post(f"{server.url}/api/interrupt", json={})
            with pytest.raises(ExecutionInterruptedError, match="not by this client") as caught:
                await job.wait()
            assert not caught.value.by_us


@pytest.mark.parametrize("leaving", ["the job's block", "the client's block"])
async def test_a_job_that_was_given_up_with_its_server_is_stopped_if_that_is_back(
    autojump_clock: MockClock, leaving: str
) -> None:
    few = ReconnectPolicy(attempts=2, base=0.1)
    async with open_embedded_server() as server:
        async with open_comfy(server.url, transport=server.transport, reconnect=few) as comfy:
            with suppress(ZeroDivisionError):
                async with comfy.open_job(prompts.slow(1000)) as job:
                    server.faults.break_connection("*", times=math.inf)
                    server.faults.drop_sockets()
                    with pytest.raises(DisconnectedError):
                        await job.wait()
                    if leaving == "the job's block":
                        server.faults.clear()
                        raise ZeroDivisionError
            server.faults.clear()
            expected = 0 if leaving == "the job's block" else 1
            assert server.statistics().running == expected
        await trio.sleep(0.1)
        assert server.statistics().running == 0
