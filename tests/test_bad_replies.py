"""Every method of every namespace, on servers and proxies that answer as none should.

What ends a request must be a `ComfyError` that names the route: nothing that reading the reply
stumbled over, and no hang. The methods are those of ``route_calls``; how a good reply to each of
them looks, and so which are bad, the embedded server tells.
"""

from __future__ import annotations

import json
import math
import re
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import httpx
import pytest
import trio
from hanging import fail_if_hanging
from route_calls import ROWS

from comfy_trio import ComfyError, EnqueueFailedError, open_comfy
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from route_calls._row import Row
    from trio.testing import MockClock

    from comfy_trio import WebSocket
    from comfy_trio.testing import EmbeddedServer

JSON, HTML, TEXT = "application/json", "text/html", "text/plain"
PAGE = "<!DOCTYPE html><html><body>Bad Gateway</body></html>"
TROUBLE = "500 Internal Server Error\n\nServer got itself in trouble"


@attrs.frozen
class Answer:
    """What a server says to one request."""

    status: int
    content_type: str
    body: bytes

    @property
    def is_json(self) -> bool:
        return self.status < 300 and self.content_type.startswith(JSON)


class Wire(httpx.AsyncBaseTransport):
    """HTTP to an embedded server, whose replies to one route are seen, or break off halfway."""

    def __init__(self, server: EmbeddedServer, route: str) -> None:
        self._server = server
        self._inner = server.transport.http_transport()
        self._route = route
        self.breaks = False
        self.answers: list[Answer] = []

    def http_transport(self) -> httpx.AsyncBaseTransport:
        return self

    def open_websocket(
        self, url: str, *, headers: Sequence[tuple[str, str]], max_message_size: int
    ) -> AbstractAsyncContextManager[WebSocket]:
        return self._server.transport.open_websocket(
            url, headers=headers, max_message_size=max_message_size
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        before = self._asked()
        response = await self._inner.handle_async_request(request)
        if self._asked() == before:
            return response
        body = await response.aread()
        kind = response.headers.get("content-type", "")
        self.answers.append(Answer(response.status_code, kind, body))
        stream = BrokenBody(body[: len(body) // 2]) if self.breaks else httpx.ByteStream(body)
        return httpx.Response(response.status_code, headers=response.headers, stream=stream)

    def _asked(self) -> int:
        return self._server.statistics().requests.get(self._route, 0)


class BrokenBody(httpx.AsyncByteStream):
    """A body after whose beginning the connection breaks."""

    def __init__(self, beginning: bytes) -> None:
        self._left = [beginning]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._left:
            return self._left.pop()
        raise httpx.RemoteProtocolError("peer closed connection without sending complete body")


@attrs.frozen
class Ending:
    """How a call ended.

    Args:
        error: What it raised, if anything.
        answers: What it got from its row's route.
        asked: How often which route was asked.
    """

    error: Exception | None
    answers: list[Answer]
    asked: Mapping[str, int]


async def call(
    row: Row, spoil: Callable[[EmbeddedServer], None] | None = None, *, breaks: bool = False
) -> Ending:
    """Make a row's call on a server of its own, which is spoiled once the method is called."""
    async with open_embedded_server(**row.options) as server:
        wire = Wire(server, row.route)
        async with open_comfy(server.url, transport=wire) as comfy:
            path, _, name = row.method.rpartition(".")
            namespace = attrgetter(path)(comfy)
            method = getattr(namespace, name)

            def spoiled(*args: Any, **kwargs: Any) -> Any:
                wire.answers.clear()
                wire.breaks = breaks
                if spoil is not None:
                    spoil(server)
                return method(*args, **kwargs)

            setattr(namespace, name, spoiled)
            error: Exception | None = None
            try:
                async with fail_if_hanging():
                    try:
                        await row.call(comfy, server)
                    except Exception as caught:
                        error = caught
            except trio.TooSlowError as hanging:
                error = hanging
            wire.breaks = False  # so that the goodbye does not suffer
            server.faults.clear()
            return Ending(error, wire.answers, server.statistics().requests)


def answering(
    row: Row, status: int, body: str | bytes, content_type: str
) -> Callable[[EmbeddedServer], None]:
    def spoil(server: EmbeddedServer) -> None:
        server.faults.answer(row.route, status, body, content_type=content_type, times=math.inf)

    return spoil


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def bad_json(good: bytes) -> Iterator[str]:
    """JSON of other types than a good reply, and half of that."""
    parsed: object = json.loads(good)
    values: list[Any] = [{}, [], None, 7]
    for value in values:
        if type(value) is not type(parsed):
            yield json.dumps(value)
    half = good[: len(good) // 2].decode(errors="ignore")
    yield half or "{"


def names(error: Exception, route: str) -> bool:
    """Whether an error names the route of a request."""
    path = re.sub(r"\{\w+\}", "\0", route.partition(" ")[2])
    # What is said of a refused workflow is about its nodes.
    told = error.url if isinstance(error, EnqueueFailedError) else str(error)
    return re.search(re.escape(path).replace("\0", r"[^\s?]+"), told) is not None


def fail(row: Row, what: str, error: Exception | None) -> NoReturn:
    ended = "takes it" if error is None else f"raises {error!r}"
    raise AssertionError(f"{row.method}, where {row.route} is answered with {what}: {ended}")


def require_error(row: Row, what: str, bad: Ending, good: Ending) -> None:
    """Accept an error of the library's that names the route, or the same result by others."""
    more = {route for route in bad.asked if bad.asked[route] > good.asked.get(route, 0)}
    found_another_way = bad.error is None and bool(more - {row.route})
    named = isinstance(bad.error, ComfyError) and names(bad.error, row.route)
    if not named and not found_another_way:
        fail(row, what, bad.error)


def require_no_accident(row: Row, what: str, bad: Ending, good: Ending) -> None:
    """Accept an error of the library's, and what the row's own assertions are for."""
    if not isinstance(bad.error, ComfyError | AssertionError | None):
        fail(row, what, bad.error)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.route} {row.method}")
async def test_bad_replies(row: Row, autojump_clock: MockClock) -> None:
    good = await call(row)
    assert good.error is None
    # A server that is told to restart need not answer.
    answer = good.answers[0] if good.answers else Answer(0, "", b"")
    judge = require_error if good.answers else require_no_accident
    for status, body, kind in ((500, TROUBLE, TEXT), (502, PAGE, HTML)):
        bad = await call(row, answering(row, status, body, kind))
        judge(row, f"{status} {body!r}", bad, good)
    bad = await call(row, lambda server: server.faults.break_connection(row.route, times=math.inf))
    judge(row, "a broken connection", bad, good)
    if answer.body:
        bad = await call(row, breaks=True)
        if bad.error is not None or row.route.startswith("GET "):  # others have taken effect
            judge(row, "half a body", bad, good)

    judge = require_error if answer.is_json else require_no_accident  # a content may be anything
    for body, kind in ((PAGE, HTML), (PAGE, JSON), ("", JSON)):
        bad = await call(row, answering(row, 200, body, kind))
        judge(row, f"200 {body!r} ({kind})", bad, good)
    for body in bad_json(answer.body) if answer.is_json else ():
        # A value by itself is what somebody stored, which may be anything.
        is_structure = answer.body.lstrip()[:1] in b"{["
        judge = require_error if is_structure or not is_json(body) else require_no_accident
        judge(row, f"200 {body!r}", await call(row, answering(row, 200, body, JSON)), good)
