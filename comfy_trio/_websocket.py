"""The WebSocket by trio-websocket, whose small defaults are overridden.

Its defaults close a connection on a message over 1 MiB (pictures are larger), read 4 KiB at a time
(half the throughput on pictures), and wait 60 s for a dead peer to say goodbye. It waits for the
end of whatever a server has to say when it refuses, and forgets it if the connection breaks first.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias, cast, final
from urllib.parse import SplitResult, urlsplit

import trio
import trio_websocket
from wsproto.utilities import LocalProtocolError

from ._nursery import open_service_nursery
from ._transport import WebSocketClosed, WebSocketRejected, WebSocketUnreachable
from ._tunnel import open_tunnel, start_tls

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence

    from ._tunnel import Proxy

    Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]

RECEIVE_BUFFER_SIZE = 2**18
"""How much is read at once, in bytes: all control frames in it are worked off without a pause."""
SWITCHING_PROTOCOLS = 101
MAX_REFUSAL_SIZE = 64 * 2**10
"""How much of an answer that refuses the upgrade is read, in bytes."""
GOODBYE_TIMEOUT = 1.0
"""Seconds for the closing handshake; after that the connection is cut."""


@asynccontextmanager
async def open_trio_websocket(
    url: str,
    *,
    headers: Sequence[tuple[str, str]],
    max_message_size: int,
    ssl_context: ssl.SSLContext,
    proxy: Proxy | None = None,
) -> AsyncGenerator[TrioWebSocket, None]:
    """Connect on entering, close after; see `Transport.open_websocket`.

    There is no bound on connecting: cancellation is the only timeout.
    """
    stream = await _connect(urlsplit(url), ssl_context, proxy)
    try:
        async with open_service_nursery() as nursery:
            connection = await _shake_hands(
                nursery,
                stream,
                urlsplit(url),
                extra_headers=[(name.encode(), value.encode()) for name, value in headers],
                max_message_size=max_message_size,
            )
            try:
                yield TrioWebSocket(connection)
            finally:
                with trio.move_on_after(GOODBYE_TIMEOUT, shield=True):
                    await connection.aclose()
    finally:
        # trio-websocket leaves the stream open when the peer drops it.
        await trio.aclose_forcefully(stream)  # noqa: ASYNC102  # never blocks


async def _connect(
    parts: SplitResult, ssl_context: ssl.SSLContext, proxy: Proxy | None
) -> trio.abc.Stream:
    secure = parts.scheme == "wss"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    try:
        stream: trio.abc.Stream
        if proxy is None:
            stream = await trio.open_tcp_stream(host, port)
        else:
            stream = await open_tunnel(proxy, host, port, ssl_context)
        return await start_tls(stream, host, ssl_context) if secure else stream
    except OSError as error:
        raise WebSocketUnreachable(str(error)) from error


async def _shake_hands(
    nursery: trio.Nursery,
    stream: trio.abc.Stream,
    parts: SplitResult,
    *,
    extra_headers: list[tuple[bytes, bytes]],
    max_message_size: int,
) -> trio_websocket.WebSocketConnection:
    reader = _Reader(nursery)
    answer = _Answer(stream)
    # trio-websocket waits for ever when the peer hangs up during the handshake.
    with reader.until_it_ends:
        return await trio_websocket.wrap_client_stream(
            cast("trio.Nursery", reader),
            cast("Stream", answer),  # any stream will do
            parts.netloc,
            f"{parts.path}?{parts.query}",
            extra_headers=extra_headers,
            max_message_size=max_message_size,
            receive_buffer_size=RECEIVE_BUFFER_SIZE,
        )
    status = answer.status
    if status is not None and status != SWITCHING_PROTOCOLS:
        raise WebSocketRejected(status, answer.body)
    raise WebSocketUnreachable("the connection ended during the WebSocket handshake")


@final
class _Answer(trio.abc.Stream):
    """A stream that remembers how the answer to the upgrade began, and cuts a refusal short."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._begin = bytearray()

    @property
    def status(self) -> int | None:
        """The HTTP status; None if it is not there, or none."""
        match = re.match(rb"HTTP/1\.\d (\d{3})[ \r\n]", self._begin)
        return None if match is None else int(match[1])

    @property
    def body(self) -> bytes:
        """What is there of the body."""
        return bytes(self._begin.partition(b"\r\n\r\n")[2])

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See `trio.abc.ReceiveStream`."""
        if self.status == SWITCHING_PROTOCOLS:
            return await self._stream.receive_some(max_bytes)
        wanted = MAX_REFUSAL_SIZE - len(self._begin)
        if wanted <= 0:
            await trio.lowlevel.checkpoint()
            return b""
        data = await self._stream.receive_some(wanted)
        self._begin += data
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        await self._stream.aclose()


@final
class _Reader:
    """The nursery as trio-websocket sees it, which starts one task in it: its reader."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.until_it_ends = trio.CancelScope()

    def start_soon(self, task: Callable[[], Awaitable[None]]) -> None:
        """See `trio.Nursery.start_soon`."""
        self._nursery.start_soon(self._run, task)

    async def _run(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            # A refusal: see _Answer, which knows more. And it answers a ping that comes while it
            # says goodbye, which its own protocol forbids it to do.
            with suppress(trio_websocket.ConnectionRejected, LocalProtocolError):
                await task()
        finally:
            self.until_it_ends.cancel("the reader of the WebSocket has ended")


@final
class TrioWebSocket:
    """A `WebSocket` over trio-websocket."""

    def __init__(self, connection: trio_websocket.WebSocketConnection) -> None:
        self._connection = connection

    async def send(self, message: str | bytes) -> None:
        """See `WebSocket.send`."""
        with _closing():
            await self._connection.send_message(message)

    async def receive(self) -> str | bytes:
        """See `WebSocket.receive`."""
        with _closing():
            return await self._connection.get_message()

    async def ping(self) -> None:
        """See `WebSocket.ping`."""
        with _closing():
            await self._connection.ping()


@contextmanager
def _closing() -> Generator[None]:
    try:
        yield
    except trio_websocket.ConnectionClosed as error:
        reason = error.reason
        if reason is None:
            raise WebSocketClosed from error
        raise WebSocketClosed(reason.code or 1006, reason.reason or "") from error
