"""The WebSocket by trio-websocket, whose small defaults are overridden.

Its defaults close a connection on a message over 1 MiB (pictures are larger), read 4 KiB at a time
(half the throughput on pictures), and wait 60 s for a dead peer to say goodbye.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, cast, final
from urllib.parse import SplitResult, urlsplit

import trio
import trio_websocket

from ._nursery import open_service_nursery
from ._transport import WebSocketClosed, WebSocketRejected, WebSocketUnreachable

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence

RECEIVE_BUFFER_SIZE = 2**20
GOODBYE_TIMEOUT = 1.0
"""Seconds for the closing handshake; after that the connection is cut."""


@asynccontextmanager
async def open_trio_websocket(
    url: str,
    *,
    headers: Sequence[tuple[str, str]],
    max_message_size: int,
    ssl_context: ssl.SSLContext | None,
) -> AsyncGenerator[TrioWebSocket, None]:
    """Connect on entering, close after; see `Transport.open_websocket`.

    There is no bound on connecting: cancellation is the only timeout.
    """
    parts = urlsplit(url)
    resource = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    stream = await _connect(parts, ssl_context)
    # trio-websocket leaves the stream open when the peer drops it, so it is closed here.
    async with stream, open_service_nursery() as nursery:
        connection = await _shake_hands(
            nursery,
            stream,
            parts.netloc.rpartition("@")[2],
            resource,
            extra_headers=[(name.encode(), value.encode()) for name, value in headers],
            max_message_size=max_message_size,
        )
        try:
            yield TrioWebSocket(connection)
        finally:
            with trio.move_on_after(GOODBYE_TIMEOUT, shield=True):
                await connection.aclose()


async def _connect(parts: SplitResult, ssl_context: ssl.SSLContext | None) -> _WatchedStream:
    secure = parts.scheme == "wss"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    try:
        if secure:
            return _WatchedStream(
                await trio.open_ssl_over_tcp_stream(
                    host, port, ssl_context=ssl_context, https_compatible=True
                )
            )
        return _WatchedStream(await trio.open_tcp_stream(host, port))
    except OSError as error:
        raise WebSocketUnreachable(str(error)) from error


async def _shake_hands(
    nursery: trio.Nursery,
    stream: _WatchedStream,
    host: str,
    resource: str,
    *,
    extra_headers: list[tuple[bytes, bytes]],
    max_message_size: int,
) -> trio_websocket.WebSocketConnection:
    # trio-websocket waits for ever when the peer hangs up during the handshake.
    with trio.CancelScope() as shaking:
        stream.on_end = shaking.cancel
        try:
            return await trio_websocket.wrap_client_stream(
                nursery,
                cast("trio.SocketStream", stream),
                host,
                resource,
                extra_headers=extra_headers,
                max_message_size=max_message_size,
                receive_buffer_size=RECEIVE_BUFFER_SIZE,
            )
        except trio_websocket.ConnectionRejected as error:
            raise WebSocketRejected(error.status_code, error.body or b"") from error
        except (trio_websocket.HandshakeError, trio.BrokenResourceError) as error:
            raise WebSocketUnreachable(str(error) or type(error).__name__) from error
    raise WebSocketUnreachable("the connection ended during the WebSocket handshake")


@final
class _WatchedStream(trio.abc.Stream):
    """A stream that tells when nothing more will come."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.on_end: Callable[[], None] = lambda: None

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See `trio.abc.ReceiveStream`."""
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.on_end()
            raise
        if not data:
            self.on_end()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        await trio.aclose_forcefully(self._stream)


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
