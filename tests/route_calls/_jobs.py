from __future__ import annotations

from typing import TYPE_CHECKING

import prompts
import trio

from ._row import Row

if TYPE_CHECKING:
    from comfy_trio import Comfy
    from comfy_trio.testing import EmbeddedServer

BEFORE_0_9 = {"version": "0.8.0"}
BEFORE_0_26 = {"version": "0.25.0"}


async def page(comfy: Comfy, server: EmbeddedServer) -> None:
    results = [await comfy.run(prompts.slow(2)) for _ in range(2)]
    page = await comfy.jobs.page(status="completed", limit=1)
    assert [job.prompt_id for job in page.jobs] == [results[1].prompt_id]
    assert page.has_more


async def info(comfy: Comfy, server: EmbeddedServer) -> None:
    result = await comfy.run(prompts.image())
    found = await comfy.jobs.info(result.prompt_id)
    assert found is not None
    assert found.outputs == result.nodes


async def status(comfy: Comfy, server: EmbeddedServer) -> None:
    result = await comfy.run(prompts.image())
    assert await comfy.jobs.status(result.prompt_id) == "completed"


async def cancel(comfy: Comfy, server: EmbeddedServer) -> None:
    jobs = [await comfy.queue.submit(prompts.slow()) for _ in range(3)]
    await trio.sleep(0.5)
    assert await comfy.jobs.cancel(*[job.prompt_id for job in jobs])
    await trio.sleep(0.5)
    assert await comfy.queue.remaining() == 0


ROWS = (
    Row("GET /jobs", "jobs.page", page),
    Row("GET /queue", "jobs.page", page, BEFORE_0_9),
    Row("GET /history", "jobs.page", page, BEFORE_0_9),
    Row("GET /jobs/{job_id}", "jobs.info", info),
    Row("GET /queue", "jobs.info", info, BEFORE_0_9),
    Row("GET /history/{prompt_id}", "jobs.info", info, BEFORE_0_9),
    Row("GET /jobs/{job_id}", "jobs.status", status),
    Row("GET /queue", "jobs.status", status, BEFORE_0_9),
    Row("GET /history/{prompt_id}", "jobs.status", status, BEFORE_0_9),
    Row("POST /jobs/cancel", "jobs.cancel", cancel),
    Row("POST /queue", "jobs.cancel", cancel, BEFORE_0_26),
    Row("POST /interrupt", "jobs.cancel", cancel, BEFORE_0_26),
)
