"""What the client needs of a network, as protocols: HTTP, and one WebSocket.

`comfy_trio` speaks through `httpx` and `trio-websocket`; `comfy_trio.testing` speaks to its
embedded server through memory; anything else that fits may be passed to `open_comfy`: an httpx
transport as ``http_transport``, a way to open WebSockets as ``websocket``, both as ``transport``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    import httpx


class WebSocketClosed(Exception):
    """The connection is over: the peer said goodbye, or it is gone.

    Args:
        code: The close code of RFC 6455, 1006 when there was no closing handshake.
        reason: The peer's reason, or what the transport knows. May be empty.
    """

    MESSAGE_TOO_BIG: Final = 1009
    """The code of RFC 6455 for a message that is larger than the side that closes takes."""

    def __init__(self, code: int = 1006, reason: str = "") -> None:
        super().__init__(f"WebSocket closed with code {code}" + (f": {reason}" if reason else ""))
        self.code = code
        self.reason = reason


class WebSocketRejected(Exception):
    """The server was reached and answered the upgrade with a plain HTTP status.

    Args:
        status: The HTTP status.
        body: The reply's body, possibly cut. May be empty.
    """

    def __init__(self, status: int, body: bytes = b"") -> None:
        super().__init__(f"WebSocket upgrade refused with HTTP status {status}")
        self.status = status
        self.body = body


class WebSocketUnreachable(Exception):
    """No connection could be made at all. `__cause__` tells why."""


class WebSocket(Protocol):
    """One open WebSocket connection.

    One task may `receive` while others `send`. Every method raises `WebSocketClosed` once the
    connection is over.
    """

    async def send(self, message: str | bytes) -> None:
        """Send one text or binary message."""
        ...

    async def receive(self) -> str | bytes:
        """Return the next text or binary message, whole."""
        ...

    async def ping(self) -> None:
        """Send a ping and return when its pong has come."""
        ...


class OpenWebSocket(Protocol):
    """Opens WebSockets: a function like `Transport.open_websocket`.

    Another library is fitted in by telling its exceptions and its names::

        class Adapter:
            def __init__(self, connection):
                self._connection = connection

            async def receive(self):
                try:
                    return await self._connection.receive()
                except other_library.Closed as error:
                    raise WebSocketClosed(error.code, error.reason) from None

            ...  # and likewise send and ping


        @asynccontextmanager
        async def open_websocket(url, *, headers, max_message_size):
            try:
                connection = await other_library.connect(url, headers, max_message_size)
            except other_library.Refused as error:
                raise WebSocketRejected(error.status, error.body) from None
            except OSError as error:
                raise WebSocketUnreachable(str(error)) from error
            try:
                yield Adapter(connection)
            finally:
                with trio.move_on_after(1, shield=True):
                    await connection.aclose()


        async with open_comfy(url, websocket=open_websocket) as comfy:
            ...

    `url` and `headers` may hold secrets: they belong in no message.
    """

    def __call__(
        self, url: str, *, headers: Sequence[tuple[str, str]], max_message_size: int
    ) -> AbstractAsyncContextManager[WebSocket]:
        """See `Transport.open_websocket`."""
        ...


class Transport(Protocol):
    """A way to a server: where HTTP requests and the WebSocket upgrade go."""

    def http_transport(self) -> httpx.AsyncBaseTransport:
        """Return a new HTTP transport, which the caller will close.

        It must not queue requests on a bound of its own (in httpx: ``max_connections=None``): the
        client bounds them itself, because a request cancelled in httpx's queue leaks its place.
        """
        ...

    def open_websocket(
        self, url: str, *, headers: Sequence[tuple[str, str]], max_message_size: int
    ) -> AbstractAsyncContextManager[WebSocket]:
        """Return a context manager that connects on entering and closes, in bounded time, after.

        Args:
            url: A ``ws://`` or ``wss://`` URL. Its query may hold a token.
            headers: Extra headers of the upgrade request.
            max_message_size: In bytes; a larger incoming message closes the connection with
                code 1009.

        Raises:
            WebSocketRejected: on entering; the server answered, but not with an upgrade.
            WebSocketUnreachable: on entering; nobody answered.
        """
        ...
