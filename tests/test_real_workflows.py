"""Workflows of every kind on a real ComfyUI server at $COMFY_HOST: ``nox -s real``.

Only what needs no model is run: of the official templates those that need none, and of the others
the part before the first node that does, with previews in its place.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import templates
import trio
from comfy_nodes import EmptyImage, ImageInvert, SaveImage
from model_free import load_only, model_free_part
from PIL import Image
from prompts import node

import comfy_trio
from comfy_trio import Comfy, EnqueueFailedError, PromptBuilder, Workflow, open_comfy
from comfy_trio._replies import post

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

    from comfy_trio import JobResult, NodeErrors

pytestmark = pytest.mark.real

DEADLINE = 300
ENOUGH_PARTS = 100
"""The other templates, of 240 and 172, begin with what only a model makes."""
WHOLE = {"basic_mask_operations_and_compositing", "gsl_starter_1_3"}
WHOLE_ON_NEW_SERVERS = {
    *("basic_datatype_conversion", "utility_image_stitch", "utility_interpolation_image_upscale"),
}
PARTLY_REFUSED = {
    *("muted_in_the_middle", "muted_reroute", "group_muted", "subgraph_muted"),
    *("bypassed_without_match", "missing_link"),
}
"""Drawings of which a server runs one picture, and refuses another that has lost its input."""
_colors = iter(range(int(time.time() * 10) % 2**23, 2**24))


@pytest.fixture
async def comfy() -> AsyncGenerator[Comfy, None]:
    assert "COMFY_HOST" in os.environ, "say where the real server is: COMFY_HOST=http://..."
    with trio.fail_after(DEADLINE):
        async with open_comfy() as comfy:
            yield comfy


def image(color: int, prefix: str = "comfy_trio") -> dict[str, Any]:
    empty = node("EmptyImage", "Color", width=64, height=32, batch_size=1, color=color)
    return {
        "1": empty,
        "2": node("ImageInvert", "Invert Image", image=["1", 0]),
        "9": node("SaveImage", "Save it", images=["2", 0], filename_prefix=prefix),
    }


def drawn(color: int) -> dict[str, Any]:
    """The same on a canvas, with a bypassed node and a note."""
    invert = {"inputs": [{"name": "image", "type": "IMAGE", "link": 1}], "widgets_values": []}
    nodes: list[dict[str, Any]] = [
        {"id": 1, "type": "EmptyImage", "title": "Color", "widgets_values": [64, 32, 1, color]},
        {"id": 2, "type": "ImageInvert", "title": "Invert Image", **invert},
        {"id": 3, "type": "ImageInvert", "mode": 4, "inputs": [{**invert["inputs"][0], "link": 2}]},
        {"id": 4, "type": "Note", "widgets_values": ["It is inverted."]},
        {"id": 9, "type": "SaveImage", "title": "Save it", "widgets_values": ["comfy_trio"]},
    ]
    for number, links in ((0, [1]), (1, [2]), (2, [3])):
        nodes[number]["outputs"] = [{"name": "IMAGE", "type": "IMAGE", "links": links}]
    nodes[4]["inputs"] = [{"name": "images", "type": "IMAGE", "link": 3}]
    rows = ((1, 1, 0, 2, 0), (2, 2, 0, 3, 0), (3, 3, 0, 9, 0))
    drawn_links = [[*row, "IMAGE"] for row in rows]
    return {
        "nodes": nodes,
        "links": drawn_links,
        "version": 0.4,
        "last_node_id": 9,
        "last_link_id": 3,
    }


def pixels(content: bytes) -> tuple[tuple[int, int], bytes]:
    with Image.open(io.BytesIO(content)) as picture:
        return picture.size, picture.convert("RGB").tobytes()


def is_inverted(content: bytes, color: int) -> bool:
    """Tell whether a picture is what `image` makes of a color. Servers round down."""
    size, found = pixels(content)
    expected = (0xFFFFFF ^ color).to_bytes(3, "big")
    distances = {abs(one - other) for one, other in zip(found, expected * (64 * 32), strict=True)}
    return size == (64, 32) and distances <= {0, 1}


async def run(comfy: Comfy, workflow: Workflow | dict[str, Any]) -> JobResult:
    """Run what is found to be in order, and is."""
    assert str(await comfy.validate(workflow)) == "accepted"
    result = await comfy.run(workflow)
    assert not result.node_errors
    return result


async def picture(comfy: Comfy, result: JobResult, output: str = "9") -> bytes:
    return await comfy.file.read(result[output]["images"][0])


async def forget_results(comfy: Comfy) -> None:
    """Have the server make anew what it has made."""
    await comfy._session.http.request(post("/free", {"free_memory": True}))


async def upload_one(comfy: Comfy) -> str:
    """Upload a picture, and return its name."""
    stream = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").crop((0, 0, 96, 64)).save(stream, "PNG")
    uploaded = await comfy.file.upload_image(
        stream.getvalue(), filename="comfy_trio_template.png", overwrite=True
    )
    await comfy.validate(image(0), refresh=True)
    return uploaded.reference


# --- the kinds of sources -------------------------------------------------------------------------


async def test_each_kind_of_source_makes_the_same_picture(comfy: Comfy, tmp_path: Path) -> None:
    color = next(_colors)
    canvas = tmp_path / "canvas.json"
    canvas.write_text(json.dumps(drawn(color)), encoding="utf-8")
    from_json = await comfy.load(json.dumps(image(color)).encode())
    from_canvas = await comfy.load(canvas)
    assert from_canvas.to_dict() == from_json.to_dict() == image(color)
    made = await picture(comfy, await run(comfy, from_json))
    from_picture = await comfy.load(made)
    assert from_picture.to_dict() == image(color)
    for workflow in (from_canvas, from_picture):
        await forget_results(comfy)
        assert is_inverted(await picture(comfy, await run(comfy, workflow)), color)
    save = SaveImage(
        images=ImageInvert(image=EmptyImage(width=64, height=32, color=color)),
        filename_prefix="typed",
    )
    assert str(await comfy.validate(save)) == "accepted"
    result = await comfy.run(save)
    assert pixels(await comfy.file.read(result[save]["images"][0])) == pixels(made)


async def test_an_animated_picture(comfy: Comfy) -> None:
    prompt = image(next(_colors))
    prompt["1"]["inputs"]["batch_size"] = 2
    options = {"fps": 6.0, "lossless": True, "quality": 80, "method": "default"}
    prompt["9"]["class_type"] = "SaveAnimatedWEBP"
    prompt["9"]["inputs"].update(options)
    made = await picture(comfy, await run(comfy, prompt))
    assert made.startswith(b"RIFF")
    workflow = await comfy.load(made)
    assert workflow.to_dict() == prompt
    again = workflow.input("9", "filename_prefix", "comfy_trio_again")
    assert pixels(await picture(comfy, await run(comfy, again))) == pixels(made)


async def test_pictures_carry_the_canvas_while_it_is_true(comfy: Comfy) -> None:
    color = next(_colors)
    workflow = await comfy.load(drawn(color))
    for _ in range(2):  # what was drawn, and then what was read from the picture of that
        await forget_results(comfy)
        made = await picture(comfy, await run(comfy, workflow))
        workflow = await comfy.load(made)
        assert workflow.to_dict() == image(color)
        assert workflow.canvas == drawn(color)
    workflow.input("1", "color", color ^ 0xFF)
    made = await picture(comfy, await run(comfy, workflow))
    assert is_inverted(made, color ^ 0xFF)
    changed = await comfy.load(made)
    assert changed.to_dict() == image(color ^ 0xFF)
    assert changed.canvas is None


async def test_an_attached_picture(comfy: Comfy) -> None:
    color = next(_colors)
    made = await picture(comfy, await run(comfy, image(color)))
    prompt = {
        "1": node("LoadImage", image=await upload_one(comfy)),
        "9": node("SaveImage", images=["1", 0], filename_prefix="attached"),
    }
    workflow = Workflow(prompt).attach_image("1", "image", made)
    assert is_inverted(await picture(comfy, await run(comfy, workflow)), color)


async def test_a_bypassed_node(comfy: Comfy) -> None:
    color = next(_colors)
    workflow = Workflow(image(color)).bypass("2")
    made = await picture(comfy, await run(comfy, workflow))
    assert is_inverted(made, 0xFFFFFF ^ color)
    assert (await comfy.load(made)).to_dict().keys() == {"1", "9"}


async def test_a_prompt_builder(comfy: Comfy) -> None:
    builder = PromptBuilder(image(0), inputs={"color": "1.inputs.color"}, outputs={"pictures": "9"})
    for color in (next(_colors), next(_colors)):
        colored = builder.input("color", color)
        assert str(await comfy.validate(colored)) == "accepted"
        result = await comfy.run(colored)
        assert is_inverted(await picture(comfy, result, "pictures"), color)
    refused = builder.input("color", -1)
    assert not (await comfy.validate(refused)).accepted
    with pytest.raises(EnqueueFailedError, match="color"):
        await comfy.run(refused)


# --- what is written for them ---------------------------------------------------------------------


async def python(directory: Path, *arguments: str) -> str:
    """Run Python as people do, and return what it prints."""
    root = str(Path(comfy_trio.__file__).parents[1])
    process = await trio.run_process(
        [sys.executable, *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])},
        capture_stdout=True,
    )
    return process.stdout.decode()


async def test_a_script(comfy: Comfy, tmp_path: Path) -> None:
    """Of the server's own nodes, and of a canvas; it saves what it makes."""
    color = next(_colors)
    (tmp_path / "drawn.json").write_text(json.dumps(drawn(color)), encoding="utf-8")
    command = partial(python, tmp_path, "-m", "comfy_trio")
    await command("codegen", "--out", "server_nodes")
    await command("transpile", "drawn.json", "--nodes", "server_nodes", "--out", "script.py")
    told = await python(tmp_path, "script.py")
    [saved] = told.splitlines()
    assert is_inverted((tmp_path / saved).read_bytes(), color)
    result = await comfy.run(image(color))
    assert result.cached == {"1", "2", "9"}


async def test_a_module(comfy: Comfy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "drawn_by_hand.json").write_text(json.dumps(drawn(0)), encoding="utf-8")
    command = ("codegen", "--workflow", "drawn_by_hand.json", "--out", "drawn_by_hand.py")
    await python(tmp_path, "-m", "comfy_trio", *command)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    module = importlib.import_module("drawn_by_hand")
    color = next(_colors)
    assert str(await comfy.validate(module.drawn_by_hand(color=color))) == "accepted"
    result = await module.run_drawn_by_hand(comfy, color=color)
    [made] = [await comfy.file.read(output["images"][0]) for output in result.values()]
    assert is_inverted(made, color)


# --- real and drawn canvases ----------------------------------------------------------------------


async def as_foretold(comfy: Comfy, workflow: Workflow) -> JobResult:
    """Run a workflow of which a part may be refused, and compare the verdict before."""
    foretold = await comfy.validate(workflow)
    assert foretold.accepted, foretold
    result = await comfy.run(workflow)
    assert refused_outputs(result.node_errors) == refused_outputs(foretold.node_errors)
    # Where the validation itself raises, a server gives up on the node at hand, and which one that
    # is depends on the order of a Python set.
    types = {error.type for errors in foretold.node_errors.values() for error in errors.errors}
    if not any(name.startswith("exception_during") for name in types):
        assert result.node_errors.keys() == foretold.node_errors.keys()
    return result


def refused_outputs(node_errors: Mapping[str, NodeErrors]) -> set[str]:
    return {each for errors in node_errors.values() for each in errors.dependent_outputs}


async def download_all(comfy: Comfy, outputs: Iterable[Any]) -> int:
    """Read each picture of some outputs; return how many there were."""
    files = [file for output in outputs for file in output.get("images", ())]
    for file in files:
        assert min(pixels(await comfy.file.read(file))[0]) > 0
    return len(files)


@pytest.mark.parametrize("version", ["0.27.0", "0.3.64"])
async def test_the_templates(comfy: Comfy, version: str) -> None:
    """The whole of some, the beginning of the others."""
    object_info = await comfy.node.definitions()
    name_of_picture = await upload_one(comfy)
    whole: set[str] = set()
    parts = 0
    for name in templates.prompts(version):
        canvas = templates.canvas(name, version)
        prompt = Workflow.from_json(canvas, object_info=object_info).to_dict()
        part = model_free_part(prompt, object_info)
        if not part:
            continue
        parts += 1
        result = await as_foretold(comfy, Workflow(load_only(part, name_of_picture)))
        if part.keys() == prompt.keys() and not result.node_errors:
            whole.add(name)
            assert await download_all(comfy, result.nodes.values()) or "datatype" in name
    assert parts >= ENOUGH_PARTS
    if version == "0.3.64":
        assert not whole  # all of these are about models
    else:
        is_new = "ResizeImageMaskNode" in object_info
        assert whole == WHOLE | (WHOLE_ON_NEW_SERVERS if is_new else set())


async def test_what_was_drawn_for_one_feature_each(comfy: Comfy) -> None:
    object_info = await comfy.node.definitions()
    name_of_picture = await upload_one(comfy)
    refused: set[str] = set()
    ran: list[str] = []
    for name, case in templates.load(templates.FIXTURES / "canvas" / "cases.json").items():
        workflow = Workflow.from_json(case["canvas"], object_info=object_info)
        prompt = workflow.to_dict()
        if model_free_part(prompt, object_info).keys() != prompt.keys():
            continue
        result = await as_foretold(comfy, Workflow(load_only(prompt, name_of_picture)))
        is_text = "SaveImage" not in {node["class_type"] for node in prompt.values()}
        assert (await download_all(comfy, result.nodes.values()) == 0) == is_text, name
        ran.append(name)
        if result.node_errors:
            refused.add(name)
    assert refused == PARTLY_REFUSED
    assert len(ran) >= 40


async def test_a_drawing_with_a_class_that_is_missing(comfy: Comfy) -> None:
    case = templates.load(templates.FIXTURES / "canvas" / "cases.json")["unknown_class"]
    workflow = await comfy.load(case["canvas"])
    validation = await comfy.validate(workflow)
    assert not validation.accepted
    assert "NoSuchNode" in str(validation)
    with pytest.raises(comfy_trio.MissingNodeError, match="NoSuchNode"):
        await comfy.run(workflow)
