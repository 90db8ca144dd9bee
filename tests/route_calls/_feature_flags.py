from __future__ import annotations

from typing import TYPE_CHECKING

from ._row import Row

if TYPE_CHECKING:
    from comfy_trio import Comfy
    from comfy_trio.testing import EmbeddedServer


async def of_server(comfy: Comfy, server: EmbeddedServer) -> None:
    assert "max_upload_size" in await comfy.feature_flags.of_server()


async def supports(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.feature_flags.supports("node_replacements")


ROWS = (
    Row("GET /features", "feature_flags.of_server", of_server),
    Row("GET /features", "feature_flags.supports", supports),
)
