"""Runs many worlds: ``python -m simulation --seeds 1000``; see `nox -s simulate`."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import time
from collections import Counter
from multiprocessing import Pool
from typing import TYPE_CHECKING

from . import PLANTED, Failure, simulate

if TYPE_CHECKING:
    from collections.abc import Mapping

CHUNK = 8
"""Worlds that a process is given at a time."""


def run(seed: int) -> tuple[int, Counter[str], Counter[str], str]:
    """Run a world; return its seed, what was harmed, how jobs ended, and what failed."""
    try:
        history = simulate(seed)
    except Failure as failure:
        return seed, Counter(), Counter(), str(failure)
    return seed, history.faults, history.outcomes, ""


def set_up(planted: str | None) -> None:
    """Make a process ready for many worlds."""
    # The embedded server logs what goes wrong in it, and the client what goes wrong in the network.
    logging.disable(logging.CRITICAL)
    if planted is not None:
        PLANTED[planted]().__enter__()
    gc.collect()
    gc.freeze()


def table(title: str, counts: Mapping[str, int]) -> str:
    """Return counts as lines of text."""
    lines = [f"  {count:10,}  {kind}" for kind, count in sorted(counts.items())]
    return "\n".join([title, *lines])


def main() -> int:
    """Print what failed and how much was harmed, and return whether anything failed."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: 0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at once")
    parser.add_argument("--planted", choices=[*PLANTED], help="a fault to plant in the client")
    options = parser.parse_args()
    faults: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    failed: list[int] = []
    began = time.perf_counter()
    seeds = range(options.first, options.first + options.seeds)
    with Pool(options.jobs, set_up, [options.planted]) as pool:
        for seed, harmed, told, failure in pool.imap_unordered(run, seeds, CHUNK):
            faults += harmed
            outcomes += told
            if failure:
                failed.append(seed)
                print(failure, end="\n\n", flush=True)
    seconds = time.perf_counter() - began
    print(table("faults:", faults))
    print(table(f"{outcomes.total():,} jobs:", outcomes))
    print(f"{options.seeds:,} seeds in {seconds:.0f} s, {options.seeds / seconds:.1f} a second")
    print(f"failed: {sorted(failed)}" if failed else "none failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
