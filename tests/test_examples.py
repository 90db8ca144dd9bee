"""The programs in ``examples/`` do what they say, as processes, at an embedded server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(
    name: str,
    *arguments: str,
    directory: Path | None = None,
    url: str = "",
    path: Path | None = None,
) -> str:
    """Run an example, and return what it prints."""
    found = os.environ.get("PYTHONPATH", "") if path is None else str(path)
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=directory,
        env={**os.environ, "COMFY_HOST": url, "PYTHONPATH": found},
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


def test_inpaint(url: str, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "photo.png")
    mask = Image.new("RGB", (64, 64), "black")
    mask.paste("white", (32, 0, 64, 64))
    mask.save(tmp_path / "mask.png")
    told = run("inpaint.py", "photo.png", "mask.png", "a", "balloon", directory=tmp_path, url=url)
    with Image.open(tmp_path / told.strip()) as painted:
        assert painted.getpixel((8, 8)) == (255, 0, 0)
        assert painted.getpixel((56, 8)) != (255, 0, 0)


def test_typed_graph(url: str, tmp_path: Path) -> None:
    generate = [sys.executable, "-m", "comfy_trio", "codegen", "--url", url, "--out", "comfy_nodes"]
    subprocess.run(generate, cwd=tmp_path, check=True, capture_output=True)
    told = run("typed_graph.py", "a cat", directory=tmp_path, url=url, path=tmp_path)
    saved, small = (tmp_path / line for line in told.splitlines())
    with Image.open(saved) as picture, Image.open(small) as thumbnail:
        assert (picture.size, thumbnail.size) == ((512, 512), (128, 128))


def test_canvas(url: str, tmp_path: Path) -> None:
    file = str(EXAMPLES / "workflows" / "canvas.json")
    told = run("canvas.py", file, directory=tmp_path, url=url)
    assert "   6 Prompt: text = 'a misty mountain lake at dawn'\n" in told
    assert "ink_wash" not in told  # it is bypassed
    told = run("canvas.py", file, "Prompt=a boat", directory=tmp_path, url=url)
    made = tmp_path / told.strip()
    assert is_picture(made)
    assert "   6 Prompt: text = 'a boat'\n" in run("canvas.py", str(made), url=url)


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
    for path in EXAMPLES.rglob("*.py"):
        assert f"python examples/{path.relative_to(EXAMPLES).as_posix()}" in listed
