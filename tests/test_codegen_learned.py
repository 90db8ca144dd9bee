"""Types of what nodes were seen to show."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from codegen.learned import dump_learned, learn, load_learned, merge_learned
from codegen.nodes import generate_package
from codegen.output_types import render_outputs
from codegen.shapes import Shape, infer, merge

FILE = {"filename": "a.mp4", "subfolder": "", "type": "output"}


def entry(output: object, class_type: object = "Video") -> dict[str, Any]:
    prompt: dict[str, Any] = {"9": {"class_type": class_type, "inputs": {}}}
    return {"prompt": [1, "id", prompt, {}, ["9"]], "outputs": {"9": output}}


def test_shapes_of_all_jobs_are_merged() -> None:
    history = {"1": entry({"gifs": [FILE]}), "2": entry({"gifs": [], "took": 1.5})}
    shape = merge(infer({"gifs": [FILE]}), infer({"gifs": [], "took": 1.5}))
    assert learn(history) == {"Video": shape}
    assert shape.optional == {"took"}


def test_known_classes_are_not_learned() -> None:
    assert learn({"1": entry({"images": []}, "SaveImage")}, known={"SaveImage"}) == {}


ODD: list[Any] = [
    None,
    {},
    {"prompt": [], "outputs": {}},
    {"prompt": [1, "id", {}], "outputs": []},
    {"prompt": [1, "id", {"8": {}}], "outputs": {"9": {"a": 1}}},
    entry([1, 2]),
    entry({"a": 1}, class_type=None),
]


@pytest.mark.parametrize("odd", ODD)
def test_what_looks_like_no_job_is_passed_over(odd: object) -> None:
    assert learn({"1": odd}) == {}


def render(**shapes: Shape) -> str:
    return render_outputs(shapes, {name: f"{name}Output" for name in shapes}, header="# header")


def test_a_module_of_types() -> None:
    seen = [
        {"gifs": [{**FILE, "frame_rate": 8.0}], "files": [FILE], "note": None},
        {"gifs": [{**FILE, "frame_rate": 8, "workflow": "a.png"}], "files": [], "note": "x"},
        {"gifs": [], "files": [], "note": "x", "time embed.": [[1]], "empty": []},
    ]
    shape = Shape()
    for output in seen:
        shape = merge(shape, infer(output))
    assert render(VHS_Combine=shape) == EXPECTED


EXPECTED = '''\
# header

from typing import Any, NotRequired, TypedDict

from comfy_trio.types import OutputFile


class VHS_CombineOutputGifs(TypedDict):
    """One of these."""

    filename: str
    frame_rate: float
    subfolder: str
    type: str
    workflow: NotRequired[str]


VHS_CombineOutput = TypedDict(
    "VHS_CombineOutput",
    {
        "empty": NotRequired[list[Any]],
        "files": list[OutputFile],
        "gifs": list[VHS_CombineOutputGifs],
        "note": str | None,
        "time embed.": NotRequired[list[list[int]]],
    },
)
"""What 'VHS_Combine' shows."""
'''


def test_keys_that_are_called_like_types_are_in_no_class() -> None:
    source = render(X=infer({"int": 1, "more": 2}))
    assert '"int": int,\n        "more": int,\n' in source
    assert not any(isinstance(node, ast.ClassDef) for node in ast.parse(source).body)


def test_what_a_node_shows_has_its_name_to_itself() -> None:
    source = render(A=infer({"output": {"x": 1}}), AOutput=infer({"y": 1}))
    keys = {
        node.name: ast.unparse(node.body[1])
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
    }
    assert keys == {
        "AOutput": "output: AOutputOutput_",
        "AOutputOutput_": "x: int",
        "AOutputOutput": "y: int",
    }


def test_types_that_would_be_called_alike() -> None:
    source = render(X=infer({"a b": {"x": 1}, "a_b": {"y": 1}}))
    names = [node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    assert names == ["XOutputAB", "XOutputAB_"]


@pytest.mark.parametrize(
    "key",
    [
        *('"; import os #', "'''", "a\\", "a\nimport os", '"""', "\udcff"),
        *("\N{RIGHT-TO-LEFT OVERRIDE}", "__debug__", "__mangled", "\ufb01x", "x\u00b7"),
    ],
)
def test_a_hostile_key_is_left_untyped(key: str) -> None:
    source = render(X=infer({key: 1, "good": 1}))
    [defined] = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    assert list(map(ast.unparse, defined.body[1:])) == ["good: int"]


@pytest.mark.parametrize("key", ["class", "1st", "a-b", "{x}", "{{ 7 * 7 }}", "$ref", "a'b"])
def test_an_odd_key_keeps_its_name(key: str) -> None:
    namespace: dict[str, Any] = {}
    exec(render(X=infer({key: 1})), namespace)
    assert set(namespace["XOutput"].__annotations__) <= {key}


def test_what_was_learned_is_kept() -> None:
    first = learn({"1": entry({"gifs": [FILE]})})
    second = learn({"1": entry({"gifs": []}), "2": entry({"text": ["x"]}, "Text")})
    both = merge_learned(first, second)
    assert load_learned(dump_learned(both)) == both == merge_learned(second, first)
    assert list(both) == ["Text", "Video"]
    with pytest.raises(ValueError, match=r"^no shape: "):
        load_learned('{"Video": 3}')


def test_learned_types_in_a_package() -> None:
    info = {
        "Video": {"output_node": True, "python_module": "custom_nodes.Vid", "category": "outputs"},
        "Shows it": {"python_module": "custom_nodes.Vid", "category": "x"},
        "SaveImage": {"output_node": True, "python_module": "nodes"},
    }
    seen: dict[str, Any] = {
        "Video": {"gifs": [FILE]},
        "Shows it": {"text": ["x"]},
        "SaveImage": {"images": []},
    }
    learned = {name: infer(output) for name, output in {**seen, "Gone": {"a": 1}}.items()}
    package = generate_package(
        info, generator_version="0", server_version="0", learned=learned
    ).sources
    assert "class Video(OutputNode[VideoOutput])" in package["vid/category_outputs.py"]
    assert "from .outputs import VideoOutput" in package["vid/category_outputs.py"]
    assert "class ShowsIt(UINode[ShowsItOutput]," in package["vid/x.py"]
    assert "class SaveImage(OutputNode[ImagesOutput])" in package["core/uncategorized.py"]
    assert "core/outputs.py" not in package
    assert load_learned(package["learned.json"]) == learned
