"""The pool over several embedded servers in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import prompts
import pytest
import trio
from pools import open_farm, open_pool_of

from comfy_trio import (
    Comfy,
    ExecutionFailedError,
    ExecutionInterruptedError,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

    from comfy_trio import JobResult, PoolJob


async def test_run(autojump_clock: MockClock) -> None:
    async with open_farm() as farm, open_pool_of(farm) as pool:
        assert (await pool.run(prompts.image()))["9"]
        assert sum(map(len, farm.completed().values())) == 1


async def test_map(autojump_clock: MockClock) -> None:
    async with open_farm() as farm, open_pool_of(farm) as pool:
        works = [prompts.slow(10) for _ in range(12)]
        results = await pool.map(works)
        assert len({result.prompt_id for result in results}) == 12
        assert [len(ids) for ids in farm.completed().values()] == [4, 4, 4]
        assert trio.current_time() < 6


async def test_submit(autojump_clock: MockClock) -> None:
    async with open_farm() as farm, open_pool_of(farm) as pool:
        job = await pool.submit(prompts.slow(10))
        assert job.status == "waiting"
        assert (await job.wait())["9"]
        assert job.done
        assert job.percent == 100


async def test_a_function_of_the_client(autojump_clock: MockClock) -> None:
    async def run_twice(comfy: Comfy) -> list[str]:
        first = await comfy.run(prompts.image())
        return [first.prompt_id, (await comfy.run(prompts.image())).prompt_id]

    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        ids = await pool.run(run_twice)
        assert farm.completed() == {"a": ids}


async def test_an_error_comes_out_as_itself(autojump_clock: MockClock) -> None:
    async with open_farm() as farm, open_pool_of(farm) as pool:
        with pytest.raises(ExecutionFailedError, match="boom"):
            await pool.run(prompts.failing())
        assert pool.statistics().failed == 1
        assert pool.statistics().retries == 0


async def test_leaving_normally_finishes_what_is_queued(autojump_clock: MockClock) -> None:
    async with open_farm("ab") as farm:
        async with open_pool_of(farm) as pool:
            jobs = [await pool.submit(prompts.slow(10)) for _ in range(7)]
        assert [job.status for job in jobs] == ["succeeded"] * 7


async def test_leaving_by_an_exception_cancels_everything(autojump_clock: MockClock) -> None:
    jobs: list[PoolJob[JobResult]] = []
    async with open_farm("ab") as farm:
        with pytest.raises(LookupError, match="mine"):
            async with open_pool_of(farm) as pool:
                jobs += [await pool.submit(prompts.slow(1000)) for _ in range(7)]
                await trio.sleep(5)
                raise LookupError("mine")
        assert [job.status for job in jobs] == ["cancelled"] * 7
        assert trio.current_time() < 10
        for job in jobs:
            with pytest.raises(ExecutionInterruptedError):
                await job.wait()


async def test_leaving_by_a_cancellation_cancels_everything(autojump_clock: MockClock) -> None:
    jobs: list[PoolJob[JobResult]] = []
    async with open_farm("ab") as farm:
        with trio.move_on_after(5) as scope:
            async with open_pool_of(farm) as pool:
                jobs += [await pool.submit(prompts.slow(1000)) for _ in range(7)]
        assert scope.cancelled_caught
        assert [job.status for job in jobs] == ["cancelled"] * 7
        assert trio.current_time() < 10


async def test_a_server_that_is_killed_costs_nothing(autojump_clock: MockClock) -> None:
    async with open_farm() as farm, open_pool_of(farm) as pool:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def kill() -> None:
                await trio.sleep(20)
                farm["b"].stop()

            results = await pool.map([prompts.slow(10) for _ in range(100)])
        assert len({result.prompt_id for result in results}) == 100
        assert pool.statistics().succeeded == 100
