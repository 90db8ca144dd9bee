"""Ways to a server other than the library's own: transports, WebSockets, proxies."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import prompts
import pytest
import trio
import trustme
from wsproto_websocket import open_wsproto_websocket

from comfy_trio import (
    AuthenticationError,
    BearerCredentials,
    ComfyError,
    HeaderCredentials,
    ServerUnreachableError,
    WebSocketUnreachable,
    open_comfy,
)
from comfy_trio._address import parse_address
from comfy_trio._network import NetworkTransport
from comfy_trio._tunnel import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from comfy_trio.testing import EmbeddedServer

DEADLINE = 60
UNBOUNDED = httpx.Limits(max_connections=None)


# --- Transports and WebSockets of the caller's own ------------------------------------------------


class Counting(httpx.AsyncBaseTransport):
    """Counts what is asked of a transport, and how often it is closed."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self.requests = 0
        self.closed = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert not self.closed
        self.requests += 1
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        self.closed += 1
        await self._transport.aclose()


async def run(url: str, **options: Any) -> None:
    with trio.fail_after(DEADLINE):
        async with open_comfy(url, **options) as comfy:
            result = await comfy.run(prompts.slow(3, delay=0.01))
            assert await comfy.file.read(result["9"]["images"][0])
            job = await comfy.submit(prompts.slow(1000))
            await job.cancel()  # over the connections for that


async def test_an_httpx_transport_beside_the_usual_websocket(server: EmbeddedServer) -> None:
    transport = Counting(httpx.AsyncHTTPTransport(limits=UNBOUNDED))
    async with server.listen() as url:
        await run(url, http_transport=transport)
    assert transport.requests > 5
    assert transport.closed == 1


async def test_a_transport_is_closed_if_nobody_answers(server: EmbeddedServer) -> None:
    transport = Counting(httpx.AsyncHTTPTransport(limits=UNBOUNDED))
    async with server.listen() as url:
        pass
    with pytest.raises(ServerUnreachableError):
        await run(url, http_transport=transport)
    assert transport.closed == 1


async def test_an_asgi_application(server: EmbeddedServer) -> None:
    """httpx's own way to one, and the WebSocket of the embedded server's."""
    transport = httpx.ASGITransport(server._app)
    await run(server.url, http_transport=transport, websocket=server.transport.open_websocket)


async def test_another_websocket(server: EmbeddedServer) -> None:
    server.faults.required_headers["X-Key"] = "k"
    key = HeaderCredentials({"X-Key": "k"})
    async with server.listen() as url:
        await run(url, websocket=open_wsproto_websocket, credentials=key)
        with trio.fail_after(DEADLINE):
            async with open_comfy(
                url, websocket=open_wsproto_websocket, credentials=key, max_message_size=100_000
            ) as comfy:
                prompt = prompts.image()
                big = prompts.node("ProbeBigPreview", image=["2", 0], side=256, count=1, salt=1)
                prompt["3"] = big
                prompt["9"]["inputs"]["images"] = ["3", 0]
                assert (await comfy.run(prompt))["9"]
                async with comfy.open_job(prompts.slow(50, delay=0.01)) as job:
                    server.faults.drop_sockets()
                    assert (await job.wait())["9"]
        server.faults.answer("GET /ws", 403, "no")
        with pytest.raises(AuthenticationError, match="is refused with HTTP status 403"):
            await run(url, websocket=open_wsproto_websocket, credentials=key)


async def test_all_of_ones_own(server: EmbeddedServer) -> None:
    async with server.listen() as url:
        transport = Counting(httpx.AsyncHTTPTransport(limits=UNBOUNDED))
        await run(url, http_transport=transport, websocket=open_wsproto_websocket)
        assert transport.closed == 1


@pytest.mark.parametrize(
    "transport",
    [
        httpx.AsyncHTTPTransport(),
        httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1000)),
        httpx.AsyncHTTPTransport(proxy="http://127.0.0.1:1"),
    ],
)
async def test_a_pool_that_would_lose_requests(transport: httpx.AsyncBaseTransport) -> None:
    with pytest.raises(ValueError, match=r"httpx\.Limits\(max_connections=None\)") as caught:
        async with open_comfy("http://h", http_transport=transport):
            pytest.fail("entered")
    assert "encode/httpcore#1093" in str(caught.value)


@pytest.mark.parametrize(
    "more",
    [
        {"http_transport": httpx.MockTransport(lambda _: httpx.Response(200))},
        {"websocket": open_wsproto_websocket},
        {"ssl_context": ssl.create_default_context()},
        {"proxy": "http://127.0.0.1:1"},
    ],
)
async def test_what_does_not_go_together(server: EmbeddedServer, more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="transport is the whole way to the server"):
        async with open_comfy(server.url, transport=server.transport, **more):
            pytest.fail("entered")


# --- Proxies --------------------------------------------------------------------------------------


def test_proxies() -> None:
    proxy = Proxy.parse("http://me:p%40ss@Proxy:3128/")
    assert (str(proxy), proxy.auth) == ("http://proxy:3128", ("me", "p@ss"))
    assert proxy.headers() == [("Proxy-Authorization", "Basic bWU6cEBzcw==")]
    assert "p@ss" not in repr(proxy)
    assert Proxy.parse("https://[::1]") == Proxy(secure=True, authority="[::1]")
    assert Proxy.parse("https://[::1]").headers() == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("socks5://me:secret@proxy:1080", "SOCKS, pass an httpx transport"),
        ("me:secret@proxy:1", "http://host:port"),
        ("http://me:secret@", "names no host"),
        ("http://me:secret@proxy:x", "is not a URL"),
    ],
)
async def test_what_is_no_proxy(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        async with open_comfy("http://h", proxy=url):
            pytest.fail("entered")
    assert "secret" not in str(caught.value)


async def pump(source: trio.abc.ReceiveStream, target: trio.abc.Stream) -> None:
    try:
        async for data in source:
            await target.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        await trio.aclose_forcefully(target)


@attrs.define
class ProxyServer:
    """A proxy: CONNECT, and plain requests passed on. Remembers the first lines it was sent."""

    seen: list[str] = attrs.field(factory=list[str])
    password: str | None = None
    answer: bytes | None = None
    tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def listen(self) -> AsyncGenerator[str, None]:
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, self._serve, 0)
            port = listeners[0].socket.getsockname()[1]
            yield f"{'https' if self.tls else 'http'}://127.0.0.1:{port}"
            nursery.cancel_scope.cancel()

    async def _serve(self, stream: trio.abc.Stream) -> None:
        if self.tls is not None:
            stream = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True)
        try:
            await self._pass_on(stream)
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _pass_on(self, stream: trio.abc.Stream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = await stream.receive_some()
            if not data:
                return
            head += data
        line, _, rest = head.partition(b"\r\n")
        method, target, _ = line.decode().split(" ")
        self.seen.append(f"{method} {target}")
        if self.password is not None and self.password.encode() not in head:
            await stream.send_all(
                b"HTTP/1.1 407 Who are you\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            return
        if self.answer is not None:
            await stream.send_all(self.answer)
            return
        url = httpx.URL(target if "://" in target else f"http://{target}")
        async with await trio.open_tcp_stream(url.host, url.port or 80) as server:
            await self._join(stream, server, method, url, rest)

    async def _join(
        self,
        stream: trio.abc.Stream,
        server: trio.abc.Stream,
        method: str,
        url: httpx.URL,
        rest: bytes,
    ) -> None:
        if method == "CONNECT":
            await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:  # one request a connection will do
            path = url.raw_path.decode()
            await server.send_all(
                f"{method} {path} HTTP/1.1\r\nconnection: close\r\n".encode() + rest
            )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump, stream, server)
            nursery.start_soon(pump, server, stream)


async def test_all_goes_through_a_proxy(server: EmbeddedServer) -> None:
    proxy = ProxyServer(password="bWU6c2VjcmV0")
    async with server.listen() as url, proxy.listen() as through:
        with_login = through.replace("http://", "http://me:secret@")
        await run(url, proxy=with_login)
        host = url.removeprefix("http://")
        assert f"CONNECT {host}" in proxy.seen
        assert f"POST {url}/api/prompt" in proxy.seen
        assert all(url in line or host in line for line in proxy.seen)
        with pytest.raises(ComfyError, match="407") as caught:
            await run(url, proxy=through)
        assert "secret" not in str(caught.value)


async def test_the_proxy_sees_no_credentials_of_the_server_behind_tls(
    server: EmbeddedServer,
) -> None:
    """Both ways by CONNECT, TLS in it; the proxy itself by TLS, too."""
    ca = trustme.CA()
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)  # pyright: ignore[reportUnknownMemberType]
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(serving)  # pyright: ignore[reportUnknownMemberType]
    server.faults.required_headers["Authorization"] = "Bearer hidden"
    for tls in (None, serving):
        proxy = ProxyServer(tls=tls)
        async with server.listen() as url, tls_before(url, serving) as secure:
            async with proxy.listen() as through:
                await run(
                    secure,
                    proxy=through,
                    ssl_context=trusting,
                    credentials=BearerCredentials("hidden"),
                )
        assert set(proxy.seen) == {f"CONNECT {secure.removeprefix('https://')}"}


@asynccontextmanager
async def tls_before(url: str, context: ssl.SSLContext) -> AsyncGenerator[str, None]:
    """Take TLS off before a server."""
    host, _, port = url.removeprefix("http://").partition(":")

    async def handle(stream: trio.SocketStream) -> None:
        outside = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        inside = await trio.open_tcp_stream(host, int(port))
        async with inside, outside, trio.open_nursery() as nursery:
            nursery.start_soon(pump, outside, inside)
            nursery.start_soon(pump, inside, outside)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, handle, 0)
        yield f"https://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


ANSWERS: list[tuple[bytes, str]] = [
    (b"HTTP/1.1 407 No\r\n\r\n", "answers CONNECT 127.0.0.1:9 with HTTP status 407"),
    (b"HTTP/1.1 503 Busy\r\n\r\n", "with HTTP status 503"),
    (b"", "with what is no HTTP"),
    (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "with what is no HTTP"),
    (b"HTTP/1.1 two hundred\r\n\r\n", "with what is no HTTP"),
    (b"x" * 100_000, "with what is no HTTP|broke the connection"),
]


@pytest.mark.parametrize(("answer", "message"), ANSWERS)
async def test_proxies_that_refuse(answer: bytes, message: str) -> None:
    async with ProxyServer(answer=answer).listen() as through:
        address, _ = parse_address("http://127.0.0.1:9")
        transport = NetworkTransport.to(address, None, Proxy.parse(through))
        with trio.fail_after(DEADLINE), pytest.raises(WebSocketUnreachable, match=message):
            async with transport.open_websocket(
                "ws://127.0.0.1:9/ws?x", headers=[], max_message_size=1
            ):
                pytest.fail("entered")


async def test_a_proxy_that_is_not_there() -> None:
    async with ProxyServer().listen() as through:
        pass
    with trio.fail_after(DEADLINE), pytest.raises(ServerUnreachableError):
        async with open_comfy("http://127.0.0.1:9", proxy=through):
            pytest.fail("entered")
