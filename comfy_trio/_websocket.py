"""The WebSocket by trio-websocket, whose small defaults are overridden.

Its defaults close a connection on a message over 1 MiB (pictures are larger), read 4 KiB at a time
(half the throughput on pictures), and wait 60 s for a dead peer to say goodbye.
"""

from __future__ import annotations

import math
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, final

import trio
import trio_websocket

from ._transport import WebSocketClosed, WebSocketRejected, WebSocketUnreachable

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Generator, Sequence

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
    left_normally = False
    try:
        async with AsyncExitStack() as stack:
            with _connecting():
                connection = await stack.enter_async_context(
                    trio_websocket.open_websocket_url(
                        url,
                        ssl_context,
                        extra_headers=[(name.encode(), value.encode()) for name, value in headers],
                        max_message_size=max_message_size,
                        receive_buffer_size=RECEIVE_BUFFER_SIZE,
                        connect_timeout=math.inf,
                        disconnect_timeout=GOODBYE_TIMEOUT,
                    )
                )
            yield TrioWebSocket(connection)
            left_normally = True
    except trio_websocket.DisconnectionTimeout:
        if not left_normally:
            raise


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
def _connecting() -> Generator[None]:
    try:
        yield
    except trio_websocket.ConnectionRejected as error:
        raise WebSocketRejected(error.status_code, error.body or b"") from error
    except (trio_websocket.HandshakeError, OSError, trio.BrokenResourceError) as error:
        raise WebSocketUnreachable(str(error) or type(error).__name__) from error


@contextmanager
def _closing() -> Generator[None]:
    try:
        yield
    except trio_websocket.ConnectionClosed as error:
        reason = error.reason
        if reason is None:
            raise WebSocketClosed from error
        raise WebSocketClosed(reason.code or 1006, reason.reason or "") from error
