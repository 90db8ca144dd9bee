"""What is too large is refused with a sentence that says so, and what is not comes through."""

from __future__ import annotations

import json
import math
import struct
import tracemalloc
import zlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import prompts
import pytest
import trio
import wsproto
import wsproto.events
from loopback import listening

from comfy_trio import (
    Comfy,
    EnqueueFailedError,
    ErrorCode,
    Failed,
    PicturesLostError,
    ReconnectPolicy,
    ReplyTooLargeError,
    ResponseError,
    WebSocketClosed,
    open_comfy,
)
from comfy_trio._address import parse_address
from comfy_trio._network import NetworkTransport
from comfy_trio._routes._queue import QUEUE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from trio.testing import MockClock

    from comfy_trio import WebSocket
    from comfy_trio.testing import EmbeddedServer

MIB = 2**20
DEADLINE = 60


# --- Messages of the WebSocket --------------------------------------------------------------------


@asynccontextmanager
async def sending(head: bytes, body: bytes, count: int) -> AsyncGenerator[str, None]:
    """Serve a WebSocket on which one message comes: `head`, and `body` so many times."""

    async def handle(stream: trio.SocketStream) -> None:
        connection = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        async with stream:
            while data := await stream.receive_some():
                connection.receive_data(bytes(data))
                for event in connection.events():
                    if not isinstance(event, wsproto.events.Request):
                        return
                    await stream.send_all(connection.send(wsproto.events.AcceptConnection()))
                    await stream.send_all(head)
                    try:
                        for _ in range(count):
                            await stream.send_all(body)
                    except trio.BrokenResourceError:
                        return

    async with listening(handle) as url:
        yield url


async def receive(url: str, limit: int) -> str | bytes:
    address, _ = parse_address(url)
    transport = NetworkTransport.to(address, None)
    with trio.fail_after(DEADLINE):
        async with transport.open_websocket(
            address.websocket_url("me"), headers=[], max_message_size=limit
        ) as websocket:
            return await websocket.receive()


@pytest.mark.parametrize("opcode", [1, 2])
async def test_a_message_of_256_mib(opcode: int) -> None:
    size = 256 * MIB
    head = struct.pack(">BBQ", 0x80 | opcode, 127, size)
    async with sending(head, b"x" * MIB, 256) as url:
        message = await receive(url, size)
        assert len(message) == size
        assert message[-1:] in {"x", b"x"}
        del message
        with pytest.raises(WebSocketClosed) as caught:
            await receive(url, size - 1)
        assert caught.value.code == WebSocketClosed.MESSAGE_TOO_BIG


def picture(size: int) -> dict[str, Any]:
    """A prompt whose picture, of noise, comes over the WebSocket."""
    prompt = prompts.slow(5)
    prompt["2"] = prompts.node("EmptyImage", width=size, height=size, batch_size=1, color=1)
    prompt["9"] = prompts.node("SaveImageWebsocket", images=["2", 0])
    return prompt


async def test_a_picture_over_the_limit_ends_its_job_with_an_error(
    autojump_clock: MockClock, server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The socket comes back, and what comes after the picture is not lost."""
    async with open_comfy(server.url, transport=server.transport, max_message_size=5000) as comfy:
        assert len((await comfy.run(picture(64))).received["9"]) == 1
        big = picture(4096)
        big["10"] = prompts.node("SaveImage", images=["2", 0], filename_prefix="kept")
        async with comfy.open_job(big) as job:
            with pytest.raises(PicturesLostError, match=r"node 9 \(SaveImageWebsocket\)") as caught:
                await job.wait()
            error = caught.value
            last = [event async for event in job.events()][-1]
        assert isinstance(last, Failed)
        assert error.code is ErrorCode.PICTURES_LOST
        assert error.node_ids == ("9",)
        assert error.result["10"]["images"]
        told = (
            "a message was larger than 5000 bytes (WebSocket code 1009). A larger max_message_size"
        )
        for text in (str(error), caplog.text):
            assert told in text
        await trio.sleep(1)
        assert comfy.connection_state.value == "connected"
        assert len((await comfy.run(picture(64))).received["9"]) == 1


async def test_a_message_over_the_limit_does_no_harm_to_who_loses_nothing(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    prompt = prompts.slow(5)
    prompt["3"] = prompts.node("ProbeBigPreview", image=["2", 0], side=256, count=1, salt=1)
    prompt["9"]["inputs"]["images"] = ["3", 0]
    async with open_comfy(
        server.url, transport=server.transport, max_message_size=100_000
    ) as comfy:
        assert (await comfy.run(prompt))["9"]["images"]
        # A job that waited in the queue meanwhile is watched from the new connection.
        first = await comfy.submit({**prompt, "5": prompts.node("EmptyImage", width=8, height=8)})
        second = await comfy.submit(picture(64))
        await first.wait()
        assert len((await second.wait()).received["9"]) == 1


@pytest.mark.parametrize("moment", [0.05, 0.3])
async def test_a_socket_that_drops_before_or_after_the_picture_loses_none(
    autojump_clock: MockClock, server: EmbeddedServer, moment: float
) -> None:
    """Before: the node is seen to run on the next socket. After: its pictures are here."""
    prompt = prompts.slow(30, delay=0.1)
    prompt["9"] = prompts.node("SaveImageWebsocket", images=["2", 0])
    async with open_comfy(server.url, transport=server.transport) as comfy:
        async with comfy.open_job(prompt) as job:
            await trio.sleep(moment)
            server.faults.drop_sockets()
            assert len((await job.wait()).received["9"]) == 1


async def test_a_socket_that_is_away_while_the_picture_is_sent(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    prompt = prompts.slow(10, delay=0.1)
    prompt["10"] = prompts.node("SaveImageWebsocket", images=["3", 0])
    away = ReconnectPolicy(base=3)
    async with open_comfy(server.url, transport=server.transport, reconnect=away) as comfy:
        async with comfy.open_job(prompt) as job:
            await trio.sleep(0.3)
            server.faults.answer("GET /ws", 503)
            server.faults.drop_sockets()
            with pytest.raises(PicturesLostError, match="did not arrive"):
                await job.wait()


class Slow:
    """A WebSocket on which large messages take half a minute, as on a slow network."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._idle = trio.Event()
        self._idle.set()

    async def send(self, message: str | bytes) -> None:
        await self._websocket.send(message)

    async def receive(self) -> str | bytes:
        message = await self._websocket.receive()
        if len(message) > 5000:
            self._idle = trio.Event()
            await trio.sleep(30)
            self._idle.set()
        return message

    async def ping(self) -> None:
        await self._websocket.ping()
        await self._idle.wait()


async def test_a_picture_that_is_slow_is_waited_for(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    """The history tells of the job's end before its frames have come."""

    @asynccontextmanager
    async def slowly(url: str, **more: Any) -> AsyncGenerator[Slow, None]:
        async with server.transport.open_websocket(url, **more) as websocket:
            yield Slow(websocket)

    async with open_comfy(
        server.url, http_transport=server.transport.http_transport(), websocket=slowly
    ) as comfy:
        result = await comfy.run(picture(4096))
        assert len(result.received["9"]) == 1
        assert trio.current_time() >= 30


async def test_a_deaf_socket_brings_no_pictures_and_does_not_hang(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.deaf = True
    with pytest.raises(PicturesLostError, match="told nothing of its end"):
        await comfy.run(picture(64))
    assert trio.current_time() < 60
    server.faults.deaf = False
    assert len((await comfy.run(picture(64))).received["9"]) == 1


async def test_a_peer_that_answers_no_pings_is_not_waited_for_for_ever(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    class Mute(Slow):
        async def ping(self) -> None:
            await trio.sleep_forever()

    @asynccontextmanager
    async def mutely(url: str, **more: Any) -> AsyncGenerator[Slow, None]:
        async with server.transport.open_websocket(url, **more) as websocket:
            yield Mute(websocket)

    async with open_comfy(
        server.url, http_transport=server.transport.http_transport(), websocket=mutely
    ) as comfy:
        server.faults.deaf = True
        with pytest.raises(PicturesLostError):
            await comfy.run(picture(64))
        assert 300 <= trio.current_time() < 400
        assert (await comfy.run(prompts.image()))["9"]
        assert trio.current_time() < 450


# --- Replies of HTTP ------------------------------------------------------------------------------


class Endless(httpx.AsyncByteStream):
    """A body that never ends, unless after so many pieces."""

    def __init__(self, piece: bytes, count: float = math.inf) -> None:
        self._piece = piece
        self.count = count
        self.sent = 0
        self.closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if self.closed or self.sent >= self.count:
            raise StopAsyncIteration
        self.sent += 1
        return self._piece

    async def aclose(self) -> None:
        self.closed = True


@asynccontextmanager
async def open_on(
    server: EmbeddedServer, **options: Any
) -> AsyncGenerator[tuple[Comfy, dict[str, Callable[[], httpx.Response]]], None]:
    """Open a client of the embedded server, of which some routes answer otherwise."""
    answers: dict[str, Callable[[], httpx.Response]] = {}
    inner = server.transport.http_transport()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path in answers:
            return answers[request.url.path]()
        return await inner.handle_async_request(request)

    async with open_comfy(
        server.url,
        http_transport=httpx.MockTransport(answer),
        websocket=server.transport.open_websocket,
        **options,
    ) as comfy:
        yield comfy, answers


async def test_a_body_that_never_ends(server: EmbeddedServer) -> None:
    async with open_on(server, max_reply_size=10 * MIB) as (comfy, answers):
        body = Endless(b"x" * 100_000)
        answers["/api/queue"] = lambda: httpx.Response(200, stream=body)
        with pytest.raises(ReplyTooLargeError, match="more than 10485760 bytes") as caught:
            await comfy._session.http.request(QUEUE)
        assert "max_reply_size" in str(caught.value)
        assert caught.value.url.endswith("/api/queue")
        assert caught.value.snippet == "x" * 500
        assert 10 * MIB < body.sent * 100_000 < 11 * MIB
        assert body.closed


async def test_a_body_that_is_announced_as_too_large_is_not_read(server: EmbeddedServer) -> None:
    async with open_on(server, max_reply_size=MIB) as (comfy, answers):
        body = Endless(b"x" * 1000)
        headers = {"content-length": str(MIB + 1)}
        answers["/api/queue"] = lambda: httpx.Response(200, stream=body, headers=headers)
        with pytest.raises(ReplyTooLargeError):
            await comfy._session.http.request(QUEUE)
        assert body.sent <= 1


async def test_a_body_at_the_limit(server: EmbeddedServer) -> None:
    async with open_on(server, max_reply_size=MIB) as (comfy, answers):
        body = Endless(b"x" * 1024, 1024)
        answers["/api/queue"] = lambda: httpx.Response(200, stream=body)
        assert len((await comfy._session.http.request(QUEUE)).content) == MIB


async def test_a_body_that_swells(server: EmbeddedServer) -> None:
    """Zeros, which compress to a thousandth."""
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(bytes(MIB)) for _ in range(128)) + packer.flush()
    async with open_on(server, max_reply_size=10 * MIB) as (comfy, answers):
        headers = {"content-encoding": "gzip"}
        answers["/api/queue"] = lambda: httpx.Response(
            200, stream=httpx.ByteStream(bomb), headers=headers
        )
        tracemalloc.start()
        with pytest.raises(ReplyTooLargeError):
            await comfy._session.http.request(QUEUE)
        assert tracemalloc.get_traced_memory()[1] < 30 * MIB
        tracemalloc.stop()


async def test_the_text_of_an_error_is_read_only_as_far_as_it_may_tell_something(
    server: EmbeddedServer,
) -> None:
    async with open_on(server) as (comfy, answers):
        body = Endless(b"oops " * 20_000, 2000)  # 200 MB
        answers["/api/queue"] = lambda: httpx.Response(500, stream=body)
        tracemalloc.start()
        reply = await comfy._session.http.request(QUEUE)
        assert tracemalloc.get_traced_memory()[1] < 20 * MIB
        tracemalloc.stop()
        assert reply.status == 500
        assert reply.summary().snippet.startswith("oops oops")
        assert body.sent < 100
        assert body.closed
        answers["/api/view"] = lambda: httpx.Response(500, stream=Endless(b"oops " * 20_000))
        with pytest.raises(ResponseError, match="oops oops"):
            await comfy.file.download({"filename": "a"}, "/nonexistent/comfy_trio")


async def test_long_reasons_of_a_refusal_are_read_whole(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    errors: dict[str, Any] = {
        str(number): {
            "class_type": "K",
            "errors": [{"type": "t", "message": "m" * 1000, "details": "", "extra_info": {}}],
            "dependent_outputs": [],
        }
        for number in range(2000)
    }
    refusal = json.dumps({"error": {"type": "t", "message": "no"}, "node_errors": errors})
    assert len(refusal) > 2 * MIB
    async with open_on(server) as (comfy, answers):
        answers["/api/prompt"] = lambda: httpx.Response(400, content=refusal.encode())
        with pytest.raises(EnqueueFailedError) as caught:
            await comfy.run(prompts.image())
        assert len(caught.value.node_errors) == 2000


async def test_files_may_be_larger(server: EmbeddedServer, tmp_path: Any) -> None:
    async with open_on(server, max_reply_size=MIB) as (comfy, answers):
        answers["/api/view"] = lambda: httpx.Response(200, stream=Endless(b"x" * MIB, 20))
        path = await comfy.file.download({"filename": "a.bin"}, tmp_path)
        assert (await path.stat()).st_size == 20 * MIB
        assert len(await comfy.file.read({"filename": "a.bin"})) == 20 * MIB
