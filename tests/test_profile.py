"""Where the time of jobs goes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import prompts
import pytest
import trio
from pools import open_farm, open_pool_of

from comfy_trio import (
    Comfy,
    ExecutionFailedError,
    NodeStarted,
    Progress,
    Started,
)
from comfy_trio._profile import Recorder
from comfy_trio.pool import summarize

if TYPE_CHECKING:
    from trio.testing import MockClock


def test_notes() -> None:
    recorder = Recorder(given=10)
    recorder.note(Started("p"), 12)
    recorder.note(NodeStarted("p", "1", "Load", "Load it"), 13)
    recorder.note(NodeStarted("p", "2", "Sample", "Sample"), 14)
    for step in range(3):
        recorder.note(Progress("p", "2", step, 3), 15)
    profile = recorder.profile(
        job_id=1,
        server_id="a",
        prompt_id="p",
        attempts=1,
        succeeded=True,
        added=4,
        ended=20,
        is_function=False,
        cached={"3"},
    )
    assert (profile.waited, profile.queued, profile.executed) == (6, 2, 8)
    assert [(node.started, node.seconds, node.progress) for node in profile.nodes] == [
        (1, 1, 0),
        (2, 6, 3),
    ]
    assert [node.node_id for node in profile.slowest()] == ["2", "1"]
    assert [node.node_id for node in profile.slowest(1)] == ["2"]


def test_a_job_that_never_began() -> None:
    profile = Recorder(given=10).profile(
        job_id=1,
        server_id="a",
        prompt_id=None,
        attempts=2,
        succeeded=False,
        added=4,
        ended=20,
        is_function=False,
        cached=(),
    )
    assert (profile.queued, profile.executed, profile.nodes) == (None, None, ())
    summary = summarize([profile])["a"]
    assert (summary.jobs, summary.succeeded, summary.executed) == (1, 0, None)


async def test_profiles_of_a_pool(autojump_clock: MockClock) -> None:
    async with open_farm("ab") as farm, open_pool_of(farm, profiles=4) as pool:
        await trio.sleep(1)
        work = prompts.slow(10)
        first = await pool.submit(work, include="a")
        again = await pool.submit(work, include="a")
        await again.wait()
        assert first.profile is not None
        assert again.profile is not None
        assert first.profile.executed == pytest.approx(1.0, abs=0.1)
        assert first.profile.slowest()[0].class_type == "ProbeProgress"
        assert first.profile.slowest()[0].progress == 10
        assert again.profile.waited == pytest.approx(1.0, abs=0.1)
        assert set(again.profile.cached) >= {"1", "2", "3"}

        async def sleep(_: Comfy) -> None:
            await trio.sleep(5)

        await pool.run(sleep, include="b")
        with pytest.raises(ExecutionFailedError):
            await pool.run(prompts.failing(), include="b")
        assert [profile.succeeded for profile in pool.profiles()] == [True, True, True, False]
        assert pool.profiles()[2].executed == 5
        by_server = summarize(pool.profiles())
        assert [(each.jobs, each.succeeded) for each in by_server.values()] == [(2, 2), (2, 1)]
        assert next(iter(by_server["a"].by_class)) == "ProbeProgress"
        records = [profile.to_record() for profile in pool.profiles()]
        records += [server.to_record() for server in by_server.values()]
        assert json.loads(json.dumps(records)) == records
        await pool.run(prompts.image())
        assert len(pool.profiles()) == 4


async def test_reading_how_a_job_ended_is_no_part_of_it(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm, profiles=1) as pool:
        farm["a"].faults.slow("GET /history/{prompt_id}", 7)
        await pool.run(prompts.slow(10))
        (profile,) = pool.profiles()
        assert profile.executed == pytest.approx(1.0, abs=0.2)
        assert sum(node.seconds for node in profile.nodes) == pytest.approx(1.0, abs=0.2)


async def test_no_profiles_unless_asked_for(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        job = await pool.submit(prompts.image())
        await job.wait()
        assert job.profile is None
        assert pool.profiles() == ()
