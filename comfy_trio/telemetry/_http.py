"""HTTP requests as spans and a metric: a transport around another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import httpx
import trio
from opentelemetry import propagate
from opentelemetry.trace import SpanKind, StatusCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from opentelemetry.util.types import AttributeValue

    from .._address import ServerAddress
    from .._transport import Transport, WebSocket
    from ._instruments import OpenTelemetry

PREFIXES = frozenset({"api", "internal", "customnode", "manager", "v2"})
"""What a route begins with that tells little without what follows."""
CANCELLED = "cancelled"


@final
class TracedTransport:
    """A `Transport` that goes the way of another one, and tells of each request.

    Args:
        transport: The other one.
        telemetry: Where to tell.
        address: The server for which it is; where that leads elsewhere, the trace does not follow.
        mask: Takes secrets out of a text.
    """

    def __init__(
        self,
        transport: Transport,
        telemetry: OpenTelemetry,
        address: ServerAddress,
        mask: Callable[[str], str],
    ) -> None:
        self.telemetry = telemetry
        self.address = address
        self.mask = mask
        self._transport = transport

    def http_transport(self) -> httpx.AsyncBaseTransport:
        """See `Transport.http_transport`."""
        return TracedHttp(self._transport.http_transport(), self)

    def open_websocket(
        self, url: str, *, headers: Sequence[tuple[str, str]], max_message_size: int
    ) -> AbstractAsyncContextManager[WebSocket]:
        """See `Transport.open_websocket`."""
        return self._transport.open_websocket(
            url, headers=headers, max_message_size=max_message_size
        )


@final
class TracedHttp(httpx.AsyncBaseTransport):
    """Sends requests as another httpx transport does, and tells of each.

    Args:
        transport: The other one.
        way: Where it leads, and whom to tell.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, way: TracedTransport) -> None:
        self._transport = transport
        self._telemetry = way.telemetry
        self._mask = way.mask
        self._home = httpx.URL(str(way.address))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return when the head of its reply is there."""
        url = request.url
        at_home = (url.scheme, url.netloc) == (self._home.scheme, self._home.netloc)
        labels: dict[str, AttributeValue] = {
            "http.request.method": request.method,
            "server.address": url.host,
            "server.port": url.port or {"https": 443}.get(url.scheme, 80),
        }
        shown = url.copy_with(userinfo=b"", query=None, fragment=None)
        name = f"{request.method} {self._route(url)}" if at_home else request.method
        began = trio.current_time()
        with self._telemetry._tracer.start_as_current_span(
            name,
            kind=SpanKind.CLIENT,
            attributes={**labels, "url.full": self._mask(str(shown))},
            record_exception=False,  # it may tell a secret; what the library makes of it does not
            set_status_on_exception=False,
        ) as span:
            if at_home and self._telemetry.propagate:
                propagate.inject(request.headers)
            failure = ""
            try:
                response = await self._transport.handle_async_request(request)
                labels["http.response.status_code"] = response.status_code
                if response.status_code >= 400:
                    failure = str(response.status_code)
            except trio.Cancelled:
                failure = CANCELLED
                raise
            except BaseException as error:
                failure = type(error).__qualname__
                raise
            else:
                return response
            finally:
                if failure:
                    labels["error.type"] = failure
                if failure and failure != CANCELLED:
                    span.set_status(StatusCode.ERROR, failure)
                span.set_attributes(labels)
                seconds = trio.current_time() - began
                self._telemetry._meters.request_duration.record(seconds, labels)

    def _route(self, url: httpx.URL) -> str:
        """Return as much of a path as names a route, and no id."""
        path = url.path.removeprefix(self._home.path.rstrip("/"))
        return "/" + "/".join(_first_words(path.strip("/").split("/")))

    async def aclose(self) -> None:
        """Close the other one."""
        await self._transport.aclose()


def _first_words(segments: list[str]) -> Iterator[str]:
    for segment in segments:
        yield segment
        if segment not in PREFIXES:
            break
