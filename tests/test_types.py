"""Generated nodes under mypy and pyright: what must pass does, and each crossing is an error."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAMS = Path(__file__).parent / "type_tests"
STUBS = ROOT / "stubs"

pytestmark = pytest.mark.types

ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "")}

Errors = set[tuple[str, int, str]]
"""Each as the name of the file, the line, and the code."""


def run_mypy(*paths: Path) -> Errors:
    """Check files under ``--strict``, with no configuration of the project's."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--hide-error-context"]
    command += ["--no-error-summary", "--no-pretty", "--cache-dir=.mypy_cache/types"]
    done = subprocess.run(
        [*command, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**ENVIRONMENT, "MYPYPATH": str(STUBS)},
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    lines = re.findall(r"^(.+?):(\d+): error: .*\[([\w-]+)\]$", done.stdout, flags=re.MULTILINE)
    assert len(lines) == done.stdout.count(" error: "), done.stdout
    return {(Path(path).name, int(line), code) for path, line, code in lines}


def run_pyright(project: Path, *paths: Path) -> Errors:
    """Check files under ``strict``, with no configuration of the project's."""
    relative = [os.path.relpath(path, project.parent) for path in paths]
    settings = {"include": relative, "extraPaths": [str(STUBS), str(ROOT)]}
    project.write_text(json.dumps({**settings, "typeCheckingMode": "strict"}))
    command = ["pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(project)]
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return {
        (Path(found["file"]).name, found["range"]["start"]["line"] + 1, found.get("rule", "syntax"))
        for found in json.loads(done.stdout)["generalDiagnostics"]
        if found["severity"] == "error"
    }


def marked(path: Path, *, column: int) -> dict[tuple[str, int], set[str]]:
    """The codes of which a checker must report at least one, by file and line.

    Args:
        path: The program.
        column: 0 for the codes of mypy, 1 for the rules of pyright.
    """
    found: dict[tuple[str, int], set[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if mark := re.search(r"# error: (\S+) (\S+)", line):
            found[path.name, number] = set(mark.group(column + 1).split(",")) - {"-"}
    return {place: codes for place, codes in found.items() if codes}


def check(errors: Errors, path: Path, *, column: int) -> None:
    expected = marked(path, column=column)
    for place, codes in sorted(expected.items()):
        reported = {code for file, line, code in errors if (file, line) == place}
        assert reported & codes, f"{place} must be an error: {codes}, not {reported}"
    assert {(file, line) for file, line, _ in errors} == expected.keys()


def test_mypy_accepts() -> None:
    assert run_mypy(PROGRAMS / "accepted.py") == set()


def test_mypy_rejects() -> None:
    path = PROGRAMS / "rejected.py"
    check(run_mypy(path), path, column=0)


def test_pyright_accepts(tmp_path: Path) -> None:
    assert run_pyright(tmp_path / "pyrightconfig.json", PROGRAMS / "accepted.py") == set()


def test_pyright_rejects(tmp_path: Path) -> None:
    path = PROGRAMS / "rejected.py"
    check(run_pyright(tmp_path / "pyrightconfig.json", path), path, column=1)
