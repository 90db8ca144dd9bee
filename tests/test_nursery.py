"""Tasks that serve a block and end with it."""

from __future__ import annotations

import pytest
import trio

from comfy_trio import InternalError
from comfy_trio._nursery import open_service_nursery


async def test_tasks_outlive_a_cancellation_until_the_block_ends(
    autojump_clock: trio.abc.Clock,
) -> None:
    told: list[str] = []

    async def serve() -> None:
        try:
            await trio.sleep_forever()
        finally:
            told.append("task ended")

    with trio.move_on_after(1) as scope:
        async with open_service_nursery() as nursery:
            nursery.start_soon(serve)
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)
                told.append("block cleaned up")
    assert scope.cancelled_caught
    assert told == ["block cleaned up", "task ended"]


async def test_nothing_hangs_when_cancelled_before() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        async with open_service_nursery():
            raise AssertionError("the block must not be entered")  # pragma: no cover
    assert scope.cancelled_caught


async def test_the_error_of_the_block_comes_out_as_itself() -> None:
    with pytest.raises(ValueError, match=r"^mine$"):
        async with open_service_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise ValueError("mine")


async def test_a_crash_of_a_task_ends_the_block_as_a_bug() -> None:
    async def crash() -> None:
        raise ValueError("a bug")

    with pytest.raises(InternalError, match="please report it") as caught:
        async with open_service_nursery() as nursery:
            nursery.start_soon(crash)
            await trio.sleep_forever()
    crashes = pytest.RaisesGroup(pytest.RaisesGroup(ValueError))
    assert crashes.matches(caught.value.__cause__)


async def test_an_interrupt_that_hits_a_task_is_an_interrupt() -> None:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async with open_service_nursery() as nursery:
            nursery.start_soon(interrupted)
            await trio.sleep_forever()
