"""The client in a hard world: what must hold does, and what is planted is found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulation import PLANTED, Failure, simulate

SEEDS = int(os.environ.get("SEEDS", "2000"))
STEP = 400
BOUND = 400
"""Seeds within which each planted fault must be found. Most are, within 20."""


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("first", range(0, SEEDS, STEP))
def test_what_must_hold(first: int) -> None:
    ran = python("-m", "simulation", "--first", str(first), "--seeds", str(STEP))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{STEP} seeds in" in ran.stdout
    assert "none failed" in ran.stdout


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_planted_is_found(what: str) -> None:
    with PLANTED[what](), pytest.raises(Failure, match=r"Again: nox -s simulate -- --first \d+"):
        for seed in range(BOUND):
            simulate(seed)


def test_a_seed_is_the_same_world_each_time() -> None:
    program = (
        "from simulation import simulate\n"
        "for seed in range(20): print(*simulate(seed).lines(), sep='\\n')"
    )

    first = python("-c", program, PYTHONHASHSEED="1").stdout
    assert len(first.splitlines()) > 500
    assert first == python("-c", program, PYTHONHASHSEED="2").stdout
