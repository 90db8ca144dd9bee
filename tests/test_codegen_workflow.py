"""Modules for one workflow: what is in them, and that they hold any workflow there is."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import prompts
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripts import template_prompts

from codegen.__main__ import STUBS
from codegen.workflow_module import (
    WorkflowModule,
    WorkflowModuleError,
    generate_workflow_module,
    is_same_module,
)
from comfy_trio import Workflow, WorkflowError, open_comfy
from comfy_trio._prompt import as_link
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parent.parent

NOT_RUN = {"gsl_starter_1_2"}
"""Templates of which nothing is an output."""


@functools.cache
def object_info() -> dict[str, Any]:
    info: dict[str, Any] = json.loads((ROOT / STUBS).read_text(encoding="utf-8"))
    return info


def generate(
    prompt: dict[str, Any],
    info: Mapping[str, object] | None = None,
    *,
    name: str = "some",
    strict_files: bool = False,
) -> WorkflowModule:
    return generate_workflow_module(
        prompt,
        object_info() if info is None else info,
        name=name,
        generator_version="0",
        server_version="0",
        strict_files=strict_files,
    )


def load(source: str) -> Any:
    module = ModuleType("generated")
    exec(compile(source, "generated", "exec"), module.__dict__)
    return module


# --- any workflow ---------------------------------------------------------------------------------


def test_real_workflows(tmp_path: Path) -> None:
    """All official templates, of their canvas files: each is held as it is, and laid out."""
    exported = template_prompts()
    made: set[str] = set()
    for name, prompt in exported.items():
        try:
            generated = generate(Workflow(prompt).to_dict(), name=name)
        except (WorkflowError, WorkflowModuleError):
            continue
        made.add(name)
        assert set(generated.unknown) <= {
            "GetImageSizeAndCount",
            "ImageRemoveAlpha+",
            "AILab_QwenVL",
        }
        module = load(generated.source)
        template = module._TEMPLATE.check_inputs().check_outputs()
        assert template.prompt == prompt
        assert len(set(generated.inputs.values())) == len(generated.inputs)
        for path in generated.inputs.values():
            node_id, _, rest = path.partition(".inputs.")
            assert as_link(prompt[node_id]["inputs"][rest]) is None
        (tmp_path / f"w{len(made)}.py").write_text(generated.source, encoding="utf-8")
    assert exported.keys() - made == NOT_RUN
    ruff = [sys.executable, "-m", "ruff", "format", "--check", "--isolated", "--line-length=100"]
    done = subprocess.run([*ruff, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


TEXT = st.text(max_size=12) | st.sampled_from(['"""', "\\", "\ud800", "\u202e", "class", "comfy"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NODES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "class_type": st.sampled_from(["SaveImage", "KSampler", "CLIPTextEncode"]) | TEXT,
        "inputs": st.dictionaries(
            st.sampled_from(["seed", "text", "images", "sampler_name"]) | TEXT, VALUES, max_size=4
        ),
        "_meta": st.fixed_dictionaries({"title": TEXT}),
    }
)


@given(st.dictionaries(TEXT, NODES, max_size=4), TEXT)
def test_whatever_it_holds_it_is_data(nodes: dict[str, Any], name: str) -> None:
    prompt = {**nodes, "save": prompts.node("SaveImage", images=["x", 0])}
    module = load(generate(prompt, name=name).source)
    assert module._TEMPLATE.prompt == prompt
    functions: list[str] = [each for each in dir(module) if each.startswith("run_")]
    assert [callable(getattr(module, each.removeprefix("run_"))) for each in functions] == [True]
    for each in module._TEMPLATE.inputs:
        assert each.isidentifier()


def test_a_long_chain() -> None:
    length = 3000
    prompt = {
        str(number): prompts.node("ImageInvert", image=[str(number + 1), 0])
        for number in range(length)
    }
    prompt["save"] = prompts.node("SaveImage", images=["0", 0], filename_prefix="x")
    prompt[str(length)] = prompts.node("EmptyImage", width=64)
    assert list(generate(prompt).inputs) == ["filename_prefix", "width"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), json.loads("[" * 99 + "]" * 99)])
def test_what_no_source_can_hold(value: object) -> None:
    prompt = {"1": prompts.node("SaveImage", value=[value])}
    with pytest.raises(WorkflowModuleError, match="it has numbers that are infinite or none, or"):
        generate(prompt)


def test_nothing_to_run() -> None:
    with pytest.raises(WorkflowModuleError, match="it has no output node, such as SaveImage"):
        generate({"1": prompts.node("EmptyImage", width=64)})


# --- names and types ------------------------------------------------------------------------------


def texts(**titles: str) -> dict[str, Any]:
    """Two texts, which a sampler takes as positive and negative."""
    return {
        "save": prompts.node("SaveImage", images=["k", 0]),
        "k": prompts.node("KSampler", positive=["6", 0], negative=["7", 0], seed=1),
        "6": prompts.node("CLIPTextEncode", titles.get("first"), text="a"),
        "7": prompts.node("CLIPTextEncode", titles.get("second"), text="b"),
    }


@pytest.mark.parametrize(
    ("prompt", "keys"),
    [
        (texts(), ["seed", "positive_text", "negative_text"]),
        (texts(first="Good!", second="Bad"), ["seed", "good_text", "bad_text"]),
        (
            texts(first="CLIP Text Encode (Prompt)", second="CLIPTextEncode"),
            ["seed", "positive_text", "negative_text"],
        ),
        (texts(first="Same", second="Same"), ["seed", "positive_text", "negative_text"]),
        (
            {
                **texts(),
                "k": prompts.node("Join", positive=["6", 0], seed=1),
                "save": prompts.node("SaveImage", images=["k", 0], positive=["7", 0]),
            },
            ["seed", "text_6", "text_7"],
        ),
        (
            {**texts(), "k": prompts.node("Join", seed=1, a=["6", 0], text="c", b=["7", 0])},
            ["seed", "join_text", "a_text", "b_text"],
        ),
    ],
)
def test_keys_of_inputs(prompt: dict[str, Any], keys: list[str]) -> None:
    assert list(generate(prompt).inputs) == keys


def test_keys_do_not_depend_on_the_order_of_nodes() -> None:
    prompt = texts(first="Same", second="Same")
    backwards = dict(reversed(prompt.items()))
    assert generate(prompt).inputs == generate(backwards).inputs


def test_keys_of_outputs() -> None:
    outputs = {
        "1": prompts.node("SaveImage", "Final picture"),
        "2": prompts.node("SaveImage", "Save Image"),
        "3": prompts.node("PreviewImage"),
        "4": prompts.node("PreviewImage"),
        "5:6": prompts.node("Custom", x=["7", 0]),
        "7": prompts.node("Custom Source", "dict"),
        "8": prompts.node("EmptyImage"),
    }
    generated = generate(outputs)
    assert generated.outputs == {
        "final_picture": "1",
        "save_image": "2",
        "preview_image_3": "3",
        "preview_image_4": "4",
        "custom": "5:6",
    }
    assert generated.unknown == ("Custom", "Custom Source")
    assert "    custom: dict[str, Any]\n" in generated.source


SPECS: dict[str, tuple[list[Any], object, str]] = {
    "int": (["INT", {"min": 1}], 3, "int"),
    "float": (["FLOAT"], 3, "float"),
    "text": (["STRING"], "x", "str"),
    "flag": (["BOOLEAN"], True, "bool"),
    "short": ([["a", "b"]], "a", 'Literal["a", "b"]'),
    "long": (["COMBO", {"options": [f"option {n}" for n in range(9)]}], "a", "Long"),
    "several": (["COMBO", {"options": ["a"], "multiselect": True}], [], 'Sequence[Literal["a"]]'),
    "numbers": (["COMBO", {"options": [0.5, 1]}], 1, "float"),
    "loose": (["COMBO", {"options": [["a"]]}], ["a"], "JSON"),
    "empty": ([[]], "a", "str"),
    "ckpt_name": ([["a.ckpt"]], "b.ckpt", "CkptName"),
    "union": (["INT,FLOAT"], 1, "int | float"),
    "link": (["IMAGE"], 1, "JSON"),
    "color": (["COLOR", {"socketless": True}], "#fff", "JSON"),
    "anything": (["*"], 5, "JSON"),
    "undeclared": ([], True, "bool"),
}


def test_types_of_inputs() -> None:
    info = {
        "Node": {
            "input": {"required": {name: spec for name, (spec, _, _) in SPECS.items() if spec}},
            "output_node": True,
        }
    }
    prompt = {"1": prompts.node("Node", **{name: value for name, (_, value, _) in SPECS.items()})}
    generated = generate(prompt, info)
    source = generated.source
    keys = {path.rpartition(".")[2]: key for key, path in generated.inputs.items()}
    assert (keys["int"], keys["long"]) == ("node_int", "long")  # for a type is called int
    for name, (_, _, type_) in SPECS.items():
        assert f"    {keys[name]}: {type_}\n" in source
    assert 'CkptName: TypeAlias = Literal["a.ckpt"] | str\n' in source
    strict = generate(prompt, info, strict_files=True).source
    assert '    ckpt_name: Literal["a.ckpt"]\n' in strict


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("Portrait (v2)", "portrait_v2"),
        ("2 people", "workflow_2_people"),
        ("list", "list_workflow"),
        ("comfy", "comfy_workflow"),
        ("result", "result_workflow"),
        ("class", "class_workflow"),
        ("✨", "workflow"),
        ("画像", "画像"),
    ],
)
def test_names_of_functions(name: str, function: str) -> None:
    module = load(generate(prompts.image(), name=name).source)
    assert callable(getattr(module, function))
    assert callable(getattr(module, f"run_{function}"))


# --- differences ----------------------------------------------------------------------------------


def test_what_is_the_same_module() -> None:
    def source(prompt: dict[str, Any], *files: str, strict_files: bool = False) -> str:
        info = {"Node": {"input": {"required": {"ckpt_name": [[*files]]}}, "output_node": True}}
        return generate(prompt, info, strict_files=strict_files).source

    prompt = {"1": prompts.node("Node", ckpt_name="a.ckpt")}
    found = source(prompt, "a.ckpt")
    assert is_same_module(
        found.replace("\n\n\n", "\n\n").replace("comfy_trio 0,", "comfy_trio 1,"), found
    )
    assert is_same_module(found, source(prompt, "b.ckpt"))
    assert not is_same_module(found, source(prompt, "b.ckpt"), strict_files=True)
    other = {"1": prompts.node("Node", ckpt_name="c.ckpt")}
    assert not is_same_module(found, source(other, "a.ckpt"))
    assert not is_same_module("def", found)


# --- runs -----------------------------------------------------------------------------------------


async def test_running_one(autojump_clock: object) -> None:
    async with open_embedded_server() as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            info = await comfy.node.definitions()
            module = load(generate(prompts.image(7), info, name="invert").source)
            outputs = await module.run_invert(comfy, width=32, filename_prefix="mine")
            assert outputs["save_it"]["images"][0]["filename"] == "mine_00001_.png"
            async with comfy.open_job(module.invert(color=5)) as job:
                assert list(await job.wait()) == ["save_it"]
            assert module.invert(color=5).to_dict()["1"]["inputs"]["color"] == 5
            assert module.invert().to_dict() == prompts.image(7)
            with pytest.raises(
                WorkflowError, match=r"no input key 'colour'\. Did you mean 'color'\?"
            ):
                await module.run_invert(comfy, colour=5)
