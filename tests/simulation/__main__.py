"""Runs many worlds: ``python -m simulation --seeds 1000``; see `nox -s simulate`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections import Counter
from multiprocessing import Pool

from . import Failure, simulate


def run(seed: int) -> tuple[int, Counter[str], str]:
    """Run a world; return its seed, how much was harmed in it, and what failed."""
    try:
        return seed, simulate(seed).faults, ""
    except Failure as failure:
        return seed, Counter(), str(failure)


def main() -> int:
    """Print what failed and how much was harmed, and return whether anything failed."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: 0)")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many at once")
    options = parser.parse_args()
    logging.getLogger("comfy_trio").setLevel(logging.CRITICAL + 1)
    faults: Counter[str] = Counter()
    failed: list[int] = []
    began = time.perf_counter()
    with Pool(options.processes) as pool:
        seeds = range(options.first, options.first + options.seeds)
        for seed, harmed, failure in pool.imap_unordered(run, seeds, chunksize=8):
            faults += harmed
            if failure:
                failed.append(seed)
                print(failure, flush=True)
    seconds = time.perf_counter() - began
    print(f"{options.seeds} seeds in {seconds:.0f} s, {options.seeds / seconds:.1f} a second")
    for kind, count in sorted(faults.items()):
        print(f"  {count:8,}  {kind}")
    print(f"failed: {sorted(failed)}" if failed else "none failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
