"""The invariants of the pool, over many seeds of misfortune."""

from __future__ import annotations

import os
import random

import pytest
import trio
from pool_simulation import simulate
from trio._core import _run
from trio.testing import MockClock

SEEDS = int(os.environ.get("POOL_SEEDS", "40"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_invariants(seed: int) -> None:
    random.seed(seed)
    _run._r.seed(seed)  # the order in which trio runs tasks
    trio.run(simulate, seed, clock=MockClock(autojump_threshold=0))
