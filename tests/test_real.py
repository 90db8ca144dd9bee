"""The client on a real ComfyUI server at $COMFY_HOST: ``nox -s real``.

Only nodes of ComfyUI's own are used, and no model, so that any server will do. Jobs that have to
take a while scale pictures up and down, which a CPU does for some seconds.
"""

from __future__ import annotations

import io
import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import trio
from PIL import Image
from prompts import node
from rich.console import Console

from comfy_trio import (
    Comfy,
    EnqueueFailedError,
    ExecutionFailedError,
    ExecutionInterruptedError,
    Finished,
    ImageReceived,
    MissingNodeError,
    NodeStarted,
    Output,
    Pending,
    ProgressPercent,
    Started,
    Workflow,
    open_comfy,
)
from comfy_trio._cli._demo import DemoOptions, run_demo
from comfy_trio._cli._screen import Screen
from comfy_trio._cli._supervise import CommandError
from comfy_trio._replies import get, require_object
from comfy_trio._routes._queue import QUEUE, read_queue

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from comfy_trio import Job

pytestmark = pytest.mark.real

DEADLINE = 120
_colors = iter(range(int(time.time() * 10) % 2**23, 2**24))


@pytest.fixture
async def comfy() -> AsyncGenerator[Comfy, None]:
    assert "COMFY_HOST" in os.environ, "say where the real server is: COMFY_HOST=http://..."
    with trio.fail_after(DEADLINE):
        async with open_comfy() as comfy:
            yield comfy


def image(*, size: int = 64, batch: int = 1, prefix: str = "comfy_trio") -> dict[str, Any]:
    empty = node("EmptyImage", width=size, height=size, batch_size=batch, color=next(_colors))
    return {
        "1": empty,
        "2": node("ImageInvert", image=["1", 0]),
        "9": node("SaveImage", "Save it", images=["2", 0], filename_prefix=prefix),
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


async def wait_until_running(job: Job) -> None:
    async for event in job.events():
        if isinstance(event, NodeStarted):
            return


async def ids_in_queue(comfy: Comfy) -> set[str]:
    queue = read_queue(await comfy._session.http.request(QUEUE))
    return {entry.prompt_id for entry in (*queue.running, *queue.pending)}


async def test_a_job_and_its_file(comfy: Comfy, tmp_path: Path) -> None:
    async with comfy.open_job(Workflow(image()).output("images:9")) as job:
        events = [event async for event in job.events()]
        result = await job.wait()
    kinds = Counter(type(event) for event in events)
    assert [kinds[kind] for kind in (Pending, Started, Output, Finished)] == [1, 1, 1, 1]
    assert [event.node_id for event in events if isinstance(event, NodeStarted)] == ["1", "2", "9"]
    percents = [event.percent for event in events if isinstance(event, ProgressPercent)]
    assert percents == sorted(set(percents))
    assert percents[-1] == 100
    path = await comfy.file.download(result["images"]["images"][0], tmp_path)
    with Image.open(io.BytesIO(await path.read_bytes())) as picture:
        assert picture.size == (64, 64)
        assert "prompt" in picture.info


async def test_cached_runs(comfy: Comfy) -> None:
    prompt = image()
    first = await comfy.run(prompt)
    second = await comfy.run(prompt)
    assert second["9"]["images"][0]["filename"] == first["9"]["images"][0]["filename"]
    assert second.cached == {"1", "2", "9"}
    prompt["9"]["inputs"]["filename_prefix"] = "comfy_trio_other"
    third = await comfy.run(prompt)
    assert third.cached == {"1", "2"}


async def test_several_outputs_and_pictures_over_the_websocket(comfy: Comfy) -> None:
    prompt = image(batch=2)
    prompt["10"] = node("PreviewImage", images=["1", 0])
    prompt["11"] = node("SaveImageWebsocket", images=["2", 0])
    async with comfy.open_job(prompt) as job:
        events = [event async for event in job.events()]
        result = await job.wait()
    assert len(result["9"]["images"]) == len(result["10"]["images"]) == 2
    assert [event.index for event in events if isinstance(event, ImageReceived)] == [0, 1]
    for received in result.received["11"]:
        with Image.open(io.BytesIO(received.data)) as picture:
            assert picture.size == (64, 64)


async def test_refusals(comfy: Comfy) -> None:
    prompt = image()
    prompt["1"]["inputs"]["width"] = -64
    with pytest.raises(EnqueueFailedError, match="input 'width': Value -64 smaller than min of 1"):
        await comfy.run(prompt)
    with pytest.raises(MissingNodeError, match="node 1 \\(NoSuchClass\\)"):
        await comfy.run({**image(), "1": node("NoSuchClass")})


async def test_a_part_that_is_refused(comfy: Comfy) -> None:
    prompt = image()
    scale = {"upscale_method": "no such method", "width": 8, "height": 8, "crop": "disabled"}
    prompt["10"] = node("ImageScale", image=["1", 0], **scale)
    prompt["11"] = node("PreviewImage", images=["10", 0])
    result = await comfy.run(prompt)
    assert result.node_errors["10"].errors[0].type == "value_not_in_list"
    assert list(result) == ["9"]


async def test_a_node_that_raises(comfy: Comfy) -> None:
    prompt = image(prefix="../../outside")
    with pytest.raises(ExecutionFailedError, match='node 9 \\(SaveImage, "Save it"\\) raised') as e:
        await comfy.run(prompt)
    assert e.value.traceback
    assert (await comfy.run(image()))["9"]


async def test_twenty_jobs_at_once(comfy: Comfy) -> None:
    files: dict[int, str] = {}

    async def one(number: int) -> None:
        result = await comfy.run(image(prefix=f"comfy_trio_job{number}"))
        files[number] = result["9"]["images"][0]["filename"]

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(one, number)
    assert sorted(files) == list(range(20))
    assert all(name.startswith(f"comfy_trio_job{number}_") for number, name in files.items())


async def test_a_deadline_stops_a_running_job(comfy: Comfy) -> None:
    async with comfy.open_job(slow()) as job:
        await wait_until_running(job)
        with trio.move_on_after(0):
            async with comfy.open_job(slow()):
                pytest.fail("entered")
        await job.cancel()
        with pytest.raises(ExecutionInterruptedError, match="by this client") as caught:
            await job.wait()
        assert caught.value.by_us
    assert not await ids_in_queue(comfy)


async def test_strangers_are_left_alone(comfy: Comfy) -> None:
    async with open_comfy() as stranger:
        theirs = await stranger.submit(slow(12))
        ours = await comfy.submit(slow())
        behind = await stranger.submit(image())
        await wait_until_running(theirs)
        await ours.cancel()
        with pytest.raises(ExecutionInterruptedError, match="before the server began it"):
            await ours.wait()
        assert (await theirs.wait())["9"]
        assert (await behind.wait())["9"]


async def test_leaving_the_client_stops_its_jobs(comfy: Comfy) -> None:
    async with open_comfy() as leaving:
        jobs = [await leaving.submit(slow()) for _ in range(3)]
        await wait_until_running(jobs[0])
    for job in jobs:
        with pytest.raises(ExecutionInterruptedError):
            await job.wait()
    assert not {job.prompt_id for job in jobs} & await ids_in_queue(comfy)


async def test_seeds_within_the_nodes_own_range(comfy: Comfy) -> None:
    """No model is needed to have a sampler refused for everything but its seed."""
    prompt = {
        "3": node("KSampler", seed=-1, steps=20),
        "9": node("SaveLatent", samples=["3", 0], filename_prefix="x"),
    }
    with pytest.raises(EnqueueFailedError) as caught:
        await comfy.run(prompt)
    told = {error.input_name for error in caught.value.node_errors["3"].errors}
    assert "model" in told
    assert "seed" not in told


async def test_declarations(comfy: Comfy) -> None:
    assert "SaveImage" in await comfy.node.definitions("SaveImage")
    assert await comfy.node.definitions("No such/class |x") == {}
    everything = await comfy.node.definitions()
    assert len(everything) > 100
    features = require_object(await comfy._session.http.request(get("/features")), "features")
    assert "max_upload_size" in features


async def test_the_demo(comfy: Comfy, tmp_path: Path) -> None:
    """It runs where there is a checkpoint, and says what is missing where there is none."""
    screen = Screen(Console(file=io.StringIO()), Console(file=io.StringIO()))
    options = DemoOptions(url=comfy.url, out=str(tmp_path), steps=2)
    if await comfy.node.checkpoints():
        await run_demo(options, screen)
        (path,) = tmp_path.glob("*.png")
        with Image.open(path) as picture:
            assert picture.size == (512, 512)
    else:
        with pytest.raises(CommandError, match="checkpoint"):
            await run_demo(options, screen)
