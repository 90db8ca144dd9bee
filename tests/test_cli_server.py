"""The commands that look at a server, and change what is there: info, queue, cancel, ..."""

from __future__ import annotations

import json
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio
from commands import listening, piped

from comfy_trio import open_comfy
from comfy_trio._cli._files import run_download, run_upload
from comfy_trio._cli._info import run_info
from comfy_trio._cli._logs import run_logs, run_watch
from comfy_trio._cli._queue import run_cancel, run_history, run_queue
from comfy_trio._cli._supervise import CommandError, supervise

if TYPE_CHECKING:
    from pathlib import Path


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("version", ["0.3.64", "0.27.0"])
async def test_info(version: str) -> None:
    async with listening(version=version) as (_, url), open_comfy(url) as comfy:
        await comfy.submit(prompts.slow(1000))
        waiting = await comfy.submit(prompts.slow(1000))
        screen, out, _ = piped()
        await run_info(url, screen)
        text = out.getvalue()
        assert f"Server      {url}\n" in text
        assert f"ComfyUI     {version}\n" in text
        assert "Queue       1 running, 1 waiting\n" in text
        assert "Device      cpu, 8.0 of 16.0 GiB free\n" in text
        assert "in checkpoints: dreamscape_v2.safetensors" in text
        screen, out, _ = piped()
        await run_info(url, screen, as_json=True)
        (told,) = lines(out.getvalue())
        assert told["version"] == version
        assert told["pending"] == [waiting.prompt_id]
        assert "sd15.safetensors" in told["models"]["checkpoints"]


async def test_queue_and_cancel() -> None:
    async with listening() as (server, url), open_comfy(url) as comfy:
        screen, out, _ = piped()
        await run_queue(url, screen)
        assert out.getvalue() == "Nothing runs, and nothing waits.\n"
        jobs = [await comfy.submit(prompts.slow(1000)) for _ in range(3)]
        screen, out, _ = piped()
        await run_queue(url, screen)
        shown = out.getvalue().splitlines()
        assert [line.split()[:2] for line in shown] == [
            ["running", jobs[0].prompt_id],
            ["waiting", jobs[1].prompt_id],
            ["waiting", jobs[2].prompt_id],
        ]
        assert "4 nodes: EmptyImage, ImageInvert" in shown[0]
        screen, out, _ = piped()
        await run_queue(url, screen, as_json=True)
        assert [line["status"] for line in lines(out.getvalue())] == ["running", *["waiting"] * 2]

        screen, out, _ = piped()
        await run_cancel(url, (jobs[1].prompt_id,), screen)
        assert out.getvalue() == f"Stopped {jobs[1].prompt_id}\n"
        assert server.statistics().pending == 1
        with pytest.raises(CommandError, match=r"neither running nor waiting at .*: nobody"):
            await run_cancel(url, ("nobody",), screen)
        for ids, everything in (((), False), (("a",), True)):
            with pytest.raises(CommandError, match="say --all"):
                await run_cancel(url, ids, screen, everything=everything)
        await run_cancel(url, (), screen, everything=True)
        for job in jobs:
            await job._tracker.ended.wait()
        assert (server.statistics().running, server.statistics().pending) == (0, 0)


async def test_history_and_download(tmp_path: Path) -> None:
    async with listening() as (_, url), open_comfy(url) as comfy:
        screen, out, _ = piped()
        await run_history(url, None, screen, most=5)
        assert out.getvalue() == "No job is over, or the history was cleared.\n"
        result = await comfy.run(prompts.image())
        failed = await comfy.submit(prompts.failing("boom"))
        await failed._tracker.ended.wait()
        (file,) = result.files()

        screen, out, _ = piped()
        await run_history(url, None, screen, most=5)
        first, second = out.getvalue().splitlines()
        assert first.startswith(f"completed  {result.prompt_id}")
        assert first.endswith("1 file")
        assert second.startswith(f"failed     {failed.prompt_id}")
        screen, out, _ = piped()
        await run_history(url, None, screen, most=1, as_json=True)
        assert [line["status"] for line in lines(out.getvalue())] == ["failed"]
        screen, out, _ = piped()
        await run_history(url, failed.prompt_id, screen, most=1)
        assert "node 3: boom" in out.getvalue()
        screen, out, _ = piped()
        await run_history(url, result.prompt_id, screen, most=1)
        assert f"  output/{file['filename']}\n" in out.getvalue()
        with pytest.raises(CommandError, match="has no job nobody in its history"):
            await run_history(url, "nobody", screen, most=1)

        for what in (result.prompt_id, f"output/{file['filename']}"):
            screen, out, _ = piped()
            directory = tmp_path / what.replace("/", "_")
            await run_download(url, what, screen, out=str(directory))
            (path,) = directory.iterdir()
            assert path.read_bytes() == await comfy.file.read(file)
            assert out.getvalue() == f"Saved       {path}\n"
        with pytest.raises(CommandError, match="gave no files"):
            await run_download(url, failed.prompt_id, screen, out=str(tmp_path))
        with pytest.raises(CommandError, match="no file in one of output, input, temp"):
            await run_download(url, "etc/passwd", screen, out=str(tmp_path))


async def test_upload(tmp_path: Path) -> None:
    (tmp_path / "a b.bin").write_bytes(b"content")
    async with listening() as (server, url):
        screen, out, _ = piped()
        await run_upload(url, (str(tmp_path / "a b.bin"),), screen, subfolder="sub")
        assert out.getvalue() == "Stored      sub/a b.bin\n"
        assert (server.files.root / "input" / "sub" / "a b.bin").read_bytes() == b"content"
        with pytest.raises(CommandError, match="name the files"):
            await run_upload(url, (), screen)
        with pytest.raises(FileNotFoundError):
            await run_upload(url, (str(tmp_path / "none"),), screen)


async def until_interrupted(command: Any, out: Any, *texts: str) -> None:
    """Run a command until it has written some texts, and then press Ctrl-C."""
    screen, written, err = out
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            assert await supervise(command, screen, until_interrupted=True) == 0

        nursery.start_soon(run)
        for text in texts:
            await written.wait_for(text)
        signal.raise_signal(signal.SIGINT)
    assert err.getvalue() == ""


async def test_logs() -> None:
    async with listening() as (server, url):
        server.log("a line\x1b[31m of \x07 the past")
        screen, out, _ = piped()
        await run_logs(url, screen)
        assert "a line of \\x07 the past\n" in out.getvalue()
        following = piped()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def write() -> None:
                await following[1].wait_for("the past")
                while not server.statistics().log_subscribers:  # noqa: ASYNC110
                    await trio.sleep(0.01)
                server.log("a new line")

            await until_interrupted(
                partial(run_logs, url, follow=True), following, "the past", "a new line"
            )


@pytest.mark.parametrize("as_json", [False, True])
async def test_watch(as_json: bool) -> None:
    async with listening() as (_, url), open_comfy(url) as comfy:
        job = await comfy.submit(prompts.slow(1000))
        later = await comfy.submit(prompts.slow(1000))
        watching = piped()

        async def stop() -> None:
            await watching[1].wait_for(later.prompt_id)
            await later.cancel()
            await job.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop)
            await until_interrupted(
                partial(run_watch, url, as_json=as_json),
                watching,
                "gone",
                "cancelled",
            )
        told = [line for line in watching[1].getvalue().splitlines() if "Interrupted" not in line]
        if as_json:
            events = lines("\n".join(told))
            seen = [(event["status"], event["prompt_id"]) for event in events]
        else:
            seen = [(line.split()[0], line.split()[1]) for line in told]
        assert seen[:2] == [("running", job.prompt_id), ("waiting", later.prompt_id)]
        assert {("gone", later.prompt_id), ("cancelled", job.prompt_id)} <= {*seen}


async def test_a_watch_outlives_a_server_that_stumbles() -> None:
    async with listening() as (server, url), open_comfy(url) as comfy:
        watching = piped()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def stumble() -> None:
                await watching[1].wait_for("running")
                server.faults.answer("GET /queue", 502)
                waiting = await comfy.submit(prompts.slow(1000))
                await watching[2].wait_for("warning: ")
                await waiting.cancel()
                await job.cancel()

            job = await comfy.submit(prompts.slow(1000))

            async def run() -> None:
                command = partial(run_watch, url)
                assert await supervise(command, watching[0], until_interrupted=True) == 0

            nursery.start_soon(run)
            await watching[1].wait_for("cancelled")
            signal.raise_signal(signal.SIGINT)
