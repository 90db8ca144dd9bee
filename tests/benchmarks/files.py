"""What large files cost: memory, which must not grow with them, and throughput.

``nox -s bench -- files`` sends and fetches 2 GiB to and from the embedded server in a process of
its own; with ``--url URL`` on another server, which must have been started with a
``--max-upload-size`` of more than 2048. Each transfer has a fresh process, whose peak of memory
is its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import trio

from comfy_trio import open_comfy

from .measuring import output_of, peak_memory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine

    from .measuring import Report

SMALL, LARGE = 64 * 2**20, 2 * 2**30
ROUNDS = 3
NAME = "bench.bin"
FILE = {"filename": NAME, "subfolder": "", "type": "temp"}
BOUNDARY = "comfy-trio-bench"
CHUNK = 256 * 2**10


# --- Transfers, each in a process of its own ------------------------------------------------------


async def upload(url: str, path: Path) -> None:
    """Send a file as the library does."""
    async with open_comfy(url) as comfy:
        await comfy.file.upload(path, filename=NAME, type="temp", overwrite=True)


async def download(url: str, path: Path) -> None:
    """Fetch it as the library does."""
    async with open_comfy(url) as comfy:
        await comfy.file.download(FILE, path)


class BareForm(httpx.AsyncByteStream):
    """The same form, read on the spot."""

    def __init__(self, path: Path) -> None:
        fields = {"type": "temp", "overwrite": "true"}
        part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="'
        head = "".join(f'{part}{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
        self._head = f'{head}{part}image"; filename="{NAME}"\r\n\r\n'.encode()
        self._tail = f"\r\n--{BOUNDARY}--\r\n".encode()
        self._path = path
        self.length = len(self._head) + path.stat().st_size + len(self._tail)

    async def __aiter__(self) -> AsyncIterator[bytes]:  # noqa: ASYNC900  # as one writes it
        yield self._head
        with self._path.open("rb") as file:
            while piece := file.read(CHUNK):
                yield piece  # noqa: ASYNC119
        yield self._tail


async def bare_upload(url: str, path: Path) -> None:
    """Send a file by httpx."""
    form = BareForm(path)
    headers = {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(form.length),
    }
    async with httpx.AsyncClient(timeout=None) as http:
        reply = await http.post(f"{url}/upload/image", content=form, headers=headers)
        reply.raise_for_status()


async def bare_download(url: str, path: Path) -> None:
    """Fetch it by httpx."""
    async with httpx.AsyncClient(timeout=None) as http:
        async with http.stream("GET", f"{url}/view", params=FILE) as reply:
            reply.raise_for_status()
            with path.open("wb") as file:
                async for chunk in reply.aiter_bytes():
                    file.write(chunk)


TRANSFERS: dict[str, Callable[[str, Path], Coroutine[Any, Any, None]]] = {
    "upload": upload,
    "bare_upload": bare_upload,
    "download": download,
    "bare_download": bare_download,
}


def part(name: str, url: str, path: str) -> None:
    """Run a transfer, and print the seconds and the MiB that it took."""
    start = time.perf_counter()
    trio.run(TRANSFERS[name], url, Path(path))
    print(time.perf_counter() - start, peak_memory())


# --- All of it ------------------------------------------------------------------------------------


@asynccontextmanager
async def embedded_server(directory: str) -> AsyncGenerator[str, None]:
    """Run ``python -m comfy_trio serve`` and return its URL."""
    command = [sys.executable, "-m", "comfy_trio", "serve", "--port", "0"]
    command += ["--max-upload-size", "4096", "--base-directory", directory]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        told = ""
        while (found := re.search(r"http://[\w.:]+\d", told)) is None or "\n" not in told:
            data = await process.stdout.receive_some()
            assert data, "the server did not start"
            told += data.decode()
        yield found[0]
    finally:
        process.kill()
        with trio.move_on_after(5, shield=True):
            await process.wait()


def make_file(path: Path, size: int) -> None:
    """Write a file that no disk, and no server, can make smaller."""
    block = os.urandom(2**20)
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)


async def compare(report: Report, url: str, directory: Path) -> None:
    """Transfer a small and a large file each way, in turns with bare httpx."""
    source, target = directory / "source.bin", directory / "target.bin"
    sizes = {"small": report.scaled(SMALL, least=2**20), "large": report.scaled(LARGE, least=2**20)}
    rates: dict[str, list[float]] = {name: [] for name in TRANSFERS}
    peaks: dict[tuple[str, str], list[float]] = {}
    for label, size in sizes.items():
        make_file(source, size)
        for _ in range(report.scaled(ROUNDS)):
            for name in TRANSFERS:
                path = source if "upload" in name else target
                took = await trio.to_thread.run_sync(output_of, "files", name, url, path)
                seconds, peak = took
                peaks.setdefault((name, label), []).append(peak)
                if label == "large":
                    rates[name].append(size / 1e6 / seconds)
                if path is target:
                    assert target.stat().st_size >= size - size % 2**20
                    target.unlink()
    source.unlink()
    for name in ("upload", "download"):
        report.add(f"{name}, beside httpx", rates[name], rates[f"bare_{name}"], "MB/s")
        what = f"peak of an {name}" if name == "upload" else f"peak of a {name}"
        small, large = peaks[name, "small"], peaks[name, "large"]
        report.add(f"{what}, 2 GiB beside 64 MiB", large, small, "MiB", "1.0: no growth")
        report.add(f"{what}, beside httpx", large, peaks[f"bare_{name}", "large"], "MiB")


async def run(report: Report) -> None:
    """Measure, at the server that there is or at one of our own."""
    with tempfile.TemporaryDirectory() as directory:
        if report.url is not None:
            await compare(report, report.url, Path(directory))
            return
        async with embedded_server(f"{directory}/server") as embedded:
            await compare(report, embedded, Path(directory))


def measure(report: Report) -> None:
    """Files up and down, small and large, beside bare httpx."""
    report.title("files", "comfy_trio", "beside")
    trio.run(run, report)
