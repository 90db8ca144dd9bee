from __future__ import annotations

from typing import TYPE_CHECKING

import prompts
import trio

from ._row import Row

if TYPE_CHECKING:
    from comfy_trio import Comfy
    from comfy_trio.testing import EmbeddedServer

BEFORE_0_26 = {"version": "0.25.0"}


async def submit(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.queue.submit(prompts.image())


async def state(comfy: Comfy, server: EmbeddedServer) -> None:
    assert not (await comfy.queue.state()).running


async def remaining(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.queue.remaining() == 0


async def cancel(comfy: Comfy, server: EmbeddedServer) -> None:
    jobs = [await comfy.queue.submit(prompts.slow()) for _ in range(2)]
    await comfy.queue.cancel(jobs[1].prompt_id)
    assert await comfy.queue.remaining() == 1


async def clear(comfy: Comfy, server: EmbeddedServer) -> None:
    for _ in range(3):
        await comfy.queue.submit(prompts.slow())
    await comfy.queue.clear()
    assert await comfy.queue.remaining() == 1


async def interrupt(comfy: Comfy, server: EmbeddedServer) -> None:
    job = await comfy.queue.submit(prompts.slow())
    await trio.sleep(0.5)
    assert await comfy.queue.interrupt(job.prompt_id)
    await trio.sleep(0.5)
    assert await comfy.queue.remaining() == 0


async def interrupt_whatever_runs(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.queue.submit(prompts.slow())
    await trio.sleep(0.5)
    await comfy.queue.interrupt_whatever_runs()
    await trio.sleep(0.5)
    assert await comfy.queue.remaining() == 0


ROWS = (
    Row("POST /prompt", "queue.submit", submit),
    Row("GET /queue", "queue.state", state),
    Row("GET /prompt", "queue.remaining", remaining),
    Row("POST /queue", "queue.cancel", cancel),
    Row("POST /queue", "queue.clear", clear),
    Row("GET /queue", "queue.interrupt", interrupt),
    Row("POST /jobs/cancel", "queue.interrupt", interrupt),
    Row("POST /interrupt", "queue.interrupt", interrupt, BEFORE_0_26),
    Row("POST /interrupt", "queue.interrupt_whatever_runs", interrupt_whatever_runs),
)
