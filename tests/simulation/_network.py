"""A network between clients and an embedded server that delays, breaks and loses."""

from __future__ import annotations

import errno
from collections import deque
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
GARBAGE: tuple[str | bytes, ...] = (
    "",
    "null",
    "[]",
    '{"type": "executing", "data": {"node": ',
    '{"type": 5, "data": {}}',
    '{"type": "status", "data": null}',
    '{"type": "executing", "data": []}',
    '{"type": "execution_success", "data": {"prompt_id": 7}}',
    '{"type": "progress_state", "data": {"prompt_id": null, "nodes": 5}}',
    '{"type": "' + "x" * 1000,
    "[" * 10_000,
    b"",
    b"\0\0\0\1",
    b"\0\0\0\4\xff\xff\xff\xff{}",
    b"\xff" * 20,
)
"""What a server might send that has gone wrong."""
HARMS = ("socket cut", "half-open", "frame twice", "frame overtaken", "garbage")
"""What may happen to a frame."""


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
    disorder: bool = False
    """Whether frames ever overtook each other."""
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
    held: deque[str | bytes] = attrs.field(factory=deque["str | bytes"])
    """What came, and is still to be read."""

    async def send(self, message: str | bytes) -> None:
        await trio.sleep(self.network.latency())
        if self.dead:
            return
        await self.inner.send(message)

    async def receive(self) -> str | bytes:
        chance = self.network.chance
        message = self.held.popleft() if self.held else await self.inner.receive()
        if chance.random() < 0.2:
            await trio.sleep(self.network.latency())
        if not self.dead and self.network.harms():
            message = await self._harm(message, chance.choice(HARMS))
        while self.dead:
            await self.inner.receive()
        return message

    async def _harm(self, message: str | bytes, how: str) -> str | bytes:
        self.network.history.fault(how, "network")
        match how:
            case "socket cut":
                raise WebSocketClosed(reason="cut")
            case "half-open":
                self.dead = True
            case "frame twice":
                self.held.appendleft(message)
            case "frame overtaken":
                self.network.disorder = True
                self.held.append(message)
                message = await self.inner.receive()
            case _:
                self.held.appendleft(message)
                message = self.network.chance.choice(GARBAGE)
        return message

    async def ping(self) -> None:
        await trio.sleep(self.network.latency())
        if self.dead:
            await trio.sleep_forever()
        await self.inner.ping()
