"""What is uploaded, opened: whatever it is, it can then be read as a file is, without blocking.

Files are looked at when they are opened, so that what cannot be sent is told before anything is.
"""

from __future__ import annotations

import errno
import inspect
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import attrs
import trio

from ._errors import FileError

if TYPE_CHECKING:
    from io import FileIO

    from ._replies import UploadSource

Read: TypeAlias = Callable[[int], Awaitable[bytes]]
"""Returns so many bytes or less; none at the end."""

CLOSE_TIMEOUT = 1.0
"""Seconds for an asynchronous generator to end when an upload does."""


@attrs.frozen
class Content:
    """A file's content, to be read once.

    Args:
        size: In bytes; None if it is not known before the end.
        read: Reads the next piece.
    """

    size: int | None
    read: Read


@asynccontextmanager
async def open_content(source: UploadSource, filename: str) -> AsyncGenerator[Content, None]:
    """Open the content of a file, whose name is for messages.

    A path is opened, and closed in the end. A file that is open already is read from where it
    stands, and left open. Files and plain iterables are read in threads.

    Raises:
        OSError: it cannot be opened.
        FileError: it is nothing that can be sent.
    """
    if isinstance(source, bytes):
        yield Content(len(source), _Pieces(_Once(source).next, filename).read)
    elif isinstance(source, str):
        file = await trio.to_thread.run_sync(_open_path, source)
        try:
            size = (await trio.to_thread.run_sync(os.fstat, file.fileno())).st_size
            yield Content(size, _FileReader(file, filename).read)
        finally:
            file.close()
    elif hasattr(source, "read"):
        reader = _FileReader(source, filename)
        yield Content(await reader.examine(), reader.read)
    elif isinstance(source, AsyncIterable):
        iterator = aiter(source)

        async def next_async() -> Any:
            return await anext(iterator, None)

        try:
            yield Content(None, _Pieces(next_async, filename).read)
        finally:
            if isinstance(iterator, AsyncGenerator):
                with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                    await iterator.aclose()
    elif isinstance(source, Iterable):
        pieces = iter(source)

        async def next_sync() -> Any:
            return await trio.to_thread.run_sync(next, pieces, None)

        yield Content(None, _Pieces(next_sync, filename).read)
    else:
        raise FileError(
            f"{filename!r} cannot be read from a {type(source).__name__}: give bytes, a path, an"
            " open file, or an iterable of bytes"
        )


def _open_path(path: str) -> FileIO:
    kind = os.stat(path).st_mode
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(kind):
        raise FileError(
            f"{path!r} is no regular file, and may have no end: open it yourself, and give the open"
            " file and a filename=..."
        )
    return open(path, "rb", buffering=0)  # the caller closes it


class _FileReader:
    """Reads a file that is open, whether its methods are asynchronous or block."""

    def __init__(self, file: Any, filename: str) -> None:
        self._file = file
        self._filename = filename

    async def _call(self, name: str, *arguments: int) -> Any:
        method = getattr(self._file, name)
        if inspect.iscoroutinefunction(method):
            return await method(*arguments)
        result = await trio.to_thread.run_sync(method, *arguments)
        return await result if inspect.isawaitable(result) else result

    async def examine(self) -> int | None:
        """Return how much is left to read, in bytes; None if the file does not know.

        Raises:
            FileError: it is closed, or not open for reading bytes.
        """
        try:
            nothing = await self._call("read", 0)
        except ValueError as error:  # also io.UnsupportedOperation
            raise FileError(f"{self._filename!r} cannot be read: {error}") from error
        self._check(nothing)
        try:
            if not await self._call("seekable"):
                return None
            start: int = await self._call("tell")
            end: int = await self._call("seek", 0, os.SEEK_END)
            await self._call("seek", start)
        except (AttributeError, OSError):  # it only looks like a file
            return None
        return max(end - start, 0)

    async def read(self, size: int) -> bytes:
        return self._check(await self._call("read", size))

    def _check(self, piece: object) -> bytes:
        if isinstance(piece, str):
            raise FileError(f"{self._filename!r} is open as text: open it in binary mode, 'rb'")
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise FileError(
                f"reading {self._filename!r} gave a {type(piece).__name__}, not bytes: it may be"
                " open without blocking"
            )
        return bytes(cast("bytes", piece))


class _Once:
    """One piece, and no more."""

    def __init__(self, piece: bytes) -> None:
        self._piece: bytes | None = piece

    async def next(self) -> bytes | None:
        await trio.lowlevel.checkpoint()
        piece, self._piece = self._piece, None
        return piece


class _Pieces:
    """Reads pieces of any length as a file is read.

    Args:
        next_piece: Returns the next one; None after the last.
        filename: For messages.
    """

    def __init__(self, next_piece: Callable[[], Awaitable[Any]], filename: str) -> None:
        self._next = next_piece
        self._filename = filename
        self._left = memoryview(b"")

    async def read(self, size: int) -> bytes:
        while not self._left:
            piece = await self._next()
            if piece is None:
                return b""
            if not isinstance(piece, bytes | bytearray | memoryview):
                raise FileError(
                    f"the pieces of {self._filename!r} are bytes; one is a {type(piece).__name__}"
                )
            self._left = memoryview(cast("bytes", piece)).cast("B")
            await trio.lowlevel.checkpoint()  # there may be ever so many empty ones
        piece, self._left = self._left[:size], self._left[size:]
        return bytes(piece)
