"""What takes forever under a virtual clock, though threads take what time they need."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
import trio.testing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

FOREVER = 30_000
"""Seconds of the virtual clock after which something hangs."""
IDLE_ENOUGH = 100
"""How often that is seen before it counts: more often than anything uses a thread."""


@asynccontextmanager
async def fail_if_hanging() -> AsyncGenerator[None, None]:
    """Raise `trio.TooSlowError` out of a block in which nothing goes on any more."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_if_hanging, scope)
            yield
            nursery.cancel_scope.cancel("the block is over")
    if scope.cancelled_caught:
        raise trio.TooSlowError("it hangs")


async def _cancel_if_hanging(scope: trio.CancelScope) -> None:
    """Cancel what takes forever.

    Threads take any time on this clock. One of them may end just when they are counted, which
    looks as if nothing went on; but not so often.
    """
    threads = trio.to_thread.current_default_thread_limiter()
    idle = 0
    while idle < IDLE_ENOUGH:
        await trio.sleep(FOREVER / IDLE_ENOUGH)
        await trio.testing.wait_all_tasks_blocked()
        idle += not threads.borrowed_tokens
    scope.cancel("it hangs")
