"""HTTP to one server. The only module that sees an httpx exception.

httpx's pool loses a place for good when a request is cancelled while it queues for one
(encode/httpcore#1093), which is what deadlines do all day. So the pool has no bound here, and a
`trio.CapacityLimiter` in front of it has; a request that is cancelled while it waits there leaves
nothing behind.
"""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, final
from urllib.parse import urljoin, urlsplit

import httpx
import trio

from ._errors import DisconnectedError, ServerUnreachableError
from ._multipart import SourceError, open_form
from ._replies import USER_HEADER, Reply, Request
from ._util import raise_saving_context
from ._version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping, Sequence

    from ._address import ServerAddress
    from ._transport import Transport

MAX_REDIRECTS = 5
IDLE_CONNECTIONS = 20
"""How many connections are kept for the next request."""
CLOSE_TIMEOUT = 1.0
"""Seconds for giving a connection back; after that it is cut."""


def new_http_transport(ssl_context: ssl.SSLContext) -> httpx.AsyncHTTPTransport:
    """Return the transport that `HttpClient` wants: one with no bound of its own."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=IDLE_CONNECTIONS)
    return httpx.AsyncHTTPTransport(verify=ssl_context, limits=limits)


@final
class HttpClient:
    """HTTP to one server: at most so many requests at once, credentials on each, no timeouts.

    A cancelled request leaves nothing behind; whether the server acted on it is open.

    Args:
        address: The server.
        headers: Sent with every request, and to no other origin.
        transport: Where the requests go.
        max_requests: How many may be under way at once; more wait their turn.
    """

    def __init__(
        self,
        address: ServerAddress,
        *,
        headers: Sequence[tuple[str, str]],
        transport: Transport,
        max_requests: int,
    ) -> None:
        self.address = address
        self._headers = headers
        self._transport = transport.http_transport()
        self._limiter = trio.CapacityLimiter(max_requests)
        self._origin = urlsplit(str(address))[:2]
        self._closed = False

    async def aclose(self) -> None:
        """Close all connections, and refuse further requests."""
        self._closed = True
        await self._transport.aclose()

    @property
    def user(self) -> str | None:
        """The user for whom the requests are, by the id in their headers; None for nobody."""
        named = (value for name, value in self._headers if name.lower() == USER_HEADER)
        return next(named, None)

    def statistics(self) -> trio.CapacityLimiterStatistics:
        """Tell how many requests are under way and how many wait."""
        return self._limiter.statistics()

    async def request(self, request: Request) -> Reply:
        """Send a request and read the reply whole, whatever its status.

        Raises:
            OSError, FileError: the file to be sent cannot be read.
            trio.ClosedResourceError: the client's block is over.
            ServerUnreachableError: no connection; the server has not seen the request.
            DisconnectedError: the connection broke; the server may have acted on the request.
        """
        try:
            return await self._request(request)
        except DisconnectedError:
            # A server may close an idle connection just when it is used again. Asking twice
            # changes nothing; a POST is for the caller to settle.
            if request.method not in {"GET", "HEAD"}:
                raise
            return await self._request(request)

    async def _request(self, request: Request) -> Reply:
        async with self.stream(request) as stream:
            return await stream.read()

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[ReplyStream, None]:
        """Send a request; in the block, the reply's body can be read piece by piece.

        Redirects of a GET are followed, without credentials to other origins. The block may be
        left by another task than entered it.

        Raises:
            ServerUnreachableError, DisconnectedError: see `request`.
        """
        if self._closed:
            raise trio.ClosedResourceError("this client's block is over")
        url = self.address.http_url(request.path, request.params)
        borrower = object()  # not the task, which may have more than one stream open
        await self._limiter.acquire_on_behalf_of(borrower)
        try:
            response = await self._send(request, url)
            stream = ReplyStream(request, response, self.address)
            try:
                yield stream
            finally:
                with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                    await stream.aclose()
        finally:
            self._limiter.release_on_behalf_of(borrower)

    async def _send(self, request: Request, url: str) -> httpx.Response:
        if request.form is None:
            with _mapped_exceptions(self.address, request):
                return await self._send_following(request, url)
        try:
            async with open_form(request.form) as form:
                http_request = self._http_request(request, url, form.headers)
                http_request.stream = form
                with _mapped_exceptions(self.address, request):
                    return await self._send_once(http_request)
        except SourceError as failed:
            raise_saving_context(failed.error)

    async def _send_following(self, request: Request, url: str) -> httpx.Response:
        for _ in range(MAX_REDIRECTS):
            http_request = self._http_request(request, url)
            http_request.stream = _Body(http_request.content)
            response = await self._send_once(http_request)
            if request.method != "GET" or not response.has_redirect_location:
                return response
            await response.aread()
            url = urljoin(url, response.headers["location"])
        raise DisconnectedError(
            f"{request.method} {self.address}{request.path} was redirected {MAX_REDIRECTS} times;"
            f" the last time to {url}"
        )

    def _http_request(
        self, request: Request, url: str, headers: Sequence[tuple[str, str]] = ()
    ) -> httpx.Request:
        return httpx.Request(
            request.method,
            url,
            headers=[*self._headers_for(url), *request.headers, *headers],
            json=request.json,
            content=request.content,
        )

    async def _send_once(self, http_request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(http_request)
        response.request = http_request
        return response

    def _headers_for(self, url: str) -> list[tuple[str, str]]:
        headers = [("Accept", "*/*"), ("User-Agent", f"comfy-trio/{__version__}")]
        return [*headers, *self._headers] if urlsplit(url)[:2] == self._origin else headers


class _Body(httpx.AsyncByteStream):
    """A body that is at hand. httpx's own is a generator, which a request that fails leaves open.

    Args:
        content: The body.
    """

    def __init__(self, content: bytes) -> None:
        self._left = [content] if content else []

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


@final
class ReplyStream:
    """A reply whose body is still to be read; made by `HttpClient.stream`."""

    def __init__(self, request: Request, response: httpx.Response, address: ServerAddress) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        """By name, in whatever case."""
        self._request = request
        self._response = response
        self._address = address
        self._chunks: AsyncIterator[bytes] | None = None

    async def read_chunk(self) -> bytes:
        """Return the next piece of the body; empty at its end.

        Raises:
            DisconnectedError: the connection broke.
        """
        if self._chunks is None:
            self._chunks = self._response.aiter_bytes()
        with _mapped_exceptions(self._address, self._request):
            return await anext(self._chunks, b"")

    async def read(self) -> Reply:
        """Read the body, and return the reply as a whole.

        Raises:
            DisconnectedError: the connection broke.
        """
        with _mapped_exceptions(self._address, self._request):
            content = await self._response.aread()
        content_type = self._response.headers.get("content-type", "")
        url = str(self._response.request.url)
        return Reply(self._request, url, self.status, content, content_type)

    async def aclose(self) -> None:
        """Give the connection back, or cut it if there is more to read."""
        await self._response.aclose()
        if self._chunks is not None:
            # httpx reads by generators in generators. Reading on fails now, which ends them all;
            # those that are left as they are would be reported when they are collected.
            with suppress(Exception):
                while True:
                    await anext(self._chunks)


@contextmanager
def _mapped_exceptions(address: ServerAddress, request: Request) -> Generator[None]:
    """Turn httpx's exceptions into the library's own."""
    try:
        yield
    except httpx.ConnectError as error:
        raise ServerUnreachableError(
            f"no server answers at {address} ({_reason(error)})." + _advice(error),
            url=str(address),
        ) from error
    except (httpx.RequestError, httpx.InvalidURL, httpx.StreamError) as error:
        raise DisconnectedError(
            f"the connection broke during {request.method} {address}{request.path}"
            f" ({_reason(error)})"
        ) from error


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _advice(error: httpx.ConnectError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                " Its certificate is not trusted here: pass ssl_context=... to open_comfy"
                " (ssl.create_default_context(cafile=...) for a self-signed one)"
            )
        if isinstance(cause, ssl.SSLError):
            return " It does not speak TLS there: is the address http:// rather than https://?"
        cause = cause.__cause__ or cause.__context__
    return " Is it running, and are host and port right?"
