"""Forms with a file as the body of a request, sent piece by piece.

httpx has forms of its own, but reads their files on the spot, which would hold up every task of
the program for as long as a disk takes.
"""

from __future__ import annotations

import io
import os
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import httpx
import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from ._replies import FileForm

CHUNK: Final = 256 * 2**10
"""How much of a file is read at a time, in bytes."""


@asynccontextmanager
async def open_form(form: FileForm) -> AsyncGenerator[FormStream, None]:
    """Open what a form sends; in the block, it can be sent once.

    Raises:
        OSError: the file cannot be opened.
    """
    if isinstance(form.source, bytes):
        content = io.BytesIO(form.source)

        async def read(size: int) -> bytes:
            await trio.lowlevel.checkpoint()
            return content.read(size)

        yield FormStream(form, len(form.source), read)
        return
    async with await trio.open_file(form.source, "rb") as file:
        status = await trio.to_thread.run_sync(os.fstat, file.fileno())
        yield FormStream(form, status.st_size, file.read)


class FormStream(httpx.AsyncByteStream):
    """A form's body, of a length that is known before; made by `open_form`.

    Args:
        form: The form.
        size: Of its file, in bytes.
        read: Reads so much of the file, or less; nothing at its end.
    """

    def __init__(self, form: FileForm, size: int, read: Callable[[int], Awaitable[bytes]]) -> None:
        boundary = secrets.token_hex(16)
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in form.fields
        )
        head += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{form.name}";'
            f' filename="{_quote(form.filename)}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self._head = head.encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._filename = form.filename
        self._read_file = read
        self._left = size
        self.headers = (
            ("Content-Type", f"multipart/form-data; boundary={boundary}"),
            ("Content-Length", str(len(self._head) + size + len(self._tail))),
        )
        """The headers that the request needs."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        # No generator: nobody closes one when the request is cancelled.
        if self._head:
            piece, self._head = self._head, b""
        elif self._left:
            piece = await self._read()
            self._left -= len(piece)
        else:
            piece, self._tail = self._tail, b""
        if not piece:
            raise StopAsyncIteration
        return piece

    async def _read(self) -> bytes:
        piece = await self._read_file(min(CHUNK, self._left))
        if not piece:
            raise OSError(f"{self._filename!r} became shorter while it was sent")
        return piece


def _quote(filename: str) -> str:
    """Write a name as browsers do in a form."""
    for character, quoted in (("\r", "%0D"), ("\n", "%0A"), ('"', "%22")):
        filename = filename.replace(character, quoted)
    return filename
