"""Which server gets a job."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from comfy_trio import PickMode, ServerLoad
from comfy_trio._pick import pick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comfy_trio import PickStrategy


def load(name: str, queue: int = 0, running: int = 0, turn: int = 0) -> ServerLoad:
    return ServerLoad(name, queue, running, 4, turn)


@pytest.mark.parametrize(
    ("mode", "loads", "chosen"),
    [
        (PickMode.PICK_ZERO, [load("a")], "a"),
        (PickMode.PICK_ZERO, [load("a", 1), load("b")], "b"),
        (PickMode.PICK_ZERO, [load("a", running=1), load("b", 1)], None),
        (PickMode.PICK_ZERO, [load("a", turn=2), load("b", turn=1)], "b"),
        (PickMode.PICK_LOWEST, [load("a", 3), load("b", 2), load("c", 4)], "b"),
        (PickMode.PICK_LOWEST, [load("a", 0, 2), load("b", 1)], "b"),
        (PickMode.PICK_LOWEST, [load("a", 5, turn=9), load("b", 5, turn=7)], "b"),
        (PickMode.PICK_ROUTINE, [load("a", 0, turn=3), load("b", 9, turn=2)], "b"),
        (PickMode.PICK_ROUTINE, [load("a"), load("b")], "a"),
    ],
)
def test_modes(mode: PickMode, loads: Sequence[ServerLoad], chosen: str | None) -> None:
    picked = pick(mode, "work", loads)
    assert (picked and picked.server_id) == chosen


def test_load_is_the_larger_of_what_is_told_and_what_is_known() -> None:
    assert load("a", 3, 1).load == 3
    assert load("a", 0, 2).load == 2


def test_a_strategy_of_the_users_decides() -> None:
    loads = [load("a"), load("b")]
    seen: list[object] = []

    def last(work: object, loads: Sequence[ServerLoad]) -> ServerLoad | None:
        seen.append(work)
        return loads[-1] if work == "go" else None

    assert pick(last, "go", loads) is loads[1]
    assert pick(last, "wait", loads) is None
    assert seen == ["go", "wait"]


def raising(work: object, loads: Sequence[ServerLoad]) -> ServerLoad | None:
    raise LookupError("no idea")


def inventing(work: object, loads: Sequence[ServerLoad]) -> ServerLoad | None:
    return load("elsewhere")


@pytest.mark.parametrize("strategy", [raising, inventing])
def test_a_strategy_that_is_wrong_does_not_stop_the_pool(
    strategy: PickStrategy, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="comfy_trio"):
        picked = pick(strategy, "work", [load("a", turn=2), load("b", turn=1)])
    assert picked == load("b", turn=1)
    assert strategy.__name__ in caplog.text
