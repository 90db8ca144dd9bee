"""Contents of files on their way from the server to a disk, or to whoever reads them."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import trio

from .._errors import FileError
from .._http import CLOSE_TIMEOUT

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from .._http import HttpClient, ReplyStream
    from .._replies import Reply, Request


def local_name(filename: str) -> str:
    """Return the name under which a server's file is safe to write into a directory.

    Raises:
        FileError: there is none.
    """
    name = filename.replace("\\", "/").rpartition("/")[2]
    if name in {"", ".", ".."} or "\0" in name:
        raise FileError(f"the server names a file {filename!r}, which is no name for one here")
    return name


async def save(
    http: HttpClient,
    request: Request,
    destination: str | os.PathLike[str],
    *,
    name: Callable[[], str] | Callable[[], Awaitable[str]],
    judge: Callable[[Reply], None],
) -> trio.Path:
    """Write what a request is answered with to disk, and return where.

    The file appears under its name only when it is whole, in place of one that was there. Memory
    use does not depend on its size.

    Args:
        http: The server.
        request: What to ask for.
        destination: A directory if it is one or ends with a slash (it is made if need be), or else
            the path to write.
        name: Tells the server's name of the file, if it goes into a directory.
        judge: Raises what a reply of bad status means.

    Raises:
        FileError: the server's name is none for a file here.
        OSError: the file cannot be written.
        ResponseError, DisconnectedError: the request failed.
    """
    path = trio.Path(destination)
    if str(destination).endswith(("/", "\\")) or await path.is_dir():
        named = name()
        path /= local_name(named if isinstance(named, str) else await named)
    await path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        async with _opened(http, request, judge) as stream, await part.open("wb") as file:
            while chunk := await stream.read_chunk():
                await file.write(chunk)
        await part.replace(path)
    finally:
        with trio.move_on_after(1, shield=True):
            await part.unlink(missing_ok=True)
    return path


@asynccontextmanager
async def open_content(
    http: HttpClient, request: Request, *, judge: Callable[[Reply], None]
) -> AsyncGenerator[trio.abc.ReceiveStream, None]:
    """Send a request; in the block, what it is answered with can be read piece by piece.

    Args:
        http: The server.
        request: What to ask for.
        judge: Raises what a reply of bad status means.

    Raises:
        ResponseError, DisconnectedError: the request failed.
    """
    async with _opened(http, request, judge) as stream, _ContentStream(stream) as content:
        yield content


@asynccontextmanager
async def _opened(
    http: HttpClient, request: Request, judge: Callable[[Reply], None]
) -> AsyncGenerator[ReplyStream, None]:
    stream: ReplyStream | None = None
    try:
        async with http.stream(request) as stream:
            if stream.status >= 300:
                judge(await stream.read())
            yield stream
    finally:
        if stream is not None:
            # httpx reads through generators within generators, and none ends those inside that
            # stand in the middle of a body. They end by the error that a closed connection raises.
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True), suppress(Exception):
                while await stream.read_chunk():
                    pass


class _ContentStream(trio.abc.ReceiveStream):
    """A reply's body as Trio has streams."""

    def __init__(self, stream: ReplyStream) -> None:
        self._stream = stream
        self._rest = b""
        self._closed = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next piece; empty at the end.

        Raises:
            DisconnectedError: the connection broke.
            trio.ClosedResourceError: the block is over.
        """
        if max_bytes is not None and max_bytes < 1:
            raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError("the block that opened this content is over")
        if not self._rest:
            self._rest = await self._stream.read_chunk()
        cut = len(self._rest) if max_bytes is None else max_bytes
        piece, self._rest = self._rest[:cut], self._rest[cut:]
        return piece

    async def aclose(self) -> None:
        """Read nothing more; the connection is closed with the block."""
        self._closed = True
        await trio.lowlevel.checkpoint()
