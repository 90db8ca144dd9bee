"""Generated classes at run time: what they accept, keep and refuse."""

from __future__ import annotations

import copy
import inspect
import math
import os
import pickle
import subprocess
import sys
import threading
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from handmade.nodes import (
    CheckpointLoaderSimple,
    EmptyImage,
    ImageInvert,
    ImageStitch,
    KSampler,
    LoraLoader,
    OddNames,
    ResizeImage,
    SaveImage,
    StringFormat,
    Switch,
)

from codegen.identifiers import TAKEN_IN_BODY
from comfy_trio import UnknownNode, WorkflowError, _node_fields, _on_demand
from comfy_trio.graph import Node, Out, OutputNode, autogrow, frozen, within

if TYPE_CHECKING:
    from comfy_trio._node_fields import InputField

CKPT = CheckpointLoaderSimple(ckpt_name="a.safetensors")
IMAGE = EmptyImage()


def loosely(node_class: Any, **inputs: Any) -> Any:
    """Make a node as a program that no checker has seen."""
    return node_class(**inputs)


def test_defaults_are_the_servers() -> None:
    assert (IMAGE.width, IMAGE.batch_size, IMAGE.color) == (512, 1, 0)


def test_nodes_are_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        IMAGE.width = 3  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_nodes_are_equal_only_to_themselves() -> None:
    assert EmptyImage() != EmptyImage()
    assert len({IMAGE, EmptyImage(), IMAGE}) == 2
    assert CKPT.model == CKPT.model
    links: set[object] = {CKPT.model, CKPT.clip}
    assert len(links) == 2


def test_inputs_are_keywords_only() -> None:
    with pytest.raises(TypeError, match="takes 1 positional argument"):
        EmptyImage(512)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"model": CKPT.model}, "missing 1 required keyword-only argument: 'sampler_name'"),
        ({"modle": CKPT.model}, "unexpected keyword argument 'modle'"),
    ],
)
def test_missing_and_unknown_inputs(inputs: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        loosely(KSampler, **inputs)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"width": 0}, "EmptyImage.width is 0; it must be a number from 1 to 16384"),
        ({"width": 16385}, "EmptyImage.width is 16385; it must be a number from 1 to 16384"),
        ({"width": "9"}, "EmptyImage.width is '9'; it must be a number from 1 to 16384"),
        ({"width": math.nan}, "EmptyImage.width is nan; it must be a number from 1 to 16384"),
        ({"width": None}, "EmptyImage.width is None; it must be a number from 1 to 16384"),
    ],
)
def test_numbers_out_of_range(inputs: dict[str, object], message: str) -> None:
    with pytest.raises(WorkflowError) as caught:
        loosely(EmptyImage, **inputs)
    assert str(caught.value) == message
    assert caught.value.input_name == "width"


def test_ranges_with_one_end() -> None:
    assert ResizeImage.Match.Padded(by=10**9).by == 10**9
    with pytest.raises(WorkflowError, match=r"^ResizeImage.Match.Padded.by is -1; .* of 0 or more"):
        ResizeImage.Match.Padded(by=-1)
    with pytest.raises(WorkflowError, match=r"^ResizeImage.Mask.feather is 65; .* up to 64$"):
        ResizeImage.Mask(slot=IMAGE, feather=65)


def test_links_have_no_range_and_seeds_may_be_drawn() -> None:
    assert KSampler(model=CKPT.model, seed=-1, sampler_name="euler").seed == -1
    with pytest.raises(WorkflowError, match="seed is -2"):
        KSampler(model=CKPT.model, seed=-2, sampler_name="euler")
    width = UnknownNode("PrimitiveInt", {"value": 3})
    assert EmptyImage(width=width).width is width


def test_a_node_with_several_outputs_is_no_link() -> None:
    with pytest.raises(WorkflowError) as caught:
        loosely(KSampler, model=CKPT, sampler_name="euler")
    assert str(caught.value) == (
        "KSampler.model is given CheckpointLoaderSimple, which has several outputs; give one of"
        " them: .model, .clip"
    )
    assert caught.value.input_name == "model"


def test_a_node_without_outputs_is_no_link() -> None:
    with pytest.raises(
        WorkflowError, match=r"^ImageInvert.image is given SaveImage, which has no outputs$"
    ):
        loosely(ImageInvert, image=SaveImage(images=IMAGE))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "OddNames.anything is given object, which is neither a link nor JSON"),
        ({"a": [1, {2}]}, r"OddNames.anything\['a'\]\[1\] is given set, which is neither"),
        (math.inf, "OddNames.anything is inf, which JSON does not have"),
        ([IMAGE], r"OddNames.anything\[0\] is a link, which can be no part of a literal value"),
        (("a", 0), r"OddNames.anything is the literal list \['a', 0\], which servers take for a "),
    ],
)
def test_what_is_no_json(value: object, message: str) -> None:
    with pytest.raises(WorkflowError, match=f"^{message}"):
        loosely(OddNames, anything=value)


def test_strings_and_numbers_of_other_classes_pass() -> None:
    class Prefix(StrEnum):
        CATS = "cats"

    assert SaveImage(images=IMAGE, filename_prefix=Prefix.CATS).filename_prefix == "cats"


def test_rows_are_checked_and_out_of_the_callers_reach() -> None:
    images = [IMAGE, EmptyImage()]
    stitch = ImageStitch(images=images)
    images.append(IMAGE)
    assert len(stitch.images) == 2
    assert isinstance(stitch.images, tuple)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([IMAGE], "ImageStitch.images has 1 inputs; it takes 2 to 3"),
        ([IMAGE] * 4, "ImageStitch.images has 4 inputs; it takes 2 to 3"),
        (IMAGE, r"ImageStitch.images is given EmptyImage\[0\], not a list of inputs"),
        ("ab", "ImageStitch.images is given 'ab', not a list of inputs"),
        (
            [IMAGE, CKPT],
            r"ImageStitch.images\[1\] is given CheckpointLoaderSimple, which",
        ),
        ({"image0": IMAGE}, "ImageStitch.images has no 'image0'; the names are none; give a list"),
    ],
)
def test_rows_that_do_not_fit(images: object, message: str) -> None:
    with pytest.raises(WorkflowError, match=f"^{message}"):
        loosely(ImageStitch, images=images)


def test_rows_by_name() -> None:
    assert StringFormat(values={"b": 1}).values == {"b": 1}
    with pytest.raises(WorkflowError, match=r"StringFormat.values has no 'z'; the names are a, b"):
        loosely(StringFormat, values={"z": 1})


def test_numbers_in_a_row_out_of_range() -> None:
    @frozen(kw_only=True)
    class Fresh(Node):
        row: Any = attrs.field(
            default=(), validator=within(0, 1), metadata=autogrow(names=("p", "q"))
        )

    assert Fresh().row == ()
    assert Fresh(row=[0.5, IMAGE]).row == (0.5, IMAGE)
    with pytest.raises(WorkflowError, match=r"Fresh.row\[1\] is 2; it must be .* from 0 to 1"):
        Fresh(row=[1, 2])
    with pytest.raises(WorkflowError, match=r"Fresh.row\['q'\] is 'x'; it must be a number"):
        Fresh(row={"p": 1, "q": "x"})


def test_the_first_of_a_row_by_name_must_be_given() -> None:
    @frozen(kw_only=True)
    class Fresh(Node):
        row: Any = attrs.field(metadata=autogrow(names=("p", "q", "r"), min=2))

    assert Fresh(row={"q": 1, "p": 1}).row == {"q": 1, "p": 1}
    with pytest.raises(WorkflowError, match=r"Fresh.row has no 'q', which must be given$"):
        Fresh(row={"p": 1, "r": 1})


def test_choices_of_another_input() -> None:
    with pytest.raises(WorkflowError) as caught:
        loosely(ResizeImage, image=IMAGE, size=ResizeImage.Match.Padded())
    assert str(caught.value) == (
        "ResizeImage.size is given ResizeImage.Match.Padded, not one of"
        " ResizeImage.Dimensions, ResizeImage.Match"
    )


def test_evolving_makes_another_node() -> None:
    first = KSampler(model=CKPT.model, seed=1, sampler_name="euler")
    second = attrs.evolve(first, seed=2)
    assert (first.seed, second.seed, second.model) == (1, 2, first.model)
    lora = attrs.evolve(LoraLoader(model=CKPT.model), clip=CKPT.clip)
    assert lora.clip_ == CKPT.clip
    assert lora.clip != CKPT.clip


def test_titles() -> None:
    assert CKPT.title == ""
    titled = CKPT.with_title("Base model")
    assert titled.title == "Base model"
    assert titled.ckpt_name == CKPT.ckpt_name
    assert titled != CKPT


def test_what_a_class_knows_of_itself() -> None:
    assert OddNames().class_type == "Odd|Names (x)"
    assert IMAGE.class_type == "EmptyImage"
    assert LoraLoader.output_is_list == (False, True)
    assert [attribute.alias for attribute in attrs.fields(LoraLoader)] == [
        "model",
        "clip",
        "strength_model",
    ]


def test_repr_shows_a_node_but_not_the_graph_behind_it() -> None:
    node: Out[Any] = IMAGE
    for _ in range(100):
        node = ImageStitch(images=[node, node])
    assert repr(node) == "ImageStitch(images=[ImageStitch[0], ImageStitch[0]], shades=[])"
    sampler = KSampler(model=CKPT.model, sampler_name="euler")
    assert repr(sampler) == (
        "KSampler(model=CheckpointLoaderSimple[0], seed=0, steps=20, sampler_name='euler')"
    )


def test_a_switch_is_what_it_switches() -> None:
    switch = Switch(switch=True, on_true=IMAGE, on_false=IMAGE)
    assert SaveImage(images=switch).images is switch


def test_classes_made_by_many_threads_at_once() -> None:
    for _ in range(20):

        @frozen(kw_only=True)
        class Fresh(Node, Out[Any]):
            value: int = attrs.field(default=1, validator=within(0, 9))

        barrier = threading.Barrier(8)
        made: list[int] = []

        def make(node_class: type[Fresh] = Fresh, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            made.append(node_class(value=2).value)  # noqa: B023  # joined below

        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == [2] * 8


def test_a_class_is_made_when_it_is_first_used() -> None:
    @frozen(kw_only=True)
    class Fresh(Node, Out[Any]):
        value: int = attrs.field(default=1)

    assert not isinstance(vars(Fresh)["_input_fields"], tuple)
    assert attrs.has(Fresh)
    assert isinstance(vars(Fresh)["_input_fields"], tuple)


def test_a_class_shows_its_inputs_before_it_is_used() -> None:
    @frozen(kw_only=True)
    class Fresh(Node, Out[Any]):
        value: int = attrs.field(default=1)

    assert list(inspect.signature(Fresh).parameters) == ["value"]


def test_a_class_of_somebody_s_own_on_top_of_one_that_is_not_made_yet() -> None:
    @frozen(kw_only=True)
    class Fresh(Node, Out[Any]):
        value: int = attrs.field(default=1)

    class Plain(Fresh, class_type="Fresh"):
        """Adds no inputs."""

    @frozen(kw_only=True)
    class More(Fresh, class_type="Fresh"):
        other: int = attrs.field(default=2)

    assert dict(Plain(value=3)._wire_inputs()) == {"value": 3}
    assert dict(More(value=3)._wire_inputs()) == {"value": 3, "other": 2}


def test_another_thread_waits_until_a_class_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    @frozen(kw_only=True)
    class Fresh(Node, Out[Any]):
        value: int = attrs.field(default=1)

    at_work, asked, may_go_on = threading.Event(), threading.Event(), threading.Event()
    describe = _node_fields.describe_field

    def slowly(attribute: attrs.Attribute[Any]) -> InputField:
        at_work.set()
        may_go_on.wait(10)
        return describe(attribute)

    sent: list[dict[str, object]] = []

    def send() -> None:
        asked.set()
        sent.append(dict(Fresh()._wire_inputs()))

    monkeypatch.setattr(_on_demand, "describe_field", slowly)
    first = threading.Thread(target=Fresh)
    second = threading.Thread(target=send)
    first.start()
    at_work.wait(10)
    second.start()
    asked.wait(10)
    may_go_on.set()
    first.join()
    second.join()
    assert sent == [{"value": 1}]


def test_copies_are_other_nodes() -> None:
    image = ImageInvert(image=IMAGE)
    for copied in (copy.copy(image), copy.deepcopy(image), pickle.loads(pickle.dumps(image))):
        assert repr(copied) == repr(image)
        assert copied != image
    choice = ResizeImage.Match.Padded(by=3)
    assert repr(pickle.loads(pickle.dumps(choice))) == repr(choice)


def test_a_node_from_another_process_has_its_inputs() -> None:
    program = "import pickle, sys; print(dict(pickle.load(sys.stdin.buffer)._wire_inputs()))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(EmptyImage(width=7)),
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.startswith(b"{'width': 7,")


def test_inputs_that_the_class_does_not_declare() -> None:
    image = EmptyImage()
    node = SaveImage(images=image).with_inputs({"lora 1": {"on": True}})
    node = node.with_title("T").with_inputs({"more": image})
    assert dict(node._wire_inputs()) == {
        "images": image,
        "filename_prefix": "ComfyUI",
        "lora 1": {"on": True},
        "more": image,
    }
    assert node.title == "T"
    for inputs in ({"images": image}, {"more": 1}):
        with pytest.raises(WorkflowError, match=r"the node has that input; give it to the class$"):
            node.with_inputs(inputs)
    with pytest.raises(WorkflowError, match=r"^SaveImage.with_inputs\('x'\) is given object"):
        node.with_inputs({"x": object()})
    unknown = UnknownNode("X", {"a": 1}).with_inputs({"b": 2})
    assert dict(unknown._wire_inputs()) == {"a": 1, "b": 2}


def test_classes_that_derive_from_a_generated_one() -> None:
    @frozen(kw_only=True)
    class Sharp(Switch[Any]):
        on_true: Out[Any]
        switch: bool | Out[Any] = True

    assert Sharp(on_true=IMAGE, on_false=IMAGE).class_type == "ComfySwitchNode"


def test_names_of_the_runtime_are_not_given_to_inputs() -> None:
    names = {name for name in dir(OutputNode) if not name.startswith("_")}
    assert names <= TAKEN_IN_BODY


def test_unknown_nodes() -> None:
    node = UnknownNode("Some Node", {"image": IMAGE, "odd name": [1, 2]})
    assert (node.class_type, node.inputs["image"]) == ("Some Node", IMAGE)
    assert SaveImage(images=node.output(1)).images == node.output(1)
    assert SaveImage(images=node).images is node
    assert node.with_title("T").title == "T"
    with pytest.raises(WorkflowError, match=r"Some Node: outputs are numbered from 0, not -1"):
        node.output(-1)
    with pytest.raises(WorkflowError, match=r"Some Node.model is given CheckpointLoaderSimple"):
        UnknownNode("Some Node", {"model": CKPT})
