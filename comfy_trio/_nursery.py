"""Nurseries for tasks that serve a block and end with it, and for many of one kind."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar, final

import trio

from ._errors import DisconnectedError, InternalError, ServerUnreachableError
from ._util import raise_saving_context

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

T = TypeVar("T")
R = TypeVar("R")


@asynccontextmanager
async def open_service_nursery() -> AsyncGenerator[trio.Nursery, None]:
    """Open a nursery whose tasks are cancelled when the block ends, and not before.

    A cancellation from outside reaches the block alone: whoever cleans up in it still finds the
    tasks at work, as a client does that stops its jobs at a server. Cleaning up must be bounded.

    What the block raises comes out as it is, not in a group: the tasks are no business of the
    caller.

    Raises:
        InternalError: a task crashed, which none should.
    """
    services = trio.CancelScope(shield=True)
    opened = trio.Event()
    service_nursery: trio.Nursery | None = None

    @trio.lowlevel.enable_ki_protection  # Ctrl-C is for the program, and must not break this
    async def host() -> None:
        nonlocal service_nursery
        with services:
            async with trio.open_nursery() as service_nursery:
                opened.set()
                await trio.sleep_forever()

    block_error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            # Not start(), which a cancellation would hold up for as long as the shield does.
            nursery.start_soon(host)
            try:
                await opened.wait()
                assert service_nursery is not None
                yield service_nursery
            except BaseException as error:  # noqa: ASYNC103  # raised again below
                block_error = error  # so that it never travels through our nursery
            finally:
                services.cancel("the block that these tasks serve is over")
    except BaseExceptionGroup as group:
        _, crashes = group.split(trio.Cancelled)
        if crashes is not None:
            if crashes.subgroup(KeyboardInterrupt) is not None:
                raise KeyboardInterrupt from group
            raise InternalError(
                "a background task of comfy_trio crashed; please report it"
            ) from group
        if block_error is None:
            raise
    if block_error is not None:
        raise_saving_context(block_error)


@final
class BreakableBlock:
    """A block that others may end with an error; made by `open_breakable_block`."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.scope: trio.CancelScope = trio.CancelScope()
        self.broken: trio.Event = trio.Event()
        self.error: Exception | None = None

    def break_off(self, error: Exception) -> None:
        """End the block with an error. The first one counts."""
        if self.error is None:
            self.error = error
            self.broken.set()
            self.scope.cancel(type(error).__name__)

    def break_off_when(self, event: trio.Event, error: Callable[[], Exception]) -> None:
        """End the block with an error when something happens before its end."""

        async def wait() -> None:
            await event.wait()
            self.break_off(error())

        self._nursery.start_soon(wait)


@asynccontextmanager
async def open_breakable_block(grace: float) -> AsyncGenerator[BreakableBlock, None]:
    """Open a block that others may end with an error of theirs, which comes out as it is.

    A lost connection in the block is only the cause of such an error: it tells of the same thing.
    Any other exception of the block goes first.

    Args:
        grace: Seconds that such an error may come after a lost connection.
    """
    async with open_service_nursery() as nursery:
        block = BreakableBlock(nursery)
        try:
            with block.scope:
                yield block
        except (DisconnectedError, ServerUnreachableError) as error:
            with trio.move_on_after(grace, shield=True):
                await block.broken.wait()
            if block.error is None:
                raise
            raise block.error from error
        if block.scope.cancelled_caught:
            assert block.error is not None
            raise block.error


async def map_concurrently(
    function: Callable[[T], Awaitable[R]], items: Iterable[T], limit: float = math.inf
) -> dict[T, R]:
    """Call a function for each of several items, and return its results by them.

    The first call that fails ends the others, and its exception comes out as it is, in no group.

    Args:
        function: Takes an item.
        items: Hashable, and each there once.
        limit: How many calls may run at once; at least 1.

    Raises:
        ValueError: `limit` is less than 1.
    """
    if limit < 1:
        raise ValueError(f"at least one must be allowed at once, not {limit!r}")
    waiting = dict.fromkeys(items)
    results: dict[T, R] = {}
    failures: list[Exception] = []

    async def work() -> None:
        try:
            while waiting:
                item = next(iter(waiting))
                del waiting[item]
                results[item] = await function(item)
        except Exception as error:  # raised again below
            failures.append(error)
            nursery.cancel_scope.cancel("another call failed")

    async with trio.open_nursery() as nursery:
        for _ in range(int(min(limit, len(waiting)))):
            nursery.start_soon(work)
    if failures:
        raise_saving_context(failures[0])
    return results
