"""Forms with a file as the body of a request, sent piece by piece.

httpx has forms of its own, but reads their files on the spot, which would hold up every task of
the program for as long as a disk takes.
"""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import httpx

from ._content import open_content
from ._errors import FileError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from ._content import Content
    from ._replies import FileForm

CHUNK: Final = 512 * 2**10
"""How much of a file is read at a time, in bytes."""


class SourceError(Exception):
    """What a form sends could not be read, or who is told of its progress raised.

    It keeps the exception apart from those of the connection, which it may resemble: somebody
    may send on what he receives from elsewhere.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@asynccontextmanager
async def open_form(form: FileForm) -> AsyncGenerator[FormStream, None]:
    """Open what a form sends; in the block, it can be sent once.

    Raises:
        OSError: the file cannot be opened.
        FileError: it is nothing that can be sent.
    """
    async with open_content(form.source, form.filename) as content:
        yield FormStream(form, content)


class FormStream(httpx.AsyncByteStream):
    """A form's body, made by `open_form`.

    Iterating raises nothing but `SourceError`.

    Args:
        form: The form.
        content: Of its file.
    """

    def __init__(self, form: FileForm, content: Content) -> None:
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
        self._form = form
        self._content = content
        self._sent = 0
        length = (
            ("Transfer-Encoding", "chunked")
            if content.size is None
            else ("Content-Length", str(len(self._head) + content.size + len(self._tail)))
        )
        self.headers = (("Content-Type", f"multipart/form-data; boundary={boundary}"), length)
        """The headers that the request needs."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        # No generator: nobody closes one when the request is cancelled.
        try:
            piece = await self._next()
        except Exception as error:
            raise SourceError(error) from error
        if not piece:
            raise StopAsyncIteration
        return piece

    async def _next(self) -> bytes:
        if self._head:
            piece, self._head = self._head, b""
            return piece
        if not self._tail:
            return b""
        if self._form.progress is not None:  # what was returned before has been sent
            self._form.progress(self._sent, self._content.size)
        piece = await self._read()
        self._sent += len(piece)
        if not piece:
            piece, self._tail = self._tail, b""
        return piece

    async def _read(self) -> bytes:
        if self._content.size is None:
            return await self._content.read(CHUNK)
        left = self._content.size - self._sent
        piece = await self._content.read(min(CHUNK, left) or 1)
        if bool(piece) != bool(left):
            change = "longer" if piece else "shorter"
            raise FileError(
                f"{self._form.filename!r} became {change} while it was sent; the server has stored"
                " nothing of it"
            )
        return piece


def _quote(filename: str) -> str:
    """Write a name as browsers do in a form."""
    for character, quoted in (("\r", "%0D"), ("\n", "%0A"), ('"', "%22")):
        filename = filename.replace(character, quoted)
    return filename
