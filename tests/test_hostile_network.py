"""Servers that send without end, or what is no WebSocket: an error, in bounded memory and time."""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import os
import re
import struct
import tracemalloc
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx
import prompts
import pytest
import trio
from hanging import fail_if_hanging
from loopback import listening

from comfy_trio import (
    Comfy,
    ComfyError,
    ConnectionState,
    DisconnectedError,
    ExecutionFailedError,
    Finished,
    JobResult,
    ReconnectPolicy,
    WebSocketClosed,
    open_comfy,
)
from comfy_trio._address import parse_address
from comfy_trio._effects import MOST_SHOWN
from comfy_trio._network import NetworkTransport
from comfy_trio._routes._history import HistoryEntry
from comfy_trio._state import Gone, JobPlan, Phase
from comfy_trio._supervisor import MOST_RUNNING
from comfy_trio._tracker import MOST_KINDS, JobTracker
from comfy_trio._wire import ExecutionStart, decode_frame

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from comfy_trio import WebSocket
    from comfy_trio.testing import EmbeddedServer

MIB = 2**20
DEADLINE = 60
GREETING = json.dumps({"type": "status", "data": {"status": {}, "sid": "me"}}).encode()


def frame(payload: bytes, opcode: int = 1, *, last: bool = True, masked: bool = False) -> bytes:
    """A WebSocket frame."""
    head = bytes([(0x80 if last else 0) | opcode])
    mask = 0x80 if masked else 0
    if len(payload) < 126:
        return head + bytes([mask | len(payload)]) + payload
    return head + bytes([mask | 126]) + struct.pack(">H", len(payload)) + payload


@asynccontextmanager
async def serving(*, once: bytes = b"", forever: bytes = b"") -> AsyncGenerator[str, None]:
    """A server to which one can connect; after its greeting some bytes come, others without end."""

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            request = b""
            while b"\r\n\r\n" not in request:
                data = await stream.receive_some()
                if not data:
                    return
                request += data
            if not request.startswith(b"GET /ws"):
                body = b'{"exec_info": {"queue_remaining": 0}}'
                head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
                await stream.send_all(head % len(body) + body)
                return
            key = re.search(rb"(?i)sec-websocket-key: (\S+)", request)
            assert key is not None
            digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            accept = base64.b64encode(digest)
            await stream.send_all(
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n"
                b"connection: upgrade\r\nsec-websocket-accept: " + accept + b"\r\n\r\n"
            )
            try:
                await stream.send_all(frame(GREETING) + once)
                while forever:
                    await stream.send_all(forever)
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                return

    async with listening(handle) as url:
        yield url


@asynccontextmanager
async def open_raw(url: str, limit: int = MIB) -> AsyncGenerator[WebSocket, None]:
    address, _ = parse_address(url)
    async with NetworkTransport.to(address, None).open_websocket(
        address.websocket_url("me"), headers=[], max_message_size=limit
    ) as websocket:
        assert await websocket.receive() == GREETING.decode()
        yield websocket


BROKEN_FRAMES: dict[str, bytes] = {
    "an opcode that is none": frame(b"x", 3),
    "reserved bits": bytes([0xF1, 1]) + b"x",
    "compressed, which nobody asked for": bytes([0xC1, 1]) + b"x",
    "masked": frame(b"xxxx" + b"x", masked=True),
    "a length of 2**63": struct.pack(">BBQ", 0x82, 127, 2**63 + 1),
    "no UTF-8": frame(b"\xff\xfe"),
    "half a surrogate pair": frame(b"\xed\xa0\x80"),
    "a continuation of nothing": frame(b"x", 0),
    "a message in a message": frame(b"x", last=False) + frame(b"y"),
    "a ping in pieces": frame(b"x", 9, last=False),
    "a long ping": frame(b"x" * 200, 9),
    "a close of one byte": frame(b"\x03", 8),
    "a close of code 0": frame(b"\0\0", 8),
    "a close of code 1005": frame(struct.pack(">H", 1005), 8),
    "a close of code 65535": frame(b"\xff\xff", 8),
    "a close whose reason is no text": frame(struct.pack(">H", 1000) + b"\xff", 8),
    "a close with a long reason": frame(struct.pack(">H", 1000) + b"x" * 123, 8),
    "noise": bytes(range(128, 256)) * 20,
    "HTTP": b"HTTP/1.1 200 OK\r\n\r\n" * 10,
}


@pytest.mark.parametrize("data", BROKEN_FRAMES.values(), ids=BROKEN_FRAMES)
async def test_what_is_no_websocket(data: bytes) -> None:
    with trio.fail_after(DEADLINE):
        async with serving(once=data) as url:
            async with open_raw(url) as websocket:
                with pytest.raises(WebSocketClosed) as caught:
                    while True:
                        await websocket.receive()
            assert len(str(caught.value)) < 500
            with suppress(DisconnectedError):  # if it comes together with the greeting
                async with open_comfy(url, reconnect=ReconnectPolicy(base=1)) as comfy:
                    await comfy.wait_connection_state(ConnectionState.RECONNECTING)


ENDLESS: dict[str, bytes] = {
    "small events": frame(b'{"type": "x", "data": 1}') * 2000,
    "unreadable ones": frame(b"{") * 2000,
    "progress": frame(
        b'{"type": "progress", "data": {"value": 1, "max": 2, "prompt_id": "p", "node": "3"}}'
    )
    * 1000,
    "empty ones": frame(b"") * 5000,
    "pings": frame(b"x", 9) * 5000,
    "pongs": frame(b"x", 10) * 5000,
    "one message in pieces": frame(b"x" * 1000, 0, last=False) * 100,
    "empty pieces of one message": frame(b"", 0, last=False) * 5000,
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_frames_without_end(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Other tasks run all the while, memory stays, and who leaves is let go."""
    caplog.set_level("CRITICAL", "comfy_trio")
    begin = frame(b"x", 1, last=False) if "piece" in kind else b""
    longest = 0.0
    async with serving(once=begin, forever=ENDLESS[kind]) as url:
        with trio.fail_after(DEADLINE):
            async with open_comfy(url, max_message_size=MIB) as comfy:
                comfy.server_events()
                tracemalloc.start()
                end = trio.current_time() + 0.7
                while (now := trio.current_time()) < end:
                    await trio.sleep(0.001)
                    longest = max(longest, trio.current_time() - now)
                _, peak = tracemalloc.get_traced_memory()
                tracemalloc.stop()
                before = trio.current_time()
                with trio.move_on_after(0.05):
                    await trio.sleep_forever()
                assert trio.current_time() - before < 1
                before = trio.current_time()
            assert trio.current_time() - before < 8
    assert peak < 30 * MIB
    assert longest < 2


async def test_what_a_failed_node_said_may_be_long() -> None:
    """It is kept for who wants it, and not repeated in the error's text."""
    said = "x" * (20 * MIB)
    tracker = JobTracker(JobPlan("p", {"3": {"class_type": "K", "inputs": {}}}))
    data = {"prompt_id": "p", "node_id": "3", "exception_type": "E", "exception_message": said}
    tracker.feed(decode_frame(json.dumps({"type": "execution_error", "data": data})))
    tracker.feed(Gone())
    error = tracker.state.outcome
    assert isinstance(error, ExecutionFailedError)
    assert len(str(error)) < 3000
    assert error.exception_message == said


async def test_progress_that_nobody_reads(autojump_clock: MockClock) -> None:
    """Memory does not grow with it, and a reader is told how much it missed."""
    count = int(os.environ.get("FRAMES", "100000"))
    tracker = JobTracker(JobPlan("p", {"3": {"class_type": "K", "inputs": {}}}))
    events = tracker.subscribe().subscription()

    def feed(value: int) -> None:
        data = f'{{"value": {value}, "max": {count}, "prompt_id": "p", "node": "3"}}'
        tracker.feed(decode_frame(f'{{"type": "progress", "data": {data}}}'))

    for value in range(100):
        feed(value)
    gc.collect()
    before = len(gc.get_objects())
    for value in range(count):
        feed(value)
    gc.collect()
    assert len(gc.get_objects()) - before < 100
    assert tracker.state.phase is Phase.RUNNING
    tracker.feed(decode_frame('{"type": "executing", "data": {"prompt_id": "p", "node": null}}'))
    tracker.feed(Gone())
    read = [event async for event in events]
    assert len(read) < 10
    assert events.missed > count


HEADERS = [
    *("content-length", "retry-after", "location", "content-type", "etag", "last-modified"),
    *("content-range", "content-encoding", "content-disposition", "transfer-encoding"),
]
VALUES = [
    *("", "0", "-1", "9" * 5000, "\u0663", "x" * 50_000, "\xff", "NaN", "1, 2", "bytes 0-0/0"),
    *("http://[", "//", "http://h:99999999/", "gzip, gzip", 'filename="'),
]


@pytest.mark.parametrize("header", HEADERS)
async def test_headers(
    autojump_clock: MockClock, server: EmbeddedServer, header: str, tmp_path: Any
) -> None:
    """Transports of people's own let more through than httpx's."""
    spoil: dict[str, Any] = {}
    inner = server.transport.http_transport()

    async def answer(request: httpx.Request) -> httpx.Response:
        if not spoil:
            return await inner.handle_async_request(request)
        headers = [(header.encode(), spoil["value"].encode("utf-8"))]
        return httpx.Response(spoil["status"], headers=headers, content=b"{}")

    async with open_comfy(
        server.url,
        http_transport=httpx.MockTransport(answer),
        websocket=server.transport.open_websocket,
    ) as comfy:
        for status in (200, 206, 302, 429, 503):
            for value in VALUES:
                spoil.update(status=status, value=value)
                for ask in (
                    lambda: comfy.queue.state(),
                    lambda: comfy.file.read({"filename": "a"}),
                    lambda: comfy.file.download({"filename": "a"}, tmp_path / "a"),
                ):
                    async with fail_if_hanging():
                        with suppress(ComfyError):
                            await ask()
        spoil.clear()
        assert (await comfy.run(prompts.image()))["9"]


async def test_nodes_and_jobs_that_a_server_makes_up(autojump_clock: MockClock) -> None:
    """What is kept of them is bounded; the history tells of all outputs there are."""
    tracker = JobTracker(JobPlan("p", {"3": {"class_type": "K", "inputs": {}}}))
    mailbox = tracker.subscribe()
    count = MOST_KINDS + 5000
    for number in range(count):
        data = {"prompt_id": "p", "node": f"3.{number}", "output": {"a": [1]}}
        tracker.feed(decode_frame(json.dumps({"type": "executed", "data": data})))
        tracker.feed(decode_frame(json.dumps({"type": "executing", "data": data})))
    assert len(tracker.state.outputs) == MOST_SHOWN
    assert len(mailbox) == len([*tracker.told()]) == MOST_KINDS
    outputs = {f"3.{number}": {"a": [1]} for number in range(count)}
    tracker.feed(HistoryEntry(prompt_id="p", outputs=outputs))
    assert isinstance(tracker.state.outcome, JobResult)
    assert len(tracker.state.outcome) == count
    assert isinstance([*tracker.told()][-1], Finished)


async def test_jobs_of_others_whose_end_is_never_told(
    autojump_clock: MockClock, comfy: Comfy
) -> None:
    supervisor = comfy._session.supervisor
    for number in range(MOST_RUNNING * 3):
        supervisor.route(ExecutionStart(f"stranger's {number}"))
    assert len(supervisor._running) == MOST_RUNNING
    assert (await comfy.run(prompts.image()))["9"]
