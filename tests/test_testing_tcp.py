"""The front on TCP: loopback, ports that the system chooses, real time."""

from __future__ import annotations

import json
import logging
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
import trio.testing
import trio_websocket
from trio_websocket import ConnectionClosed

from comfy_trio.testing import EmbeddedServer, open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

PROMPT = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@asynccontextmanager
async def open_tcp(
    **options: Any,
) -> AsyncGenerator[tuple[EmbeddedServer, str, httpx.AsyncClient], None]:
    with trio.fail_after(20):
        async with (
            open_embedded_server(**options) as server,
            server.listen() as url,
            httpx.AsyncClient(base_url=url) as http,
        ):
            yield server, url, http


@asynccontextmanager
async def connect(url: str) -> AsyncGenerator[trio_websocket.WebSocketConnection, None]:
    async with trio_websocket.open_websocket_url(
        f"{url.replace('http', 'ws')}/ws?clientId=me", message_queue_size=100
    ) as socket:
        try:
            yield socket
        finally:
            # trio-websocket forgets to close the stream when the other side broke it.
            await trio.aclose_forcefully(socket._stream)


async def no_sockets(server: EmbeddedServer) -> None:
    """Wait for the server to notice that clients have gone."""
    while server.statistics().sockets:  # noqa: ASYNC110  # there is nothing to wait on
        await trio.lowlevel.checkpoint()


async def test_a_prompt() -> None:
    async with open_tcp() as (server, url, http), connect(url) as socket:
        greeting = json.loads(await socket.get_message())
        assert greeting["data"]["sid"] == "me"
        reply = await http.post("/api/prompt", json={"prompt": PROMPT, "client_id": "me"})
        prompt_id = reply.json()["prompt_id"]
        while json.loads(await socket.get_message())["data"].get("node", "") is not None:
            pass
        (entry,) = (await http.get(f"/api/history/{prompt_id}")).json().values()
        (image,) = entry["outputs"]["2"]["images"]
        reply = await http.get("/api/view", params=image, headers={"Range": "bytes=1-3"})
        assert (reply.status_code, reply.content) == (206, b"PNG")
        await socket.ping()
        await socket.aclose()
        await no_sockets(server)


async def test_uploads_and_limits() -> None:
    async with open_tcp(max_upload_size=100_000) as (_, _, http):
        files = {"image": ("x.bin", b"x" * 90_000)}
        assert (await http.post("/upload/image", files=files)).json()["name"] == "x.bin"
        files = {"image": ("x.bin", b"x" * 110_000)}
        assert (await http.post("/upload/image", files=files)).status_code == 413
        # The server reads on for a while, or else its reply might not be found.
        files = {"image": ("x.bin", bytes(20 * 2**20))}
        assert (await http.post("/upload/image", files=files)).status_code == 413


async def test_bodies_that_break_off() -> None:
    async with open_tcp() as (server, url, http):
        content = bytes(range(256)) * 4000
        server.files.upload("f.bin", content, kind="output")
        server.faults.break_connection("GET /view", sent=300_000)
        got = bytearray()
        with pytest.raises(httpx.RemoteProtocolError):
            async with http.stream("GET", "/view?filename=f.bin") as reply:
                async for chunk in reply.aiter_raw():
                    got += chunk
        assert got == content[:300_000]
        server.faults.break_connection("POST /upload/image", received=300_000)
        port = int(url.rpartition(":")[2])
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            head = (
                "POST /upload/image HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n"
                "content-type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
                "content-disposition: form-data; name=image; filename=x.bin\r\n\r\n"
            )
            with suppress(trio.BrokenResourceError):
                await stream.send_all(head.encode() + content[:900_000])
                assert await stream.receive_some() == b""
        assert not server.files.names("input")


async def test_a_base_path_and_one_engine_for_both_fronts() -> None:
    async with open_tcp(base_path="/comfy") as (server, url, http):
        assert url.endswith("/comfy")
        await http.post("/prompt", json={"prompt": PROMPT})
        transport = server.transport.http_transport()
        async with httpx.AsyncClient(transport=transport, base_url=server.url) as memory:
            assert (await memory.get("/history")).status_code == 200
        assert server.statistics().requests == {"POST /prompt": 1, "GET /history": 1}


async def test_faults_of_requests() -> None:
    async with open_tcp() as (server, _, http):
        server.faults.answer("GET /prompt", 502, "<html>")
        assert (await http.get("/prompt")).status_code == 502
        server.faults.break_connection("POST /prompt", after=True)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await http.post("/prompt", json={"prompt": PROMPT})
        server.faults.hang("GET /prompt")
        with trio.move_on_after(0.05) as scope:
            await http.get("/prompt")
        assert scope.cancelled_caught
        assert (await http.get("/prompt")).status_code == 200
        assert server.statistics().requests["POST /prompt"] == 1


async def test_refused_upgrades() -> None:
    async with open_tcp() as (server, _, http):
        server.faults.answer("GET /ws", 503, "busy")
        reply = await http.get("/ws", headers=UPGRADE)
        assert (reply.status_code, reply.text) == (503, "busy")
        server.faults.break_connection("GET /ws")
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await http.get("/ws", headers=UPGRADE)


async def test_closing_and_dropping_sockets() -> None:
    async with open_tcp() as (server, url, _):
        async with connect(url) as socket:
            await socket.get_message()
            server.faults.close_sockets(1012)
            with pytest.raises(ConnectionClosed) as caught:
                await socket.get_message()
            assert caught.value.reason is not None
            assert caught.value.reason.code == 1012
        async with connect(url) as socket:
            await socket.get_message()
            server.faults.drop_sockets()
            with pytest.raises(ConnectionClosed):
                await socket.get_message()
        await no_sockets(server)


async def test_the_reconnect_deafness_of_the_real_server() -> None:
    async with open_tcp() as (server, url, http):
        async with connect(url) as lost:
            await lost.get_message()
            server.faults.drop_sockets(noticed=False)
            with pytest.raises(ConnectionClosed):
                await lost.get_message()
        async with connect(url) as again:
            await again.get_message()
            assert server.statistics().sockets == 2
            server.faults.notice_lost_sockets()
            while server.statistics().sockets > 1:  # noqa: ASYNC110
                await trio.lowlevel.checkpoint()
            await http.post("/prompt", json={"prompt": PROMPT, "client_id": "me"})
            while server.statistics().history < 1:  # noqa: ASYNC110
                await trio.lowlevel.checkpoint()
            await again.ping()  # what was sent before its pong has come
            with trio.move_on_after(0) as scope:
                await again.get_message()
            assert scope.cancelled_caught


async def test_not_reading() -> None:
    async with open_tcp() as (server, url, _), connect(url) as socket:
        await socket.get_message()
        server.faults.stop_reading()
        await trio.sleep(0.05)
        with trio.move_on_after(0.1) as scope:
            await socket.ping()
        assert scope.cancelled_caught
        server.faults.resume_reading()
        await socket.ping()


async def test_leaving_ends_what_is_open(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "hypercorn")
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:

            async def ask(server: EmbeddedServer, url: str) -> None:
                server.faults.hang("GET /prompt")
                async with httpx.AsyncClient() as http:
                    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                        await http.get(f"{url}/prompt", timeout=None)

            async with open_embedded_server() as server:
                async with server.listen() as url, connect(url) as socket:
                    await socket.get_message()
                    nursery.start_soon(ask, server, url)  # noqa: ASYNC111
                    while "GET /prompt" not in server.statistics().requests:  # noqa: ASYNC110
                        await trio.lowlevel.checkpoint()
                assert server.statistics().connections == 0
    assert not caplog.records


async def test_a_client_that_does_not_read_does_not_hold_up_the_end() -> None:
    with trio.fail_after(20):
        async with open_embedded_server() as server:
            big = server.files.folder("output") / "big.bin"
            big.write_bytes(bytes(2**25))
            async with AsyncExitStack() as clients, server.listen() as url:
                host, port = url.removeprefix("http://").split(":")
                stream = await trio.open_tcp_stream(host, int(port))
                await clients.enter_async_context(stream)
                await stream.send_all(b"GET /view?filename=big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
                while "GET /view" not in server.statistics().requests:  # noqa: ASYNC110
                    await trio.lowlevel.checkpoint()
                await trio.testing.wait_all_tasks_blocked()
                assert server.statistics().connections == 1


async def test_a_port_that_is_taken() -> None:
    with trio.fail_after(20):
        async with open_embedded_server() as server, server.listen() as url:
            with pytest.raises(OSError, match="in use"):
                async with server.listen(port=int(url.rsplit(":", 1)[1])):
                    pytest.fail("listening")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_addresses(host: str) -> None:
    with trio.fail_after(20):
        async with (
            open_embedded_server() as server,
            server.listen(host) as url,
            httpx.AsyncClient() as http,
        ):
            assert (await http.get(f"{url}/prompt")).status_code == 200
