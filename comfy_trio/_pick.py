"""Which server gets a job: one decision, made without waiting for anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from ._logging import logger

if TYPE_CHECKING:
    from collections.abc import Mapping


class PickMode(StrEnum):
    """How a pool chooses among the servers that could take a job at once."""

    PICK_ZERO = "zero"
    """Only a server whose own queue is empty, so that people who use it too do not wait for the
    pool. A job waits until there is one."""
    PICK_LOWEST = "lowest"
    """The server with the least to do."""
    PICK_ROUTINE = "routine"
    """In turns."""


@attrs.frozen
class ServerLoad:
    """What a server has to do at one moment, as the one who picks sees it.

    Args:
        server_id: The server.
        queue_remaining: Prompts in its own queue, running ones included, whoever's they are, as it
            told last; 0 if it tells nothing.
        running: Jobs of the pool that are there. One that was only just given counts already.
        concurrency: How many of these it may have at once; it has fewer now.
        turn: Grows with each job that is given: the server with the lowest has waited longest.
    """

    server_id: str
    queue_remaining: int
    running: int
    concurrency: int
    turn: int

    @property
    def load(self) -> int:
        """How much it has to do: what it told, or what is known to be there if that is more."""
        return max(self.queue_remaining, self.running)


PickStrategy: TypeAlias = Callable[[Any, Sequence[ServerLoad]], ServerLoad | None]
"""Chooses a server for a job: called with what is to be run, as it was given to the pool, and the
servers that can take it now, never none. Returns one of them, or None to let the job wait until
something changes, and with it those of equal requirements behind it. It must not wait for anything.
"""


def _zero(work: object, loads: Sequence[ServerLoad]) -> ServerLoad | None:
    return _routine(work, [load for load in loads if load.load == 0])


def _lowest(work: object, loads: Sequence[ServerLoad]) -> ServerLoad:
    return min(loads, key=lambda load: (load.load, load.turn))


def _routine(work: object, loads: Sequence[ServerLoad]) -> ServerLoad | None:
    return min(loads, key=lambda load: load.turn, default=None)


_STRATEGIES: Final[Mapping[PickMode, PickStrategy]] = {
    PickMode.PICK_ZERO: _zero,
    PickMode.PICK_LOWEST: _lowest,
    PickMode.PICK_ROUTINE: _routine,
}


def pick(
    mode: PickMode | PickStrategy, work: object, loads: Sequence[ServerLoad]
) -> ServerLoad | None:
    """Choose a server for a job; None to let it wait.

    A strategy of the user's that raises, or returns what it was not offered, is logged, and
    `PickMode.PICK_ROUTINE` decides in its place.

    Args:
        mode: How.
        work: What is to be run.
        loads: The servers that can take it now; at least one.
    """
    if isinstance(mode, PickMode):
        return _STRATEGIES[mode](work, loads)
    try:
        chosen = mode(work, loads)
    except Exception:
        logger.exception("the pool's strategy %r raised; servers take turns instead", mode)
        return _routine(work, loads)
    if chosen is not None and chosen not in loads:
        logger.error("the pool's strategy %r chose %r, of none of the servers", mode, chosen)
        return _routine(work, loads)
    return chosen
