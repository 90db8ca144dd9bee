"""A memory channel that hands out the lightest value first, to a receiver that can take it.

It keeps to what `trio.open_memory_channel` guarantees, but for the order. Values lie in lanes; who
receives says from which lanes it takes, so that a value that is not for it is never handed to it,
and never keeps back those behind it.

One function decides, and awaits nothing: `_Channel.match` gives values to the tasks that wait. A
send adds what it has, a receive what it wants, and both let that function look.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, final

import attrs
import trio
from outcome import Error, Value

from ._util import NoPublicConstructor
from ._weighted_queue import WeightedQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from types import TracebackType

    from ._weighted_queue import Entry

T = TypeVar("T")
R = TypeVar("R")


def any_lane(lane: Hashable) -> bool:
    """Take from every lane."""
    return True


def longest_waiting(value: object, receivers: Sequence[R]) -> R:
    """Pick the receiver that has waited longest, so that equals take turns."""
    return receivers[0]


@attrs.frozen
class WeightedChannelStatistics:
    """What a weighted channel holds at one moment."""

    current_buffer_used: int
    """Values in the buffer."""
    max_buffer_size: float
    """How many it can hold."""
    open_send_channels: int
    """Sending ends that are open, clones included."""
    open_receive_channels: int
    """Receiving ends that are open, clones included."""
    tasks_waiting_send: int
    """Tasks that wait in `WeightedSendChannel.send` for room."""
    tasks_waiting_receive: int
    """Tasks that wait in `WeightedReceiveChannel.receive`."""
    lanes: int
    """Lanes that hold a value."""


def open_weighted_channel(
    max_buffer_size: float, *, pick: Callable[[T, Sequence[Any]], Any] = longest_waiting
) -> tuple[WeightedSendChannel[T], WeightedReceiveChannel[T]]:
    """Open a channel between tasks that hands out the lightest value first.

    Sending and receiving are atomic with respect to cancellation: either a value has changed hands,
    or nothing has changed. Equal weights are first come, first served. Adding and taking cost
    O(log n) in the number of values, and O(m) in the number of lanes and of tasks that wait.

    Args:
        max_buffer_size: How many values may lie between sends and receives: 0 for none, or
            `math.inf`.
        pick: Chooses who gets a value: called with the value and the names of the receivers that
            accept its lane, who has waited longest first; returns one of them, or None to hold its
            lane back until something changes. Must not raise. Default: the first.

    Raises:
        ValueError: `max_buffer_size` is negative, or not whole.
    """
    if max_buffer_size != inf and (max_buffer_size < 0 or max_buffer_size != int(max_buffer_size)):
        raise ValueError(f"max_buffer_size must be 0, 1, 2, ... or inf, not {max_buffer_size!r}")
    channel: _Channel[T] = _Channel(max_buffer_size, pick)
    return WeightedSendChannel[T]._create(channel), WeightedReceiveChannel[T]._create(channel)


@attrs.define(eq=False)
class _Waiter:
    """A task that sends or receives, from before it goes to sleep until it knows how that ended."""

    end: object
    result: Value[Any] | Error | None = None
    sleeper: trio.lowlevel.Task | None = None

    def settle(self, result: Value[Any] | Error) -> None:
        self.result = result
        if self.sleeper is not None:
            trio.lowlevel.reschedule(self.sleeper, result)

    async def wait(self, forget: Callable[[], object]) -> Any:
        if self.result is not None:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return self.result.unwrap()

        def abort(_: object) -> trio.lowlevel.Abort:
            forget()
            return trio.lowlevel.Abort.SUCCEEDED

        self.sleeper = trio.lowlevel.current_task()
        return await trio.lowlevel.wait_task_rescheduled(abort)


@attrs.define(eq=False)
class _Sender(_Waiter):
    place: Entry[Any] | None = None
    """Where it stands among those who wait for room."""


@attrs.define(eq=False, kw_only=True)
class _Receiver(_Waiter):
    accepts: Callable[[Hashable], bool]
    name: Any


class _Channel(Generic[T]):
    """What the ends of a channel share."""

    def __init__(self, max_buffer_size: float, pick: Callable[[T, Sequence[Any]], Any]) -> None:
        self.max_buffer_size = max_buffer_size
        self.send_ends: int = 0
        self.receive_ends: int = 0
        self.values: WeightedQueue[T] = WeightedQueue()
        self.senders: dict[Entry[T], _Sender] = {}
        self.receivers: dict[_Receiver, None] = {}
        self._pick = pick
        self._entrance: WeightedQueue[Entry[T]] = WeightedQueue()

    @property
    def buffered(self) -> int:
        return len(self.values) - len(self.senders)

    def put_back(self, entry: Entry[T], lane: Hashable) -> Entry[T]:
        """Add a value that was taken, in its old place; there is always room."""
        entry = self.values.add(entry.value, entry.weight, lane, number=entry.number)
        self.match()
        return entry

    def offer(self, value: T, weight: float, lane: Hashable, sender: _Sender) -> Entry[T]:
        """Add a value whose sender waits until it is taken, or there is room for it."""
        entry = self.values.add(value, weight, lane)
        self.senders[entry] = sender
        sender.place = self._entrance.add(entry, weight, None)
        self.match()
        return entry

    def withdraw(self, entry: Entry[T]) -> _Sender:
        """Take out what a task waits to send, as if it had never been there."""
        self.values.take(entry)
        return self._leave_entrance(entry)

    def take(self, entry: Entry[T]) -> T:
        """Take a value out. Whoever still waits to send it is done."""
        self.values.take(entry)
        if entry in self.senders:
            self._leave_entrance(entry).settle(Value(None))
        return entry.value

    def match(self) -> None:
        """Give values to tasks that wait for some, and room to values that wait for it."""
        held_back: set[Hashable] = set()
        while self.receivers:
            entry = self.values.first(lambda lane: lane not in held_back)
            if entry is None:
                break
            receiver = self._pick_for(entry)
            if receiver is None:
                held_back.add(entry.lane)
            else:
                del self.receivers[receiver]
                receiver.settle(Value(self.take(entry)))
        while self.buffered < self.max_buffer_size:
            place = self._entrance.first(any_lane)
            if place is None:
                break
            self._leave_entrance(place.value).settle(Value(None))
        if not self.send_ends:
            self.end_receivers(
                [each for each in self.receivers if self.values.first(each.accepts) is None],
                trio.EndOfChannel(),
            )

    def _pick_for(self, entry: Entry[T]) -> _Receiver | None:
        candidates = [each for each in self.receivers if each.accepts(entry.lane)]
        names = [each if each.name is None else each.name for each in candidates]
        picked = self._pick(entry.value, names) if names else None
        return None if picked is None else candidates[names.index(picked)]

    def _leave_entrance(self, entry: Entry[T]) -> _Sender:
        sender = self.senders.pop(entry)
        assert sender.place is not None
        self._entrance.take(sender.place)
        return sender

    def end_senders(self, entries: list[Entry[T]], error: Exception) -> None:
        for entry in entries:
            self.withdraw(entry).settle(Error(error))

    def end_receivers(self, receivers: list[_Receiver], error: Exception) -> None:
        for receiver in receivers:
            del self.receivers[receiver]
            receiver.settle(Error(error))

    def leave_send(self, end: object) -> None:
        self.send_ends -= 1
        mine = [entry for entry, sender in self.senders.items() if sender.end is end]
        self.end_senders(mine, trio.ClosedResourceError())
        self.match()

    def leave_receive(self, end: object) -> None:
        self.receive_ends -= 1
        mine = [receiver for receiver in self.receivers if receiver.end is end]
        self.end_receivers(mine, trio.ClosedResourceError())
        if not self.receive_ends:
            self.end_senders(list(self.senders), trio.BrokenResourceError())
            for entry in self.values:
                entry.taken = True
            self.values = WeightedQueue()

    def statistics(self) -> WeightedChannelStatistics:
        return WeightedChannelStatistics(
            current_buffer_used=self.buffered,
            max_buffer_size=self.max_buffer_size,
            open_send_channels=self.send_ends,
            open_receive_channels=self.receive_ends,
            tasks_waiting_send=len(self.senders),
            tasks_waiting_receive=len(self.receivers),
            lanes=self.values.lanes,
        )


@final
class WeightedSendChannel(Generic[T], metaclass=NoPublicConstructor):
    """The sending end of a weighted channel; see `open_weighted_channel`.

    Closing it does not block: use it in a plain ``with``.
    """

    def __init__(self, channel: _Channel[T]) -> None:
        self._channel = channel
        self._closed = False
        channel.send_ends += 1

    @trio.lowlevel.enable_ki_protection
    def send_nowait(self, value: T, *, weight: float = 0.0, lane: Hashable = None) -> Entry[T]:
        """Send a value if that needs no waiting; see `send`.

        Raises:
            trio.WouldBlock: the buffer is full, and nobody waits for the value.
            trio.ClosedResourceError, trio.BrokenResourceError: see `send`.
        """
        self._check_open()
        sender = _Sender(self)
        entry = self._channel.offer(value, weight, lane, sender)
        if sender.result is None:
            self._channel.withdraw(entry)
            raise trio.WouldBlock
        return entry

    @trio.lowlevel.enable_ki_protection
    async def send(self, value: T, *, weight: float = 0.0, lane: Hashable = None) -> Entry[T]:
        """Send a value; wait while the buffer is full and nobody takes it.

        Args:
            value: The value.
            weight: The lightest value is received first. Default: 0.
            lane: What it takes to receive it. Any that `WeightedReceiveChannel.receive` is told to
                look at. Default: None.

        Returns:
            Its entry, for `withdraw` and `put_back`.

        Raises:
            trio.ClosedResourceError: this end is closed, or was while this waited.
            trio.BrokenResourceError: there is no receiving end any more.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_open()
        sender = _Sender(self)
        entry = self._channel.offer(value, weight, lane, sender)
        await sender.wait(lambda: self._channel.withdraw(entry))
        return entry

    @trio.lowlevel.enable_ki_protection
    def withdraw(self, entry: Entry[T]) -> bool:
        """Take back what was sent, if nobody has received it; tell whether that was so.

        Args:
            entry: What `send`, `send_nowait` or `put_back` returned.
        """
        if entry.taken:
            return False
        self._channel.take(entry)
        self._channel.match()
        return True

    @trio.lowlevel.enable_ki_protection
    def put_back(self, entry: Entry[T], *, lane: Hashable = None) -> Entry[T]:
        """Give back what was received, into its old place by weight and arrival.

        There is always room for it: it was in the channel before.

        Args:
            entry: What `send`, `send_nowait` or `put_back` returned.
            lane: What it takes to receive it now.

        Returns:
            Its new entry.

        Raises:
            trio.ClosedResourceError, trio.BrokenResourceError: see `send`.
        """
        self._check_open()
        return self._channel.put_back(entry, lane)

    def clone(self) -> WeightedSendChannel[T]:
        """Return another sending end. Receivers go on until all of them are closed."""
        self._check_open()
        return WeightedSendChannel[T]._create(self._channel)

    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """Close this end; what was sent stays. Does nothing if it is closed already."""
        if not self._closed:
            self._closed = True
            self._channel.leave_send(self)

    async def aclose(self) -> None:
        """See `close`."""
        self.close()
        await trio.lowlevel.checkpoint()

    def statistics(self) -> WeightedChannelStatistics:
        """Tell what the channel holds."""
        return self._channel.statistics()

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError
        if not self._channel.receive_ends:
            raise trio.BrokenResourceError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@final
class WeightedReceiveChannel(Generic[T], metaclass=NoPublicConstructor):
    """The receiving end of a weighted channel; see `open_weighted_channel`.

    It is an asynchronous iterator over the values of all lanes. Closing it does not block: use it
    in a plain ``with``.
    """

    def __init__(self, channel: _Channel[T]) -> None:
        self._channel = channel
        self._closed = False
        channel.receive_ends += 1

    @trio.lowlevel.enable_ki_protection
    def receive_nowait(self, accepts: Callable[[Hashable], bool] = any_lane) -> T:
        """Return the lightest value if there is one; see `receive`.

        Raises:
            trio.WouldBlock: there is none now.
            trio.EndOfChannel, trio.ClosedResourceError: see `receive`.
        """
        self._check_open()
        channel = self._channel
        entry = channel.values.first(accepts)
        if entry is not None:
            value = channel.take(entry)
            channel.match()
            return value
        raise trio.WouldBlock if channel.send_ends else trio.EndOfChannel

    @trio.lowlevel.enable_ki_protection
    async def receive(
        self, accepts: Callable[[Hashable], bool] = any_lane, *, name: Any = None
    ) -> T:
        """Return the lightest value in the lanes that are accepted; wait for one.

        Args:
            accepts: Tells whether to take from a lane. It may change its mind: see `reconsider`.
                Must not raise.
            name: What the channel's ``pick`` knows this call by. Default: something that is unique.

        Raises:
            trio.EndOfChannel: all sending ends are closed, and nothing is left for this call.
            trio.ClosedResourceError: this end is closed, or was while this waited.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_open()
        receiver = _Receiver(self, accepts=accepts, name=name)
        self._channel.receivers[receiver] = None
        self._channel.match()
        value: T = await receiver.wait(lambda: self._channel.receivers.pop(receiver))
        return value

    @trio.lowlevel.enable_ki_protection
    def reconsider(self) -> None:
        """Look again who can take what, because the answers of `receive` or ``pick`` changed."""
        self._channel.match()

    def clone(self) -> WeightedReceiveChannel[T]:
        """Return another receiving end of the channel. Each value is received once."""
        self._check_open()
        return WeightedReceiveChannel[T]._create(self._channel)

    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """Close this end. With the last one, what was not received is dropped."""
        if not self._closed:
            self._closed = True
            self._channel.leave_receive(self)

    async def aclose(self) -> None:
        """See `close`."""
        self.close()
        await trio.lowlevel.checkpoint()

    def statistics(self) -> WeightedChannelStatistics:
        """Tell what the channel holds."""
        return self._channel.statistics()

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
