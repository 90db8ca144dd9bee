"""Graphs: ids, prompts, and back from prompts."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import attrs
import handmade
import pytest
from handmade import (
    CheckpointLoaderSimple,
    EmptyImage,
    ImageInvert,
    ImageStitch,
    KSampler,
    LoraLoader,
    PreviewImage,
    ResizeImage,
    SaveImage,
    StringFormat,
)
from handmade.nodes import OddNames

from comfy_trio import Graph, UnknownNode, Workflow, WorkflowError
from comfy_trio.graph import Node, Out, OutputNode


def inverted() -> SaveImage:
    return SaveImage(images=ImageInvert(image=EmptyImage(width=64, height=64)))


def prompt_of(*outputs: OutputNode[Any]) -> dict[str, Any]:
    return Graph(*outputs).to_prompt()


def inputs_of(node: Node) -> dict[str, Any]:
    """The inputs of a node as they go over the wire, in a graph made for it."""
    link: object = node if isinstance(node, Out) else node._output(0)
    graph = Graph(UnknownNode("Sink", {"it": link}))
    inputs: dict[str, Any] = graph.to_prompt()[graph.id_of(node)]["inputs"]
    return inputs


def test_ids_count_up_from_what_comes_first() -> None:
    assert prompt_of(inverted()) == {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0},
        },
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {
            "class_type": "SaveImage",
            "inputs": {"images": ["2", 0], "filename_prefix": "ComfyUI"},
        },
    }


def test_the_same_program_gives_the_same_json() -> None:
    assert json.dumps(prompt_of(inverted())) == json.dumps(prompt_of(inverted()))


def test_a_node_used_twice_is_one_node() -> None:
    image = EmptyImage()
    inputs = prompt_of(SaveImage(images=ImageStitch(images=[image, image])))["2"]["inputs"]
    assert inputs == {"images.image0": ["1", 0], "images.image1": ["1", 0]}
    equal = prompt_of(SaveImage(images=ImageStitch(images=[EmptyImage(), EmptyImage()])))
    assert equal["3"]["inputs"] == {"images.image0": ["1", 0], "images.image1": ["2", 0]}


def test_outputs_that_reach_the_same_nodes() -> None:
    image = EmptyImage()
    graph = Graph(SaveImage(images=image), PreviewImage(images=image))
    assert [node.class_type for node in graph.nodes.values()] == [
        "EmptyImage",
        "SaveImage",
        "PreviewImage",
    ]


def test_links_to_one_of_several_outputs() -> None:
    ckpt = CheckpointLoaderSimple(ckpt_name="a")
    lora = LoraLoader(model=ckpt.model, clip=ckpt.clip)
    assert inputs_of(lora) == {"model": ["1", 0], "clip": ["1", 1], "strength_model": 1.0}
    assert inputs_of(LoraLoader(model=lora.model)) == {"model": ["2", 0], "strength_model": 1.0}


def test_a_long_chain_needs_no_deep_stack() -> None:
    image: Out[Any] = EmptyImage()
    for _ in range(20_000):
        image = ImageInvert(image=image)
    save = SaveImage(images=image)
    graph = Graph(save)
    assert graph.id_of(save) == "20002"
    assert len(Graph.from_prompt(graph.to_prompt(), handmade).nodes) == 20_002


def test_copies_of_a_graph() -> None:
    image: Out[Any] = EmptyImage()
    for _ in range(2_000):
        image = ImageInvert(image=image)
    graph = Graph(result=SaveImage(images=image).with_title("Result"))
    for copied in (copy.copy(graph), copy.deepcopy(graph), pickle.loads(pickle.dumps(graph))):
        assert copied.to_prompt() == graph.to_prompt()
        assert copied.aliases == graph.aliases


def test_names_of_the_wire() -> None:
    assert inputs_of(OddNames(from_=3)) == {"from": 3, "time embed.": 0.5, "colors": []} | {
        "colors": {"__value__": []}
    }


def test_literal_lists_are_no_links() -> None:
    inputs = inputs_of(OddNames(colors=["red", "green"], anything={"a": ["1", 0]}))
    assert inputs["colors"] == {"__value__": ["red", "green"]}
    assert inputs["anything"] == {"a": ["1", 0]}
    assert inputs_of(UnknownNode("X", {"pair": [1, "0"]}))["pair"] == {"__value__": [1, "0"]}


def test_rows_by_prefix_and_by_name() -> None:
    assert inputs_of(StringFormat(values=[1, "x"])) == {
        "f_string": "{a}",
        "values.a": 1,
        "values.b": "x",
    }
    assert inputs_of(StringFormat(values={"c": 1})) == {"f_string": "{a}", "values.c": 1}
    image = EmptyImage()
    assert inputs_of(ImageStitch(images=[image, image], shades=[0.5])) == {
        "images.image0": ["1", 0],
        "images.image1": ["1", 0],
        "a shade.u0": 0.5,
    }


def test_choices_and_their_inputs() -> None:
    image = EmptyImage()
    resize = ResizeImage(
        image=image,
        size=ResizeImage.Match(match=image, how=ResizeImage.Match.Padded()),
        mask=ResizeImage.Mask(slot=image, feather=3),
    )
    assert inputs_of(resize) == {
        "image": ["1", 0],
        "size": "match size",
        "size.match": ["1", 0],
        "size.how": "padded",
        "size.how.by": 8,
        "mask": ["1", 0],
        "mask.feather": 3,
    }
    plain = ResizeImage(image=image, size="as it is")
    assert inputs_of(plain) == {"image": ["1", 0], "size": "as it is"}


def test_titles_go_along() -> None:
    prompt = prompt_of(inverted().with_title("Final"))
    assert prompt["3"]["_meta"] == {"title": "Final"}
    assert "_meta" not in prompt["2"]


def test_a_graph_needs_output_nodes() -> None:
    with pytest.raises(WorkflowError, match=r"^a graph needs an output node"):
        Graph()
    not_output: Any = ImageInvert(image=EmptyImage())
    with pytest.raises(WorkflowError, match=r"^ImageInvert is no output node: "):
        Graph(not_output)
    not_a_node: Any = {"1": {}}
    with pytest.raises(WorkflowError, match=r"^a graph is made of output nodes, not of dict"):
        Graph(not_a_node)


def test_aliases() -> None:
    save, preview = inverted(), inverted()
    assert not Graph(save, preview).aliases
    assert Graph(save, small=preview).aliases == {"small": "6", "3": "3"}
    assert Graph(big=save, also_big=save).aliases == {"big": "3", "also_big": "3"}
    assert Graph(save, big=save).aliases == {"big": "3"}


def test_an_output_that_is_no_nodes() -> None:
    stray: Out[Any] = Out()
    with pytest.raises(WorkflowError, match="is no node's output"):
        prompt_of(SaveImage(images=stray))


def test_ids_by_node() -> None:
    save = inverted()
    graph = Graph(save)
    assert graph.id_of(save) == "3"
    with pytest.raises(WorkflowError, match=r"^this SaveImage is no node of the graph$"):
        graph.id_of(inverted())


def everything() -> Graph:
    image = EmptyImage(width=9)
    ckpt = CheckpointLoaderSimple(ckpt_name="a").with_title("Base")
    resize = ResizeImage(
        image=image,
        size=ResizeImage.Match(match=image, how=ResizeImage.Match.Padded(by=1)),
        mask=ResizeImage.Mask(slot=image, feather=3),
    )
    sink = UnknownNode(
        "Sink",
        {
            "latent": KSampler(model=LoraLoader(model=ckpt.model).model, sampler_name="heun"),
            "text": StringFormat(values={"b": image, "c": [1, 2]}),
            "odd": OddNames(from_=7, colors=["red"]),
            "third": ckpt.clip,
        },
    )
    return Graph(SaveImage(images=ImageStitch(images=[resize, image])), sink)


def test_there_and_back() -> None:
    prompt = everything().to_prompt()
    graph = Graph.from_prompt(prompt, handmade)
    assert graph.to_prompt() == prompt
    kinds = {type(node).__name__ for node in graph.nodes.values()}
    assert {"ResizeImage", "ImageStitch", "OddNames", "UnknownNode"} <= kinds
    assert graph.node("2", ResizeImage).size.__class__ is ResizeImage.Match
    assert list(graph.nodes) == list(prompt)


def test_ids_and_what_else_a_node_has_stay() -> None:
    prompt = {
        "12:4": {
            "class_type": "SaveImage",
            "inputs": {"images": ["7", 0], "filename_prefix": "x"},
            "_meta": {"title": "T", "color": "#fff"},
            "is_changed": [1],
        },
        "7": {"class_type": "Nobody Knows", "inputs": {"a": 1}},
    }
    graph = Graph.from_prompt(prompt, handmade)
    assert graph.to_prompt() == prompt
    assert graph.node("12:4", SaveImage).title == "T"


def test_nodes_that_are_not_as_declared_are_kept() -> None:
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 99999}},
        "2": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}},
    }
    graph = Graph.from_prompt(prompt, handmade)
    assert graph.to_prompt() == prompt
    assert all(isinstance(node, UnknownNode) for node in graph.nodes.values())


def test_a_choice_that_is_no_choice_is_kept() -> None:
    resize = {"image": ["1", 0], "size": {"width": 3}, "size.width": 3}
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": inputs_of(EmptyImage())},
        "2": {"class_type": "ResizeImage", "inputs": resize},
    }
    graph = Graph.from_prompt(prompt, handmade)
    assert graph.to_prompt() == prompt
    assert isinstance(graph.nodes["2"], ResizeImage)


def test_undeclared_inputs_are_kept() -> None:
    inputs = {"images": ["1", 0], "filename_prefix": "x", "lora_1": {"on": True}, "more": ["1", 0]}
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": inputs_of(EmptyImage())},
        "2": {"class_type": "SaveImage", "inputs": inputs, "_meta": {"title": "T"}},
    }
    graph = Graph.from_prompt(prompt, handmade)
    assert graph.to_prompt() == prompt
    save = graph.node("2", SaveImage)
    assert Graph(save.with_title("T")).to_prompt() == prompt


def test_inputs_left_out_stay_out() -> None:
    prompt = {"1": {"class_type": "EmptyImage", "inputs": {"width": 64}}}
    graph = Graph.from_prompt(prompt, handmade)
    image = graph.node("1", EmptyImage)
    assert (image.width, image.height) == (64, 512)
    assert graph.to_prompt() == prompt
    assert Graph.from_nodes({"1": image.with_title("T").with_inputs({"more": 1})}).to_prompt() == {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 64, "more": 1},
            "_meta": {"title": "T"},
        }
    }


def test_leaving_inputs_out() -> None:
    image = EmptyImage(width=64)
    bare = image.without_inputs("batch_size").without_inputs("color", "height")
    assert inputs_of(bare) == {"width": 64}
    assert "color" in inputs_of(image)
    assert inputs_of(attrs.evolve(bare, width=65)) == {**inputs_of(image), "width": 65}
    assert inputs_of(UnknownNode("X", {"a": 1, "b": 2}).without_inputs("a")) == {"b": 2}
    with pytest.raises(
        WorkflowError,
        match=r"^EmptyImage.without_inputs\('color'\): the node has no such input; it has width$",
    ):
        bare.without_inputs("color")


@pytest.mark.parametrize("value", [{"__value__": [1]}, {"__value__": [1], "more": 2}, {}, None])
def test_values_that_come_back_as_they_were(value: object) -> None:
    inputs = {**inputs_of(SaveImage(images=EmptyImage())), "images": ["1", 0], "more": value}
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": inputs_of(EmptyImage())},
        "2": {"class_type": "SaveImage", "inputs": inputs},
        "3": {"class_type": "Nobody Knows", "inputs": {"value": value}},
    }
    assert Graph.from_prompt(prompt, handmade).to_prompt() == prompt


def test_null_for_an_input_that_may_be_missing() -> None:
    odd: dict[str, Any] = {
        "from": 1,
        "time embed.": 0.5,
        "colors": {"__value__": []},
        "anything": None,
    }
    prompt = {"1": {"class_type": "Odd|Names (x)", "inputs": odd}}
    graph = Graph.from_prompt(prompt, handmade)
    assert graph.to_prompt() == prompt
    assert isinstance(graph.nodes["1"], OddNames)


def test_a_graph_of_nodes_that_have_ids() -> None:
    image = EmptyImage()
    inverted = ImageInvert(image=image)
    spare = ImageInvert(image=EmptyImage())
    graph = Graph.from_nodes({"7:2": inverted, "1": spare, "x": image})
    assert list(graph.nodes) == ["7:2", "1", "x", "2"]
    assert graph.to_prompt()["7:2"]["inputs"] == {"image": ["x", 0]}
    assert graph.to_prompt()["1"]["inputs"] == {"image": ["2", 0]}
    assert graph.aliases == {}


def test_nodes_that_make_no_graph() -> None:
    image = EmptyImage()
    with pytest.raises(WorkflowError, match=r"^nodes 1 and 2 are one and the same EmptyImage: a "):
        Graph.from_nodes({"1": image, "2": image})
    with pytest.raises(WorkflowError, match=r"^a graph is made of nodes, not of int$") as caught:
        Graph.from_nodes({"1": 5})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    assert caught.value.node_id == "1"
    with pytest.raises(WorkflowError, match=r"^a graph needs nodes$"):
        Graph.from_nodes({})


def test_what_cannot_be_read() -> None:
    loop = {
        "1": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    }
    with pytest.raises(
        WorkflowError,
        match=r"^the nodes form a cycle: node 1 \(ImageInvert\) -> node 2 \(ImageInvert\) -> ",
    ):
        Graph.from_prompt(loop, handmade)
    dangling = {"1": {"class_type": "ImageInvert", "inputs": {"image": ["9", 0]}}}
    with pytest.raises(WorkflowError, match="links to node '9', which does not exist"):
        Graph.from_prompt(dangling, handmade)
    with pytest.raises(WorkflowError, match=r"^json is not a package made by"):
        Graph.from_prompt({"1": {"class_type": "X", "inputs": {}}}, json)


def test_nodes_of_a_graph_by_id() -> None:
    graph = Graph.from_prompt(Graph(inverted()).to_prompt(), handmade)
    assert graph.node("2", ImageInvert).class_type == "ImageInvert"
    with pytest.raises(WorkflowError, match=r"^node 2 is of class ImageInvert, not SaveImage$"):
        graph.node("2", SaveImage)
    with pytest.raises(WorkflowError, match="there is no node '4'"):
        graph.node("4", SaveImage)


def test_typed_nodes_on_top_of_a_workflow() -> None:
    workflow = Workflow(Graph(inverted()).to_prompt()).set("1.inputs.width", 128)
    base = Graph.from_prompt(workflow.to_dict(), handmade)
    twice = SaveImage(images=ImageInvert(image=base.node("2", ImageInvert)))
    prompt = Graph(twice).to_prompt()
    assert [node["class_type"] for node in prompt.values()] == [
        "EmptyImage",
        "ImageInvert",
        "ImageInvert",
        "SaveImage",
    ]
    assert prompt["1"]["inputs"]["width"] == 128


def test_a_workflow_of_a_graph() -> None:
    save = inverted()
    graph = Graph(save, shown=PreviewImage(images=EmptyImage()))
    workflow = Workflow.from_graph(graph).set("1.inputs.width", 32)
    assert workflow.to_dict()["1"]["inputs"]["width"] == 32
    assert workflow.outputs == graph.aliases
    assert workflow.node_ids[save] == workflow.copy().node_ids[save] == graph.id_of(save)
    assert graph.to_prompt()["1"]["inputs"]["width"] == 64


def test_the_lazy_package() -> None:
    assert "KSampler" in dir(handmade)
    with pytest.raises(AttributeError, match=r"handmade has no 'KSamplr'. Did you mean KSampler"):
        getattr(handmade, "KSamplr")  # noqa: B009  # checkers know that it is none
    assert attrs.has(handmade.KSampler)


def test_packages_of_another_format() -> None:
    from comfy_trio.graph import require_format

    require_format(1, "nodes")
    with pytest.raises(ImportError, match=r"^nodes was generated by a newer comfy_trio \(format 2"):
        require_format(2, "nodes")
    with pytest.raises(ImportError, match=r"^nodes was generated by an older comfy_trio"):
        require_format(0, "nodes")
