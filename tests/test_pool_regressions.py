"""What pools of other clients got wrong, each by the name of what happened there."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio
from pools import open_farm, open_pool_of

from comfy_trio import (
    Comfy,
    ExecutionInterruptedError,
    MissingNodeError,
    PickMode,
    ServiceUnavailableError,
    Workflow,
    WorkflowNotSupportedError,
    open_comfy,
)
from comfy_trio.pool import PoolIdle
from comfy_trio.testing import NodeResult, NodeType

if TYPE_CHECKING:
    from trio.testing import MockClock

    from comfy_trio.testing import NodeRun


def node_type(name: str, *, error: type[Exception] | None = None, seconds: float = 0) -> NodeType:
    async def run(node_run: NodeRun, **_: object) -> NodeResult:
        await node_run.sleep(seconds)
        if error is not None:
            raise error(name)
        return NodeResult(ui={"text": [name]})

    salt = {"salt": ["INT", {"default": 0}]}
    return NodeType(class_type=name, run=run, required=salt, output_node=True)


def only(class_type: str, salt: int = 0) -> dict[str, Any]:
    return {"1": prompts.node(class_type, salt=salt)}


async def test_one_server_idle_starts_one_job_and_not_only_one_at_a_time_per_wakeup(
    autojump_clock: MockClock,
) -> None:
    """Two queues were poked when one host went idle: only one job a host was ever in flight."""
    async with open_farm("ab") as farm, open_pool_of(farm, concurrency=2) as pool:
        pool.mode = PickMode.PICK_LOWEST
        jobs = [await pool.submit(prompts.slow(50)) for _ in range(8)]
        await trio.sleep(1)
        assert [job.status for job in jobs] == ["running"] * 4 + ["waiting"] * 4


async def test_a_single_server_without_affinity_drains_all_jobs_without_new_submissions(
    autojump_clock: MockClock,
) -> None:
    """The general queue starved when the host went idle."""
    workflow = Workflow(prompts.image())
    async with (
        open_farm("a") as farm,
        open_pool_of(farm, affinity={workflow.structure_hash: ["somewhere else"]}) as pool,
    ):
        works = [prompts.slow(2), *(prompts.image() for _ in range(20)), prompts.slow(2)]
        assert len(await pool.map(works)) == 22


async def test_a_transient_refusal_is_retried_up_to_the_jobs_own_limit_and_elsewhere_first(
    autojump_clock: MockClock,
) -> None:
    async with open_farm("ab") as farm, open_pool_of(farm) as pool:
        await trio.sleep(1)
        farm["a"].faults.answer("POST /prompt", 503, times=2)
        job = await pool.submit(prompts.image())
        await job.wait()
        assert [each.server_id for each in job.attempts] == ["a", "b"]
        for name in "ab":
            farm[name].faults.answer("POST /prompt", 503, times=10**6)
        hopeless = await pool.submit(prompts.image(), max_retries=3)
        with pytest.raises(ServiceUnavailableError, match="HTTP status 503"):
            await hopeless.wait()
        servers = [each.server_id for each in hopeless.attempts]
        assert len(servers) == 4
        assert set(servers[:2]) == {"a", "b"}
        farm["a"].faults.clear()


async def test_ten_thousand_jobs_are_not_kept(autojump_clock: MockClock) -> None:
    async def nothing(_: object) -> None:
        await trio.lowlevel.checkpoint()

    async with open_farm("a") as farm, open_pool_of(farm, concurrency=8) as pool:
        for _ in range(10_000):
            await pool.run(nothing)
        gc.collect()
        assert not pool._dispatcher.tickets
        assert pool.statistics().succeeded == 10_000


async def test_a_lost_wakeup_does_not_halt_the_queue(autojump_clock: MockClock) -> None:
    """Calls that processed the queue at the same time lost the wakeup."""
    async with open_farm("abc") as farm, open_pool_of(farm) as pool:

        async def submit_some() -> None:
            for _ in range(20):
                await pool.run(prompts.image())

        with trio.fail_after(600):
            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(submit_some)


async def test_the_result_is_there_as_soon_as_the_job_is_done(autojump_clock: MockClock) -> None:
    """It was read before what wrote it had run."""
    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        events = pool.events()
        job = await pool.submit(prompts.image())
        async for event in events:
            if isinstance(event, PoolIdle):
                break
        assert job.status == "succeeded"
        with trio.move_on_after(0):
            await job.wait()
        assert job._ticket.value["9"]


async def test_what_a_retry_excludes_poisons_no_other_job(autojump_clock: MockClock) -> None:
    """Shared option arrays were changed by retries."""
    excluded, included = ["c"], ["a", "b", "c"]
    async with open_farm("abc") as farm, open_pool_of(farm) as pool:
        await trio.sleep(1)
        farm["a"].faults.answer("POST /prompt", 503)
        jobs = [
            await pool.submit(prompts.slow(5), include=included, exclude=excluded)
            for _ in range(10)
        ]
        for job in jobs:
            await job.wait()
        assert (included, excluded) == (["a", "b", "c"], ["c"])
        assert {job.server_id for job in jobs[2:]} == {"a", "b"}


async def test_all_idle_servers_are_fed_in_one_pass(autojump_clock: MockClock) -> None:
    async with open_farm("abcd") as farm, open_pool_of(farm) as pool:
        await trio.sleep(1)
        jobs = [await pool.submit(prompts.slow(50)) for _ in range(4)]
        assert {job.server_id for job in jobs} == set("abcd")


async def test_a_failure_that_nobody_waits_for_troubles_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It was an unhandled rejection, which ended the process."""
    with caplog.at_level(logging.INFO, logger="comfy_trio"):
        async with open_farm("a") as farm, open_pool_of(farm) as pool:
            await pool.submit(prompts.failing())
    assert "boom" in caplog.text


async def test_a_disconnect_that_races_with_success_does_not_fail_the_job(
    autojump_clock: MockClock,
) -> None:
    async with open_farm("ab") as farm, open_pool_of(farm) as pool:
        for tenths in range(30):
            job = await pool.submit(prompts.slow(1, delay=0.2))
            await trio.sleep(tenths / 100)
            for name in "ab":
                farm[name].faults.drop_sockets()
            assert (await job.wait())["9"]
            assert len(job.attempts) == 1


async def test_a_workflow_that_fails_at_one_server_blocks_no_other_there(
    autojump_clock: MockClock,
) -> None:
    """A failing workflow is kept from a server; other tenants are unaffected."""
    nodes = {"a": [node_type("Huge", error=MemoryError)], "b": [node_type("Huge")]}
    async with open_farm("ab", lambda name: nodes[name]) as farm, open_pool_of(farm) as pool:
        await trio.sleep(1)
        jobs = [await pool.submit(only("Huge", salt)) for salt in range(10)]
        for job in jobs:
            await job.wait()
            assert job.server_id == "b"
        assert pool.statistics().servers["a"].state == "ready"
        await pool.run(prompts.image(), include="a")


async def test_a_poison_workflow_does_not_take_all_servers_out(
    autojump_clock: MockClock,
) -> None:
    nodes = [node_type("Huge", error=MemoryError)]
    async with open_farm("abc", lambda _: nodes) as farm, open_pool_of(farm) as pool:
        for salt in range(10):
            job = await pool.submit(only("Huge", salt), max_retries=2)
            with pytest.raises(Exception, match="MemoryError"):
                await job.wait()
            assert {each.server_id for each in job.attempts} == set("abc")
        assert {each.state for each in pool.statistics().servers.values()} == {"ready"}


async def test_a_pool_that_is_idle_for_long_still_works(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        await trio.sleep(3600)
        asked = farm["a"].statistics().requests
        assert asked["GET /ws"] == 1
        assert asked["GET /prompt"] == 1
        assert (await pool.run(prompts.image()))["9"]


async def test_an_interruption_by_a_person_is_never_retried(autojump_clock: MockClock) -> None:
    """It was retried on another server, with the first one blocked."""
    async with (
        open_farm("ab") as farm,
        open_pool_of(farm) as pool,
        open_comfy(farm["a"].url, transport=farm["a"].transport) as person,
    ):
        await trio.sleep(1)
        running = await pool.submit(prompts.slow(100), include="a")
        await trio.sleep(1)
        prompt_id = running.attempts[0].prompt_id
        assert prompt_id is not None
        await person.queue.interrupt(prompt_id)
        with pytest.raises(ExecutionInterruptedError, match="not by this client"):
            await running.wait()
        assert len(running.attempts) == 1


async def test_a_job_that_a_person_takes_out_of_the_queue_is_never_retried(
    autojump_clock: MockClock,
) -> None:
    async with (
        open_farm("ab") as farm,
        open_pool_of(farm, mode=PickMode.PICK_LOWEST, concurrency=2) as pool,
        open_comfy(farm["a"].url, transport=farm["a"].transport) as person,
    ):
        await trio.sleep(1)
        jobs = [await pool.submit(prompts.slow(100), include="a") for _ in range(2)]
        await trio.sleep(1)
        (waiting,) = (await person.queue.state()).pending
        jobs.sort(key=lambda job: job.attempts[0].prompt_id == waiting.prompt_id)
        await person.queue.cancel(waiting.prompt_id)
        with pytest.raises(Exception, match="neither in the server's queue nor in its history"):
            await jobs[1].wait()
        assert len(jobs[1].attempts) == 1
        await jobs[0].cancel()


async def test_the_queue_cannot_be_read_while_the_server_is_busy(
    autojump_clock: MockClock,
) -> None:
    """A cold model load that lets no question through failed live jobs."""
    async with open_farm("ab") as farm, open_pool_of(farm) as pool:
        await trio.sleep(1)
        job = await pool.submit(prompts.slow(600), include="a")
        await trio.sleep(1)
        farm["a"].faults.answer("GET /queue", 500, times=10**6)
        farm["a"].faults.hang("GET /prompt", times=3)
        await trio.sleep(40)
        farm["a"].faults.clear()
        assert (await job.wait())["9"]
        assert len(job.attempts) == 1


async def test_missing_classes_lead_elsewhere_or_to_an_error_that_says_where_what_is_missing(
    autojump_clock: MockClock,
) -> None:
    nodes = {"a": [], "b": [node_type("Rare")], "c": []}
    async with open_farm("abc", lambda name: nodes[name]) as farm, open_pool_of(farm) as pool:
        await trio.sleep(1)
        jobs = [await pool.submit(only("Rare", salt)) for salt in range(5)]
        for job in jobs:
            await job.wait()
            assert job.server_id == "b"
        with pytest.raises(WorkflowNotSupportedError, match="no server of the pool") as caught:
            await pool.run(only("Rarer"))
        assert set(caught.value.reasons) == set("abc")
        assert "Rarer" in caught.value.reasons["a"]
        assert isinstance(caught.value.__cause__, MissingNodeError)


async def test_a_node_that_hangs_is_left_by_a_deadline_and_the_job_runs_elsewhere(
    autojump_clock: MockClock,
) -> None:
    """A host that accepted a prompt and never finished it held the job for ever."""
    nodes = {"a": [node_type("Work", seconds=10**6)], "b": [node_type("Work", seconds=1)]}

    async def work(comfy: Comfy) -> str:
        with trio.fail_after(60):
            return (await comfy.run(only("Work"))).prompt_id

    async with open_farm("ab", lambda name: nodes[name]) as farm, open_pool_of(farm) as pool:
        await trio.sleep(1)
        job = await pool.submit(work)
        prompt_id = await job.wait()
        assert [each.server_id for each in job.attempts] == ["a", "b"]
        assert farm["a"].statistics().running == 0
        assert farm.completed() == {"a": [], "b": [prompt_id]}


async def test_the_pool_is_silent_by_default(
    autojump_clock: MockClock, capfd: pytest.CaptureFixture[str]
) -> None:
    async with open_farm("ab") as farm, open_pool_of(farm) as pool:
        farm["a"].stop()
        await pool.map([prompts.image() for _ in range(5)])
        await trio.sleep(100)
    assert capfd.readouterr() == ("", "")
