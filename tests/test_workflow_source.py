"""What workflows are read from, and that pictures carry them there and back."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import prompts
import pytest
from PIL import Image, PngImagePlugin

from comfy_trio import Comfy, Workflow, WorkflowError, open_comfy
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer

CANVAS: dict[str, Any] = {"nodes": [{"id": 1, "type": "EmptyImage"}], "links": [], "version": 0.4}
CANVAS_MESSAGE = r"is in the canvas format .*comfy\.load.*object_info=.*Workflow > Export \(API\)"


def picture(file_format: str = "PNG", **texts: object) -> bytes:
    encoded = {
        key: text if isinstance(text, str) else json.dumps(text) for key, text in texts.items()
    }
    options: dict[str, Any]
    if file_format == "PNG":
        info = PngImagePlugin.PngInfo()
        for key, text in encoded.items():
            info.add_text(key, text)
        options = {"pnginfo": info}
    else:
        exif = Image.Exif()
        for tag, (key, text) in enumerate(encoded.items(), 0x010E):
            exif[tag] = f"{key}:{text}"
        options = {"exif": exif}
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, file_format, **options)
    return stream.getvalue()


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "JPEG"])
def test_a_picture_is_known_by_its_content(file_format: str, tmp_path: Path) -> None:
    made = prompts.image()
    content = picture(file_format, prompt=made, workflow=CANVAS)
    file = tmp_path / "picture.json"
    file.write_bytes(content)
    for workflow in (Workflow.from_bytes(content), Workflow.from_file(file)):
        assert workflow.to_dict() == made
        assert workflow.canvas == CANVAS


def test_json_is_known_by_its_content(tmp_path: Path) -> None:
    made = prompts.image()
    file = tmp_path / "prompt.png"
    for content in (json.dumps(made).encode(), b"\xef\xbb\xbf" + json.dumps(made).encode()):
        file.write_bytes(content)
        for workflow in (
            Workflow.from_bytes(content),
            Workflow.from_json(content),
            Workflow.from_file(file),
        ):
            assert workflow.to_dict() == made
            assert workflow.canvas is None


def test_what_the_server_adds_is_taken_out() -> None:
    made = prompts.image()
    noted = {key: {**node, "is_changed": [float("nan")]} for key, node in made.items()}
    noted["1"]["inputs"] = {**made["1"]["inputs"], "extra": float("inf")}
    workflow = Workflow.from_bytes(picture(prompt=noted))
    assert (
        workflow.set("1.inputs.extra", 0).to_dict()
        == Workflow(made).set("1.inputs.extra", 0).to_dict()
    )
    assert Workflow.from_bytes(picture(prompt=noted)).to_dict()["1"]["inputs"]["extra"] is None
    text = '{"1": {"class_type": "K", "inputs": {"x": NaN, "y": -Infinity}}}'
    assert Workflow.from_json(text).to_dict()["1"]["inputs"] == {"x": None, "y": None}


def test_a_picture_without_a_workflow() -> None:
    for content in (picture(), picture(prompt="a cat"), picture("JPEG")):
        with pytest.raises(WorkflowError, match=r"a picture without a workflow.*disable-metadata"):
            Workflow.from_bytes(content)


def test_a_picture_with_half_a_workflow() -> None:
    content = picture(prompt={"1": {"inputs": {}}}, workflow=CANVAS)
    with pytest.raises(WorkflowError, match="the prompt in the workflow: node 1 has no class_type"):
        Workflow.from_bytes(content)


@pytest.mark.parametrize("content", [json.dumps(CANVAS).encode(), picture(workflow=CANVAS)])
def test_a_canvas_needs_definitions(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "drawn"
    file.write_bytes(content)
    with pytest.raises(WorkflowError, match=CANVAS_MESSAGE):
        Workflow.from_bytes(content)
    with pytest.raises(WorkflowError, match=f"drawn {CANVAS_MESSAGE}"):
        Workflow.from_file(file)


def test_a_parsed_canvas_needs_them_too() -> None:
    for make in (Workflow, Workflow.from_json):
        with pytest.raises(WorkflowError, match=CANVAS_MESSAGE):
            make(CANVAS)


DRAWN: dict[str, Any] = {
    "nodes": [
        {
            "id": 1,
            "type": "EmptyImage",
            "mode": 0,
            "inputs": [],
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [7]}],
            "widgets_values": [64, 32, 1, 255],
        },
        {
            "id": 9,
            "type": "SaveImage",
            "title": "Keep it",
            "mode": 0,
            "inputs": [{"name": "images", "type": "IMAGE", "link": 7}],
            "outputs": [],
            "widgets_values": ["drawn"],
        },
    ],
    "links": [[7, 1, 0, 9, 0, "IMAGE"]],
    "version": 0.4,
}


@pytest.mark.parametrize("content", [json.dumps(DRAWN).encode(), picture(workflow=DRAWN)])
async def test_a_canvas_becomes_a_prompt(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, content: bytes
) -> None:
    definitions = await comfy.node.definitions()
    workflow = Workflow.from_bytes(content, object_info=definitions)
    save = workflow.find("Keep it")
    made = workflow.to_dict()
    assert made["1"]["inputs"] == {"width": 64, "height": 32, "batch_size": 1, "color": 255}
    assert made[save]["inputs"] == {"images": ["1", 0], "filename_prefix": "drawn"}
    assert (await comfy.load(content)).to_dict() == made
    assert (await comfy.load(DRAWN)).to_dict() == made
    assert Workflow.from_json(DRAWN, object_info=definitions).canvas == DRAWN
    assert server.statistics().requests["GET /object_info"] == 3
    assert await saved_canvas(comfy, workflow) == DRAWN
    assert await saved_canvas(comfy, workflow.input(save, "filename_prefix", "x")) is None


def test_what_a_prompt_cannot_say_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    workflow = Workflow.from_json(DRAWN, object_info={})
    assert workflow.find_all(class_type="SaveImage") == ("9",)
    assert "the workflow: node 1 (EmptyImage) is of a class that the server does not" in caplog.text


def test_the_canvas_is_a_copy() -> None:
    workflow = Workflow.from_bytes(picture(prompt=prompts.image(), workflow=CANVAS))
    canvas = workflow.copy().canvas
    assert canvas is not None
    canvas["nodes"].clear()
    assert workflow.canvas == CANVAS


def test_a_plain_workflow_is_written_as_a_prompt() -> None:
    made = prompts.image()
    made["9"]["_meta"]["title"] = "Grün ☃"
    assert json.loads(Workflow(made).to_json()) == made
    assert "Grün ☃" in Workflow(made).to_json(indent=2)
    assert Workflow.from_json(Workflow(made).to_json()).to_dict() == made


def test_all_of_a_workflow_survives_json() -> None:
    workflow = Workflow(prompts.image()).output("images:9").output("again:9").bypass("2")
    for text in (workflow.to_json(), workflow.to_json(indent=2)):
        for read in (Workflow.from_json(text), Workflow.from_bytes(text.encode())):
            assert read.to_dict() == workflow.to_dict()
            assert read.outputs == {"images": "9", "again": "9"}
            assert read.bypassed == ("2",)
            assert read.to_json() == workflow.to_json()


def own_format(**changes: object) -> dict[str, object]:
    return {"comfy_trio": 1, "prompt": prompts.image(), "outputs": {}, "bypassed": [], **changes}


DAMAGED: list[tuple[dict[str, object], str]] = [
    ({"comfy_trio": 2}, r"another version of comfy_trio \(format 2; this one reads 1\)"),
    ({"outputs": {"a": 9}}, "damaged"),
    ({"bypassed": "9"}, "damaged"),
    ({"prompt": None}, "the prompt in the workflow is not a JSON object"),
    ({"outputs": {"a": "77"}}, "there is no node '77'"),
    ({"bypassed": ["77"]}, "there is no node '77'"),
]


@pytest.mark.parametrize(("changes", "message"), DAMAGED)
def test_what_to_json_did_not_write(changes: dict[str, object], message: str) -> None:
    with pytest.raises(WorkflowError, match=message):
        Workflow.from_json(own_format(**changes))


def test_a_node_may_be_called_as_our_format() -> None:
    made: Any = {"comfy_trio": {"class_type": "K", "inputs": {}}}
    assert Workflow.from_json(json.dumps(made)).to_dict() == made


def test_what_json_cannot_hold() -> None:
    for value in (float("nan"), object()):
        workflow = Workflow(prompts.image()).input("1", "color", value).bypass("2")
        for use in (workflow.to_json, workflow.check):
            with pytest.raises(WorkflowError, match=r"'color' of node 1 .*JSON cannot") as caught:
                use()
            assert (caught.value.node_id, caught.value.input_name) == ("1", "color")
    titled = Workflow(prompts.image()).set("1._meta.title", object())
    with pytest.raises(WorkflowError, match="the workflow cannot be written as JSON"):
        titled.to_json()


def test_half_a_surrogate_pair_can_be_written() -> None:
    workflow = Workflow(prompts.image()).input("1", "color", "ü\ud83d")
    again = Workflow.from_bytes(workflow.to_json().encode())
    assert again.to_dict() == workflow.to_dict()
    assert "ü" in workflow.input("1", "color", "ü").to_json()


@pytest.mark.parametrize("version", ["0.3.64", "0.27.0"])
async def test_pictures_bring_back_what_made_them(
    autojump_clock: MockClock, version: str, tmp_path: Path
) -> None:
    made = prompts.image()
    made["10"] = prompts.node(
        "SaveAnimatedWEBP",
        images=["2", 0],
        filename_prefix="w",
        fps=6.0,
        lossless=True,
        quality=80,
        method="default",
    )
    made["11"] = prompts.node(
        "SaveAnimatedPNG", images=["2", 0], filename_prefix="a", fps=6.0, compress_level=4
    )
    async with (
        open_embedded_server(version=version) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        result = await comfy.run(made)
        for node_id in ("9", "10", "11"):
            path = await comfy.file.download(result[node_id]["images"][0], f"{tmp_path}/")
            workflow = Workflow.from_file(path)
            assert workflow.to_dict() == made
            assert (await comfy.load(path)).to_dict() == made
            assert (await comfy.run(workflow)).cached == made.keys()


async def saved_canvas(comfy: Comfy, workflow: Workflow) -> object:
    """The canvas in the picture that a run of the workflow saves."""
    result = await comfy.run(workflow)
    return Workflow.from_bytes(await comfy.file.read(result["9"]["images"][0])).canvas


async def test_a_canvas_goes_along_while_it_is_true(
    autojump_clock: MockClock, comfy: Comfy
) -> None:
    made = prompts.image()
    workflow = Workflow.from_bytes(picture(prompt=made, workflow=CANVAS))
    assert await saved_canvas(comfy, workflow) == CANVAS
    assert await saved_canvas(comfy, workflow.copy().output("9")) == CANVAS
    same = workflow.copy().set("1.inputs.width", made["1"]["inputs"]["width"])
    assert await saved_canvas(comfy, same) == CANVAS
    for changed in (
        workflow.copy().set("1.inputs.width", 32),
        workflow.copy().bypass("2"),
        workflow.copy().set("9._meta.title", "Other"),
        Workflow(workflow.to_dict()),
    ):
        assert await saved_canvas(comfy, changed) is None
    made["1"]["inputs"]["seed"] = -1
    drawn = Workflow.from_bytes(picture(prompt=made, workflow=CANVAS))
    assert await saved_canvas(comfy, drawn) is None


async def test_a_canvas_goes_along_with_an_api_key(autojump_clock: MockClock) -> None:
    workflow = Workflow.from_bytes(picture(prompt=prompts.image(), workflow=CANVAS))
    async with (
        open_embedded_server() as server,
        open_comfy(server.url, transport=server.transport, comfy_org_api_key="key") as comfy,
    ):
        assert await saved_canvas(comfy, workflow) == CANVAS
        assert await saved_canvas(comfy, Workflow(prompts.image())) is None


async def test_loading_asks_the_server_for_nothing_that_is_not_needed(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path
) -> None:
    made = prompts.image()
    file = tmp_path / "prompt.json"
    file.write_text(json.dumps(made), encoding="utf-8")
    before = server.statistics().requests
    for source in (file, str(file), file.read_bytes(), made, picture(prompt=made)):
        assert (await comfy.load(source)).to_dict() == made
    assert server.statistics().requests == before
    with pytest.raises(FileNotFoundError):
        await comfy.load(tmp_path / "none")
    with pytest.raises(WorkflowError, match="is not JSON"):
        await comfy.load(b"nope")
