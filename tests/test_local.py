"""ComfyUI as a child process: real processes, of a checkout that is a fake."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import prompts
import pytest
import trio
from fake_checkouts import children_of, is_alive

from comfy_trio import (
    DisconnectedError,
    ServerCrashedError,
    _local_process,
    open_comfy,
    open_local_comfy,
)
from comfy_trio._local_command import LocalCommand
from comfy_trio._local_process import LocalChild

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
    pytest.mark.usefixtures("no_process_is_left"),
]

BOUND = 30
"""Seconds of real time after which something hangs."""


async def test_it_runs_jobs_and_is_gone_then(checkout: Path) -> None:
    with trio.fail_after(BOUND):
        async with open_local_comfy(checkout) as local:
            async with open_comfy(local.url) as comfy:
                assert (await comfy.run(prompts.image()))["9"]
            assert is_alive(local.pid)
            assert repr(local) == f"<LocalComfy {local.url}, process {local.pid}>"
    assert not is_alive(local.pid)
    assert "[INFO] Starting server" in local.log


async def test_a_gpu_is_pinned_and_the_environment_is_passed_on(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with trio.fail_after(BOUND):
        async with open_local_comfy(checkout) as local:
            assert "GPU 7" in local.log
        async with open_local_comfy(checkout, gpu=2) as local:
            assert "GPU 2" in local.log
        environment = {"CUDA_VISIBLE_DEVICES": "of mine"}
        async with open_local_comfy(checkout, gpu=2, environment=environment) as local:
            assert "GPU of mine" in local.log


async def test_a_crash_at_the_start(checkout: Path) -> None:
    with trio.fail_after(BOUND), pytest.raises(ServerCrashedError) as caught:
        async with open_local_comfy(checkout, environment={"FAKE": "crash"}):
            pytest.fail("entered")
    error = caught.value
    assert error.returncode == 1
    assert "ended by itself (exit code 1). It wrote last:" in str(error)
    assert str(error).endswith("  RuntimeError: no module named torch")
    assert error.log[-1] == "RuntimeError: no module named torch"


async def test_a_crash_in_the_block_ends_the_block(checkout: Path) -> None:
    with trio.fail_after(BOUND), pytest.raises(ServerCrashedError, match="SIGKILL") as caught:
        async with open_local_comfy(checkout) as local:
            os.kill(local.pid, signal.SIGKILL)
            await trio.sleep_forever()
    assert caught.value.returncode == -signal.SIGKILL


async def test_a_crash_during_a_job_is_told_as_that(checkout: Path) -> None:
    with trio.fail_after(BOUND), pytest.raises(ServerCrashedError, match="SIGKILL"):
        async with open_local_comfy(checkout) as local, open_comfy(local.url) as comfy:
            async with comfy.open_job(prompts.slow(1000)):
                os.kill(local.pid, signal.SIGKILL)


async def test_a_connection_that_it_lost_is_the_cause(checkout: Path) -> None:
    lost = DisconnectedError("the connection broke")
    with trio.fail_after(BOUND), pytest.raises(ServerCrashedError) as caught:
        async with open_local_comfy(checkout) as local:
            os.kill(local.pid, signal.SIGKILL)
            raise lost
    assert caught.value.__cause__ is lost


async def test_other_exceptions_come_out_as_themselves(checkout: Path) -> None:
    pids: list[int] = []
    with trio.fail_after(BOUND):
        for error in (ZeroDivisionError(), DisconnectedError("of something else")):
            with pytest.raises(type(error)) as caught:
                async with open_local_comfy(checkout) as local:
                    pids.append(local.pid)
                    raise error
            assert caught.value is error
    assert not any(map(is_alive, pids))


async def test_cancelled_while_it_starts(checkout: Path) -> None:
    with trio.fail_after(BOUND):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def start() -> None:
                async with open_local_comfy(checkout, environment={"FAKE": "hang"}):
                    pytest.fail("entered")

            while not children_of(os.getpid()):  # noqa: ASYNC110  # there is nothing to wait for
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()


async def test_cancelled_at_any_moment_of_its_start(checkout: Path) -> None:
    with trio.fail_after(BOUND):
        for delay in range(12):
            with trio.move_on_after(delay / 50):
                async with open_local_comfy(checkout, environment={"FAKE": "hang"}):
                    pytest.fail("entered")
            assert not children_of(os.getpid())


async def test_started_by_a_program_that_ignores_sigint(
    checkout: Path, caplog: pytest.LogCaptureFixture
) -> None:
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with trio.fail_after(BOUND):
            async with open_local_comfy(checkout):
                pass
    finally:
        signal.signal(signal.SIGINT, handler)
    assert not caplog.records


async def test_one_that_does_not_listen_is_killed(checkout: Path) -> None:
    options = {"FAKE": "deaf"}
    with trio.fail_after(BOUND):
        async with open_local_comfy(checkout, environment=options, stop_timeout=0.1) as local:
            pass
    assert not is_alive(local.pid)


async def test_one_that_cannot_be_killed_keeps_nobody(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def hang_in_a_driver(child: LocalChild) -> None:
        pass

    with trio.fail_after(BOUND), monkeypatch.context() as patched:
        patched.setattr(LocalChild, "_kill_all", hang_in_a_driver)
        patched.setattr(_local_process, "KILL", 0.1)
        async with open_local_comfy(checkout, stop_timeout=0.1) as local:
            os.kill(local.pid, signal.SIGSTOP)
    assert f"process {local.pid} was killed, and does not end" in caplog.text
    os.kill(local.pid, signal.SIGKILL)
    await local._child.process.wait()


async def test_what_it_started_ends_with_it(checkout: Path) -> None:
    with trio.fail_after(BOUND):
        async with open_local_comfy(checkout, environment={"FAKE": "child"}) as local:
            (line,) = [line for line in local.log if line.startswith("child")]
            child = int(line.split()[1])
            assert is_alive(child)
        while is_alive(child):  # noqa: ASYNC110  # it is no child of ours to wait for
            await trio.sleep(0.01)


async def test_a_port_that_was_taken_meanwhile(checkout: Path) -> None:
    with trio.fail_after(BOUND):
        async with open_local_comfy(checkout, environment={"FAKE": "taken"}) as local:
            assert (checkout / "taken").exists()
            assert "already in use" not in "".join(local.log)


async def test_somebody_else_at_the_port_is_not_taken_for_it(checkout: Path) -> None:
    with trio.move_on_after(2) as waited:
        async with open_local_comfy(checkout, environment={"FAKE": "stranger"}):
            pytest.fail("entered")
    assert waited.cancelled_caught


async def test_a_long_log(checkout: Path) -> None:
    with trio.fail_after(BOUND):
        async with open_local_comfy(checkout, environment={"FAKE": "chatty"}) as local:
            assert len(local.log) <= 1000
            assert "line 4999" in local.log
            assert max(map(len, local.log)) <= 4000
            lines = local.log_lines()
    assert [line async for line in lines if line == "nothing"] == []
    assert [line async for line in local.log_lines()] == []


async def test_two_of_one_checkout(checkout: Path) -> None:
    async def run(results: list[object]) -> None:
        async with open_local_comfy(checkout) as local, open_comfy(local.url) as comfy:
            results.append((await comfy.run(prompts.image())).prompt_id)

    results: list[object] = []
    with trio.fail_after(BOUND):
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(run, results)
    assert len(set(results)) == 2


async def test_it_ends_when_this_program_is_killed(checkout: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, trio\n"
        "from comfy_trio import open_local_comfy\n"
        "async def main():\n"
        "    async with open_local_comfy(sys.argv[1], stop_timeout=1) as local:\n"
        "        print(local.pid, flush=True)\n"
        "        await trio.sleep_forever()\n"
        "trio.run(main)\n"
    )
    with trio.fail_after(BOUND):
        process = await trio.lowlevel.open_process(
            [sys.executable, str(program), str(checkout)], stdout=-1
        )
        assert process.stdout is not None
        pid = int(await process.stdout.receive_some())
        assert is_alive(pid)
        process.kill()
        await process.wait()
        while is_alive(pid):  # noqa: ASYNC110  # it is no child of ours to wait for
            await trio.sleep(0.01)


# --- What makes no sense --------------------------------------------------------------------------


async def test_what_is_no_checkout(tmp_path: Path, checkout: Path) -> None:
    with pytest.raises(ValueError, match=r"is no checkout of ComfyUI: it has no main\.py"):
        async with open_local_comfy(tmp_path):
            pytest.fail("entered")
    (checkout / "comfy" / "cli_args.py").rename(checkout / "cli_args.py")
    with pytest.raises(ValueError, match=r"it has no comfy/cli_args\.py"):
        async with open_local_comfy(checkout):
            pytest.fail("entered")
    (checkout / "cli_args.py").rename(checkout / "comfy" / "cli_args.py")
    with pytest.raises(ValueError, match="python: there is no /nowhere/python"):
        async with open_local_comfy(checkout, python="/nowhere/python"):
            pytest.fail("entered")
    for argument in ("--port", "--port=8188", "--listen"):
        with pytest.raises(ValueError, match="is decided by how the server is reached here"):
            async with open_local_comfy(checkout, arguments=[argument]):
                pytest.fail("entered")


async def test_an_interpreter_that_cannot_be_run(checkout: Path) -> None:
    with pytest.raises(PermissionError):
        async with open_local_comfy(checkout, python=checkout / "main.py"):
            pytest.fail("entered")


def command(checkout: Path, *arguments: str) -> LocalCommand:
    return LocalCommand.of(
        checkout, python=None, gpu=None, arguments=arguments, environment=None, stop_timeout=1
    )


def test_the_interpreter_of_the_checkout_comes_first(checkout: Path) -> None:
    assert command(checkout).python == sys.executable
    for name in (".venv", "venv"):
        python = checkout / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch()
        assert command(checkout).python == str(python)


def test_directories_are_its_own_unless_told(checkout: Path) -> None:
    def own(*arguments: str) -> list[str]:
        argv = command(checkout, *arguments).argv(8188, Path("/own"))
        return argv[argv.index("--disable-auto-launch") + 1 :]

    temp, database = ["--temp-directory", "/own"], ["--database-url", "sqlite:////own/comfyui.db"]
    assert own() == [*temp, *database]
    assert own("--cpu") == [*temp, *database, "--cpu"]
    assert own("--database-url=a") == [*temp, "--database-url=a"]
    (checkout / "comfy" / "cli_args.py").write_text("# older\n")
    assert own() == temp
