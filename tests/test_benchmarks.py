"""Each benchmark runs, and yields rows; how fast anything is, is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from benchmarks import __main__ as command_line
from benchmarks.measuring import Report, Row, environment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        pytest.param(
            "client",
            3,
            # In the bare side trio-websocket leaves open a socket whose other end was closed.
            marks=pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
        ),
        ("telemetry", 2),
        ("pool", 12),
        ("files", 6),
        ("workflows", 32),
        pytest.param("nodes", 8, marks=pytest.mark.types),
    ],
)
def test_each_runs(name: str, rows: int) -> None:
    report = Report(scale=0.001)
    import_module(f"benchmarks.{name}").measure(report)
    assert len(report.rows) == rows
    for row in report.rows:
        assert row.ours, row
        assert min(row.ours) >= 0
        assert min(row.other) > 0


def test_memory_is_that_of_the_program_alone() -> None:
    fat = b"x" * (2**27)  # what the process has from whoever started it
    code = "from benchmarks.measuring import peak_memory; print(peak_memory())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), stdout=subprocess.PIPE, check=True
    )
    assert 5 < float(done.stdout) < len(fat) / 2**20


def test_a_row_tells_the_ratio_and_its_spread() -> None:
    row = Row("a job", [2.0, 3.0, 9.0, 4.0, 5.0], [1.0, 2.0, 3.0, 2.0, 2.0], "ms", "2.0")
    assert row.ratios == [2.0, 1.5, 3.0, 2.0, 2.5]
    assert str(row).split() == ["a", "job", "4", "2", "ms", "2.00", "2.00", "to", "2.50", "2.0"]
    # Rounds that are no pairs have but the ratio of both medians.
    assert Row("x", [2.0, 4.0, 6.0], [2.0], "ms").ratios == [2.0]


def test_the_table_and_its_machine_readable_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(report: Report) -> None:
        report.add("a job", [2.0, 3.0], [1.0, 1.0], "ms", "at most 3")

    monkeypatch.setattr("benchmarks.client.measure", measure)
    monkeypatch.setattr(sys, "argv", ["bench", "client", "--json", str(tmp_path / "x.json")])
    command_line.main()
    head, row = capsys.readouterr().out.splitlines()[-2:]
    assert head.split() == ["this", "beside", "ratio", "quartiles", "aim"]
    assert row.startswith("a job ")
    assert row.endswith("at most 3")
    [written] = json.loads((tmp_path / "x.json").read_text())["rows"]
    assert written["ours"] == [2.0, 3.0]
    assert written["ratio"] == 2.5
