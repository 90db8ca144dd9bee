"""Prompts whose inputs and outputs have names."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Literal, TypeAlias

import prompts
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_trio import Comfy, PromptBuilder, WorkflowError, open_comfy
from comfy_trio._util import is_list, is_object
from comfy_trio.testing import open_embedded_server

Builder: TypeAlias = PromptBuilder[Literal["color", "size", "prefix"], Literal["images"]]


def empty() -> Builder:
    return PromptBuilder(prompts.image(7), inputs=("color", "size", "prefix"), outputs=("images",))


def builder() -> Builder:
    return (
        empty()
        .set_input_node("color", "1.inputs.color")
        .set_input_node("size", "1.inputs.width", "1.inputs.height")
        .set_input_node("prefix", "9.inputs.filename_prefix")
        .set_output_node("images", "9")
    )


def test_one_key_sets_several_inputs() -> None:
    small = builder().input("size", 32).input("color", None)
    inputs = small.prompt["1"]["inputs"]
    assert (inputs["width"], inputs["height"], inputs["color"]) == (32, 32, None)
    more = builder().append_input_node("size", "1.inputs.batch_size", "1.inputs.width")
    assert more.inputs["size"] == ("1.inputs.width", "1.inputs.height", "1.inputs.batch_size")
    assert more.set_input_node("size", "1.inputs.width").inputs["size"] == ("1.inputs.width",)


def test_what_keys_stand_for_can_be_said_at_once() -> None:
    at_once = Builder(
        prompts.image(7),
        inputs={
            "color": "1.inputs.color",
            "size": ["1.inputs.width", "1.inputs.height"],
            "prefix": "9.inputs.filename_prefix",
        },
        outputs={"images": "9"},
    )
    assert at_once.to_json() == builder().to_json()
    one_by_one = builder().input("size", 5).input("color", 6)
    assert at_once.batch_inputs({"size": 5, "color": 6}).to_json() == one_by_one.to_json()


def test_every_change_makes_another_builder() -> None:
    first = builder()
    text = first.to_json()
    for changed in (
        first.input("size", 32),
        first.input_raw("2._meta.title", "Invert"),
        first.set_input_node("size", "1.inputs.width"),
        first.append_raw_input_node("size", "2.inputs.more"),
        first.set_output_node("images", "2"),
        first.bypass("2"),
    ):
        assert changed is not first
        assert changed.to_json() != text
        assert first.to_json() == text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.sampled_from(["color", "size", "prefix"]), VALUES), max_size=4))
def test_nothing_is_shared(changes: list[tuple[Literal["color", "size", "prefix"], Any]]) -> None:
    source = prompts.image(7)
    seen = [(start := builder(), start.to_json())]
    given: list[Any] = [source]
    for key, value in changes:
        given.append(value)
        seen.append((after := seen[-1][0].input(key, value), after.to_json()))
        given.append(after.prompt)
        given.append(after.to_workflow().to_dict())
        given.append(after.inputs)
    for value in given:
        spoil(value)
    for each, text in seen:
        assert each.to_json() == text


def spoil(value: Any) -> None:
    if is_object(value):
        for item in value.values():
            spoil(item)
        value["spoiled"] = True
    elif is_list(value):
        for item in value:
            spoil(item)
        value.append("spoiled")


def test_a_prompt_that_was_given_is_the_callers() -> None:
    source = prompts.image(7)
    made = PromptBuilder[Literal["color"], Literal["images"]](source, ("color",), ("images",))
    spoil(source["1"])
    assert made.prompt == prompts.image(7)


def test_nodes_to_leave_out() -> None:
    one = builder().bypass("2", "1").reinstate("1", "9")
    assert one.bypassed == ("2",)
    again = Builder.from_json(one.bypass("2").to_json())
    assert again.bypassed == again.to_workflow().bypassed == ("2",)
    assert again.reinstate("2").to_json() == builder().to_json()
    assert again.prompt == builder().prompt


def test_separators_of_a_system() -> None:
    path = "a/b\\c.png"
    prefix: dict[str | None, Any] = {
        system: builder().input("prefix", path, os=system).prompt["9"]["inputs"]["filename_prefix"]
        for system in (None, "nt", "posix")
    }
    assert prefix == {None: path, "nt": "a\\b\\c.png", "posix": "a/b/c.png"}
    raw = builder().input_raw("9.inputs.filename_prefix", path, os="nt")
    assert raw.prompt["9"]["inputs"]["filename_prefix"] == "a\\b\\c.png"
    assert builder().input("size", 5, os="nt").prompt["1"]["inputs"]["width"] == 5


def test_raw_paths_are_for_inputs_that_are_to_come() -> None:
    raw = empty().set_raw_input_node("color", "1.inputs.extra")
    assert raw.input("color", [1]).prompt["1"]["inputs"]["extra"] == [1]
    assert builder().input_raw("2.inputs.new.part", 1).prompt["2"]["inputs"]["new.part"] == 1
    dangling = (
        builder().set_raw_input_node("color", "77.inputs.x").set_raw_output_node("images", "78")
    )
    with pytest.raises(WorkflowError, match=r"the input key 'color' \('77.inputs.x'\): .* '77'"):
        dangling.check_inputs()
    with pytest.raises(WorkflowError, match=r"^input\('color'\), '77\.inputs\.x': there is no"):
        dangling.input("color", 1)
    with pytest.raises(WorkflowError, match=r"stand for no node: 'images' \(node '78', missing\)"):
        dangling.to_workflow()


Wrong: TypeAlias = Callable[[], object]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: builder().input("sice", 1),  # type: ignore[arg-type]
            r"^input\('sice'\): .* key 'sice'\. Did you mean 'size'\? The input keys are color,",
        ),
        (
            lambda: empty().batch_inputs({"size": 1}),
            r"^batch_inputs\('size'\): 'size' stands for nothing yet",
        ),
        (
            lambda: PromptBuilder(prompts.image(), {"a": "1.inputs.b"}, ()),
            r"^inputs\['a'\]: .* has no input 'b'",
        ),
        (lambda: PromptBuilder(prompts.image(), (), {"a": "8"}), r"^outputs\['a'\]: there is no"),
        (lambda: empty().input("size", 1), r"^input\('size'\): 'size' stands for nothing yet"),
        (lambda: empty().set_input_node("size"), r"^set_input_node\('size'\): no path is given"),
        (
            lambda: empty().set_input_node("size", "8.inputs.x"),
            r"^set_input_node\('size'\): there is no node '8'",
        ),
        (
            lambda: empty().append_input_node("size", "1.inputs.widht"),
            r"^append_input_node\('size'\): .* has no input 'widht'\. Did you mean 'width'",
        ),
        (lambda: empty().set_input_node("size", "1.width"), "'width' follows the node; write"),
        (
            lambda: empty().append_raw_input_node("nope", "1.inputs.x"),  # type: ignore[arg-type]
            r"^append_raw_input_node\('nope'\): there is no input key 'nope'\. The input keys are",
        ),
        (lambda: empty().input_raw("1", 1), "nothing follows the node"),
        (lambda: empty().input_raw("1.class_type", 1), "a class_type is a string, not 1"),
        (
            lambda: empty().set_output_node("images", "99"),
            "there is no node '99'. Did you mean '9'?",
        ),
        (
            lambda: empty().set_output_node("image", "9"),  # type: ignore[arg-type]
            r"there is no output key 'image'\. Did you mean 'images'\? The output keys are images",
        ),
        (lambda: empty().bypass("3"), r"^bypass\('3'\): there is no node '3'"),
        (lambda: empty().reinstate("3"), r"^reinstate\('3'\): there is no node '3'"),
        (lambda: empty().check_outputs(), r"stand for no node: 'images' \(nothing\)"),
        (lambda: empty().check_inputs(), "the input key 'color' stands for nothing"),
        (lambda: PromptBuilder(prompts.image(), "seed", ()), r"write a tuple: \('seed',\)"),
        (lambda: PromptBuilder(prompts.image(), ("a", "a"), ()), "an empty key, or one twice"),
        (lambda: PromptBuilder(prompts.image(), ("a",), ("",)), "outputs has an empty key"),
        (lambda: PromptBuilder({"nodes": []}, ("a",), ()), "canvas format"),
        (lambda: builder().input("size", {1, 2}).to_json(), "'width' of node 1 .* not JSON"),
        (
            lambda: builder().input("size", float("nan")).to_json(),
            "'width' of node 1 .* nan",
        ),
        (lambda: builder().input_raw("1._meta.x", {1}).to_json(), "cannot be written as JSON"),
    ],
)
def test_what_is_refused(wrong: Wrong, message: str) -> None:
    with pytest.raises(WorkflowError, match=message):
        wrong()


def test_cycles_of_any_length() -> None:
    loop = {
        str(number): prompts.node("ImageInvert", image=[str((number + 1) % 5000), 0])
        for number in range(5000)
    }
    made = PromptBuilder[Literal["in"], Literal["out"]](loop, inputs=("in",), outputs=("out",))
    ready = made.set_input_node("in", "7.inputs.image").set_output_node("out", "7")
    with pytest.raises(WorkflowError, match=r"^the nodes form a cycle: .*more characters"):
        ready.check()
    assert ready.input("in", None).check() is not None


class Key(StrEnum):
    SIZE = "size"
    COLOR = "color"


def test_keys_of_an_enumeration() -> None:
    made = PromptBuilder(prompts.image(7), inputs=Key, outputs=("images",))
    ready = made.set_input_node(Key.SIZE, "1.inputs.width").set_output_node("images", "9")
    assert ready.input(Key.SIZE, 5).prompt["1"]["inputs"]["width"] == 5
    again = PromptBuilder[Key, Literal["images"]].from_json(ready.to_json())
    assert again.input(Key.SIZE, 5).to_json() == ready.input(Key.SIZE, 5).to_json()
    assert repr(made) == "<PromptBuilder of 3 nodes, size, color -> images>"


def test_what_is_bypassed_may_be_one_name_or_several() -> None:
    for names, bypassed in (("2", ("2",)), (["2", "1", "2"], ("2", "1")), (None, ())):
        saved = {"prompt": prompts.image(7), "bypassNodes": names}
        assert Builder.from_json(json.dumps(saved)).bypassed == bypassed
    with pytest.raises(WorkflowError, match="'bypassNodes' has 2 where a string belongs"):
        Builder.from_json(json.dumps({"prompt": prompts.image(7), "bypassNodes": 2}))
    texts = json.dumps({"prompt": {"1": prompts.node("A", x=float("nan"))}})
    assert Builder.from_json(texts).prompt == {"1": prompts.node("A", x=None)}


def test_another_process_can_replay_it() -> None:
    for each in (builder().input("prefix", "ü\ud83d/x"), empty()):
        assert each.to_json().encode()
        again = Builder.from_json(each.to_json())
        assert again.to_json() == each.to_json()
        assert (again.prompt, again.inputs, again.outputs) == (
            *(each.prompt, each.inputs, each.outputs),
        )


def test_what_the_typescript_sdk_writes() -> None:
    saved: dict[str, Any] = {
        "prompt": prompts.image(7),
        "mapInputKeys": {"color": "1.inputs.color", "size": ["1.inputs.width", "1.inputs.height"]},
        "mapOutputKeys": {"images": "9"},
        "bypassNodes": [],
    }
    read = Builder.from_json(json.dumps(saved).encode())
    assert read.input("size", 5).prompt["1"]["inputs"]["height"] == 5
    assert read.to_workflow().outputs == {"images": "9"}


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "it has no 'prompt'"),
        ('{"prompt": {}}', "the prompt builder's prompt has no nodes"),
        ({"version": 2}, "written by another version: its format is 2, and this one reads 1"),
        ({"mapInputKeys": []}, "'mapInputKeys' is no JSON object"),
        ({"mapInputKeys": {"size": [5]}}, "'size' has 5 where a string belongs"),
        ({"mapOutputKeys": {"images": {}}}, "'images' has {} where a string belongs"),
        ({"bypassNodes": [4]}, "'bypassNodes' has 4 where a string belongs"),
    ],
)
def test_what_is_no_saved_builder(saved: str | dict[str, Any], message: str) -> None:
    text = saved if isinstance(saved, str) else json.dumps({"prompt": prompts.image(), **saved})
    with pytest.raises(WorkflowError, match=message):
        PromptBuilder[Any, Any].from_json(text)


async def each_way(comfy: Comfy) -> list[str]:
    named = builder()
    async with comfy.open_job(named.input("prefix", "job")) as job:
        pass
    results = [
        await comfy.run(named.input("prefix", "run")),
        await (await comfy.submit(named.input("prefix", "submit"))).wait(),
        await job.wait(),
    ]
    return [result["images"]["images"][0]["filename"] for result in results]


async def test_running_one(autojump_clock: object) -> None:
    async with open_embedded_server() as server:
        async with open_comfy(transport=server.transport) as comfy:
            names = await each_way(comfy)
    assert names == ["run_00001_.png", "submit_00001_.png", "job_00001_.png"]
