"""A file's content as it comes from a server, gone on with where a connection broke off."""

from __future__ import annotations

import mimetypes
import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, final

import attrs
import trio

from ._errors import ComfyError, DisconnectedError, FileError, ResponseError, ServerUnreachableError
from ._http import CLOSE_TIMEOUT
from ._logging import ids, logger
from ._ranges import ContentVersion
from ._replies import unexpected
from ._routes._file import file_reference, is_html, require_content
from ._util import NoPublicConstructor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping

    from ._http import HttpClient, ReplyStream
    from ._replies import Progress, Request
    from ._routes._file import FileReference

TRIES = 5
"""How often to ask for the rest while none of it comes."""
FIRST_PAUSE = 0.5
"""Seconds before the first of these tries; twice as many before each next one."""
PASSING = frozenset({429, 500, 502, 503, 504})
"""Statuses of servers, and of proxies before them, that may answer otherwise in a while."""


@final
class FileStream(metaclass=NoPublicConstructor):
    """A file's content, piece by piece; see `FileNamespace.open_stream`.

    Iterating yields non-empty bytes. When the connection breaks, it asks for the rest of the file,
    and goes on if the file is still the same.
    """

    def __init__(
        self,
        http: HttpClient,
        request: Request,
        file: FileReference,
        progress: Progress | None,
    ) -> None:
        identity = (("Accept-Encoding", "identity"),)  # parts of what is compressed fit nowhere
        self._http = http
        self._request = attrs.evolve(request, headers=(*request.headers, *identity))
        self._file = file
        self._progress = progress
        self._rewind: Callable[[], Awaitable[object]] | None = None
        self._connection = AsyncExitStack()
        self._reply: ReplyStream | None = None
        self._headers: Mapping[str, str] = {}
        self._version = ContentVersion(None, "")
        self._received = self._skip = self._furthest = self._tries = 0
        self._complete = False

    def __repr__(self) -> str:
        name = file_reference(self._file).reference
        return f"<FileStream {name!r} [{self._received} of {self.size} bytes]>"

    @property
    def size(self) -> int | None:
        """The size of all of it, in bytes; None if the server does not tell."""
        return self._version.size

    @property
    def received(self) -> int:
        """How many bytes have been yielded."""
        return self._received

    @property
    def content_type(self) -> str:
        """Its format as the server states it, such as ``image/png``; may be empty."""
        return self._headers.get("content-type", "")

    @property
    def name(self) -> str:
        """A name for it as the server gives it: nothing that is safe to write to.

        Its ending is that of the picture that the server makes of it, if it makes one.
        """
        filename = file_reference(self._file).filename
        if filename.startswith("blake3:"):
            _, _, told = self._headers.get("content-disposition", "").partition('filename="')
            filename = told.rpartition('"')[0] or filename.removeprefix("blake3:")
        if not {"preview", "channel"} & dict(self._request.params).keys():
            return filename
        suffix = mimetypes.guess_extension(self.content_type.partition(";")[0].strip())
        return os.path.splitext(filename)[0] + suffix if suffix else filename

    def _start_again_after(self, rewind: Callable[[], Awaitable[object]]) -> None:
        """Let it start anew where it cannot go on: when the file has changed.

        Args:
            rewind: Throws away what was read.
        """
        self._rewind = rewind

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece.

        Raises:
            FileError: the file was deleted or changed while it was read.
            ResponseError, DisconnectedError, ServerUnreachableError: no more came for a while.
            trio.ClosedResourceError: the block around the stream is over.
        """
        while not self._complete:
            if self._reply is None:
                raise trio.ClosedResourceError("the block around this stream is over")
            try:
                chunk = await self._read_chunk(self._reply)
            except DisconnectedError as error:
                if self._received == self.size:
                    break  # it broke behind the last byte
                await self._resume(error)
                continue
            if self._skip:
                skipped = min(self._skip, len(chunk))
                self._skip -= skipped
                chunk = chunk[skipped:]
            if chunk:
                self._received += len(chunk)
                self._tell()
                return chunk
        self._complete = True
        raise StopAsyncIteration

    async def _read_chunk(self, reply: ReplyStream) -> bytes:
        chunk = await reply.read_chunk()
        if not chunk:
            if self.size is not None and self._received != self.size:
                raise DisconnectedError(
                    f"the content of {file_reference(self._file).reference!r} ended after"
                    f" {self._received} of {self.size} bytes"
                )
            self._complete = True
        return chunk

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._received, self.size)

    async def _open(self) -> None:
        try:
            reply = await self._ask(self._request)
        except DisconnectedError:  # as `HttpClient.request` does
            reply = await self._ask(self._request)
        await self._take(reply)

    async def _ask(self, request: Request) -> ReplyStream:
        return await self._connection.enter_async_context(self._http.stream(request))

    async def _take(self, reply: ReplyStream) -> None:
        """Begin with a reply that has the whole content."""
        if reply.status != 200 or is_html(reply.headers.get("content-type", "")):
            whole = await reply.read()
            require_content(whole, self._file)
            raise unexpected(whole, "the content of a file")
        self._reply = reply
        self._headers = reply.headers
        self._version = ContentVersion.of(reply.headers)
        self._received = 0
        self._tell()

    async def _close(self) -> None:
        self._reply = None
        await self._connection.aclose()

    async def _resume(self, error: ComfyError) -> None:
        """Get the rest of the content, or else all of it anew.

        Raises:
            ComfyError: `error`, or a later one, after some tries of which none gave anything new.
        """
        while True:
            if self._received > self._furthest:
                self._furthest, self._tries = self._received, 0
            if self._tries >= TRIES or not self._may_ask_again():
                raise error
            logger.info("%s; asking for the rest", error, extra=ids(server=self._http.address))
            await self._close()
            pause = FIRST_PAUSE * 2**self._tries
            self._tries += 1
            await trio.sleep(pause)
            try:
                if await self._ask_for_rest():
                    return
            except (DisconnectedError, ServerUnreachableError) as failure:
                error = failure
            except ResponseError as failure:
                if failure.status not in PASSING:
                    raise
                error = failure

    def _may_ask_again(self) -> bool:
        if self.size is not None and self._received > self.size:
            return False
        return self._version.recognizable or self._may_start_again()

    def _may_start_again(self) -> bool:
        return self._rewind is not None or self._received == 0

    async def _ask_for_rest(self) -> bool:
        """Ask once; return whether there is something to go on with."""
        known, start = self._version, self._received
        if not known.recognizable or not start:
            await self._start_again(await self._ask(self._request))
            return True
        headers = (*self._request.headers, *known.headers_for_rest(start))
        reply = await self._ask(attrs.evolve(self._request, headers=headers))
        if known.has_rest(start, reply.status, reply.headers):
            self._reply, self._skip = reply, 0
            return True
        if reply.status == 200 and ContentVersion.of(reply.headers) == known:
            self._reply, self._skip = reply, start  # it does not send parts
            return True
        if reply.status not in {200, 206, 416} or is_html(reply.headers.get("content-type", "")):
            await self._take(reply)  # raises
        if not self._may_start_again():
            raise FileError(
                f"{file_reference(self._file).reference!r} changed at the server while it was read:"
                f" what came, {start} bytes, is the beginning of another content"
            )
        if reply.status == 200:
            await self._start_again(reply)
            return True
        self._version = ContentVersion(None, "")  # the next time, ask for the whole
        return False

    async def _start_again(self, reply: ReplyStream) -> None:
        await self._take(reply)
        self._skip = 0
        if self._rewind is not None:
            await self._rewind()


@asynccontextmanager
async def open_file_stream(
    http: HttpClient,
    request: Request,
    file: FileReference,
    *,
    progress: Progress | None = None,
) -> AsyncGenerator[FileStream, None]:
    """Ask for a file's content; in the block, it can be read.

    Args:
        http: The server.
        request: For the content.
        file: Whose.
        progress: Is told how much has come.

    Raises:
        FileError: the server does not have it.
        ResponseError, DisconnectedError, ServerUnreachableError: the request failed.
    """
    stream = FileStream._create(http, request, file, progress)
    try:
        await stream._open()
        yield stream
    finally:
        with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await stream._close()
