"""Whatever one does can be cancelled at every moment, and nothing of it is left."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import attrs
import prompts
import pytest
import trio
from pools import open_farm, open_pool_of
from simulation import PLANTED, CancelAtStep

from comfy_trio import Comfy, Workflow, open_comfy
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from trio.testing import MockClock

    from comfy_trio import Pool
    from comfy_trio.testing import EmbeddedServer

    Operation = Callable[[], Awaitable[object]]

VERSIONS = ["0.3.56", "0.3.64", "0.27.0"]
"""Servers that interrupt whatever runs, that interrupt by id, and that cancel in one step."""
SETTLE = 1.0
"""Seconds in which what needs no answer from anybody is over, too."""
PICTURE = prompts.image()
CONTENT = b"0123456789" * 20_000


def work() -> prompts.Prompt:
    """A job that takes its time, but few steps."""
    return prompts.slow(3, delay=1.0)


@attrs.frozen(kw_only=True)
class Stage:
    """Where an operation is tried, and what must be as it was before."""

    servers: Sequence[EmbeddedServer]
    clients: Sequence[Comfy] = ()
    directory: Path | None = None

    def held(self) -> dict[str, object]:
        """What is held here and there."""
        sessions = [comfy._session for comfy in self.clients]
        return {
            "tasks": trio.lowlevel.current_statistics().tasks_living,
            "requests": [
                http.statistics().borrowed_tokens
                for session in sessions
                for http in (session.http, session.cleanup_http)
            ],
            "jobs": [session.supervisor.live for session in sessions],
            "connections": [server.statistics().connections for server in self.servers],
            "sockets": [server.statistics().sockets for server in self.servers],
            "files": sorted(self.directory.rglob("*")) if self.directory else [],
        }

    def queued(self) -> list[tuple[int, int]]:
        """What runs and what waits, at each server."""
        told = [server.statistics() for server in self.servers]
        return [(each.running, each.pending) for each in told]


async def cancel_at_each_step(
    operation: Operation, stage: Stage, *, at_least: int, forget: Callable[[], object] = lambda: 0
) -> None:
    """Try an operation, cancelled at its first step, its second, and so on to the end.

    Args:
        operation: What to try, often.
        stage: What it must leave as it was.
        at_least: How many steps it has; fewer would mean that nothing was tried.
        forget: Removes what it may leave, such as a whole file.
    """
    idle = [(0, 0)] * len(stage.servers)
    await trio.sleep(SETTLE)
    before = stage.held()
    for step in itertools.count(1):
        with trio.CancelScope() as scope, CancelAtStep(scope, step):
            await operation()
        assert stage.queued() == idle, f"cancelled at step {step}"
        await trio.sleep(SETTLE)
        forget()
        assert stage.held() == before, f"cancelled at step {step}"
        if not scope.cancel_called:
            break
    assert step > at_least
    for comfy in stage.clients:
        assert (await comfy.run(prompts.image()))["9"]


@pytest.fixture
def stage(server: EmbeddedServer, comfy: Comfy, tmp_path: Path) -> Stage:
    return Stage(servers=[server], clients=[comfy], directory=tmp_path)


# --- Jobs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
async def test_run(autojump_clock: MockClock, version: str) -> None:
    async with (
        open_embedded_server(version=version) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        stage = Stage(servers=[server], clients=[comfy])
        await cancel_at_each_step(lambda: comfy.run(work()), stage, at_least=50)


@pytest.mark.parametrize("version", VERSIONS)
async def test_open_job(autojump_clock: MockClock, version: str) -> None:
    async with (
        open_embedded_server(version=version) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):

        async def operation() -> None:
            async with comfy.open_job(work()) as job:
                async for _ in job.events():
                    pass
                assert (await job.wait())["9"]

        stage = Stage(servers=[server], clients=[comfy])
        await cancel_at_each_step(operation, stage, at_least=50)


async def test_submit_and_cancel(autojump_clock: MockClock, comfy: Comfy, stage: Stage) -> None:
    async def operation() -> None:
        job = await comfy.submit(work())
        try:
            await trio.sleep(0.5)
            await job.cancel()
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await job.cancel()
            raise
        assert job.done

    await cancel_at_each_step(operation, stage, at_least=30)


async def test_a_job_that_waits(
    autojump_clock: MockClock, server: EmbeddedServer, comfy: Comfy, stage: Stage
) -> None:
    async with open_comfy(server.url, transport=server.transport) as other:
        longer = await other.submit(prompts.slow(1000, delay=10.0))

        async def operation() -> None:
            with trio.move_on_after(2):
                await comfy.run(work())
            assert not longer.done
            assert stage.queued() == [(1, 0)]

        for step in itertools.count(1):
            with trio.CancelScope() as scope, CancelAtStep(scope, step):
                await operation()
            assert stage.queued() == [(1, 0)], f"cancelled at step {step}"
            if not scope.cancel_called:
                break
        assert step > 20
        await longer.cancel()


async def test_take_up(autojump_clock: MockClock, comfy: Comfy, stage: Stage) -> None:
    sent = await comfy.queue.submit(PICTURE)
    await comfy.attach(sent.prompt_id)
    await cancel_at_each_step(lambda: comfy.attach(sent.prompt_id), stage, at_least=5)


async def test_a_client(autojump_clock: MockClock, server: EmbeddedServer) -> None:
    async def operation() -> None:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            job = await comfy.submit(work())
            await comfy.run(prompts.image())
            await job.wait()

    await cancel_at_each_step(operation, Stage(servers=[server]), at_least=100)


async def test_a_client_that_goes_while_its_jobs_run(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    async def operation() -> None:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            for _ in range(3):
                await comfy.submit(work())

    await cancel_at_each_step(operation, Stage(servers=[server]), at_least=100)


@pytest.mark.parametrize(
    "what", ["does not stop what is cancelled", "does not shield what stops a job"]
)
async def test_what_is_planted_is_found(
    autojump_clock: MockClock, comfy: Comfy, stage: Stage, what: str
) -> None:
    with PLANTED[what](), pytest.raises(AssertionError, match="cancelled at step"):
        await cancel_at_each_step(lambda: comfy.run(work()), stage, at_least=50)


# --- Files ----------------------------------------------------------------------------------------


async def test_upload(
    autojump_clock: MockClock, server: EmbeddedServer, comfy: Comfy, stage: Stage
) -> None:
    names = set(server.files.names("input"))

    def forget() -> None:
        left = set(server.files.names("input")) - names
        assert left <= {"whole.bin"}
        for name in left:
            path = server.files.root / "input" / name
            assert path.read_bytes() == CONTENT
            path.unlink()

    async def operation() -> None:
        await comfy.file.upload(CONTENT, filename="whole.bin")

    await cancel_at_each_step(operation, stage, at_least=5, forget=forget)


async def test_run_with_an_upload(
    autojump_clock: MockClock, comfy: Comfy, stage: Stage, tmp_path: Path
) -> None:
    result = await comfy.run(PICTURE)
    (file,) = result.files()
    picture = await comfy.file.read(file)

    async def operation() -> None:
        workflow = Workflow.from_json(
            {
                "1": prompts.node("LoadImage", image="?"),
                "9": prompts.node("SaveImage", images=["1", 0], filename_prefix="again"),
            }
        )
        workflow.attach_image("1", "image", picture, filename="picture.png", overwrite=True)
        assert await comfy.run(workflow)

    await cancel_at_each_step(operation, stage, at_least=20)


async def test_download(
    autojump_clock: MockClock, server: EmbeddedServer, comfy: Comfy, stage: Stage, tmp_path: Path
) -> None:
    await comfy.file.upload(CONTENT, filename="whole.bin")
    target = tmp_path / "whole.bin"

    def forget() -> None:
        if target.exists():
            assert target.read_bytes() == CONTENT
            target.unlink()

    async def operation() -> None:
        await comfy.file.download({"filename": "whole.bin", "type": "input"}, target)

    await cancel_at_each_step(operation, stage, at_least=10, forget=forget)


async def test_download_all(
    autojump_clock: MockClock, comfy: Comfy, stage: Stage, tmp_path: Path
) -> None:
    result = await comfy.run(PICTURE)
    files = [*result.files()] * 3

    def forget() -> None:
        for path in tmp_path.iterdir():
            assert path.read_bytes().startswith(b"\x89PNG")
            assert path.suffix == ".png"
            path.unlink()

    async def operation() -> None:
        assert len(await comfy.file.download_all(files, tmp_path)) == 3

    await cancel_at_each_step(operation, stage, at_least=20, forget=forget)


async def test_asset_upload(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with (
        open_embedded_server(assets=True) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        stage = Stage(servers=[server], clients=[comfy], directory=tmp_path)

        async def operation() -> None:
            await comfy.assets.upload(CONTENT, tags=["input"], filename="whole.bin")

        await cancel_at_each_step(operation, stage, at_least=5)


# --- Pools ----------------------------------------------------------------------------------------


async def try_on_a_pool(use: Callable[[Pool], Awaitable[object]], *, at_least: int) -> None:
    async with open_farm("ab") as farm, open_pool_of(farm) as pool:

        async def operation() -> None:
            await use(pool)

        stage = Stage(servers=[*farm.servers.values()])
        await cancel_at_each_step(operation, stage, at_least=at_least)
        assert len(await pool.map([prompts.image() for _ in range(4)])) == 4
        told = pool.statistics()
        assert (told.waiting, told.running) == (0, 0)


async def test_pool_run(autojump_clock: MockClock) -> None:
    await try_on_a_pool(lambda pool: pool.run(work()), at_least=50)


async def test_pool_map(autojump_clock: MockClock) -> None:
    async def use(pool: Pool) -> None:
        assert len(await pool.map([work() for _ in range(3)])) == 3

    await try_on_a_pool(use, at_least=100)


async def test_pool_batch(autojump_clock: MockClock) -> None:
    async def use(pool: Pool) -> None:
        async with pool.open_batch(work() for _ in range(3)) as batch:
            assert len([item.unwrap() async for item in batch]) == 3

    await try_on_a_pool(use, at_least=100)


async def test_pool_function(autojump_clock: MockClock) -> None:
    async def function(comfy: Comfy) -> Any:
        return await comfy.run(work())

    await try_on_a_pool(lambda pool: pool.run(function), at_least=50)


async def test_a_pool(autojump_clock: MockClock) -> None:
    async with open_farm("ab") as farm:

        async def operation() -> None:
            async with open_pool_of(farm) as pool:
                job = await pool.submit(work())
                await pool.run(prompts.image())
                await job.wait()

        await cancel_at_each_step(operation, Stage(servers=[*farm.servers.values()]), at_least=100)


async def test_a_server_that_comes_and_goes(autojump_clock: MockClock) -> None:
    async with open_farm("ab") as farm, open_pool_of(farm) as pool:

        async def operation() -> None:
            await pool.remove("b", drain=False)
            await pool.add(farm.member("b"))

        for step in itertools.count(1):
            with trio.CancelScope() as scope, CancelAtStep(scope, step):
                await operation()
            await trio.sleep(SETTLE)
            if "b" not in pool.server_ids:
                await pool.add(farm.member("b"))
            await trio.sleep(SETTLE)
            assert set(pool.server_ids) == {"a", "b"}
            sockets = [server.statistics().sockets for server in farm.servers.values()]
            assert sockets == [1, 1], f"cancelled at step {step}"
            if not scope.cancel_called:
                break
        assert step > 5
