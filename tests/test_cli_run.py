"""The command `run`: workflows of any form, at one server or several, and what they give."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio
from commands import listening, piped
from embedded_process import open_server_process
from rich.console import Console

from comfy_trio import EnqueueFailedError, ErrorCode, ServerUnreachableError, open_comfy
from comfy_trio._cli._run import RunOptions, run_run
from comfy_trio._cli._screen import Screen
from comfy_trio._cli._supervise import CommandError, supervise
from comfy_trio._cli._txt2img import txt2img

if TYPE_CHECKING:
    from pathlib import Path

    from comfy_trio.testing import EmbeddedServer

PNG = b"\x89PNG\r\n\x1a\n"


def written(directory: Path, prompt: dict[str, Any]) -> str:
    path = directory / "workflow.json"
    path.write_text(json.dumps(prompt))
    return str(path)


def files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*.png"))


def prompts_of(server: EmbeddedServer) -> list[dict[str, Any]]:
    return [entry["prompt"][2] for entry in server._engine.queue.history.values()]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


async def test_a_workflow_is_run_and_saved(tmp_path: Path, out: Path) -> None:
    async with listening() as (_, url):
        screen, told, err = piped()
        file = written(tmp_path, prompts.slow(4, delay=0.01))
        await run_run(RunOptions(file=file, urls=(url,), out=str(out)), screen)
    [picture] = out.iterdir()
    assert picture.read_bytes().startswith(PNG)
    assert "Wait 4/4" in told.getvalue()
    assert "100 %  Done, 4 previews\n" in told.getvalue()
    assert f"Saved       {picture}\n" in told.getvalue()
    assert "\x1b" not in told.getvalue()
    assert err.getvalue() == ""


async def test_a_picture_that_a_server_made_is_a_workflow(tmp_path: Path, out: Path) -> None:
    async with listening() as (server, url):
        screen, _, _ = piped()
        file = written(tmp_path, prompts.image(7))
        await run_run(RunOptions(file=file, urls=(url,), out=str(out)), screen)
        [picture] = out.iterdir()
        again = RunOptions(
            file=str(picture), urls=(url,), changes=("1.inputs.color=9",), out=str(out)
        )
        await run_run(again, screen)
        assert [prompt["1"]["inputs"]["color"] for prompt in prompts_of(server)] == [7, 9]


async def test_values_are_set_as_what_they_look_like(tmp_path: Path, out: Path) -> None:
    prompt = {
        **prompts.image(),
        "5": prompts.node("LoadImage", image="none.png"),
        "6": prompts.node("SaveImage", images=["5", 0], filename_prefix="b"),
    }
    (tmp_path / "my picture.png").write_bytes(await picture_of(tmp_path))
    async with listening() as (server, url):
        screen, _, _ = piped()
        options = RunOptions(
            file=written(tmp_path, prompt),
            urls=(url,),
            changes=("1.inputs.width=96", "9.inputs.filename_prefix=a b=c"),
            inputs=(f"5.image={tmp_path / 'my picture.png'}",),
            outputs=("6",),
            out=str(out),
        )
        await run_run(options, screen)
        [ran] = prompts_of(server)
        assert ran["1"]["inputs"]["width"] == 96
        assert ran["9"]["inputs"]["filename_prefix"] == "a b=c"
        assert ran["5"]["inputs"]["image"] == "my picture.png"
        assert files(out) == ["b_00001_.png"]


async def picture_of(directory: Path) -> bytes:
    async with listening() as (_, url):
        screen, _, _ = piped()
        made = directory / "made"
        file = written(directory, prompts.image(3))
        await run_run(RunOptions(file=file, urls=(url,), out=str(made)), screen)
        [picture] = made.iterdir()
        return picture.read_bytes()


async def test_each_run_gets_its_own_directory(tmp_path: Path, out: Path) -> None:
    async with listening() as (_, url):
        screen, told, _ = piped()
        options = RunOptions(
            file=written(tmp_path, prompts.image()), urls=(url,), repeat=3, out=str(out)
        )
        await run_run(options, screen)
        assert sorted(path.name for path in out.iterdir()) == ["001", "002", "003"]
        assert len(files(out)) == 3
        assert "2/3  100 %  Done\n" in told.getvalue()


async def test_seeds_count_up(tmp_path: Path, out: Path) -> None:
    workflow = txt2img(checkpoint="sd15.safetensors", prompt="a cat", seed=5, steps=1)
    async with listening() as (server, url):
        screen, _, _ = piped()
        file = written(tmp_path, workflow.to_dict())
        options: dict[str, Any] = {"file": file, "urls": (url,), "out": str(out)}
        await run_run(RunOptions(**options, repeat=2, seed=10), screen)
        assert sorted(prompt["3"]["inputs"]["seed"] for prompt in prompts_of(server)) == [10, 11]
        await run_run(RunOptions(**options, seed=-1), screen)
        drawn = prompts_of(server)[-1]["3"]["inputs"]["seed"]
        assert drawn not in (-1, 5)
        plain = written(tmp_path, prompts.image())
        with pytest.raises(CommandError, match=r"no node of .* has a seed of its own"):
            await run_run(RunOptions(file=plain, urls=(url,), seed=1, out=str(out)), screen)


async def test_events_as_json(tmp_path: Path, out: Path) -> None:
    async with listening() as (_, url):
        screen, told, _ = piped()
        file = written(tmp_path, prompts.slow(2, delay=0.01))
        await run_run(RunOptions(file=file, urls=(url,), json=True, out=str(out)), screen)
    events = [json.loads(line) for line in told.getvalue().splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "pending"
    assert {"started", "node_started", "progress", "progress_percent", "preview", "output"} <= {
        *kinds
    }
    assert kinds[-2:] == ["finished", "saved"]
    assert events[-2]["outputs"]["9"]["images"]
    assert events[-1]["path"] == str(next(out.iterdir()))
    assert {event["job"] for event in events} == {1}


async def test_a_failure_as_json(tmp_path: Path, out: Path) -> None:
    async with listening() as (_, url):
        screen, told, err = piped()
        file = written(tmp_path, prompts.failing("boom"))
        options = RunOptions(file=file, urls=(url,), json=True, out=str(out))
        assert await supervise(partial(run_run, options), screen) == 1
    last = json.loads(told.getvalue().splitlines()[-1])
    assert (last["event"], last["code"]) == ("failed", ErrorCode.EXECUTION_FAILED)
    assert "boom" in last["message"]
    assert "raised RuntimeError: boom" in err.getvalue()


async def test_of_several_runs_those_that_fail_are_counted(tmp_path: Path, out: Path) -> None:
    async with listening() as (_, url):
        screen, _, err = piped()
        file = written(tmp_path, prompts.failing("boom"))
        options = RunOptions(file=file, urls=(url,), repeat=2, out=str(out))
        assert await supervise(partial(run_run, options), screen) == 1
    assert "error: run 1: node 3" in err.getvalue()
    assert "error: 2 of 2 runs failed" in err.getvalue()


async def test_several_servers_share_the_runs(tmp_path: Path, out: Path) -> None:
    async with listening() as (first, url), listening() as (second, other):
        screen, _, _ = piped()
        file = written(tmp_path, prompts.slow(2, delay=0.05))
        options = RunOptions(file=file, urls=(url, other), repeat=6, out=str(out))
        await run_run(options, screen)
        counts = [len(prompts_of(server)) for server in (first, second)]
        assert sum(counts) == 6
        assert min(counts) >= 1
    assert len(files(out)) == 6


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
async def test_a_server_that_dies_costs_no_run(tmp_path: Path, out: Path) -> None:
    async with listening() as (_, url), open_server_process() as (other, process):
        screen, told, _ = piped()
        file = written(tmp_path, prompts.slow(20, delay=0.05))
        options = RunOptions(file=file, urls=(url, other), repeat=3, out=str(out))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_run, options, screen)
            async with open_comfy(other) as comfy:
                while not (await comfy.queue.state()).running:  # noqa: ASYNC110
                    await trio.sleep(0.01)
            process.kill()
    assert len(files(out)) == 3
    assert told.getvalue().count("Saved") == 3


async def test_pictures_of_the_websocket_are_saved_under_safe_names(
    tmp_path: Path, out: Path
) -> None:
    prompt = {
        "1": prompts.image()["1"],
        "../up": prompts.node("SaveImageWebsocket", images=["1", 0]),
    }
    async with listening() as (_, url):
        screen, _, _ = piped()
        options = RunOptions(file=written(tmp_path, prompt), urls=(url,), out=str(out))
        await run_run(options, screen)
    assert files(out) == ["up_00001.png"]
    assert files(tmp_path) == ["out/up_00001.png"]


async def test_one_of_several_servers_is_not_there(tmp_path: Path, out: Path) -> None:
    async with listening() as (_, url):
        screen, _, _ = piped()
        file = written(tmp_path, prompts.image())
        options = RunOptions(file=file, urls=("http://127.0.0.1:1", url), repeat=2, out=str(out))
        await run_run(options, screen)
    assert len(files(out)) == 2


async def test_no_server_is_there(tmp_path: Path, out: Path) -> None:
    screen, _, _ = piped()
    urls = ("http://127.0.0.1:1", "http://127.0.0.1:2")
    with pytest.raises(ServerUnreachableError):
        await run_run(
            RunOptions(file=written(tmp_path, prompts.image()), urls=urls, out=str(out)), screen
        )


@pytest.mark.parametrize("option", [{"changes": ("x=3",)}, {"inputs": ("5.image",)}])
async def test_options_that_make_no_sense(
    tmp_path: Path, out: Path, option: dict[str, Any]
) -> None:
    async with listening() as (server, url):
        screen, _, _ = piped()
        file = written(tmp_path, prompts.image())
        with pytest.raises(CommandError, match="should look like"):
            await run_run(RunOptions(file=file, urls=(url,), out=str(out), **option), screen)
        assert "POST /prompt" not in server.statistics().requests


async def test_a_refusal(tmp_path: Path, out: Path) -> None:
    async with listening() as (_, url):
        screen, _, _ = piped()
        file = written(tmp_path, prompts.image())
        options = RunOptions(file=file, urls=(url,), changes=("1.inputs.width=-1",), out=str(out))
        with pytest.raises(EnqueueFailedError, match="width"):
            await run_run(options, screen)


@pytest.mark.parametrize("servers", [1, 2])
async def test_ctrl_c_cancels_what_runs(tmp_path: Path, out: Path, servers: int) -> None:
    async with listening() as (server, url), listening() as (_, other):
        screen, told, err = piped()
        options = RunOptions(
            file=written(tmp_path, prompts.slow(1000)),
            urls=(url, other)[:servers],
            out=str(out),
        )
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                assert await supervise(partial(run_run, options), screen) == 130

            nursery.start_soon(run)
            await told.wait_for("%  Wait\n")
            signal.raise_signal(signal.SIGINT)
        assert (server.statistics().running, server.statistics().pending) == (0, 0)
        assert "The job was cancelled at the server.\n" in told.getvalue()
        assert err.getvalue() == ""


@pytest.mark.filterwarnings("ignore:Image.Image.getdata:DeprecationWarning")  # textual-image's
@pytest.mark.parametrize("previews", [True, None])
async def test_previews_of_coloured_blocks(
    tmp_path: Path, out: Path, *, previews: bool | None
) -> None:
    async with listening() as (_, url):
        _, told, _ = piped()
        console = Console(
            file=told, width=100, force_terminal=True, force_interactive=True, highlight=False
        )
        file = written(tmp_path, prompts.slow(3, delay=0.3))
        options = RunOptions(file=file, urls=(url,), out=str(out), previews=previews)
        await run_run(options, Screen(console, console))
    assert ("\N{UPPER HALF BLOCK}" in told.getvalue()) is bool(previews)


@pytest.mark.skipif(sys.platform == "win32", reason="a pty is of POSIX")
@pytest.mark.parametrize(("graphics", "has_them"), [(b"\x1b[?62;4c", True), (b"\x1b[?62c", False)])
async def test_previews_in_a_terminal(tmp_path: Path, graphics: bytes, *, has_them: bool) -> None:
    """A terminal that says that it can draw Sixel graphics gets them; another one does not."""
    import fcntl
    import pty
    import struct
    import termios

    file = written(tmp_path, prompts.slow(3, delay=0.3))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 800, 480))
    seen = bytearray()
    async with listening() as (_, url), trio.open_nursery() as nursery:
        run = partial(
            trio.run_process,
            [sys.executable, "-m", "comfy_trio", "run", file, "--url", url],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=tmp_path,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        )
        await nursery.start(run)
        os.close(theirs)
        async with trio.lowlevel.FdStream(ours) as terminal:
            with suppress(trio.BrokenResourceError):  # so Linux tells the end of it
                async for data in terminal:
                    seen += data
                    if data.endswith(b"\x1b[c"):
                        await terminal.send_all(graphics)
    assert b"Saved" in seen
    assert (b"\x1bP" in seen) is has_them
    assert "\N{UPPER HALF BLOCK}".encode() not in seen


async def test_bars_for_a_person(tmp_path: Path, out: Path) -> None:
    async with listening() as (_, url):
        _, told, _ = piped()
        console = Console(
            file=told, width=100, force_terminal=True, force_interactive=True, highlight=False
        )
        file = written(tmp_path, prompts.slow(2, delay=0.05))
        options = RunOptions(file=file, urls=(url,), repeat=2, out=str(out))
        await run_run(options, Screen(console, console))
    assert "1/2 Wait" in told.getvalue()
    assert "Saved" in told.getvalue()
