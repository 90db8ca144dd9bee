"""The programs in ``examples/`` do what they say, as processes, at an embedded server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, *arguments: str, directory: Path | None = None, url: str = "") -> str:
    """Run an example, and return what it prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=directory,
        env={**os.environ, "COMFY_HOST": url},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An embedded server, as the README of the examples starts it."""
    command = [sys.executable, "-m", "comfy_trio", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]
        process.kill()


def is_picture(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG")


def test_text_to_image(url: str, tmp_path: Path) -> None:
    told = run("text_to_image.py", "a", "cat", directory=tmp_path, url=url)
    found = re.fullmatch(r"(pictures/\S+\.png), by sd15.safetensors with seed \d+\n", told)
    assert found is not None
    assert is_picture(tmp_path / found[1])


def test_image_to_image_and_upscale(url: str, tmp_path: Path) -> None:
    run("text_to_image.py", "a cat", directory=tmp_path, url=url)
    (picture,) = (tmp_path / "pictures").iterdir()
    told = run("image_to_image.py", str(picture), "a", "dog", directory=tmp_path, url=url)
    assert is_picture(tmp_path / told.strip())
    told = run("upscale.py", "pictures", directory=tmp_path, url=url)
    assert len(told.splitlines()) == 2
    assert all(is_picture(tmp_path / line.split(" -> ")[1]) for line in told.splitlines())


def test_live_previews(url: str, tmp_path: Path) -> None:
    told = run("live_previews.py", directory=tmp_path, url=url)
    assert "Sample\n" in told
    assert told.endswith(" previews, 1 picture\n")
    assert [*(tmp_path / "previews").iterdir()]


def test_deadline(url: str, tmp_path: Path) -> None:
    told = run("deadline.py", "0.5", directory=tmp_path, url=url)
    assert told == "cancelled, 0 running, 0 waiting\n"


def test_resume(url: str, tmp_path: Path) -> None:
    run("resume.py", "submit", "job.json", directory=tmp_path, url=url)
    told = run("resume.py", "fetch", "job.json", directory=tmp_path)
    assert is_picture(tmp_path / told.strip())


def test_many_prompts(url: str, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a red boat\na blue hill\n")
    told = run("many_prompts.py", "prompts.txt", url, directory=tmp_path)
    paths = dict(line.split(": ") for line in told.splitlines())
    assert {*paths} == {"a red boat", "a blue hill"}
    assert all(is_picture(tmp_path / path) for path in paths.values())


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
        assert f"`python examples/{path.name}" in listed
