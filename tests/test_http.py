"""HTTP and the WebSocket over real sockets on loopback."""

from __future__ import annotations

import random
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import prompts
import pytest
import trio
import trustme
from loopback import listening

from comfy_trio import (
    AuthenticationError,
    BasicCredentials,
    DisconnectedError,
    HeaderCredentials,
    NotComfyUIError,
    Preview,
    ResponseError,
    ServerUnreachableError,
    open_comfy,
)
from comfy_trio._address import parse_address
from comfy_trio._door import Door
from comfy_trio._http import HttpClient
from comfy_trio._network import NetworkTransport
from comfy_trio._replies import QUEUE_LENGTH, Request, get, post
from comfy_trio._routes._queue import QUEUE, read_queue
from comfy_trio._upload import make_upload
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from comfy_trio.testing import EmbeddedServer

DEADLINE = 60
"""Seconds that no test here should ever need."""


@asynccontextmanager
async def http_client(
    url: str, *, max_requests: int = 10, headers: list[tuple[str, str]] | None = None
) -> AsyncGenerator[HttpClient, None]:
    address, _ = parse_address(url)
    client = HttpClient(
        address,
        door=Door(None, headers or []),
        transport=NetworkTransport.to(address, None),
        max_requests=max_requests,
    )
    with trio.fail_after(DEADLINE):
        yield client
        await client.aclose()


async def receive_request(stream: trio.SocketStream) -> str:
    """Receive one request, whose body, if it has one, is a JSON object."""
    request = ""
    while not request.endswith("\r\n\r\n" if request.startswith("GET") else "}"):
        data = await stream.receive_some()
        if not data:
            break
        request += data.decode()
    return request


def saying(text: str) -> Callable[[trio.SocketStream], Awaitable[None]]:
    """Return a handler that answers every request with the same bytes and hangs up."""

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await receive_request(stream)
            await stream.send_all(text.encode())

    return handle


async def test_a_job_over_tcp(server: EmbeddedServer) -> None:
    with trio.fail_after(DEADLINE):
        async with server.listen() as url, open_comfy(url) as comfy:
            result = await comfy.run(prompts.slow(3, delay=0.01))
            assert await comfy.file.read(result["9"]["images"][0])
            assert server.statistics().sockets == 1
    assert server.statistics().sockets == 0


async def test_cancelled_requests_leak_nothing(server: EmbeddedServer) -> None:
    """Requests cancelled while they wait for their turn must not take a place for good.

    httpx's own pool fails this when it is bounded: encode/httpcore#1093.
    """
    requests = 0
    async with server.listen() as url, http_client(url, max_requests=5) as client:

        async def hammer(rng: random.Random) -> None:
            nonlocal requests
            for _ in range(150):
                requests += 1
                with trio.move_on_after(rng.random() * 0.02):
                    await client.request(QUEUE)

        async with trio.open_nursery() as nursery:
            for seed in range(20):
                nursery.start_soon(hammer, random.Random(seed))
        assert requests == 3000
        assert client.statistics().borrowed_tokens == 0
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(client.request, QUEUE)
        with trio.fail_after(5):
            assert read_queue(await client.request(QUEUE)).running == ()


async def test_at_most_so_many_requests_at_once(server: EmbeddedServer) -> None:
    server.faults.hang("GET /queue", times=3)
    async with server.listen() as url, http_client(url, max_requests=3) as client:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(client.request, QUEUE)
            while server.statistics().requests.get("GET /queue") != 3:  # noqa: ASYNC110
                await trio.lowlevel.checkpoint()
            nursery.start_soon(client.request, QUEUE_LENGTH)
            await trio.testing.wait_all_tasks_blocked()
            assert client.statistics().tasks_waiting == 1
            assert "GET /prompt" not in server.statistics().requests
            nursery.cancel_scope.cancel()


async def test_nobody_listens() -> None:
    async with listening(saying("")) as url:
        pass
    with pytest.raises(ServerUnreachableError, match="Is it running, and are host and port right"):
        async with open_comfy(url):
            pytest.fail("entered")


async def test_a_name_that_is_no_host() -> None:
    with pytest.raises(ServerUnreachableError, match=r"no server answers at http://comfy\.invalid"):
        async with open_comfy("http://comfy.invalid:8188"):
            pytest.fail("entered")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("SSH-2.0-OpenSSH_9.9\r\n", DisconnectedError),
        ("", DisconnectedError),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\ncut", DisconnectedError),
        ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnope", NotComfyUIError),
        ("HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", AuthenticationError),
        ("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", ResponseError),
    ],
)
async def test_servers_that_are_something_else(reply: str, error: type[Exception]) -> None:
    async with listening(saying(reply)) as url:
        with pytest.raises(error), trio.fail_after(DEADLINE):
            async with open_comfy(url):
                pytest.fail("entered")


async def test_requests_carry_what_they_should() -> None:
    seen: list[str] = []

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            seen.append(await receive_request(stream))
            await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    async with listening(handle) as url:
        async with http_client(f"{url}/base", headers=[("X-Key", "k")]) as client:
            await client.request(post("/free", {"free_memory": True}))
            await client.request(get("/view", filename="a b/ü.png"))
    lines = seen[0].lower().split("\r\n")
    assert lines[0] == "post /base/api/free http/1.1"
    assert "x-key: k" in lines
    assert "content-type: application/json" in lines
    assert not any(line.startswith("origin:") for line in lines)
    assert seen[1].startswith("GET /base/api/view?filename=a%20b%2F%C3%BC.png HTTP/1.1")


async def test_redirects_of_a_get_are_followed_without_credentials() -> None:
    seen: list[str] = []

    async def other_origin(stream: trio.SocketStream) -> None:
        async with stream:
            seen.append(await receive_request(stream))
            await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfile")

    async with listening(other_origin) as store:
        redirect = f"HTTP/1.1 302 Found\r\nlocation: {store}/signed\r\ncontent-length: 0\r\n\r\n"
        async with listening(saying(redirect)) as url:
            async with http_client(url, headers=[("X-Key", "secret")]) as client:
                reply = await client.request(get("/view", filename="a"))
                assert reply.content == b"file"
                assert reply.url == f"{store}/signed"
                assert (await client.request(post("/free", {}))).status == 302
    assert len(seen) == 1
    assert "secret" not in seen[0]


async def test_a_kept_connection_that_the_server_closes_is_no_failure() -> None:
    connections = 0

    async def handle(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        async with stream:
            await receive_request(stream)
            await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            if connections == 1:
                await receive_request(stream)  # and hang up when it is used again

    async with listening(handle) as url, http_client(url) as client:
        for _ in range(2):
            assert (await client.request(QUEUE)).content == b"{}"
        assert connections == 2
        request = Request("POST", "/api/prompt", json={})
        connections = 0
        assert (await client.request(request)).status == 200
        with pytest.raises(DisconnectedError):
            await client.request(request)


@pytest.mark.parametrize("lingers", [True, False])
async def test_an_answer_that_comes_before_all_is_sent(lingers: bool) -> None:
    """Servers answer 413 while much is still to come, and hang up; some do so at once."""
    taken = 0
    over = trio.Event()

    async def refuse(stream: trio.SocketStream) -> None:
        nonlocal taken
        async with stream:
            while taken < 10**6:
                taken += len(await stream.receive_some())
            await stream.send_all(b"HTTP/1.1 413 Too large\r\ncontent-length: 4\r\n\r\nmuch")
            while lingers and (data := await stream.receive_some()):
                taken += len(data)
        over.set()

    upload = make_upload([bytes(10**6)] * 20, "a.bin")
    async with listening(refuse) as url:
        async with http_client(url) as client:
            reply = await client.request(upload.request())
            assert (reply.status, reply.content) == (413, b"much")
            assert client.statistics().borrowed_tokens == 0
        await over.wait()
    assert (taken > 20 * 10**6) == lingers


# --- TLS ------------------------------------------------------------------------------------------


@asynccontextmanager
async def tls_before(url: str, ca: trustme.CA) -> AsyncGenerator[str, None]:
    """Take TLS off before a server, as a reverse proxy does."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    host, _, port = url.removeprefix("http://").partition(":")

    async def pump(source: trio.abc.ReceiveStream, target: trio.abc.Stream) -> None:
        try:
            async for data in source:
                await target.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(target)

    async def handle(stream: trio.SocketStream) -> None:
        outside = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        inside = await trio.open_tcp_stream(host, int(port))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump, outside, inside)
            nursery.start_soon(pump, inside, outside)

    async with listening(handle) as plain:
        yield plain.replace("http://", "https://")


async def test_tls(server: EmbeddedServer) -> None:
    ca = trustme.CA()
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)  # pyright: ignore[reportUnknownMemberType]
    with trio.fail_after(DEADLINE):
        async with server.listen() as url, tls_before(url, ca) as secure:
            async with open_comfy(secure, ssl_context=trusting) as comfy:
                result = await comfy.run(prompts.image())
                assert await comfy.file.read(result["9"]["images"][0])
            with pytest.raises(ServerUnreachableError, match="certificate is not trusted here"):
                async with open_comfy(secure):
                    pytest.fail("entered")


async def test_https_where_there_is_none(server: EmbeddedServer) -> None:
    async with server.listen() as url:
        with pytest.raises(ServerUnreachableError, match="http:// rather than https://"):
            async with open_comfy(url.replace("http://", "https://")):
                pytest.fail("entered")


# --- Real proxies' habits -------------------------------------------------------------------------


async def test_a_base_path_and_credentials_over_tcp() -> None:
    async with open_embedded_server(base_path="/comfy") as server:
        server.faults.required_headers["X-Api-Key"] = "secret"
        with trio.fail_after(DEADLINE):
            async with server.listen() as url:
                key = HeaderCredentials({"X-API-Key": "secret"})
                async with open_comfy(url + "/", credentials=key) as comfy:
                    await comfy.run(prompts.image())
                with pytest.raises(AuthenticationError):
                    async with open_comfy(url, credentials=BasicCredentials("a", "b")):
                        pytest.fail("entered")


async def test_big_messages(server: EmbeddedServer) -> None:
    """A WebSocket message far above trio-websocket's own limit of 1 MiB."""
    prompt = prompts.image()
    prompt["1"] = prompts.node("ProbeBigPreview", image=["2", 0], side=2048, count=1, salt=1)
    prompt["2"] = prompts.node("EmptyImage", width=64, height=64, batch_size=1, color=1)
    prompt["9"]["inputs"]["images"] = ["1", 0]
    with trio.fail_after(DEADLINE):
        async with server.listen() as url:
            async with open_comfy(url) as comfy, comfy.open_job(prompt) as job:
                sizes = [
                    len(event.data) async for event in job.events() if isinstance(event, Preview)
                ]
    assert max(sizes) > 4 * 2**20
