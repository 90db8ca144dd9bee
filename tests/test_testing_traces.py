"""Two real servers' recorded sessions, replayed against embedded servers of their versions.

All 14 scenarios of a version were recorded in one session, so one embedded server replays them in
that order: numbers, cached outputs and file counters carry over. A recorded request is sent once
all that was recorded before it has come.

What is compared is everything but timestamps, generated ids, the bytes of previews, how a value is
printed, the names of files in `temp`, tracebacks, prose in declarations, and the order of what the
real server keeps in sets.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from comfy_trio._util import is_list, is_object
from comfy_trio.testing import EmbeddedServer, open_embedded_server

if TYPE_CHECKING:
    from comfy_trio._transport import WebSocket

TRACES = Path(__file__).parent / "fixtures" / "traces"

SESSION = (
    "fresh",
    "cached",
    "partly-cached",
    "previews-with-metadata",
    "previews-legacy",
    "runtime-error",
    "interrupt",
    "dequeue-pending",
    "several-outputs",
    "one-output-invalid",
    "two-queued",
    "no-client-id",
    "txt2img",
    "rejected",
)
"""In the order of recording, which the prompts' numbers tell."""

EARLIER_FILES = {"0.3.64": ["cap_00001_.png", "cap_00002_.png"], "0.27.0": []}
"""What the recorded servers had saved before: it shows in the numbers of later files."""

CONCURRENT = {"two-queued", "dequeue-pending"}
"""Where requests were made while a prompt ran: the frames that they cause come when they come."""

Record = dict[str, Any]


def records(version: str, scenario: str) -> list[Record]:
    text = (TRACES / version / f"{scenario}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


class Replay:
    """One scenario, sent to a server; collects what comes back in the trace's own form."""

    def __init__(self, server: EmbeddedServer, trace: list[Record]) -> None:
        self.server = server
        self.trace = trace
        self.frames: list[Record] = []
        self.replies: list[Record] = []
        self._more = trio.Event()

    async def run(self) -> None:
        sid = next(
            (each["data"]["data"]["sid"] for each in self.trace if "sid" in _data(each)), None
        )
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(
                httpx.AsyncClient(
                    transport=self.server.transport.http_transport(), base_url=self.server.url
                )
            )
            socket: WebSocket | None = None
            if sid is not None:
                nursery = await stack.enter_async_context(trio.open_nursery())
                socket = await stack.enter_async_context(
                    self.server.transport.open_websocket(
                        f"ws://embedded.invalid/ws?clientId={sid}",
                        headers=[],
                        max_message_size=2**24,
                    )
                )
                nursery.start_soon(self._collect, socket)
                stack.callback(nursery.cancel_scope.cancel)
            await self._send(http, socket)

    async def _collect(self, socket: WebSocket) -> None:
        while True:
            message = await socket.receive()
            if isinstance(message, str):
                self.frames.append({"ws": "text", "data": json.loads(message)})
            else:
                self.frames.append({"ws": "binary", "content": message})
            self._more.set()
            self._more = trio.Event()

    async def _send(self, http: httpx.AsyncClient, socket: WebSocket | None) -> None:
        expected = 0
        for record in self.trace:
            if "ws" in record:
                expected += 1
            elif "sent" in record:
                assert socket is not None
                await socket.send(json.dumps(record["data"]))
            elif "http" in record:
                await self._wait_for_frames(expected)
                method, path = record["http"].split(" ", 1)
                content = None if method == "GET" else json.dumps(record["body"])
                reply = await http.request(method, path, content=content)
                body = json.loads(reply.text) if reply.text else ""
                self.replies.append({"status": reply.status_code, "body": body})
        await self._wait_for_frames(expected)
        await trio.sleep(60)  # nothing more may come

    async def _wait_for_frames(self, count: int) -> None:
        with trio.fail_after(600):
            while len(self.frames) < count:
                await self._more.wait()


def _data(record: Record) -> Record:
    return record.get("data", {}).get("data", {}) if record.get("ws") == "text" else {}


def expected_replies(trace: list[Record]) -> list[Record]:
    """A reply stands with its request when that was a GET, and in a record of its own else."""
    replies = [each for each in trace if "status" in each]
    return [{"status": each["status"], "body": each["body"]} for each in replies]


def frame_key(record: Record) -> Any:
    """A frame without what may differ."""
    if record["ws"] == "text":
        return plain(record["data"])
    content = record["content"] if "content" in record else base64.b64decode(record["head"])
    (kind, length) = struct.unpack(">II", content[:8])
    if kind == 4:
        return ("preview", json.loads(content[8 : 8 + length]), content[8 + length :][:3])
    return ("preview", kind, length, content[8:11])


def plain(value: Any, key: str = "") -> Any:
    """JSON without what may differ."""
    if key in ("timestamp", "create_time", "traceback"):
        return None
    if key in ("current_inputs", "executed", "current_outputs", "cycle_nodes"):
        return sorted(value)
    if key == "prompt" and is_list(value):
        return [*map(plain, value[:4]), sorted(value[4])]
    if key == "errors":
        return sorted(map(plain, value), key=str)
    if is_object(value):
        return {k: plain(v, k) for k, v in value.items() if k != "tooltip"}
    if is_list(value):
        return [plain(each) for each in value]
    if isinstance(value, str):
        return re.sub(r"ComfyUI_temp_[a-z]{5}_", "ComfyUI_temp_xxxxx_", value)
    return value


def is_status(record: Record) -> bool:
    return bool(record["ws"] == "text" and record["data"]["type"] == "status")


@pytest.mark.parametrize("version", ["0.3.64", "0.27.0"])
async def test_recorded_session(version: str, autojump_clock: trio.testing.MockClock) -> None:
    async with open_embedded_server(version=version) as server:
        for name in EARLIER_FILES[version]:
            (server.files.folder("output") / name).touch()
        for scenario in SESSION:
            trace = records(version, scenario)
            replay = Replay(server, trace)
            await replay.run()
            expected = [each for each in trace if "ws" in each]
            check(scenario, replay, expected, trace)
        assert server.statistics().sockets == 0
        assert server.statistics().connections == 0


def check(scenario: str, replay: Replay, expected: list[Record], trace: list[Record]) -> None:
    came = replay.frames
    if scenario in CONCURRENT:
        # A status frame tells of a request, which is in no fixed order with a running prompt, and
        # what it tells depends on that order.
        assert sum(map(is_status, came)) == sum(map(is_status, expected))
        came = [f for f in came if not is_status(f)]
        expected = [f for f in expected if not is_status(f)]
    assert [frame_key(f) for f in came] == [frame_key(f) for f in expected], scenario
    assert [plain(r) for r in replay.replies] == [plain(r) for r in expected_replies(trace)], (
        scenario
    )
