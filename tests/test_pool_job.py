"""One job of a pool: what it tells across its attempts, and what is sent with each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio
from pools import open_farm, open_pool_of

from comfy_trio import (
    ExecutionFailedError,
    NodeStarted,
    Output,
    Pending,
    Preview,
    Progress,
    ProgressPercent,
    Started,
    WorkflowError,
    WorkflowNotSupportedError,
)
from comfy_trio.pool import JobFailed, JobInterrupted, JobStarted, JobSucceeded, PoolIdle
from comfy_trio.testing import NodeResult, NodeType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from comfy_trio import Comfy, Pool, PoolJob, ServerLoad, Subscription
    from comfy_trio.pool import PoolEvent, PoolJobEvent
    from comfy_trio.testing import NodeRun


async def read(job: PoolJob[Any]) -> list[PoolJobEvent]:
    return [event async for event in job.events()]


async def until_idle(events: Subscription[PoolEvent]) -> list[PoolEvent]:
    seen: list[PoolEvent] = []
    async for event in events:
        seen.append(event)
        if isinstance(event, PoolIdle):
            break
    return seen


def kinds(events: list[PoolJobEvent]) -> list[str]:
    """Their classes, each once in a row."""
    names = [type(event).__name__ for event in events]
    return [name for name, before in zip(names, ["", *names], strict=False) if name != before]


async def test_what_a_job_tells(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        job = await pool.submit(prompts.slow(3))
        events = await read(job)
        assert events[0] == JobStarted(job.job_id, "a", 1)
        assert events[-1] == JobSucceeded(job.job_id, "a", 1)
        told = {type(event) for event in events}
        assert {Pending, Started, NodeStarted, Progress, ProgressPercent, Preview, Output} < told
        assert all(job.attempts[0].prompt_id == e.prompt_id for e in events[1:-1])  # type: ignore[union-attr]


async def test_what_it_tells_of_an_attempt_that_failed(autojump_clock: MockClock) -> None:
    async with open_farm("ab") as farm, open_pool_of(farm) as pool:
        job = await pool.submit(prompts.slow(20))
        events: list[PoolJobEvent] = []
        async for event in job.events():
            events.append(event)
            if isinstance(event, Progress) and len(job.attempts) == 1:
                farm[job.server_id or ""].stop()
        first, second = (each.server_id for each in job.attempts)
        assert [event for event in events if isinstance(event, JobStarted)] == [
            JobStarted(job.job_id, first, 1),
            JobStarted(job.job_id, second, 2),
        ]
        (failed,) = [event for event in events if isinstance(event, JobFailed)]
        assert (failed.server_id, failed.attempt, failed.will_retry) == (first, 1, True)
        assert events[-1] == JobSucceeded(job.job_id, second, 2)
        assert kinds(events).count("NodeStarted") >= 2
        assert not {"Finished", "Failed"} & set(kinds(events))


async def test_who_comes_late_hears_of_the_attempt_of_now(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        job = await pool.submit(prompts.slow(20))
        await trio.sleep(1)
        events = await read(job)
        assert kinds(events)[:3] == ["JobStarted", "Pending", "Started"]
        first = next(event for event in events if isinstance(event, Progress))
        assert first.value > 1  # the latest, not the first
        assert await read(job) == [JobSucceeded(job.job_id, "a", 1)]


async def test_a_reader_that_falls_behind(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        job = await pool.submit(prompts.slow(200))
        events = job.events()
        await job.wait()
        told = [event async for event in events]
        assert len(told) < 20
        assert events.missed > 300
        assert isinstance(told[-1], JobSucceeded)


async def test_how_the_failure_of_a_workflow_is_told(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        job = await pool.submit(prompts.failing())
        *_, last = await read(job)
        assert isinstance(last, JobFailed)
        assert isinstance(last.error, ExecutionFailedError)
        assert not last.will_retry


async def test_how_an_interruption_is_told(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        theirs, ours = await pool.submit(prompts.slow()), await pool.submit(prompts.slow())
        await trio.sleep(1)
        farm["a"]._engine.interrupt()
        assert (await read(theirs))[-1] == JobInterrupted(theirs.job_id, "a", by_us=False)
        await ours.cancel()
        assert (await read(ours))[-1].by_us  # type: ignore[union-attr]


async def test_a_job_that_no_server_can_have_is_told_of_too(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        events = pool.events()
        job = await pool.submit(prompts.image(), exclude="a")
        (told,) = await read(job)
        assert isinstance(told, JobFailed)
        assert isinstance(told.error, WorkflowNotSupportedError)
        assert (told.server_id, told.attempt, told.will_retry) == (None, 0, False)
        assert told in await until_idle(events)
        with pytest.raises(WorkflowNotSupportedError, match="a: it is excluded for this job"):
            await job.wait()


async def test_what_a_function_tells(autojump_clock: MockClock) -> None:
    async def nothing(comfy: Comfy) -> str:
        return comfy.client_id

    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        job = await pool.submit(nothing)
        assert kinds(await read(job)) == ["JobStarted", "JobSucceeded"]


# --- What is sent ---------------------------------------------------------------------------------


async def test_options_of_a_run_are_sent_with_each_attempt(autojump_clock: MockClock) -> None:
    async with open_farm("ab") as farm:
        for server in farm.servers.values():
            server.faults.break_connection("POST /prompt")
        async with open_pool_of(farm) as pool:
            prompt = prompts.image()
            prompt["10"] = prompts.node("PreviewImage", images=["2", 0])
            targets = (each for each in ["10"])
            job = await pool.submit(prompt, targets=targets, extra_data={"order": 7})
            assert set((await job.wait()).outputs) == {"10"}
            assert len(job.attempts) > 1
        (record,) = [
            record
            for server in farm.servers.values()
            for record in server._engine.queue.history.values()
        ]
        assert record["prompt"][3]["order"] == 7


async def test_options_that_make_no_sense(autojump_clock: MockClock) -> None:
    async def nothing(comfy: Comfy) -> None: ...

    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        with pytest.raises(ValueError, match="front and number are two ways"):
            await pool.submit(prompts.image(), front=True, number=3)
        with pytest.raises(TypeError, match="unexpected keyword argument 'wieght'"):
            await pool.submit(prompts.image(), wieght=3)  # type: ignore[call-overload]
        with pytest.raises(TypeError, match=r"front: for workflows; a function says so itself"):
            await pool.submit(nothing, front=True)
        with pytest.raises(WorkflowError, match="targets: 'no'"):
            await pool.submit(prompts.image(), targets=["no"])
        assert pool.statistics().added == 0


async def test_front(autojump_clock: MockClock) -> None:
    order: list[int] = []

    async def run(node_run: NodeRun, *, number: int) -> NodeResult:
        await node_run.sleep(1)
        order.append(number)
        return NodeResult(ui={})

    work = NodeType(class_type="Work", run=run, required={"number": ["INT", {}]}, output_node=True)

    async def submit(pool: Pool, number: int, **options: Any) -> None:
        await pool.submit({"1": prompts.node("Work", number=number)}, **options)
        await trio.sleep(0.1)

    def always(work: object, loads: Sequence[ServerLoad]) -> ServerLoad:
        return loads[0]

    async with open_farm("a", lambda name: [work]) as farm:
        async with open_pool_of(farm, concurrency=3, mode=always) as pool:
            await submit(pool, 1)
            await submit(pool, 2)
            await submit(pool, 3, front=True)
    assert order == [1, 3, 2]
