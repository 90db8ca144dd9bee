from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_trio.testing import Crystools

from ._row import Row

if TYPE_CHECKING:
    from comfy_trio import Comfy
    from comfy_trio.testing import EmbeddedServer

    from ._row import Call


async def supported(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.monitor.supported()


async def gpus(comfy: Comfy, server: EmbeddedServer) -> None:
    assert [gpu.name for gpu in await comfy.monitor.gpus()] == ["A"]


async def drives(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.monitor.drives() == ("/",)


async def configure(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.monitor.configure(interval=2, cpu=False)


async def configure_gpu(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.monitor.configure_gpu(0, vram=False)


async def start(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.monitor.start()


async def stop(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.monitor.stop()


async def subscribe(comfy: Comfy, server: EmbeddedServer) -> None:
    async with comfy.monitor.subscribe() as readings:
        async for reading in readings:
            assert reading.cpu_utilization == 12.5
            break


def row(route: str, method: str, call: Call) -> Row:
    return Row(route, f"monitor.{method}", call, {"extensions": [Crystools(gpus=("A",))]})


ROWS = (
    row("GET /crystools/monitor/GPU", "supported", supported),
    row("GET /crystools/monitor/GPU", "gpus", gpus),
    row("GET /crystools/monitor/HDD", "drives", drives),
    row("PATCH /crystools/monitor", "configure", configure),
    row("PATCH /crystools/monitor/GPU/{index}", "configure_gpu", configure_gpu),
    row("POST /crystools/monitor/switch", "start", start),
    row("POST /crystools/monitor/switch", "stop", stop),
    row("GET /crystools/monitor/GPU", "subscribe", subscribe),
)
