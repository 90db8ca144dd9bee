from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_trio import Workflow
from comfy_trio._structure_hash import FILE_SUFFIXES, structure_hash

if TYPE_CHECKING:
    import random

Prompt = dict[str, Any]


def node(class_type: str = "K", /, **inputs: Any) -> Prompt:
    return {"class_type": class_type, "inputs": inputs}


def prompt() -> Prompt:
    return {
        "3": node("KSampler", seed=5, cfg=7.0, model=["4", 0], positive=["6", 0], sampler="euler"),
        "4": node("CheckpointLoaderSimple", ckpt_name="a.safetensors"),
        "6": node("CLIPTextEncode", text="a cat", clip=["4", 1]),
        "9": node("SaveImage", images=["3", 0], lora={"on": True, "file": "b.pt"}),
    }


LITERALS: list[Any] = [1, 2.5, "text", "a.pt", True, None, {"x": 1}]


def test_it_is_a_sha256() -> None:
    assert len(bytes.fromhex(structure_hash(prompt()))) == 32


SAME: list[tuple[str, Any]] = [
    ("3.inputs.seed", -1),
    ("3.inputs.seed", 2**64 - 1),
    ("3.inputs.cfg", 4),
    ("3.inputs.sampler", "ddim"),
    ("6.inputs.text", "A misty forest"),
    ("3._meta.title", "Sampler"),
    ("9.inputs.lora", {"on": False, "file": "b.pt"}),
]
OTHER: list[tuple[str, Any]] = [
    ("3.class_type", "KSamplerAdvanced"),
    ("3.inputs.model", ["4", 1]),
    ("3.inputs.positive", ["4", 0]),
    ("3.inputs.model", 5),
    ("3.inputs.more", 5),
    ("3.inputs.seed", "5"),
    ("3.inputs.cfg", True),
    ("3.inputs.cfg", None),
    ("6.inputs.text", ["3", 0]),
    ("9.inputs.lora", {"on": True, "file": "c.pt"}),
    *(("4.inputs.ckpt_name", f"b{suffix}") for suffix in FILE_SUFFIXES),
    ("4.inputs.ckpt_name", "B.SAFETENSORS"),
]


@pytest.mark.parametrize(("path", "value"), SAME)
def test_settings_do_not_count(path: str, value: object) -> None:
    assert Workflow(prompt()).set(path, value).structure_hash == structure_hash(prompt())


@pytest.mark.parametrize(("path", "value"), OTHER)
def test_structure_counts(path: str, value: object) -> None:
    assert Workflow(prompt()).set(path, value).structure_hash != structure_hash(prompt())


def test_which_nodes_are_bypassed_counts() -> None:
    workflow = Workflow(prompt()).bypass("6")
    assert workflow.structure_hash != structure_hash(prompt())
    assert workflow.structure_hash != Workflow(prompt()).bypass("3").structure_hash
    assert workflow.reinstate("6").structure_hash == structure_hash(prompt())


def test_a_shared_node_is_not_two_alike() -> None:
    diamond = {
        "a": node("A"),
        "b": node("B", x=["a", 0]),
        "c": node("C", x=["a", 0]),
        "d": node("D", x=["b", 0], y=["c", 0]),
    }
    copies = {**diamond, "e": node("A"), "c": node("C", x=["e", 0])}
    assert structure_hash(diamond) != structure_hash(copies)


def test_who_shares_with_whom_counts() -> None:
    """As many of each, each with the same neighbours; only what hangs together differs."""
    alike: Prompt = {
        "hub": node("Checkpoint"),
        "a": node("Text", clip=["hub", 1]),
        "b": node("Text", clip=["hub", 1]),
        "1": node("K", positive=["a", 0], negative=["a", 0]),
        "2": node("K", positive=["b", 0], negative=["b", 0]),
    }
    crossed = {
        **alike,
        "1": node("K", positive=["a", 0], negative=["b", 0]),
        "2": node("K", positive=["b", 0], negative=["a", 0]),
    }
    assert structure_hash(alike) != structure_hash(crossed)


def test_what_is_downstream_counts() -> None:
    fan: Prompt = {"a": node("A"), "b": node("A"), "x": node("X", i=["a", 0])}
    assert structure_hash({**fan, "y": node("Y", i=["a", 0])}) != structure_hash(
        {**fan, "y": node("Y", i=["b", 0])}
    )


def test_prompts_that_no_server_runs_have_one_too() -> None:
    ring = {"1": node("A", x=["2", 0]), "2": node("A", x=["3", 0]), "3": node("A", x=["1", 0])}
    turned = {"2": node("A", x=["1", 0]), "1": node("A", x=["3", 0]), "3": node("A", x=["2", 0])}
    assert structure_hash(ring) == structure_hash(turned)
    assert structure_hash(ring) != structure_hash({**ring, "3": node("B", x=["1", 0])})
    assert structure_hash({"1": node("A", x=["77", 0])}) != structure_hash({"1": node("A")})


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    made: Prompt = {}
    for number in range(draw(st.integers(1, 12))):
        inputs: Prompt = {}
        for name in draw(st.lists(st.sampled_from("xyz"), unique=True)):
            if draw(st.booleans()) and made:
                inputs[name] = [draw(st.sampled_from(sorted(made))), draw(st.integers(0, 1))]
            else:
                inputs[name] = draw(st.sampled_from(LITERALS))
        made[str(number)] = node(draw(st.sampled_from("AB")), **inputs)
    return made


@given(prompts(), st.randoms(use_true_random=False))
def test_ids_and_order_mean_nothing(made: Prompt, shuffler: random.Random) -> None:
    ids = list(made)
    new_ids = dict(zip(ids, shuffler.sample(range(1000), len(ids)), strict=True))
    shuffler.shuffle(ids)

    def renamed(value: Any) -> Any:
        return [str(new_ids[value[0]]), value[1]] if isinstance(value, list) else value

    other: Prompt = {}
    for node_id in ids:
        inputs = list(made[node_id]["inputs"].items())
        shuffler.shuffle(inputs)
        other[str(new_ids[node_id])] = {
            "_meta": {"title": "x"},
            "inputs": {name: renamed(value) for name, value in inputs},
            "class_type": made[node_id]["class_type"],
        }
    assert structure_hash(other) == structure_hash(made)


def chain(length: int) -> Prompt:
    return {"0": node()} | {
        str(number): node(x=[str(number - 1), 0]) for number in range(1, length)
    }


@pytest.mark.parametrize("length", [2_000, 20_000])
def test_long_chains(length: int) -> None:
    started = time.process_time()
    assert structure_hash(chain(length)) != structure_hash(chain(length + 1))
    assert time.process_time() - started < length / 1_000


def test_many_outputs() -> None:
    wide = chain(1_000) | {f"save {number}": node("S", x=["999", 0]) for number in range(1_000)}
    started = time.process_time()
    structure_hash(wide)
    assert time.process_time() - started < 2
