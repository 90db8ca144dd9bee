from __future__ import annotations

from typing import TYPE_CHECKING

import prompts

from ._row import Row

if TYPE_CHECKING:
    from comfy_trio import Comfy
    from comfy_trio.testing import EmbeddedServer


async def entry(comfy: Comfy, server: EmbeddedServer) -> None:
    result = await comfy.run(prompts.image())
    found = await comfy.history.entry(result.prompt_id)
    assert found is not None
    assert found.outputs == result.nodes


async def page(comfy: Comfy, server: EmbeddedServer) -> None:
    results = [await comfy.run(prompts.image()) for _ in range(2)]
    (latest,) = await comfy.history.page(1)
    assert latest.prompt_id == results[1].prompt_id


async def delete(comfy: Comfy, server: EmbeddedServer) -> None:
    results = [await comfy.run(prompts.image()) for _ in range(2)]
    await comfy.history.delete(results[0].prompt_id)
    assert server.statistics().history == 1


async def clear(comfy: Comfy, server: EmbeddedServer) -> None:
    for _ in range(2):
        await comfy.run(prompts.image())
    await comfy.history.clear()
    assert server.statistics().history == 0


ROWS = (
    Row("GET /history/{prompt_id}", "history.entry", entry),
    Row("GET /history", "history.page", page),
    Row("POST /history", "history.delete", delete),
    Row("POST /history", "history.clear", clear),
)
