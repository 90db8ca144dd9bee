"""What large files cost: memory, which must not grow with them, and throughput.

``nox -s bench_files`` sends and fetches 2 GiB to and from the embedded server in a process of its
own; ``-- --url URL`` on another server, which must have been started with a ``--max-upload-size``
of more than 2048. Each transfer has a fresh process, whose peak of memory is its own. Beside it, in
turn, is the barest loop of httpx that does the same, and the same transfer of a small file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
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

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine

SMALL, LARGE = 64 * 2**20, 2 * 2**30
ROUNDS = 2
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


def run_transfer(name: str, url: str, path: Path) -> None:
    """Run one, and print what it took."""
    start = time.perf_counter()
    trio.run(TRANSFERS[name], url, path)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak": peak}))


def measure(name: str, url: str, path: Path) -> dict[str, float]:
    """Run one in a fresh process, and return what it took."""
    command = [sys.executable, __file__, "--transfer", name, "--url", url, "--path", str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    took: dict[str, float] = json.loads(output)
    return took


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


async def compare(url: str, directory: Path) -> None:
    """Transfer a small and a large file each way, and print a row for each way."""
    source, target = directory / "source.bin", directory / "target.bin"
    took: dict[tuple[str, int], list[dict[str, float]]] = {}
    for size in (SMALL, LARGE):
        make_file(source, size)
        for _ in range(ROUNDS):
            for name in TRANSFERS:
                path = source if "upload" in name else target
                result = await trio.to_thread.run_sync(measure, name, url, path)
                took.setdefault((name, size), []).append(result)
                if path is target:
                    assert target.stat().st_size == size
                    target.unlink()
    source.unlink()
    print(f"{'':<10} {'MB/s':>7} {'httpx':>7} {'ratio':>6}", end="")
    print(f" {'peak, 64 MiB':>13} {'peak, 2 GiB':>12} {'ratio':>6} {'httpx, 2 GiB':>13}")
    for name in ("upload", "download"):
        rates = [
            LARGE / 1e6 / statistics.median(each["seconds"] for each in took[which, LARGE])
            for which in (name, f"bare_{name}")
        ]
        small, large, bare = (
            max(each["peak"] for each in took[which]) / 2**20
            for which in ((name, SMALL), (name, LARGE), (f"bare_{name}", LARGE))
        )
        print(f"{name:<10} {rates[0]:7.0f} {rates[1]:7.0f} {rates[0] / rates[1]:6.2f}", end="")
        print(
            f" {small:9.1f} MiB {large:8.1f} MiB {large / small:6.3f} {bare:9.1f} MiB", flush=True
        )


async def main(url: str | None) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as directory:
        if url is not None:
            await compare(url, Path(directory))
            return
        async with embedded_server(f"{directory}/server") as embedded:
            await compare(embedded, Path(directory))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="the server; default: the embedded one")
    parser.add_argument("--transfer", choices=TRANSFERS, help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.transfer:
        run_transfer(options.transfer, options.url, options.path)
    else:
        trio.run(main, options.url)
