"""``python -m benchmarks.part MODULE ...``: what a benchmark has done in a process of its own."""

from __future__ import annotations

import sys
from importlib import import_module

if __name__ == "__main__":
    import_module(f"benchmarks.{sys.argv[1]}").part(*sys.argv[2:])
