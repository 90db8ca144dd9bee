"""A network between clients and an embedded server that delays, breaks and loses."""

from __future__ import annotations

import errno
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import httpx
import trio

from comfy_trio import WebSocketClosed, WebSocketUnreachable

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator, Sequence
    from contextlib import AbstractAsyncContextManager

    from comfy_trio import Transport, WebSocket

    from ._history import History

PROXY_STATUSES = (502, 503, 504)


@attrs.define(eq=False)
class Network:
    """What is between a client and the server. `storm` is how much of what is sent is harmed.

    HTTP and the WebSocket are delayed independently, so that they overtake each other; within one
    WebSocket nothing is.
    """

    server: Transport
    chance: random.Random
    history: History
    storm: float = 0.0
    last_harm: float = float("-inf")
    sockets: set[_Socket] = attrs.field(factory=set["_Socket"])

    def harms(self) -> bool:
        """Tell whether what is sent now comes to harm."""
        if self.storm and self.chance.random() < self.storm:
            self.last_harm = trio.current_time()
            return True
        return False

    def latency(self) -> float:
        """Return how long something is on its way."""
        return self.chance.choice([0.0, 0.001, 0.001, 0.01, 0.05, 0.3])

    def http_transport(self) -> httpx.AsyncBaseTransport:
        """See `Transport`."""
        return _HTTP(self, self.server.http_transport())

    def open_websocket(
        self, url: str, *, headers: Sequence[tuple[str, str]], max_message_size: int
    ) -> AbstractAsyncContextManager[WebSocket]:
        """See `Transport`."""
        return self._open(url, headers, max_message_size)

    @asynccontextmanager
    async def _open(
        self, url: str, headers: Sequence[tuple[str, str]], max_message_size: int
    ) -> AsyncGenerator[WebSocket, None]:
        await trio.sleep(self.latency())
        if self.harms():
            self.history.fault("upgrade refused", "network")
            raise WebSocketUnreachable("no route") from OSError(errno.EHOSTUNREACH, "no route")
        async with self.server.open_websocket(
            url, headers=headers, max_message_size=max_message_size
        ) as websocket:
            socket = _Socket(websocket, self)
            self.sockets.add(socket)
            try:
                yield socket
            finally:
                self.sockets.discard(socket)


class _HTTP(httpx.AsyncBaseTransport):
    def __init__(self, network: Network, inner: httpx.AsyncBaseTransport) -> None:
        self._network = network
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        network, route = self._network, f"{request.method} {request.url.path}"
        await trio.sleep(network.latency())
        harm = ""
        if network.harms():
            harm = network.chance.choice(
                ["unreachable", "reset before", "reset after", "5xx before", "5xx after", "stalled"]
            )
            network.history.fault(harm, "network", route)
        match harm:
            case "unreachable":
                raise httpx.ConnectError("no route") from OSError(errno.EHOSTUNREACH, "no route")
            case "reset before":
                raise httpx.ReadError("connection reset")
            case "5xx before":
                return httpx.Response(network.chance.choice(PROXY_STATUSES))
            case "stalled":
                await trio.sleep(network.chance.uniform(1, 20))
            case _:
                pass
        response = await self._inner.handle_async_request(request)
        if harm in {"reset after", "5xx after"}:
            await response.aread()
            await response.aclose()
            if harm == "reset after":
                raise httpx.ReadError("connection reset")
            return httpx.Response(network.chance.choice(PROXY_STATUSES))
        await trio.sleep(network.latency())
        return response


@attrs.define(eq=False)
class _Socket:
    """A WebSocket through the network."""

    inner: WebSocket
    network: Network
    dead: bool = False
    """Half-open: the other end is gone, and nobody told."""

    async def send(self, message: str | bytes) -> None:
        await trio.sleep(self.network.latency())
        if self.dead:
            return
        await self.inner.send(message)

    async def receive(self) -> str | bytes:
        message = await self.inner.receive()
        if self.network.chance.random() < 0.2:
            await trio.sleep(self.network.latency())
        if not self.dead and self.network.harms():
            if self.network.chance.random() < 0.5:
                self.network.history.fault("socket cut", "network")
                raise WebSocketClosed(reason="cut")
            self.network.history.fault("half-open", "network")
            self.dead = True
        while self.dead:
            await self.inner.receive()
        return message

    async def ping(self) -> None:
        await trio.sleep(self.network.latency())
        if self.dead:
            await trio.sleep_forever()
        await self.inner.ping()
