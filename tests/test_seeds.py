from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_trio._seeds import SeedRange, draw_seed, fill_seeds, seed_range, wants_seeds


def node(**inputs: Any) -> dict[str, Any]:
    return {"class_type": "K", "inputs": inputs}


def declare(**options: Any) -> dict[str, Any]:
    return {"input": {"required": {"seed": ["INT", options]}}}


RANGES: list[tuple[dict[str, Any], SeedRange]] = [
    (declare(default=0, min=0, max=2**64 - 1), SeedRange(0, 2**64 - 1)),
    (declare(min=5, max=9), SeedRange(5, 9)),
    (declare(min=-1, max=9), SeedRange(0, 9)),
    (declare(max=1.8446744073709552e19), SeedRange(0, 2**64 - 1)),
    (declare(default=0), SeedRange()),
    (declare(min=9, max=5), SeedRange()),
    (declare(max="many"), SeedRange()),
    (declare(min=-math.inf, max=math.inf), SeedRange(0, 2**64 - 1)),
    (declare(min=math.nan, max=math.nan), SeedRange(0, 2**64 - 1)),
    (declare(min=math.inf, max=7), SeedRange()),
    (declare(max=-math.inf), SeedRange()),
    ({"input": {"optional": {"seed": ["INT", {"max": 7}]}}}, SeedRange(0, 7)),
    ({"input": {"required": {"seed": ["INT"]}}}, SeedRange()),
    ({"input": {"required": {"seed": "INT"}, "hidden": None}}, SeedRange()),
    ({"input": None}, SeedRange()),
    ({}, SeedRange()),
]


@pytest.mark.parametrize(("declaration", "limits"), RANGES)
def test_the_range_is_the_inputs_own(declaration: dict[str, Any], limits: SeedRange) -> None:
    assert seed_range(declaration, ("seed",)) == limits


def test_two_inputs_of_one_node_get_one_seed_that_fits_both() -> None:
    declaration = {
        "input": {
            "required": {"seed": ["INT", {"min": 3, "max": 99}]},
            "optional": {"noise_seed": ["INT", {"min": 0, "max": 50}]},
        }
    }
    limits = seed_range(declaration, ("seed", "noise_seed"))
    assert limits == SeedRange(3, 50)
    prompt = {"1": node(seed=-1, noise_seed=-1)}
    assert fill_seeds(prompt, {"1": limits}, lambda limits: limits.max) == {"1": 50}
    assert prompt == {"1": node(seed=50, noise_seed=50)}


def test_only_seeds_of_minus_one_are_drawn() -> None:
    prompt = {
        "1": node(seed=-1),
        "2": node(noise_seed=-1.0),
        "3": node(seed=7),
        "4": node(seed=["1", 0]),
        "5": node(steps=-1, seed=True),
    }
    assert wants_seeds(prompt) == {"1": ("seed",), "2": ("noise_seed",)}
    drawn = fill_seeds(prompt, {})
    assert drawn.keys() == {"1", "2"}
    assert prompt["1"]["inputs"]["seed"] == drawn["1"]
    assert prompt["2"]["inputs"]["noise_seed"] == drawn["2"]
    assert prompt["4"]["inputs"]["seed"] == ["1", 0]


@given(st.integers(0, 2**64), st.integers(0, 2**64))
def test_draws_stay_within_the_range(low: int, extra: int) -> None:
    assert low <= draw_seed(SeedRange(low, low + extra)) <= low + extra
