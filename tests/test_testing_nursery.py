from __future__ import annotations

import pytest
import trio

from comfy_trio.testing._nursery import open_service_nursery


async def test_tasks_end_with_the_block() -> None:
    async with open_service_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)


async def test_the_blocks_exception_comes_out_as_it_is() -> None:
    cause = ExceptionGroup("mine", [ValueError()])
    with pytest.raises(ExceptionGroup) as caught:
        async with open_service_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise cause
    assert caught.value is cause


async def test_a_cancelled_block_is_just_cancelled() -> None:
    with trio.CancelScope() as scope:
        async with open_service_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_crash_of_a_task_is_not_hidden() -> None:
    async def crash() -> None:
        await trio.lowlevel.checkpoint()
        raise LookupError("a bug")

    with pytest.RaisesGroup(pytest.RaisesExc(LookupError, match=r"^a bug$")):
        async with open_service_nursery() as nursery:
            nursery.start_soon(crash)
            await trio.sleep_forever()
