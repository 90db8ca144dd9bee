"""The front in memory, by itself and around small applications of its own."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from comfy_trio._transport import WebSocketClosed, WebSocketRejected, WebSocketUnreachable
from comfy_trio.testing import EmbeddedServer, Faults, MemoryTransport, open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import ASGIApp, Receive, Scope, Send
    from trio.testing import MockClock

URL = "http://embedded.invalid"


@asynccontextmanager
async def transport_to(app: ASGIApp) -> AsyncGenerator[MemoryTransport, None]:
    with trio.fail_after(10**6):  # noqa: ASYNC100  # the block that yields waits
        async with trio.open_nursery() as nursery:
            transport = MemoryTransport(app, nursery, Faults())
            yield transport
            transport._shut_down()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def http_to(app: ASGIApp) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with (
        transport_to(app) as transport,
        httpx.AsyncClient(transport=transport.http_transport(), base_url=URL) as http,
    ):
        yield http


def connect(transport: MemoryTransport, query: str = "", max_message_size: int = 2**20) -> Any:
    return transport.open_websocket(
        f"ws://embedded.invalid/ws{query}", headers=[], max_message_size=max_message_size
    )


async def start(send: Send, **headers: str) -> None:
    raw = [(key.encode(), value.encode()) for key, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})


async def test_bodies_stream_both_ways(autojump_clock: MockClock) -> None:
    events: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["path"] == "/a b"
        assert scope["query_string"] == b"c=%20"
        chunks: list[bytes] = []
        while True:
            message = await receive()
            if not message["more_body"]:
                break
            events.append(f"got {len(message['body'])}")
            chunks.append(message["body"])
        await start(send, x="y")
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await trio.sleep(1)
        await send({"type": "http.response.body"})

    async def body() -> AsyncGenerator[bytes, None]:  # noqa: ASYNC900
        for size in (1, 2, 3):
            events.append(f"made {size}")
            yield b"x" * size
            await trio.sleep(1)

    async with http_to(app) as http, http.stream("POST", "/a b?c=%20", content=body()) as reply:
        assert reply.headers["x"] == "y"
        assert trio.current_time() == 3
        sizes = [len(chunk) async for chunk in reply.aiter_raw()]
        assert [size for size in sizes if size] == [1, 2, 3]
        assert trio.current_time() == 6
    assert events == ["made 1", "got 1", "made 2", "got 2", "made 3", "got 3"]


async def test_an_early_answer_ends_the_upload(autojump_clock: MockClock) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await start(send)
        await send({"type": "http.response.body", "body": b"enough"})

    async def endless() -> AsyncGenerator[bytes, None]:  # noqa: ASYNC900
        while True:
            yield b"x"

    async with http_to(app) as http:
        assert (await http.post("/", content=endless())).content == b"enough"


async def test_an_error_in_the_clients_body_comes_out_plain(autojump_clock: MockClock) -> None:
    told: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            told.append(kind)
            if kind == "http.disconnect":
                return

    async def bad() -> AsyncGenerator[bytes, None]:  # noqa: ASYNC900
        yield b"x"
        raise LookupError("the file is gone")

    async with http_to(app) as http:
        with pytest.raises(LookupError, match=r"^the file is gone$"):
            await http.post("/", content=bad())
        await wait_all_tasks_blocked()
    assert told == ["http.request", "http.disconnect"]


async def test_a_handler_outlives_a_client_that_gives_up(autojump_clock: MockClock) -> None:
    events: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await trio.sleep(10)
        events.append("took effect")
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        await start(send)
        with pytest.raises(OSError, match="the client has gone"):
            await send({"type": "http.response.body", "body": b"late"})
        events.append("over")

    async with http_to(app) as http:
        with trio.move_on_after(1):
            await http.get("/")
        await trio.sleep(20)
    assert events == ["took effect", "over"]


async def test_a_reply_that_is_not_read_stalls_its_handler_only(autojump_clock: MockClock) -> None:
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await start(send)
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                sent += 1
        except OSError:
            sent = -1

    async with http_to(app) as http:
        async with http.stream("GET", "/"):
            await wait_all_tasks_blocked()
            assert sent == 8
        await wait_all_tasks_blocked()
        assert sent == -1


async def test_a_handler_that_says_nothing(autojump_clock: MockClock) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/half":
            await start(send)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async with http_to(app) as http:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await http.get("/")
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
            await http.get("/half")


async def test_a_closed_server_is_unreachable(autojump_clock: MockClock) -> None:
    async with open_embedded_server() as server:
        transport = server.transport
        repr(transport)
    async with httpx.AsyncClient(transport=transport.http_transport()) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(URL)
    with pytest.raises(WebSocketUnreachable):
        async with connect(transport):
            pytest.fail("connected")


async def test_leaving_the_servers_block_breaks_what_is_open(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:

        async def listen(server: EmbeddedServer) -> None:
            async with connect(server.transport) as socket:
                await socket.receive()
                with pytest.raises(WebSocketClosed) as caught:
                    await socket.receive()
                assert caught.value.code == 1006

        async def ask(server: EmbeddedServer) -> None:
            server.faults.hang("GET /prompt")
            async with httpx.AsyncClient(transport=server.transport.http_transport()) as http:
                with pytest.raises(httpx.RemoteProtocolError):
                    await http.get(f"{server.url}/prompt")

        async with open_embedded_server() as server:
            nursery.start_soon(listen, server)  # noqa: ASYNC111
            nursery.start_soon(ask, server)  # noqa: ASYNC111
            await wait_all_tasks_blocked()


async def test_the_body_of_the_servers_block_raises_plainly(autojump_clock: MockClock) -> None:
    with pytest.raises(LookupError, match=r"^mine$"):
        async with open_embedded_server():
            raise LookupError("mine")
    with trio.move_on_after(1) as scope:
        async with open_embedded_server():
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_websocket(autojump_clock: MockClock) -> None:
    heard: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        heard.append(dict(scope["headers"])[b"x-mine"])
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
        await send({"type": "websocket.send", "bytes": b"\0"})
        while (message := await receive())["type"] == "websocket.receive":
            heard.append(message.get("text") or message["bytes"])
        heard.append(message["code"])

    async with transport_to(app) as transport:
        async with transport.open_websocket(
            "ws://embedded.invalid/ws", headers=[("X-Mine", "yes")], max_message_size=9
        ) as socket:
            assert await socket.receive() == "hello"
            assert await socket.receive() == b"\0"
            await socket.send("text")
            await socket.send(b"bytes")
            await socket.ping()
        assert heard == [b"yes", "text", b"bytes", 1000]
        for use in (socket.receive, socket.ping):
            with pytest.raises(WebSocketClosed):
                await use()
        with pytest.raises(WebSocketClosed):
            await socket.send("late")


async def test_a_message_too_large_closes(autojump_clock: MockClock) -> None:
    codes: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "12345"})
        codes.append((await receive())["code"])

    async with transport_to(app) as transport, connect(transport, max_message_size=4) as socket:
        with pytest.raises(WebSocketClosed) as caught:
            await socket.receive()
        assert caught.value.code == 1009
    assert codes == [1009]


async def test_refusals(autojump_clock: MockClock) -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close"})

    async def vanish(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    async with transport_to(refuse) as transport:
        with pytest.raises(WebSocketRejected) as caught:
            async with connect(transport):
                pytest.fail("connected")
        assert caught.value.status == 403
    async with transport_to(vanish) as transport:
        with pytest.raises(WebSocketUnreachable):
            async with connect(transport):
                pytest.fail("connected")


async def test_a_close_comes_after_what_was_sent_before(autojump_clock: MockClock) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(5):
            await send({"type": "websocket.send", "text": "x"})
        await send({"type": "websocket.close", "code": 1012, "reason": "back soon"})

    async with transport_to(app) as transport, connect(transport) as socket:
        await trio.sleep(1)
        assert [await socket.receive() for _ in range(5)] == ["x"] * 5
        with pytest.raises(WebSocketClosed, match=r"1012: back soon$") as caught:
            await socket.receive()
        assert caught.value.code == 1012


async def test_a_close_waits_for_the_server_in_bounded_time(autojump_clock: MockClock) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await trio.sleep(1000)

    async with transport_to(app) as transport:
        async with connect(transport):
            pass
        assert trio.current_time() == 1


async def test_the_handshake_and_only_on_the_first_frame(autojump_clock: MockClock) -> None:
    hello = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
    async with open_embedded_server() as server:
        async with connect(server.transport, "?clientId=a") as socket:
            await socket.receive()
            await socket.send(b"binary does not count")
            await socket.send(hello)
            assert json.loads(await socket.receive())["type"] == "feature_flags"
            await socket.send(hello)
            with trio.move_on_after(10) as scope:
                await socket.receive()
            assert scope.cancelled_caught
        async with connect(server.transport, "?clientId=b") as socket:
            await socket.receive()
            await socket.send("[]")  # neither a frame nor counted as the first
            await socket.send("{")
            await socket.send(hello)
            assert json.loads(await socket.receive())["type"] == "feature_flags"
        assert server.statistics().sockets == 0
