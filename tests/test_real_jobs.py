"""Queue, history and jobs of a real ComfyUI server at $COMFY_HOST: ``nox -s real``."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio
from prompts import node

from comfy_trio import (
    Comfy,
    ExecutionFailedError,
    ExecutionInterruptedError,
    Workflow,
    WorkflowError,
    open_comfy,
    wire,
)
from comfy_trio._replies import get
from comfy_trio._routes._history import history_page, read_history
from comfy_trio._routes._jobs import JobQuery, read_jobs
from comfy_trio._routes._queue import QUEUE, read_queue

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from comfy_trio import JobStatus

pytestmark = pytest.mark.real

DEADLINE = 120
KEY = "comfyui-0123456789"
_colors = iter(range(int(time.time() * 10) % 2**23, 2**24))


@pytest.fixture
async def comfy() -> AsyncGenerator[Comfy, None]:
    assert "COMFY_HOST" in os.environ, "say where the real server is: COMFY_HOST=http://..."
    with trio.fail_after(DEADLINE):
        async with open_comfy() as comfy:
            yield comfy


def image(*, size: int = 64, prefix: str = "comfy_trio_jobs") -> dict[str, Any]:
    return {
        "1": node("EmptyImage", width=size, height=size, batch_size=1, color=next(_colors)),
        "2": node("ImageInvert", image=["1", 0]),
        "9": node("SaveImage", "Save it", images=["2", 0], filename_prefix=prefix),
        "10": node("PreviewImage", images=["1", 0]),
    }


def slow(steps: int = 60) -> dict[str, Any]:
    """Scale a picture up and down again; a server looks for an interruption before each step."""
    prompt = image(size=512)
    source = "2"
    for step in range(steps):
        size = 512 if step % 2 else 2048
        scale = {"upscale_method": "lanczos", "width": size, "height": size, "crop": "disabled"}
        prompt[f"s{step}"] = node("ImageScale", image=[source, 0], **scale)
        source = f"s{step}"
    prompt["9"]["inputs"]["images"] = [source, 0]
    return prompt


async def wait_for(comfy: Comfy, prompt_id: str, status: JobStatus) -> None:
    while await comfy.jobs.status(prompt_id) != status:  # noqa: ASYNC110  # nobody else tells
        await trio.sleep(0.05)


async def keep_busy(comfy: Comfy) -> str:
    """Have the server do something for a while, so that what comes next has to wait."""
    job = await comfy.queue.submit(slow())
    await wait_for(comfy, job.prompt_id, "in_progress")
    return job.prompt_id


async def stop_all(comfy: Comfy) -> None:
    await comfy.queue.clear()
    await comfy.queue.interrupt_whatever_runs()
    while await comfy.queue.remaining():  # noqa: ASYNC110  # likewise
        await trio.sleep(0.05)


async def test_the_order_of_the_queue(comfy: Comfy) -> None:
    busy = await keep_busy(comfy)
    usual = await comfy.queue.submit(image())
    first = await comfy.queue.submit(image(), front=True)
    sooner = await comfy.queue.submit(image(), front=True)
    last = await comfy.queue.submit(image(), number=10**6)
    job = await comfy.submit(image(), number=-1e6)
    state = await comfy.queue.state()
    expected = [job.prompt_id] + [each.prompt_id for each in (sooner, first, usual, last)]
    assert [entry.prompt_id for entry in state.pending] == expected
    assert [entry.prompt_id for entry in state.running] == [busy]
    numbers = [entry.number for entry in state.pending]
    assert numbers == sorted(numbers)
    assert [numbers[0], numbers[-1]] == [-1e6, 10**6]
    assert await comfy.queue.remaining() == 6
    await comfy.queue.interrupt(busy)
    assert (await job.wait())["9"]
    while True:
        entries = [entry.prompt_id for entry in await comfy.history.page(6)]
        if last.prompt_id in entries:
            break
        await trio.sleep(0.05)
    assert entries == [busy, *expected]


async def test_what_is_kept_with_the_prompt(comfy: Comfy) -> None:
    await keep_busy(comfy)
    job = await comfy.queue.submit(
        image(),
        extra_data={"mine": {"a": None}, "extra_pnginfo": {"workflow": {"id": "w"}}},
        preview_method="none",
        comfy_org_api_key=KEY,
    )
    state = await comfy.queue.state()
    (entry,) = state.pending
    assert entry.extra_data["mine"] == {"a": None}
    assert entry.extra_data["preview_method"] == "none"
    assert entry.extra_data["client_id"] == comfy.client_id
    assert KEY not in f"{state!r} {entry.raw} {entry.extra_data}"
    await comfy.queue.interrupt_whatever_runs()
    await wait_for(comfy, job.prompt_id, "completed")
    found = await comfy.jobs.info(job.prompt_id)
    assert found is not None
    assert found.workflow_id == "w"
    assert KEY not in f"{found.raw}"


async def test_targets(comfy: Comfy) -> None:
    workflow = Workflow(image()).output("file:9").output("look:10")
    result = await comfy.run(workflow, targets=["look"])
    assert list(result) == ["look"]
    assert result.nodes.keys() == {"10"}
    assert result.skipped == {"2", "9"}
    both = await comfy.run(workflow)
    assert list(both) == ["file", "look"]
    assert both.cached == {"1", "10"}
    again = await comfy.run(workflow, targets=["Save it"])
    assert again.nodes.keys() == {"9"}
    assert again.cached == {"1", "2", "9"}
    assert again["file"] == both["file"]
    with pytest.raises(WorkflowError, match=r"node 2 .* is no output node"):
        await comfy.run(workflow, targets=["2"])


async def test_a_job_outlives_its_client(comfy: Comfy) -> None:
    async with open_comfy() as leaving:
        job = await leaving.queue.submit(slow(4))
    await wait_for(comfy, job.prompt_id, "completed")
    entry = await comfy.history.entry(job.prompt_id)
    assert entry is not None
    assert entry.outputs["9"]["images"]
    assert entry.duration is not None
    assert 0 < entry.duration < DEADLINE


async def test_cancelling_many_that_wait(comfy: Comfy) -> None:
    async with open_comfy() as stranger:
        busy = await keep_busy(comfy)
        jobs = [await comfy.queue.submit(image()) for _ in range(20)]
        theirs = await stranger.submit(image())
        await comfy.queue.cancel(*(job.prompt_id for job in jobs), busy, "unknown")
        state = await comfy.queue.state()
        assert [entry.prompt_id for entry in state.pending] == [theirs.prompt_id]
        assert state.is_running(busy)
        await comfy.queue.interrupt(busy)
        assert (await theirs.wait())["9"]
        assert await comfy.jobs.info(jobs[0].prompt_id) is None


async def test_interrupting_by_id(comfy: Comfy) -> None:
    async with open_comfy() as stranger:
        theirs = await stranger.submit(slow(12))
        ours = await comfy.submit(slow())
        await wait_for(comfy, theirs.prompt_id, "in_progress")
        assert not await comfy.queue.interrupt(ours.prompt_id)
        assert not await comfy.queue.interrupt("unknown")
        assert (await theirs.wait())["9"]
        await wait_for(comfy, ours.prompt_id, "in_progress")
        assert await comfy.queue.interrupt(ours.prompt_id)
        with pytest.raises(ExecutionInterruptedError) as caught:
            await ours.wait()
        assert caught.value.by_us
        assert not await comfy.queue.interrupt(ours.prompt_id)


async def test_the_history(comfy: Comfy) -> None:
    await comfy.history.clear()
    assert await comfy.history.page() == ()
    ids = [(await comfy.run(image())).prompt_id for _ in range(4)]
    with pytest.raises(ExecutionFailedError) as caught:
        await comfy.run(image(prefix="../../outside"))
    ids.append(caught.value.prompt_id)

    async def page(max_items: int | None = None, offset: int | None = None) -> list[str]:
        return [each.prompt_id for each in await comfy.history.page(max_items, offset=offset)]

    assert await page() == ids
    assert await page(2) == await page(2, -1) == ids[3:]
    assert await page(2, 0) == ids[:2]
    assert await page(2, 3) == ids[3:]
    assert await page(offset=4) == ids[4:]
    assert await page(1, 5) == []
    entry = await comfy.history.entry(ids[4])
    assert entry is not None
    assert entry.status == "failed"
    assert isinstance(entry.failure, wire.ExecutionError)
    assert entry.output_nodes == ("9", "10") or entry.output_nodes == ("10", "9")
    await comfy.history.delete(*ids[1:3], "unknown")
    assert await page() == [ids[0], *ids[3:]]
    assert await comfy.history.entry(ids[1]) is None
    assert await comfy.history.entry("a/b") is None
    await comfy.history.clear()
    assert await page() == []


async def test_jobs(comfy: Comfy) -> None:
    await comfy.history.clear()
    workflow = {"extra_pnginfo": {"workflow": {"id": "w"}}}
    async with comfy.open_job(image(), extra_data=workflow) as job:
        done = job.prompt_id
    with pytest.raises(ExecutionFailedError) as caught:
        await comfy.run(image(prefix="../../outside"))
    failed = caught.value.prompt_id
    cancelled = await keep_busy(comfy)
    assert await comfy.jobs.cancel(cancelled)
    await wait_for(comfy, cancelled, "cancelled")
    running = await keep_busy(comfy)
    pending = [(await comfy.queue.submit(image())).prompt_id for _ in range(3)]

    async def ids(**query: Any) -> list[str]:
        return [each.prompt_id for each in (await comfy.jobs.page(**query)).jobs]

    assert set(await ids()) == {done, failed, cancelled, running, *pending}
    assert (await ids())[3:] == [running, cancelled, failed, done]
    assert (await ids(sort_order="asc"))[:4] == [done, failed, cancelled, running]
    assert await ids(status="cancelled") == [cancelled]
    assert await ids(status=["failed", "completed"]) == [failed, done]
    assert set(await ids(status="pending")) == set(pending)
    assert await ids(workflow_id="w") == [done]
    assert (await ids(sort_by="execution_duration"))[0] == cancelled
    page = await comfy.jobs.page(limit=2, offset=3)
    assert [each.prompt_id for each in page.jobs] == [running, cancelled]
    assert (page.offset, page.total, page.has_more) == (3, 7, True)

    found = await comfy.jobs.info(done)
    assert found is not None
    assert (found.status, found.workflow_id, found.outputs_count) == ("completed", "w", 2)
    assert found.outputs is not None
    assert found.outputs["9"]["images"]
    assert found.duration is not None
    assert await comfy.jobs.status(failed) == "failed"
    assert await comfy.jobs.info("unknown") is None
    assert not await comfy.jobs.cancel(done, "unknown")
    assert await comfy.jobs.cancel(running, *pending)
    await wait_for(comfy, running, "cancelled")
    assert await comfy.queue.remaining() == 0
    assert set(await ids()) == {done, failed, cancelled, running}


async def test_lists_made_of_queue_and_history_are_the_servers_own(comfy: Comfy) -> None:
    http = comfy._session.http
    if (await http.request(get("/jobs", limit="1"))).status == 404:
        assert [job.status for job in (await comfy.jobs.page(limit=1)).jobs]
        return
    await comfy.run(image())
    await keep_busy(comfy)
    await comfy.queue.submit(image(), front=True)
    await comfy.queue.submit(image(), number=5)
    queue = read_queue(await http.request(QUEUE))
    history = read_history(await http.request(history_page()))
    for query in (
        JobQuery(),
        JobQuery(descending=False),
        JobQuery(sort_by="execution_duration", limit=5),
        JobQuery(statuses=("completed", "pending"), offset=1),
    ):
        own, made = read_jobs(await http.request(query.request())), query.answer(queue, history)
        assert [job.raw for job in made.jobs] == [job.raw for job in own.jobs]
        assert made == own
    await stop_all(comfy)


async def test_clearing_the_queue(comfy: Comfy) -> None:
    busy = await keep_busy(comfy)
    for _ in range(3):
        await comfy.queue.submit(image())
    await comfy.queue.clear()
    state = await comfy.queue.state()
    assert (state.pending, state.is_running(busy)) == ((), True)
    await stop_all(comfy)
