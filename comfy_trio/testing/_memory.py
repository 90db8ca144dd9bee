"""The front in memory: HTTP and WebSockets without sockets, threads or real time."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import unquote

import httpx
import trio

from comfy_trio._transport import (
    WebSocketClosed,
    WebSocketRejected,
    WebSocketUnreachable,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from starlette.types import ASGIApp, Message

    from comfy_trio._transport import WebSocket

    from ._faults import Faults

BUFFER: Final = 8
"""How many messages are on their way in either direction, as in the buffers of a network."""

CLOSE_TIMEOUT: Final = 1.0
"""How many seconds a closing client waits for the server's goodbye."""


@final
class MemoryTransport:
    """A `comfy_trio.Transport` to an embedded server, through memory.

    Each request and each WebSocket is served by a task of the server's own, which goes on when
    the client goes away, as it does with the real server. There are no timeouts in it.
    """

    def __init__(self, app: ASGIApp, nursery: trio.Nursery, faults: Faults) -> None:
        self._app = app
        self._nursery = nursery
        self._faults = faults
        self._connections = faults._connections
        self._count = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<MemoryTransport [{len(self._connections)} connections]>"

    def http_transport(self) -> httpx.AsyncBaseTransport:
        """See `Transport.http_transport`."""
        return _MemoryHTTP(self)

    def open_websocket(
        self, url: str, *, headers: Sequence[tuple[str, str]], max_message_size: int
    ) -> AbstractAsyncContextManager[WebSocket]:
        """See `Transport.open_websocket`."""
        return self._open_websocket(url, headers, max_message_size)

    def _shut_down(self) -> None:
        """Break what is open and accept nothing more."""
        self._closed = True
        for connection in list(self._connections.values()):
            connection.lose(noticed=True)

    def _scope(
        self, kind: str, url: httpx.URL, headers: list[tuple[bytes, bytes]]
    ) -> dict[str, Any]:
        self._count += 1
        return {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": url.scheme,
            "path": unquote(url.raw_path.split(b"?")[0].decode("ascii")),
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in headers],
            "client": ("memory", self._count),
            "server": (url.host, url.port),
            "extensions": {"websocket.http.response": {}},
        }

    @asynccontextmanager
    async def _open_websocket(
        self, url: str, headers: Sequence[tuple[str, str]], max_message_size: int
    ) -> AsyncGenerator[WebSocket, None]:
        if self._closed:
            raise WebSocketUnreachable("the embedded server is closed")
        if self._faults._down:
            raise WebSocketUnreachable("the embedded server is stopped") from _refusal()
        target = httpx.URL(url)
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        raw.append((b"host", target.netloc))
        socket = _MemoryWebSocket(
            self._scope("websocket", target, raw), self._faults, max_message_size
        )
        # wait_opened waits for more than start() would.
        self._nursery.start_soon(socket.serve, self._app)  # noqa: ASYNC113
        try:
            await socket.wait_opened()
            yield socket
        finally:
            socket.hang_up()
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await socket.served.wait()


def _refusal() -> ConnectionRefusedError:
    return ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


class _MemoryHTTP(httpx.AsyncBaseTransport):
    """What `MemoryTransport.http_transport` returns."""

    def __init__(self, transport: MemoryTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        transport = self._transport
        if transport._closed:
            raise httpx.ConnectError("the embedded server is closed", request=request)
        if transport._faults._down:
            message = "the embedded server is stopped"
            raise httpx.ConnectError(message, request=request) from _refusal()
        scope = transport._scope("http", request.url, list(request.headers.raw))
        exchange = _Exchange({**scope, "method": request.method}, transport._faults)
        transport._nursery.start_soon(exchange.serve, transport._app)
        try:
            assert not isinstance(request.stream, httpx.SyncByteStream) or isinstance(
                request.stream, httpx.AsyncByteStream
            )
            await exchange.upload(request.stream)
            status = await exchange.wait_answered()
        except BaseException:
            exchange.hang_up()
            raise
        return httpx.Response(
            status,
            headers=exchange.headers,
            stream=_ReplyStream(exchange),
            extensions={"http_version": b"HTTP/1.1"},
        )


class _Exchange:
    """One request and its reply."""

    def __init__(self, scope: dict[str, Any], faults: Faults) -> None:
        self._scope = scope
        self._faults = faults
        self._upload_in, self._upload_out = trio.open_memory_channel[bytes](0)
        self._reply_in, self._reply_out = trio.open_memory_channel[bytes](BUFFER)
        self._uploading = trio.CancelScope()
        self._uploaded = False
        self._cut_short = False
        self._gone = trio.Event()
        self._complete = False
        self.answered = trio.Event()
        """Set when there is a status, or there will be none."""
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []

    # The client's side.

    async def upload(self, body: AsyncIterable[bytes]) -> None:
        """Send the body, unless the server answers before it has all of it."""
        chunks = aiter(body)
        try:
            with self._upload_in, self._uploading:
                async for chunk in chunks:
                    await self._upload_in.send(chunk)
                self._uploaded = True
            self._cut_short = self._uploading.cancelled_caught
        except trio.BrokenResourceError:
            return  # the server does not want the rest
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    async def wait_answered(self) -> int:
        """Wait for the reply to begin, and return its status."""
        await self.answered.wait()
        if self.status is None:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        return self.status

    async def download(self) -> bytes:
        """The next piece of the reply's body.

        Raises:
            StopAsyncIteration: There is no more.
        """
        try:
            return await self._reply_out.receive()
        except trio.EndOfChannel:
            if self._complete:
                raise StopAsyncIteration from None
            message = "peer closed connection without sending complete message body"
            raise httpx.RemoteProtocolError(message) from None

    def hang_up(self) -> None:
        """Go away; the server finds out when it next reads or writes."""
        self._gone.set()
        self._upload_in.close()
        self._reply_out.close()

    # The network's.

    def lose(self, *, noticed: bool) -> None:
        """See `Connection.lose`."""
        self._uploading.cancel("the connection is lost")
        self._reply_in.close()
        self.answered.set()
        if noticed:
            self.notice()

    def notice(self) -> None:
        """See `Connection.notice`."""
        self._gone.set()
        self._upload_in.close()

    # The server's.

    async def serve(self, app: ASGIApp) -> None:
        """Run the application on this request."""
        connections, key = self._faults._connections, self._scope["client"]
        connections[key] = self
        try:
            await app(self._scope, self._receive, self._send)
        finally:
            del connections[key]
            self._upload_out.close()
            self._reply_in.close()
            self._uploading.cancel("the server has finished with the request")
            self.answered.set()

    async def _receive(self) -> Message:
        try:
            chunk = await self._upload_out.receive()
            await self._faults._wait_reading()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            if self._uploaded and not self._gone.is_set():
                self._uploaded = False
                return {"type": "http.request", "body": b"", "more_body": False}
        else:
            return {"type": "http.request", "body": chunk, "more_body": True}
        if not self._cut_short:
            await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await trio.lowlevel.checkpoint()
            self.status = message["status"]
            self.headers = list(message.get("headers", ()))
            self._uploading.cancel("the server has answered")
            self.answered.set()
            return
        try:
            await self._reply_in.send(message.get("body", b""))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise OSError("the client has gone") from None
        if not message.get("more_body", False):
            self._complete = True
            self._reply_in.close()


class _ReplyStream(httpx.AsyncByteStream):
    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return await self._exchange.download()

    async def aclose(self) -> None:
        self._exchange.hang_up()


class _MemoryWebSocket:
    """Both ends of one WebSocket: `WebSocket` to the client, ASGI to the server."""

    def __init__(self, scope: dict[str, Any], faults: Faults, max_message_size: int) -> None:
        self._scope: dict[str, Any] = {**scope, "subprotocols": []}
        self._faults = faults
        self._max_message_size = max_message_size
        self._up_in, self._up_out = trio.open_memory_channel["str | bytes | trio.Event"](BUFFER)
        self._down_in, self._down_out = trio.open_memory_channel["str | bytes"](BUFFER)
        self._connecting = True
        self._opened = trio.Event()
        self._rejected: WebSocketRejected | None = None
        self._accepted = False
        self._over = WebSocketClosed()
        """What the client is told after the last message."""
        self._client_code = 1006
        """What the server is told."""
        self._pings: set[trio.Event] = set()
        self._lost = False
        self._gone = trio.Event()
        self.served = trio.Event()
        """Set when the server has finished with this connection."""

    # The client's side.

    async def wait_opened(self) -> None:
        """Wait for the server to accept the upgrade."""
        await self._opened.wait()
        if self._rejected is not None:
            raise self._rejected
        if not self._accepted:
            raise WebSocketUnreachable("the connection broke during the upgrade")

    async def send(self, message: str | bytes) -> None:
        try:
            await self._up_in.send(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise self._over from None

    async def receive(self) -> str | bytes:
        try:
            message = await self._down_out.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise self._over from None
        if len(message) > self._max_message_size:
            self._over = WebSocketClosed(1009, "message too big")
            self.hang_up(1009)
            raise self._over
        return message

    async def ping(self) -> None:
        pong = trio.Event()
        self._pings.add(pong)
        try:
            try:
                await self._up_in.send(pong)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise self._over from None
            await pong.wait()
        finally:
            self._pings.discard(pong)
        if self._lost or self._gone.is_set() or self.served.is_set():
            raise self._over

    def hang_up(self, code: int = 1000) -> None:
        """Close the client's side; what comes after is thrown away."""
        if not self._lost and not self._gone.is_set():
            self._client_code = code
            self._end()
        self._down_out.close()

    # The network's.

    def lose(self, *, noticed: bool) -> None:
        """See `Connection.lose`."""
        self._lost = True
        self._opened.set()
        self._down_in.close()
        self._answer_pings()
        # The client's sends fail from here on; the server's receive goes on waiting.
        self._up_in.close()
        if noticed:
            self.notice()

    def notice(self) -> None:
        """See `Connection.notice`."""
        self._end()

    def _end(self) -> None:
        self._gone.set()
        self._up_in.close()
        self._down_in.close()
        self._answer_pings()

    def _answer_pings(self) -> None:
        for pong in self._pings:
            pong.set()

    # The server's.

    async def serve(self, app: ASGIApp) -> None:
        """Run the application on this connection."""
        connections, key = self._faults._connections, self._scope["client"]
        connections[key] = self
        try:
            await app(self._scope, self._receive, self._send)
        finally:
            del connections[key]
            self.served.set()
            self._up_out.close()
            self._end()
            self._opened.set()

    async def _receive(self) -> Message:
        if self._connecting:
            await trio.lowlevel.checkpoint()
            self._connecting = False
            return {"type": "websocket.connect"}
        while True:
            try:
                message = await self._up_out.receive()
                await self._faults._wait_reading()
            except trio.EndOfChannel:
                await self._gone.wait()
                return {"type": "websocket.disconnect", "code": self._client_code}
            if isinstance(message, trio.Event):
                message.set()
            else:
                key = "text" if isinstance(message, str) else "bytes"
                return {"type": "websocket.receive", key: message}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.send":
            await self._send_down(message)
            return
        await trio.lowlevel.checkpoint()
        if kind == "websocket.accept":
            self._accepted = True
            self._opened.set()
        elif kind == "websocket.close":
            if self._accepted:
                self._over = WebSocketClosed(message.get("code", 1000), message.get("reason") or "")
            else:
                self._rejected = WebSocketRejected(403)
            self._end()
        elif kind == "websocket.http.response.start":
            self._rejected = WebSocketRejected(message["status"])
        elif self._rejected is not None:
            self._rejected.body += message.get("body", b"")
            if not message.get("more_body", False):
                self._opened.set()

    async def _send_down(self, message: Message) -> None:
        text = message.get("text")
        try:
            await self._down_in.send(message["bytes"] if text is None else text)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            if self._gone.is_set():
                raise OSError("the client has gone") from None
            # A network takes what is sent to a peer that nobody knows to be gone.
