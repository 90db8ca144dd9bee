"""The pool over several embedded servers in memory."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio
from pools import open_farm, open_pool_of

from comfy_trio import (
    BreakerPolicy,
    Comfy,
    DisconnectedError,
    ExecutionFailedError,
    ExecutionInterruptedError,
    PickMode,
    PoolServer,
    Workflow,
    WorkflowError,
    WorkflowNotSupportedError,
    open_comfy,
    open_pool,
)
from comfy_trio.pool import JobReturned, JobStarted, ServerLogged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pools import Farm
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


async def test_two_hundred_jobs_over_three_servers_of_which_one_is_killed_halfway(
    autojump_clock: MockClock,
) -> None:
    prompt_ids: set[str] = set()
    async with open_farm() as farm, open_pool_of(farm, concurrency=2) as pool:
        pool.mode = PickMode.PICK_LOWEST
        async with pool.open_batch(prompts.slow(5) for _ in range(200)) as batch:
            async for item in batch:
                prompt_ids.add(item.unwrap().prompt_id)
                if len(prompt_ids) == 100:
                    farm["b"].stop()
        assert (batch.total, batch.done, batch.failed, batch.percent) == (200, 200, 0, 100)
    assert len(prompt_ids) == 200


async def test_a_host_that_is_switched_off_is_waited_for(autojump_clock: MockClock) -> None:
    async with open_farm("ab") as farm, open_pool_of(farm) as pool:
        await trio.sleep(1)
        job = await pool.submit(prompts.slow(300), include="a")
        await trio.sleep(1)
        farm["a"].faults.hang("*", times=math.inf)
        farm["a"].faults.stop_reading()
        await trio.sleep(60)
        assert pool.statistics().servers["a"].state == "away"
        assert len({(await pool.run(prompts.image())).prompt_id for _ in range(3)}) == 3
        farm["a"].faults.clear()
        assert (await job.wait())["9"]
        assert len(job.attempts) == 1


async def unplug(farm: Farm, name: str) -> None:
    """Let nothing through to a server that goes on."""
    await trio.sleep(1)
    farm[name].faults.break_connection("*", times=math.inf)
    farm[name].faults.drop_sockets()


async def test_a_job_at_a_server_that_stays_away_fails_when_patience_ends(
    autojump_clock: MockClock,
) -> None:
    async with open_farm("ab") as farm, open_pool_of(farm, patience=100) as pool:
        await trio.sleep(1)
        job = await pool.submit(prompts.slow(10_000), include="a")
        await unplug(farm, "a")
        with pytest.raises(DisconnectedError, match="did not answer for too long"):
            await job.wait()
        assert 100 < trio.current_time() < 150
        assert farm["a"].statistics().running == 1
        farm["a"].faults.clear()
        await trio.sleep(30)
        assert farm["a"].statistics().running == 0


async def test_such_a_job_runs_again_if_that_was_asked_for(autojump_clock: MockClock) -> None:
    async with open_farm("ab") as farm, open_pool_of(farm, patience=100, rerun_lost=True) as pool:
        await trio.sleep(1)
        job = await pool.submit(prompts.slow(2000), exclude="c")
        await unplug(farm, job.server_id or "")
        assert (await job.wait())["9"]
        assert len(job.attempts) == 2
        for name in "ab":
            farm[name].faults.clear()


async def test_a_refused_connection_proves_nothing_of_what_is_behind_a_proxy(
    autojump_clock: MockClock,
) -> None:
    async with open_farm("ab") as farm:
        members = [farm.member("a", behind_proxy=True), farm.member("b")]
        async with open_pool(members) as pool:
            await trio.sleep(1)
            jobs = [await pool.submit(prompts.slow(50)) for _ in range(2)]
            await trio.sleep(1)
            farm["a"].stop()
            farm["b"].stop()
            await trio.sleep(10)
            assert [job.status for job in jobs] == ["running", "waiting"]
            farm["a"].start()
            farm["b"].start()
            for job in jobs:
                await job.wait()
                assert len(job.attempts) == 2
        farm.assert_clean()


async def test_a_server_that_is_down_delays_nobody_and_joins_when_it_comes_up(
    autojump_clock: MockClock,
) -> None:
    async with open_farm("ab") as farm:
        farm["b"].stop()
        async with open_pool_of(farm) as pool:
            start = trio.current_time()
            await pool.run(prompts.image())
            assert trio.current_time() - start < 1
            assert pool.statistics().servers["b"].state == "away"
            farm["b"].start()
            await pool.run(prompts.image(), include=["b"])


async def test_jobs_wait_for_the_first_server(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm:
        async with open_pool() as pool:
            job = await pool.submit(prompts.image())
            await trio.sleep(1000)
            assert job.status == "waiting"
            assert await pool.add(farm.member("a")) == "a"
            await job.wait()
        farm.assert_clean()


async def test_a_cancelled_run_is_stopped_at_its_server(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm, concurrency=2) as pool:
        pool.mode = PickMode.PICK_LOWEST
        for hundredths in [*range(10), 50, 150]:
            async with trio.open_nursery() as nursery:
                for _ in range(4):  # one runs, one waits there, two wait here
                    nursery.start_soon(pool.run, prompts.slow(100))
                await trio.sleep(hundredths / 100)
                nursery.cancel_scope.cancel()
            statistics = farm["a"].statistics()
            assert (statistics.running, statistics.pending) == (0, 0)
            assert not pool._dispatcher.tickets


async def test_a_job_is_cancelled_by_its_handle(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        jobs = [await pool.submit(prompts.slow(100)) for _ in range(2)]
        await trio.sleep(1)
        for job in jobs:
            await job.cancel()
            assert job.status == "cancelled"
            with pytest.raises(ExecutionInterruptedError):
                await job.wait()
            await job.cancel()
        assert farm["a"].statistics().running == 0
        farm["a"].faults.answer("POST /prompt", 503)
        job = await pool.submit(prompts.image())
        await trio.sleep(1.2)
        assert job.status == "pausing"
        await job.cancel()
        assert repr(job) == "<PoolJob 3 cancelled at a>"


async def test_an_error_in_a_map_cancels_the_rest(autojump_clock: MockClock) -> None:
    async with open_farm("ab") as farm, open_pool_of(farm) as pool:
        works = [prompts.slow(100), prompts.failing(), *(prompts.slow(100) for _ in range(5))]
        with pytest.raises(ExecutionFailedError, match="boom"):
            await pool.map(works)
        assert trio.current_time() < 5
        assert sum(farm[name].statistics().running for name in "ab") == 0
        assert pool.statistics().cancelled == 6


async def test_a_batch_is_read_no_further_than_its_results_are(autojump_clock: MockClock) -> None:
    taken = 0

    def endless() -> Iterator[Any]:
        nonlocal taken
        while True:
            taken += 1
            yield answer

    async def answer(_: Comfy) -> int:
        await trio.lowlevel.checkpoint()
        return 42

    async with open_farm("a") as farm, open_pool_of(farm, concurrency=4) as pool:
        async with pool.open_batch(endless()) as batch:
            await trio.sleep(100)
            assert taken == 1000
            for _ in range(10):
                assert (await anext(batch)).unwrap() == 42
            assert (batch.total, batch.percent) == (None, None)
            assert taken == 1010
        assert not pool._dispatcher.tickets


async def test_a_batch_tells_errors_with_their_items(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        async with pool.open_batch([prompts.image(), prompts.failing()]) as batch:
            assert batch.total == 2
            items = [item async for item in batch]
            assert [item.error is None for item in items] == [True, False]
            assert batch.failed == 1
        works: list[Any] = [prompts.image(), "nonsense"]
        async with pool.open_batch(works) as batch:
            with pytest.raises(WorkflowError, match="'nonsense' is not a workflow"):
                await anext(batch)
        async with pool.open_batch([]) as empty:
            assert [item async for item in empty] == []
            assert empty.percent == 100


async def test_weights(autojump_clock: MockClock) -> None:
    order: list[int] = []

    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        async with trio.open_nursery() as nursery:
            for number, weight in enumerate([5, 1, 3, 1, -1]):

                async def note(_: Comfy, number: int = number) -> None:
                    await trio.sleep(1)
                    order.append(number)

                nursery.start_soon(partial(pool.run, note, weight=weight))
                await trio.sleep(0.1)
    assert order[1:] == [4, 1, 3, 2] or order == [4, 1, 3, 2, 0]


async def test_polite_to_people_at_the_web_page(autojump_clock: MockClock) -> None:
    async with (
        open_farm("ab") as farm,
        open_pool_of(farm) as pool,
        open_comfy(farm["a"].url, transport=farm["a"].transport) as person,
    ):
        await trio.sleep(1)
        async with person.open_job(prompts.slow(50)) as hers:
            jobs = [await pool.submit(prompts.slow(10)) for _ in range(4)]
            for job in jobs:
                await job.wait()
            await hers.cancel()
            with pytest.raises(ExecutionInterruptedError):
                await hers.wait()
        assert {job.server_id for job in jobs} == {"b"}
        job = await pool.submit(prompts.image(), include="a")
        await job.wait()


async def test_frames_that_told_of_an_empty_queue_may_be_missed(autojump_clock: MockClock) -> None:
    async with (
        open_farm("a") as farm,
        open_pool_of(farm) as pool,
        open_comfy(farm["a"].url, transport=farm["a"].transport) as person,
    ):
        await trio.sleep(1)
        async with person.open_job(prompts.slow(10)):
            job = await pool.submit(prompts.image())
            await trio.sleep(0.5)
            farm["a"].faults.deaf = True
        await job.wait()
        assert trio.current_time() < 30


async def test_removing_a_server_drains_it(autojump_clock: MockClock) -> None:
    async with open_farm("ab") as farm, open_pool_of(farm) as pool:
        await trio.sleep(1)
        jobs = [await pool.submit(prompts.slow(50)) for _ in range(4)]
        await trio.sleep(1)
        await pool.remove("a")
        assert pool.server_ids == ("b",)
        assert jobs[0].status == "succeeded"
        for job in jobs:
            await job.wait()
            assert len(job.attempts) == 1
        with pytest.raises(ValueError, match="there is no server 'a' in the pool; there are b"):
            await pool.remove("a")


async def test_removing_a_server_at_once_runs_its_job_elsewhere(autojump_clock: MockClock) -> None:
    async with open_farm("ab") as farm, open_pool_of(farm) as pool:
        await trio.sleep(1)
        job = await pool.submit(prompts.slow(50), max_retries=0)
        events = pool.events()
        await trio.sleep(1)
        await pool.remove("a", drain=False)
        assert farm["a"].statistics().running == farm["a"].statistics().sockets == 0
        await job.wait()
        assert [each.server_id for each in job.attempts] == ["a", "b"]
        told = [await anext(events) for _ in range(5)]
        assert [event for event in told if isinstance(event, JobReturned | JobStarted)] == [
            JobReturned(job.job_id, "a", 1),
            JobStarted(job.job_id, "b", 2),
        ]
        await pool.add(farm.member("a"))
        await pool.run(prompts.image(), include="a")


async def test_jobs_for_a_server_that_is_removed_end(autojump_clock: MockClock) -> None:
    async with open_farm("ab") as farm, open_pool_of(farm) as pool:
        await trio.sleep(1)
        jobs = [await pool.submit(prompts.slow(50), include="a") for _ in range(2)]
        await trio.sleep(1)
        await pool.remove("a")
        await jobs[0].wait()
        with pytest.raises(WorkflowNotSupportedError, match="b: it is excluded for this job"):
            await jobs[1].wait()


async def test_a_full_queue_keeps_who_submits_waiting(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm, max_queued=2) as pool:
        await trio.sleep(1)
        for _ in range(3):
            await pool.submit(prompts.slow(10))
        before = trio.current_time()
        with trio.move_on_after(0.5):
            await pool.submit(prompts.slow(10))
        assert pool.statistics().added == 3
        await pool.submit(prompts.slow(10))
        assert 1 < trio.current_time() - before < 1.1


async def test_affinity(autojump_clock: MockClock) -> None:
    workflow = Workflow(prompts.image())
    affinity = {workflow.structure_hash: ["c"]}
    async with open_farm() as farm, open_pool_of(farm, affinity=affinity) as pool:
        await trio.sleep(1)
        jobs = [await pool.submit(prompts.image()) for _ in range(3)]
        assert jobs[0].server_id == "c"
        assert {job.server_id for job in jobs} == set("abc")  # rather than wait
        for job in jobs:
            await job.wait()
        await pool.run(prompts.slow(1))
        last = await pool.submit(prompts.image())
        assert last.server_id == "c"


async def test_nodes_and_files_are_matched(autojump_clock: MockClock) -> None:
    async with open_farm("ab") as farm:
        (farm["b"].files.folder("input") / "here.png").touch()
        async with open_pool_of(farm, match_nodes=True) as pool:
            await trio.sleep(1)
            load = prompts.node("LoadImage", image="here.png")
            save = prompts.node("SaveImage", images=["1", 0], filename_prefix="x")
            job = await pool.submit({"1": load, "2": save})
            with pytest.raises(ExecutionFailedError):
                await job.wait()  # for it is no picture
            assert [each.server_id for each in job.attempts] == ["b"]
            with pytest.raises(WorkflowNotSupportedError, match="a: it has no class Nowhere"):
                await pool.run({"1": prompts.node("Nowhere"), "2": save})
        assert farm["a"].statistics().requests.get("POST /prompt", 0) == 0


async def test_a_function_of_the_users_that_raises(autojump_clock: MockClock) -> None:
    calls = 0

    async def fail(comfy: Comfy) -> None:
        nonlocal calls
        calls += 1
        await comfy.run(prompts.image())
        raise LookupError("mine")

    async with open_farm() as farm, open_pool_of(farm) as pool:
        with pytest.raises(LookupError, match="mine"):
            await pool.run(fail)
        assert calls == 1


async def test_a_function_whose_server_dies_is_called_again(autojump_clock: MockClock) -> None:
    seen: list[str] = []

    async def work(comfy: Comfy) -> str:
        seen.append(comfy.client_id)
        return (await comfy.run(prompts.slow(50))).prompt_id

    async with open_farm("ab") as farm, open_pool_of(farm) as pool:
        await trio.sleep(1)
        job = await pool.submit(work)
        await trio.sleep(1)
        farm[job.server_id or ""].stop()
        assert await job.wait() in farm.completed()[job.server_id or ""]
        assert len(set(seen)) == 2


async def test_what_makes_no_sense(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm:
        for wrong in [{"max_retries": -1}, {"retry_delay": -1}, {"max_queued": 0}]:
            with pytest.raises(ValueError, match=next(iter(wrong))):
                async with open_pool(farm.members(), **wrong):  # type: ignore[arg-type]
                    pytest.fail("opened")
        with pytest.raises(ValueError, match="has a server 'a' already"):
            async with open_pool([*farm.members(), *farm.members()]):
                pytest.fail("opened")
        with pytest.raises(ValueError, match="ftp"):
            PoolServer("ftp://nowhere")
        async with open_pool_of(farm) as pool:
            with pytest.raises(WorkflowError, match="is not a workflow"):
                await pool.submit("no")  # type: ignore[call-overload]
            with pytest.raises(ValueError, match="include: none of b is in the pool; there are a"):
                await pool.submit(prompts.image(), include="b")
            with pytest.raises(ValueError, match="weight must be a number"):
                await pool.submit(prompts.image(), weight=math.nan)
            with pytest.raises(ValueError, match="max_retries must not be negative"):
                await pool.submit(prompts.image(), max_retries=-1)
        with pytest.raises(trio.ClosedResourceError, match="block is over"):
            await pool.submit(prompts.image())
        with pytest.raises(trio.ClosedResourceError, match="block is over"):
            await pool.add("http://b")


def test_ids_of_servers() -> None:
    assert PoolServer("http://gpu-a:8188").server_id == "gpu-a:8188"
    assert PoolServer("https://u:p@host/comfy").server_id == "host/comfy"


async def test_a_server_that_fails_often_is_left_alone_and_probed(
    autojump_clock: MockClock,
) -> None:
    policy = BreakerPolicy(failures=2, cooldown=100, jitter=0)
    async with open_farm("ab") as farm, open_pool_of(farm, breaker=policy) as pool:
        await trio.sleep(1)
        farm["a"].faults.answer("POST /prompt", 503, times=3)
        await pool.map([prompts.slow(20) for _ in range(20)])
        assert pool.statistics().servers["a"].failed == 2
        assert pool.statistics().servers["a"].state == "cooling"
        await trio.sleep(100)
        assert pool.statistics().servers["a"].state == "probed"
        await pool.map([prompts.slow(20) for _ in range(20)])
        assert pool.statistics().servers["a"].failed == 3
        await trio.sleep(200)
        await pool.map([prompts.slow(20) for _ in range(20)])
        assert pool.statistics().servers["a"].state == "ready"


async def test_a_single_server_that_fails_stalls_nothing(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm, max_retries=20) as pool:
        await trio.sleep(1)
        farm["a"].faults.answer("POST /prompt", 503, times=8)
        await pool.run(prompts.image())
        assert pool.statistics().retries == 8


async def test_events(autojump_clock: MockClock) -> None:
    seen: list[str] = []
    async with open_farm("ab") as farm:
        async with trio.open_nursery() as nursery, open_pool_of(farm) as pool:
            events = pool.events()
            slow = pool.events()

            @nursery.start_soon
            async def read() -> None:
                seen.extend([type(event).__name__ async for event in events])

            await trio.sleep(1)
            pool.mode = PickMode.PICK_ROUTINE
            job = await pool.submit(prompts.slow(20))
            await trio.sleep(1)
            farm[job.server_id or ""].stop()
            await job.wait()
            with pytest.raises(ExecutionFailedError):
                await pool.run(prompts.failing(), include=job.server_id or "")
            await pool.remove(job.server_id or "")
        first = [event async for event in slow]
    assert seen == [type(event).__name__ for event in first]
    assert seen[:4] == ["ServerConnected", "ServerReady"] * 2
    assert seen[4:] == [
        "ModeChanged",
        *("JobAdded", "JobStarted"),
        *(
            "ServerDisconnected",
            "ServerDisconnected",
            "JobFailed",
            "JobStarted",
            "JobSucceeded",
            "PoolIdle",
        ),
        *("JobAdded", "JobStarted", "JobFailed", "PoolIdle"),
        "ServerRemoved",
    ]


async def test_representation(autojump_clock: MockClock) -> None:
    async with open_farm() as farm, open_pool_of(farm) as pool:
        assert repr(pool) == "<Pool of 3 servers, 0 jobs running, 0 waiting>"


async def test_terminals_of_servers(autojump_clock: MockClock) -> None:
    async with open_farm("ab") as farm, open_pool_of(farm, terminal=True) as pool:
        events = pool.events()
        await trio.sleep(1)
        farm["a"].restart()
        await trio.sleep(30)
        await pool.run(prompts.image(), include="a")
        async for event in events:
            if isinstance(event, ServerLogged):
                assert event.server_id == "a"
                assert event.entries
                break


async def test_a_run_is_cancelled_at_any_step(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        await trio.sleep(1)
        for steps in range(120):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pool.run, prompts.slow(3, delay=0))
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            assert not pool._dispatcher.tickets
            left = farm["a"].statistics()
            assert (left.running, left.pending) == (0, 0), steps
        assert (await pool.run(prompts.image()))["9"]


async def test_a_server_that_was_never_reached_is_removed_at_once(
    autojump_clock: MockClock,
) -> None:
    async with open_farm("ab") as farm:
        farm["a"].stop()
        farm["b"].faults.hang("GET /prompt", times=math.inf)
        async with open_pool_of(farm) as pool:
            await trio.sleep(10)
            for name in "ab":
                before = trio.current_time()
                await pool.remove(name)
                assert trio.current_time() - before < 5
            assert pool.server_ids == ()


async def test_leaving_while_servers_are_away(autojump_clock: MockClock) -> None:
    before = math.inf
    async with open_farm("ab") as farm:
        with pytest.raises(LookupError, match="mine"):
            async with open_pool(farm.members()) as pool:
                await trio.sleep(1)
                jobs = [await pool.submit(prompts.slow(1000)) for _ in range(4)]
                await trio.sleep(1)
                for name in "ab":
                    farm[name].faults.hang("*", times=math.inf)
                    farm[name].faults.stop_reading()
                before = trio.current_time()
                for job in jobs[:1]:
                    assert job.status == "running"
                raise LookupError("mine")
        assert trio.current_time() - before < 7
