"""Whatever is cancelled, at whichever step: nothing is left, and all goes on; see `checkpoints`."""

from __future__ import annotations

import io
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import prompts
import pytest
import trio
import trio.testing
from checkpoints import cancel_at_every_step, counting_down, require_idle, same_order, tasks
from pools import open_farm, open_pool_of
from simulation import PLANTED
from trio.testing import MockClock

from comfy_trio import Comfy, Workflow, open_comfy, open_pool
from comfy_trio.testing import Crystools, open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
    from pathlib import Path

    from comfy_trio import Pool
    from comfy_trio.testing import EmbeddedServer

    Program = Callable[[Comfy, EmbeddedServer, Path], Awaitable[object]]

CONTENT: Final = bytes(range(256)) * 1000
FILE: Final = {"filename": "f.bin", "subfolder": "", "type": "output"}


def quick() -> prompts.Prompt:
    """A job of few steps, but with progress and previews."""
    return prompts.slow(2, delay=0.1, preview=8)


# --- A client -------------------------------------------------------------------------------------


async def run(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    assert (await comfy.run(quick()))["9"]


async def submit_and_wait(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    job = await comfy.submit(quick())
    try:
        await job.wait()
    finally:  # who stops waiting leaves the job alone
        with trio.CancelScope(shield=True):
            await job.cancel()


async def open_job_and_read(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    async with comfy.open_job(quick()) as job:
        async for _ in job.events():
            pass


async def open_job_and_leave(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    async with comfy.open_job(quick()):
        pass


async def run_several(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(comfy.run, prompts.image())


async def run_with_attachments(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    prompt = prompts.image()
    prompt["2"] = prompts.node("LoadImage", image="")
    workflow = Workflow.from_json(prompt)
    workflow.attach_image("2", "image", PICTURE, filename="a.png", overwrite=True)
    workflow.attach_folder("more", {"b.bin": CONTENT}, overwrite=True)
    await comfy.run(workflow)


async def run_with_seeds(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    prompt = prompts.image()
    prompt["4"] = prompts.node("KSampler", seed=-1)
    with suppress(Exception):  # it lacks the rest, and is refused
        await comfy.run(prompt)


async def validate(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    await comfy.validate(prompts.image(), refresh=True)


async def attach(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    submission = await comfy.queue.submit(quick())
    try:
        assert (await comfy.attach(submission.prompt_id))["9"]
    finally:  # it is not this client's to stop
        with trio.CancelScope(shield=True):
            await comfy.queue.cancel(submission.prompt_id)
            await trio.sleep(1)
            assert not comfy._session.supervisor.live


async def queue_and_history(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    await comfy.queue.state()
    await comfy.queue.remaining()
    await comfy.history.page()
    await comfy.jobs.page()
    await comfy.history.clear()
    await comfy.queue.clear()


async def feeds(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    async with comfy.terminal.subscribe():
        pass
    async with comfy.monitor.subscribe() as readings:
        async for _ in readings:
            break


async def upload_bytes(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    await comfy.file.upload(CONTENT, filename="a.bin", overwrite=True)


async def upload_path(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    await comfy.file.upload(folder / "here.bin", overwrite=True)


async def upload_file(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    await comfy.file.upload(io.BytesIO(CONTENT), filename="a.bin", overwrite=True)


async def upload_stream(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:  # noqa: ASYNC900  # closed below
        for start in range(0, len(CONTENT), 100_000):
            await trio.lowlevel.checkpoint()
            yield CONTENT[start : start + 100_000]

    source = pieces()
    try:
        await comfy.file.upload(source, filename="a.bin", overwrite=True)
    finally:
        await source.aclose()


async def upload_asset(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    await comfy.assets.upload(CONTENT, tags=["input"], filename="a.bin")


async def read(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    assert await comfy.file.read(FILE) == CONTENT


async def stream(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    async with comfy.file.open_stream(FILE) as pieces:
        async for _ in pieces:
            pass


async def stream_and_leave(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    async with comfy.file.open_stream(FILE) as pieces:
        async for _ in pieces:
            break


async def stream_that_breaks(comfy: Comfy, server: EmbeddedServer, folder: Path) -> None:
    server.faults.clear()
    server.faults.break_connection("GET /view", sent=100_000)
    await comfy.file.read(FILE)


PROGRAMS: dict[str, Program] = {
    program.__name__: program
    for program in (
        run,
        submit_and_wait,
        open_job_and_read,
        open_job_and_leave,
        run_several,
        run_with_attachments,
        run_with_seeds,
        validate,
        attach,
        queue_and_history,
        feeds,
        upload_bytes,
        upload_path,
        upload_file,
        upload_stream,
        upload_asset,
        read,
        stream,
        stream_and_leave,
        stream_that_breaks,
    )
}


WITH_THREADS: Final = {"upload_path", "upload_file"}


def picture() -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG")
    return stream.getvalue()


PICTURE: Final = picture()


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_client(
    autojump_clock: MockClock, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "here.bin").write_bytes(CONTENT)
    program = PROGRAMS[name]
    async with open_embedded_server(extensions=[Crystools()], assets=True) as server:
        server.files.upload("f.bin", CONTENT, kind="output")
        async with open_comfy(server.url, transport=server.transport) as comfy:
            await comfy.run(prompts.image())
            await trio.testing.wait_all_tasks_blocked()
            there = tasks()

            async def settle(step: int) -> None:
                await require_idle(comfy, server)
                assert tasks() == there, step
                assert server.statistics().log_subscribers == 0, step
                assert not caplog.records, step  # such as that a job was not seen to stop

            steps = await cancel_at_every_step(
                lambda: program(comfy, server, tmp_path),
                settle,
                every=4 if name == "run_several" else 1,
                threads=name in WITH_THREADS,
            )
            assert steps > 5
            assert (await comfy.run(prompts.image()))["9"]
    assert [path.name for path in tmp_path.iterdir()] == ["here.bin"]


@pytest.mark.parametrize("version", ["0.3.56", "0.3.64"])
@pytest.mark.parametrize("name", ["run", "open_job_and_read"])
async def test_a_client_of_an_older_server(
    autojump_clock: MockClock, version: str, name: str, tmp_path: Path
) -> None:
    """One interrupts whatever runs, one interrupts by id, and neither cancels in one step."""
    async with (
        open_embedded_server(version=version) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):

        async def settle(step: int) -> None:
            await require_idle(comfy, server)

        program = PROGRAMS[name]
        steps = await cancel_at_every_step(lambda: program(comfy, server, tmp_path), settle)
        assert steps > 50
        assert (await comfy.run(prompts.image()))["9"]


async def test_a_job_that_waits_behind_anothers(
    autojump_clock: MockClock, server: EmbeddedServer, comfy: Comfy
) -> None:
    async with open_comfy(server.url, transport=server.transport) as other:
        longer = await other.submit(prompts.slow(1000, delay=60))

        async def program() -> None:
            with trio.move_on_after(2):
                await comfy.run(quick())

        async def settle(step: int) -> None:
            left = server.statistics()
            assert (left.running, left.pending) == (1, 0), step
            assert not longer.done, step

        steps = await cancel_at_every_step(program, settle)
        assert steps > 20
        await longer.cancel()


@pytest.mark.parametrize("what", ["does not stop what is cancelled", "cleans up with no shield"])
async def test_what_is_planted_is_found(
    autojump_clock: MockClock, server: EmbeddedServer, comfy: Comfy, tmp_path: Path, what: str
) -> None:
    async def settle(step: int) -> None:
        await require_idle(comfy, server)

    with PLANTED[what](), pytest.raises(AssertionError):
        await cancel_at_every_step(lambda: run(comfy, server, tmp_path), settle)


@pytest.mark.parametrize("way", ["download", "download_all", "in place of another"])
async def test_downloads(autojump_clock: MockClock, way: str, tmp_path: Path) -> None:
    """A file is there whole, or not at all, or as it was before."""
    old = b"what was there before"
    target = tmp_path / "f.bin"
    async with open_embedded_server() as server:
        server.files.upload("f.bin", CONTENT, kind="output")
        async with open_comfy(server.url, transport=server.transport) as comfy:

            async def program() -> None:
                if way == "in place of another":
                    target.write_bytes(old)
                else:
                    target.unlink(missing_ok=True)
                if way == "download_all":
                    await comfy.file.download_all([FILE], tmp_path)
                else:
                    await comfy.file.download(FILE, target)

            async def settle(step: int) -> None:
                await require_idle(comfy, server)
                names = [path.name for path in tmp_path.iterdir()]
                assert names in ([], ["f.bin"]), step
                if names:
                    assert target.read_bytes() in (CONTENT, old), step

            steps = await cancel_at_every_step(program, settle, threads=True)
            assert steps > 5
            assert (await comfy.run(prompts.image()))["9"]


# --- Blocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", ["nothing", "a run", "jobs that are left"])
async def test_a_client_block(autojump_clock: MockClock, inside: str) -> None:
    async with open_embedded_server() as server:
        there = tasks()

        async def program() -> None:
            async with open_comfy(server.url, transport=server.transport) as comfy:
                if inside == "a run":
                    await comfy.run(prompts.image())
                elif inside == "jobs that are left":
                    for _ in range(2):
                        await comfy.submit(prompts.slow(100))

        async def settle(step: int) -> None:
            await trio.testing.wait_all_tasks_blocked()
            left = server.statistics()
            assert (left.pending, left.running) == (0, 0), step
            assert (left.sockets, left.connections) == (0, 0), step
            assert tasks() == there, step

        steps = await cancel_at_every_step(program, settle)
        assert steps > 5


async def test_a_server_block(autojump_clock: MockClock) -> None:
    there = tasks()

    async def program() -> None:
        async with open_embedded_server() as server:
            async with open_comfy(server.url, transport=server.transport) as comfy:
                await comfy.run(prompts.image())

    async def settle(step: int) -> None:
        assert tasks() == there, step

    steps = await cancel_at_every_step(program, settle)
    assert steps > 5


# --- A pool ---------------------------------------------------------------------------------------


async def pool_run(pool: Pool) -> None:
    assert (await pool.run(quick()))["9"]


async def pool_map(pool: Pool) -> None:
    assert len(await pool.map([prompts.image() for _ in range(4)])) == 4


async def pool_function(pool: Pool) -> None:
    async def function(comfy: Comfy) -> str:
        return (await comfy.run(quick())).prompt_id

    assert await pool.run(function)


async def pool_batch(pool: Pool) -> None:
    async with pool.open_batch([prompts.image() for _ in range(4)]) as batch:
        async for item in batch:
            item.unwrap()


async def pool_batch_left(pool: Pool) -> None:
    async with pool.open_batch([quick() for _ in range(4)]) as batch:
        async for _ in batch:
            break


POOL_PROGRAMS: dict[str, Callable[[Pool], Awaitable[object]]] = {
    program.__name__: program
    for program in (pool_run, pool_map, pool_function, pool_batch, pool_batch_left)
}


@pytest.mark.parametrize("name", POOL_PROGRAMS)
async def test_a_pool(autojump_clock: MockClock, name: str) -> None:
    program = POOL_PROGRAMS[name]
    async with open_farm("ab") as farm, open_pool_of(farm) as pool:
        await pool.map([prompts.image() for _ in range(4)])
        await trio.sleep(10)
        there = tasks()

        async def settle(step: int) -> None:
            assert not pool._dispatcher.tickets, step
            await trio.testing.wait_all_tasks_blocked()
            for each in "ab":
                left = farm[each].statistics()
                assert (left.running, left.pending) == (0, 0), step
                assert left.connections == left.sockets == 1, step
            assert tasks() == there, step

        steps = await cancel_at_every_step(lambda: program(pool), settle, every=7)
        assert steps > 5
        assert (await pool.run(prompts.image()))["9"]


@pytest.mark.parametrize("drain", [True, False])
async def test_a_server_that_leaves_a_pool(autojump_clock: MockClock, drain: bool) -> None:
    """It comes and goes; whenever that is cancelled, it is a member or it is not."""
    async with open_farm("ab") as farm, open_pool_of(farm) as pool:
        await pool.map([prompts.image() for _ in range(4)])

        async def program() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pool.map, [prompts.image() for _ in range(3)])
                await trio.sleep(0.01)
                await pool.remove("b", drain=drain)

        async def settle(step: int) -> None:
            assert not pool._dispatcher.tickets, step
            with trio.fail_after(60):
                assert (await pool.run(prompts.image()))["9"], step
            for each in "ab":
                left = farm[each].statistics()
                assert (left.running, left.pending) == (0, 0), step
            if "b" not in pool.server_ids:
                await pool.add(farm.member("b"))
            await trio.sleep(10)
            assert pool.server_ids == ("a", "b"), step

        steps = await cancel_at_every_step(program, settle, every=7)
        assert steps > 5


async def test_a_pool_block(autojump_clock: MockClock) -> None:
    async with open_farm("ab") as farm:
        there = tasks()

        async def program() -> None:
            async with open_pool(farm.members()) as pool:
                await pool.submit(prompts.image())
                await pool.run(prompts.image())

        async def settle(step: int) -> None:
            await trio.testing.wait_all_tasks_blocked()
            farm.assert_clean()
            assert tasks() == there, step

        steps = await cancel_at_every_step(program, settle, every=7)
        assert steps > 5


# --- Ctrl-C ---------------------------------------------------------------------------------------


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Have SIGINT interrupt, also in a process that was started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


async def run_once(steps: int) -> int:
    """A client, a job, and Ctrl-C at one of the steps; how many of these there were left."""
    async with open_embedded_server() as server:
        there = tasks()
        left = 0
        try:
            with same_order(), counting_down(steps, press_ctrl_c) as countdown:
                async with open_comfy(server.url, transport=server.transport) as comfy:
                    async with comfy.open_job(quick()) as job:
                        async for _ in job.events():
                            pass
                left = countdown.left
        except KeyboardInterrupt:
            await trio.testing.wait_all_tasks_blocked()
            left = 0
        end = server.statistics()
        assert (end.pending, end.running, end.sockets) == (0, 0, 0), steps
        assert tasks() == there, steps
        return left


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c(ctrl_c: None) -> None:
    """It comes out as itself, from whichever step, and nothing is left."""
    steps = 1
    while True:
        try:
            left = trio.run(run_once, steps, clock=MockClock(autojump_threshold=0))
        except KeyboardInterrupt:
            left = 0  # pressed at the very end
        if left > 0:
            break
        steps += 4
    assert steps > 100
