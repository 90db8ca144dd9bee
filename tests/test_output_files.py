from __future__ import annotations

from typing import Any, TypeAlias

import prompts
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_trio import Comfy, JobResult, Workflow, output_files


def file(filename: str, subfolder: str = "", type: str = "output", **more: Any) -> dict[str, Any]:  # noqa: A002
    return {"filename": filename, "subfolder": subfolder, "type": type, **more}


Case: TypeAlias = "tuple[dict[str, Any], list[dict[str, Any]]]"
CASES: list[Case] = [
    ({}, []),
    ({"images": [file("a.png"), file("b.png")]}, [file("a.png"), file("b.png")]),
    ({"images": [file("a.mp4")], "animated": [True]}, [file("a.mp4")]),
    ({"audio": [file("a.flac", type="temp")]}, [file("a.flac", type="temp")]),
    ({"latents": [file("a.latent", "latents")]}, [file("a.latent", "latents")]),
    ({"3d": [file("a.glb", "mesh")]}, [file("a.glb", "mesh")]),
    ({"text": ["a.txt"], "files": [file("a.txt")]}, [file("a.txt")]),
    (
        {"a_images": [file("a.png")], "b_images": [file("b.png")]},
        [file("a.png"), file("b.png")],
    ),
    (
        {"gifs": [file("a.webm", format="video/webm", frame_rate=8.0, workflow="a.png")]},
        [file("a.webm", format="video/webm", frame_rate=8.0, workflow="a.png")],
    ),
    ({"images": [file("a.png", id="7")]}, [file("a.png", id="7")]),
    ({"images": [file("a.png")], "input_images": [file("a.png")]}, [file("a.png")]),
    ({"image": file("a.png"), "nested": [[file("b.png")]]}, [file("a.png"), file("b.png")]),
    ({"images": [{"filename": "bare.png"}]}, [{"filename": "bare.png"}]),
    (
        {"images": [None, 3, "a.png", {}, {"filename": ""}, {"filename": 3}], "other": None},
        [],
    ),
    ({"dims": [512, 512], "histogram": [1, 2], "text": ["mesh/a.glb"]}, []),
    # Three-dimensional models: of 0.3.64, of 0.27, and what lies in temp.
    ({"result": ["mesh/sub/a_00001_.glb", None]}, [file("a_00001_.glb", "mesh/sub")]),
    (
        {"result": ["a.OBJ", {"position": {"x": 1}}, "temp/bg_0f.png"]},
        [file("a.OBJ"), file("bg_0f.png", type="temp")],
    ),
    (
        {"result": ["preview3d_advanced_1.glb", {}, [{"name": "x"}]]},
        [file("preview3d_advanced_1.glb", type="temp")],
    ),
    ({"result": ["preview_splat_1.ply"]}, [file("preview_splat_1.ply", type="temp")]),
    ({"result": ["3d\\a.glb [input]"]}, [file("a.glb", "3d", "input")]),
    ({"result": ["/srv/a.glb", "C:\\a.glb", "/a.glb", "", "none"]}, []),
]


@pytest.mark.parametrize(("output", "files"), CASES)
def test_the_files_of_an_output(output: dict[str, Any], files: list[dict[str, Any]]) -> None:
    assert list(output_files(output)) == files


json_values = st.recursive(
    st.none() | st.integers() | st.sampled_from(["", "a.png", "/", "x/a.glb"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["filename", "type"]), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["images", "result"]), json_values))
def test_odd_outputs_break_nothing(output: dict[str, Any]) -> None:
    for each in output_files(output):
        assert each["filename"]


def test_odd_facts_on_a_file_break_nothing() -> None:
    odd: dict[str, Any] = {"filename": "a.png", "subfolder": ["x"], "type": {}}
    assert list(output_files({"images": [odd, odd]})) == [odd]


async def test_the_files_of_a_result(autojump_clock: object, comfy: Comfy) -> None:
    workflow = Workflow(
        {
            "1": prompts.node("EmptyImage", width=8, height=8, batch_size=2, color=3),
            "8": prompts.node("PreviewImage", images=["1", 0]),
            "9": prompts.node("SaveImage", images=["1", 0], filename_prefix="sub/a"),
        }
    ).output("saved:9")
    result = await comfy.run(workflow.output("shown:8"))
    saved = result.files("saved")
    assert [(each["filename"], each["subfolder"]) for each in saved] == [
        ("a_00001_.png", "sub"),
        ("a_00002_.png", "sub"),
    ]
    assert [each["type"] for each in result.files("shown")] == ["temp", "temp"]
    assert result.files() == (*saved, *result.files("shown"))
    with pytest.raises(KeyError, match="there is no output 'other'; there are saved, shown"):
        result.files("other")


def test_a_file_that_two_outputs_name() -> None:
    outputs = {"8": {"images": [file("a.png")]}, "9": {"audio": [file("b.mp3"), file("a.png")]}}
    result = JobResult(prompt_id="", outputs=outputs, nodes=outputs)
    assert [each["filename"] for each in result.files()] == ["a.png", "b.mp3"]
