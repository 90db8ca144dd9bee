"""One world from its seed, the same each time."""

from __future__ import annotations

import random
import uuid
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, cast
from unittest.mock import patch

import trio
import trio.testing
from starlette import routing
from trio._core import _run

from ._world import World

if TYPE_CHECKING:
    from collections.abc import Generator

    from ._history import History

AGAIN = "nox -s simulate -- --first {} --seeds 1"


_compile_path = cache(routing.compile_path)
"""Most of the time that an embedded server takes to open goes there."""


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
            patch.object(routing, "compile_path", _compile_path),
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
            trio.run(world.live, clock=trio.testing.MockClock(autojump_threshold=0))
        except BaseExceptionGroup as group:
            trouble = _first(group)
        except Exception as error:
            trouble = error
    if trouble is not None:
        told = "\n".join(world.history.lines())
        raise Failure(
            f"seed {seed}\n{told}\n{type(trouble).__name__}: {trouble}\nAgain: {AGAIN.format(seed)}"
        ) from trouble
    return world.history


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
