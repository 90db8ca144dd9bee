"""HTTP to one server. The only module that sees an httpx exception.

httpx's pool loses a place for good when a request is cancelled while it queues for one
(encode/httpcore#1093), which is what deadlines do all day. So the pool has no bound here, and a
`trio.CapacityLimiter` in front of it has; a request that is cancelled while it waits there leaves
nothing behind.
"""

from __future__ import annotations

import json
import logging
import ssl
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, cast, final

import attrs
import httpx
import trio

from ._decoding import Decoder
from ._errors import (
    DisconnectedError,
    ReplyTooLargeError,
    ResponseError,
    ServerUnreachableError,
)
from ._logging import ids, logger
from ._multipart import SourceError, open_form
from ._replies import (
    QUEUE_LENGTH,
    USER_HEADER,
    Reply,
    Request,
    bad_redirect,
    read_retry_after,
)
from ._util import as_size, raise_saving_context
from ._version import __version__

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        AsyncIterator,
        Generator,
        Iterator,
        Mapping,
        Sequence,
    )

    from ._address import ServerAddress
    from ._credentials import AuthHeaders
    from ._door import Door
    from ._masking import Secrets
    from ._replies import FileForm
    from ._transport import Transport
    from ._tunnel import Proxy

MAX_REDIRECTS = 5
IDLE_CONNECTIONS = 20
"""How many connections are kept for the next request."""
CLOSE_TIMEOUT = 1.0
"""Seconds for giving a connection back; after that it is cut."""
MAX_LEFT_OVER = 100
"""How many pieces of a body are looked at, after the connection was cut, to find its end."""
DEFAULT_MAX_REPLY_SIZE = 256 * 2**20
MAX_ERROR_SIZE = 4 * 2**20
"""How much of an error's body is read. The longest that says something are refused workflows."""


def new_http_transport(
    ssl_context: ssl.SSLContext, proxy: Proxy | None = None
) -> httpx.AsyncHTTPTransport:
    """Return the transport that `HttpClient` wants: one with no bound of its own."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=IDLE_CONNECTIONS)
    through = None
    if proxy is not None:
        tls = ssl_context if proxy.secure else None
        through = httpx.Proxy(str(proxy), auth=proxy.auth, ssl_context=tls)
    return httpx.AsyncHTTPTransport(verify=ssl_context, limits=limits, proxy=through)


@final
class HttpClient:
    """HTTP to one server: at most so many requests at once, credentials on each, no timeouts.

    A cancelled request leaves nothing behind; whether the server acted on it is open.

    Args:
        address: The server.
        door: What is sent with every request to the server, and to no other origin.
        transport: Where the requests go.
        max_requests: How many may be under way at once; more wait their turn.
        max_reply_size: Of a reply that is read whole, in bytes.
    """

    def __init__(
        self,
        address: ServerAddress,
        *,
        door: Door,
        transport: Transport,
        max_requests: int,
        max_reply_size: int = DEFAULT_MAX_REPLY_SIZE,
    ) -> None:
        self.address = address
        self._door = door
        self._transport = transport.http_transport()
        self._limiter = trio.CapacityLimiter(max_requests)
        self._max_reply_size = max_reply_size
        self._closed = False

    async def aclose(self) -> None:
        """Close all connections, and refuse further requests."""
        self._closed = True
        await self._transport.aclose()

    @property
    def user(self) -> str | None:
        """The user for whom the requests are, by the id in their headers; None for nobody."""
        named = (value for name, value in self._door.headers if name.lower() == USER_HEADER)
        return next(named, None)

    def statistics(self) -> trio.CapacityLimiterStatistics:
        """Tell how many requests are under way and how many wait."""
        return self._limiter.statistics()

    async def request(self, request: Request) -> Reply:
        """Send a request and read the reply whole, whatever its status.

        Raises:
            OSError, FileError: the file to be sent cannot be read.
            trio.ClosedResourceError: the client's block is over.
            CredentialsError: nothing was sent, for want of credentials.
            ServerUnreachableError: no connection; the server has not seen the request.
            DisconnectedError: the connection broke; the server may have acted on the request.
            ReplyTooLargeError: the reply is larger than ``max_reply_size``.
            ResponseError: the reply cannot be decoded, or is a redirect that leads nowhere.
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

        Redirects of a GET are followed, but without credentials and headers of the caller's to any
        other origin (scheme, host or port), and from there back. No other request is sent twice.

        A request that is answered with 401 is sent once more if there are other credentials now,
        and its body can be read again.

        The block may be left by another task than entered it.

        Raises:
            CredentialsError, ServerUnreachableError, DisconnectedError, ResponseError: see
                `request`.
        """
        if self._closed:
            raise trio.ClosedResourceError("this client's block is over")
        borrower = object()  # not the task, which may have more than one stream open
        await self._limiter.acquire_on_behalf_of(borrower)
        try:
            stream = await self._open(request)
            try:
                yield stream
            finally:
                with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                    await stream.aclose()
        finally:
            self._limiter.release_on_behalf_of(borrower)

    async def _open(self, request: Request) -> ReplyStream:
        shown = await self._door.show()
        stream = await self._follow(request, shown)
        if stream.status != 401 or not stream.is_home or not request.repeatable:
            return stream
        await stream.finish()
        renewed = await self._door.renew(shown)
        return stream if renewed is None else await self._follow(request, renewed)

    async def _follow(self, request: Request, shown: AuthHeaders) -> ReplyStream:
        """Send a request, and a GET on to where it leads."""
        with _mapped_exceptions(self._place(request), request, self._door.secrets):
            home = url = httpx.URL(self.address.http_url(request.path, request.params))
        is_home, redirects = True, 0
        while True:
            stream = await self._send(request, url, shown, is_home=is_home)
            if request.method != "GET" or not stream.is_redirect:
                return stream
            reply = await stream.finish()
            target = stream.target()
            if target is None:
                raise bad_redirect(reply, "which is no address of a server")
            if redirects == MAX_REDIRECTS:
                raise bad_redirect(reply, f"after {redirects} others, which is not followed")
            # Who has led elsewhere does not get at what is behind the door by leading back.
            is_home = is_home and _origin(target) == _origin(home)
            url = target
            redirects += 1

    async def _send(
        self, request: Request, url: httpx.URL, shown: AuthHeaders, *, is_home: bool
    ) -> ReplyStream:
        headers = [("Accept", "*/*"), ("User-Agent", f"comfy-trio/{__version__}")]
        if is_home:
            headers += shown.headers
        headers += request.headers
        secrets = self._door.secrets
        place = self._place(request) if is_home else _Place.of(url, secrets)
        if request.form is not None:
            response = await self._send_form(request, request.form, url, headers, place)
        else:
            with _mapped_exceptions(place, request, secrets):
                content = request.content
                if request.json is not None:
                    headers.append(("Content-Type", "application/json"))
                    content = _json_body(request.json)
                sent = httpx.Request(request.method, url, headers=headers, content=content)
                response = await self._send_once(sent, _Body(sent.content))
        return ReplyStream(
            request, response, place, secrets, max_size=self._max_reply_size, is_home=is_home
        )

    async def _send_form(
        self,
        request: Request,
        form: FileForm,
        url: httpx.URL,
        headers: Sequence[tuple[str, str]],
        place: _Place,
    ) -> httpx.Response:
        try:
            async with open_form(form) as body:
                with _mapped_exceptions(place, request, self._door.secrets):
                    headers = [*headers, *body.headers]
                    sent = httpx.Request(request.method, url, headers=headers, content=body)
                    return await self._send_once(sent, body)
        except SourceError as failed:
            raise_saving_context(failed.error)

    def _place(self, request: Request) -> _Place:
        return _Place(str(self.address), f"{self.address}{request.path}")

    async def _send_once(
        self, http_request: httpx.Request, body: httpx.AsyncByteStream
    ) -> httpx.Response:
        http_request.stream = body
        response = await self._transport.handle_async_request(http_request)
        response.request = http_request
        if logger.isEnabledFor(logging.DEBUG):
            route = self._door.secrets.mask(_shown(http_request.url))
            about = ids(server=self.address)
            logger.debug("%s %s: %d", http_request.method, route, response.status_code, extra=about)
        return response


def _json_body(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which no UTF-8 has, but JSON
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


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

    def __init__(
        self,
        request: Request,
        response: httpx.Response,
        place: _Place,
        secrets: Secrets,
        *,
        max_size: int,
        is_home: bool,
    ) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        """By name, in whatever case."""
        self.is_home = is_home
        """Whether it comes from the server itself, and not from where that led."""
        self.is_redirect = response.has_redirect_location
        self._request = request
        self._response = response
        self._place = place
        self._secrets = secrets
        self._max_size = max_size
        self._body = aiter(cast("AsyncIterable[bytes]", response.stream))
        self._over = False
        self._decoder: Decoder | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._reply: Reply | None = None

    async def read_chunk(self) -> bytes:
        """Return the next piece of the body; empty at its end.

        Raises:
            DisconnectedError: the connection broke.
            ResponseError: the body is not what its ``Content-Encoding`` says.
        """
        encoding = self._response.headers.get("content-encoding", "")
        try:
            return await self._read_piece(encoding)
        except ValueError as error:
            summary = self._reply_of(b"").summary()
            garbled = self._secrets.mask(f"{encoding} ({error})")
        raise ResponseError(
            f"the body with which {summary.method} {summary.url} was answered cannot be decoded:"
            f" it is said to be {garbled}",
            summary,
        )

    async def _read_piece(self, encoding: str) -> bytes:
        if self._decoder is None:
            self._decoder = Decoder(encoding)
        while True:
            for piece in self._pieces:
                if piece:
                    return piece
            data = await self._receive()
            if data is None:
                self._decoder.finish()
                return b""
            self._pieces = self._decoder.decode(data)

    async def _receive(self) -> bytes | None:
        """Return what comes next, as it comes; None at the end."""
        if self._over:
            return None
        with _mapped_exceptions(self._place, self._request, self._secrets):
            try:
                return await anext(self._body)
            except StopAsyncIteration:
                self._over = True
                return None

    async def read(self) -> Reply:
        """Read the body, and return the reply as a whole; of an error, as much as may tell why.

        Raises:
            DisconnectedError: the connection broke.
            ReplyTooLargeError: the body is too large to be held in memory.
            ResponseError: it is not what its ``Content-Encoding`` says.
        """
        if self._reply is None:
            self._reply = self._reply_of(await self._read_body())
        return self._reply

    async def _read_body(self) -> bytes:
        bad = self.status >= 300
        limit = MAX_ERROR_SIZE if bad else self._max_size
        chunks: list[bytes] = []
        size = 0
        announced = as_size(self._response.headers.get("content-length", "")) or 0
        too_large = not bad and announced > limit
        while not too_large and (chunk := await self.read_chunk()):
            chunks.append(chunk)
            size += len(chunk)
            too_large = size > limit
            if too_large and bad:
                return b"".join(chunks)[:limit]
        if not too_large:
            return b"".join(chunks)
        summary = self._reply_of(b"".join(chunks[:1])).summary()
        raise ReplyTooLargeError(
            f"{summary.method} {summary.url} was answered with more than {limit} bytes, which are"
            " not read into memory. A larger max_reply_size for open_comfy lets them in",
            summary,
        )

    def _reply_of(self, content: bytes) -> Reply:
        headers, url = self._response.headers, self._response.request.url
        target = self.target() if self.is_redirect else None
        return Reply(
            self._request,
            self._secrets.mask(str(url) if self.is_home else _shown(url)),
            self.status,
            content,
            headers.get("content-type", ""),
            location="" if target is None else self._secrets.mask(_shown(target)),
            retry_after=read_retry_after(headers.get("retry-after", ""), time.time()),
            secrets=self._secrets,
        )

    def target(self) -> httpx.URL | None:
        """Return where it leads, if it is a redirect; None if that is no address."""
        try:
            target = self._response.request.url.join(self._response.headers["location"])
        except (httpx.InvalidURL, ValueError):
            return None
        if target.scheme not in {"http", "https"} or not target.host or (target.port or 0) > 65535:
            return None
        return target.copy_with(userinfo=b"", fragment=None)

    async def finish(self) -> Reply:
        """Read what there is to read, and give the connection back."""
        try:
            return await self.read()
        finally:
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await self.aclose()

    async def aclose(self) -> None:
        """Give the connection back, or cut it if the body was not read."""
        await self._response.aclose()
        # What is left of the body is in a nest of generators, of which closing the outermost would
        # leave the rest to the garbage collector. They end by themselves where the connection does.
        with suppress(Exception):  # whatever a transport has to say to that
            for _ in range(MAX_LEFT_OVER):
                if await self._receive() is None:
                    break


@attrs.frozen
class _Place:
    """Where a request goes, as messages tell it."""

    server: str
    route: str

    @classmethod
    def of(cls, url: httpx.URL, secrets: Secrets) -> _Place:
        """Return the place that a server has led to."""
        server = url.copy_with(raw_path=b"")
        return cls(secrets.mask(str(server)), secrets.mask(_shown(url)))


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    # As httpx connects to it: in lower case, and without the port that is the scheme's own.
    return url.scheme, url.raw_host, url.port


def _shown(url: httpx.URL) -> str:
    """Return a URL as a message may show it: the query of a signed URL is a secret of its own."""
    return str(url.copy_with(query=None))


@contextmanager
def _mapped_exceptions(place: _Place, request: Request, secrets: Secrets) -> Generator[None]:
    """Turn httpx's exceptions into the library's own, and let none out that tells a secret."""
    mapped: ServerUnreachableError | DisconnectedError
    try:
        yield
    except (httpx.ConnectError, httpx.ProxyError) as error:
        cause: Exception = error
        reason = secrets.mask(str(error)) or type(error).__name__
        mapped = ServerUnreachableError(
            f"no server answers at {place.server} ({reason}).{_advice(error)}", url=place.server
        )
    except (httpx.RequestError, httpx.InvalidURL, httpx.StreamError) as error:
        cause = error
        reason = secrets.mask(str(error)) or type(error).__name__
        mapped = DisconnectedError(
            f"the connection broke during {request.method} {place.route} ({reason})"
            + _protocol_advice(error, request, place)
        )
    else:
        return
    mapped.__cause__ = secrets.harmless(cause)
    raise_saving_context(mapped)


def _advice(error: Exception) -> str:
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


def _protocol_advice(error: Exception, request: Request, place: _Place) -> str:
    if not isinstance(error, httpx.RemoteProtocolError):
        return ""
    if "illegal" in str(error):
        return (
            ". What answers there does not speak HTTP: is the port right, and is the address"
            " http:// rather than https://, or the other way round?"
        )
    if request is QUEUE_LENGTH and place.server.startswith("http:"):  # a client's first question
        return ". A server that speaks TLS hangs up on this: is its address https://?"
    return ""
