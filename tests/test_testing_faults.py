"""Misbehaviour, over memory."""

from __future__ import annotations

import json
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from comfy_trio._transport import WebSocketClosed, WebSocketRejected, WebSocketUnreachable
from comfy_trio.testing import EmbeddedServer, _hub, open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from comfy_trio._transport import WebSocket


@asynccontextmanager
async def open_client() -> AsyncGenerator[tuple[EmbeddedServer, httpx.AsyncClient], None]:
    with trio.fail_after(10**6):
        async with (
            open_embedded_server() as server,
            httpx.AsyncClient(
                transport=server.transport.http_transport(), base_url=server.url
            ) as http,
        ):
            yield server, http


def connect(server: EmbeddedServer, sid: str = "me", **headers: str) -> Any:
    return server.transport.open_websocket(
        f"ws://embedded.invalid/ws?clientId={sid}",
        headers=list(headers.items()),
        max_message_size=2**24,
    )


def prompt(salt: int = 0, steps: int = 2, delay: float = 1.0) -> dict[str, Any]:
    graph = {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
        },
        "2": {
            "class_type": "ProbeProgress",
            "inputs": {
                "image": ["1", 0],
                "steps": steps,
                "delay": delay,
                "preview_px": 0,
                "salt": salt,
            },
        },
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }
    return {"prompt": graph, "client_id": "me"}


async def hears_nothing(socket: WebSocket, seconds: float = 100.0) -> bool:
    with trio.move_on_after(seconds):
        await socket.receive()
        return False
    return True


async def test_canned_replies(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        server.faults.answer("GET /prompt", 502, "<html>Bad Gateway</html>", times=2)
        for path in ("/prompt", "/api/prompt"):
            reply = await http.get(path)
            assert reply.status_code == 502
            assert reply.text == "<html>Bad Gateway</html>"
            assert reply.headers["content-type"] == "text/html"
        assert (await http.get("/prompt")).status_code == 200
        server.faults.answer("*", 503, b"{", content_type="application/json", times=math.inf)
        for path in ("/prompt", "/history/x", "/nothing"):
            assert (await http.get(path)).status_code == 503
        server.faults.clear()
        assert (await http.get("/prompt")).status_code == 200


async def test_a_route_that_is_none(autojump_clock: MockClock) -> None:
    async with open_client() as (server, _):
        with pytest.raises(ValueError, match=r"^no such route: 'GET /promt'; there are [A-Z]+ /"):
            server.faults.hang("GET /promt")


@pytest.mark.parametrize("after", [False, True])
async def test_a_broken_connection(*, after: bool, autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        server.faults.break_connection("POST /prompt", after=after)
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post("/prompt", json=prompt())
        await trio.sleep(10)
        assert server.statistics().history == (1 if after else 0)
        assert server.statistics().connections == 0


@pytest.mark.parametrize("after", [False, True])
async def test_a_hanging_request(*, after: bool, autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        server.faults.hang("POST /prompt", after=after)
        with trio.move_on_after(50) as scope:
            await http.post("/prompt", json=prompt())
        assert scope.cancelled_caught
        await wait_all_tasks_blocked()
        assert server.statistics().history == (1 if after else 0)
        assert server.statistics().connections == 0


async def test_a_reply_that_contradicts_the_effect(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        server.faults.answer("POST /prompt", 504, "<html>Timeout</html>", after=True)
        assert (await http.post("/prompt", json=prompt())).status_code == 504
        await trio.sleep(10)
        assert server.statistics().history == 1


async def test_slowness(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        server.faults.slow("GET /history", 5.0)
        await http.get("/history")
        assert trio.current_time() == 5.0
        await http.get("/prompt")
        assert trio.current_time() == 5.0
        server.faults.delay = 1.0
        await http.get("/prompt")
        assert trio.current_time() == 6.0


async def test_refused_upgrades(autojump_clock: MockClock) -> None:
    async with open_client() as (server, _):
        server.faults.answer("GET /ws", 503, "busy")
        with pytest.raises(WebSocketRejected) as caught:
            async with connect(server):
                pytest.fail("connected")
        assert (caught.value.status, caught.value.body) == (503, b"busy")
        server.faults.break_connection("GET /ws")
        with pytest.raises(WebSocketUnreachable):
            async with connect(server):
                pytest.fail("connected")
        server.faults.hang("GET /ws")
        with trio.move_on_after(10) as scope:
            async with connect(server):
                pytest.fail("connected")
        assert scope.cancelled_caught
        async with connect(server) as socket:
            await socket.receive()


async def test_credentials(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        server.faults.required_headers["Authorization"] = "Bearer secret"
        assert (await http.get("/prompt")).status_code == 401
        headers = {"authorization": "Bearer secret"}
        assert (await http.get("/prompt", headers=headers)).status_code == 200
        with pytest.raises(WebSocketRejected) as caught:
            async with connect(server, Authorization="Bearer wrong"):
                pytest.fail("connected")
        assert caught.value.status == 401
        async with connect(server, Authorization="Bearer secret") as socket:
            await socket.receive()


async def test_closing_sockets(autojump_clock: MockClock) -> None:
    async with open_client() as (server, _), connect(server) as socket:
        await socket.receive()
        assert server.faults.close_sockets(1012) == 1
        with pytest.raises(WebSocketClosed) as caught:
            await socket.receive()
        assert caught.value.code == 1012


async def test_dropping_sockets(autojump_clock: MockClock) -> None:
    async with open_client() as (server, _), connect(server) as socket:
        await socket.receive()
        async with trio.open_nursery() as nursery:

            async def ping() -> None:
                with pytest.raises(WebSocketClosed):
                    await socket.ping()

            server.faults.stop_reading()
            nursery.start_soon(ping)
            await wait_all_tasks_blocked()
            assert server.faults.drop_sockets() == 1
        server.faults.resume_reading()
        with pytest.raises(WebSocketClosed) as caught:
            await socket.receive()
        assert caught.value.code == 1006
        await wait_all_tasks_blocked()
        assert server.statistics().sockets == 0


async def test_the_reconnect_deafness_of_the_real_server(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        async with connect(server) as lost:
            await lost.receive()
            server.faults.drop_sockets(noticed=False)
            with pytest.raises(WebSocketClosed):
                await lost.receive()
            with pytest.raises(WebSocketClosed):
                await lost.send("x")
            assert server.statistics().sockets == 1
            async with connect(server) as again:
                await again.receive()
                assert (server.statistics().sockets, server.statistics().reachable) == (2, 1)
                await http.post("/queue", json={"clear": True})
                assert not await hears_nothing(again)
                server.faults.notice_lost_sockets()
                await wait_all_tasks_blocked()
                assert (server.statistics().sockets, server.statistics().reachable) == (1, 0)
                await http.post("/prompt", json=prompt())
                assert await hears_nothing(again)
                await again.ping()
        async with connect(server) as fresh:
            await fresh.receive()
            assert server.statistics().reachable == 1


async def test_frames_to_a_peer_that_nobody_knows_to_be_gone(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http), connect(server) as socket:
        await socket.receive()
        server.faults.drop_sockets(noticed=False)
        await http.post("/prompt", json=prompt())
        await trio.sleep(100)
        assert server.statistics().history == 1
        server.faults.notice_lost_sockets()
        await wait_all_tasks_blocked()
        assert server.statistics().sockets == 0


async def test_deafness(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http), connect(server) as socket:
        await socket.receive()
        server.faults.deaf = True
        await http.post("/prompt", json=prompt())
        assert await hears_nothing(socket)
        await socket.ping()
        server.faults.deaf = False
        await http.post("/queue", json={"clear": True})
        assert not await hears_nothing(socket)


async def test_not_reading(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http), connect(server) as socket:
        await socket.receive()
        server.faults.stop_reading()
        server.faults.stop_reading()
        await trio.sleep(1)
        with trio.move_on_after(10) as scope:
            for _ in range(100):
                await socket.send("x")
        assert scope.cancelled_caught
        with trio.move_on_after(10) as scope:
            await http.post("/upload/image", files={"image": ("a.bin", b"x" * 100_000)})
        assert scope.cancelled_caught
        server.faults.resume_reading()
        await socket.ping()


async def connect_lazily(  # noqa: ASYNC114
    server: EmbeddedServer, task_status: trio.TaskStatus[None]
) -> None:
    """Be a client that never reads."""
    async with connect(server, "lazy"):
        task_status.started()
        await trio.sleep_forever()


async def test_a_client_that_does_not_read_hurts_nobody(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_hub, "MAX_FRAMES", 30)
    async with open_client() as (server, http), connect(server) as socket:
        async with trio.open_nursery() as nursery:
            await nursery.start(connect_lazily, server)
            for _ in range(100):
                await http.post("/queue", json={"clear": True})
                await socket.receive()
            assert server.statistics().sockets == 1  # the other one was closed
            nursery.cancel_scope.cancel()
        assert await hears_nothing(socket) is False


async def test_a_frame_of_any_size_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hub, "MAX_BYTES", 1000)
    overflows: list[int] = []
    outbox = _hub.Outbox("me", lambda: overflows.append(1))
    frames = [b"small" * 10, b"large" * 1000, b"small" * 150, b"small" * 20, b"large" * 1000]
    for frame in frames:
        outbox.put(frame)
    assert len(overflows) == 1
    assert [await outbox.get() for _ in range(4)] == frames[:4]


async def test_a_client_that_does_not_read_stalls_all_if_asked_to(
    autojump_clock: MockClock,
) -> None:
    async with open_client() as (server, http), connect(server) as socket:
        await socket.receive()
        server.faults.stalling = True
        async with trio.open_nursery() as nursery:
            await nursery.start(connect_lazily, server)
            heard = 0
            for _ in range(100):
                await http.post("/queue", json={"clear": True})
            with trio.move_on_after(100):
                while True:
                    await socket.receive()
                    heard += 1
            assert 0 < heard < 20
            nursery.cancel_scope.cancel()
        for _ in range(100 - heard):
            await socket.receive()


async def test_a_client_that_connects_again_is_told_what_runs(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        await http.post("/prompt", json=prompt(delay=50.0))
        await trio.sleep(1)
        async with connect(server) as socket:
            status, executing = [json.loads(await socket.receive()) for _ in range(2)]
            assert status["data"]["sid"] == "me"
            assert status["data"]["status"] == {"exec_info": {"queue_remaining": 1}}
            assert executing == {"type": "executing", "data": {"node": "2"}}
        async with connect(server, "other") as socket:
            await socket.receive()
            frame = json.loads(await socket.receive())
            assert frame["type"] == "status"


async def test_nothing_is_replayed_to_a_client_that_was_away(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        await http.post("/prompt", json=prompt())
        await trio.sleep(100)
        async with connect(server) as socket:
            await socket.receive()
            assert await hears_nothing(socket)


async def test_a_server_that_is_stopped_refuses_until_it_is_started(
    autojump_clock: MockClock,
) -> None:
    async with open_client() as (server, http):
        await http.post("/prompt", json={"prompt": prompt()})
        async with connect(server) as socket:
            server.stop()
            with pytest.raises(WebSocketClosed):
                while True:
                    await socket.receive()
        with pytest.raises(httpx.ConnectError) as refused:
            await http.get("/queue")
        assert isinstance(refused.value.__cause__, ConnectionRefusedError)
        with pytest.raises(WebSocketUnreachable) as unreachable:
            async with connect(server):
                pytest.fail("connected")
        assert isinstance(unreachable.value.__cause__, ConnectionRefusedError)
        server.start()
        assert (await http.get("/queue")).json() == {"queue_running": [], "queue_pending": []}


async def test_a_request_under_way_has_no_effect_on_a_server_that_is_stopped(
    autojump_clock: MockClock,
) -> None:
    async with open_client() as (server, http), trio.open_nursery() as nursery:
        server.faults.delay = 5

        @nursery.start_soon
        async def post() -> None:
            with pytest.raises(httpx.RemoteProtocolError):
                await http.post("/prompt", json={"prompt": prompt()})

        await wait_all_tasks_blocked()
        server.stop()
        server.start()
        await trio.sleep(10)
        assert server.statistics().pending + server.statistics().running == 0


async def test_a_server_that_is_stopped_breaks_what_comes_over_tcp() -> None:
    async with open_embedded_server() as server, server.listen() as url:
        async with httpx.AsyncClient() as http:
            server.stop()
            with pytest.raises(httpx.RequestError):
                await http.get(f"{url}/queue")
            server.start()
            assert (await http.get(f"{url}/queue")).status_code == 200
