"""Cancels a piece of program at its first step, at its second one, and so on until it is through.

A step is one of any task, the server's included: so a cancellation falls into every moment that the
program, its client and the server can be in. The order of the tasks is drawn from one seed, so that
each time all goes as before until it is cancelled.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio
from trio._core import _run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from comfy_trio import Comfy
    from comfy_trio.testing import EmbeddedServer

SLACK = 5
"""By how many steps two runs may differ: a ping now and then is nobody's business."""
MOST = 20_000
"""Steps of a piece of program that never ends."""
SEED = 7


class Countdown(trio.abc.Instrument):
    """Calls something when so many steps have been made."""

    def __init__(self, steps: int, then: Callable[[], object]) -> None:
        self.left = steps
        self._then = then

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """See `trio.abc.Instrument`."""
        self.left -= 1
        if self.left == 0:
            self._then()


@contextmanager
def counting_down(steps: int, then: Callable[[], object]) -> Generator[Countdown]:
    countdown = Countdown(steps, then)
    trio.lowlevel.add_instrument(countdown)
    try:
        yield countdown
    finally:
        trio.lowlevel.remove_instrument(countdown)


@contextmanager
def same_order() -> Generator[None]:
    """Let Trio choose among tasks as it did the time before."""
    before = _run._r.getstate()
    _run._r.seed(SEED)
    try:
        yield
    finally:
        _run._r.setstate(before)


def tasks() -> int:
    """How many tasks there are."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    count, waiting = 0, [root]
    while waiting:
        task = waiting.pop()
        count += 1
        for nursery in task.child_nurseries:
            waiting += nursery.child_tasks
    return count


async def cancel_at_every_step(
    program: Callable[[], Awaitable[object]],
    settle: Callable[[int], Awaitable[object]],
    *,
    every: int = 1,
    threads: bool = False,
) -> int:
    """Run a piece of program as often as it has steps, and cancel each run at the next one.

    What comes out of it must be `trio.Cancelled`, and once a run was too far on to be cancelled, so
    is each later one: none swallows a cancellation on its way.

    Args:
        program: Is the same each time.
        settle: Is called after each run with the step at which that was cancelled, and sees that
            nothing is left.
        every: Of so many steps one is tried.
        threads: Whether it uses such, which take their time: then no run is quite like another.

    Returns:
        How many steps there are.
    """
    uncancelled_since: int | None = None
    for step in range(1, MOST, every):
        scope = trio.CancelScope()
        with same_order(), counting_down(step, scope.cancel) as countdown, scope:
            await program()
        if not scope.cancelled_caught:
            uncancelled_since = uncancelled_since or step
        elif uncancelled_since is not None and step > uncancelled_since + SLACK and not threads:
            raise AssertionError(
                f"a cancellation at step {uncancelled_since} was swallowed, but not at {step}"
            )
        await settle(step)
        if countdown.left > 0:
            return step
    raise AssertionError("it does not end")


async def require_idle(comfy: Comfy, server: EmbeddedServer) -> None:
    """See that nothing of a client's is under way, and that nothing is left at the server."""
    left = server.statistics()
    assert (left.pending, left.running) == (0, 0), left
    assert not comfy._session.supervisor.live
    for http in (comfy._session.http, comfy._session.cleanup_http):
        statistics = http.statistics()
        assert statistics.borrowed_tokens == statistics.tasks_waiting == 0
    await trio.testing.wait_all_tasks_blocked()
    assert server.statistics().connections == server.statistics().sockets, "a request is left"
