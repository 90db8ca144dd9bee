"""A TCP proxy that cuts connections: on demand, or when nothing goes through them for a while."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs
import trio
from loopback import listening

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@attrs.define(eq=False)
class Cutter:
    """Passes bytes on to a server.

    Args:
        server: Its URL.
        idle: Seconds without any byte, in either direction, after which a connection is cut.
    """

    server: str
    idle: float = math.inf
    cuts: int = 0
    _flowing: trio.Event = attrs.field(factory=trio.Event, init=False)
    _scopes: set[trio.CancelScope] = attrs.field(factory=set[trio.CancelScope], init=False)

    def __attrs_post_init__(self) -> None:
        self._flowing.set()

    @asynccontextmanager
    async def listen(self) -> AsyncGenerator[str, None]:
        """Serve on a free port of loopback; in the block is the URL to open."""
        async with listening(self._serve) as url:
            yield url

    def cut(self) -> int:
        """Cut all connections, and return how many."""
        for scope in self._scopes:
            scope.cancel()
        return len(self._scopes)

    def freeze(self) -> None:
        """Pass nothing on any more, and tell nobody, as a cable does that is pulled."""
        self._flowing = trio.Event()

    def thaw(self) -> None:
        """Pass on what came meanwhile, and what comes."""
        self._flowing.set()

    async def _serve(self, client: trio.SocketStream) -> None:
        target = urlsplit(self.server)
        server = await trio.open_tcp_stream(target.hostname or "", target.port or 80)
        async with client, server:
            with trio.CancelScope() as scope:
                self._scopes.add(scope)
                try:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._pump, client, server, scope)
                        nursery.start_soon(self._pump, server, client, scope)
                finally:
                    self._scopes.discard(scope)
            self.cuts += scope.cancelled_caught

    async def _pump(
        self, source: trio.SocketStream, target: trio.SocketStream, scope: trio.CancelScope
    ) -> None:
        scope.deadline = trio.current_time() + self.idle
        try:
            async for data in source:
                scope.deadline = trio.current_time() + self.idle
                await self._flowing.wait()
                await target.send_all(data)
            await target.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            scope.cancel()
