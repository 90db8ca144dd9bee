"""The pool over TCP, with servers in processes of their own, which die for good."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import prompts
import trio
from embedded_process import open_server_process

from comfy_trio import PickMode, PoolServer, open_comfy, open_pool

if TYPE_CHECKING:
    from comfy_trio import JobResult, PoolJob

DEADLINE = 60


async def test_a_process_that_is_killed_costs_no_result() -> None:
    prompt_ids: set[str] = set()
    with trio.fail_after(DEADLINE):
        async with AsyncExitStack() as stack:
            servers = [await stack.enter_async_context(open_server_process()) for _ in "ab"]
            members = [PoolServer(url, concurrency=2) for url, _ in servers]
            async with open_pool(members, mode=PickMode.PICK_LOWEST) as pool:
                async with pool.open_batch(prompts.image() for _ in range(60)) as batch:
                    async for item in batch:
                        prompt_ids.add(item.unwrap().prompt_id)
                        if len(prompt_ids) == 30:
                            servers[0][1].kill()
                statistics = pool.statistics()
    assert len(prompt_ids) == 60
    assert statistics.servers[members[0].server_id].state == "away"
    assert statistics.succeeded == 60


async def wait_running(job: PoolJob[JobResult]) -> None:
    while not job.percent:  # noqa: ASYNC110  # that is all that one sees of it from here
        await trio.sleep(0.05)


async def test_leaving_by_a_cancellation_leaves_nothing_at_other_processes() -> None:
    with trio.fail_after(DEADLINE):
        async with AsyncExitStack() as stack:
            servers = [await stack.enter_async_context(open_server_process()) for _ in "ab"]
            with trio.CancelScope() as scope:
                async with open_pool([url for url, _ in servers]) as pool:
                    jobs = [await pool.submit(prompts.slow(1000, delay=0.05)) for _ in range(5)]
                    async with trio.open_nursery() as nursery:
                        for job in jobs[:2]:
                            nursery.start_soon(wait_running, job)
                    scope.cancel()
            assert scope.cancelled_caught
            for url, _ in servers:
                async with open_comfy(url) as comfy:
                    assert await comfy.queue.remaining() == 0
