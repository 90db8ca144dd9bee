"""An embedded server in a process of its own, and the program that it is."""

from __future__ import annotations

import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def open_server_process(port: int = 0) -> AsyncGenerator[tuple[str, trio.Process], None]:
    """Start a server, and return its URL and its process, which is killed in the end."""
    process = await trio.lowlevel.open_process(
        [sys.executable, __file__, str(port)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with process.stdout:
            yield (await process.stdout.receive_some()).decode().strip(), process
    finally:
        process.kill()
        with trio.move_on_after(5, shield=True):
            await process.wait()


async def main(port: int) -> None:
    """Print the URL, and serve until killed."""
    async with open_embedded_server() as server, server.listen(port=port) as url:
        print(url, flush=True)  # noqa: T201  # that is how its parent learns of it
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]))
