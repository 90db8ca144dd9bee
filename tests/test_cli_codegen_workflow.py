"""The command that writes types for one workflow: in this process, and as people start it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import prompts
import pytest
import trio
from rich.console import Console

import comfy_trio
from comfy_trio._cli._codegen_source import CodegenOptions
from comfy_trio._cli._codegen_workflow import run_workflow_codegen
from comfy_trio._cli._screen import Screen
from comfy_trio._cli._supervise import supervise
from comfy_trio.testing import open_embedded_server

GENEROUS = 30
SAVE: dict[str, Any] = {"input": {"required": {"filename_prefix": ["STRING"]}}, "output_node": True}


async def run(options: CodegenOptions) -> tuple[int, str, str]:
    """Run the command; return its exit code, and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    screen = Screen(Console(file=out, highlight=False), Console(file=err, highlight=False))
    with trio.fail_after(GENEROUS):
        code = await supervise(lambda screen: run_workflow_codegen(options, screen), screen)
    return code, out.getvalue().replace("\n", " "), err.getvalue().replace("\n", " ")


def file_of(tmp_path: Path, name: str, value: object) -> str:
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    return str(path)


def options_for(tmp_path: Path, prompt: object = None, **options: Any) -> CodegenOptions:
    return CodegenOptions(
        workflow=file_of(tmp_path, "portrait", prompts.image(7) if prompt is None else prompt),
        object_info=file_of(tmp_path, "object_info", {"SaveImage": SAVE}),
        out=str(tmp_path / "made" / "portrait.py"),
        **options,
    )


async def test_a_server_is_asked(tmp_path: Path) -> None:
    workflow = file_of(tmp_path, "portrait", prompts.image(7))
    out = tmp_path / "portrait.py"
    with trio.fail_after(GENEROUS):
        async with open_embedded_server(version="0.27.0") as server, server.listen() as url:
            options = CodegenOptions(url=url, workflow=workflow, out=str(out))
            code, told, errors = await run(options)
    assert (code, errors) == (0, "")
    assert f"Nodes of    {url}, ComfyUI 0.27.0 " in told
    assert f"Written     {out}: 5 inputs, 1 outputs " in told
    source = out.read_text(encoding="utf-8")
    version = comfy_trio.__version__
    assert f"# generator: comfy_trio {version}, server: ComfyUI 0.27.0\n" in source
    assert "async def run_portrait(comfy: Comfy" in source
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]


async def test_what_a_check_finds(tmp_path: Path) -> None:
    options = options_for(tmp_path)
    check = options_for(tmp_path, check=True)
    out = Path(options.out)
    outdated = (1, f"error: {out} is outdated: run the command without --check ")
    code, _, errors = await run(check)
    assert (code, errors) == outdated
    assert not out.exists()
    code, told, _ = await run(options)
    assert code == 0
    assert "unknown EmptyImage: its inputs are typed by their values" in told
    written = out.read_text(encoding="utf-8")
    out.write_text(written.replace("\n", "\r\n"), encoding="utf-8", newline="")
    code, told, _ = await run(check)
    assert (code, "Up to date " in told) == (0, True)
    file_of(tmp_path, "portrait", prompts.image(8))
    again = CodegenOptions(
        workflow=check.workflow, object_info=check.object_info, out=check.out, check=True
    )
    code, _, errors = await run(again)
    assert (code, errors) == outdated


async def test_what_somebody_else_wrote_is_left_alone(tmp_path: Path) -> None:
    options = options_for(tmp_path)
    out = Path(options.out)
    out.parent.mkdir()
    out.write_text("print()\n", encoding="utf-8")
    code, _, errors = await run(options)
    assert code == 1
    assert errors == f"error: {out} exists, and this command has not written it: choose another "
    assert out.read_text(encoding="utf-8") == "print()\n"


@pytest.mark.parametrize(
    ("prompt", "more", "message"),
    [
        (None, {"url": "http://x"}, "choose one of --url and --object-info"),
        (None, {"learn": True}, "--learn is for packages of nodes, not for --workflow"),
        ({"nodes": []}, {}, "has no nodes to run"),
        ({"1": prompts.node("Loop", x=["1", 0])}, {}, "no module can be made of "),
    ],
)
async def test_what_is_refused(
    prompt: object, more: dict[str, Any], message: str, tmp_path: Path
) -> None:
    options = options_for(tmp_path, prompt, **more)
    code, _, errors = await run(options)
    assert (code, message in errors) == (1, True)
    assert not Path(options.out).exists()


async def test_no_such_file(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.json")
    options = CodegenOptions(workflow=missing, object_info=missing, out=str(tmp_path / "x.py"))
    assert await run(options) == (1, "", f"error: {missing}: No such file or directory ")


def test_the_command_runs(tmp_path: Path) -> None:
    root = str(Path(comfy_trio.__file__).parents[1])
    options = options_for(tmp_path)
    command = [sys.executable, "-m", "comfy_trio", "codegen", "--out", "portrait.py"]
    command += ["--workflow", "portrait.json", "--object-info", "object_info.json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])}
    process = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=True,
        text=True,
        timeout=GENEROUS,
    )
    assert "Written     portrait.py: 5 inputs, 1 outputs" in process.stdout
    assert process.stderr == ""
    assert not Path(options.out).exists()
    code = "import portrait; print(portrait.portrait(color=5).to_dict()['1']['inputs']['color'])"
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=True,
        text=True,
    )
    assert loaded.stdout == "5\n"


async def test_a_canvas_file(tmp_path: Path) -> None:
    nodes = [
        {"id": 1, "type": "EmptyImage", "widgets_values": [64, 32, 1, 0]},
        {
            "id": 2,
            "type": "SaveImage",
            "widgets_values": ["drawn"],
            "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
        },
    ]
    canvas = {"nodes": nodes, "links": [[1, 1, 0, 2, 0, "IMAGE"]]}
    options = options_for(tmp_path, canvas)
    assert (await run(options))[0] == 0
    source = Path(options.out).read_text(encoding="utf-8")
    assert "filename_prefix: str" in source
