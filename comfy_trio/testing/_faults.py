"""How an embedded server can be told to misbehave."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Protocol, final

import attrs
import trio

if TYPE_CHECKING:
    from collections.abc import Collection


class Connection(Protocol):
    """One connection of a client, as a front keeps it."""

    def lose(self, *, noticed: bool) -> None:
        """Break it for the client, without goodbye; for the server too if `noticed`."""
        ...

    def notice(self) -> None:
        """Break it for the server too."""
        ...


class Closable(Protocol):
    """A WebSocket that the server can close properly."""

    def close(self, code: int) -> None:
        """Send a close frame once what is on its way has been sent."""
        ...


class Outcome(Enum):
    """What happens to a request that a fault hits, other than a reply."""

    HANG = "hang"
    BREAK = "break"


@attrs.frozen
class CannedReply:
    """A reply that the real handler did not make."""

    status: int
    body: bytes
    content_type: str


@attrs.define(eq=False)
class Fault:
    """One planned fault; see the methods of `Faults` that make them."""

    route: str
    outcome: Outcome | CannedReply | None
    after: bool
    delay: float
    times: float
    received: int | None = None
    sent: int | None = None

    def hits(self, route: str) -> bool:
        """Whether it is for that route and not used up."""
        return self.times > 0 and self.route in ("*", route)


@final
@attrs.define(eq=False)
class Faults:
    """The misbehaviour of an embedded server, changed at any time and effective at once.

    Routes are named as `ServerStatistics.requests` names them: ``"POST /prompt"``,
    ``"GET /history/{prompt_id}"``, ``"GET /ws"``; ``"*"`` is any.

    Attributes:
        deaf: While true, no event reaches any WebSocket: it stays open, answers pings, and
            nothing comes. What would have come is lost.
        stalling: While true, the server sends to one WebSocket after the other as the real one
            does, so that a client that does not read stalls the others.
        delay: Seconds that every HTTP reply waits before it is made.
        required_headers: Headers that requests and upgrades must have, by name, with their exact
            value; 401 otherwise. ``{"Authorization": "Bearer secret"}``.
    """

    deaf: bool = False
    stalling: bool = False
    delay: float = 0.0
    required_headers: dict[str, str] = attrs.field(factory=dict[str, str])
    _down: bool = attrs.field(default=False, init=False)
    _routes: Collection[str] = ()
    _plans: list[Fault] = attrs.field(factory=list[Fault], init=False)
    _connections: dict[object, Connection] = attrs.field(
        factory=dict[object, Connection], init=False
    )
    _sockets: dict[object, Closable] = attrs.field(factory=dict[object, Closable], init=False)
    _unnoticed: list[Connection] = attrs.field(factory=list[Connection], init=False)
    _reading: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._reading.set()

    def answer(
        self,
        route: str,
        status: int,
        body: str | bytes = b"",
        *,
        content_type: str = "text/html",
        after: bool = False,
        times: float = 1,
    ) -> None:
        """Answer the next requests of a route with a reply of your own.

        On ``"GET /ws"`` this refuses the upgrade.

        Args:
            route: Which requests.
            status: The HTTP status.
            body: The reply's body: an HTML page of a proxy, or half a JSON object.
            content_type: Its type.
            after: Do what was asked first, and then reply so: the request took effect although
                the reply says otherwise.
            times: How many requests; `math.inf` for all that follow.
        """
        content = body.encode() if isinstance(body, str) else body
        self._plan(route, CannedReply(status, content, content_type), after=after, times=times)

    def hang(self, route: str, *, after: bool = False, times: float = 1) -> None:
        """Never answer the next requests of a route; see `answer`."""
        self._plan(route, Outcome.HANG, after=after, times=times)

    def break_connection(
        self,
        route: str,
        *,
        after: bool = False,
        times: float = 1,
        received: int | None = None,
        sent: int | None = None,
    ) -> None:
        """Break the connection instead of answering the next requests of a route.

        Args:
            route: See `answer`.
            after: See `answer`.
            times: See `answer`.
            received: Serve the request, but break the connection when so many bytes of its body
                have come.
            sent: Serve the request, but break the connection when so many bytes of the reply's
                body have been sent, and more are to follow.
        """
        self._plan(route, Outcome.BREAK, after=after, times=times, received=received, sent=sent)

    def slow(self, route: str, seconds: float, *, times: float = math.inf) -> None:
        """Let the next requests of a route wait before they are handled."""
        self._plan(route, None, after=False, times=times, delay=seconds)

    def clear(self) -> None:
        """End all misbehaviour, but for connections that are lost."""
        self._plans.clear()
        self.deaf = self.stalling = False
        self.delay = 0.0
        self.required_headers.clear()
        self.resume_reading()

    def stop_reading(self) -> None:
        """Read nothing more from any client: uploads stop, pings are not answered."""
        if self._reading.is_set():
            self._reading = trio.Event()

    def resume_reading(self) -> None:
        """Read again."""
        self._reading.set()

    def close_sockets(self, code: int = 1001) -> int:
        """Close all WebSockets with a close frame; returns how many."""
        for socket in self._sockets.values():
            socket.close(code)
        return len(self._sockets)

    def drop_sockets(self, *, noticed: bool = True) -> int:
        """Break all WebSockets without a close frame; returns how many.

        Args:
            noticed: Whether the server knows too. If not, it goes on sending into the void, and
                learns of it from `notice_lost_sockets`. A client that has connected again under
                the same id by then is deaf from that moment, as with the real server.
        """
        lost = [self._connections[key] for key in self._sockets if key in self._connections]
        for connection in lost:
            connection.lose(noticed=noticed)
        if not noticed:
            self._unnoticed += lost
        return len(lost)

    def notice_lost_sockets(self) -> None:
        """Let the server find out about the sockets that `drop_sockets` broke."""
        for connection in self._unnoticed:
            connection.notice()
        self._unnoticed.clear()

    # What follows is for the server.

    def _break_all(self) -> None:
        for connection in list(self._connections.values()):
            connection.lose(noticed=True)

    def _plan(
        self,
        route: str,
        outcome: Outcome | CannedReply | None,
        *,
        after: bool,
        times: float,
        delay: float = 0.0,
        received: int | None = None,
        sent: int | None = None,
    ) -> None:
        if route != "*" and route not in self._routes:
            known = ", ".join(sorted(self._routes))
            raise ValueError(f"no such route: {route!r}; there are {known}")
        self._plans.append(Fault(route, outcome, after, delay, times, received, sent))

    def _take(self, route: str) -> Fault | None:
        """The first fault that is planned for a request, which counts as used."""
        for plan in self._plans:
            if plan.hits(route):
                plan.times -= 1
                return plan
        return None

    async def _wait_reading(self) -> None:
        while not self._reading.is_set():
            await self._reading.wait()
