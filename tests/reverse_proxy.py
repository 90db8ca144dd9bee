"""A reverse proxy as people put before ComfyUI: TLS, a path of its own, and who may come in."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs
import trio

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Callable


async def pump(source: trio.abc.ReceiveStream, target: trio.abc.Stream) -> None:
    try:
        async for data in source:
            await target.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        await trio.aclose_forcefully(target)


@attrs.define
class ReverseProxy:
    """Passes on what comes under a path, with the right header. One request a connection.

    Args:
        server: The URL of what is behind it.
        path: Under which path that is shown.
        lets_in: Judges the header ``Authorization``; empty if there is none.
        tls: Its certificate, if it speaks TLS.
    """

    server: str
    path: str = ""
    lets_in: Callable[[str], bool] = lambda _: True
    tls: ssl.SSLContext | None = None
    refused: int = 0
    let_in: int = 0

    @asynccontextmanager
    async def listen(self) -> AsyncGenerator[str, None]:
        """Serve on a free port of loopback; in the block is the URL to open."""
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, self._serve, 0)
            port = listeners[0].socket.getsockname()[1]
            yield f"{'https' if self.tls else 'http'}://127.0.0.1:{port}{self.path}"
            nursery.cancel_scope.cancel()

    async def _serve(self, stream: trio.abc.Stream) -> None:
        if self.tls is not None:
            stream = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True)
        async with stream:
            try:
                await self._pass_on(stream)
            except trio.BrokenResourceError:
                return

    async def _pass_on(self, stream: trio.abc.Stream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = await stream.receive_some()
            if not data:
                return
            head += data
        head, _, body = head.partition(b"\r\n\r\n")
        line, *headers = head.decode("latin-1").split("\r\n")
        method, target, version = line.split(" ")
        known = {
            name.lower(): value for name, _, value in (each.partition(": ") for each in headers)
        }
        if not self.lets_in(known.get("authorization", "")):
            self.refused += 1
            page = f"<h1>401</h1> You said {known.get('authorization')}".encode()
            answer = f"HTTP/1.1 401 No\r\nconnection: close\r\ncontent-length: {len(page)}\r\n\r\n"
            await stream.send_all(answer.encode() + page)
            return
        self.let_in += 1
        if not target.startswith(f"{self.path}/"):
            await stream.send_all(
                b"HTTP/1.1 404 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            return
        own = {"host", "authorization", *(() if "upgrade" in known else ("connection",))}
        passed = [each for each in headers if each.partition(":")[0].lower() not in own]
        parts = urlsplit(self.server)
        passed += [f"Host: {parts.netloc}"]
        passed += [] if "upgrade" in known else ["Connection: close"]
        request = "\r\n".join([f"{method} {target[len(self.path) :]} {version}", *passed, "", ""])
        async with await self._connect() as server, trio.open_nursery() as nursery:
            await server.send_all(request.encode("latin-1") + body)
            nursery.start_soon(pump, stream, server)
            nursery.start_soon(pump, server, stream)

    async def _connect(self) -> trio.abc.Stream:
        parts = urlsplit(self.server)
        if parts.scheme == "https":
            return await trio.open_ssl_over_tcp_stream(
                parts.hostname or "", parts.port or 443, https_compatible=True
            )
        return await trio.open_tcp_stream(parts.hostname or "", parts.port or 80)
