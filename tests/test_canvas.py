"""Canvas files that are odd, hostile or huge, and what people are told of them."""

from __future__ import annotations

import copy
import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from templates import FIXTURES, load, object_info

from comfy_trio import WorkflowError
from comfy_trio._canvas import read_canvas
from comfy_trio._canvas_prompt import convert_canvas
from comfy_trio._util import MOST_LEVELS, is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator

DECLARED = object_info("0.27.0")
CASES: dict[str, Any] = load(FIXTURES / "canvas" / "cases.json")


def node(node_id: object, class_type: str, values: object = (), **more: Any) -> dict[str, Any]:
    return {"id": node_id, "type": class_type, "mode": 0, "widgets_values": values, **more}


def slot(link: object, kind: str = "IMAGE", name: str = "image") -> dict[str, Any]:
    return {"name": name, "type": kind, "link": link}


def subgraph(subgraph_id: str, *nodes: dict[str, Any]) -> dict[str, Any]:
    return {"id": subgraph_id, "name": subgraph_id, "nodes": list(nodes), "links": []}


@pytest.mark.parametrize("value", [None, [], "text", {}, {"nodes": None}, {"3": {"inputs": {}}}])
def test_what_is_no_canvas(value: object) -> None:
    with pytest.raises(WorkflowError, match=r"^the workflow is no canvas file: it has no list"):
        read_canvas(value)


@pytest.mark.parametrize("nodes", [[], [node(1, "Note")], [node(1, "SaveImage", mode=2)]])
def test_a_canvas_without_anything_to_run(nodes: list[Any]) -> None:
    with pytest.raises(WorkflowError, match=r"^a\.json has no nodes to run: it is empty, or all"):
        convert_canvas({"nodes": nodes}, DECLARED, source="a.json")


def test_a_subgraph_that_contains_itself() -> None:
    canvas = {
        "nodes": [node(1, "A")],
        "definitions": {"subgraphs": [subgraph("A", node(2, "B")), subgraph("B", node(3, "A"))]},
    }
    with pytest.raises(WorkflowError, match=r"^the subgraph 'A' contains itself") as caught:
        convert_canvas(canvas, DECLARED)
    assert caught.value.node_id == "1:2:3"


def test_subgraphs_that_multiply() -> None:
    definitions = [
        subgraph(f"S{depth}", *(node(10 * depth + copies, f"S{depth + 1}") for copies in range(9)))
        for depth in range(9)
    ]
    canvas = {"nodes": [node(1, "S0")], "definitions": {"subgraphs": definitions}}
    with pytest.raises(WorkflowError, match=r"^the subgraphs unfold to more than 100000 nodes"):
        convert_canvas(canvas, DECLARED)


def test_subgraphs_nested_too_deep() -> None:
    definitions = [subgraph(f"S{depth}", node(depth, f"S{depth + 1}")) for depth in range(2000)]
    canvas = {"nodes": [node(1, "S0")], "definitions": {"subgraphs": definitions}}
    with pytest.raises(WorkflowError, match=r"^subgraphs are nested more than 100 deep"):
        convert_canvas(canvas, DECLARED)


def test_values_that_are_nested_too_deeply() -> None:
    value: Any = 1
    for _ in range(MOST_LEVELS):
        value = {"a": value}
    canvas = {"nodes": [node(1, "EmptyImage", {"color": value})]}
    message = r"^input 'color' of node 1: .* deeper than 200 levels"
    with pytest.raises(WorkflowError, match=message) as caught:
        convert_canvas(canvas, DECLARED)
    assert (caught.value.node_id, caught.value.input_name) == ("1", "color")


def test_reroutes_in_a_circle() -> None:
    canvas = {
        "nodes": [
            node(1, "Reroute", inputs=[slot(2, "*", "")]),
            node(2, "Reroute", inputs=[slot(1, "*", "")]),
            node(3, "SaveImage", inputs=[slot(3, name="images")]),
        ],
        "links": [[1, 1, 0, 2, 0, "*"], [2, 2, 0, 1, 0, "*"], [3, 2, 0, 3, 0, "IMAGE"]],
    }
    with pytest.raises(WorkflowError, match=r"^the links into node 3 \(SaveImage\) form a circle"):
        convert_canvas(canvas, DECLARED)


def test_a_long_chain_of_reroutes_and_bypassed_nodes() -> None:
    count = 5_000
    chain = [
        node(number, "ImageInvert", mode=4, inputs=[slot(number)], outputs=[{"type": "IMAGE"}])
        if number % 2
        else node(number, "Reroute", inputs=[slot(number, "*", "")])
        for number in range(2, count)
    ]
    last = node(count, "SaveImage", ["x"], inputs=[slot(count, name="images")])
    canvas = {
        "nodes": [node(1, "EmptyImage", [64, 64, 1, 0]), *chain, last],
        "links": [[number, number - 1, 0, number, 0, "IMAGE"] for number in range(2, count + 1)],
    }
    prompt = convert_canvas(canvas, DECLARED).prompt
    assert prompt[str(count)]["inputs"] == {"filename_prefix": "x", "images": ["1", 0]}


def test_titles_are_those_of_people_or_of_the_class() -> None:
    declared = {**DECLARED, "EmptyImage": {**DECLARED["EmptyImage"], "display_name": "Empty!"}}
    nodes = [node(1, "EmptyImage", title="Mine"), node(2, "EmptyImage"), node(3, "ImageInvert")]
    prompt = convert_canvas({"nodes": nodes}, declared).prompt
    titles = {node_id: node["_meta"]["title"] for node_id, node in prompt.items()}
    assert titles == {"1": "Mine", "2": "Empty!", "3": "Invert Image Colors"}


def test_values_by_name() -> None:
    """As custom nodes save them, and newer frontends beside the list."""
    nodes = [
        node(1, "EmptyImage", {"height": 7, "unheard_of": 1}),
        node(2, "EmptyImage", [1, 2, 3, 4], widgets_values_named={"width": 9}),
    ]
    prompt = convert_canvas({"nodes": nodes}, DECLARED).prompt
    assert prompt["1"]["inputs"] == {"width": 512, "height": 7, "batch_size": 1, "color": 0}
    assert prompt["2"]["inputs"]["width"] == 9


def test_a_list_is_told_apart_from_a_link() -> None:
    options = {"options": ["x", "y"], "multiselect": True}
    declared: dict[str, Any] = {"A": {"input": {"required": {"names": ["COMBO", options]}}}}
    prompt = convert_canvas({"nodes": [node(1, "A", [["x", "y"]])]}, declared).prompt
    assert prompt["1"]["inputs"] == {"names": {"__value__": ["x", "y"]}}


def test_a_choice_that_became_a_switch() -> None:
    """As in the Impact Pack: what was chosen then is a label now."""
    labels = {"label_on": "bbox", "label_off": "crop", "default": True}
    inputs: dict[str, Any] = {"size": ["FLOAT", {}], "of": ["BOOLEAN", labels], "n": ["INT", {}]}
    declared = {"A": {"input": {"required": inputs}}}
    nodes = [node(1, "A", [2.0, "crop", 3]), node(2, "A", [2.0, "bbox", 3])]
    converted = convert_canvas({"nodes": nodes}, declared)
    assert converted.prompt["1"]["inputs"] == {"size": 2.0, "of": False, "n": 3}
    assert converted.prompt["2"]["inputs"] == {"size": 2.0, "of": True, "n": 3}
    assert converted.warnings == ()


def test_a_choice_of_nothing_has_no_value() -> None:
    """As the lists of models of a server that has none."""
    declared: dict[str, Any] = {"A": {"input": {"required": {"model": ["COMBO", {"options": []}]}}}}
    prompt = convert_canvas({"nodes": [node(1, "A"), node(2, "A", ["x"])]}, declared).prompt
    assert prompt["1"]["inputs"] == {}
    assert prompt["2"]["inputs"] == {"model": "x"}


def test_the_canvas_is_left_alone() -> None:
    canvas = copy.deepcopy(CASES["custom_combo"]["canvas"])
    convert_canvas(canvas, DECLARED).prompt["1"]["inputs"]["choice"] = "changed"
    assert canvas == CASES["custom_combo"]["canvas"]


def test_set_and_get_nodes() -> None:
    """Of custom packs: a link by name, also into a subgraph."""
    getter = node("g", "GetNode", ["pic"], outputs=[{"type": "IMAGE"}])
    inner = {
        **subgraph("S", getter, node("i", "ImageInvert", inputs=[slot(1)])),
        "links": [
            {"id": 1, "origin_id": "g", "origin_slot": 0, "target_id": "i", "target_slot": 0}
        ],
        "outputs": [{"name": "IMAGE", "linkIds": [2]}],
    }
    canvas = {
        "nodes": [
            node(1, "EmptyImage"),
            node(2, "SetNode", ["pic"], inputs=[slot(1, "*", "IMAGE")]),
            node(3, "GetNode", ["pic"], outputs=[{"type": "IMAGE"}]),
            node(4, "SaveImage", ["x"], inputs=[slot(2, name="images")]),
            node(5, "GetNode", ["other"], outputs=[{"type": "IMAGE"}]),
            node(6, "SaveImage", ["x"], inputs=[slot(3, name="images")]),
            node(7, "S"),
        ],
        "links": [[1, 1, 0, 2, 0, "*"], [2, 3, 0, 4, 0, "IMAGE"], [3, 5, 0, 6, 0, "IMAGE"]],
        "definitions": {"subgraphs": [inner]},
    }
    prompt = convert_canvas(canvas, DECLARED).prompt
    assert prompt["4"]["inputs"]["images"] == ["1", 0]
    assert "images" not in prompt["6"]["inputs"]
    assert prompt["7:i"]["inputs"] == {"image": ["1", 0]}
    assert prompt.keys() == {"1", "4", "6", "7:i"}


def test_a_declared_class_is_no_node_of_the_browser() -> None:
    text: list[Any] = ["STRING", {}]
    declared = {**DECLARED, "Note": {"input": {"required": {"text": text}}}}
    prompt = convert_canvas({"nodes": [node(1, "Note", ["hello"])]}, declared).prompt
    assert prompt["1"]["inputs"] == {"text": "hello"}


JUNK: list[Any] = [
    *(None, True, False, 0, -1, 1, 3.5, float("nan"), float("inf"), 10**30),
    *("", "x", "-10", "-20", "1", "\ud800", [], {}, [1], [[1, 2, 3, 4, 5]], {"a": 1}),
    *([None] * 3, ["-1", "width"], -10, -20),
]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container in a JSON value with each of its keys."""
    pending = [value]
    while pending:
        container = pending.pop()
        keys: list[Any] = list(container) if is_object(container) else []
        if is_list(container):
            keys = list(range(len(container)))
        for key in keys:
            yield container, key
            pending.append(container[key])


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_canvas_is_converted_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    for case in CASES.values():
        canvas, declared = copy.deepcopy(case["canvas"]), DECLARED
        if chance.random() < 0.3:
            class_type = chance.choice(["ImageScale", "ResizeImageMaskNode", "KSampler"])
            declared = {**DECLARED, class_type: copy.deepcopy(DECLARED[class_type])}
            container, key = chance.choice(list(places(declared[class_type])))
            container[key] = copy.deepcopy(chance.choice(JUNK))
        for _ in range(chance.choice([1, 1, 2, 5, 20])):
            container, key = chance.choice(list(places(canvas)) or [(canvas, "nodes")])
            container[key] = copy.deepcopy(chance.choice(JUNK))
        try:
            prompt = convert_canvas(canvas, declared).prompt
        except WorkflowError:
            continue
        json.dumps(prompt)
