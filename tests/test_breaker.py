"""The circuit breaker of one server, as a table."""

from __future__ import annotations

import pytest

from comfy_trio import BreakerPolicy
from comfy_trio._breaker import Breaker, BreakerState

POLICY = BreakerPolicy(failures=2, cooldown=10, cap=30, jitter=0)


def play(history: str) -> tuple[Breaker, float]:
    """Return a breaker after failures (f), successes (s) and digits: seconds times ten."""
    breaker, now = Breaker(POLICY), 0.0
    for each in history:
        match each:
            case "f":
                breaker = breaker.failed(now, 0)
            case "s":
                breaker = breaker.succeeded()
            case _:
                now += 10 * int(each)
    return breaker, now


@pytest.mark.parametrize(
    ("history", "state"),
    [
        ("", BreakerState.CLOSED),
        ("f", BreakerState.CLOSED),
        ("ff", BreakerState.OPEN),
        ("fsf", BreakerState.CLOSED),
        ("ff1", BreakerState.HALF_OPEN),
        ("ff1s", BreakerState.CLOSED),
        ("ff1sf", BreakerState.CLOSED),
        ("ff1f", BreakerState.OPEN),
        ("ff1f1", BreakerState.OPEN),  # twice as long as before
        ("ff1f2", BreakerState.HALF_OPEN),
        ("ff1f2f3", BreakerState.HALF_OPEN),  # not four times: the cap
        ("fff1", BreakerState.HALF_OPEN),  # what was under way when it opened does not count
        ("ffs", BreakerState.CLOSED),
    ],
)
def test_states(history: str, state: BreakerState) -> None:
    breaker, now = play(history)
    assert breaker.state(now) is state


def test_pauses_grow_up_to_a_cap_and_are_shortened_by_chance() -> None:
    policy = BreakerPolicy(cooldown=1, cap=5, jitter=0.5)
    assert [policy.pause(number, 0) for number in (1, 2, 3, 4, 10**6)] == [1, 2, 4, 5, 5]
    assert policy.pause(1, 1) == 0.5


@pytest.mark.parametrize("wrong", [{"failures": 0}, {"cooldown": -1}, {"jitter": 2}])
def test_policies_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BreakerPolicy(**wrong)  # type: ignore[arg-type]  # the values are what is tried
