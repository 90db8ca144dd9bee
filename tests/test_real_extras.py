"""The terminal, Crystools and ComfyUI-Manager of a real server at $COMFY_HOST.

A server without the extensions will do: it is seen to be without them. Nothing is installed,
removed or updated, and nothing asks the internet.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from prompts import image

from comfy_trio import (
    Comfy,
    ForbiddenError,
    ManagerGeneration,
    ResponseError,
    UnsupportedError,
    open_comfy,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from comfy_trio import Subscription, TerminalEntry

pytestmark = pytest.mark.real

DEADLINE = 120


@pytest.fixture
async def comfy() -> AsyncGenerator[Comfy, None]:
    assert "COMFY_HOST" in os.environ, "say where the real server is: COMFY_HOST=http://..."
    with trio.fail_after(DEADLINE):
        async with open_comfy() as comfy:
            yield comfy


@contextmanager
def where_allowed() -> Generator[None]:
    """Manager's security level may forbid what the block does, and then the error says so."""
    try:
        yield
    except ForbiddenError as error:
        if not re.search(r"security level|too old", str(error)):
            raise


async def read_log(entries: Subscription[TerminalEntry], jobs: int) -> list[str]:
    """Read the log until it tells that so many jobs are over; return how each began and ended."""
    found: list[str] = []
    async for entry in entries:
        assert entry.time is not None
        found += [word for word in ("got prompt", "Prompt executed") if word in entry.text]
        if found.count("Prompt executed") == jobs:
            break
    return found


async def test_the_log(comfy: Comfy) -> None:
    async with comfy.terminal.subscribe() as entries:
        await comfy.run(image())
        assert await read_log(entries, 1) == ["got prompt", "Prompt executed"]
    log = await comfy.terminal.logs()
    assert log.columns
    assert log.rows
    assert 0 < len(log.entries) <= 300
    assert "Prompt executed in" in await comfy.terminal.text()


async def test_several_readers_of_the_log(comfy: Comfy) -> None:
    async with comfy.terminal.subscribe() as first:
        async with comfy.terminal.subscribe() as second:
            await comfy.run(image())
            assert await read_log(second, 1) == ["got prompt", "Prompt executed"]
        await comfy.run(image())
        assert await read_log(first, 2) == ["got prompt", "Prompt executed"] * 2


async def test_the_log_across_a_lost_socket(comfy: Comfy) -> None:
    async with open_comfy() as other, comfy.terminal.subscribe() as entries:
        for _ in range(5):
            before = comfy._session.reconnections
            reading = comfy._session.connection._reading
            assert reading is not None
            reading.cancel("this test hangs up; the client connects again")
            await other.run(image())
            await comfy._session.wait_reconnected(before)
            await other.run(image())
            assert await read_log(entries, 2) == ["got prompt", "Prompt executed"] * 2


async def test_what_the_machine_does(comfy: Comfy) -> None:
    monitor = comfy.monitor
    if not await monitor.supported():
        for call in (monitor.gpus, monitor.drives, monitor.start, monitor.stop, monitor.configure):
            with pytest.raises(UnsupportedError, match="the extension Crystools"):
                await call()
        with pytest.raises(UnsupportedError, match="the extension Crystools"):
            async with monitor.subscribe():
                pytest.fail("entered")
        return
    assert await monitor.drives()
    gpus = await monitor.gpus()
    with pytest.raises(ResponseError, match="HTTP status 400"):
        await monitor.configure_gpu(len(gpus), vram=True)
    async with monitor.subscribe() as readings:
        await monitor.configure(interval=0.5, cpu=True, ram=True)
        await anext(readings)
        reading = await anext(readings)
        assert reading.ram_total
        assert reading.ram_used_percent
        assert reading.cpu_utilization is not None
        await monitor.configure(cpu=False)
        await anext(readings)
        assert (await anext(readings)).cpu_utilization is None
        await monitor.configure(interval=1, cpu=True)


async def test_the_manager(comfy: Comfy) -> None:
    manager = comfy.manager
    flags = await manager.feature_flags()
    if not await manager.supported():
        assert "supports_csrf_post" not in flags
        for call in (manager.version, manager.installed, manager.queue_status, manager.run_queue):
            with pytest.raises(UnsupportedError, match="does not have ComfyUI-Manager"):
                await call()
        return
    assert (await manager.version()).startswith("V")
    assert isinstance(await manager.installed(), dict)
    assert len(await manager.node_map(source="local")) > 1000
    generation = await manager.generation()
    if generation is ManagerGeneration.TASKS:
        with pytest.raises(UnsupportedError, match="cannot list the packs"):
            await manager.packs(source="local")
    else:
        packs = await manager.packs(source="local")
        assert len(packs) > 1000
        assert all(pack.state for pack in packs.values())
        assert len(await manager.models(source="local")) > 100
    assert await manager.import_failure("no such pack") is None
    assert (await manager.channels()).urls
    assert await manager.database_mode() in {"cache", "local", "remote"}
    assert (await manager.update_policy()).endswith("comfyui")


async def test_the_manager_s_settings(comfy: Comfy) -> None:
    manager = comfy.manager
    if not await manager.supported():
        with pytest.raises(UnsupportedError, match="does not have ComfyUI-Manager"):
            await manager.set_database_mode("local")
        return
    mode = await manager.database_mode()
    with where_allowed():
        await manager.set_database_mode("local")
        assert await manager.database_mode() == "local"
        await manager.set_database_mode(mode)
    assert await manager.database_mode() == mode
    try:
        method = await manager.preview_method()
    except UnsupportedError:
        assert await manager.generation() is not ManagerGeneration.QUEUE
    else:
        assert method in {None, "none", "auto", "latent2rgb", "taesd"}


async def test_the_manager_s_snapshots(comfy: Comfy) -> None:
    manager = comfy.manager
    if not await manager.supported():
        with pytest.raises(UnsupportedError, match="does not have ComfyUI-Manager"):
            await manager.snapshots()
        return
    before = await manager.snapshots()
    await manager.save_snapshot()
    (new,) = set(await manager.snapshots()) - set(before)
    assert "comfyui" in await manager.current_snapshot()
    with where_allowed():
        await manager.remove_snapshot(new)
        assert await manager.snapshots() == before
        with pytest.raises(ResponseError, match="did not restore the snapshot 'no such one'"):
            await manager.restore_snapshot("no such one")


async def test_the_manager_s_tasks(comfy: Comfy) -> None:
    manager = comfy.manager
    if not await manager.supported():
        with pytest.raises(UnsupportedError, match="does not have ComfyUI-Manager"):
            await manager.fix("no-such-pack")
        return
    await manager.update_comfyui()
    await manager.reset_queue()
    assert (await manager.queue_status()).pending == 0
    tasks: list[str] = []
    with where_allowed():
        tasks.append(await manager.fix("no-such-pack"))
        tasks.append(await manager.update("no-such-pack"))
    results = await manager.run_queue()
    for task_id in tasks:
        assert not results[task_id].ok
        assert results[task_id].message
    assert not (await manager.queue_status()).at_work
