"""The command that judges a workflow."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import trio
from prompts import image, node
from rich.console import Console

from comfy_trio.__main__ import main
from comfy_trio._cli._screen import Screen
from comfy_trio._cli._supervise import supervise
from comfy_trio._cli._validate import ValidateOptions, run_validate
from comfy_trio.testing import open_embedded_server

GENEROUS = 30
STUBS = str(Path(__file__).parent.parent / "stubs" / "object_info-0.27.0.json")


async def run(options: ValidateOptions) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    screen = Screen(Console(file=out, highlight=False), Console(file=err, highlight=False))
    with trio.fail_after(GENEROUS):
        code = await supervise(lambda screen: run_validate(options, screen), screen)
    return code, out.getvalue(), err.getvalue()


def file_of(tmp_path: Path, prompt: dict[str, Any]) -> str:
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps(prompt), encoding="utf-8")
    return str(path)


def wrong() -> dict[str, Any]:
    prompt = image(3)
    prompt["1"]["inputs"]["width"] = 0
    prompt["9"]["inputs"]["prefix"] = "\x1b[31m"
    return prompt


WRONG = """\
refused (prompt_outputs_failed_validation)
  error: node 1 (EmptyImage), input 'width': 0 is less than the minimum, 1
  warning: node 9 (SaveImage, "Save it"), input 'prefix': its class declares no such input, so\
 that a server drops the value
"""


async def test_by_a_file(tmp_path: Path) -> None:
    good = ValidateOptions(file=file_of(tmp_path, image()), object_info=STUBS)
    assert await run(good) == (0, "accepted\n", "")
    file = file_of(tmp_path, wrong())
    code, told, error = await run(ValidateOptions(file=file, object_info=STUBS))
    assert (code, told) == (1, WRONG)
    assert error == f"error: {file} would not run\n"


async def test_by_a_server(tmp_path: Path) -> None:
    file = file_of(tmp_path, wrong())
    async with open_embedded_server() as server, server.listen() as url:
        code, told, _ = await run(ValidateOptions(file=file, url=url))
    assert (code, told) == (1, WRONG)


async def test_the_version_decides(tmp_path: Path) -> None:
    prompt = {**image(), "5": node("Nope")}
    file = file_of(tmp_path, prompt)
    options = ValidateOptions(file=file, object_info=STUBS, server_version="0.3.64")
    assert (await run(options))[1].startswith("refused (invalid_prompt)\n")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"url": "http://127.0.0.1:1", "object_info": STUBS}, "choose one of"),
        ({"server_version": "0.27.0"}, "--server-version goes with --object-info"),
        ({"object_info": "{file}"}, "declares no nodes"),
        ({"object_info": "absent.json"}, "absent.json: No such file"),
    ],
)
async def test_what_contradicts_itself(tmp_path: Path, more: dict[str, str], message: str) -> None:
    file = file_of(tmp_path, image())
    given = {name: value.format(file=file) for name, value in more.items()}
    code, told, error = await run(ValidateOptions(file=file, **given))
    assert (code, told) == (1, "")
    assert message in error


async def test_what_is_no_workflow(tmp_path: Path) -> None:
    code, _, error = await run(ValidateOptions(file=file_of(tmp_path, {}), object_info=STUBS))
    assert code == 1
    assert "has no nodes" in error


def test_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = file_of(tmp_path, image())
    arguments = ["comfy_trio", "validate", file, "--object-info", STUBS]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == "accepted\n"


async def test_a_part_that_would_not_run_is_a_failure_too(tmp_path: Path) -> None:
    prompt = {**image(), "5": node("PreviewImage", images=["1", 9])}
    file = file_of(tmp_path, prompt)
    code, told, error = await run(ValidateOptions(file=file, object_info=STUBS))
    assert (code, told.splitlines()[0]) == (1, "accepted, but not all of it would run")
    assert error == f"error: {file} would run in part only\n"
