"""The command `convert`: canvas files and pictures in, prompts out."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import templates
from prompts import image, node
from rich.console import Console

from comfy_trio import Workflow
from comfy_trio._cli._convert import ConvertOptions, run_convert
from comfy_trio._cli._screen import Screen
from comfy_trio._cli._supervise import supervise

if TYPE_CHECKING:
    from pathlib import Path

CASES: dict[str, Any] = templates.load(templates.FIXTURES / "canvas" / "cases.json")
OBJECT_INFO = str(templates.STUBS / "object_info-0.27.0.json")


async def run(*files: Path | str, **options: Any) -> tuple[int, str]:
    """Run the command in this process, and return its exit code and what it wrote."""
    written = io.StringIO()
    console = Console(file=written, width=200)
    screen = Screen(console, console)
    asked = ConvertOptions(files=tuple(map(str, files)), **options)
    code = await supervise(lambda screen: run_convert(asked, screen), screen)
    return code, written.getvalue()


def canvas_file(directory: Path, name: str) -> Path:
    path = directory / f"{name}.json"
    path.write_text(json.dumps(CASES[name]["canvas"]), encoding="utf-8")
    return path


def prompt_in(path: Path) -> dict[str, Any]:
    prompt: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {node_id: {**node, "_meta": None} for node_id, node in prompt.items()}


def expected(name: str) -> dict[str, Any]:
    return {node_id: {**node, "_meta": None} for node_id, node in CASES[name]["prompt"].items()}


async def test_one_prompt_for_each_canvas(tmp_path: Path) -> None:
    names = ("subgraph", "group_whole", "dynamic_combo")
    files = [canvas_file(tmp_path, name) for name in names]
    out = tmp_path / "new" / "prompts"
    code, written = await run(*files, object_info=OBJECT_INFO, out=str(out))
    assert (code, len(written.splitlines())) == (0, 3)
    assert {path.stem: prompt_in(path) for path in out.iterdir()} == {
        name: expected(name) for name in names
    }


async def test_beside_the_canvas(tmp_path: Path) -> None:
    code, written = await run(canvas_file(tmp_path, "notes"), object_info=OBJECT_INFO)
    assert code == 0
    assert written == f"Written     {tmp_path / 'notes.api.json'}: 2 nodes\n"
    assert prompt_in(tmp_path / "notes.api.json") == expected("notes")


async def test_a_class_that_the_server_does_not_have(tmp_path: Path) -> None:
    code, written = await run(canvas_file(tmp_path, "unknown_class"), object_info=OBJECT_INFO)
    assert code == 0
    assert "warning: " in written
    assert "node 2 (NoSuchNode) is of a class that the server does not have" in written


async def test_a_file_that_cannot_be_converted_does_not_stop_the_others(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{", encoding="utf-8")
    empty = tmp_path / "empty.json"
    empty.write_text('{"nodes": []}', encoding="utf-8")
    missing = tmp_path / "missing.json"
    good = canvas_file(tmp_path, "notes")
    code, written = await run(broken, empty, missing, good, object_info=OBJECT_INFO)
    assert code == 1
    assert (tmp_path / "notes.api.json").exists()
    lines = written.splitlines()
    assert lines[0].startswith(f"error: {broken} is not JSON")
    assert lines[1] == f"error: {missing}: No such file or directory"
    assert lines[2].startswith(f"error: {empty} has no nodes to run")
    assert lines[-1] == "error: 3 of 4 files could not be converted"


async def test_a_prompt_needs_no_definitions(tmp_path: Path) -> None:
    path = tmp_path / "prompt.json"
    path.write_text(json.dumps(CASES["notes"]["prompt"]), encoding="utf-8")
    code, _ = await run(path, object_info=str(tmp_path / "nowhere.json"))
    assert code == 0
    assert prompt_in(tmp_path / "prompt.api.json") == expected("notes")


async def test_bypassed_nodes_are_left_out(tmp_path: Path) -> None:
    prompt = {**image(5), "7": node("ImageInvert", image=["1", 0])}
    prompt["2"]["inputs"]["image"] = ["7", 0]
    file = tmp_path / "some.json"
    file.write_text(Workflow(prompt).bypass("7").to_json(), encoding="utf-8")
    assert (await run(file, object_info=OBJECT_INFO))[0] == 0
    written = json.loads((tmp_path / "some.api.json").read_text(encoding="utf-8"))
    assert written == image(5)


async def test_texts_as_the_browser_queues_them(tmp_path: Path) -> None:
    nodes = [
        {"id": 1, "type": "CLIPTextEncode", "widgets_values": ["{one|one} cat"]},
        {"id": 2, "type": "SaveImage", "widgets_values": ["%CLIPTextEncode.text%"]},
    ]
    path = tmp_path / "texts.json"
    path.write_text(json.dumps({"nodes": nodes}), encoding="utf-8")
    for expand, text in ((False, "{one|one} cat"), (True, "one cat")):
        assert (await run(path, object_info=OBJECT_INFO, expand=expand))[0] == 0
        assert prompt_in(tmp_path / "texts.api.json")["1"]["inputs"] == {"text": text}
    assert prompt_in(tmp_path / "texts.api.json")["2"]["inputs"]["filename_prefix"] == "one cat"


async def test_half_a_surrogate_pair(tmp_path: Path) -> None:
    path = tmp_path / "half.json"
    nodes = [{"id": 1, "type": "SaveImage", "widgets_values": ["\ud800"]}]
    path.write_text(json.dumps({"nodes": nodes}), encoding="utf-8")
    assert (await run(path, object_info=OBJECT_INFO))[0] == 0
    text = prompt_in(tmp_path / "half.api.json")["1"]["inputs"]["filename_prefix"]
    assert text == "\ud800"


async def test_two_prompts_for_one_place(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    files = [canvas_file(tmp_path, "notes"), canvas_file(tmp_path / "other", "notes")]
    code, written = await run(*files, object_info=OBJECT_INFO, out=str(tmp_path / "out"))
    assert code == 1
    assert f"where {files[0]} is or goes: choose another --out" in written
    assert not (tmp_path / "out").exists()


async def test_a_canvas_is_never_overwritten(tmp_path: Path) -> None:
    path = canvas_file(tmp_path, "notes")
    before = path.read_bytes()
    code, written = await run(path, object_info=OBJECT_INFO, out=str(tmp_path))
    assert code == 1
    assert "choose another --out" in written
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"files": ()}, "which files? Give at least one"),
        ({"files": ("a",), "url": "http://x", "object_info": "y"}, "choose one of --url and"),
    ],
)
async def test_what_was_asked_for_makes_no_sense(options: dict[str, Any], message: str) -> None:
    code, written = await run(*options.pop("files"), **options)
    assert code == 1
    assert message in written


def test_on_the_command_line(tmp_path: Path) -> None:
    path = canvas_file(tmp_path, "subgraph")
    command = [sys.executable, "-m", "comfy_trio", "convert", str(path)]
    options = ["--object-info", OBJECT_INFO, "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    assert done.stdout == f"Written     {tmp_path / 'out' / 'subgraph.json'}: 3 nodes\n"
    assert prompt_in(tmp_path / "out" / "subgraph.json") == expected("subgraph")
