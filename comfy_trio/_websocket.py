"""The WebSocket by trio-websocket, whose small defaults are overridden.

Its defaults close a connection on a message over 1 MiB (pictures are larger), read 4 KiB at a time
(half the throughput on pictures), and wait 60 s for a dead peer to say goodbye.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeAlias, cast, final
from urllib.parse import SplitResult, urlsplit

import trio
import trio_websocket

from ._nursery import open_service_nursery
from ._transport import WebSocketClosed, WebSocketRejected, WebSocketUnreachable

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence

    Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]

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
    stream = await _connect(urlsplit(url), ssl_context)
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


async def _connect(parts: SplitResult, ssl_context: ssl.SSLContext | None) -> Stream:
    secure = parts.scheme == "wss"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    try:
        if secure:
            return await trio.open_ssl_over_tcp_stream(
                host, port, ssl_context=ssl_context, https_compatible=True
            )
        return await trio.open_tcp_stream(host, port)
    except OSError as error:
        raise WebSocketUnreachable(str(error)) from error


async def _shake_hands(
    nursery: trio.Nursery,
    stream: Stream,
    parts: SplitResult,
    *,
    extra_headers: list[tuple[bytes, bytes]],
    max_message_size: int,
) -> trio_websocket.WebSocketConnection:
    reader = _Reader(nursery)
    # trio-websocket waits for ever when the peer hangs up during the handshake.
    with reader.until_it_ends:
        return await trio_websocket.wrap_client_stream(
            cast("trio.Nursery", reader),
            stream,
            parts.netloc,
            f"{parts.path}?{parts.query}",
            extra_headers=extra_headers,
            max_message_size=max_message_size,
            receive_buffer_size=RECEIVE_BUFFER_SIZE,
        )
    rejection = reader.rejection
    if rejection is not None:
        raise WebSocketRejected(rejection.status_code, rejection.body or b"") from rejection
    raise WebSocketUnreachable("the connection ended during the WebSocket handshake")


@final
class _Reader:
    """The nursery as trio-websocket sees it, which starts one task in it: its reader.

    When the server refuses the upgrade, the reader raises that; here it is kept for the caller.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.until_it_ends = trio.CancelScope()
        self.rejection: trio_websocket.ConnectionRejected | None = None

    def start_soon(self, task: Callable[[], Awaitable[None]]) -> None:
        """See `trio.Nursery.start_soon`."""
        self._nursery.start_soon(self._run, task)

    async def _run(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except trio_websocket.ConnectionRejected as error:
            self.rejection = error
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
