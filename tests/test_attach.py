"""Jobs that were submitted earlier, by whomever, and are taken up by their reference or id."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio

from comfy_trio import (
    Comfy,
    DisconnectedError,
    ExecutionFailedError,
    ExecutionInterruptedError,
    Finished,
    JobReference,
    NodeStarted,
    Pending,
    Preview,
    ServerUnreachableError,
    Started,
    WentMissingError,
    Workflow,
    open_comfy,
)
from comfy_trio._masking import Secrets
from comfy_trio._reference import plan_of
from comfy_trio._routes._history import HistoryEntry
from comfy_trio._state import SeenRunning

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer


@pytest.fixture
async def other(server: EmbeddedServer) -> AsyncGenerator[Comfy, None]:
    """Another client, which takes up what `comfy` began."""
    async with open_comfy(server.url, transport=server.transport) as other:
        yield other


async def test_a_job_that_waits(
    autojump_clock: MockClock, comfy: Comfy, other: Comfy, server: EmbeddedServer
) -> None:
    await comfy.submit(prompts.slow(10))
    job = await comfy.submit(prompts.slow(5))
    assert (await other.attach(job.prompt_id))["9"]["images"]
    assert (await job.wait())["9"]


async def test_a_job_that_runs(autojump_clock: MockClock, comfy: Comfy, other: Comfy) -> None:
    job = await comfy.submit(prompts.slow(30))
    await trio.sleep(1)
    assert await other.attach(job.reference) == await job.wait()


async def test_a_job_that_is_over(autojump_clock: MockClock, comfy: Comfy, other: Comfy) -> None:
    result = await comfy.run(prompts.image())
    began = trio.current_time()
    assert (await other.attach(result.prompt_id)).outputs == result.outputs
    assert trio.current_time() - began < 1


async def test_a_reference_keeps_what_the_outputs_are_called(
    autojump_clock: MockClock, comfy: Comfy, other: Comfy
) -> None:
    prompt = prompts.image()
    prompt["10"] = prompts.node("PreviewImage", images=["1", 0])
    workflow = Workflow(prompt).output("picture", "9")
    job = await comfy.submit(workflow)
    written = json.dumps(job.reference.to_dict())
    reference = JobReference.from_dict(json.loads(written))
    assert reference == job.reference
    result = await other.attach(reference)
    assert list(result.outputs) == ["picture"]
    assert result["picture"]["images"]
    assert set((await other.attach(job.prompt_id)).outputs) == {"9", "10"}


async def test_seeds_are_in_the_reference(autojump_clock: MockClock, comfy: Comfy) -> None:
    prompt = prompts.image()
    prompt["5"] = prompts.node("KSampler", seed=-1)
    job = await comfy.submit(prompt, targets="9")
    assert JobReference.from_dict(job.reference.to_dict()).auto_seeds == job.auto_seeds


async def test_how_it_failed(autojump_clock: MockClock, comfy: Comfy, other: Comfy) -> None:
    job = await comfy.submit(prompts.failing("of its own"))
    with pytest.raises(ExecutionFailedError, match=r'node 3 \(ProbeFail, "Boom"\).*of its own'):
        await other.attach(job.prompt_id)


async def test_who_has_the_client_id_hears_of_its_progress(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    async with open_comfy(server.url, transport=server.transport) as comfy:
        reference = (await comfy.queue.submit(prompts.slow(30))).reference
    options: dict[str, Any] = {"client_id": reference.client_id, "transport": server.transport}
    async with open_comfy(reference.url, **options) as heir:
        job = await heir.follow(reference)
        events = [event async for event in job.events()]
    assert [type(event) for event in events[:2]] == [Pending, Started]
    assert any(isinstance(event, Preview) for event in events)
    assert any(isinstance(event, NodeStarted) for event in events)
    assert isinstance(events[-1], Finished)
    assert job.percent == 100


async def test_who_has_not_hears_of_its_end(
    autojump_clock: MockClock, comfy: Comfy, other: Comfy
) -> None:
    first = await comfy.submit(prompts.slow(100))
    job = await other.follow((await comfy.submit(prompts.slow(10))).prompt_id)
    assert job.phase == "pending"
    events = [event async for event in job.events()]
    assert [type(event) for event in events if isinstance(event, Pending | Finished)] == [
        Pending,
        Finished,
    ]
    assert first.done


async def test_leaving_the_block_leaves_it_alone(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    job = await comfy.submit(prompts.slow(30))
    async with open_comfy(server.url, transport=server.transport) as other:
        follower = await other.follow(job.prompt_id)
        with trio.move_on_after(1):
            await other.attach(job.reference)
    with pytest.raises(DisconnectedError, match="this client was closed"):
        await follower.wait()
    assert (await job.wait())["9"]


async def test_cancelling_it_by_its_handle_stops_it(
    autojump_clock: MockClock, comfy: Comfy, other: Comfy
) -> None:
    job = await comfy.submit(prompts.slow(100))
    follower = await other.follow(job.reference)
    await follower.cancel()
    with pytest.raises(ExecutionInterruptedError) as caught:
        await follower.wait()
    assert caught.value.by_us
    with pytest.raises(ExecutionInterruptedError) as caught:
        await job.wait()
    assert not caught.value.by_us


async def test_ones_own_job_is_the_same_job(autojump_clock: MockClock, comfy: Comfy) -> None:
    job = await comfy.submit(prompts.slow(10))
    same = await comfy.follow(job.reference)
    assert await same.wait() is await job.wait()
    twice = [await comfy.follow(job.prompt_id) for _ in range(2)]
    assert [each.done for each in twice] == [True, True]


async def test_two_may_follow_one_at_once(
    autojump_clock: MockClock, comfy: Comfy, other: Comfy
) -> None:
    job = await comfy.submit(prompts.slow(10))
    results: list[Any] = []

    async def attach() -> None:
        results.append(await other.attach(job.prompt_id))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(attach)
    assert results == [await job.wait()] * 5


async def test_a_job_that_the_server_does_not_know(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    with pytest.raises(WentMissingError, match="knows no job nothing: it never had it"):
        await comfy.attach("nothing")
    job = await comfy.submit(prompts.slow())
    server.restart()
    with pytest.raises(WentMissingError):
        await comfy.attach(job.prompt_id)


async def test_a_reference_to_another_server(comfy: Comfy, autojump_clock: MockClock) -> None:
    reference = JobReference(prompt_id="1", url="http://elsewhere:8188", client_id="me")
    with pytest.raises(ValueError, match=r"the job is at http://elsewhere:8188, and this is a"):
        await comfy.attach(reference)


async def test_a_server_that_cannot_be_asked(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.stop()
    with pytest.raises(ServerUnreachableError):
        await comfy.attach("1")


async def test_the_end_in_the_moment_of_attaching(
    autojump_clock: MockClock, comfy: Comfy, other: Comfy, server: EmbeddedServer
) -> None:
    for delay in range(40):
        job = await comfy.submit(prompts.slow(1, delay=0.1))
        await trio.sleep(delay / 200)
        with trio.fail_after(15):
            assert (await other.attach(job.prompt_id))["9"]
        await job.wait()


async def test_a_socket_that_drops_while_one_is_attached(
    autojump_clock: MockClock, comfy: Comfy, other: Comfy, server: EmbeddedServer
) -> None:
    job = await comfy.submit(prompts.slow(50))
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def drop() -> None:
            for _ in range(4):
                await trio.sleep(1)
                server.faults.drop_sockets()

        assert (await other.attach(job.prompt_id))["9"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({}, "prompt_id is None"),
        ({"prompt_id": ""}, "prompt_id is ''"),
        ({"prompt_id": "1", "url": 3}, "url is 3"),
        ({"outputs": {"a": 1}}, "outputs are node ids"),
        ({"outputs": []}, "outputs are node ids"),
        ({"auto_seeds": {"a": "b"}}, "auto_seeds are numbers"),
    ],
)
def test_what_is_no_reference(wrong: dict[str, Any], told: str) -> None:
    whole = {"prompt_id": "1", "url": "http://a", "client_id": "c"}
    given = wrong if "prompt_id" in wrong or not wrong else {**whole, **wrong}
    with pytest.raises(ValueError, match=f"this is no JobReference: {told}"):
        JobReference.from_dict(given)


def test_what_others_submitted_need_not_be_whole() -> None:
    prompt: dict[str, Any] = {**prompts.image(), "77": {"class_type": "A"}, "78": {"inputs": {}}}
    prompt |= {"79": None, "80": {"class_type": "B", "inputs": {}}}
    entry = HistoryEntry(prompt_id="1", prompt=prompt, output_nodes=("9", "81"))
    plan = plan_of("1", entry, Secrets())
    assert plan.prompt.keys() == {"1", "2", "9", "80"}
    assert plan.targets == ("9",)
    assert plan.part.keys() == {"1", "2", "9"}
    assert plan_of("1", SeenRunning(), Secrets()).part == {}
