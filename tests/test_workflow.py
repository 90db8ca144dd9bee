from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from comfy_trio import PromptBuilder, Workflow, WorkflowError, validate
from comfy_trio._prompt import find_cycle
from comfy_trio._util import MOST_LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable


def prompt() -> dict[str, Any]:
    return {
        "3": {
            "class_type": "KSampler",
            "inputs": {"seed": -1, "steps": 20, "model": ["4", 0]},
            "_meta": {"title": "Sampler"},
        },
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
        "12:3": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}},
    }


def test_a_workflow_owns_what_it_is_made_from() -> None:
    source = prompt()
    workflow = Workflow(source)
    value = {"deep": [1]}
    workflow.set("3.inputs.extra", value)
    value["deep"].append(2)
    workflow.to_dict()["3"]["inputs"]["steps"] = 99
    assert source == prompt()
    assert workflow.to_dict()["3"]["inputs"] == {
        **prompt()["3"]["inputs"],
        "extra": {"deep": [1]},
    }


def test_tuples_are_lists() -> None:
    # A server would be sent a list, and its worker would not survive this one.
    for dangling in (
        Workflow(prompt()).input("9", "undeclared", ("77", 0)),
        Workflow({"9": {"class_type": "SaveImage", "inputs": {"undeclared": ("77", 0)}}}),
    ):
        with pytest.raises(WorkflowError, match="links to node '77', which does not exist"):
            dangling.check()
    workflow = Workflow(prompt()).input("9", "images", ("4", 0)).set("9.inputs.x", {"a": (1, (2,))})
    assert workflow.to_dict()["9"]["inputs"] == {"images": ["4", 0], "x": {"a": [1, [2]]}}


def test_where_a_workflow_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "txt2img.json"
    file.write_text(json.dumps(prompt()), encoding="utf-8")
    for workflow in (
        Workflow.from_json(prompt()),
        Workflow.from_json(json.dumps(prompt())),
        Workflow.from_file(file),
        Workflow.from_file(str(file)),
    ):
        assert workflow.to_dict() == prompt()


def test_setting_values() -> None:
    workflow = Workflow(prompt())
    assert workflow.set("3.inputs.steps", 5) is workflow
    workflow.set("3.inputs.resize_type.width", 64).set("3._meta.title", "S").set(
        "4._meta.title", "C"
    )
    workflow.set("12:3.inputs.filename_prefix", "x").set("9.class_type", "PreviewImage")
    workflow.input("3", "cfg", 4.0)
    workflow.batch_inputs("3", {"denoise": 0.5}).batch_inputs(
        {"4": {"ckpt_name": "b"}, "3": {"a": 1}}
    )
    result = workflow.to_dict()
    assert result["3"]["inputs"] == {
        "seed": -1,
        "steps": 5,
        "model": ["4", 0],
        "resize_type.width": 64,
        "cfg": 4.0,
        "denoise": 0.5,
        "a": 1,
    }
    assert result["3"]["_meta"] == {"title": "S"}
    assert result["4"] == {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "b"},
        "_meta": {"title": "C"},
    }
    assert result["12:3"]["inputs"]["filename_prefix"] == "x"
    assert result["9"]["class_type"] == "PreviewImage"


def test_a_batch_with_an_unknown_node_sets_nothing() -> None:
    workflow = Workflow(prompt())
    with pytest.raises(WorkflowError, match="there is no node '77'"):
        workflow.batch_inputs({"3": {"steps": 1}, "77": {"x": 1}})
    for values in ({"3": {"steps": 1}, "4": None}, {"3": {"steps": 1, "x": (each for each in "")}}):
        with pytest.raises(TypeError):
            workflow.batch_inputs(cast("Any", values))
    assert workflow.to_dict() == prompt()


def test_a_title_for_a_node_whose_meta_is_none() -> None:
    workflow = Workflow({"1": {"class_type": "A", "inputs": {}, "_meta": None}})
    workflow.set("1._meta.title", "First")
    assert workflow.to_dict()["1"]["_meta"] == {"title": "First"}


@pytest.mark.parametrize(
    "path", ["3", "3.inputs", "3.inputs.", "3.steps", "3.class_type.x", "3._meta"]
)
def test_paths_that_lead_nowhere(path: str) -> None:
    with pytest.raises(WorkflowError, match=r'write "3\.inputs\.<input>"'):
        Workflow(prompt()).set(path, "x")


def test_ids_with_dots() -> None:
    workflow = Workflow({"a.b": {"class_type": "A", "inputs": {}}})
    assert workflow.set("a.b.inputs.x.y", 1).to_dict()["a.b"]["inputs"] == {"x.y": 1}
    with pytest.raises(WorkflowError, match=r"there is no node 'a'\. The nodes are a\.b \(A\)"):
        workflow.set("a.c.inputs.x", 1)


@pytest.mark.parametrize("file", ["txt2img.json", Path("txt2img.json"), b"{}"])
def test_a_file_is_no_workflow(file: Any) -> None:
    with pytest.raises(WorkflowError, match=r"is not a workflow: Workflow\.from_file\("):
        validate(file, {})


def test_an_unknown_node_is_told_with_the_candidates() -> None:
    with pytest.raises(WorkflowError) as caught:
        Workflow(prompt()).set("33.inputs.steps", 1)
    assert caught.value.node_id == "33"
    assert "there is no node '33'. Did you mean '3'?" in str(caught.value)
    assert "3 (KSampler), 4 (CheckpointLoaderSimple)" in str(caught.value)
    with pytest.raises(WorkflowError, match=r"no node 3\. Node ids are strings: write '3'\."):
        Workflow(prompt()).input(cast("Any", 3), "steps", 1)


OUTPUTS: list[tuple[tuple[str, ...], dict[str, str]]] = [
    (("images:9",), {"images": "9"}),
    (("images", "9"), {"images": "9"}),
    (("9",), {"9": "9"}),
    (("12:3",), {"12:3": "12:3"}),
    (("images:12:3",), {"images": "12:3"}),
    (("images", "12:3"), {"images": "12:3"}),
    (("12", "3"), {"12": "3"}),
]


@pytest.mark.parametrize(("arguments", "outputs"), OUTPUTS)
def test_outputs_in_three_forms(arguments: tuple[str, ...], outputs: dict[str, str]) -> None:
    assert Workflow(prompt()).output(*arguments).outputs == outputs


BAD_OUTPUTS: list[tuple[tuple[str, ...], str]] = [
    (("images:77",), "there is no node '77'"),
    (("77",), "there is no node '77'"),
    (("images", "77"), "there is no node '77'"),
    (("images:",), "there is no node ''"),
    ((":9",), "the alias is empty"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_OUTPUTS)
def test_outputs_that_are_none(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(WorkflowError, match=message):
        Workflow(prompt()).output(*arguments)


def test_an_alias_and_a_node_in_the_wrong_order() -> None:
    with pytest.raises(WorkflowError, match="no node 'images'") as caught:
        Workflow(prompt()).output("9", "images")
    assert caught.value.__notes__ == ["The alias comes first: output('images', '9')"]


def test_an_alias_stands_for_one_node() -> None:
    workflow = Workflow(prompt()).output("images:9").output("images:9").output("again:9")
    assert workflow.outputs == {"images": "9", "again": "9"}
    with pytest.raises(WorkflowError, match=r"'images' already stands for node 9 \(SaveImage\)"):
        workflow.output("images:12:3")


def test_a_copy_shares_nothing() -> None:
    workflow = Workflow(prompt()).output("9")
    twin = workflow.copy().set("3.inputs.steps", 1).output("3")
    assert workflow.to_dict() == prompt()
    assert workflow.outputs == {"9": "9"}
    assert twin.outputs == {"9": "9", "3": "3"}
    assert repr(workflow) == "<Workflow of 4 nodes, 9>"


CANVAS = {"last_node_id": 9, "nodes": [{"id": 1, "type": "KSampler"}], "links": [], "version": 0.4}

NOT_PROMPTS: list[tuple[object, str]] = [
    ([], "not a JSON object of nodes but a list"),
    ("text", "but a str"),
    (None, "but null"),
    ({}, "has no nodes"),
    (CANVAS, r"canvas format .* Workflow > Export \(API\)"),
    ({"prompt": prompt(), "client_id": "x"}, "is the body of a request"),
    ({"1": []}, "node 1 is not a JSON object"),
    ({"1": {"inputs": {}}}, "node 1 has no class_type"),
    ({"1": {"class_type": "K"}}, r'node 1 \(K\) has no inputs; .* "inputs": {}'),
]


@pytest.mark.parametrize(("value", "message"), NOT_PROMPTS)
def test_what_is_no_prompt(value: object, message: str) -> None:
    with pytest.raises(WorkflowError, match=message):
        Workflow.from_json(json.dumps(value))


@pytest.mark.parametrize("value", [None, 5, "text", [prompt()], b"{}"])
def test_what_python_passes_for_a_prompt(value: Any) -> None:
    with pytest.raises(WorkflowError, match=r"^the workflow is not a JSON object of nodes but"):
        Workflow(value)
    with pytest.raises(WorkflowError, match=r"^the workflow "):
        Workflow.from_json(value)


def test_texts_that_are_nested_too_deeply() -> None:
    deep = "[" * 800 + "]" * 800
    node = f'{{"class_type": "A", "inputs": {{"x": {deep}}}}}'
    with pytest.raises(WorkflowError, match="nested deeper than"):
        Workflow.from_json(f'{{"1": {node}}}')
    with pytest.raises(WorkflowError, match="nested deeper than"):
        PromptBuilder[str, str].from_json(f'{{"prompt": {{"1": {node}}}}}')
    canvas = f'{{"nodes": [{{"id": 1, "type": "A", "x": {deep}}}], "links": []}}'
    with pytest.raises(WorkflowError, match="the workflow is nested deeper than"):
        Workflow.from_json(canvas, object_info={"A": {"output_node": True}})
    value: list[Any] = []
    value.append(value)
    with pytest.raises(WorkflowError, match="nested deeper than"):
        Workflow({"1": {"class_type": "A", "inputs": {"x": value}}})


TOO_DEEP = "with this value, the prompt is nested deeper than 200 levels"


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


CHANGES: dict[str, Callable[[Workflow, Any], object]] = {
    "set": lambda workflow, value: workflow.set("3.inputs.steps", value),
    "input": lambda workflow, value: workflow.input("3", "steps", value),
    "batch_inputs": lambda workflow, value: workflow.batch_inputs("3", {"steps": value}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_values_that_are_nested_too_deeply(change: Callable[[Workflow, Any], object]) -> None:
    """The same on any Python: it is servers that cannot follow."""
    workflow = Workflow(prompt())
    with pytest.raises(WorkflowError, match=TOO_DEEP) as caught:
        change(workflow, nested(MOST_LEVELS - 2))  # a prompt has three levels itself
    assert (caught.value.node_id, caught.value.input_name) == ("3", "steps")
    assert workflow.to_dict() == prompt()
    change(workflow, nested(MOST_LEVELS - 3))
    assert workflow.copy().to_dict() == Workflow.from_json(workflow.to_json()).to_dict()


def test_values_of_a_builder_that_are_nested_too_deeply() -> None:
    builder = PromptBuilder[str, str](prompt(), inputs={"x": "3.inputs.steps"}, outputs={})
    with pytest.raises(WorkflowError, match=TOO_DEEP) as caught:
        builder.input("x", nested(MOST_LEVELS - 2))
    assert (caught.value.node_id, caught.value.input_name) == ("3", "steps")


def test_what_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="the workflow is not JSON: Expecting"):
        Workflow.from_json("{nope")
    animation = tmp_path / "picture.png"
    animation.write_bytes(b"GIF89a\xff\xfe\x00")
    with pytest.raises(WorkflowError, match=r"picture\.png is not text.* PNG, WEBP or JPEG"):
        Workflow.from_file(animation)
    with pytest.raises(WorkflowError, match="is not JSON"):
        Workflow.from_json("[" * 100_000)


@pytest.mark.parametrize("slot", [0, True, 0.5])
def test_dangling_links(slot: object) -> None:
    workflow = Workflow(prompt()).set("3.inputs.undeclared", ["77", slot])
    with pytest.raises(WorkflowError, match="links to node '77', which does not exist") as caught:
        workflow.check()
    assert (caught.value.node_id, caught.value.input_name) == ("3", "undeclared")
    assert "input 'undeclared' of node 3 (KSampler, \"Sampler\")" in str(caught.value)


def test_links_by_number() -> None:
    with pytest.raises(WorkflowError, match=r'write \["4", 0\]'):
        Workflow(prompt()).set("3.inputs.model", [4, 0]).check()


@pytest.mark.parametrize(
    "value", [[], [1, 2], ["a"], ["a", "b"], ["4", True], {"__value__": ["77", "0"]}]
)
def test_lists_that_are_no_links_are_left_to_the_server(value: object) -> None:
    Workflow(prompt()).set("3.inputs.extra", value).check()


@pytest.mark.parametrize("value", [["77", 0], ["4", 0], ["a", 0.5], ["a", True]])
def test_literal_lists_that_servers_take_for_links(value: list[object]) -> None:
    """They are unwrapped before the server looks for links, and one to no node ends its worker."""
    workflow = Workflow(prompt()).set("3.inputs.extra", {"__value__": value})
    with pytest.raises(
        WorkflowError, match="which servers take for a link when they run"
    ) as caught:
        workflow.check()
    assert (caught.value.node_id, caught.value.input_name) == ("3", "extra")


def test_cycles_are_told_with_their_path() -> None:
    workflow = Workflow(prompt()).set("4.inputs.x", ["3", 0])
    with pytest.raises(WorkflowError) as caught:
        workflow.check()
    assert str(caught.value) == (
        'the nodes form a cycle: node 3 (KSampler, "Sampler") -> node 4 (CheckpointLoaderSimple)'
        ' -> node 3 (KSampler, "Sampler")'
    )


def chain(length: int, **more: Any) -> dict[str, Any]:
    return {
        str(number): {"class_type": "K", "inputs": {"x": [str(number + 1), 0]}}
        for number in range(length)
    } | {str(length): {"class_type": "K", "inputs": more}}


def test_long_graphs_are_no_problem() -> None:
    assert find_cycle(chain(20_000)) is None
    cycle = find_cycle(chain(20_000, back=["5", 0]))
    assert cycle is not None
    assert (cycle[0], cycle[-1], len(cycle)) == ("5", "5", 20_000 - 5 + 2)


def test_a_diamond_is_no_cycle() -> None:
    diamond: dict[str, Any] = {
        "a": {"class_type": "K", "inputs": {"x": ["b", 0], "y": ["c", 0]}},
        "b": {"class_type": "K", "inputs": {"x": ["d", 0]}},
        "c": {"class_type": "K", "inputs": {"x": ["d", 0]}},
        "d": {"class_type": "K", "inputs": {}},
    }
    assert find_cycle(diamond) is None
    assert find_cycle({"a": {"class_type": "K", "inputs": {"x": ["a", 0]}}}) == ["a", "a"]


def titled() -> dict[str, Any]:
    made = prompt()
    made["12:3"]["_meta"] = {"title": "Save it"}
    made["9"]["_meta"] = {"title": "KSampler"}
    made["5"] = {"class_type": "CLIPTextEncode", "inputs": {}, "_meta": {"title": "Twice"}}
    made["6"] = {"class_type": "CLIPTextEncode", "inputs": {}, "_meta": {"title": "Twice"}}
    return made


@pytest.mark.parametrize(
    ("what", "node_id"),
    [
        ("12:3", "12:3"),
        ("Save it", "12:3"),
        ("KSampler", "9"),  # a title comes before a class
        ("CheckpointLoaderSimple", "4"),
    ],
)
def test_finding_a_node(what: str, node_id: str) -> None:
    assert Workflow(titled()).find(what) == node_id


def test_a_name_that_several_nodes_have() -> None:
    with pytest.raises(WorkflowError, match=r"2 nodes with the title 'Twice': node 5 .*, node 6 "):
        Workflow(titled()).find("Twice")
    with pytest.raises(WorkflowError, match=r"2 nodes of class 'SaveImage': node 12:3 .*\. Use an"):
        Workflow(titled()).find("SaveImage")


def test_a_name_that_no_node_has() -> None:
    with pytest.raises(WorkflowError, match=r"Did you mean 'Sampler'.*\? The nodes are node 3 \(K"):
        Workflow(titled()).find("sampler")
    with pytest.raises(WorkflowError, match=r"class\. The nodes are .* and 1 more$"):
        Workflow(chain(20)).find("Q")


def test_finding_all_nodes() -> None:
    workflow = Workflow(titled())
    assert workflow.find_all(class_type="SaveImage") == ("12:3", "9")
    assert workflow.find_all(title="Twice") == ("5", "6")
    assert workflow.find_all(title="Save it", class_type="SaveImage") == ("12:3",)
    assert workflow.find_all(title="", class_type="CheckpointLoaderSimple") == ("4",)
    assert workflow.find_all(title="Q") == ()
    assert workflow.find_all() == tuple(titled())
