"""The weighted channel: what it has in common with trio's, and its order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import Sequencer, assert_checkpoints, wait_all_tasks_blocked

from comfy_trio._weighted_channel import (
    WeightedReceiveChannel,
    WeightedSendChannel,
    open_weighted_channel,
)
from comfy_trio._weighted_queue import WeightedQueue

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

Channel: TypeAlias = tuple[WeightedSendChannel[Any], WeightedReceiveChannel[Any]]


def open_channel(max_buffer_size: float, **options: Any) -> Channel:
    return open_weighted_channel(max_buffer_size, **options)


def drain(receive: WeightedReceiveChannel[Any]) -> list[Any]:
    values: list[Any] = []
    while True:
        try:
            values.append(receive.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel):
            return values


@pytest.mark.parametrize("size", [-1, 1.5, -math.inf])
def test_bad_sizes(size: float) -> None:
    with pytest.raises(ValueError, match=r"max_buffer_size must be 0, 1, 2, \.\.\. or inf"):
        open_channel(size)


async def test_lightest_first_and_first_come_first_served() -> None:
    send, receive = open_channel(math.inf)
    for value, weight in [("c", 2), ("a", 1), ("d", 2), ("b", 1), ("z", -1)]:
        send.send_nowait(value, weight=weight)
    assert drain(receive) == ["z", "a", "b", "c", "d"]


async def test_every_async_call_is_a_checkpoint() -> None:
    send, receive = open_channel(1)
    with assert_checkpoints():
        await send.send(1)
    with assert_checkpoints():
        assert await receive.receive() == 1
    with assert_checkpoints():
        await send.aclose()
    with assert_checkpoints(), pytest.raises(trio.EndOfChannel):
        await receive.receive()
    with assert_checkpoints():
        await receive.aclose()


async def test_without_a_buffer_values_change_hands() -> None:
    send, receive = open_channel(0)
    with pytest.raises(trio.WouldBlock):
        send.send_nowait("nobody waits")
    with pytest.raises(trio.WouldBlock):
        receive.receive_nowait()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send.send, "value")
        assert await receive.receive() == "value"
    assert send.statistics().tasks_waiting_send == 0


async def test_a_full_buffer_lets_in_the_lightest_that_waits() -> None:
    send, receive = open_channel(1)
    send.send_nowait("first", weight=5)
    done: list[str] = []

    async def send_later(value: str, weight: float) -> None:
        await send.send(value, weight=weight)
        done.append(value)

    async with trio.open_nursery() as nursery:
        for value, weight in (("heavy", 3.0), ("light", 1.0), ("middle", 2.0)):
            nursery.start_soon(send_later, value, weight)
            await wait_all_tasks_blocked()
        assert send.statistics().tasks_waiting_send == 3
        # What waits to be sent is lighter than what is in the buffer, and is received before it.
        assert await receive.receive() == "light"
        await wait_all_tasks_blocked()
        assert done == ["light"]
        assert [await receive.receive() for _ in range(3)] == ["middle", "heavy", "first"]
    assert send.statistics().current_buffer_used == 0


async def test_a_value_is_never_handed_to_who_does_not_accept_it_and_keeps_nobody_back() -> None:
    send, receive = open_channel(math.inf)
    send.send_nowait("for b", lane="b")
    send.send_nowait("for both", weight=1, lane=None)
    assert receive.receive_nowait(lambda lane: lane in (None, "a")) == "for both"
    with pytest.raises(trio.WouldBlock):
        receive.receive_nowait(lambda lane: lane in (None, "a"))
    assert receive.receive_nowait(lambda lane: lane in (None, "b")) == "for b"
    assert send.statistics().lanes == 0


async def test_who_waits_longest_is_served_first_unless_somebody_picks() -> None:
    order: list[str] = []

    async def receiver(receive: WeightedReceiveChannel[int], name: str) -> None:
        await receive.receive(name=name)
        order.append(name)

    def backwards(value: int, names: Sequence[str]) -> str:
        return names[-1]

    for options, expected in (({}, ["a", "b"]), ({"pick": backwards}, ["b", "a"])):
        order.clear()
        send, receive = open_channel(0, **options)
        async with trio.open_nursery() as nursery:
            for name in ("a", "b"):
                nursery.start_soon(receiver, receive, name)
                await wait_all_tasks_blocked()
            for value in range(2):
                send.send_nowait(value)
                await wait_all_tasks_blocked()
        assert order == expected


async def test_what_is_put_back_has_its_old_place_even_where_there_is_no_room() -> None:
    send, receive = open_channel(3)
    entries = [send.send_nowait(value, weight=1) for value in "abc"]
    assert receive.receive_nowait() == "a"
    send.send_nowait("d", weight=1)
    again = send.put_back(entries[0], lane="for nobody")
    assert send.statistics().current_buffer_used == 4
    with pytest.raises(trio.WouldBlock):
        send.send_nowait("e")
    assert [receive.receive_nowait(lambda lane: lane is None) for _ in "bcd"] == ["b", "c", "d"]
    assert send.withdraw(again)
    first = send.send_nowait("x")
    assert receive.receive_nowait() == "x"
    send.put_back(first)
    send.send_nowait("y")
    assert drain(receive) == ["x", "y"]


async def test_what_is_withdrawn_is_never_received_and_makes_room() -> None:
    send, receive = open_channel(2)
    entries = [await send.send(value) for value in "ab"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send.send, "c")
        await wait_all_tasks_blocked()
        assert send.withdraw(entries[0])
        assert not send.withdraw(entries[0])
    assert drain(receive) == ["b", "c"]
    assert not send.withdraw(entries[1])
    dropped = send.send_nowait("d")
    receive.close()
    assert not send.withdraw(dropped)
    with pytest.raises(trio.BrokenResourceError):
        send.put_back(entries[0])


async def test_what_is_put_back_wakes_who_waits_for_it() -> None:
    send, receive = open_channel(0)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def receive_twice() -> None:
            assert await receive.receive() == "a"
            assert await receive.receive() == "a"

        await wait_all_tasks_blocked()
        entry = send.send_nowait("a")
        await wait_all_tasks_blocked()
        send.put_back(entry)


async def test_changing_ones_mind() -> None:
    open_lanes: set[Hashable] = set()
    send, receive = open_channel(math.inf)
    send.send_nowait("value", lane="x")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            assert await receive.receive(lambda lane: lane in open_lanes) == "value"

        await wait_all_tasks_blocked()
        receive.reconsider()
        assert receive.statistics().tasks_waiting_receive == 1
        open_lanes.add("x")
        receive.reconsider()
    assert receive.statistics().current_buffer_used == 0


async def test_cancelled_sends_and_receives_change_nothing() -> None:
    send, receive = open_channel(0)
    for _ in range(1000):  # nor do they leave anything
        with trio.CancelScope() as scope:
            scope.cancel()
            await send.send("x")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send.send, "light")
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as heavies:
            for _ in range(50):
                heavies.start_soon(lambda: send.send("heavy", weight=1))
            await wait_all_tasks_blocked()
            heavies.cancel_scope.cancel()
        assert send.statistics().tasks_waiting_send == 1
        assert len(send._channel._entrance) == len(send._channel.values) == 1
        assert await receive.receive() == "light"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive.receive)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert receive.statistics().tasks_waiting_receive == 0
    with pytest.raises(trio.WouldBlock):
        send.send_nowait("nobody waits any more")


async def test_a_value_that_was_handed_over_is_not_lost_by_a_cancellation() -> None:
    send, receive = open_channel(0)
    received: list[str] = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            received.append(await receive.receive())

        await wait_all_tasks_blocked()
        send.send_nowait("value")
        nursery.cancel_scope.cancel()
    assert received == ["value"]


async def test_closing_the_sending_ends() -> None:
    send, receive = open_channel(math.inf)
    with send, send.clone() as other:
        other.send_nowait(1)
    other.close()  # again
    assert [value async for value in receive] == [1]
    for closed in (send, other):
        with pytest.raises(trio.ClosedResourceError):
            closed.send_nowait(2)
        with pytest.raises(trio.ClosedResourceError):
            closed.clone()


async def test_closing_ends_that_others_wait_on() -> None:
    send, receive = open_channel(0)
    other = send.clone()

    async def expect(error: type[Exception], function: Any, *args: Any) -> None:
        with pytest.raises(error):
            await function(*args)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect, trio.ClosedResourceError, send.send, 1)
        nursery.start_soon(expect, trio.BrokenResourceError, other.send, 2)
        await wait_all_tasks_blocked()
        send.close()
        receive.close()
    with pytest.raises(trio.BrokenResourceError):
        await other.send(3)

    send, receive = open_channel(0)
    with receive.clone() as twin:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect, trio.ClosedResourceError, receive.receive)
            nursery.start_soon(expect, trio.EndOfChannel, twin.receive)
            await wait_all_tasks_blocked()
            receive.close()
            send.close()


async def test_the_end_for_one_is_not_the_end_for_all() -> None:
    send, receive = open_channel(math.inf)
    send.send_nowait("for b", lane="b")
    seq = Sequencer()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            async with seq(0):
                pass
            with pytest.raises(trio.EndOfChannel):
                await receive.receive(lambda lane: lane == "a")

        async with seq(1):
            await wait_all_tasks_blocked()
            send.close()
    assert receive.receive_nowait(lambda lane: lane == "b") == "for b"


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 3), st.sampled_from("abc")),
            st.tuples(st.just("first"), st.sets(st.sampled_from("abc"))),
            st.tuples(st.just("take"), st.integers(0, 1000)),
        )
    )
)
def test_the_queue_against_a_list(steps: list[Any]) -> None:
    queue: WeightedQueue[int] = WeightedQueue()
    model: list[Any] = []
    for number, step in enumerate(steps):
        match step:
            case ("add", weight, lane):
                model.append(queue.add(number, weight, lane))
            case ("first", lanes):
                entry = queue.first(lambda lane: lane in lanes)
                inside = [each for each in model if each.lane in lanes]
                assert entry is min(inside, default=None)
            case (_, index) if model:
                queue.take(model.pop(index % len(model)))
            case _:
                pass
        assert len(queue) == len(model)
        assert list(queue) == sorted(model)
        assert queue.lanes == len({each.lane for each in model})
        kept = sum(map(len, queue._lanes.values()))
        assert kept <= 2 * len(model), "entries that are gone pile up"
