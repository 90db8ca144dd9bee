"""The pool on real ComfyUI servers, at the addresses in $COMFY_HOSTS.

Where $COMFY_KILL names the process of the first one, it is killed halfway through the jobs.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter

import pytest
import trio
from prompts import node

from comfy_trio import JobResult, PickMode, PoolServer, open_comfy, open_pool

pytestmark = pytest.mark.real

DEADLINE = 600
JOBS = 200
_colors = iter(random.Random(time.time()).sample(range(2**24), 2**12))


def picture() -> dict[str, object]:
    return {
        "1": node("EmptyImage", width=256, height=256, batch_size=1, color=next(_colors)),
        "2": node(
            "ImageScale",
            image=["1", 0],
            upscale_method="lanczos",
            width=1024,
            height=1024,
            crop="disabled",
        ),
        "9": node("SaveImage", images=["2", 0], filename_prefix="pool"),
    }


def hosts() -> list[str]:
    assert "COMFY_HOSTS" in os.environ, "say where the real servers are: COMFY_HOSTS=http://...,..."
    return os.environ["COMFY_HOSTS"].split(",")


async def test_leaving_by_a_cancellation_leaves_nothing() -> None:
    with trio.fail_after(DEADLINE):
        servers = [PoolServer(url, concurrency=3) for url in hosts()]
        with trio.move_on_after(3) as leaving:
            async with open_pool(servers, mode=PickMode.PICK_LOWEST) as pool:
                await pool.map(picture() for _ in range(500))
        assert leaving.cancelled_caught
        for server in servers:
            async with open_comfy(server.url) as comfy:
                assert await comfy.queue.remaining() == 0


async def test_many_jobs_and_a_server_that_dies() -> None:
    results: list[JobResult] = []
    with trio.fail_after(DEADLINE):
        servers = [PoolServer(url, concurrency=2) for url in hosts()]
        async with open_pool(servers, mode=PickMode.PICK_LOWEST) as pool:
            async with pool.open_batch(picture() for _ in range(JOBS)) as batch:
                async for item in batch:
                    results.append(item.unwrap())
                    if len(results) == JOBS // 2 and "COMFY_KILL" in os.environ:
                        os.kill(int(os.environ["COMFY_KILL"]), signal.SIGKILL)
            statistics = pool.statistics()
    assert len({result.prompt_id for result in results}) == JOBS
    assert all(result["9"]["images"] for result in results)
    assert statistics.succeeded == JOBS
    done = Counter({name: each.succeeded for name, each in statistics.servers.items()})
    assert sum(done.values()) == JOBS
    assert all(done.values())
