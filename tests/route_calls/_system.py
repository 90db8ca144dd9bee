from __future__ import annotations

from typing import TYPE_CHECKING

from trio.testing import wait_all_tasks_blocked

from ._row import Row

if TYPE_CHECKING:
    from comfy_trio import Comfy
    from comfy_trio.testing import EmbeddedServer


async def info(comfy: Comfy, server: EmbeddedServer) -> None:
    assert (await comfy.system.info()).version == server.version


async def stats(comfy: Comfy, server: EmbeddedServer) -> None:
    assert (await comfy.system.stats())["system"]["comfyui_version"] == server.version


async def ping(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.system.ping() >= 0


async def free_memory(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.system.free_memory()
    await wait_all_tasks_blocked()
    assert server.statistics().cached == 0


ROWS = (
    Row("GET /system_stats", "system.info", info),
    Row("GET /features", "system.info", info),
    Row("GET /system_stats", "system.stats", stats),
    Row("GET /prompt", "system.ping", ping),
    Row("POST /free", "system.free_memory", free_memory),
)
