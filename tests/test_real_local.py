"""A real checkout, $COMFY_CHECKOUT, as a child process of $COMFY_PYTHON with $COMFY_ARGUMENTS."""

from __future__ import annotations

import os
import shlex
import signal
from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio
from fake_checkouts import children_of, is_alive

from comfy_trio import (
    LocalServer,
    ServerCrashedError,
    open_comfy,
    open_local_comfy,
    open_pool,
)
from comfy_trio.pool import LocalServerCrashed

if TYPE_CHECKING:
    from comfy_trio import Subscription
    from comfy_trio.pool import PoolEvent

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif("COMFY_CHECKOUT" not in os.environ, reason="no checkout to start"),
]


def options() -> dict[str, Any]:
    return {
        "python": os.environ.get("COMFY_PYTHON"),
        "arguments": shlex.split(os.environ.get("COMFY_ARGUMENTS", "--cpu")),
    }


async def test_it_runs_and_ends() -> None:
    async with open_local_comfy(os.environ["COMFY_CHECKOUT"], **options()) as local:
        async with open_comfy(local.url) as comfy:
            assert (await comfy.run(prompts.image()))["9"]["images"]
        pid = local.pid
    assert not is_alive(pid)
    assert any("To see the GUI go to" in line for line in local.log)


async def test_it_is_killed_during_a_job() -> None:
    with pytest.raises(ServerCrashedError, match="SIGKILL"):
        async with (
            open_local_comfy(os.environ["COMFY_CHECKOUT"], **options()) as local,
            open_comfy(local.url) as comfy,
        ):
            await comfy.run(prompts.image())
            os.kill(local.pid, signal.SIGKILL)
            await comfy.run(prompts.image())


async def test_an_argument_that_it_does_not_know() -> None:
    wrong: dict[str, Any] = {**options(), "arguments": ["--no-such-option"]}
    with pytest.raises(ServerCrashedError, match="unrecognized arguments: --no-such-option"):
        async with open_local_comfy(os.environ["COMFY_CHECKOUT"], **wrong):
            pytest.fail("entered")


async def first_crash(events: Subscription[PoolEvent]) -> str:
    async for event in events:
        if isinstance(event, LocalServerCrashed):
            return event.server_id
    raise AssertionError("nothing crashed")


async def test_a_pool_of_two_of_which_one_is_killed_halfway() -> None:
    ids: set[str] = set()
    servers = [
        LocalServer(os.environ["COMFY_CHECKOUT"], server_id=name, **options()) for name in "ab"
    ]
    async with open_pool(servers) as pool:
        events = pool.events()
        while sum(each.state == "ready" for each in pool.statistics().servers.values()) < 2:  # noqa: ASYNC110
            await trio.sleep(0.1)
        pids = children_of(os.getpid())
        async with pool.open_batch(prompts.image() for _ in range(50)) as batch:
            async for item in batch:
                ids.add(item.unwrap().prompt_id)
                if len(ids) == 20:
                    os.kill(pids[0], signal.SIGKILL)
        assert len(ids) == 50
        server_id = await first_crash(events)
        assert (await pool.run(prompts.image(), include=server_id))["9"]
    assert not children_of(os.getpid())
