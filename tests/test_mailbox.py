from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from comfy_trio._mailbox import Mailbox


async def drain(mailbox: Mailbox[int]) -> list[int]:
    items: list[int] = []
    with suppress(trio.EndOfChannel):
        while True:
            items.append(await mailbox.receive())
    return items


async def test_the_latest_of_each_kind_wins_and_comes_last() -> None:
    mailbox: Mailbox[int] = Mailbox(10)
    for key, item in [("a", 1), ("b", 2), ("a", 3), ("c", 4), ("b", 5)]:
        mailbox.put_nowait(key, item)
    mailbox.close()
    assert await drain(mailbox) == [3, 4, 5]
    assert mailbox.missed == 2


async def test_the_oldest_are_dropped_beyond_the_bound() -> None:
    mailbox: Mailbox[int] = Mailbox(3)
    for item in range(10):
        mailbox.put_nowait(item, item)
    mailbox.close()
    assert await drain(mailbox) == [7, 8, 9]
    assert mailbox.missed == 7


async def test_a_million_items_that_nobody_reads_take_no_memory() -> None:
    mailbox: Mailbox[int] = Mailbox(float("inf"))
    for item in range(1_000_000):
        mailbox.put_nowait("progress", item)
    mailbox.close()
    assert await drain(mailbox) == [999_999]


async def test_a_reader_waits_and_is_woken(autojump_clock: trio.testing.MockClock) -> None:
    mailbox: Mailbox[int] = Mailbox(10)
    read: list[int] = []

    async def reader() -> None:
        read.extend(await drain(mailbox))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        for item in range(3):
            await wait_all_tasks_blocked()
            mailbox.put_nowait(item, item)
        await wait_all_tasks_blocked()
        assert read == []
        mailbox.close()
    assert read == [0, 1, 2]


async def test_one_reader_at_a_time() -> None:
    mailbox: Mailbox[int] = Mailbox(10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain, mailbox)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await mailbox.receive()
        mailbox.close()


async def test_a_cancelled_read_takes_nothing() -> None:
    mailbox: Mailbox[int] = Mailbox(10)
    with trio.move_on_after(0):
        await mailbox.receive()
    mailbox.put_nowait("a", 1)
    with trio.move_on_after(0):
        await mailbox.receive()
    with assert_checkpoints():
        assert await mailbox.receive() == 1


async def test_what_was_there_before_comes_first() -> None:
    mailbox: Mailbox[int] = Mailbox(10, [("a", 1), ("b", 2)])
    mailbox.put_nowait("a", 3)
    mailbox.close()
    assert await drain(mailbox) == [2, 3]


async def test_a_mailbox_closed_with_an_error_is_read_first() -> None:
    mailbox: Mailbox[int] = Mailbox(3)
    mailbox.put_nowait(1, 1)
    mailbox.close(ValueError("why"))
    assert await mailbox.receive() == 1
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^why$"):
            await mailbox.receive()
