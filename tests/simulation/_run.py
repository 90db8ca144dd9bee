"""One world from its seed, the same each time."""

from __future__ import annotations

import random
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast
from unittest.mock import patch

import trio
from trio._core import _run
from trio.testing import MockClock

from comfy_trio import _session

from ._world import World

if TYPE_CHECKING:
    from collections.abc import Generator

    from ._history import History


FEW = 20
"""As many events as a listener may be behind; few, so that slow ones are."""


class Failure(AssertionError):
    """A world in which something did not hold. Its text is the history of that world."""


@contextmanager
def reproducible(seed: int) -> Generator[None]:
    """Draw from a seed whatever is random: the order of tasks, pauses, ids."""
    ids = random.Random(seed)

    def uuid4() -> uuid.UUID:
        return uuid.UUID(int=ids.getrandbits(128), version=4)

    state, order = random.getstate(), _run._r.getstate()
    random.seed(seed)
    _run._r.seed(seed)
    try:
        with (
            patch.object(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", new=True),
            patch.object(uuid, "uuid4", uuid4),
            patch.object(_session, "SUBSCRIBER_BOUND", FEW),
        ):
            yield
    finally:
        random.setstate(state)
        _run._r.setstate(order)


def simulate(seed: int) -> History:
    """Run a world to its end, and return its history.

    Raises:
        Failure: something did not hold.
    """
    world = World(seed)
    trouble: BaseException | None = None
    with reproducible(seed):
        try:
            trio.run(world.live, clock=MockClock(autojump_threshold=0))
        except BaseExceptionGroup as group:
            trouble = _first(group)
        except Exception as error:
            trouble = error
    if trouble is not None:
        told = "\n".join(world.history.lines[-400:])
        raise Failure(
            f"seed {seed}\n{told}\n{type(trouble).__name__}: {trouble}\n"
            f"Again: python -m simulation --first {seed} --seeds 1"
        ) from trouble
    return world.history


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
