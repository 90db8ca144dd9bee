"""Options of a submission: as they are sent, and what comes of them on the embedded server."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import prompts
import pytest
import trio
from prompts import node

from comfy_trio import (
    Comfy,
    EnqueueFailedError,
    Graph,
    JobReference,
    Output,
    Submission,
    SubmitOptions,
    UnknownNode,
    Workflow,
    WorkflowError,
    open_comfy,
)
from comfy_trio._state import JobPlan
from comfy_trio._submission import check_options, prompt_request
from comfy_trio._targets import nodes_left_out
from comfy_trio._util import MOST_LEVELS
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from comfy_trio import Job
    from comfy_trio.testing import EmbeddedServer

VERSIONS = ["0.3.45", "0.3.56", "0.3.64", "0.6.0", "0.9.0", "0.27.0"]

KEY = "comfyui-0123"
PROMPT: dict[str, Any] = {
    "1": node("EmptyImage"),
    "9": node("SaveImage", images=["1", 0]),
    "10": node("PreviewImage", images=["1", 0]),
}


def sent(
    options: dict[str, Any],
    *,
    extra_data: dict[str, Any] | None = None,
    canvas: dict[str, Any] | None = None,
    **plan: Any,
) -> dict[str, Any]:
    """Return the body that options become, without what is always in it."""
    checked = check_options(cast("SubmitOptions", options), "run")
    request = prompt_request(
        JobPlan("p", PROMPT, **plan),
        checked,
        client_id="me",
        extra_data=extra_data or {},
        canvas=canvas,
    )
    body: dict[str, Any] = dict(request.json)
    assert (request.path, body.pop("prompt")) == ("/api/prompt", PROMPT)
    assert (body.pop("prompt_id"), body.pop("client_id")) == ("p", "me")
    return body


SENT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"front": True}, {"front": True}),
    ({"front": False}, {}),
    ({"number": 0}, {"number": 0.0}),
    ({"number": -2.5, "front": False}, {"number": -2.5}),
    ({"preview_method": "taesd"}, {"extra_data": {"preview_method": "taesd"}}),
    ({"extra_data": {"a": (1, 2)}}, {"extra_data": {"a": [1, 2]}}),
    ({"extra_data": {}}, {}),
    ({"comfy_org_api_key": KEY}, {"extra_data": {"api_key_comfy_org": KEY}}),
    (dict.fromkeys(SubmitOptions.__optional_keys__), {}),
]


@pytest.mark.parametrize(("options", "body"), SENT)
def test_options_as_sent(options: dict[str, Any], body: dict[str, Any]) -> None:
    assert sent(options) == body


def test_targets_as_sent() -> None:
    assert sent({}, targets=("10", "9")) == {"partial_execution_targets": ["10", "9"]}


def test_extra_data_goes_over_the_clients() -> None:
    ours = {"api_key_comfy_org": "ours", "a": 1}
    assert sent({}, extra_data=ours) == {"extra_data": ours}
    theirs = {"extra_data": {"a": 2, "api_key_comfy_org": "theirs"}}
    assert sent(theirs, extra_data=ours) == theirs
    body = sent({**theirs, "comfy_org_api_key": KEY}, extra_data=ours)
    assert body == {"extra_data": {"a": 2, "api_key_comfy_org": KEY}}
    assert ours == {"api_key_comfy_org": "ours", "a": 1}


def test_extra_data_that_is_nested_too_deeply() -> None:
    value: list[Any] = []
    for _ in range(MOST_LEVELS):
        value = [value]
    with pytest.raises(WorkflowError, match="extra_data is nested deeper than 200 levels"):
        check_options({"extra_data": {"x": value}}, "run")


def test_the_canvas_is_sent_along_unless_there_is_another() -> None:
    canvas: dict[str, Any] = {"nodes": [], "id": "drawn"}
    extra = {"extra_data": {"extra_pnginfo": {"mine": 1}}}
    assert sent(extra, canvas=canvas) == {
        "extra_data": {"extra_pnginfo": {"workflow": canvas, "mine": 1}}
    }
    other = {"extra_data": {"extra_pnginfo": {"workflow": {"id": "other"}}}}
    assert sent(other, canvas=canvas) == other
    assert sent({}, canvas=canvas) == {"extra_data": {"extra_pnginfo": {"workflow": canvas}}}


def test_the_callers_extra_data_is_copied() -> None:
    pnginfo = {"workflow": {"id": "a"}}
    checked = check_options({"extra_data": {"extra_pnginfo": pnginfo}}, "run")
    pnginfo["workflow"]["id"] = "b"
    assert checked.get("extra_data") == {"extra_pnginfo": {"workflow": {"id": "a"}}}


NO_OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"frnt": True}, TypeError, r"run\(\) got an unexpected keyword argument 'frnt'"),
    ({"frnt": None}, TypeError, "unexpected keyword argument"),
    ({"front": True, "number": 1}, ValueError, "give one of them"),
    ({"number": math.nan}, ValueError, "number is a finite number, not nan"),
    ({"number": -math.inf}, ValueError, "not -inf"),
    ({"number": "first"}, ValueError, "could not convert"),
    ({"preview_method": "big"}, ValueError, "one of default, none, .*; not 'big'"),
    ({"extra_data": [1]}, WorkflowError, "extra_data is a mapping, not a list"),
    ({"extra_data": {"a": {1}}}, WorkflowError, r"what JSON cannot \(TypeError\)"),
    ({"extra_data": {"a": math.nan}}, WorkflowError, r"what JSON cannot \(ValueError\)"),
    (
        {"extra_data": {"extra_pnginfo": None}},
        WorkflowError,
        r"extra_data\['extra_pnginfo'\] is a mapping, not null",
    ),
    ({"extra_data": {"extra_pnginfo": "x"}}, WorkflowError, "is a mapping, not str"),
    (
        {"extra_data": {"extra_pnginfo": {"workflow": None}}},
        WorkflowError,
        r"\['extra_pnginfo'\]\['workflow'\] is a mapping, not null; leave it out",
    ),
    ({"extra_data": {"extra_pnginfo": {"workflow": [1]}}}, WorkflowError, "not list"),
]


@pytest.mark.parametrize(("options", "error", "message"), NO_OPTIONS)
def test_options_that_make_no_sense(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_options(cast("SubmitOptions", options), "run")


async def test_options_that_make_no_sense_are_told_before_anything_is_sent(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    before = server.statistics().requests
    odd = cast("Any", {"frnt": True})
    with pytest.raises(TypeError, match=r"^run\(\) got"):
        await comfy.run(prompts.image(), **odd)
    with pytest.raises(TypeError, match=r"^open_job\(\) got"):
        async with comfy.open_job(prompts.image(), **odd):
            pytest.fail("entered")
    with pytest.raises(TypeError, match=r"^submit\(\) got"):
        await comfy.submit(prompts.image(), **odd)
    with pytest.raises(TypeError, match=r"^submit\(\) got"):
        await comfy.queue.submit(prompts.image(), **odd)
    for targets, message in NO_TARGETS:
        workflow = Workflow(two_outputs()).output("mine", "9").bypass("2")
        with pytest.raises(WorkflowError, match=message):
            await comfy.run(workflow, targets=targets)
    assert server.statistics().requests == before


def test_keys_are_in_no_repr() -> None:
    checked = check_options({"comfy_org_api_key": KEY}, "run")
    request = prompt_request(
        JobPlan("p", PROMPT), checked, client_id="me", extra_data={}, canvas=None
    )
    assert KEY not in repr(request)
    with pytest.raises(WorkflowError) as caught:
        check_options({"extra_data": {"api_key_comfy_org": KEY, "a": {1}}}, "run")
    assert KEY not in f"{caught.value!r} {caught.value.__cause__!r}"


# --- Targets --------------------------------------------------------------------------------------


def two_outputs() -> dict[str, Any]:
    """Two output nodes of one picture, one of them behind a node of its own."""
    prompt = prompts.image()
    prompt["3"] = node("ImageInvert", "Again", image=["2", 0])
    prompt["10"] = node("PreviewImage", images=["3", 0])
    return prompt


NO_TARGETS: list[tuple[Any, str]] = [
    ([], "there is none, and so nothing to run"),
    (["8"], "targets: '8': no node has this id, title or class"),
    (["Save it", "nope"], "targets: 'nope': no node"),
    ("Nope", "targets: 'Nope': no node"),
    (["ImageInvert"], "targets: 'ImageInvert': there are 2 nodes of class"),
    (["9", "2"], "node 2 .* is bypassed: reinstate"),
    ([UnknownNode("SaveImage", {})], "this UnknownNode is no node of the workflow"),
]

MEANT: list[tuple[Any, set[str]]] = [
    (["9"], {"9"}),
    ("9", {"9"}),
    (["Save it"], {"9"}),
    (["PreviewImage"], {"10"}),
    (["mine"], {"9"}),
    (["mine", "9", "10"], {"9", "10"}),
]


@pytest.mark.parametrize(("targets", "ran"), MEANT)
async def test_what_targets_mean(
    targets: Any, ran: set[str], autojump_clock: MockClock, comfy: Comfy
) -> None:
    workflow = Workflow(two_outputs()).output("mine", "9")
    result = await comfy.run(workflow, targets=targets)
    assert result.nodes.keys() == ran
    assert result.skipped == ({"3", "10"} if ran == {"9"} else {"9"} if ran == {"10"} else set())


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_run_with_targets(autojump_clock: MockClock, version: str) -> None:
    async with open_embedded_server(version=version) as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            workflow = Workflow(two_outputs()).output("file:9").output("look:10")
            async with comfy.open_job(workflow, targets=["look"]) as job:
                events = [event async for event in job.events()]
                result = await job.wait()
            assert {event.node_id for event in events if isinstance(event, Output)} == {"10"}
            assert list(result) == ["look"]
            assert result.skipped == {"9"}
            with pytest.raises(KeyError, match="'file' did not run: none of the targets needs it"):
                result["file"]
            both = await comfy.run(workflow)
            assert list(both) == ["file", "look"]
            assert both.cached == {"1", "2", "3", "10"}
            # All is in the cache now, and older servers show what others gave before.
            again = await comfy.run(workflow, targets=["file"])
            assert again.nodes.keys() == {"9"}
            assert again["file"] == both["file"]
            assert again.cached == {"1", "2", "9"}


async def test_typed_targets(autojump_clock: MockClock, comfy: Comfy) -> None:
    image = UnknownNode("EmptyImage", {"width": 8, "height": 8, "batch_size": 1, "color": 7})
    save = UnknownNode("SaveImage", {"images": image, "filename_prefix": "a"})
    look = UnknownNode("PreviewImage", {"images": image})
    for targets in (look, [look]):
        result = await comfy.run(save, look, targets=targets)
        assert result[look]["images"]
        with pytest.raises(KeyError, match="did not run: none of the targets"):
            result[save]
    await comfy.queue.submit(prompts.slow())
    graph = Graph(save, look)
    job = await comfy.queue.submit(graph, targets=[save])
    (waiting,) = (await comfy.queue.state()).pending
    assert (waiting.prompt_id, waiting.outputs) == (job.prompt_id, (graph.id_of(save),))


async def test_a_target_that_is_no_output_node(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    for _ in range(2):
        with pytest.raises(WorkflowError, match=r"node 3 .* is no output node") as caught:
            await comfy.run(two_outputs(), targets=["9", "Again"])
        assert caught.value.node_id == "3"
    requests = server.statistics().requests
    assert requests["GET /object_info/{node_class}"] == 2  # one of each class
    assert "POST /prompt" not in requests
    with pytest.raises(EnqueueFailedError):  # the server knows of no such class, and says so
        await comfy.run({**two_outputs(), "11": node("NoSuchClass")}, targets=["11"])


async def test_what_is_wrong_with_nodes_left_out_is_no_matter(
    autojump_clock: MockClock, comfy: Comfy
) -> None:
    prompt = two_outputs()
    del prompt["3"]["inputs"]["image"]
    await comfy.validate(prompt)  # from now on what is refused is not sent
    result = await comfy.run(prompt, targets=["9"])
    assert (list(result), result.node_errors) == (["9"], {})
    with pytest.raises(EnqueueFailedError, match="was not sent"):
        await comfy.run(prompt, targets=["10"])


async def test_files_of_nodes_left_out_are_not_uploaded(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    prompt = two_outputs()
    prompt["3"] = node("LoadImage", image="x.png")
    workflow = Workflow(prompt).attach_image("3", "image", b"no picture", filename="x.png")
    await comfy.run(workflow, targets=["9"])
    assert server.files.names("input") == []


def test_nodes_left_out() -> None:
    assert nodes_left_out(PROMPT, ["9"]) == {"10"}
    assert nodes_left_out(PROMPT, ["9", "10"]) == frozenset()
    circle = {"a": node("A", x=["b", 0]), "b": node("B", x=["a", 0], y=["gone", 0]), "c": node("C")}
    assert nodes_left_out(circle, ["a"]) == {"c"}
    chain = {str(n): node("X", x=[str(n + 1), 0]) for n in range(5000)}
    assert nodes_left_out(chain, ["0"]) == frozenset()


# --- On a server ----------------------------------------------------------------------------------


@asynccontextmanager
async def open_busy(version: str) -> AsyncGenerator[tuple[EmbeddedServer, Comfy], None]:
    """Open a server that has something to do for a while, and a client."""
    async with open_embedded_server(version=version) as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            await comfy.queue.submit(prompts.slow(100))
            await trio.sleep(0.5)
            yield server, comfy


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_order_of_the_queue(autojump_clock: MockClock, version: str) -> None:
    async with open_busy(version) as (_, comfy):
        usual = await comfy.queue.submit(prompts.image())
        first = await comfy.queue.submit(prompts.image(), front=True)
        sooner = await comfy.queue.submit(prompts.image(), front=True)
        last = await comfy.queue.submit(prompts.image(), number=1e6)
        job = await comfy.submit(prompts.image(), number=-0.5)
        async with comfy.open_job(prompts.image(), number=-1e6) as soonest:
            state = await comfy.queue.state()
            expected: list[Job | Submission] = [soonest, sooner, first, job, usual, last]
            assert [entry.prompt_id for entry in state.pending] == [
                each.prompt_id for each in expected
            ]
            assert [entry.number for entry in state.pending] == [each.number for each in expected]
            assert len(state.running) == 1
            assert await comfy.queue.remaining() == 7
            await comfy.queue.interrupt_whatever_runs()


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_is_kept_with_the_prompt(autojump_clock: MockClock, version: str) -> None:
    async with open_embedded_server(version=version) as server:
        async with open_comfy(
            server.url, transport=server.transport, comfy_org_api_key="ours"
        ) as comfy:
            busy = await comfy.queue.submit(prompts.slow())
            await comfy.queue.submit(
                prompts.image(), comfy_org_api_key=KEY, extra_data={"mine": {"a": None}}
            )
            state = await comfy.queue.state()
            (waiting,) = state.pending
            assert waiting.extra_data["mine"] == {"a": None}
            assert waiting.extra_data["client_id"] == comfy.client_id
            item = server._engine.queue.pending[0]
            assert {**item.extra_data, **item.secrets}["api_key_comfy_org"] == KEY
            (running,) = server._engine.queue.running
            assert {**running.extra_data, **running.secrets}["api_key_comfy_org"] == "ours"
            assert "api_key_comfy_org" not in waiting.extra_data
            assert KEY not in f"{state!r} {[entry.raw for entry in state.pending]}"
            assert busy.prompt_id == state.running[0].prompt_id


async def test_previews_of_one_run(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    for method in ("none", "latent2rgb"):
        async with comfy.open_job(prompts.slow(3), preview_method=cast("Any", method)):
            (running,) = (await comfy.queue.state()).running
            assert running.extra_data["preview_method"] == method


# --- Put in the queue and left there --------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_job_outlives_the_client(autojump_clock: MockClock, version: str) -> None:
    async with open_embedded_server(version=version) as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            jobs = [await comfy.queue.submit(prompts.slow(5)) for _ in range(2)]
            assert [job.number for job in jobs] == [0, 1]
            assert len({job.prompt_id for job in jobs}) == 2
            assert not comfy._session.supervisor.live
        assert server.statistics().pending + server.statistics().running == 2
        await trio.sleep(10)
        async with open_comfy(server.url, transport=server.transport) as comfy:
            for job in jobs:
                entry = await comfy.history.entry(job.prompt_id)
                assert entry is not None
                assert entry.status == "completed"


async def test_what_the_server_said_of_it(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    prompt = prompts.slow()
    prompt["4"] = node("ImageInvert")
    prompt["10"] = node("PreviewImage", images=["4", 0])
    job = await comfy.queue.submit(prompt)
    assert list(job.node_errors) == ["4"]
    with pytest.raises(EnqueueFailedError, match="Required input is missing"):
        await comfy.queue.submit({**prompts.image(), "9": node("SaveImage")})
    plain = await comfy.queue.submit(prompts.image())
    reference = JobReference(prompt_id=plain.prompt_id, url=comfy.url, client_id=comfy.client_id)
    assert plain == Submission(prompt_id=plain.prompt_id, number=2, reference=reference)
    seeded = await comfy.queue.submit({**prompts.image(), "5": node("KSampler", seed=-1)})
    state = await comfy.queue.state()
    assert [entry.prompt_id for entry in state.pending] == [plain.prompt_id, seeded.prompt_id]
    drawn = state.pending[1].prompt["5"]["inputs"]["seed"]
    assert seeded.auto_seeds == {"5": drawn}
    image = UnknownNode("EmptyImage", {"width": 8, "height": 8, "batch_size": 1, "color": 0})
    await comfy.queue.submit(UnknownNode("PreviewImage", {"images": image}))


@pytest.mark.parametrize("after", [True, False])
async def test_an_ambiguous_post_is_settled_by_the_id(
    after: bool, autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.answer("POST /prompt", 502, after=after)
    if after:
        job = await comfy.queue.submit(prompts.slow())
        assert job.prompt_id in await comfy.queue.state()
    else:
        with pytest.raises(EnqueueFailedError, match="502"):
            await comfy.queue.submit(prompts.slow())
    assert server.statistics().requests["POST /prompt"] == 1
    assert not comfy._session.supervisor.live


async def test_a_job_that_failed_before_its_post_was_settled(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.break_connection("POST /prompt", after=True)
    job = await comfy.queue.submit(prompts.failing())
    await trio.sleep(1)
    assert await comfy.jobs.status(job.prompt_id) == "failed"


async def test_cancelling_the_call_stops_the_job(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    for delay in (0.5, 3):
        server.faults.slow("POST /prompt", delay, times=1)
        with trio.move_on_after(0.1) as deadline:
            await comfy.queue.submit(prompts.slow())
        assert deadline.cancelled_caught
        statistics = server.statistics()
        assert statistics.pending == statistics.running == 0
        assert not comfy._session.supervisor.live
