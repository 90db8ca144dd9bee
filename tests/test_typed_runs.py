"""Typed graphs, run by a client."""

from __future__ import annotations

import ast
from typing import Any

import pytest
import trio.testing  # noqa: TC002  # pytest reads the annotations
from handmade import EmptyImage, ImageInvert, PreviewImage, SaveImage
from readme import readme_examples

from comfy_trio import Comfy, EnqueueFailedError, Graph, Job, UnknownNode, Workflow, WorkflowError
from comfy_trio.testing import EmbeddedServer  # noqa: TC001  # pytest reads the annotations


def saved(prefix: str = "typed", *, color: int = 1) -> SaveImage:
    image = EmptyImage(width=16, height=16, color=color)
    return SaveImage(images=ImageInvert(image=image), filename_prefix=prefix)


async def test_one_output_node(comfy: Comfy, autojump_clock: trio.testing.MockClock) -> None:
    save = saved()
    result = await comfy.run(save)
    assert result[save]["images"][0]["filename"] == "typed_00001_.png"
    assert result["3"] == result[save]


async def test_several_output_nodes(comfy: Comfy, autojump_clock: trio.testing.MockClock) -> None:
    save, preview = saved(), PreviewImage(images=EmptyImage(width=8, height=8))
    result = await comfy.run(save, preview)
    assert result[save]["images"][0]["type"] == "output"
    assert result[preview]["images"][0]["type"] == "temp"
    assert len(result) == 2


async def test_aliases(comfy: Comfy, autojump_clock: trio.testing.MockClock) -> None:
    save, preview = saved(), PreviewImage(images=EmptyImage(width=8, height=8))
    result = await comfy.run(Graph(final=save, look=preview))
    assert set(result) == {"final", "look"}
    assert result["final"] == result[save]
    assert result["look"] == result[preview]


async def test_a_job_of_typed_nodes(comfy: Comfy, autojump_clock: trio.testing.MockClock) -> None:
    save = saved()
    async with comfy.open_job(save) as job:
        assert isinstance(job, Job)
    assert (await job.wait())[save]["images"]
    submitted = await comfy.submit(save, saved("more"))
    assert len(await submitted.wait()) == 2


async def test_a_workflow_of_a_graph(comfy: Comfy, autojump_clock: trio.testing.MockClock) -> None:
    save = saved()
    workflow = Workflow.from_graph(Graph(save)).set("3.inputs.filename_prefix", "changed")
    result = await comfy.run(workflow)
    assert result[save]["images"][0]["filename"].startswith("changed")


async def test_nodes_of_another_job(comfy: Comfy, autojump_clock: trio.testing.MockClock) -> None:
    result = await comfy.run(saved())
    with pytest.raises(KeyError, match="this SaveImage is no node of the job"):
        result[saved()]


async def test_nodes_that_show_nothing(
    comfy: Comfy, autojump_clock: trio.testing.MockClock
) -> None:
    silent = UnknownNode("SaveImageWebsocket", {"images": EmptyImage(width=8, height=8)})
    text = UnknownNode("ProbeText", {"text": "hello", "repeat": 2, "salt": 0})
    shown = UnknownNode("PreviewAny", {"source": text})
    result = await comfy.run(silent, shown)
    assert result[silent] == {}
    assert result[shown]["text"]


async def test_an_output_that_the_server_refuses(
    comfy: Comfy, autojump_clock: trio.testing.MockClock
) -> None:
    broken = UnknownNode("SaveImage", {"filename_prefix": "x"})
    with pytest.raises(EnqueueFailedError):
        await comfy.run(broken)
    save = saved()
    result = await comfy.run(save, broken)
    assert result[save]["images"]
    with pytest.raises(KeyError, match="did not run: the server refused"):
        result[broken]


async def test_what_is_refused_before_it_is_sent(comfy: Comfy, server: EmbeddedServer) -> None:
    workflow = Workflow.from_graph(Graph(saved()))
    before = server.statistics()
    with pytest.raises(WorkflowError, match="a graph is made of output nodes, not of Workflow"):
        await comfy.run(workflow, saved())  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    with pytest.raises(WorkflowError, match="ImageInvert is no output node"):
        await comfy.run(ImageInvert(image=EmptyImage()))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    assert server.statistics() == before


async def test_the_readmes_example(
    comfy: Comfy,
    autojump_clock: trio.testing.MockClock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    [example] = readme_examples("from comfy_nodes import")
    code = compile(example, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running: Any = eval(code, {"comfy": comfy})
    await running
    assert capsys.readouterr().out == "ComfyUI_00001_.png\n"
