"""Outcomes survive lost sockets, ambiguous replies and forgetful servers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import httpx
import prompts
import pytest
import trio

from comfy_trio import (
    Comfy,
    ConnectionState,
    DisconnectedError,
    EnqueueFailedError,
    ExecutionFailedError,
    ExecutionInterruptedError,
    ReconnectPolicy,
    ServerUnreachableError,
    WentMissingError,
    open_comfy,
)
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer


async def test_a_socket_that_drops_during_a_job(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.open_job(prompts.slow(20)) as job:
        await trio.sleep(0.5)
        server.faults.drop_sockets()
        assert (await job.wait())["9"]
    assert comfy.connection_state.value == "connected"
    assert server.statistics().sockets == 1


async def test_a_socket_that_drops_many_times(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def drop() -> None:
            for number in range(10):
                await trio.sleep(0.3)
                if number % 2:
                    server.faults.drop_sockets()
                else:
                    server.faults.close_sockets()

        results = [await comfy.run(prompts.slow(5)) for _ in range(10)]
        assert all(result["9"] for result in results)
    assert server.statistics().requests["GET /ws"] > 3


async def test_the_end_of_a_job_is_missed(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.open_job(prompts.slow(10)) as job:
        await trio.sleep(0.5)
        server.faults.answer("GET /ws", 503, times=3)
        server.faults.drop_sockets()
        assert (await job.wait())["9"]


async def test_a_deaf_socket(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.deaf = True
    assert (await comfy.run(prompts.image()))["9"]
    with pytest.raises(ExecutionFailedError, match="boom"):
        await comfy.run(prompts.failing())
    assert comfy.connection_state.value == "connected"


async def test_a_long_job_on_a_deaf_socket(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.open_job(prompts.slow(100, delay=1)) as job:
        await trio.sleep(5)
        server.faults.deaf = True
        assert (await job.wait())["9"]
    asked = server.statistics().requests["GET /queue"]
    assert 5 <= asked <= 14  # every ten seconds of a hundred, and after each exchange of sockets


async def test_websockets_refused_for_good(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.answer("GET /ws", 503, times=math.inf)
    server.faults.drop_sockets()
    for _ in range(3):
        assert (await comfy.run(prompts.slow(10)))["9"]
    await trio.sleep(300)
    assert comfy.connection_state.value == "failed"
    assert (await comfy.run(prompts.slow(10)))["9"]


async def test_reconnecting_follows_the_policy(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    policy = ReconnectPolicy(attempts=5, base=1, cap=3, jitter=0)
    assert [policy.pause(attempt) for attempt in range(1, 6)] == [0, 1, 2, 3, 3]
    async with open_comfy(server.url, transport=server.transport, reconnect=policy) as comfy:
        server.faults.answer("GET /ws", 503, times=math.inf)
        server.faults.drop_sockets()
        await trio.sleep(8.9)
        assert comfy.connection_state.value == "reconnecting"
        await trio.sleep(0.2)
        assert comfy.connection_state.value == "failed"
        assert server.statistics().requests["GET /ws"] == 1 + 5
    for attempt in range(1, 20):
        assert ReconnectPolicy(jitter=1).pause(attempt) <= 15
    assert ReconnectPolicy(jitter=0).pause(10**6) == 15


async def test_a_client_may_reconnect_for_ever(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    policy = ReconnectPolicy(attempts=math.inf)
    async with open_comfy(server.url, transport=server.transport, reconnect=policy) as comfy:
        server.stop()
        await trio.sleep(24 * 3600)
        assert comfy.connection_state.value == "reconnecting"
        server.start()
        await trio.sleep(20)
        assert (await comfy.run(prompts.image()))["9"]


async def test_a_post_is_settled_by_a_server_that_was_away_for_long(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    policy = ReconnectPolicy(attempts=math.inf)
    async with open_comfy(server.url, transport=server.transport, reconnect=policy) as comfy:
        server.faults.break_connection("POST /prompt", after=True)
        server.faults.break_connection("GET /queue", times=300)
        server.faults.answer("GET /ws", 503, times=100)
        server.faults.drop_sockets()
        assert (await comfy.run(prompts.image()))["9"]
        assert trio.current_time() > 300


async def test_a_server_that_hangs_up_at_once_is_not_hammered(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def hang_up() -> None:
            for _ in range(600):
                server.faults.close_sockets()
                await trio.sleep(0.1)

        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert 5 <= server.statistics().requests["GET /ws"] <= 15
    assert (await comfy.run(prompts.image()))["9"]


async def test_an_attempt_to_reconnect_that_hangs_is_given_up(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    async with open_comfy(server.url, transport=server.transport, connect_timeout=3) as comfy:
        server.faults.hang("GET /ws", times=2)
        server.faults.drop_sockets()
        await trio.sleep(12)
        assert comfy.connection_state.value == "connected"
        assert server.statistics().requests["GET /ws"] == 4


# --- The POST -------------------------------------------------------------------------------------


async def test_a_post_whose_reply_is_lost_is_not_sent_again(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    for prompt in (prompts.image(), prompts.slow(20)):
        server.faults.break_connection("POST /prompt", after=True)
        assert (await comfy.run(prompt))["9"]
    assert server.statistics().requests["POST /prompt"] == 2
    assert server.statistics().history == 2


async def test_a_post_whose_reply_is_lost_with_the_socket(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.break_connection("POST /prompt", after=True)
    server.faults.deaf = True
    assert (await comfy.run(prompts.slow(20)))["9"]
    assert server.statistics().requests["POST /prompt"] == 1


@pytest.mark.parametrize("status", [502, 504])
async def test_a_proxy_that_gives_up_on_a_post(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, status: int
) -> None:
    server.faults.answer("POST /prompt", status, "<h1>Gateway</h1>", after=True)
    assert (await comfy.run(prompts.image()))["9"]
    server.faults.answer("POST /prompt", status, "<h1>Gateway</h1>")
    with pytest.raises(EnqueueFailedError, match="<h1>Gateway</h1>"):
        await comfy.run(prompts.image())
    assert server.statistics().history == 1


async def test_a_proxy_that_gives_up_on_a_post_and_then_on_all_else(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    """It refused nothing: nobody knows whether the server has the job."""
    server.faults.deaf = True
    server.faults.answer("POST /prompt", 502, "<html>", after=True)
    for route in ("GET /queue", "GET /history/{prompt_id}"):
        server.faults.answer(route, 502, "<html>", times=math.inf)
    with pytest.raises(DisconnectedError, match="nobody knows whether the server took job"):
        await comfy.run(prompts.image())


async def test_a_post_that_never_arrived(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.break_connection("POST /prompt")
    with pytest.raises(DisconnectedError, match="broke during POST"):
        await comfy.run(prompts.image())
    assert server.statistics().history == 0
    assert "0 live jobs" in repr(comfy)


# --- A forgetful server ---------------------------------------------------------------------------


async def test_a_server_that_restarts_during_a_job(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.open_job(prompts.slow(20)) as job:
        await trio.sleep(0.5)
        server.restart()
        with pytest.raises(WentMissingError, match="or the server was restarted"):
            await job.wait()
    assert (await comfy.run(prompts.image()))["9"]


async def test_a_history_that_is_cleared_too_early(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    """What the frames told is enough."""
    server.faults.answer("GET /history/{prompt_id}", 200, "{}", times=math.inf)
    result = await comfy.run(prompts.image())
    assert result["9"]["images"]
    with pytest.raises(ExecutionFailedError, match="boom"):
        await comfy.run(prompts.failing())


async def test_someone_takes_our_job_out_of_the_queue(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    first = await comfy.submit(prompts.slow(300))
    second = await comfy.submit(prompts.image())
    async with httpx.AsyncClient(transport=server.transport.http_transport()) as page:
        await page.post(f"{server.url}/api/queue", json={"clear": True})
    with pytest.raises(WentMissingError, match="somebody took it out of the queue"):
        await second.wait()
    assert not first.done
    await first.cancel()


async def test_a_server_that_is_busy_fails_nothing(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.open_job(prompts.slow(2, delay=60)) as job:
        server.faults.slow("GET /queue", 90)
        assert (await job.wait())["9"]


async def test_a_server_that_replies_nonsense_for_a_while(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    for route in ("GET /queue", "GET /history/{prompt_id}"):
        server.faults.answer(route, 500, "<html>", times=5)
        server.faults.answer(route, 200, "[]", times=5)
        server.faults.answer(route, 200, '{"half": ', times=5)
    assert (await comfy.run(prompts.slow(5)))["9"]


async def test_a_server_that_is_gone_for_good(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    """Nothing hangs: when all attempts to reconnect have failed, the jobs fail too."""
    async with comfy.open_job(prompts.slow(300, delay=1)) as job:
        server.faults.break_connection("*", times=math.inf)
        server.faults.drop_sockets()
        with pytest.raises(DisconnectedError, match=f"job {job.prompt_id}: the connection"):
            await job.wait()
        assert trio.current_time() < 200
    with pytest.raises((ServerUnreachableError, DisconnectedError)):
        await comfy.run(prompts.image())


async def test_jobs_of_a_server_that_is_gone_for_good_wait_no_longer_for_it(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    few = ReconnectPolicy(attempts=3)
    async with open_comfy(server.url, transport=server.transport, reconnect=few) as comfy:
        job = await comfy.submit(prompts.slow(300, delay=1))
        server.stop()
        await comfy.wait_connection_state(ConnectionState.FAILED)
        failed = trio.current_time()
        with pytest.raises(DisconnectedError):
            await job.wait()
        assert trio.current_time() - failed < 1


async def test_a_server_that_is_gone_for_good_before_it_told_the_outcome(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.break_connection("GET /history/{prompt_id}", times=math.inf)
    async with comfy.open_job(prompts.image()) as job:
        while job.phase != "recorded":  # noqa: ASYNC110
            await trio.sleep(0.01)
        server.faults.break_connection("*", times=math.inf)
        server.faults.drop_sockets()
        with pytest.raises(DisconnectedError, match="the connection"):
            await job.wait()


async def test_a_proxy_that_hides_the_history(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    """What the frames told is the outcome then; nothing hangs."""
    server.faults.answer("GET /history/{prompt_id}", 404, times=math.inf)
    server.faults.answer("GET /jobs/{job_id}", 404, times=math.inf)
    assert (await comfy.run(prompts.image()))["9"]["images"]
    with pytest.raises(ExecutionFailedError, match="boom"):
        await comfy.run(prompts.failing())
    server.faults.deaf = True
    with pytest.raises(DisconnectedError, match="HTTP status 404"):
        await comfy.run(prompts.image())


async def test_a_lost_post_is_settled_however_long_the_server_cannot_tell(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    """The job waits behind another, so that no frame tells of it."""
    first = await comfy.submit(prompts.slow(100))
    server.faults.break_connection("POST /prompt", after=True)
    server.faults.answer("GET /queue", 500, times=8)
    assert (await comfy.run(prompts.image()))["9"]
    assert (await first.wait())["9"]
    assert server.statistics().requests["POST /prompt"] == 2


async def test_a_server_that_comes_back_in_time(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.open_job(prompts.slow(100)) as job:
        server.faults.break_connection("*", times=math.inf)
        server.faults.drop_sockets()
        await trio.sleep(30)
        server.faults.clear()
        assert (await job.wait())["9"]


async def test_a_post_that_is_never_answered(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.hang("POST /prompt", after=True)
    assert (await comfy.run(prompts.slow(10)))["9"]
    assert trio.current_time() < 5


async def test_a_post_that_is_never_answered_of_a_job_that_was_seen_to_begin(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.hang("POST /prompt", after=True)
    with trio.fail_after(60):
        async with comfy.open_job(prompts.slow(20)) as job:
            assert job.phase == "running"
            server.faults.deaf = True
            assert (await job.wait())["9"]


async def test_a_post_that_is_never_answered_and_whose_job_is_forgotten(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.deaf = True
    server.faults.hang("POST /prompt", after=True)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def forget() -> None:
            while not server.statistics().history:  # noqa: ASYNC110  # it is virtual time
                await trio.sleep(0.01)
            await comfy.history.clear()

        with pytest.raises(DisconnectedError, match="no reply came to POST /api/prompt"):
            await comfy.run(prompts.image())
    assert trio.current_time() < 400
    assert server.statistics().requests["POST /prompt"] == 1


async def test_a_post_that_is_never_answered_and_whose_job_nobody_hears_of(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.deaf = True
    server.faults.hang("POST /prompt", after=True)
    assert (await comfy.run(prompts.slow(10)))["9"]
    assert trio.current_time() < 20


async def test_questions_that_are_never_answered(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.hang("GET /history/{prompt_id}", times=3)
    assert (await comfy.run(prompts.image()))["9"]
    assert trio.current_time() > 60


async def test_a_socket_that_is_dead_unnoticed(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    assert await comfy._session.connection.probe()
    server.faults.stop_reading()
    assert not await comfy._session.connection.probe()
    server.faults.resume_reading()
    await trio.sleep(1)
    assert comfy.connection_state.value == "connected"
    assert await comfy._session.connection.probe()
    server.faults.drop_sockets()
    assert not await comfy._session.connection.probe()


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_proxy_that_stumbles_while_a_job_is_stopped(
    status: int, autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    with trio.move_on_after(1):
        async with comfy.open_job(prompts.slow(100)):
            server.faults.answer("*", status, times=6)
            await trio.sleep_forever()
    assert server.statistics().running == 0
    job = await comfy.submit(prompts.slow(100))
    server.faults.answer("*", status, times=6)
    await job.cancel()
    with pytest.raises(ExecutionInterruptedError):
        await job.wait()


async def test_a_job_that_began_was_not_cancelled_before_that(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    job = await comfy.submit(prompts.slow(100))
    await trio.sleep(1)
    server.faults.drop_sockets()
    server.restart()
    with trio.move_on_after(5):
        await job.cancel()
    with pytest.raises(WentMissingError):
        await job.wait()


@pytest.mark.parametrize(
    ("version", "routes"),
    [("0.3.64", ["GET /queue", "POST /interrupt"]), ("0.27.0", ["POST /jobs/cancel"])],
)
async def test_a_reply_that_never_comes_while_a_job_is_stopped(
    version: str, routes: list[str], autojump_clock: MockClock
) -> None:
    async with (
        open_embedded_server(version=version) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        for route in routes:
            job = await comfy.submit(prompts.slow(1000))
            await trio.sleep(1)
            server.faults.hang(route, after=route == "POST /interrupt")
            with trio.fail_after(60):
                await job.cancel()
            with pytest.raises(ExecutionInterruptedError):
                await job.wait()
            server.faults.clear()
        with trio.move_on_after(1):
            async with comfy.open_job(prompts.slow(1000)):
                server.faults.hang("*", times=1)
                await trio.sleep_forever()
        assert server.statistics().running == 0


async def test_a_network_that_is_away_for_most_of_the_goodbye(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def mend() -> None:
            await trio.sleep(4)
            server.faults.clear()

        with trio.move_on_after(1):
            async with comfy.open_job(prompts.slow(1000)):
                server.faults.break_connection("*", times=math.inf)
                await trio.sleep_forever()
    assert server.statistics().running == 0


async def test_a_reply_that_never_comes_after_many_failures(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    policy = ReconnectPolicy(attempts=math.inf)
    async with open_comfy(server.url, transport=server.transport, reconnect=policy) as comfy:
        job = await comfy.submit(prompts.slow(100))
        server.stop()
        await trio.sleep(3600)
        server.faults.hang("GET /queue", times=2)
        server.start()
        with trio.fail_after(300), pytest.raises(WentMissingError):
            await job.wait()
