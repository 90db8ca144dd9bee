"""The programs in ``examples/`` do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, *arguments: str) -> str:
    """Run an example, and return what it prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
def test_pool_failover() -> None:
    told = run("pool_failover.py")
    assert "killing process" in told
    assert told.endswith("200 results, 200 of them distinct\n")
    jobs = [int(number) for number in re.findall(r": (\d+) jobs", told)]
    assert len(jobs) == 3
    assert sum(jobs) == 200


def test_every_example_is_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f"python examples/{path.name}" in listed
