"""The server as one ASGI application: the routes, and the misbehaviour around them."""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import trio
from starlette.responses import Response
from starlette.routing import Match, Route, Router

from ._faults import CannedReply, Outcome
from ._http import TROUBLE, PayloadTooLarge, ServerGoesDown, empty_reply, text_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ._faults import Fault, Faults
    from ._versions import PlayedVersion

_log: Final = logging.getLogger("comfy_trio.testing")

LINGER: Final = 10.0
"""Seconds for which a server reads on after it has refused a body, as the real one does."""

WEBSOCKET_ROUTE: Final = "GET /ws"
UNKNOWN_ROUTE: Final = "unknown"
"""What requests that no route fits are counted as."""


def route_name(route: Route) -> str:
    """The name of a route for faults and statistics: its method and path, without ``/api``."""
    methods = (route.methods or set()) - {"HEAD"} or {"HEAD"}
    path = re.sub(r":\w+}", "}", route.path.removeprefix("/api"))
    return f"{min(methods)} {path}"


def with_api(routes: Sequence[Route]) -> list[Route]:
    """The routes, and each of them below ``/api``."""
    return [
        type(route)(prefix + route.path, route.endpoint, methods=list(route.methods or ()))
        for prefix in ("", "/api")
        for route in routes
    ]


class Application:
    """The outermost ASGI application, the same for both fronts.

    Args:
        routes: All HTTP routes, ``/api`` included.
        websocket: What serves ``/ws``.
        faults: The misbehaviour.
        version: What the server can do.
        base_path: Under which everything lives, such as ``/comfy``; empty for none.
        restart: Loses what the server holds in memory.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        websocket: ASGIApp,
        faults: Faults,
        version: PlayedVersion,
        base_path: str,
        restart: Callable[[], None],
    ) -> None:
        self._routes = routes
        self._fixed_paths = {route.path for route in routes if not route.param_convertors}
        self._routers: dict[str | None, Router] = {}
        self._websocket = websocket
        self._faults = faults
        self._version = version
        self._base_path = base_path
        self._restart = restart
        self._up_at = -math.inf
        self.requests: Counter[str] = Counter()
        self.in_flight = 0
        self._serving: set[trio.CancelScope] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket."""
        self.in_flight += 1
        serving = trio.CancelScope()
        self._serving.add(serving)
        try:
            with serving:
                await self._serve(scope, receive, send)
        except OSError:
            _log.debug("A client went away during %s", scope["path"], exc_info=True)
        finally:
            self.in_flight -= 1
            self._serving.discard(serving)

    def abort(self) -> None:
        """Drop all requests and WebSockets, however far they are."""
        for serving in self._serving:
            serving.cancel("the embedded server is stopped")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if trio.current_time() < self._up_at:
            self._lose(scope)
            return
        if not scope["path"].startswith(self._base_path + "/"):
            await _refuse(scope, receive, send, text_reply("404: Not Found", 404))
            return
        base = quote(self._base_path, safe="/%~").encode("ascii")
        scope = {
            **scope,
            "path": scope["path"][len(self._base_path) :],
            "raw_path": scope["raw_path"].removeprefix(base),
        }
        name = self._name(scope)
        self.requests[name] += 1
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        required = self._faults.required_headers.items()
        if any(headers.get(key.lower()) != value for key, value in required):
            await _refuse(scope, receive, send, text_reply("401: Unauthorized", 401))
            return
        if self._is_foreign(headers):
            await _refuse(scope, receive, send, empty_reply(403))
            return
        app = self._websocket if scope["type"] == "websocket" else self._handle
        if name == UNKNOWN_ROUTE and scope["type"] == "websocket":
            app = _not_found
        fault = self._faults._take(name)
        if scope["type"] == "http" and self._faults.delay:
            await trio.sleep(self._faults.delay)
        if fault is None:
            await app(scope, receive, send)
        else:
            await self._serve_badly(fault, app, scope, receive, send)

    async def _serve_badly(
        self, fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if fault.delay:
            await trio.sleep(fault.delay)
        if fault.outcome is None:
            await app(scope, receive, send)
            return
        if fault.after and scope["type"] == "http":
            await app(scope, receive, _swallow)
        if fault.received is not None or fault.sent is not None:
            await self._serve_partly(fault, app, scope, receive, send)
            return
        if isinstance(fault.outcome, CannedReply):
            reply = Response(
                fault.outcome.body,
                fault.outcome.status,
                headers={"content-type": fault.outcome.content_type},
            )
            await _refuse(scope, receive, send, reply)
        elif fault.outcome is Outcome.BREAK:
            self._lose(scope)
        else:
            await _until_gone(receive)

    async def _serve_partly(
        self, fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve a request until so much of either body has passed, and break the connection."""
        incoming, outgoing = fault.received, fault.sent
        broken = False

        async def counting_receive() -> Message:
            nonlocal incoming, broken
            message = await receive()
            if incoming is not None and message["type"] == "http.request":
                incoming -= len(message["body"])
                if incoming <= 0:
                    broken = True
                    self._lose(scope)
                    return {"type": "http.disconnect"}
            return message

        async def counting_send(message: Message) -> None:
            nonlocal outgoing
            if broken:
                raise OSError("the connection is broken")
            body = message.get("body", b"")
            if outgoing is None or len(body) <= outgoing:
                if outgoing is not None:
                    outgoing -= len(body)
                await send(message)
                return
            await send({**message, "body": body[:outgoing], "more_body": True})
            self._lose(scope)
            raise OSError("the connection is broken")

        await app(scope, counting_receive, counting_send)

    def _lose(self, scope: Scope) -> None:
        """Break the connection of a request."""
        connection = self._faults._connections.get(scope["client"])
        if connection is not None:
            connection.lose(noticed=True)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route a request; what goes wrong in its handler becomes a 500."""
        started = False

        async def noting_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._router(scope["path"])(scope, receive, noting_send)
        except ServerGoesDown as exc:
            self._up_at = trio.current_time() + exc.seconds
            self._restart()
            self._lose(scope)
        except PayloadTooLarge as exc:
            await _answer_early(text_reply(str(exc), 413), receive, send)
        except OSError:
            if started:
                raise  # the client has gone
            await text_reply(TROUBLE, 500)(scope, receive, send)
        except Exception:
            # All handlers but those of files prepare their replies before they send them.
            _log.debug("Error in %s", scope["path"], exc_info=True)
            await text_reply(TROUBLE, 500)(scope, receive, send)

    def _name(self, scope: Scope) -> str:
        if scope["type"] == "websocket":
            return WEBSOCKET_ROUTE if scope["path"] in ("/ws", "/api/ws") else UNKNOWN_ROUTE
        for route in self._router(scope["path"]).routes:
            if isinstance(route, Route) and route.matches(scope)[0] is Match.FULL:
                return route_name(route)
        return UNKNOWN_ROUTE

    def _router(self, path: str) -> Router:
        """Return what routes requests of a path, without the many routes of other fixed paths."""
        fixed = path if path in self._fixed_paths else None
        if fixed not in self._routers:
            routes = [each for each in self._routes if each.param_convertors or each.path == fixed]
            self._routers[fixed] = Router(routes, redirect_slashes=False, default=_not_found)
        return self._routers[fixed]

    def _is_foreign(self, headers: dict[str, str]) -> bool:
        """Whether a browser sends this from a page of another site."""
        if self._version.refuses_cross_site and headers.get("sec-fetch-site") == "cross-site":
            return True
        host, origin = headers.get("host"), headers.get("origin")
        if not host or not origin:
            return False
        here, there = urlsplit(f"//{host}"), urlsplit(origin)
        is_loopback = here.hostname in ("127.0.0.1", "localhost", "::1")
        return is_loopback and (here.hostname != there.hostname or here.port != there.port)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the real server, which has its web page's files at all other paths, for GET."""
    if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
        reply = text_reply("405: Method Not Allowed", 405)
    else:
        reply = text_reply("404: Not Found", 404)
    await _refuse(scope, receive, send, reply)


async def _swallow(message: Message) -> None:
    await trio.lowlevel.checkpoint()


async def _answer_early(reply: Response, receive: Receive, send: Send) -> None:
    """Reply to a request that is still coming in, and throw away what comes of it.

    Like the real server, this does not hang up at once: a client that is still sending might not
    find the reply.
    """
    headers = {"type": "http.response.start", "status": reply.status_code}
    await send({**headers, "headers": reply.raw_headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": True})
    with trio.move_on_after(LINGER):
        while (await receive()).get("more_body", False):
            pass
    await send({"type": "http.response.body"})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
        pass


async def _refuse(scope: Scope, receive: Receive, send: Send, reply: ASGIApp) -> None:
    """Send a reply, to an upgrade request too."""
    if scope["type"] == "http":
        await reply(scope, receive, send)
        return
    await receive()  # websocket.connect

    async def send_to_upgrade(message: Message) -> None:
        await send({**message, "type": "websocket." + message["type"]})

    await reply({**scope, "type": "http"}, receive, send_to_upgrade)
