"""The command that writes typed nodes: in this process, and as people start it.

Servers listen on loopback, on a port that the system picks.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
from rich.console import Console

import comfy_trio
from comfy_trio import _generator
from comfy_trio.__main__ import main
from comfy_trio._cli._codegen import run_codegen
from comfy_trio._cli._codegen_source import CodegenOptions
from comfy_trio._cli._screen import Screen
from comfy_trio._cli._supervise import supervise
from comfy_trio._replies import post
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from comfy_trio.testing import EmbeddedServer

GENEROUS = 30
GOLDEN = Path(__file__).parent / "golden" / "object_info.json"


async def run(options: CodegenOptions) -> tuple[int, str, str]:
    """Run the command; return its exit code, and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    screen = Screen(Console(file=out, highlight=False), Console(file=err, highlight=False))
    with trio.fail_after(GENEROUS):
        code = await supervise(lambda screen: run_codegen(options, screen), screen)
    return code, out.getvalue(), err.getvalue()


@asynccontextmanager
async def listening(version: str = "0.27.0") -> AsyncGenerator[tuple[EmbeddedServer, str], None]:
    with trio.fail_after(GENEROUS):
        async with open_embedded_server(version=version) as server, server.listen() as url:
            yield server, url


def file_of(tmp_path: Path, **nodes: Any) -> str:
    path = tmp_path / "object_info.json"
    info = {"One": {"input": {"required": {"x": ["INT"]}}, "output": ["IMAGE"]}, **nodes}
    path.write_text(json.dumps(info), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("version", ["0.3.64", "0.27.0"])
async def test_nodes_of_a_server(version: str, tmp_path: Path) -> None:
    out = tmp_path / "nodes"
    async with listening(version) as (_, url):
        code, told, errors = await run(CodegenOptions(url=url, out=str(out)))
        assert (code, errors) == (0, "")
        assert f"Nodes of    {url}, ComfyUI {version}\n" in told
        assert f"Written     {out}: " in told
        header = (out / "__init__.py").read_text(encoding="utf-8").splitlines()[1]
        assert (
            header == f"# generator: comfy_trio {comfy_trio.__version__}, server: ComfyUI {version}"
        )
        assert "class KSampler(" in "".join(
            path.read_text(encoding="utf-8") for path in out.joinpath("core").glob("*.py")
        )
        for check in (True, False):
            code, told, errors = await run(CodegenOptions(url=url, out=str(out), check=check))
            assert (code, errors) == (0, "")
            assert f"Up to date  {out}: " in told


async def test_the_default_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as (server, url):
        monkeypatch.setenv("COMFY_HOST", url)
        code, told, _ = await run(CodegenOptions(out=str(tmp_path / "nodes")))
        assert (code, server.statistics().sockets) == (0, 0)
        assert f"Nodes of    {url}, " in told


async def test_a_server_that_does_not_tell_its_version(tmp_path: Path) -> None:
    async with listening() as (server, url):
        server.faults.answer("GET /system_stats", 500, "oops")
        code, told, _ = await run(CodegenOptions(url=url, out=str(tmp_path / "nodes")))
    assert code == 0
    assert "ComfyUI unknown\n" in told


async def test_nobody_answers(tmp_path: Path) -> None:
    async with listening() as (_, url):
        pass
    code, _, errors = await run(CodegenOptions(url=url, out=str(tmp_path / "nodes")))
    assert code == 1
    assert errors.startswith("error: ")
    assert not (tmp_path / "nodes").exists()


async def test_what_a_check_finds(tmp_path: Path) -> None:
    out = str(tmp_path / "nodes")
    before = file_of(tmp_path, Gone={"input": {}}, Same={"input": {}})
    assert (await run(CodegenOptions(object_info=before, out=out)))[0] == 0
    after = file_of(tmp_path, One={"input": {}}, New={"input": {}}, Same={"input": {}})
    code, told, errors = await run(CodegenOptions(object_info=after, out=out, check=True))
    assert code == 1
    assert errors == f"error: {out} is outdated: run the command without --check\n"
    assert [line for line in told.splitlines() if "node " in line] == [
        "added   node New",
        "removed node Gone",
        "altered node One",
    ]
    assert "changed core/uncategorized.py\n" in told
    assert (await run(CodegenOptions(object_info=after, out=out)))[0] == 0
    assert (await run(CodegenOptions(object_info=after, out=out, check=True)))[0] == 0


async def test_model_files_count_if_they_are_strict(tmp_path: Path) -> None:
    def with_files(*names: str) -> str:
        return file_of(tmp_path, Load={"input": {"required": {"ckpt_name": [list(names)]}}})

    for strict in (False, True):
        out = str(tmp_path / f"nodes_{strict}")
        options = CodegenOptions(
            object_info=with_files("a.ckpt"), out=out, strict_files=strict, check=False
        )
        assert (await run(options))[0] == 0
        options = CodegenOptions(
            object_info=with_files("b.ckpt"), out=out, strict_files=strict, check=True
        )
        assert (await run(options))[0] == strict


async def test_oddities_are_told_once_and_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    odd: dict[str, Any] = {"input": {"required": {"x": []}}}
    info = file_of(tmp_path, A=odd, B=odd, **{"\x1b[2J": {"input": 5}, "\ud800": 7})
    code, told, _ = await run(CodegenOptions(object_info=info, out=str(tmp_path / "nodes")))
    assert code == 0
    lines = [line for line in told.splitlines() if line.startswith("odd")]
    assert len(lines) == 3
    assert any(line.startswith("odd, 2 times, first in A: ") for line in lines)
    assert any(line.startswith(r"odd in \x1b[2J: ") for line in lines)
    assert told.isascii()


async def test_all_that_is_odd_in_one_file(tmp_path: Path) -> None:
    options = CodegenOptions(object_info=str(GOLDEN), out=str(tmp_path / "nodes"))
    code, told, errors = await run(options)
    assert (code, errors) == (0, "")
    assert all(line.isprintable() for line in told.split("\n"))


async def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    info = file_of(tmp_path)
    for check in (False, True):
        code, _, errors = await run(
            CodegenOptions(object_info=info, out=str(tmp_path), check=check)
        )
        assert code == 1
        assert errors.startswith(f"error: {tmp_path} is not empty, and holds no generated package:")
    assert [path.name for path in tmp_path.iterdir()] == ["object_info.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", " is no JSON: "),
        ("[" * 100_000, " is no JSON: "),
        ("[]", " declares no nodes: "),
        ("{}", " declares no nodes: "),
        ('{"error": {"type": "x"}}', " declares no nodes: "),
    ],
)
async def test_a_file_of_something_else(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    code, _, errors = await run(CodegenOptions(object_info=str(path), out=str(tmp_path / "nodes")))
    assert code == 1
    assert errors.startswith(f"error: {path}{message}")


async def test_no_such_file(tmp_path: Path) -> None:
    path = str(tmp_path / "x.json")
    code, _, errors = await run(CodegenOptions(object_info=path, out=str(tmp_path / "nodes")))
    assert (code, errors) == (1, f"error: {path}: No such file or directory\n")


async def test_learning_what_nodes_show(tmp_path: Path) -> None:
    out = tmp_path / "nodes"
    probes = out / "probe_nodes" / "probe.py"
    async with listening() as (_, url):
        assert (await run(CodegenOptions(url=url, out=str(out))))[0] == 0
        assert "OutputNode[dict[str, Any]]" in probes.read_text()
        async with comfy_trio.open_comfy(url) as comfy:
            text = comfy_trio.UnknownNode("ProbeText", {"text": "x", "repeat": 2, "salt": 0})
            await comfy.run(text)
        code, told, _ = await run(CodegenOptions(url=url, out=str(out), learn=True))
        assert code == 0
        assert "Learned     ProbeText\n" in told
        assert "OutputNode[ProbeTextOutput]" in probes.read_text()
        async with comfy_trio.open_comfy(url) as comfy:
            await comfy._session.http.request(post("/history", {"clear": True}))
        for learn in (False, True):
            options = CodegenOptions(url=url, out=str(out), check=True, learn=learn)
            assert (await run(options))[0] == 0


async def test_learning_needs_a_server(tmp_path: Path) -> None:
    options = CodegenOptions(object_info="y", out=str(tmp_path / "nodes"), learn=True)
    told = "error: --learn needs a server, whose history it reads\n"
    assert await run(options) == (1, "", told)


async def test_learned_shapes_that_somebody_has_changed(tmp_path: Path) -> None:
    options = CodegenOptions(object_info=file_of(tmp_path), out=str(tmp_path / "nodes"))
    assert (await run(options))[0] == 0
    path = tmp_path / "nodes" / "learned.json"
    path.write_text("{")
    code, _, errors = await run(options)
    assert code == 1
    assert errors.startswith(f"error: {path} does not hold what was learned: ")


async def test_two_sources_are_one_too_many(tmp_path: Path) -> None:
    options = CodegenOptions(url="http://x", object_info="y", out=str(tmp_path / "nodes"))
    assert await run(options) == (1, "", "error: choose one of --url and --object-info\n")


@pytest.mark.parametrize("other", [False, True])
async def test_no_generator(other: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_generator, "INSTALLED", "comfy_trio_no_such_package")
    if other:  # something that anybody may have called codegen
        monkeypatch.setattr(_generator, "IN_CHECKOUT", "json")
    else:
        monkeypatch.setattr(_generator, "IN_CHECKOUT", "comfy_trio_no_such_package")
    options = CodegenOptions(object_info=file_of(tmp_path), out=str(tmp_path / "nodes"))
    assert await run(options) == (
        1,
        "",
        'error: the generator is not installed: run  pip install "comfy-trio[codegen]"\n',
    )


# --- as people start it ---------------------------------------------------------------------------


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["comfy_trio", "codegen", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        main()
    return exit_info.value.code


def test_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(monkeypatch, "--help") in {0, None}
    told = capsys.readouterr().out
    options = ("url", "object-info", "out", "check", "strict-files", "learn", "workflow")
    assert all(f"--{name}" in told for name in options)
    assert "--no-" not in told


@pytest.mark.parametrize("arguments", [(), ("--url", "ftp://x", "--out", "y")])
def test_wrong_arguments(
    arguments: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_main(monkeypatch, *arguments) == 2
    assert capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_command_runs(tmp_path: Path) -> None:
    """From another directory, where nothing else is called codegen."""
    root = str(Path(comfy_trio.__file__).parents[1])
    info = file_of(tmp_path)
    command = [sys.executable, "-m", "comfy_trio", "codegen", "--object-info", info, "--out", "n"]
    for expected in ("Written     n: 1 nodes", "Up to date  n: 1 nodes"):
        process = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])},
            capture_output=True,
            check=True,
            text=True,
            timeout=GENEROUS,
        )
        assert expected in process.stdout
        assert process.stderr == ""
    assert (tmp_path / "n" / "core" / "uncategorized.py").exists()
