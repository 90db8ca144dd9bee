"""Jobs from start to end, on the embedded server in memory."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio
from PIL import Image

from comfy_trio import (
    Comfy,
    EnqueueFailedError,
    ExecutionFailedError,
    Failed,
    Finished,
    ImageReceived,
    JobEvent,
    MissingNodeError,
    NodeStarted,
    Output,
    Pending,
    Preview,
    Progress,
    ProgressPercent,
    RequestTooLargeError,
    Started,
    Text,
    Workflow,
    open_comfy,
    wire,
)
from comfy_trio.testing import NodeResult, NodeRun, NodeType, open_embedded_server

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from comfy_trio import Job
    from comfy_trio.testing import EmbeddedServer

ONCE = (Pending, Started, Finished, Failed)


async def collect(job: Job) -> list[JobEvent]:
    return [event async for event in job.events()]


def check_order(events: list[JobEvent]) -> None:
    """Check what holds for every complete run of events."""
    counts = Counter(type(event) for event in events)
    assert all(counts[kind] <= 1 for kind in ONCE)
    assert isinstance(events[0], Pending)
    assert isinstance(events[1], Started)
    assert isinstance(events[-1], Finished | Failed)
    percents = [event.percent for event in events if isinstance(event, ProgressPercent)]
    assert percents == sorted(set(percents))
    outputs = [event.node_id for event in events if isinstance(event, Output)]
    assert len(outputs) == len(set(outputs))
    assert len({event.prompt_id for event in events}) == 1


async def test_a_node_under_two_names(autojump_clock: MockClock, comfy: Comfy) -> None:
    workflow = Workflow(prompts.image()).output("images:9").output("again", "9").output("9")
    async with comfy.open_job(workflow) as job:
        keys = [event.key async for event in job.events() if isinstance(event, Output)]
        result = await job.wait()
    assert keys == ["images"]
    assert list(result) == ["images", "again", "9"]
    assert result["images"] == result["again"] == result["9"] == result.nodes["9"]
    assert result.aliases == {"9": "images"}
    assert result.named == {"images": "9", "again": "9", "9": "9"}


async def test_a_result_and_its_files(
    autojump_clock: MockClock, comfy: Comfy, tmp_path: Path
) -> None:
    result = await comfy.run(Workflow(prompts.image(0x00FF00)).output("images:9"))
    assert list(result) == ["images"]
    (file,) = result["images"]["images"]
    assert file == {"filename": "test_00001_.png", "subfolder": "", "type": "output"}
    assert result.nodes == {"9": result["images"]}
    assert result.aliases == {"9": "images"}
    assert result.auto_seeds == {}
    assert result.cached == frozenset()
    path = await comfy.file.download(file, tmp_path / "new" / "folder/")
    # A trailing slash is lost in a Path: the folder does not exist, so this is the file's name.
    assert path.name == "folder"
    path = await comfy.file.download(file, str(tmp_path / "new") + "/")
    assert path.name == "test_00001_.png"
    with Image.open(path) as picture:
        assert picture.size == (64, 64)
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 0, 255)  # inverted
    assert await comfy.file.read(file) == await path.read_bytes()
    assert sorted(child.name for child in (tmp_path / "new").iterdir()) == [
        "folder",
        "test_00001_.png",
    ]


async def test_events_of_a_run(autojump_clock: MockClock, comfy: Comfy) -> None:
    async with comfy.open_job(Workflow(prompts.slow(4)).output("out:9")) as job:
        events = await collect(job)
        result = await job.wait()
    check_order(events)
    assert [e.node_id for e in events if isinstance(e, NodeStarted)] == ["1", "2", "3", "9"]
    assert NodeStarted(job.prompt_id, "3", "ProbeProgress", "Wait") in events
    progress = [(e.value, e.max) for e in events if isinstance(e, Progress)]
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    previews = [e for e in events if isinstance(e, Preview)]
    assert len(previews) == 4
    assert {(e.node_id, e.media_type) for e in previews} == {("3", "image/jpeg")}
    assert previews[0].metadata["prompt_id"] == job.prompt_id
    with Image.open(io.BytesIO(previews[0].data)) as preview:
        assert max(preview.size) <= 64
    assert [e.key for e in events if isinstance(e, Output)] == ["out"]
    assert events[-1] == Finished(job.prompt_id, result)
    assert job.done
    assert job.percent == 100
    assert repr(job) == f"<Job {job.prompt_id} ended, 100 %>"


async def test_every_listener_hears_everything(autojump_clock: MockClock, comfy: Comfy) -> None:
    heard: dict[str, list[JobEvent]] = {}

    async def listen(name: str, job: Job, delay: float) -> None:
        await trio.sleep(delay)
        heard[name] = await collect(job)

    async with trio.open_nursery() as nursery:
        async with comfy.open_job(prompts.slow(10)) as job:
            nursery.start_soon(listen, "early", job, 0)  # noqa: ASYNC111  # they end with the job
            nursery.start_soon(listen, "twin", job, 0)  # noqa: ASYNC111
            nursery.start_soon(listen, "late", job, 0.55)  # noqa: ASYNC111
        heard["after"] = await collect(job)
    for events in heard.values():
        check_order(events)
        for kind in (Pending, Started, Output, Finished, NodeStarted):
            assert [event for event in events if isinstance(event, kind)] == [
                event for event in heard["early"] if isinstance(event, kind)
            ]
    assert not any(isinstance(event, Preview) for event in heard["after"])


async def test_a_slow_listener_gets_the_latest(autojump_clock: MockClock, comfy: Comfy) -> None:
    async with comfy.open_job(prompts.slow(50)) as job:
        events = job.events()
        await job.wait()
        heard = [event async for event in events]
        check_order(heard)
        assert [event.value for event in heard if isinstance(event, Progress)] == [50]
        assert events.missed > 100


async def test_abandoned_listeners_are_forgotten(autojump_clock: MockClock, comfy: Comfy) -> None:
    async with comfy.open_job(prompts.slow(5)) as job:
        async for _ in job.events():
            break
        await trio.sleep(0.2)
        assert len(job._tracker._mailboxes) == 0


async def test_fully_cached(autojump_clock: MockClock, comfy: Comfy) -> None:
    prompt = prompts.image()
    first = await comfy.run(prompt)
    async with comfy.open_job(prompt) as job:
        events = await collect(job)
        second = await job.wait()
    check_order(events)
    assert second["9"] == first["9"]
    assert second.cached == {"1", "2", "9"}
    assert not any(isinstance(event, NodeStarted) for event in events)


async def test_partly_cached(autojump_clock: MockClock, comfy: Comfy) -> None:
    prompt = prompts.image()
    await comfy.run(prompt)
    prompt["9"]["inputs"]["filename_prefix"] = "other"
    async with comfy.open_job(prompt) as job:
        events = await collect(job)
    check_order(events)
    assert (await job.wait()).cached == {"1", "2"}
    assert [e.node_id for e in events if isinstance(e, NodeStarted)] == ["9"]


async def test_several_outputs(autojump_clock: MockClock, comfy: Comfy) -> None:
    prompt = prompts.image()
    prompt["10"] = prompts.node("PreviewImage", images=["1", 0])
    prompt["11"] = prompts.node("ProbeText", text="hello", repeat=1, salt=1)
    result = await comfy.run(prompt)
    assert result.keys() == {"9", "10", "11"}
    assert result["10"]["images"][0]["type"] == "temp"
    assert result["11"]["text"] == ["hello"]
    assert result.aliases == {}
    named = await comfy.run(Workflow(prompt).output("words:11").output("10"))
    assert named.keys() == {"words", "10"}
    assert named.nodes.keys() == {"9", "10", "11"}


async def test_an_output_without_files(autojump_clock: MockClock, comfy: Comfy) -> None:
    prompt = {**prompts.image(), "5": prompts.node("ProbeNoOutput", image=["1", 0], salt=1)}
    result = await comfy.run(Workflow(prompt).output("nothing:5"))
    assert dict(result) == {"nothing": {}}


async def test_pictures_over_the_websocket(autojump_clock: MockClock, comfy: Comfy) -> None:
    prompt = prompts.image()
    prompt["1"]["inputs"]["batch_size"] = 3
    prompt["9"] = prompts.node("SaveImageWebsocket", images=["2", 0])
    async with comfy.open_job(prompt) as job:
        events = await collect(job)
        result = await job.wait()
    received = [event for event in events if isinstance(event, ImageReceived)]
    assert [event.index for event in received] == [0, 1, 2]
    assert [image.data for image in result.received["9"]] == [event.data for event in received]
    for image in result.received["9"]:
        assert image.media_type == "image/png"
        with Image.open(io.BytesIO(image.data)) as picture:
            assert picture.size == (64, 64)


async def test_text_of_a_node(autojump_clock: MockClock) -> None:
    async def run(run: NodeRun, *, image: object) -> NodeResult:
        await run.send_text("half way")
        return NodeResult((image,))

    talker = NodeType(
        class_type="Talker", run=run, required={"image": ["IMAGE"]}, outputs=("IMAGE",)
    )
    async with open_embedded_server(nodes=[talker]) as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            prompt = {**prompts.image(), "3": prompts.node("Talker", image=["1", 0])}
            prompt["9"]["inputs"]["images"] = ["3", 0]
            async with comfy.open_job(prompt) as job:
                assert Text(job.prompt_id, "3", "half way") in await collect(job)


async def test_a_part_that_the_server_refuses(
    autojump_clock: MockClock, comfy: Comfy, caplog: pytest.LogCaptureFixture
) -> None:
    prompt = prompts.image()
    prompt["10"] = prompts.node(
        "ImageScale",
        "Scale",
        image=["1", 0],
        upscale_method="no",
        width=8,
        height=8,
        crop="disabled",
    )
    prompt["11"] = prompts.node("PreviewImage", images=["10", 0])
    workflow = Workflow(prompt).output("good:9").output("bad:11").output("worse:11")
    async with comfy.open_job(workflow) as job:
        assert job.node_errors.keys() == {"10"}
        assert job.node_errors["10"].errors[0].input_name == "upscale_method"
        result = await job.wait()
    assert list(result) == ["good"]
    assert result.node_errors == job.node_errors
    assert 'runs without node 10 (ImageScale, "Scale"): input' in caplog.text
    for key in ("bad", "worse", "11"):
        with pytest.raises(KeyError, match="did not run: the server refused node 10"):
            result[key]


async def test_refusals(autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer) -> None:
    prompt = prompts.image()
    prompt["1"]["inputs"]["width"] = -64
    with pytest.raises(EnqueueFailedError, match="input 'width': Value -64 smaller than min of 1"):
        await comfy.run(prompt)
    prompt["1"] = prompts.node("Nope", "My node")
    with pytest.raises(MissingNodeError, match='node 1 \\(Nope, "My node"\\) is of a class'):
        await comfy.run(prompt)
    assert server.statistics().pending == 0
    assert "0 live jobs" in repr(comfy)


async def test_a_workflow_that_is_too_large(autojump_clock: MockClock) -> None:
    prompt = prompts.image(prefix="x" * 10_000)
    async with open_embedded_server(max_upload_size=5_000) as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            with pytest.raises(RequestTooLargeError, match="--max-upload-size") as caught:
                await comfy.run(prompt)
            assert (caught.value.status, caught.value.method) == (413, "POST")
            assert caught.value.url == f"{server.url}/api/prompt"
            assert (await comfy.run(prompts.image()))["9"]


async def test_a_node_that_raises(autojump_clock: MockClock, comfy: Comfy) -> None:
    with pytest.raises(ExecutionFailedError, match='node 3 \\(ProbeFail, "Boom"\\) raised') as info:
        await comfy.run(prompts.failing("no such luck"))
    assert info.value.exception_message.strip() == "no such luck"
    assert info.value.traceback
    assert info.value.current_inputs["message"] == ["no such luck"]


async def test_leaving_a_jobs_block_raises_a_failure_once(
    autojump_clock: MockClock, comfy: Comfy
) -> None:
    with pytest.raises(ExecutionFailedError):
        async with comfy.open_job(prompts.failing()):
            pass
    async with comfy.open_job(prompts.failing()) as job:
        with pytest.raises(ExecutionFailedError):
            await job.wait()


async def test_leaving_a_jobs_block_waits_for_it(autojump_clock: MockClock, comfy: Comfy) -> None:
    async with comfy.open_job(prompts.slow(10)) as job:
        assert not job.done
    assert job.done


async def test_seeds(autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer) -> None:
    prompt = txt2img()
    prompt["3"]["inputs"]["seed"] = -1
    workflow = Workflow(prompt)
    seeds: set[int] = set()
    for _ in range(2):
        async with comfy.open_job(workflow) as job:
            result = await job.wait()
        assert job.auto_seeds == result.auto_seeds
        assert result.auto_seeds.keys() == {"3"}
        assert 0 <= result.auto_seeds["3"] < 2**64
        seeds.add(result.auto_seeds["3"])
    assert len(seeds) == 2
    assert workflow.to_dict()["3"]["inputs"]["seed"] == -1
    assert server.statistics().requests["GET /object_info/{node_class}"] == 1


def txt2img() -> dict[str, Any]:
    return {
        "3": prompts.node(
            "KSampler",
            seed=1,
            steps=3,
            cfg=4.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
            model=["4", 0],
            positive=["6", 0],
            negative=["7", 0],
            latent_image=["5", 0],
        ),
        "4": prompts.node("CheckpointLoaderSimple", ckpt_name="sd15.safetensors"),
        "5": prompts.node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "6": prompts.node("CLIPTextEncode", text="a cat", clip=["4", 1]),
        "7": prompts.node("CLIPTextEncode", text="bad", clip=["4", 1]),
        "8": prompts.node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": prompts.node("SaveImage", images=["8", 0], filename_prefix="txt2img"),
    }


async def test_text_to_image(autojump_clock: MockClock, comfy: Comfy) -> None:
    async with comfy.open_job(txt2img()) as job:
        events = await collect(job)
    check_order(events)
    started = [event.node_id for event in events if isinstance(event, NodeStarted)]
    assert started == ["4", "5", "7", "6", "3", "8", "9"]
    assert sum(isinstance(event, Preview) for event in events) == 3


async def test_twenty_jobs_at_once(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    files: dict[int, str] = {}

    async def one(number: int) -> None:
        prompt = prompts.slow(3, delay=0.01)
        prompt["9"]["inputs"]["filename_prefix"] = f"job{number}"
        result = await comfy.run(prompt)
        files[number] = result["9"]["images"][0]["filename"]

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(one, number)
    assert files == {number: f"job{number}_00001_.png" for number in range(20)}
    assert server.statistics().requests["POST /prompt"] == 20


async def test_another_clients_job_does_not_show(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with open_comfy(server.url, transport=server.transport) as stranger:
        theirs = await stranger.submit(prompts.slow(20))
        async with comfy.open_job(prompts.image()) as job:
            events = await collect(job)
        check_order(events)
        assert not any(isinstance(event, Preview | Progress) for event in events)
        assert (await theirs.wait())["9"]


async def test_a_jobs_api_key_is_sent_along(autojump_clock: MockClock) -> None:
    seen: list[object] = []

    async def run(run: NodeRun, **inputs: object) -> NodeResult:
        seen.append(inputs["key"])
        return NodeResult(ui={})

    node = NodeType(
        class_type="Paid", run=run, hidden={"key": "API_KEY_COMFY_ORG"}, output_node=True
    )
    async with open_embedded_server(nodes=[node]) as server:
        async with open_comfy(
            server.url, transport=server.transport, comfy_org_api_key="comfyui-key"
        ) as comfy:
            await comfy.run({"1": prompts.node("Paid")})
    assert seen == ["comfyui-key"]


async def test_a_batch_of_big_previews(autojump_clock: MockClock, comfy: Comfy) -> None:
    prompt = {
        **prompts.image(),
        "3": prompts.node("ProbeBigPreview", image=["1", 0], side=1024, count=1, salt=1),
    }
    prompt["9"]["inputs"]["images"] = ["3", 0]
    async with comfy.open_job(prompt) as job:
        events = await collect(job)
    check_order(events)
    assert max(len(event.data) for event in events if isinstance(event, Preview)) > 2**20


async def test_whole_pictures_come_between_state_and_bare_progress(
    autojump_clock: MockClock, comfy: Comfy
) -> None:
    """The order of frames of SaveImageWebsocket on real servers 0.3.64 and 0.27.0."""
    prompt = prompts.image()
    prompt["1"]["inputs"]["batch_size"] = 2
    prompt["9"] = prompts.node("SaveImageWebsocket", images=["2", 0])
    events = comfy.server_events()
    await comfy.run(prompt)
    seen: list[str] = []
    async for event in events:
        if seen or event == wire.Executing(getattr(event, "prompt_id", ""), "9", "9"):
            seen.append(type(event).__name__)
        if isinstance(event, wire.ExecutionSuccess):
            break
    step = ["ProgressState", "PreviewImageWithMetadata", "Progress"]
    assert seen == ["Executing", *step, *step, "ProgressState", "ExecutionSuccess"]
