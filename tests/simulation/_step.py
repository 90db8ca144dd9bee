"""Cancellation at a checkpoint of one's choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import attrs
import trio
from trio.abc import Instrument

if TYPE_CHECKING:
    from collections.abc import Callable


@final
@attrs.define(eq=False)
class CancelAtStep(Instrument):
    """Cancels a scope when a task goes on for the n-th time, counted from 1.

    The task then is cancelled at its next checkpoint: trying each n tries each checkpoint. If no
    task is named, all count, and each n is a moment of whatever is done together.
    """

    scope: trio.CancelScope
    step: int
    task: trio.lowlevel.Task | None = None
    on_cancel: Callable[[], None] = lambda: None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """See `Instrument`."""
        if self.task is not None and task is not self.task:
            return
        self.step -= 1
        if self.step == 0:
            self.on_cancel()
            self.scope.cancel("this was the step")

    def __enter__(self) -> None:
        trio.lowlevel.add_instrument(self)

    def __exit__(self, *exc_info: object) -> None:
        trio.lowlevel.remove_instrument(self)
