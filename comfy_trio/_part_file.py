"""Files that appear under their names only when they are whole."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

WRITE_SIZE = 2**20
"""How much is collected before it is written to disk, in bytes."""
CLEANUP_TIMEOUT = 1.0
"""Seconds for deleting what is not whole."""


class PartFile:
    """A file that is not whole yet; made by `open_part_file`."""

    def __init__(self, output: Any) -> None:
        self._output = output
        self._collected = bytearray()

    async def write(self, chunk: bytes) -> None:
        """Append some bytes."""
        self._collected += chunk
        if len(self._collected) >= WRITE_SIZE:
            await self.flush()

    async def flush(self) -> None:
        """Write all that was collected."""
        while self._collected:
            written = await self._output.write(self._collected)
            del self._collected[:written]

    async def rewind(self) -> None:
        """Throw away all that was written."""
        self._collected.clear()
        await self._output.seek(0)
        await self._output.truncate()


@asynccontextmanager
async def open_part_file(path: trio.Path) -> AsyncGenerator[PartFile, None]:
    """Open a file for writing; it gets its name when the block is left normally.

    It takes the place of one that was there. If the block raises or is cancelled, nothing is left.
    Folders are made if need be.

    Raises:
        OSError: it cannot be written.
    """
    await path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        async with await part.open("xb", buffering=0) as output:
            file = PartFile(output)
            yield file
            await file.flush()
        await part.replace(path)
    finally:
        with trio.move_on_after(CLEANUP_TIMEOUT, shield=True):
            await part.unlink(missing_ok=True)
