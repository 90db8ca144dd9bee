"""The client in a hard world: what must hold does, and what is planted is found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulation import PLANTED, Failure, simulate

SEEDS = int(os.environ.get("SEEDS", "300"))
STEP = 20
BOUND = 150
"""Seeds within which each planted fault must be found."""


@pytest.mark.parametrize("first", range(0, SEEDS, STEP))
def test_what_must_hold(first: int) -> None:
    for seed in range(first, first + STEP):
        simulate(seed)


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_planted_is_found(what: str) -> None:
    with PLANTED[what](), pytest.raises(Failure, match=r"Again: python -m simulation --first \d+"):
        for seed in range(BOUND):
            simulate(seed)


def test_a_seed_is_the_same_world_each_time() -> None:
    program = (
        "from simulation import simulate\n"
        "for seed in range(5): print(*simulate(seed).lines, sep='\\n')"
    )

    def run(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
            env=environment,
        ).stdout

    first = run("1")
    assert len(first.splitlines()) > 150
    assert first == run("2")
