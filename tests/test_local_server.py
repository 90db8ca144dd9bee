"""Servers that a pool starts itself: real processes, of a checkout that is a fake."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import prompts
import pytest
import trio
import trio.lowlevel
from fake_checkouts import children_of

from comfy_trio import LocalServer, PoolServer, ServerCrashedError, open_pool
from comfy_trio.pool import LocalServerCrashed, ServerReconnected

if TYPE_CHECKING:
    from pathlib import Path

    from comfy_trio import Pool, Subscription
    from comfy_trio.pool import PoolEvent

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
    pytest.mark.usefixtures("no_process_is_left"),
]

BOUND = 45
"""Seconds of real time after which something hangs."""


async def ready(pool: Pool, count: int) -> None:
    while sum(each.state == "ready" for each in pool.statistics().servers.values()) < count:  # noqa: ASYNC110
        await trio.sleep(0.01)


async def test_one_of_three_is_killed_halfway(checkout: Path) -> None:
    ids: set[str] = set()
    with trio.fail_after(BOUND):
        servers = [LocalServer(checkout, gpu=number) for number in range(3)]
        async with open_pool(servers) as pool:
            events = pool.events()
            assert pool.server_ids == ("gpu0", "gpu1", "gpu2")
            await ready(pool, 3)
            pids = children_of(os.getpid())
            async with pool.open_batch(prompts.slow(2) for _ in range(60)) as batch:
                async for item in batch:
                    ids.add(item.unwrap().prompt_id)
                    if len(ids) == 20:
                        os.kill(pids[0], signal.SIGKILL)
            assert len(ids) == 60
            crash, back = await crash_and_return(events)
            assert (crash.server_id, crash.restart_in) == (back, 0.0)
            await ready(pool, 3)
            assert (await pool.run(prompts.image(), include=crash.server_id))["9"]


async def crash_and_return(events: Subscription[PoolEvent]) -> tuple[LocalServerCrashed, str]:
    crash: LocalServerCrashed | None = None
    async for event in events:
        if isinstance(event, LocalServerCrashed):
            crash = event
        if isinstance(event, ServerReconnected) and crash is not None:
            return crash, event.server_id
    raise AssertionError("it did not come back")


async def test_one_that_cannot_start_is_given_up_and_the_rest_goes_on(checkout: Path) -> None:
    with trio.fail_after(BOUND):
        bad = LocalServer(checkout, gpu="bad", environment={"FAKE": "crash"})
        async with open_pool([bad, LocalServer(checkout)]) as pool:
            events = pool.events()
            assert (await pool.run(prompts.image()))["9"]
            crashes: list[float | None] = []
            async for event in events:
                if isinstance(event, LocalServerCrashed):
                    assert event.error.log[-1] == "RuntimeError: no module named torch"
                    crashes.append(event.restart_in)
                    if event.restart_in is None:
                        break
            assert crashes == [1, 2, None]
            while "gpubad" in pool.server_ids:  # noqa: ASYNC110  # real processes end
                await trio.sleep(0.01)
            assert (await pool.run(prompts.image()))["9"]


async def test_a_pool_of_which_none_can_start_fails(checkout: Path) -> None:
    bad = LocalServer(checkout, environment={"FAKE": "crash"})
    with trio.fail_after(BOUND), pytest.raises(ServerCrashedError, match="no module named torch"):
        async with open_pool([bad]) as pool:
            await pool.run(prompts.image())


async def test_one_whose_first_start_fails_joins_then(checkout: Path) -> None:
    server = LocalServer(checkout, environment={"FAKE": "crash-once"})
    with trio.fail_after(BOUND):
        async with open_pool([server]) as pool:
            assert (await pool.run(prompts.image()))["9"]
    assert (checkout / "crashed").exists()


async def test_one_whose_interpreter_cannot_be_run_is_given_up(checkout: Path) -> None:
    server = LocalServer(checkout, python=checkout / "main.py")
    with trio.fail_after(BOUND), pytest.raises(ServerCrashedError) as caught:
        async with open_pool([server]) as pool:
            await pool.run(prompts.image())
    assert "cannot be started: [Errno 13] Permission denied" in str(caught.value)
    assert caught.value.returncode is None


async def test_one_is_added_and_removed(checkout: Path) -> None:
    with trio.fail_after(BOUND):
        async with open_pool() as pool:
            server_id = await pool.add(LocalServer(checkout))
            assert server_id == "local"
            assert (await pool.run(prompts.image()))["9"]
            (pid,) = children_of(os.getpid())
            await pool.remove(server_id)
            assert pid not in children_of(os.getpid())


async def test_leaving_while_they_start(checkout: Path) -> None:
    with trio.fail_after(BOUND):
        async with open_pool([LocalServer(checkout, environment={"FAKE": "hang"})]):
            await trio.lowlevel.checkpoint()
        with pytest.raises(ZeroDivisionError):
            async with open_pool([LocalServer(checkout, environment={"FAKE": "hang"})]):
                raise ZeroDivisionError


async def test_what_makes_no_sense(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no checkout of ComfyUI"):
        LocalServer(tmp_path)
    with pytest.raises(ValueError, match="concurrency"):
        LocalServer(checkout, concurrency=0)
    server = LocalServer(checkout, environment={"FAKE": "hang"})
    with pytest.raises(ValueError, match="the pool has a server 'local' already"):
        async with open_pool([PoolServer("http://a", server_id="local"), server]):
            pytest.fail("opened")
