"""A second WebSocket for `open_comfy`: wsproto over a trio stream, with nothing between."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import trio
import wsproto
from wsproto import events
from wsproto.connection import ConnectionState

from comfy_trio import WebSocketClosed, WebSocketRejected, WebSocketUnreachable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence


class WsprotoWebSocket:
    """A `comfy_trio.WebSocket`. Who receives answers pings too."""

    def __init__(self, stream: trio.abc.Stream, max_message_size: int) -> None:
        self._stream = stream
        self._connection = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._max_message_size = max_message_size
        self._sending = trio.Lock()
        self._over: WebSocketClosed | None = None
        self._pongs: list[trio.Event] = []

    async def shake_hands(self, url: str, headers: Sequence[tuple[str, str]]) -> None:
        parts = urlsplit(url)
        more = [(name.encode(), value.encode()) for name, value in headers]
        target = f"{parts.path}?{parts.query}"
        await self._send(events.Request(parts.netloc, target, extra_headers=more))
        status, body = 0, b""
        while True:
            for event in self._connection.events():
                match event:
                    case events.AcceptConnection():
                        return
                    case events.RejectConnection():
                        status = event.status_code
                        if not event.has_body:
                            raise WebSocketRejected(status)
                    case events.RejectData():
                        body += event.data
                        if event.body_finished:
                            raise WebSocketRejected(status, body)
                    case _:
                        pass
            data = await self._stream.receive_some()
            if not data:
                raise WebSocketUnreachable("the connection ended during the handshake")
            self._connection.receive_data(bytes(data))

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self._send(events.TextMessage(message))
        else:
            await self._send(events.BytesMessage(message))

    async def ping(self) -> None:
        pong = trio.Event()
        self._pongs.append(pong)
        await self._send(events.Ping())
        await pong.wait()
        if self._over is not None:
            raise self._over

    async def receive(self) -> str | bytes:
        parts: list[Any] = []
        while True:
            await trio.lowlevel.checkpoint()
            if self._over is not None:
                raise self._over
            for event in self._connection.events():
                match event:
                    case events.TextMessage() | events.BytesMessage():
                        parts.append(event.data)
                        if sum(map(len, parts)) > self._max_message_size:
                            await self._close(WebSocketClosed.MESSAGE_TOO_BIG, "too big")
                        elif event.message_finished:
                            empty = "" if isinstance(event, events.TextMessage) else b""
                            return empty.join(parts)
                    case events.Ping():
                        await self._send(event.response())
                    case events.Pong():
                        for pong in self._pongs:
                            pong.set()
                    case events.CloseConnection(code=code, reason=reason):
                        await self._send(event.response())
                        self._end(WebSocketClosed(code, reason or ""))
                    case _:
                        pass
                if self._over is not None:
                    raise self._over
            try:
                data = await self._stream.receive_some(2**16)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            self._connection.receive_data(bytes(data) or None)
            if not data:
                self._end(WebSocketClosed())

    async def aclose(self) -> None:
        await self._close(1000, "")

    async def _close(self, code: int, reason: str) -> None:
        if self._over is None:
            self._end(WebSocketClosed(code, reason))
            if self._connection.state is ConnectionState.OPEN:
                await self._send(events.CloseConnection(code, reason), closing=True)

    def _end(self, reason: WebSocketClosed) -> None:
        self._over = reason
        for pong in self._pongs:
            pong.set()

    async def _send(self, event: events.Event, *, closing: bool = False) -> None:
        if self._over is not None and not closing:
            raise self._over
        async with self._sending:
            try:
                await self._stream.send_all(self._connection.send(event))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._end(WebSocketClosed())


@asynccontextmanager
async def open_wsproto_websocket(
    url: str, *, headers: Sequence[tuple[str, str]], max_message_size: int
) -> AsyncGenerator[WsprotoWebSocket, None]:
    parts = urlsplit(url)
    try:
        stream = await trio.open_tcp_stream(parts.hostname or "", parts.port or 80)
    except OSError as error:
        raise WebSocketUnreachable(str(error)) from error
    websocket = WsprotoWebSocket(stream, max_message_size)
    try:
        await websocket.shake_hands(url, headers)
        yield websocket
    finally:
        with trio.move_on_after(1, shield=True):
            await websocket.aclose()
        await trio.aclose_forcefully(stream)
