"""The WebSocket over real sockets on loopback."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import prompts
import pytest
import trio

from comfy_trio import (
    NotComfyUIError,
    ReconnectPolicy,
    Transport,
    WebSocketClosed,
    WebSocketRejected,
    WebSocketUnreachable,
    open_comfy,
    wire,
)
from comfy_trio._address import parse_address
from comfy_trio._network import NetworkTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfy_trio.testing import EmbeddedServer

DEADLINE = 60
"""Seconds that no test here should ever need."""


def network(url: str) -> tuple[Transport, str]:
    """Return a way to a server, and the URL of its WebSocket."""
    address, _ = parse_address(url)
    return NetworkTransport.to(address, None), address.websocket_url("me")


async def connect(url: str) -> None:
    transport, websocket_url = network(url)
    with trio.fail_after(DEADLINE):
        async with transport.open_websocket(
            websocket_url, headers=[("X-Key", "k")], max_message_size=2**20
        ):
            pytest.fail("connected")


async def test_a_conversation(server: EmbeddedServer) -> None:
    server.faults.required_headers["X-Key"] = "k"
    with trio.fail_after(DEADLINE):
        async with server.listen() as url:
            transport, websocket_url = network(url)
            async with transport.open_websocket(
                websocket_url, headers=[("X-Key", "k")], max_message_size=2**20
            ) as websocket:
                await websocket.send(wire.feature_flags_frame())
                greeting = wire.decode_frame(await websocket.receive())
                assert greeting == wire.Status(0, "me")
                assert isinstance(wire.decode_frame(await websocket.receive()), wire.FeatureFlags)
                await websocket.ping()
            for attempt in (websocket.send("x"), websocket.receive(), websocket.ping()):
                with pytest.raises(WebSocketClosed):
                    await attempt


async def test_a_refused_upgrade(server: EmbeddedServer) -> None:
    async with server.listen() as url:
        server.faults.answer("GET /ws", 403, "go away")
        with pytest.raises(WebSocketRejected, match="HTTP status 403") as caught:
            await connect(url)
        assert caught.value.status == 403


async def test_nobody_listens(server: EmbeddedServer) -> None:
    async with server.listen() as url:
        pass
    with pytest.raises(WebSocketUnreachable):
        await connect(url)


def saying(answer: bytes) -> Callable[[trio.SocketStream], object]:
    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            with suppress(trio.BrokenResourceError):
                await stream.send_all(answer)

    return handle


REFUSALS: list[tuple[bytes, int, bytes]] = [
    (b"HTTP/1.1 401 No\r\ncontent-length: 4\r\n\r\nbody", 401, b"body"),
    (b"HTTP/1.1 401 No\r\ncontent-length: 400\r\n\r\nbody", 401, b"body"),  # and hangs up
    (b"HTTP/1.1 503 Busy\r\ncontent-length: 999999999\r\n\r\n" + b"x" * 200_000, 503, b"xxxx"),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 200, b""),
    (b"HTTP/1.0 404 Not Found\r\n\r\n", 404, b""),
]


@pytest.mark.parametrize(("answer", "status", "body"), REFUSALS)
async def test_refusals_whose_body_is_cut_or_never_ends(
    answer: bytes, status: int, body: bytes
) -> None:
    """trio-websocket alone would read all of it, and forget it if the connection breaks."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, saying(answer), 0)
        port = listeners[0].socket.getsockname()[1]
        with pytest.raises(WebSocketRejected) as caught:
            await connect(f"http://127.0.0.1:{port}")
        nursery.cancel_scope.cancel()
    assert caught.value.status == status
    assert caught.value.body[:4] == body
    assert len(caught.value.body) < 100_000
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 101 Switching", b"SSH-2.0-OpenSSH_9.9\r\n", b"HTTP/1.1 200 OK\r\n\r\n"],
)
async def test_a_peer_that_hangs_up_during_the_handshake(answer: bytes) -> None:
    """trio-websocket alone would wait for ever."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, saying(answer), 0)
        port = listeners[0].socket.getsockname()[1]
        with pytest.raises((WebSocketUnreachable, WebSocketRejected)):
            await connect(f"http://127.0.0.1:{port}")
        nursery.cancel_scope.cancel()


async def test_a_proxy_that_hangs_up_on_upgrades(server: EmbeddedServer) -> None:
    server.faults.answer("GET /ws", 400)
    async with server.listen() as url:
        with pytest.raises(NotComfyUIError, match="WebSocket"):
            async with open_comfy(url):
                pytest.fail("entered")


@pytest.mark.parametrize("noticed", [True, False])
async def test_sockets_that_drop(server: EmbeddedServer, noticed: bool) -> None:
    """No job is lost with them, and no file descriptor."""
    with trio.fail_after(DEADLINE):
        at_once = ReconnectPolicy(base=0)
        async with server.listen() as url, open_comfy(url, reconnect=at_once) as comfy:
            for _ in range(3):
                async with comfy.open_job(prompts.slow(5, delay=0.01)) as job:
                    server.faults.drop_sockets(noticed=noticed)
                    assert (await job.wait())["9"]
                server.faults.notice_lost_sockets()


async def test_a_message_that_is_too_large_costs_the_connection_but_not_the_job(
    server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    prompt = prompts.image()
    prompt["3"] = prompts.node("ProbeBigPreview", image=["2", 0], side=256, count=1, salt=1)
    prompt["9"]["inputs"]["images"] = ["3", 0]
    with trio.fail_after(DEADLINE):
        async with server.listen() as url, open_comfy(url, max_message_size=100_000) as comfy:
            assert (await comfy.run(prompt))["9"]
            assert "1009" in caplog.text
            assert "max_message_size" in caplog.text
