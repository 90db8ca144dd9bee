"""Prompts around their bypassed nodes: the rules of the canvas, and runs of what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import prompts
import pytest

from comfy_trio import Comfy, Workflow, WorkflowError
from comfy_trio._bypass import bypass, classes_concerned

if TYPE_CHECKING:
    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer

node = prompts.node
Prompt = prompts.Prompt


def declare(outputs: list[Any], /, **required: Any) -> dict[str, Any]:
    inputs: Any = {
        name: [spec] if isinstance(spec, str) else spec for name, spec in required.items()
    }
    return {"input": {"required": inputs}, "output": outputs}


DECLARATIONS: dict[str, Any] = {
    "Load": declare(["MODEL", "CLIP", "VAE"]),
    "Lora": declare(
        ["MODEL", "CLIP"], strength="FLOAT", name=[["a.pt"]], model="MODEL", clip="CLIP"
    ),
    "Swap": declare(["CLIP", "MODEL"], model="MODEL", clip="CLIP"),
    "Invert": declare(["IMAGE"], image="IMAGE"),
    "Encode": declare(["CONDITIONING"], clip="CLIP", text=["STRING", {"multiline": True}]),
    "Show": declare([], source="*"),
    "Sum": declare(["INT"], a="INT", b=["INT", {"forceInput": True}], c=["INT", {}]),
    "Silent": declare(["INT"], a=["INT", {"socketless": True}]),
    "Switch": declare(
        ["COMFY_MATCHTYPE_V3"],
        on=["BOOLEAN"],
        no=["COMFY_MATCHTYPE_V3", {"template": {"allowed_types": "*"}}],
        yes=["COMFY_MATCHTYPE_V3", {"template": {"allowed_types": "*"}}],
    ),
    "Batch": declare(
        ["IMAGE"],
        images=[
            "COMFY_AUTOGROW_V3",
            {
                "template": {
                    "input": {"required": {"image": ["IMAGE"]}},
                    "prefix": "image",
                    "min": 1,
                    "max": 9,
                }
            },
        ],
    ),
    "Choice": declare([["a", "b"]], choice=[["a", "b"]]),
    "Odd": {"input": {"required": {"x": ["COMFY_AUTOGROW_V3"], "y": "?"}}, "output": ["IMAGE"]},
}

REWIRED: list[tuple[str, Prompt, Prompt]] = [
    (
        "each output gets the input of its type",
        {
            "1": node("Load"),
            "2": node("Lora", model=["1", 0], clip=["1", 1], strength=1.0),
            "3": node("Encode", clip=["2", 1], text="x"),
            "4": node("Show", source=["2", 0]),
        },
        {"3": node("Encode", clip=["1", 1], text="x"), "4": node("Show", source=["1", 0])},
    ),
    (
        "the type counts, where the place does not fit",
        {
            "1": node("Load"),
            "2": node("Swap", model=["1", 0], clip=["1", 1]),
            "3": node("Encode", clip=["2", 0]),
        },
        {"3": node("Encode", clip=["1", 1])},
    ),
    (
        "an input that takes all gets what is at the place of the output",
        {
            "1": node("Load"),
            "2": node("Swap", model=["1", 0], clip=["1", 1]),
            "4": node("Show", source=["2", 0]),
        },
        {"4": node("Show", source=["1", 0])},
    ),
    (
        "of a consumer that nobody knows, the output's type is asked for",
        {
            "1": node("Load"),
            "2": node("Swap", model=["1", 0], clip=["1", 1]),
            "4": node("Unknown", source=["2", 0]),
        },
        {"4": node("Unknown", source=["1", 1])},
    ),
    (
        "what nothing stands in for is left out",
        {"2": node("Invert"), "4": node("Show", source=["2", 0], more=1)},
        {"4": node("Show", more=1)},
    ),
    (
        "no input is of the type",
        {"2": node("Encode", clip=["1", 1]), "4": node("Invert", image=["2", 0])},
        {"4": node("Invert")},
    ),
    (
        "a widget's input counts if it is linked, and comes after those that are none",
        {"2": node("Sum", a=["1", 0], b=["1", 1], c=5), "4": node("Sum", a=["2", 0], b=3)},
        {"4": node("Sum", a=["1", 1], b=3)},
    ),
    (
        "a widget's value stands in for nothing",
        {"2": node("Choice", choice="a"), "4": node("Choice", choice=["2", 0])},
        {"4": node("Choice")},
    ),
    (
        "a combo's link does",
        {"2": node("Choice", choice=["1", 0]), "4": node("Choice", choice=["2", 0])},
        {"4": node("Choice", choice=["1", 0])},
    ),
    (
        "an input without a socket stands in for nothing",
        {"2": node("Silent", a=["1", 0]), "4": node("Sum", a=["2", 0])},
        {"4": node("Sum")},
    ),
    (
        "types that match whatever comes",
        {
            "2": node("Switch", on=True, no=["1", 0], yes=["1", 1]),
            "4": node("Encode", clip=["2", 0]),
        },
        {"4": node("Encode", clip=["1", 0])},
    ),
    (
        "inputs that grow",
        {
            "2": node("Batch", **{"images.image0": ["1", 0], "images.image1": ["1", 1]}),
            "4": node("Invert", image=["2", 0]),
        },
        {"4": node("Invert", image=["1", 0])},
    ),
    (
        "an odd declaration",
        {"2": node("Odd", x=["1", 0]), "4": node("Invert", image=["2", 0])},
        {"4": node("Invert")},
    ),
    (
        "an output that the class does not have",
        {"2": node("Invert", image=["1", 0]), "4": node("Invert", image=["2", 7])},
        {"4": node("Invert", image=["1", 0])},
    ),
]


@pytest.mark.parametrize(
    ("prompt", "expected"), [case[1:] for case in REWIRED], ids=[case[0] for case in REWIRED]
)
def test_rewiring(prompt: Prompt, expected: Prompt) -> None:
    prompt = {"1": node("Load"), **prompt}
    before = repr(prompt)
    assert bypass(prompt, ["2"], DECLARATIONS) == {"1": node("Load"), **expected}
    assert repr(prompt) == before


def chain(length: int) -> Prompt:
    made = {"0": node("Load")}
    for number in range(1, length):
        made[str(number)] = node("Invert", image=[str(number - 1), 0])
    return made


def test_chains_are_followed_however_long() -> None:
    made = chain(5_000)
    for number in range(4_999):
        made[f"see {number}"] = node("Show", source=[str(number), 0])
    bypassed = [str(number) for number in range(1, 5_000)]
    result = bypass(made, bypassed, DECLARATIONS)
    assert len(result) == 1 + 4_999
    assert all(each["inputs"] == {"source": ["0", 0]} for key, each in result.items() if key != "0")


def test_a_circle_of_bypassed_nodes_feeds_nothing() -> None:
    circle = {
        "1": node("Invert", image=["2", 0]),
        "2": node("Invert", image=["1", 0]),
        "3": node("Show", source=["2", 0]),
    }
    assert bypass(circle, ["1", "2"], DECLARATIONS) == {"3": node("Show")}


def test_an_unknown_class_matters_only_if_it_feeds_something() -> None:
    made = {"1": node("Load"), "2": node("Gone", "Mine", x=["1", 0])}
    assert bypass(made, ["2"], DECLARATIONS) == {"1": node("Load")}
    made["3"] = node("Show", source=["2", 0])
    with pytest.raises(WorkflowError, match=r'node 2 \(Gone, "Mine"\) is bypassed, but') as caught:
        bypass(made, ["2"], DECLARATIONS)
    assert caught.value.node_id == "2"


def test_only_the_classes_at_issue_are_asked_for() -> None:
    made = {**chain(4), "8": node("Show", source=["3", 0]), "9": node("Encode", text="x")}
    assert classes_concerned(made, ["3"]) == ("Show", "Invert")
    assert classes_concerned(made, ["8", "9"]) == ()


def test_bypassing_and_reinstating() -> None:
    workflow = Workflow(prompts.image()).bypass("2", "1", "2")
    assert workflow.bypassed == ("2", "1")
    assert workflow.copy().reinstate("2").reinstate("2", "9").bypassed == ("1",)
    assert workflow.bypassed == ("2", "1")
    assert "2" in workflow.to_dict()
    for change in (workflow.bypass, workflow.reinstate):
        with pytest.raises(WorkflowError, match="there is no node '77'"):
            change("9", "77")
    assert workflow.bypassed == ("2", "1")


async def test_a_run_without_bypassed_nodes(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    prompt = prompts.image()
    prompt["3"] = node("ImageInvert", image=["2", 0])
    prompt["9"]["inputs"]["images"] = ["3", 0]
    workflow = Workflow(prompt).bypass("2", "3")
    result = await comfy.run(workflow)
    assert server.statistics().requests["GET /object_info/{node_class}"] == 2
    await comfy.run(workflow)
    assert server.statistics().requests["GET /object_info/{node_class}"] == 2
    picture = await comfy.file.read(result["9"]["images"][0])
    made_by = {"1": prompt["1"], "9": node_with(prompt["9"], images=["1", 0])}
    assert Workflow.from_bytes(picture).to_dict() == made_by
    assert workflow.resolved_prompt(await comfy.node.definitions()) == made_by


def node_with(each: Prompt, **inputs: Any) -> Prompt:
    return {**each, "inputs": {**each["inputs"], **inputs}}


async def test_seeds_of_bypassed_nodes_are_not_drawn(
    autojump_clock: MockClock, comfy: Comfy
) -> None:
    prompt = prompts.image()
    prompt["2"]["inputs"]["seed"] = -1
    assert (await comfy.run(prompt)).auto_seeds.keys() == {"2"}
    assert (await comfy.run(Workflow(prompt).bypass("2"))).auto_seeds == {}


async def test_a_bypassed_node_that_is_broken_is_no_matter(
    autojump_clock: MockClock, comfy: Comfy
) -> None:
    prompt = prompts.image()
    prompt["2"]["inputs"]["other"] = ["77", 0]
    assert "9" in await comfy.run(Workflow(prompt).bypass("2"))


async def test_what_cannot_be_bypassed_is_told_before_anything_is_sent(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    prompt = prompts.image()
    collected = Workflow(prompt).output("images:9").bypass("9")
    prompt["2"]["class_type"] = "NoSuchClass"
    unknown = Workflow(prompt).bypass("2")
    for workflow, message in (
        (collected, r"output 'images' is that of node 9 .*which is bypassed: reinstate\('9'\)"),
        (unknown, "node 2 .NoSuchClass. is bypassed, but the server has no class 'NoSuchClass'"),
    ):
        with pytest.raises(WorkflowError, match=message):
            await comfy.run(workflow)
    with pytest.raises(WorkflowError, match="output 'images' is that of node 9"):
        collected.check()
    assert "POST /prompt" not in server.statistics().requests
