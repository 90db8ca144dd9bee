"""The command line: its functions in this process, and now and then as people start it.

Servers listen on loopback, on a port that the system picks. Nothing sleeps for real.
"""

from __future__ import annotations

import io
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from commands import GENEROUS, listening, piped
from rich.console import Console

import comfy_trio
from comfy_trio import (
    Failed,
    Finished,
    JobResult,
    NodeStarted,
    Pending,
    Preview,
    Progress,
    ProgressPercent,
    RequestTooLargeError,
    Started,
    WentMissingError,
    open_comfy,
)
from comfy_trio.__main__ import main
from comfy_trio._cli._app import app
from comfy_trio._cli._demo import DemoOptions, run_demo
from comfy_trio._cli._job_display import JobView, open_job_display
from comfy_trio._cli._screen import Screen
from comfy_trio._cli._serve import ServeOptions, run_serve
from comfy_trio._cli._supervise import CommandError, supervise

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from comfy_trio import JobEvent

LONG = 10_000
"""Steps of a sampler that no test waits for."""
PNG = b"\x89PNG\r\n\x1a\n"
ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def pictures(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


# --- demo -----------------------------------------------------------------------------------------


async def test_demo_makes_a_picture_with_no_server_at_hand(tmp_path: Path) -> None:
    screen, out, err = piped()
    with trio.fail_after(GENEROUS):
        await run_demo(DemoOptions(prompt="a [red] castle", steps=3, out=str(tmp_path)), screen)
    [picture] = pictures(tmp_path)
    assert picture.read_bytes().startswith(PNG)
    text = out.getvalue()
    assert "(embedded: no model, it paints)" in text
    assert "Prompt      a [red] castle\n" in text
    assert "Sample 3/3, 3 previews\n" in text
    assert "100 %  Done, 3 previews\n" in text
    [seed] = re.findall(r"Seed +(\d+) \(drawn for this run\)\n", text)
    assert picture.name == f"seed_{seed}.png"
    assert f"Saved       {picture}\n" in text
    assert "demo --url" in text
    assert "\x1b" not in text
    assert err.getvalue() == ""


@pytest.mark.parametrize("version", ["0.3.64", "0.27.0"])
async def test_demo_on_a_server_elsewhere(version: str, tmp_path: Path) -> None:
    async with listening(version=version) as (server, url):
        for name in ("seed_7.png", "seed_7_2.png"):
            screen, out, _ = piped()
            await run_demo(DemoOptions(url=url, seed=7, steps=2, out=str(tmp_path)), screen)
            assert f"Server      {url}\n" in out.getvalue()
            assert "Seed        7\n" in out.getvalue()
            assert f"Saved       {tmp_path / name}\n" in out.getvalue()
            assert "demo --url" not in out.getvalue()
        # The second run came from the server's cache, and its picture replaced nothing.
        first, second = pictures(tmp_path)
        assert first.read_bytes() == second.read_bytes()
        assert server.statistics().sockets == 0


async def test_demo_does_not_show_a_password(tmp_path: Path) -> None:
    async with listening() as (_, url):
        screen, out, _ = piped()
        secret = url.replace("http://", "http://me:secret@")
        await run_demo(DemoOptions(url=secret, steps=1, out=str(tmp_path)), screen)
    assert "secret" not in out.getvalue()
    assert f"Server      {url}\n" in out.getvalue()


@pytest.mark.parametrize("width", [30, 50, 80, 120])
async def test_demo_fits_into_a_terminal(width: int, tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=True, force_interactive=True, highlight=False
    )
    with trio.fail_after(GENEROUS):
        await run_demo(DemoOptions(steps=2, out=str(tmp_path)), Screen(console, console))
    lines = ANSI.sub("", out.getvalue()).replace("\r", "\n").splitlines()
    shown = [line for line in lines if " % " in line]
    assert any(line.startswith("Done") and "100 % 2 previews" in line for line in shown)
    assert max(map(len, shown)) + len("^C") <= width
    assert any("━" in line for line in shown) == (width >= 80)


async def test_demo_takes_the_checkpoint_that_was_asked_for(tmp_path: Path) -> None:
    async with listening() as (_, url), open_comfy(url) as comfy:
        first, *_, last = await comfy.node.checkpoints()
        for wanted, expected in ((None, first), (last, last)):
            screen, out, _ = piped()
            options = DemoOptions(url=url, steps=1, checkpoint=wanted, out=str(tmp_path))
            await run_demo(options, screen)
            assert f"Checkpoint  {expected}\n" in out.getvalue()
        screen, _, err = piped()
        options = DemoOptions(url=url, checkpoint="none.safetensors", out=str(tmp_path))
        assert await supervise(lambda screen: run_demo(options, screen), screen) == 1
        assert f"{url} has no checkpoint 'none.safetensors', but: {first}" in err.getvalue()


async def test_demo_without_any_checkpoint(tmp_path: Path) -> None:
    async with listening() as (server, url):
        server.faults.answer(
            "GET /object_info/{node_class}",
            200,
            '{"CheckpointLoaderSimple": {"input": {"required": {"ckpt_name": [[], {}]}}}}',
        )
        screen, _, err = piped()
        options = DemoOptions(url=url, out=str(tmp_path))
        assert await supervise(lambda screen: run_demo(options, screen), screen) == 1
        assert err.getvalue().startswith(f"error: {url} has no checkpoint to make pictures with.")
        assert server.statistics().requests.get("POST /prompt", 0) == 0


async def test_demo_finds_out_early_that_it_cannot_save(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with listening() as (server, url):
        screen, _, err = piped()
        options = DemoOptions(url=url, out=str(tmp_path / "file"))
        assert await supervise(lambda screen: run_demo(options, screen), screen) == 1
        assert err.getvalue().startswith("error: cannot make the directory ")
        assert server.statistics().requests.get("POST /prompt", 0) == 0


async def test_ctrl_c_cancels_the_job_at_the_server(tmp_path: Path) -> None:
    async with listening() as (server, url):
        screen, out, err = piped()
        options = DemoOptions(url=url, steps=LONG, out=str(tmp_path))
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                assert await supervise(lambda screen: run_demo(options, screen), screen) == 130

            nursery.start_soon(run)
            await out.wait_for("Sample")
            assert server.statistics().running == 1
            signal.raise_signal(signal.SIGINT)
        assert server.statistics().running == 0
        assert server.statistics().pending == 0
        assert out.getvalue().endswith("The job was cancelled at the server.\n")
        assert err.getvalue() == ""


async def test_ctrl_c_cancels_the_job_at_an_embedded_server(tmp_path: Path) -> None:
    screen, out, err = piped()
    options = DemoOptions(steps=LONG, out=str(tmp_path))
    with trio.fail_after(GENEROUS):
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                assert await supervise(lambda screen: run_demo(options, screen), screen) == 130

            nursery.start_soon(run)
            await out.wait_for("Sample")
            signal.raise_signal(signal.SIGINT)
    assert out.getvalue().endswith("The job was cancelled at the server.\n")
    assert err.getvalue() == ""


# --- serve ----------------------------------------------------------------------------------------


async def test_serve_serves_until_interrupted(tmp_path: Path) -> None:
    screen, out, err = piped()
    options = ServeOptions(
        port=0, version="0.3.64", base_directory=str(tmp_path), max_upload_size=0.5
    )
    with trio.fail_after(GENEROUS):
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                code = await supervise(
                    lambda screen: run_serve(options, screen), screen, until_interrupted=True
                )
                assert code == 0

            nursery.start_soon(run)
            await out.wait_for("Ctrl-C stops it.\n")
            assert "holds no model" in out.getvalue()
            assert "ComfyUI 0.3.64" in out.getvalue()
            [url] = re.findall(r"Listening +(\S+)\n", out.getvalue())
            async with open_comfy(url) as comfy:
                assert await comfy.node.checkpoints()
                await comfy.file.upload(bytes(2**19 - 1000), filename="a.bin")
                with pytest.raises(RequestTooLargeError, match=str(2**19)):
                    await comfy.file.upload(bytes(2**19), filename="a.bin")
            signal.raise_signal(signal.SIGINT)
    assert (tmp_path / "output").is_dir()
    assert err.getvalue() == ""


async def test_serve_says_that_the_port_is_taken() -> None:
    async with listening() as (_, url):
        port = int(url.rpartition(":")[2])
        screen, _, err = piped()
        options = ServeOptions(port=port)
        assert await supervise(lambda screen: run_serve(options, screen), screen) == 1
    assert err.getvalue().startswith(f"error: cannot listen at 127.0.0.1, port {port}: ")
    assert "Choose another --port" in err.getvalue()


# --- what all commands share ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (WentMissingError("gone [for good]", prompt_id="x"), "error: gone [for good]\n"),
        (CommandError("cannot"), "error: cannot\n"),
        (FileNotFoundError(2, "No such file", "x.json"), "error: x.json: No such file\n"),
        (OSError("odd"), "error: odd\n"),
    ],
)
async def test_errors_become_one_message(error: Exception, message: str) -> None:
    async def fail(_screen: Screen) -> None:
        await trio.lowlevel.checkpoint()
        raise error

    screen, out, err = piped()
    assert await supervise(fail, screen) == 1
    assert err.getvalue() == message
    assert out.getvalue() == ""


async def test_warnings_of_the_library_are_shown() -> None:
    logger = logging.getLogger("comfy_trio")

    async def warn(screen: Screen) -> None:
        await trio.lowlevel.checkpoint()
        logger.info("not worth a line")
        logger.warning("job %s is [odd]", 1)

    screen, out, err = piped()
    assert await supervise(warn, screen) == 0
    assert (out.getvalue(), err.getvalue()) == ("", "warning: job 1 is [odd]\n")
    logger.warning("nobody listens")
    # Where both are one terminal, the console that may be drawing a bar writes it.
    terminal, other = io.StringIO(), io.StringIO()
    screen = Screen(*(Console(file=file, force_terminal=True) for file in (terminal, other)))
    assert await supervise(warn, screen) == 0
    assert ANSI.sub("", terminal.getvalue()) == "warning: job 1 is [odd]\n"
    assert other.getvalue() == ""


async def test_a_bug_is_not_hidden() -> None:
    async def fail(_screen: Screen) -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await supervise(fail, piped()[0])


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_cancels_and_gives_the_exit_code(signum: int, code: int) -> None:
    cleaned_up = False

    async def wait(_screen: Screen) -> None:
        nonlocal cleaned_up
        signal.raise_signal(signum)
        try:
            await trio.sleep_forever()
        finally:
            cleaned_up = True

    assert await supervise(wait, piped()[0]) == code
    assert cleaned_up


async def test_handlers_of_signals_are_put_back() -> None:
    async def wait(_screen: Screen) -> None:
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    before = signal.getsignal(signal.SIGINT)
    await supervise(wait, piped()[0])
    assert signal.getsignal(signal.SIGINT) is before


async def test_nobody_reads_the_pipe_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed(io.StringIO):
        def write(self, _text: str, /) -> int:
            raise BrokenPipeError

    async def write(screen: Screen) -> None:
        await trio.lowlevel.checkpoint()
        screen.line("lost")

    # Rich then points the file descriptor of stdout to nowhere, which must not be pytest's.
    with (tmp_path / "stdout").open("w") as stdout, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit, match=r"^1$"):
            await supervise(write, Screen(Console(file=Closed())))


def view_of(*events: JobEvent) -> JobView:
    view = JobView()
    for event in events:
        view.feed(event)
    return view


def test_what_a_job_is_at() -> None:
    node = NodeStarted("x", "3", "KSampler", "Sample")
    assert str(view_of(Pending("x"))) == "Wait in the queue"
    assert str(view_of(Started("x"))) == "Start"
    assert str(view_of(node)) == "Sample"
    assert str(view_of(node, Progress("x", "3", 5, 20))) == "Sample 5/20"
    assert str(view_of(node, Progress("x", "3", 1, 1))) == "Sample"
    assert str(view_of(node, Progress("x", "3", 5, 20), NodeStarted("x", "8", "", ""))) == "Node 8"
    assert view_of(node, ProgressPercent("x", 57)).percent == 57
    assert view_of().previews_seen() == ""
    preview = Preview("x", "3", b"", "image/jpeg")
    assert view_of(preview).previews_seen() == "1 preview"
    assert view_of(preview, preview).previews_seen() == "2 previews"
    done = view_of(node, Finished("x", JobResult(prompt_id="x", outputs={}, nodes={})))
    assert (str(done), done.percent) == ("Done", 100)
    assert str(view_of(node, Failed("x", WentMissingError("", prompt_id="x")))) == "Sample"


def test_lines_are_few() -> None:
    screen, out, _ = piped()
    with open_job_display(screen) as display:
        display.feed(NodeStarted("x", "3", "KSampler", "Sample"))
        for step in range(1, 1001):
            display.feed(Progress("x", "3", step, 1000))
            display.feed(ProgressPercent("x", step // 10))
    assert out.getvalue().splitlines() == [
        "  0 %  Sample",
        " 24 %  Sample 250/1000",
        " 49 %  Sample 500/1000",
        " 74 %  Sample 750/1000",
        " 99 %  Sample 1000/1000",
    ]


# --- as people start it ---------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """The environment of a process that finds the package that is tested."""
    path = os.pathsep.join([str(Path(comfy_trio.__file__).parents[1]), *sys.path])
    return {**os.environ, "PYTHONPATH": path}


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["comfy_trio", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        main()
    return exit_info.value.code


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(monkeypatch, "--version") in {0, None}
    assert capsys.readouterr().out == f"{comfy_trio.__version__}\n"


COMMANDS = [
    *("demo", "run", "info", "queue", "cancel", "history", "download", "upload", "logs", "watch"),
    *("smoke", "codegen", "validate", "transpile", "convert", "serve"),
]


@pytest.mark.parametrize(
    "arguments", [(), ("--help",), *((command, "--help") for command in COMMANDS)]
)
def test_help(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(monkeypatch, *arguments) in {0, None}
    told = capsys.readouterr().out
    assert "Usage: comfy_trio" in told
    if len(arguments) < 2:
        assert all(f" {command} " in told for command in COMMANDS)
    if "demo" in arguments:
        assert all(f"--{name}" in told for name in ("url", "prompt", "seed", "steps", "out"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("demo", "--url", "ftp://x"), "begins with http://"),
        (("demo", "--steps", "0"), "Must be >= 1"),
        (("demo", "--seed", "-2"), "Must be >= -1"),
        (("serve", "--version", "new"), "'0.27.0'"),
        (("serve", "--port", "65536"), "Must be < 65536"),
        (("dmo",), 'Did you mean "demo"?'),
    ],
)
def test_wrong_arguments(
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_main(monkeypatch, *arguments) == 2
    assert message in capsys.readouterr().err


def test_the_commands_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(monkeypatch, "demo", "--steps", "1", "--out", str(tmp_path)) == 0
    assert len(pictures(tmp_path)) == 1
    assert run_main(monkeypatch, "serve", "--host", "not an address") == 1
    assert "cannot listen at not an address" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["cyclopts", "rich", "PIL"])
def test_what_to_install(module: str, tmp_path: Path) -> None:
    without = f"import sys; sys.modules[{module!r}] = None"
    process = subprocess.run(
        [sys.executable, "-c", f"{without}; from comfy_trio.__main__ import main; main()", "demo"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        check=False,
        text=True,
        timeout=GENEROUS,
    )
    assert process.returncode == 1
    assert process.stderr == (
        f"The command line needs {module}, which is not installed:"
        ' run  pip install "comfy-trio[cli]"\n'
    )


def test_ctrl_c_before_a_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("comfy_trio._cli.run_command_line", interrupt)
    assert run_main(monkeypatch, "demo") == 130


@asynccontextmanager
async def demo_in_a_process(url: str, directory: Path) -> AsyncGenerator[trio.Process, None]:
    """Start the command as people do, with more to do than any test waits for."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "comfy_trio", "demo", "--url", url, "--steps", str(LONG)],
        cwd=directory,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with process.stdout, process.stderr:
            yield process
    finally:
        process.kill()


async def read_until(stream: trio.abc.ReceiveStream, text: bytes) -> bytes:
    told = b""
    while text not in told:
        chunk = await stream.receive_some()
        assert chunk, f"{text!r} was never written, only {told!r}"
        told += chunk
    return told


async def test_ctrl_c_as_a_person_presses_it(tmp_path: Path) -> None:
    async with listening() as (server, url), demo_in_a_process(url, tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        told = await read_until(process.stdout, b"Sample")
        assert server.statistics().running == 1
        process.send_signal(signal.SIGINT)
        async for chunk in process.stdout:
            told += chunk
        assert await process.wait() == 130
        assert told.endswith(b"The job was cancelled at the server." + os.linesep.encode())
        assert b"\x1b" not in told
        assert await process.stderr.receive_some() == b""
        assert server.statistics().running == 0
        assert server.statistics().sockets == 0


async def test_a_second_ctrl_c_does_not_wait_for_the_server(tmp_path: Path) -> None:
    async with listening() as (server, url), demo_in_a_process(url, tmp_path) as process:
        assert process.stdout is not None
        await read_until(process.stdout, b"Sample")
        server.faults.hang("POST /interrupt")
        process.send_signal(signal.SIGINT)
        await read_until(process.stdout, b"Once more quits at once.")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        assert server.statistics().running == 1


NAMES = sorted(name for name in app if not name.startswith("-"))


@pytest.mark.parametrize("name", NAMES)
def test_help_has_examples_that_can_be_typed(name: str) -> None:
    command = app[name]
    examples = [
        line.removeprefix("comfy-trio ")
        for line in (command.help_epilogue or "").splitlines()
        if line.startswith("comfy-trio ")
    ]
    assert examples or name == "smoke"  # whose options are variables of the environment
    for example in examples:
        app.parse_args(shlex.split(example), exit_on_error=False, print_error=False)
