"""The network between one client and the server: it delays, breaks, loses and forgets.

What is sent is on its way in tasks of the network's own: who sent it may be gone by then, and it
arrives all the same, as it does with TCP. HTTP and the WebSocket have paces of their own, so that
they overtake each other; within one WebSocket nothing overtakes anything, and neither do pongs.
"""

from __future__ import annotations

import errno
import math
from collections import deque
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import attrs
import httpx
import trio

from comfy_trio import WebSocketClosed, WebSocketRejected, WebSocketUnreachable

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from comfy_trio import Transport, WebSocket

    from ._history import History

ACTOR: ContextVar[str] = ContextVar("ACTOR")
"""On whose behalf the server acts."""

PACES = (0.0, 0.002, 0.02, 0.3)
"""Seconds that the slowest messages of a kind take; which pace a world has is drawn."""
GOODBYE = 1.0
"""Seconds that a client waits for its socket to be closed."""
LONG_LOST = 100.0
"""Seconds after which the system gives up a connection on which nothing is acknowledged."""

HTTP_HARM = (
    "unreachable",
    "reset before",
    "reset under way",
    "reset after",
    "5xx before",
    "5xx under way",
    "5xx after",
    "cut short",
    "stalled",
    "swallowed",
    "never answered",
)
SOCKET_HARM = ("cut", "cut, unknown to the server", "cut, unknown to the client", "half-open")
FRAME_HARM = (*SOCKET_HARM, "held up", "garbage", "doubled")
UPGRADE_HARM = ("unreachable", "refused by a proxy", "greeting held up")
PROXY_STATUSES = (502, 503, 504)
GARBAGE: tuple[str | bytes, ...] = (
    "",
    "{",
    "[]",
    '{"type": "crystools.monitor", "data": {"gpus": null}}',
    '{"type": "executing", "data": {"node": 7, "prompt_id": ["x"]}}',
    '{"type": "progress", "data": {"value": 1, "max": 0}}',
    '{"type": "execution_success", "data": null}',
    '{"type": "execution_success", "data": {"prompt_id": "somebody-else"}}',
    b"",
    "[" * 10_000,
    '{"type": "' + "x" * 1000,
    b"\xff" * 20,
    b"\x00\x00\x00\x63ninety-nine",
    b"\x00\x00\x00\x04\x00\x00",
)
"""Frames of custom nodes, of other people's jobs, and nonsense."""


@attrs.define(eq=False)
class Outage:
    """Until when the server answers nobody, because it loads a model; shared by all networks."""

    until: float = -math.inf

    async def wait(self) -> None:
        """Wait until it is over."""
        if trio.current_time() < self.until:
            await trio.sleep_until(self.until)


@attrs.define(eq=False)
class Network:
    """What is between one client and the server.

    Args:
        client: Whose it is.
        server: The good network behind it.
        chance: Where all that is random comes from.
        history: Where it is told.
        nursery: In which things are under way.
        outage: See there.
        storm: How much of what is sent comes to harm, from 0 to 1.
    """

    client: str
    server: Transport
    chance: random.Random
    history: History
    nursery: trio.Nursery
    outage: Outage
    storm: float = 0.0
    harmed_until: float = -math.inf
    """Until when a request may be in harm's way."""
    wires: dict[Wire, None] = attrs.field(factory=dict["Wire", None])
    """All sockets of which an end is still there."""
    two_at_once: bool = False
    """Whether a socket was opened while another one was."""
    _transport: httpx.AsyncBaseTransport = attrs.field(init=False)
    _http_pace: float = attrs.field(init=False)
    _socket_pace: float = attrs.field(init=False)
    _unanswered: dict[Exchange, None] = attrs.field(factory=dict["Exchange", None])

    def __attrs_post_init__(self) -> None:
        self._http_pace = self.chance.choice(PACES)
        self._socket_pace = self.chance.choice(PACES)
        self._transport = self.server.http_transport()

    def harm(self, kinds: Sequence[str], share: float = 1.0) -> str:
        """Return what harm comes to what is sent now; usually none."""
        if self.storm and self.chance.random() < self.storm * share:
            return self.chance.choice(kinds)
        return ""

    def harm_until(self, time: float) -> None:
        """Remember that requests are in harm's way until then."""
        self.harmed_until = max(self.harmed_until, time)

    async def pass_http(self) -> None:
        """Be on the way for as long as a request is, or a reply."""
        await self._pass(self._http_pace)

    async def pass_socket(self) -> None:
        """Be on the way for as long as a message of the WebSocket is."""
        await self._pass(self._socket_pace)

    async def _pass(self, pace: float) -> None:
        if pace:
            await trio.sleep(self.chance.random() * pace)
        await self.outage.wait()

    def arrival(self) -> float:
        """Return when a frame arrives that is sent now."""
        return trio.current_time() + self.chance.random() * self._socket_pace

    def reset(self) -> None:
        """Break what waits for an answer for ever: the server that was to give it is gone."""
        for exchange in [*self._unanswered]:
            exchange.end(httpx.ReadError("connection reset"))

    def calm(self) -> None:
        """Harm nothing any more."""
        self.storm = 0.0

    # --- HTTP -------------------------------------------------------------------------------------

    def http_transport(self) -> httpx.AsyncBaseTransport:
        """See `Transport`."""
        return _HTTP(self)

    # --- The WebSocket ----------------------------------------------------------------------------

    def open_websocket(
        self, url: str, *, headers: Sequence[tuple[str, str]], max_message_size: int
    ) -> AbstractAsyncContextManager[WebSocket]:
        """See `Transport`."""
        return self._open(url, headers, max_message_size)

    @asynccontextmanager
    async def _open(
        self, url: str, headers: Sequence[tuple[str, str]], max_message_size: int
    ) -> AsyncGenerator[WebSocket, None]:
        if any(not wire.left for wire in self.wires):
            self.two_at_once = True
        self.history.note(self.client, "opens a socket")
        harm = self.harm(UPGRADE_HARM)
        if harm:
            self.history.fault(f"upgrade {harm}", self.client)
        wire = Wire(self, url, headers, max_message_size, held_up=harm == "greeting held up")
        await trio.lowlevel.checkpoint()
        match harm:
            case "unreachable":
                raise WebSocketUnreachable("no route") from OSError(errno.EHOSTUNREACH, "no route")
            case "refused by a proxy":
                raise WebSocketRejected(self.chance.choice(PROXY_STATUSES))
            case _:
                pass
        self.wires[wire] = None
        self.nursery.start_soon(wire.run)
        try:
            await wire.opened.wait()
            if wire.error is not None:
                raise wire.error
            if wire.closed.is_set():
                raise WebSocketUnreachable("the connection broke during the upgrade")
            yield wire
        finally:
            wire.left = True
            with trio.move_on_after(GOODBYE, shield=True):
                await wire.hang_up()
            wire.forget()

    def cut(self, how: str) -> None:
        """Break the sockets that there are, in one of the `SOCKET_HARM` ways."""
        for wire in [*self.wires]:
            if not wire.left:
                self.history.fault(f"socket {how}", self.client)
                wire.cut(how)

    @property
    def holds_a_dead_socket(self) -> bool:
        """Whether the client still has a socket on which nothing can come."""
        return any(wire.mute and not wire.left for wire in self.wires)


class _HTTP(httpx.AsyncBaseTransport):
    def __init__(self, network: Network) -> None:
        self._network = network

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        content = b"".join([piece async for piece in request.stream])
        sent = httpx.Request(request.method, request.url, headers=request.headers, content=content)
        exchange = Exchange(self._network, sent)
        self._network.nursery.start_soon(exchange.travel)
        await exchange.over.wait()
        if exchange.error is not None:
            raise exchange.error
        assert exchange.response is not None
        return exchange.response


@attrs.define(eq=False)
class Exchange:
    """A request, and its reply if there is to be one, on their way."""

    network: Network
    request: httpx.Request
    over: trio.Event = attrs.field(factory=trio.Event)
    response: httpx.Response | None = None
    error: Exception | None = None

    def end(self, with_what: httpx.Response | Exception) -> None:
        """Let the client have a reply, or the news that there is none."""
        if self.over.is_set():
            return
        if isinstance(with_what, Exception):
            self.error = with_what
        else:
            self.response = with_what
        self.over.set()

    def end_by_proxy(self) -> None:
        """Let the client have the reply of a proxy that has got none from the server."""
        self.end(httpx.Response(self.network.chance.choice(PROXY_STATUSES), text="<html>"))

    async def travel(self) -> None:
        network, route = self.network, f"{self.request.method} {self.request.url.path}"
        harm = network.harm(HTTP_HARM)
        if harm == "swallowed" and network.chance.random() < 0.8:
            harm = "stalled"  # for the world to last not too long
        if harm:
            network.history.fault(f"request {harm}", network.client, route)
            network.harm_until(trio.current_time() + 1)
        else:
            network.history.note(network.client, route)
        match harm:
            case "unreachable":
                self.end(httpx.ConnectError("no route"))
                return
            case "reset before":
                self.end(httpx.ReadError("connection reset"))
                return
            case "5xx before":
                self.end_by_proxy()
                return
            case "swallowed":
                network.harm_until(trio.current_time() + LONG_LOST)
                await trio.sleep(LONG_LOST)
                self.end(httpx.ReadError("timed out"))
                return
            case "reset under way":
                self.end(httpx.ReadError("connection reset"))
            case "5xx under way":
                self.end_by_proxy()
            case "stalled":
                pause = network.chance.uniform(1, 20)
                network.harm_until(trio.current_time() + pause)
                await trio.sleep(pause)
            case _:
                pass
        await network.pass_http()
        response = await self._deliver()
        if response is not None:
            await self._answer(response, harm)

    async def _deliver(self) -> httpx.Response | None:
        network = self.network
        ACTOR.set(network.client)
        try:
            response = await network._transport.handle_async_request(self.request)
            content = await response.aread()
        except httpx.HTTPError as error:
            await network.pass_http()
            self.end(error)
            return None
        return httpx.Response(response.status_code, headers=response.headers, content=content)

    async def _answer(self, response: httpx.Response, harm: str) -> None:
        network = self.network
        match harm:
            case "reset after":
                self.end(httpx.ReadError("connection reset"))
            case "5xx after":
                self.end_by_proxy()
            case "cut short":
                self.end(httpx.Response(response.status_code, stream=_CutShort(response.content)))
            case "never answered":
                network._unanswered[self] = None
                await self.over.wait()
                del network._unanswered[self]
            case _:
                await network.pass_http()
                self.end(response)


class _CutShort(httpx.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await trio.lowlevel.checkpoint()
        if len(self._content) > 1:
            yield self._content[: len(self._content) // 2]
        raise httpx.ReadError("connection reset")


@attrs.define(eq=False)
class Wire:
    """One WebSocket, from end to end. Its `run` is the network's, the rest the client's."""

    network: Network
    url: str
    headers: Sequence[tuple[str, str]]
    max_message_size: int
    held_up: bool
    left: bool = False
    """Whether the client has let go of it."""
    mute: bool = False
    """Whether nothing gets through any more, and nobody has told the client."""
    error: WebSocketClosed | WebSocketRejected | WebSocketUnreachable | None = None
    """How it ended for the client."""
    opened: trio.Event = attrs.field(factory=trio.Event)
    closed: trio.Event = attrs.field(factory=trio.Event)
    """Set when the server has let go of it."""
    _inner: WebSocket | None = None
    _server_end: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _coming: deque[tuple[float, str | bytes | trio.Event]] = attrs.field(
        factory=deque["tuple[float, str | bytes | trio.Event]"]
    )
    _pongs: dict[trio.Event, None] = attrs.field(factory=dict[trio.Event, None])
    _changed: trio.Event = attrs.field(factory=trio.Event)

    async def run(self) -> None:
        network = self.network
        try:
            await network.pass_socket()
            with self._server_end:
                async with network.server.open_websocket(
                    self.url, headers=self.headers, max_message_size=self.max_message_size
                ) as self._inner:
                    self.opened.set()
                    while True:
                        self._arrive(await self._inner.receive())
        except (WebSocketClosed, WebSocketRejected, WebSocketUnreachable) as error:
            if not self.mute and self.error is None:
                self.error = error
        finally:
            self.opened.set()
            self.closed.set()
            self._change()
            self.forget()

    def forget(self) -> None:
        """Be no more, if both ends are gone."""
        if self.left and self.closed.is_set():
            self.network.wires.pop(self, None)

    # --- What happens to it -----------------------------------------------------------------------

    def _arrive(self, message: str | bytes) -> None:
        network = self.network
        harm = network.harm(FRAME_HARM, 0.5)
        if self.mute or self.left:
            return
        if harm in SOCKET_HARM:
            network.history.fault(f"socket {harm}", network.client)
            self.cut(harm)
            return
        arrival = network.arrival()
        if harm:
            network.history.fault(f"frame {harm}", network.client)
        if harm == "held up" or self.held_up:
            arrival += network.chance.uniform(1, 15)
            self.held_up = False
        if harm == "garbage":
            self._put(arrival, network.chance.choice(GARBAGE))
        self._put(arrival, message)
        if harm == "doubled":
            self._put(arrival, message)

    def _put(self, arrival: float, item: str | bytes | trio.Event) -> None:
        arrival = max(arrival, self.network.outage.until)
        if self._coming:
            self._coming.append((max(arrival, self._coming[-1][0]), item))
        else:
            self._coming.append((arrival, item))
            self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
        if self.error is not None:
            for pong in self._pongs:
                pong.set()

    def cut(self, how: str) -> None:
        """Break it, in one of the `SOCKET_HARM` ways."""
        if how in {"cut", "cut, unknown to the server"}:
            self.error = self.error or WebSocketClosed(reason=how)
        else:
            self.mute = True
        self._coming.clear()
        self._change()
        if how in {"cut", "cut, unknown to the client"}:
            self.notice()
        else:
            self._notice_later()

    def notice(self) -> None:
        """Let the server know that the client's end is gone."""
        self._server_end.cancel("the connection is broken")

    def _notice_later(self) -> None:
        async def notice() -> None:
            await trio.sleep(self.network.chance.uniform(1, 30))
            if not self.closed.is_set():
                self.network.history.note("server", f"misses the socket of {self.network.client}")
            self.notice()

        self.network.nursery.start_soon(notice)

    # --- The client's end -------------------------------------------------------------------------

    async def send(self, message: str | bytes) -> None:
        if self.error is not None:
            raise self.error
        await self.network.pass_socket()
        if not self.mute:
            assert self._inner is not None
            await self._inner.send(message)

    async def receive(self) -> str | bytes:
        waited = False
        while True:
            if self._coming and self._coming[0][0] <= trio.current_time():
                item = self._coming.popleft()[1]
                if isinstance(item, trio.Event):
                    item.set()
                    continue
                if not waited:
                    await trio.lowlevel.checkpoint()
                return item
            if not self._coming and self.error is not None:
                raise self.error
            waited = True
            with trio.move_on_at(self._coming[0][0] if self._coming else math.inf):
                await self._changed.wait()

    async def ping(self) -> None:
        if self.error is not None:
            raise self.error
        pong = trio.Event()
        self._pongs[pong] = None
        try:
            await self.network.pass_socket()
            if self._inner is not None and not self.mute:
                try:
                    await self._inner.ping()
                except WebSocketClosed:
                    pass  # which the client finds out in its turn, if at all
                else:
                    self._put(self.network.arrival(), pong)
            await pong.wait()
        finally:
            del self._pongs[pong]
        if self.error is not None:
            raise self.error

    async def hang_up(self) -> None:
        """Close it, and wait for the server to have heard of that."""
        await trio.lowlevel.checkpoint()
        if self.mute:
            self._notice_later()
        elif self.error is None:
            self.network.nursery.start_soon(self._say_goodbye)
        else:
            return
        await self.closed.wait()

    async def _say_goodbye(self) -> None:
        await self.network.pass_socket()
        self.notice()
