"""Servers that speak HTTP badly, or not at all: the typed error, with the route, and no hang."""

from __future__ import annotations

import gzip
import os
import zlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from loopback import listening

from comfy_trio import (
    ComfyError,
    DisconnectedError,
    NotComfyUIError,
    ResponseError,
    ServerUnreachableError,
    open_comfy,
)
from comfy_trio._address import parse_address
from comfy_trio._door import Door
from comfy_trio._http import HttpClient
from comfy_trio._network import NetworkTransport
from comfy_trio._replies import QUEUE_LENGTH, get, require_object
from comfy_trio._routes._history import history_of, read_history_entry
from comfy_trio._routes._queue import QUEUE, read_queue

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

DEADLINE = 60
OK = b"HTTP/1.1 200 OK\r\n"


@asynccontextmanager
async def saying(*answers: bytes) -> AsyncGenerator[str, None]:
    """Serve answers, one a connection, the last one for ever; each is followed by hanging up."""
    left = list(answers)

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            answer = left.pop(0) if len(left) > 1 else left[0]
            await stream.receive_some()
            try:
                await stream.send_all(answer)
            except trio.BrokenResourceError:
                return

    async with listening(handle) as url:
        yield url


@asynccontextmanager
async def client_of(url: str) -> AsyncGenerator[HttpClient, None]:
    address, _ = parse_address(url)
    client = HttpClient(
        address, door=Door(None), transport=NetworkTransport.to(address, None), max_requests=2
    )
    with trio.fail_after(DEADLINE):
        try:
            yield client
        finally:
            await client.aclose()


def packed(content: bytes, encoding: str = "gzip") -> bytes:
    head = f"content-encoding: {encoding}\r\ncontent-length: {len(content)}\r\n\r\n"
    return OK + head.encode() + content


GZIPPED = gzip.compress(b'{"queue_running": [], "queue_pending": []}')

BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "a banner": b"SSH-2.0-OpenSSH_9.9\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x50",
    "a TLS record": b"\x16\x03\x01\x02\x00\x01\x00",
    "noise": b"\x00" + os.urandom(5000),
    "zeros": bytes(5000),
    "half a status line": b"HTTP/1.1 20",
    "a status that is none": b"HTTP/1.1 two hundred OK\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "half a head": OK + b"content-type: text/ht",
    "a header without colon": OK + b"content-type\r\n\r\n",
    "a header with a null": OK + b"content-type: a\0b\r\n\r\n",
    "a header bomb": OK + b"x: " + b"y" * 300_000 + b"\r\n\r\n",
    "many headers": OK + b"x: y\r\n" * 100_000 + b"\r\n",
    "a cut body": OK + b"content-length: 99\r\n\r\ncut",
    "a length that is none": OK + b"content-length: many\r\n\r\n{}",
    "a negative length": OK + b"content-length: -1\r\n\r\n{}",
    "two lengths": OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\n{}",
    "cut chunks": OK + b'transfer-encoding: chunked\r\n\r\n5\r\n{"a":',
    "chunks without end": OK + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "a chunk's length that is none": OK
    + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "an endless chunk length": OK + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 200_000,
    "another transfer encoding": OK + b"transfer-encoding: gzip\r\n\r\n{}",
    "continue, and no more": b"HTTP/1.1 100 Continue\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n",
    "hints, and no more": b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 3,
}

WRONG: dict[str, bytes] = {
    "HTML": OK + b"content-type: text/html\r\n\r\n<!DOCTYPE html><title>Sign in</title>",
    "HTML as JSON": OK + b"content-type: application/json\r\n\r\n<html>",
    "half of JSON": OK + b'content-type: application/json\r\n\r\n{"queue_running": [',
    "JSON of another kind": OK + b"\r\n[1, 2]",
    "JSON that is deep": OK + b"\r\n" + b"[" * 100_000,
    "a number that is long": OK + b"\r\n" + b"9" * 10_000,
    "nothing": OK + b"content-length: 0\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "a picture": OK + b"content-type: image/png\r\n\r\n\x89PNG\r\n\x1a\n" + bytes(100),
    "no UTF-8": OK + b'\r\n{"\xff": 1}',
    "an odd status": b"HTTP/1.1 299 Odd\r\n\r\n[]",
    "a status beyond": b"HTTP/1.1 999 Odd\r\n\r\n{}",
    "no gzip": packed(b"plain"),
    "half of gzip": packed(GZIPPED[:-10]),
    "no deflate": packed(b"plain", "deflate"),
    "brotli": packed(b"\x0b\x02\x80hello\x03", "br"),
    "twice": packed(gzip.compress(GZIPPED), "gzip, gzip"),
    "an encoding that is none": packed(b"{}", "nonsense"),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_what_is_no_http(answer: bytes) -> None:
    async with saying(answer) as url:
        async with client_of(url) as client:
            with pytest.raises(DisconnectedError, match=r"during GET http://127.*/api/queue"):
                await client.request(QUEUE)
            assert client.statistics().borrowed_tokens == 0
        with trio.fail_after(DEADLINE), pytest.raises(ComfyError, match=url):
            async with open_comfy(url):
                pytest.fail("entered")


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG)
async def test_what_is_no_answer(answer: bytes) -> None:
    async with saying(answer) as url:
        async with client_of(url) as client:
            with pytest.raises(ResponseError, match=f"GET {url}/api/queue"):
                read_queue(await client.request(QUEUE))
            with pytest.raises(ResponseError, match=f"GET {url}/api/history/p"):
                read_history_entry(await client.request(history_of("p")), "p")
            assert client.statistics().borrowed_tokens == 0
        with trio.fail_after(DEADLINE), pytest.raises((NotComfyUIError, ResponseError), match=url):
            async with open_comfy(url):
                pytest.fail("entered")


GOOD: dict[str, bytes] = {
    "gzip": packed(GZIPPED),
    "deflate": packed(zlib.compress(gzip.decompress(GZIPPED)), "Deflate"),
    "identity": packed(gzip.decompress(GZIPPED), "identity"),
    "gzip in chunks": OK
    + b"content-encoding: x-gzip\r\ntransfer-encoding: chunked\r\n\r\n"
    + b"".join(b"1\r\n%c\r\n" % byte for byte in GZIPPED)
    + b"0\r\n\r\n",
    "as text": OK + b"content-type: text/plain\r\n\r\n" + gzip.decompress(GZIPPED),
    "hints before": b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + b"\r\n" + gzip.decompress(GZIPPED),
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n" + gzip.decompress(GZIPPED),
    "lines that end in one character": OK.replace(b"\r", b"") + b"\n" + gzip.decompress(GZIPPED),
}


@pytest.mark.parametrize("answer", GOOD.values(), ids=GOOD)
async def test_what_is_odd_but_well(answer: bytes) -> None:
    async with saying(answer) as url, client_of(url) as client:
        assert read_queue(await client.request(QUEUE)).running == ()


@pytest.mark.parametrize("answer", ["a TLS alert", "a status that is none", "noise"])
async def test_advice(answer: str) -> None:
    async with saying(BROKEN[answer]) as url, client_of(url) as client:
        with pytest.raises(DisconnectedError, match="does not speak HTTP: is the port right, and"):
            await client.request(QUEUE)


async def test_advice_where_a_server_hangs_up_at_once() -> None:
    async with saying(b"") as url:
        with (
            trio.fail_after(DEADLINE),
            pytest.raises(DisconnectedError, match="is its address https"),
        ):
            async with open_comfy(url):
                pytest.fail("entered")


async def test_a_download_that_breaks_off(tmp_path: os.PathLike[str]) -> None:
    async with saying(OK + b"content-length: 999\r\n\r\nhalf") as url, client_of(url) as client:
        async with client.stream(get("/view", filename="a")) as stream:
            assert await stream.read_chunk() == b"half"
            with pytest.raises(DisconnectedError, match="/api/view"):
                await stream.read_chunk()


async def test_a_get_is_asked_again_where_a_connection_broke() -> None:
    good = OK + b"\r\n{}"
    async with saying(b"", good) as url, client_of(url) as client:
        assert require_object(await client.request(QUEUE_LENGTH), "anything") == {}


@pytest.mark.parametrize("heard", [True, False])
async def test_a_server_that_accepts_and_says_nothing(heard: bool) -> None:
    """Half-open, or busy: only who connects has a bound."""

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            if heard:
                await stream.receive_some()
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, handle, 0)
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        with pytest.raises(ServerUnreachableError, match=r"did not answer within 0\.3 s"):
            async with open_comfy(url, connect_timeout=0.3):
                pytest.fail("entered")
        async with client_of(url) as client:
            with trio.move_on_after(0.1) as moved:
                await client.request(QUEUE)
            assert moved.cancelled_caught
            assert client.statistics().borrowed_tokens == 0
        nursery.cancel_scope.cancel()


async def test_a_body_that_trickles_is_waited_for_and_can_be_cancelled() -> None:
    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(OK + b"content-length: 1000\r\n\r\n")
            try:
                while True:
                    await stream.send_all(b"x")
                    await trio.sleep(0.01)
            except trio.BrokenResourceError:
                return

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, handle, 0)
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        async with client_of(url) as client:
            with trio.move_on_after(0.1) as moved:
                await client.request(QUEUE)
            assert moved.cancelled_caught
        nursery.cancel_scope.cancel()
