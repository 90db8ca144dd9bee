"""Twice as large a workflow takes twice as much, however it is made; and files that mean harm."""

from __future__ import annotations

import random
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.workflows import EMPTY, INSIDE, Subject, chain, measures, node, slot, wide
from growth import IN_PROPORTION, growth
from prompts import node as prompt_node
from templates import object_info

from comfy_trio import Workflow, WorkflowError, validate
from comfy_trio._canvas_prompt import convert_canvas
from comfy_trio._queue_time import choose, expand_prompt
from comfy_trio._suggestions import MOST_COMPARED, Suggestions

if TYPE_CHECKING:
    from collections.abc import Callable

DECLARED = object_info("0.27.0")
CHANCE = random.Random(1)
NOW = datetime(2026, 3, 4)
IMAGE_LINK = "IMAGE"


def convert(canvas: dict[str, Any]) -> dict[str, Any]:
    return convert_canvas(canvas, DECLARED).prompt


def links(*ends: tuple[int, int]) -> list[list[object]]:
    """Links by the ids of the nodes at whose first input they end."""
    return [[target, origin, 0, target, 0, IMAGE_LINK] for origin, target in ends]


# --- all that is done with a workflow -------------------------------------------------------------


@pytest.mark.parametrize("what", [name for name in measures() if "json.loads" not in name])
@pytest.mark.parametrize("shape", [chain, wide])
def test_all_that_is_measured(shape: Callable[[int], Any], what: str) -> None:
    function = measures()[what]
    assert growth(function, lambda size: Subject.of(shape(size * INSIDE)), 10) < IN_PROPORTION


# --- canvases -------------------------------------------------------------------------------------


def many_behind_reroutes(size: int) -> dict[str, Any]:
    """As many nodes that are fed through a row of reroutes as there are of these."""
    reroutes = range(2, 2 + size)
    fed = range(2 + size, 2 + 2 * size)
    return {
        "nodes": [
            EMPTY,
            *(node(number, "Reroute", number) for number in reroutes),
            *(node(number, "PreviewImage", number) for number in fed),
        ],
        "links": links(
            *((number - 1, number) for number in reroutes),
            *((reroutes[-1], number) for number in fed),
        ),
    }


def many_variables(size: int) -> dict[str, Any]:
    """As many nodes that set something as such that get it, from last to first."""
    names = range(2, 2 + size)
    return {
        "nodes": [
            EMPTY,
            *(node(name, "SetNode", name, values=(f"v{name}",)) for name in names),
            *(node(1000 + name, "GetNode", values=(f"v{name}",)) for name in names),
            *(node(2000 + name, "PreviewImage", 2000 + name) for name in names),
        ],
        "links": links(
            *((1, name) for name in names), *((1000 + name, 2000 + name) for name in names)
        ),
    }


def many_fed_by_one_input(size: int) -> dict[str, Any]:
    """A subgraph with one input, which nothing is linked to and much within it is fed by."""
    numbers = range(10, 10 + size)
    inner = [
        {"id": number, "origin_id": -10, "origin_slot": 0, "target_id": number, "target_slot": 0}
        for number in numbers
    ]
    definition = {
        "id": "subgraph",
        "inputs": [{"name": "image", "type": IMAGE_LINK, "linkIds": [*numbers]}],
        "nodes": [node(number, "PreviewImage", number) for number in numbers],
        "links": inner,
    }
    return {"nodes": [node(1, "subgraph")], "definitions": {"subgraphs": [definition]}}


def grouped(*nodes: dict[str, Any], inner: list[list[object]]) -> dict[str, Any]:
    """One group node."""
    groups = {"Group": {"nodes": list(nodes), "links": inner}}
    return {"nodes": [node(1, "workflow>Group")], "extra": {"groupNodes": groups}}


def primitives_in_a_group(size: int) -> dict[str, Any]:
    scale = {"name": "scale_by", "type": "FLOAT", "widget": {"name": "scale_by"}}
    scaled = {**node(0, "ImageScaleBy"), "inputs": [slot("image", None), scale]}
    return grouped(
        *([node(0, "PrimitiveNode")] * size),
        *([scaled] * size),
        inner=[[number, 0, size + number, 1, 1, "FLOAT"] for number in range(size)],
    )


def chain_in_a_group(size: int) -> dict[str, Any]:
    return grouped(
        *([node(0, "ImageInvert")] * size),
        inner=[[number - 1, 0, number, 0, 1, IMAGE_LINK] for number in range(1, size)],
    )


@pytest.mark.parametrize(
    "make",
    [
        many_behind_reroutes,
        many_variables,
        many_fed_by_one_input,
        primitives_in_a_group,
        chain_in_a_group,
    ],
)
def test_canvases(make: Callable[[int], dict[str, Any]]) -> None:
    assert growth(convert, make, 150) < IN_PROPORTION


def test_reroutes_lead_all_to_the_same() -> None:
    prompt = convert(many_behind_reroutes(3))
    assert [each["inputs"] for each in prompt.values()][1:] == [{"images": ["1", 0]}] * 3


def test_of_equal_variables_the_first_counts() -> None:
    canvas = many_variables(2)
    for name in (2, 3):
        canvas["nodes"][name - 1]["widgets_values"] = ["same"]
        canvas["nodes"][name + 1]["widgets_values"] = ["same"]
    canvas["nodes"][1]["mode"] = 4
    assert convert(canvas)["2003"]["inputs"] == {"images": ["1", 0]}


def test_groups_that_multiply() -> None:
    groups: dict[str, Any] = {"0": {"nodes": [node(0, "ImageScaleBy")], "links": []}}
    for number in range(1, 60):
        inner = node(0, f"workflow>{number - 1}")
        groups[str(number)] = {"nodes": [inner, inner], "links": []}
    canvas = {"nodes": [node(1, "workflow>59")], "extra": {"groupNodes": groups}}
    with pytest.raises(WorkflowError, match=r"group nodes come to more than 20000 widgets"):
        convert(canvas)


def test_primitives_in_a_circle() -> None:
    circle = grouped(
        node(0, "PrimitiveNode"),
        node(0, "PrimitiveNode"),
        node(0, "PreviewImage"),
        inner=[[0, 0, 1, 0, 1, "*"], [1, 0, 0, 0, 1, "*"]],
    )
    assert [each["class_type"] for each in convert(circle).values()] == ["PreviewImage"]


def test_an_id_of_thousands_of_digits() -> None:
    canvas = wide(10)
    inside = canvas["definitions"]["subgraphs"][0]["nodes"]
    inside[0]["id"] = long = "9" * 5000
    assert f"1002:{long}" in convert(canvas)


# --- judging --------------------------------------------------------------------------------------


def failing_for_one(size: int) -> dict[str, Any]:
    saves = {f"s{number}": prompt_node("SaveImage", images=["bad", 0]) for number in range(size)}
    return {"bad": prompt_node("ImageInvert"), **saves}


def cycle(size: int) -> dict[str, Any]:
    nodes = {
        str(number): prompt_node("ImageInvert", image=[str((number + 1) % size), 0])
        for number in range(size)
    }
    return {**nodes, "save": prompt_node("PreviewImage", images=["0", 0])}


@pytest.mark.parametrize("make", [cycle, failing_for_one])
def test_judging(make: Callable[[int], dict[str, Any]]) -> None:
    assert growth(lambda prompt: validate(prompt, DECLARED), make) < IN_PROPORTION


def test_a_cycle_is_told_once_for_all() -> None:
    errors = [
        report["errors"][0]
        for report in validate(cycle(3), DECLARED).reply["node_errors"].values()
        if report["errors"]
    ]
    assert len(errors) == 3
    assert len({id(error["extra_info"]["cycle_nodes"]) for error in errors}) == 1


def test_of_a_long_cycle_each_node_tells_the_beginning() -> None:
    errors = validate(cycle(300), DECLARED).errors
    assert len(errors) == 300
    assert all(len(each.message) < 1100 and each.message.endswith(" ...") for each in errors)


def test_so_many_suggestions_and_no_more() -> None:
    suggestions = Suggestions()
    candidates = [f"ImageInvert{number}" for number in range(MOST_COMPARED // 2)]
    assert suggestions.nearest("imageinvert7", candidates) == "ImageInvert7"
    assert suggestions.nearest("imageinvert8", candidates) == "ImageInvert8"
    assert suggestions.nearest("imageinvert9", candidates) is None


# --- texts ----------------------------------------------------------------------------------------


def test_placeholders() -> None:
    def saves(size: int) -> dict[str, Any]:
        return {str(n): prompt_node("SaveImage", filename_prefix="%A.x%") for n in range(size)}

    assert (
        growth(lambda prompt: expand_prompt(prompt, DECLARED, CHANCE, NOW), saves) < IN_PROPORTION
    )


@pytest.mark.parametrize("text", ["/* " * 100_000, "// " * 100_000, "{/*|" * 100_000])
def test_comments_without_an_end(text: str) -> None:
    """Looking for the end of each would take minutes."""
    assert len(choose(text, CHANCE)) <= len(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a /* b", "a /* b"),
        ("a /*/ b", "a /*/ b"),
        ("a /* b // c\nd", "a /* b \nd"),
        ("/* a */ b /* c //*/ d", " b  d"),
        ("// a */ b\nc /* d", "\nc /* d"),
        ("/*//a", "/*"),
    ],
)
def test_what_is_a_comment(text: str, left: str) -> None:
    assert choose(text, CHANCE) == left


# --- copies ---------------------------------------------------------------------------------------


def test_a_workflow_shares_nothing_with_what_it_is_made_of() -> None:
    odd = {1, 2}
    inputs: dict[str, Any] = {"row": [[1], {"a": [2]}], "odd": odd}
    workflow = Workflow({"1": {"class_type": "K", "inputs": inputs}})
    odd.add(3)
    inputs["row"][1]["a"].append(3)
    inputs["row"][0].append(3)
    kept = workflow.to_dict()["1"]["inputs"]
    assert kept == {"row": [[1], {"a": [2]}], "odd": {1, 2}}
