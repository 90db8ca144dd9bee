"""Several embedded servers in memory, and a pool of them."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs

from comfy_trio import PoolServer, open_pool
from comfy_trio.testing import EmbeddedServer, open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from comfy_trio import Pool
    from comfy_trio.testing import NodeType


@attrs.frozen
class Farm:
    """Embedded servers named a, b, c, ..."""

    servers: dict[str, EmbeddedServer]

    def __getitem__(self, name: str) -> EmbeddedServer:
        return self.servers[name]

    def member(self, name: str, **options: Any) -> PoolServer:
        """A server as a pool is told of it."""
        server = self.servers[name]
        return PoolServer(server.url, server_id=name, transport=server.transport, **options)

    def members(self, **options: Any) -> list[PoolServer]:
        return [self.member(name, **options) for name in self.servers]

    def completed(self) -> dict[str, list[str]]:
        """The ids of the prompts that each server completed since it last was started."""
        return {
            name: [
                prompt_id
                for prompt_id, record in server._engine.queue.history.items()
                if record["status"]["status_str"] == "success"
            ]
            for name, server in self.servers.items()
        }

    def assert_clean(self) -> None:
        """Nothing of anybody is left at any server."""
        for name, server in self.servers.items():
            left = server.statistics()
            assert (left.pending, left.running, left.sockets) == (0, 0, 0), (name, left)


@asynccontextmanager
async def open_farm(
    names: Iterable[str] = "abc",
    nodes: Callable[[str], Iterable[NodeType]] = lambda name: (),
    **options: Any,
) -> AsyncGenerator[Farm, None]:
    async with AsyncExitStack() as stack:
        servers = {
            name: await stack.enter_async_context(
                open_embedded_server(nodes=nodes(name), **options)
            )
            for name in names
        }
        yield Farm(servers)


@asynccontextmanager
async def open_pool_of(
    farm: Farm, *, concurrency: int = 1, **options: Any
) -> AsyncGenerator[Pool, None]:
    """A pool of all servers of a farm; when it is closed, nothing is left there."""
    try:
        async with open_pool(farm.members(concurrency=concurrency), **options) as pool:
            yield pool
    finally:
        farm.assert_clean()
