"""An embedded server on the way to which something gets at frames and at replies."""

from __future__ import annotations

import json
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import trio

from comfy_trio import Comfy, open_comfy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

    from comfy_trio import WebSocket
    from comfy_trio.testing import EmbeddedServer

Message: TypeAlias = "str | bytes"
Tamper: TypeAlias = "Callable[[Message], Iterable[Message]]"


class Tampered:
    """A WebSocket on whose way something gets at the frames, all but the greeting."""

    def __init__(self, websocket: WebSocket, tamper: Tamper) -> None:
        self._websocket = websocket
        self._tamper = tamper
        self._greeted = False
        self._waiting: deque[Message] = deque()

    async def send(self, message: Message) -> None:
        await self._websocket.send(message)

    async def receive(self) -> Message:
        while not self._waiting:
            message = await self._websocket.receive()
            self._waiting.extend(self._tamper(message) if self._greeted else [message])
            self._greeted = True
        await trio.lowlevel.checkpoint()
        return self._waiting.popleft()

    async def ping(self) -> None:
        await self._websocket.ping()


@asynccontextmanager
async def open_tampered(
    server: EmbeddedServer, tamper: Tamper, http: httpx.AsyncBaseTransport | None = None
) -> AsyncGenerator[Comfy, None]:
    @asynccontextmanager
    async def websocket(
        url: str, *, headers: Sequence[tuple[str, str]], max_message_size: int
    ) -> AsyncGenerator[WebSocket, None]:
        async with server.transport.open_websocket(
            url, headers=headers, max_message_size=max_message_size
        ) as inner:
            yield Tampered(inner, tamper)

    async with open_comfy(
        server.url, http_transport=http or server.transport.http_transport(), websocket=websocket
    ) as comfy:
        yield comfy


class Spoiled(httpx.AsyncBaseTransport):
    """HTTP to an embedded server, of which the replies to one route are replaced."""

    def __init__(self, server: EmbeddedServer, method: str, path: str) -> None:
        self._transport = server.transport.http_transport()
        self._route = method, path
        self.replies: list[Any] = []
        self.replacement: str | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        method, path = self._route
        if request.method != method or not request.url.path.startswith(path):
            return response
        body = await response.aread()
        self.replies.append(json.loads(body))
        content = body if self.replacement is None else self.replacement.encode()
        return httpx.Response(response.status_code, stream=httpx.ByteStream(content))
