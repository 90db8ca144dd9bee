"""Sockets that are dead, half-open or deaf, and what is told of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio

from comfy_trio import (
    Comfy,
    ConnectionChanged,
    ConnectionState,
    DisconnectedError,
    NodeStarted,
    PicturesLostError,
    Preview,
    Progress,
    ReconnectPolicy,
    ServerUnreachableError,
    open_comfy,
)
from comfy_trio.testing import NodeResult, NodeType, open_embedded_server
from comfy_trio.wire import FeatureFlags, Status

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from comfy_trio import JobEvent, Subscription
    from comfy_trio.testing import EmbeddedServer, NodeRun

HANGS = 10_000


async def brood(run: NodeRun, *, seconds: float, image: object = None) -> NodeResult:
    await run.sleep(seconds)
    return NodeResult(values=(image,), ui={})


BROOD = NodeType(
    class_type="Brood",
    run=brood,
    required={"seconds": ["FLOAT", {}]},
    optional={"image": ["IMAGE"]},
    outputs=("IMAGE",),
    output_node=True,
)


@pytest.fixture
async def server() -> AsyncGenerator[EmbeddedServer, None]:
    async with open_embedded_server(nodes=[BROOD]) as server:
        yield server


def upgrades(server: EmbeddedServer) -> int:
    return server.statistics().requests["GET /ws"]


def deafen(server: EmbeddedServer) -> None:
    """What a real server does: it learns of the old socket's end, and forgets the new one."""
    server.faults.notice_lost_sockets()


async def go_deaf(comfy: Comfy, server: EmbeddedServer) -> None:
    server.faults.drop_sockets(noticed=False)
    await comfy.wait_connection_state(ConnectionState.RECONNECTING)
    await comfy.wait_connection_state(ConnectionState.CONNECTED)
    deafen(server)


# --- Half-open sockets ----------------------------------------------------------------------------


async def test_a_half_open_socket_is_noticed_while_nothing_runs(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.stop_reading()
    with trio.fail_after(53):
        await comfy.wait_connection_state(ConnectionState.RECONNECTING)
    server.faults.resume_reading()
    with trio.fail_after(31):
        await comfy.wait_connection_state(ConnectionState.CONNECTED)
    assert (await comfy.run(prompts.image()))["9"]
    assert server.statistics().sockets == 1


async def test_an_idle_socket_is_kept(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    await trio.sleep(3600)
    assert upgrades(server) == 1


async def test_the_heartbeat_is_the_users(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    options: dict[str, Any] = {"heartbeat": 1, "connect_timeout": 2}
    async with open_comfy(server.url, transport=server.transport, **options) as comfy:
        server.faults.stop_reading()
        with trio.fail_after(4.1):
            await comfy.wait_connection_state(ConnectionState.RECONNECTING)
        server.faults.resume_reading()
    for wrong in (0, -1, math.nan):
        with pytest.raises(ValueError, match="heartbeat must be positive"):
            async with open_comfy(server.url, transport=server.transport, heartbeat=wrong):
                pytest.fail("opened")


# --- Deaf sockets ---------------------------------------------------------------------------------


async def test_a_socket_that_goes_deaf_during_a_job_is_exchanged(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.open_job(prompts.slow(100, delay=1)) as job:
        await trio.sleep(1)
        await go_deaf(comfy, server)
        before = upgrades(server)
        heard = [event.value async for event in job.events() if isinstance(event, Progress)]
        assert (await job.wait())["9"]
    assert upgrades(server) == before + 1
    assert len(heard) > 60
    assert server.statistics().sockets == 1


async def test_a_socket_that_went_deaf_costs_one_job_its_frames(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    await go_deaf(comfy, server)
    before = upgrades(server)
    assert (await comfy.run(prompts.image()))["9"]
    await comfy.wait_connection_state(ConnectionState.RECONNECTING)
    await comfy.wait_connection_state(ConnectionState.CONNECTED)
    began = trio.current_time()
    for _ in range(5):
        async with comfy.open_job(prompts.slow(3)) as job:
            events = [type(event) async for event in job.events()]
            assert NodeStarted in events
    assert upgrades(server) == before + 1
    assert trio.current_time() - began < 5


async def test_a_node_that_has_nothing_to_tell_costs_few_sockets(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    await comfy.run({"1": prompts.node("Brood", seconds=1800.0)})
    assert 1 < upgrades(server) < 10  # after 20 s, 40, 80, 160, 320, 320, ...


async def test_a_first_socket_is_spared_while_pictures_may_come(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    prompt = prompts.image()
    prompt["3"] = prompts.node("Brood", seconds=600.0, image=["2", 0])
    prompt["9"] = prompts.node("SaveImageWebsocket", images=["3", 0])
    assert (await comfy.run(prompt)).received
    assert upgrades(server) == 1


async def test_pictures_that_came_before_the_socket_was_back_are_missed_aloud(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.answer("GET /ws", 503, times=3)
    server.faults.drop_sockets()
    await comfy.wait_connection_state(ConnectionState.RECONNECTING)
    prompt = prompts.slow(150)
    prompt["9"] = prompts.node("SaveImageWebsocket", images=["1", 0])
    with pytest.raises(PicturesLostError, match="the WebSocket was away when it was sent"):
        await comfy.run(prompt)
    assert comfy.connection_state is ConnectionState.CONNECTED


async def test_the_old_socket_is_closed_before_the_new_one_opens(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    most = 0

    async def count() -> None:
        nonlocal most
        while True:
            most = max(most, server.statistics().sockets)
            await trio.sleep(0.001)

    policy = ReconnectPolicy(base=0.01, cap=0.01)
    async with open_comfy(server.url, transport=server.transport, reconnect=policy) as comfy:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            for _ in range(20):
                comfy._session.connection.exchange("the test wants it")
                await comfy.wait_connection_state(ConnectionState.RECONNECTING)
                await comfy.wait_connection_state(ConnectionState.CONNECTED)
            nursery.cancel_scope.cancel()
    assert upgrades(server) == 21
    assert most == 1


async def test_each_new_socket_is_told_what_this_client_can_do(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    """Only who announced it is told whose a preview is."""
    async with open_comfy(server.url, transport=server.transport) as comfy:
        for _ in range(3):
            job = await comfy.submit(prompts.slow(3))
            previews = [each async for each in job.events() if isinstance(each, Preview)]
            assert previews
            assert all(preview.metadata for preview in previews)
            server.faults.drop_sockets()
            await comfy.wait_connection_state(ConnectionState.RECONNECTING)
            await comfy.wait_connection_state(ConnectionState.CONNECTED)


# --- What is told ---------------------------------------------------------------------------------


async def read(changes: Subscription[ConnectionChanged]) -> list[tuple[str, int]]:
    return [(change.state.value, change.attempt) async for change in changes]


async def test_changes(autojump_clock: MockClock, server: EmbeddedServer) -> None:
    policy = ReconnectPolicy(attempts=2, cap=100, jitter=0)
    async with open_comfy(server.url, transport=server.transport, reconnect=policy) as comfy:
        changes = comfy.connection_changes()
        server.faults.answer("GET /ws", 503, times=3)
        server.faults.drop_sockets()
        await comfy.wait_connection_state(ConnectionState.FAILED)
        began = trio.current_time()
        await comfy.wait_connection_state(ConnectionState.CONNECTED)
        assert trio.current_time() - began == pytest.approx(200)
        late = comfy.connection_changes()
    assert await read(late) == [("connected", 0), ("disconnected", 0)]
    assert await read(changes) == [
        ("connected", 0),
        ("reconnecting", 0),
        *(("reconnecting", 1), ("reconnecting", 2)),
        *(("failed", 2), ("failed", 3)),
        ("connected", 0),
        ("disconnected", 0),
    ]
    assert await read(comfy.connection_changes()) == [("disconnected", 0)]
    with pytest.raises(trio.ClosedResourceError, match="block is over"):
        await comfy.wait_connection_state(ConnectionState.CONNECTED)


async def test_a_change_tells_why(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    changes = comfy.connection_changes()
    server.faults.close_sockets(1001)
    await comfy.wait_connection_state(ConnectionState.RECONNECTING)
    assert (await anext(changes)).reason is None
    assert (await anext(changes)).reason == "WebSocket closed with code 1001"


async def test_who_waits_is_told_of_the_end(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    async with trio.open_nursery() as nursery:
        async with open_comfy(server.url, transport=server.transport) as comfy:

            @nursery.start_soon
            async def wait() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await comfy.wait_connection_state(ConnectionState.FAILED)

            await trio.testing.wait_all_tasks_blocked()


# --- How it is brought back -----------------------------------------------------------------------


async def test_a_connection_that_failed_is_brought_back_later(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    policy = ReconnectPolicy(attempts=3)
    async with open_comfy(server.url, transport=server.transport, reconnect=policy) as comfy:
        job = await comfy.submit(prompts.slow())
        server.stop()
        with pytest.raises(DisconnectedError):
            await job.wait()
        assert comfy.connection_state is ConnectionState.FAILED
        with pytest.raises(ServerUnreachableError):
            await comfy.run(prompts.image())
        await trio.sleep(HANGS)
        server.start()
        with trio.fail_after(16):
            await comfy.wait_connection_state(ConnectionState.CONNECTED)
        events = comfy.server_events()
        assert (await comfy.run(prompts.image()))["9"]
        assert isinstance(await anext(events), FeatureFlags | Status)


async def test_pauses_of_ones_own(autojump_clock: MockClock, server: EmbeddedServer) -> None:
    asked: list[int] = []

    def pause(attempt: int) -> float:
        asked.append(attempt)
        return 7

    policy = ReconnectPolicy(attempts=2, pauses=pause)
    async with open_comfy(server.url, transport=server.transport, reconnect=policy) as comfy:
        server.faults.answer("GET /ws", 503, times=4)
        server.faults.drop_sockets()
        began = trio.current_time()
        await comfy.wait_connection_state(ConnectionState.FAILED)
        assert trio.current_time() - began == 14
        await comfy.wait_connection_state(ConnectionState.CONNECTED)
        assert trio.current_time() - began == 35
    assert asked == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("wrong", [math.nan, None, "soon"])
async def test_pauses_of_ones_own_that_are_none(
    wrong: Any, autojump_clock: MockClock, server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    def raises(attempt: int) -> float:
        raise ZeroDivisionError

    def returns(attempt: int) -> float:
        value: float = wrong
        return value

    for pauses in (returns, raises):
        policy = ReconnectPolicy(pauses=pauses)
        async with open_comfy(server.url, transport=server.transport, reconnect=policy) as comfy:
            server.faults.drop_sockets()
            await comfy.wait_connection_state(ConnectionState.RECONNECTING)
            await comfy.wait_connection_state(ConnectionState.CONNECTED)
    assert "pauses of the ReconnectPolicy" in caplog.text


async def test_no_state_is_never_reached(comfy: Comfy, autojump_clock: MockClock) -> None:
    with pytest.raises(ValueError, match="name the states"):
        await comfy.wait_connection_state()


# --- No WebSocket at the start --------------------------------------------------------------------


async def test_a_client_without_a_websocket(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    server.faults.answer("GET /ws", 503, times=math.inf)
    options: dict[str, Any] = {"transport": server.transport, "require_websocket": False}
    async with open_comfy(server.url, **options) as comfy:
        assert comfy.connection_state is ConnectionState.RECONNECTING
        results = [await comfy.run(prompts.slow(5)) for _ in range(3)]
        assert all(result["9"] for result in results)
        with pytest.raises(Exception, match="Boom"):
            await comfy.run(prompts.failing())
        with trio.move_on_after(5):
            await comfy.run(prompts.slow())
        assert server.statistics().running == 0
        server.faults.clear()
        with trio.fail_after(16):
            await comfy.wait_connection_state(ConnectionState.CONNECTED)
        async with comfy.open_job(prompts.slow(3)) as job:
            events: list[JobEvent] = [event async for event in job.events()]
        assert any(isinstance(event, NodeStarted) for event in events)


async def test_a_server_that_is_not_there_is_no_websocket_that_is_not_there(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    server.stop()
    options: dict[str, Any] = {"transport": server.transport, "require_websocket": False}
    with pytest.raises(ServerUnreachableError):
        async with open_comfy(server.url, **options):
            pytest.fail("opened")


async def test_upgrades_that_are_never_answered(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    server.faults.hang("GET /ws", times=math.inf)
    options: dict[str, Any] = {"transport": server.transport, "require_websocket": False}
    async with open_comfy(server.url, **options) as comfy:
        assert (await comfy.run(prompts.slow(5)))["9"]
    with pytest.raises(ServerUnreachableError):
        async with open_comfy(server.url, transport=server.transport):
            pytest.fail("opened")


# --- Again and again ------------------------------------------------------------------------------


async def test_ten_drops_in_one_job(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.open_job(prompts.slow(120)) as job:
        for number in range(10):
            await trio.sleep(1)
            server.faults.drop_sockets(noticed=number % 2 == 0)
            server.faults.notice_lost_sockets()
        assert (await job.wait())["9"]
        assert job.percent == 100
    assert server.statistics().requests["POST /prompt"] == 1


@pytest.mark.parametrize("seed", range(5))
async def test_a_proxy_that_drops_idle_sockets(
    seed: int, autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def drop() -> None:
            await trio.sleep(seed / 10)
            while True:
                await trio.sleep(5)
                server.faults.close_sockets(1006 if seed % 2 else 1001)

        for seconds in (1, 4, 12, 40):
            assert (await comfy.run(prompts.slow(1, delay=seconds, preview=0)))["9"]
        nursery.cancel_scope.cancel()
