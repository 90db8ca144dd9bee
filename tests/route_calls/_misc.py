from __future__ import annotations

from typing import TYPE_CHECKING

from packs import CANVAS, store_pack

from ._row import Row

if TYPE_CHECKING:
    from comfy_trio import Comfy
    from comfy_trio.testing import EmbeddedServer


async def extensions(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.misc.extensions() == ()


async def embeddings(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.misc.embeddings() == ()


async def translations(comfy: Comfy, server: EmbeddedServer) -> None:
    store_pack(server)
    assert set(await comfy.misc.translations()) == {"de", "en"}


async def node_replacements(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.misc.node_replacements() == {}


async def workflow_templates(comfy: Comfy, server: EmbeddedServer) -> None:
    store_pack(server)
    assert "my_pack" in await comfy.misc.workflow_templates()


async def workflow_template(comfy: Comfy, server: EmbeddedServer) -> None:
    store_pack(server)
    assert await comfy.misc.workflow_template("my_pack", "first one") == CANVAS


async def core_templates(comfy: Comfy, server: EmbeddedServer) -> None:
    store_pack(server)
    assert (await comfy.misc.core_templates())[0]["templates"][0]["name"] == "default"


async def core_template(comfy: Comfy, server: EmbeddedServer) -> None:
    store_pack(server)
    assert await comfy.misc.core_template("default") == CANVAS


async def global_subgraphs(comfy: Comfy, server: EmbeddedServer) -> None:
    store_pack(server)
    assert await comfy.misc.global_subgraphs()


async def global_subgraph(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.misc.global_subgraph("nothing") is None


ROWS = (
    Row("GET /extensions", "misc.extensions", extensions),
    Row("GET /embeddings", "misc.embeddings", embeddings),
    Row("GET /i18n", "misc.translations", translations),
    Row("GET /node_replacements", "misc.node_replacements", node_replacements),
    Row("GET /workflow_templates", "misc.workflow_templates", workflow_templates),
    Row("GET /workflow_templates/{pack}/{name}", "misc.workflow_template", workflow_template),
    Row("GET /templates/{name}", "misc.core_templates", core_templates),
    Row("GET /templates/{name}", "misc.core_template", core_template),
    Row("GET /global_subgraphs", "misc.global_subgraphs", global_subgraphs),
    Row("GET /global_subgraphs/{id}", "misc.global_subgraph", global_subgraph),
)
