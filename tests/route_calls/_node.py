from __future__ import annotations

from typing import TYPE_CHECKING

from ._row import Row

if TYPE_CHECKING:
    from comfy_trio import Comfy
    from comfy_trio.testing import EmbeddedServer


async def definitions(comfy: Comfy, server: EmbeddedServer) -> None:
    assert "KSampler" in await comfy.node.definitions()


async def checkpoints(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.node.checkpoints()


ROWS = (
    Row("GET /object_info", "node.definitions", definitions),
    Row("GET /object_info/{node_class}", "node.checkpoints", checkpoints),
)
