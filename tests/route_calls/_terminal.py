from __future__ import annotations

from typing import TYPE_CHECKING

from ._row import Row

if TYPE_CHECKING:
    from comfy_trio import Comfy
    from comfy_trio.testing import EmbeddedServer


async def logs(comfy: Comfy, server: EmbeddedServer) -> None:
    assert "Starting server" in (await comfy.terminal.logs()).entries[0].text


async def text(comfy: Comfy, server: EmbeddedServer) -> None:
    assert "Starting server" in await comfy.terminal.text()


async def subscribe(comfy: Comfy, server: EmbeddedServer) -> None:
    async with comfy.terminal.subscribe():
        assert server.statistics().log_subscribers == 1
    assert server.statistics().log_subscribers == 0


ROWS = (
    Row("GET /internal/logs/raw", "terminal.logs", logs),
    Row("GET /internal/logs", "terminal.text", text),
    Row("PATCH /internal/logs/subscribe", "terminal.subscribe", subscribe),
)
