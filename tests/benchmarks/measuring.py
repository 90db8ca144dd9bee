"""What the benchmarks share: rows with a ratio and its spread, the table, processes of their own.

The two sides of a row take turns, round by round, so that a noisy machine is noisy to both. The
ratio of a row is the median of those of its rounds; beside it are their quartiles.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

import comfy_trio

if TYPE_CHECKING:
    from collections.abc import Sequence

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
WIDTH = 52


@attrs.frozen
class Row:
    """One number: what was measured on both sides, by round."""

    what: str
    ours: Sequence[float]
    other: Sequence[float]
    unit: str
    aim: str = ""

    @property
    def ratios(self) -> list[float]:
        """Ours in the other side's, by round; of both medians, where rounds are no pairs."""
        if len(self.ours) == len(self.other):
            return [ours / other for ours, other in zip(self.ours, self.other, strict=True)]
        return [statistics.median(self.ours) / statistics.median(self.other)]

    def __str__(self) -> str:
        ours, other = statistics.median(self.ours), statistics.median(self.other)
        ratios = sorted(self.ratios)
        spread = f"{quartile(ratios, 0.25):.2f} to {quartile(ratios, 0.75):.2f}"
        return (
            f"{self.what:<{WIDTH}} {ours:>10,.4g} {other:>10,.4g} {self.unit:<8}"
            f" {statistics.median(ratios):6.2f}  {spread if len(ratios) > 1 else '':<16} {self.aim}"
        ).rstrip()

    def to_json(self) -> dict[str, Any]:
        """The row as it was measured, and its ratio."""
        return {**attrs.asdict(self), "ratio": statistics.median(self.ratios)}


def quartile(ordered: Sequence[float], share: float) -> float:
    """The value below which a share of them lies, without going between two of them."""
    return ordered[round(share * (len(ordered) - 1))]


@attrs.define
class Report:
    """Where benchmarks put their rows, and what tells how much they are to do."""

    scale: float = 1.0
    """How much of everything is done: 1 for numbers, next to nothing to see that it runs."""
    url: str | None = None
    """The server for those that can do with any; None: an embedded one."""
    rows: list[Row] = attrs.field(factory=list[Row])

    def scaled(self, count: int, *, least: int = 1) -> int:
        """So many, for this scale."""
        return max(least, math.ceil(count * self.scale))

    def add(
        self, what: str, ours: Sequence[float], other: Sequence[float], unit: str, aim: str = ""
    ) -> None:
        """Add a row, and print it at once."""
        self.rows.append(Row(what, ours, other, unit, aim))
        print(self.rows[-1], flush=True)

    def title(self, about: str, ours: str, other: str) -> None:
        """Print what the rows after it have in their columns."""
        print(f"\n{about:<{WIDTH}} {ours:>10} {other:>10} {'':<8}  ratio  quartiles")

    def __str__(self) -> str:
        head = f"{'':<{WIDTH}} {'this':>10} {'beside':>10} {'':<8}  ratio  {'quartiles':<16} aim"
        return "\n".join([head, *map(str, self.rows)])

    def to_json(self) -> str:
        """All rows, and on what they were measured."""
        about = {
            "version": comfy_trio.__version__,
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        }
        return json.dumps({**about, "rows": [row.to_json() for row in self.rows]}, indent=2)


# --- Processes of their own -----------------------------------------------------------------------


def command(module: str, *arguments: object) -> list[str]:
    """The command that runs a benchmark's part, which its module has as `part`."""
    return [sys.executable, "-m", "benchmarks.part", module, *map(str, arguments)]


def environment(*first: Path) -> dict[str, str]:
    """The environment of such a command; packages are looked for in `first` before all else."""
    path = os.pathsep.join(map(str, (*first, TESTS, ROOT)))
    return {**os.environ, "PYTHONPATH": path}


def output_of(module: str, *arguments: object) -> list[float]:
    """Run a benchmark's part, and return the numbers that it prints."""
    done = subprocess.run(
        command(module, *arguments),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    return [float(number) for number in done.stdout.split()]


def peak_memory() -> float:
    """The most memory that this program has had, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, getrusage counts what the process had before this program
        (most,) = re.findall(
            r"^VmHWM:\s+(\d+) kB$", status.read_text(encoding="utf-8"), re.MULTILINE
        )
        return int(most) / 2**10
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)
