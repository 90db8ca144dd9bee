"""No secret is in anything that a person may read, however a server repeats what it is shown."""

from __future__ import annotations

import base64
import json
import logging
import ssl
import traceback
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import attrs
import httpx
import prompts
import pytest
import trio
import trustme

from comfy_trio import (
    BasicCredentials,
    BearerCredentials,
    Comfy,
    ComfyCloudCredentials,
    ComfyError,
    HeaderCredentials,
    InternalError,
    ReconnectPolicy,
    ReplySummary,
    TokenCredentials,
    WebSocketClosed,
    WebSocketRejected,
    WebSocketUnreachable,
    open_comfy,
)
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Sequence

    from trio.testing import MockClock

    from comfy_trio import WebSocket
    from comfy_trio.testing import EmbeddedServer

WORDS = [
    "password-of-the-url",
    "password-of-basic",
    "token-of-bearer",
    "token-of-a-callable",
    "key-of-a-header",
    "session-of-a-cookie",
    "comfyui-key-of-the-org",
    "comfyui-key-of-the-cloud",
]
SECRETS = [
    *WORDS,
    *(base64.b64encode(f"me:{word}".encode()).decode() for word in WORDS),
]


async def fetch_token() -> str:
    await trio.lowlevel.checkpoint()
    return "token-of-a-callable"


KINDS: dict[str, dict[str, Any]] = {
    "url": {"url": "http://me:password-of-the-url@embedded"},
    "basic": {"credentials": BasicCredentials("me", "password-of-basic")},
    "bearer": {"credentials": BearerCredentials("token-of-bearer")},
    "callable": {"credentials": TokenCredentials(fetch_token, lifetime=1)},
    "header": {"credentials": HeaderCredentials({"X-API-Key": "key-of-a-header"})},
    "cookie": {"headers": {"Cookie": "session=session-of-a-cookie; theme=dark"}},
    "org": {"comfy_org_api_key": "comfyui-key-of-the-org"},
    "cloud": {"credentials": ComfyCloudCredentials("comfyui-key-of-the-cloud")},
}


EVERYTHING: dict[str, Any] = {
    "url": "http://me:password-of-the-url@embedded",
    "headers": {
        "Cookie": "session=session-of-a-cookie; theme=dark",
        "X-API-Key": "key-of-a-header",
    },
    "comfy_org_api_key": "comfyui-key-of-the-org",
}


# --- What is looked at ----------------------------------------------------------------------------


def texts_of(error: BaseException, depth: int = 0) -> Iterator[str]:
    """All that may be seen of an exception: its traceback, its attributes, what is behind it."""
    yield "".join(traceback.format_exception(error))
    yield repr(error)
    if isinstance(error, ComfyError):
        for name, value in vars(error).items():
            yield f"{name}: {value!r}"
            if isinstance(value, ReplySummary):
                yield repr(attrs.asdict(value))
    for behind in (error.__cause__, error.__context__):
        if behind is not None and depth < 10:
            yield from texts_of(behind, depth + 1)
    if isinstance(error, BaseExceptionGroup):
        for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from texts_of(each, depth + 1)


@attrs.define
class Witness:
    """Everything that was said."""

    texts: list[str] = attrs.field(factory=list[str])
    errors: list[BaseException] = attrs.field(factory=list[BaseException])

    def saw(self, error: BaseException) -> None:
        assert not isinstance(error, InternalError), "".join(traceback.format_exception(error))
        self.errors.append(error)
        self.texts += texts_of(error)

    def judge(self, records: Sequence[logging.LogRecord]) -> str:
        """Return all that was said, in which no secret is."""
        formatter = logging.Formatter()
        ours = [record for record in records if record.name.startswith("comfy_trio")]
        said = "\n".join([*self.texts, *map(formatter.format, ours)])
        for secret in SECRETS:
            assert secret not in said, said[max(0, said.index(secret) - 1000) :][:1200]
        return said


# --- Servers that repeat what they are shown ------------------------------------------------------


def shown(request: httpx.Request) -> str:
    body = request.content.decode(errors="replace") if request.method == "POST" else ""
    return f"{request.url} {list(request.headers.raw)!r} {dict(request.headers)} {body}"


def said(status: int, **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=shown(request).encode(), headers=headers)

    return answer


def json_said(status: int) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        text = shown(request)
        body = {"error": {"type": text, "message": text, "details": text}, text: [{"a": text}]}
        return httpx.Response(status, content=json.dumps(body).encode())

    return answer


def redirect(location: str) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        echo = httpx.QueryParams({"echo": shown(request)})
        if request.url.host != "embedded":
            return httpx.Response(403, content=shown(request).encode())
        return httpx.Response(302, headers={"location": f"{location}?{echo}"})

    return answer


def broken(kind: type[httpx.RequestError]) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        raise kind(f"illegal status line: {shown(request)}") from ValueError(shown(request))

    return answer


def headers_said(request: httpx.Request) -> httpx.Response:
    text = shown(request).encode("ascii", "replace").decode().replace("\n", " ")
    headers = {"content-type": text, "retry-after": text, "content-encoding": "gzip"}
    return httpx.Response(200, stream=httpx.ByteStream(b"no gzip"), headers=headers)


def wrong_type(request: httpx.Request) -> httpx.Response:
    text = shown(request).encode("ascii", "replace").decode().replace("\n", " ")
    return httpx.Response(200, content=b"<html>", headers={"content-type": text})


HTTP: dict[str, Callable[[httpx.Request], httpx.Response]] = {
    **{str(status): said(status) for status in (200, 400, 401, 402, 403, 404, 413, 429, 500, 503)},
    **{f"json {status}": json_said(status) for status in (200, 400, 401, 404, 503)},
    "redirect to another host": redirect("https://elsewhere/x"),
    "redirect in circles": redirect("/x"),
    "redirect to nowhere": redirect("ftp://elsewhere/x"),
    "unreachable": broken(httpx.ConnectError),
    "malformed": broken(httpx.RemoteProtocolError),
    "timeout": broken(httpx.ReadTimeout),
    "headers": headers_said,
    "content type": wrong_type,
}


class Repeating(httpx.AsyncBaseTransport):
    """HTTP to the embedded server, until it begins to repeat what it is shown."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._transport = server.transport.http_transport()
        self.answer: Callable[[httpx.Request], httpx.Response] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.answer is None:
            return await self._transport.handle_async_request(request)
        await request.aread()
        return self.answer(request)

    async def aclose(self) -> None:
        await self._transport.aclose()


def refuse(text: str) -> Exception:
    return WebSocketRejected(403, text.encode())


def refuse_credentials(text: str) -> Exception:
    return WebSocketRejected(401, text.encode())


def not_reach(text: str) -> Exception:
    error = WebSocketUnreachable(f"no route for {text}")
    error.__cause__ = OSError(text)
    return error


def hang_up(text: str) -> Exception:
    return WebSocketClosed(1011, text)


class Frame:
    """A WebSocket whose first message is no frame."""

    def __init__(self, message: str | bytes) -> None:
        self._message = message

    async def send(self, message: str | bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def receive(self) -> str | bytes:
        await trio.lowlevel.checkpoint()
        return self._message

    async def ping(self) -> None:
        await trio.lowlevel.checkpoint()


@attrs.define
class Sockets:
    """WebSockets to the embedded server, until it begins to repeat what it is shown."""

    server: EmbeddedServer
    fail: Callable[[str], Exception] | None = None
    frame: bool = False

    @asynccontextmanager
    async def open(
        self, url: str, *, headers: Sequence[tuple[str, str]], max_message_size: int
    ) -> AsyncGenerator[WebSocket, None]:
        text = f"{url} {dict(headers)}"
        if self.fail is not None:
            raise self.fail(text)
        if self.frame:
            yield Frame(f'{{"type": 7, "data": {json.dumps(text)}}}')
            return
        async with self.server.transport.open_websocket(
            url, headers=headers, max_message_size=max_message_size
        ) as websocket:
            yield websocket


# --- Tests ----------------------------------------------------------------------------------------


async def attempt(witness: Witness, comfy: Comfy) -> None:
    """Ask for this and that."""
    file = {"filename": "a.png"}
    for ask in (
        lambda: comfy.run(prompts.image()),
        lambda: comfy.file.read(file),
        lambda: comfy.file.download(file, "/nonexistent/comfy_trio/"),
        lambda: comfy.file.upload_image(b"\x89PNG\r\n"),
        lambda: comfy.node.definitions("SaveImage"),
    ):
        try:
            await ask()
        except (ComfyError, OSError) as error:
            witness.saw(error)


@pytest.mark.parametrize("scenario", HTTP)
@pytest.mark.parametrize("kind", [EVERYTHING, KINDS["callable"]], ids=["everything", "callable"])
async def test_http(
    autojump_clock: MockClock,
    server: EmbeddedServer,
    caplog: pytest.LogCaptureFixture,
    kind: dict[str, Any],
    scenario: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    witness = Witness()
    transport, sockets = Repeating(server), Sockets(server)
    options: dict[str, Any] = {"url": server.url, **kind, "websocket": sockets.open}
    transport.answer = HTTP[scenario]
    with pytest.raises(ComfyError) as caught:
        async with open_comfy(**options, http_transport=transport):
            pytest.fail("entered")
    witness.saw(caught.value)
    transport.answer = None
    async with open_comfy(**options, http_transport=transport) as comfy:
        with trio.move_on_after(1):
            await comfy.run(prompts.slow(100))
        witness.texts += map(
            repr, [comfy, comfy._session.options, vars(comfy._session), comfy.server_events()]
        )
        job = await comfy.submit(prompts.slow(1000, delay=10))
        transport.answer = HTTP[scenario]
        await attempt(witness, comfy)
        server.faults.drop_sockets()
        await trio.sleep(60)
        try:
            await job.cancel()
        except ComfyError as error:
            witness.saw(error)
        witness.texts += map(repr, [job, comfy._session.supervisor.live])
    text = witness.judge(caplog.records)
    assert len(witness.errors) > 1
    if scenario in {"400", "401", "403", "500", "json 400", "malformed"}:
        assert "***" in text, "the server has repeated nothing: this test cannot fail"


@pytest.mark.parametrize("fail", [refuse, refuse_credentials, not_reach, hang_up, None])
@pytest.mark.parametrize("kind", ["everything", "basic", "callable", "cloud"])
async def test_websockets(
    autojump_clock: MockClock,
    server: EmbeddedServer,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    fail: Callable[[str], Exception] | None,
) -> None:
    caplog.set_level(logging.DEBUG)
    witness = Witness()
    sockets = Sockets(server, fail, frame=fail is None)
    options: dict[str, Any] = {
        "url": server.url,
        **(EVERYTHING if kind == "everything" else KINDS[kind]),
        "websocket": sockets.open,
        "reconnect": ReconnectPolicy(attempts=3),
    }
    with pytest.raises(ComfyError) as caught:
        async with open_comfy(**options, http_transport=server.transport.http_transport()):
            pytest.fail("entered")
    witness.saw(caught.value)
    sockets.fail, sockets.frame = None, False
    async with open_comfy(**options, http_transport=server.transport.http_transport()) as comfy:
        sockets.fail, sockets.frame = fail, fail is None
        server.faults.drop_sockets()
        await trio.sleep(100)
        await comfy.run(prompts.image())
    text = witness.judge(caplog.records)
    assert "***" in text, "the server has repeated nothing: this test cannot fail"


async def test_a_node_that_tells_its_hidden_inputs(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A real server shows a failed node's inputs, and the API key is one of those."""
    key = "comfyui-key-of-the-org"
    witness = Witness()
    async with (
        open_embedded_server() as server,
        open_comfy(server.url, transport=server.transport, comfy_org_api_key=key) as comfy,
    ):
        error = {
            "prompt_id": "",
            "node_id": "3",
            "node_type": "Paid",
            "exception_type": "Unauthorized",
            "exception_message": f"no account for {key}",
            "traceback": [f"call({key!r})"],
            "current_inputs": {"api_key": [key], key: [1]},
            "current_outputs": [key],
        }
        async with trio.open_nursery() as nursery:
            job = await comfy.submit(prompts.slow(1000))
            await trio.sleep(0.5)
            error["prompt_id"] = job.prompt_id
            message = {"execution_error": error}
            entry = {
                "outputs": {},
                "status": {
                    "status_str": "error",
                    "completed": False,
                    "messages": [list(pair) for pair in message.items()],
                },
            }
            server.faults.answer(
                "GET /history/{prompt_id}", 200, json.dumps({job.prompt_id: entry})
            )
            server.faults.answer("GET /queue", 200, '{"queue_running":[],"queue_pending":[]}')
            server.faults.drop_sockets()
            with pytest.raises(ComfyError, match="no account for \\*\\*\\*") as caught:
                await job.wait()
            witness.saw(caught.value)
            nursery.cancel_scope.cancel()
    witness.judge(caplog.records)


async def test_over_real_sockets(caplog: pytest.LogCaptureFixture) -> None:
    """What httpcore, h11 and trio-websocket make of servers that repeat what they are shown."""
    caplog.set_level(logging.DEBUG)
    witness = Witness()
    replies = [
        b"%s\r\n\r\n",
        b"HTTP/1.1 200 %s\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n%s\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nconnection: close\r\n\r\n%s",
        b"HTTP/1.1 401 No\r\ncontent-length: 999999\r\n\r\n%s",
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/%s\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%s\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: %s\r\n\r\n",
    ]

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            request = (await stream.receive_some()).replace(b"\r\n", b" ")
            await stream.send_all(reply % request)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, handle, 0)
        port = listeners[0].socket.getsockname()[1]
        for reply in replies:  # noqa: B007  # the handler has it
            for kind in KINDS.values():
                options: dict[str, Any] = {
                    **kind,
                    "url": f"http://me:password-of-the-url@127.0.0.1:{port}",
                }
                with trio.fail_after(60), pytest.raises(ComfyError) as caught:
                    async with open_comfy(**options):
                        pytest.fail("entered")
                witness.saw(caught.value)
        nursery.cancel_scope.cancel()
    assert "***" in witness.judge(caplog.records)


async def test_a_refused_upgrade_over_real_sockets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    witness = Witness()
    greeting = b'{"exec_info": {"queue_remaining": 0}}'

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            request = await stream.receive_some()
            if b"/ws" not in request:
                await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 37\r\n\r\n" + greeting)
            else:
                head = b"HTTP/1.1 403 No\r\nx-echo: %s\r\ncontent-length: %d\r\n\r\n"
                echo = request.replace(b"\r\n", b" ").strip()
                await stream.send_all(head % (echo, len(request)) + request)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, handle, 0)
        port = listeners[0].socket.getsockname()[1]
        for kind in KINDS.values():
            options: dict[str, Any] = {
                **kind,
                "url": f"http://me:password-of-the-url@127.0.0.1:{port}",
            }
            with trio.fail_after(60), pytest.raises(ComfyError, match="is refused") as caught:
                async with open_comfy(**options):
                    pytest.fail("entered")
            witness.saw(caught.value)
        nursery.cancel_scope.cancel()
    assert "***" in witness.judge(caplog.records)


async def test_tls_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    witness = Witness()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    cert = trustme.CA().issue_cert("127.0.0.1")
    cert.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                await trio.SSLStream(stream, context, server_side=True).do_handshake()
            except trio.BrokenResourceError:
                return

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, handle, 0)
        port = listeners[0].socket.getsockname()[1]
        for kind in KINDS.values():
            for scheme in ("http", "https"):
                options: dict[str, Any] = {
                    **kind,
                    "url": f"{scheme}://me:password-of-the-url@127.0.0.1:{port}",
                }
                with trio.fail_after(60), pytest.raises(ComfyError) as caught:
                    async with open_comfy(**options):
                        pytest.fail("entered")
                witness.saw(caught.value)
        nursery.cancel_scope.cancel()
    witness.judge(caplog.records)
