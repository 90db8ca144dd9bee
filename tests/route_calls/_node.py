from __future__ import annotations

from typing import TYPE_CHECKING

from packs import store

from ._row import Row

if TYPE_CHECKING:
    from comfy_trio import Comfy
    from comfy_trio.testing import EmbeddedServer


async def definitions(comfy: Comfy, server: EmbeddedServer) -> None:
    assert "KSampler" in await comfy.node.definitions()


async def definition(comfy: Comfy, server: EmbeddedServer) -> None:
    assert (await comfy.node.definition("KSampler"))["output"] == ["LATENT"]


async def choices(comfy: Comfy, server: EmbeddedServer) -> None:
    assert "euler" in await comfy.node.choices("KSampler", "sampler_name")


async def checkpoints(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.node.checkpoints()


async def loras(comfy: Comfy, server: EmbeddedServer) -> None:
    assert isinstance(await comfy.node.loras(), tuple)


async def vaes(comfy: Comfy, server: EmbeddedServer) -> None:
    assert isinstance(await comfy.node.vaes(), tuple)


async def upscale_models(comfy: Comfy, server: EmbeddedServer) -> None:
    assert isinstance(await comfy.node.upscale_models(), tuple)


async def samplers(comfy: Comfy, server: EmbeddedServer) -> None:
    assert "euler" in await comfy.node.samplers()


async def schedulers(comfy: Comfy, server: EmbeddedServer) -> None:
    assert "karras" in await comfy.node.schedulers()


async def help_page(comfy: Comfy, server: EmbeddedServer) -> None:
    store(server, "docs/KSampler/en.md", "# KSampler\n")
    assert await comfy.node.help_page("KSampler") == "# KSampler\n"


ROWS = (
    Row("GET /docs/{name}", "node.help_page", help_page),
    Row("GET /object_info", "node.definitions", definitions),
    Row("GET /object_info/{node_class}", "node.definition", definition),
    Row("GET /object_info/{node_class}", "node.choices", choices),
    Row("GET /object_info/{node_class}", "node.checkpoints", checkpoints),
    Row("GET /object_info/{node_class}", "node.loras", loras),
    Row("GET /object_info/{node_class}", "node.vaes", vaes),
    Row("GET /object_info/{node_class}", "node.upscale_models", upscale_models),
    Row("GET /object_info/{node_class}", "node.samplers", samplers),
    Row("GET /object_info/{node_class}", "node.schedulers", schedulers),
)
