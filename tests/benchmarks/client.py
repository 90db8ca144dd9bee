"""What the client costs: a job, the frames of one, its import.

``nox -s bench -- client`` runs it on the embedded server in a process of its own, with
``--url URL`` on another server.
"""

from __future__ import annotations

import itertools
import json
import math
import struct
import subprocess
import sys
import time
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import trio
import trio_websocket

from comfy_trio import open_comfy
from comfy_trio._address import parse_address
from comfy_trio._connection import Connection
from comfy_trio._connection_state import ReconnectPolicy
from comfy_trio._door import Door
from comfy_trio._handshake import feature_flags_frame
from comfy_trio._network import NetworkTransport
from comfy_trio._state import JobPlan
from comfy_trio._supervisor import JobSupervisor
from comfy_trio.testing import open_embedded_server

from .measuring import command, environment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from .measuring import Report

JOBS = 150
FRAMES = 20_000
ROUNDS = 7
IMPORTS = 15
WARM = 10


@asynccontextmanager
async def in_another_process(*arguments: str) -> AsyncGenerator[str, None]:
    """Run a part of this file that is a server, and return the URL that it prints."""
    process = await trio.lowlevel.open_process(
        command("client", *arguments), stdout=subprocess.PIPE, env=environment()
    )
    assert process.stdout is not None
    try:
        url = (await process.stdout.receive_some()).decode().strip()
        assert url, "the server did not start"
        yield url
    finally:
        process.kill()
        with trio.move_on_after(5, shield=True):
            await process.wait()


# --- A tiny fresh job -----------------------------------------------------------------------------

_colors = itertools.count(int(time.time()) % 10**6)


def tiny_prompt() -> dict[str, Any]:
    """A prompt of which the server has nothing in its cache."""
    empty = {"width": 16, "height": 16, "batch_size": 1, "color": next(_colors)}
    return {
        "1": {"class_type": "EmptyImage", "inputs": empty},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }


@asynccontextmanager
async def bare_client(url: str) -> AsyncGenerator[Callable[[], Awaitable[Any]], None]:
    """The barest loop: POST, read frames until the end, GET the history."""
    client_id = str(uuid.uuid4())
    async with (
        httpx.AsyncClient(base_url=url) as http,
        trio_websocket.open_websocket_url(
            f"{url.replace('http', 'ws', 1)}/ws?clientId={client_id}",
            max_message_size=2**28,
        ) as websocket,
    ):

        async def run() -> Any:
            body = {"prompt": tiny_prompt(), "client_id": client_id}
            prompt_id = (await http.post("/api/prompt", json=body)).json()["prompt_id"]
            while True:
                message = await websocket.get_message()
                if isinstance(message, str):
                    frame = json.loads(message)
                    if frame["type"] == "executing" and frame["data"]["node"] is None:
                        break
            history = (await http.get(f"/api/history/{prompt_id}")).json()
            return history[prompt_id]["outputs"]["2"]["images"]

        yield run


async def time_jobs(report: Report, url: str) -> None:
    """Compare `Comfy.run` with the barest loop."""
    ours: list[float] = []
    bare: list[float] = []
    async with open_comfy(url) as comfy, bare_client(url) as run_bare:
        for number in range(report.scaled(JOBS) + WARM):
            for times, run in (
                (ours, lambda: comfy.run(tiny_prompt())),
                (bare, run_bare),
            ):
                start = time.perf_counter()
                await run()
                if number >= WARM:  # the first few warm both sides up
                    times.append(1000 * (time.perf_counter() - start))
    report.add("a tiny fresh job", ours, bare, "ms")


# --- Frames through the pump ----------------------------------------------------------------------


def frames_of_a_run(prompt_id: str) -> list[str | bytes]:
    """What a sampler sends at each step: its state, a preview of 10 kB, its progress."""
    node = {"max": 20.0, "prompt_id": prompt_id, "parent_node_id": None}
    nodes = {
        str(number): {
            **node,
            "value": 3.0,
            "state": "finished" if number < 7 else "running",
            "node_id": str(number),
            "display_node_id": str(number),
            "real_node_id": str(number),
        }
        for number in range(8)
    }
    state = {"type": "progress_state", "data": {"prompt_id": prompt_id, "nodes": nodes}}
    progress = {"value": 3, "max": 20, "prompt_id": prompt_id, "node": "7"}
    metadata = {"node_id": "7", "prompt_id": prompt_id, "image_type": "image/jpeg"}
    header = json.dumps(metadata).encode()
    return [
        json.dumps(state),
        struct.pack(">II", 4, len(header)) + header + b"\xff\xd8\xff" + bytes(10_000),
        json.dumps({"type": "progress", "data": progress}),
    ]


async def serve_frames(prompt_id: str, count: int) -> None:
    """Send so many frames to whoever connects, as fast as they are read."""

    async def handle(request: trio_websocket.WebSocketRequest) -> None:
        websocket = await request.accept()
        await websocket.send_message('{"type": "status", "data": {"status": {}}}')
        await websocket.get_message()
        for frame in itertools.islice(itertools.cycle(frames_of_a_run(prompt_id)), count):
            await websocket.send_message(frame)
        await websocket.aclose()

    async with trio.open_nursery() as nursery:
        server = await nursery.start(trio_websocket.serve_websocket, handle, "127.0.0.1", 0, None)
        print(f"http://127.0.0.1:{server.port}", flush=True)


async def read_frames_bare(url: str) -> None:
    """The barest loop that reads frames."""
    async with trio_websocket.open_websocket_url(
        url.replace("http", "ws", 1) + "/ws", max_message_size=2**28
    ) as websocket:
        await websocket.send_message("{}")
        try:
            while True:
                message = await websocket.get_message()
                if isinstance(message, str):
                    json.loads(message)
        except trio_websocket.ConnectionClosed:
            pass


async def read_frames(url: str, prompt_id: str, count: int) -> None:
    """The client's own reader, with a job that listens to every frame."""
    address, _ = parse_address(url)
    transport = NetworkTransport.to(address, None)
    nobody: Any = None
    supervisor = JobSupervisor(nobody, nobody, nobody)
    prompt: dict[str, Any] = {str(number): {"class_type": "K", "inputs": {}} for number in range(8)}
    events = supervisor.register(JobPlan(prompt_id, prompt)).subscribe()

    def hang_up(error: Exception, reason: str | None) -> None:
        connection.close()

    connection = Connection(
        address,
        "bench",
        door=Door(None),
        handshake=feature_flags_frame(),
        transport=transport,
        max_message_size=2**28,
        reconnect=ReconnectPolicy(),
        connect_timeout=10,
        heartbeat=math.inf,
        required=True,
        on_event=supervisor.route,
        on_lost=hang_up,
        on_reconnected=lambda: None,
        on_given_up=lambda: None,
    )
    await connection.run(lambda: None)
    assert events.missed + 2_000 > count / 2


async def time_frames(report: Report) -> None:
    """Compare the pump with the barest loop."""
    prompt_id, count = str(uuid.uuid4()), report.scaled(FRAMES)
    ours: list[float] = []
    bare: list[float] = []
    async with in_another_process("frames", prompt_id, str(count)) as url:
        for _ in range(report.scaled(ROUNDS)):
            start = time.perf_counter()
            await read_frames(url, prompt_id, count)
            ours.append(count / (time.perf_counter() - start))
            start = time.perf_counter()
            await read_frames_bare(url)
            bare.append(count / (time.perf_counter() - start))
    report.add("frames through the pump", ours, bare, "/s")


# --- Imports --------------------------------------------------------------------------------------


def time_imports(report: Report) -> None:
    """Compare the import of the client with that of httpx, each in a fresh interpreter."""
    times: dict[str, list[float]] = {"from comfy_trio import open_comfy": [], "import httpx": []}
    for _ in range(report.scaled(IMPORTS)):
        for statement, measured in times.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            measured.append(1000 * (time.perf_counter() - start))
    ours, bare = times.values()
    report.add("from comfy_trio import open_comfy / httpx", ours, bare, "ms")


# --- All of it ------------------------------------------------------------------------------------


async def serve_embedded() -> None:
    """Run the embedded server until killed."""
    async with open_embedded_server() as server, server.listen() as url:
        print(url, flush=True)
        await trio.sleep_forever()


async def run(report: Report) -> None:
    """Measure what needs a server."""
    if report.url is None:
        async with in_another_process("embedded") as embedded:
            await time_jobs(report, embedded)
    else:
        await time_jobs(report, report.url)
    await time_frames(report)


def measure(report: Report) -> None:
    """A tiny job, frames, and the import, each beside bare httpx and trio-websocket."""
    report.title("the client", "comfy_trio", "bare")
    trio.run(run, report)
    time_imports(report)


def part(what: str, prompt_id: str = "", count: str = "0") -> None:
    """Be a server."""
    if what == "frames":
        trio.run(serve_frames, prompt_id, int(count))
    else:
        trio.run(serve_embedded)
