"""The circuit breaker of one server: keeps jobs away from it after it failed several in a row.

Closed, it lets all jobs through. Some failures in a row open it: for a while, none. Then it is half
open and lets one through, which decides: closed again, or open for longer than before. Breakers are
values; the time is passed in.
"""

from __future__ import annotations

from enum import StrEnum

import attrs

from ._backoff import backoff


class BreakerState(StrEnum):
    """What a breaker lets through."""

    CLOSED = "closed"
    """Every job."""
    OPEN = "open"
    """None."""
    HALF_OPEN = "half-open"
    """One job, to see."""


@attrs.frozen
class BreakerPolicy:
    """When a server is left alone for a while, and for how long.

    Args:
        failures: How many failures in a row it takes.
        cooldown: Seconds of the first pause; each one that follows without a success is twice as
            long.
        cap: The longest pause, in seconds.
        jitter: How much of a pause is random, from 0 to 1.
    """

    failures: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    cooldown: float = attrs.field(default=5.0, validator=attrs.validators.ge(0))
    cap: float = attrs.field(default=120.0, validator=attrs.validators.ge(0))
    jitter: float = attrs.field(
        default=0.3, validator=[attrs.validators.ge(0), attrs.validators.le(1)]
    )

    def pause(self, openings: int, chance: float) -> float:
        """Return how long a breaker stays open that is opened for the so-manieth time in a row."""
        return backoff(self.cooldown, openings, cap=self.cap, jitter=self.jitter, chance=chance)


@attrs.frozen
class Breaker:
    """A breaker at one moment.

    Args:
        policy: When to open.
        failures: Failures since the last success, while it is not open.
        openings: How often it was opened since it last was closed.
        until: When it is half open, if it is open before.
    """

    policy: BreakerPolicy
    failures: int = 0
    openings: int = 0
    until: float = 0.0

    def state(self, now: float) -> BreakerState:
        """Tell what it lets through."""
        if self.openings == 0:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.until else BreakerState.HALF_OPEN

    def succeeded(self) -> Breaker:
        """Return it as it is after the server did what it should."""
        return Breaker(self.policy)

    def failed(self, now: float, chance: float) -> Breaker:
        """Return it as it is after the server failed.

        Args:
            now: When.
            chance: A random number from 0 to 1, for the jitter.
        """
        state = self.state(now)
        if state is BreakerState.OPEN:
            return self  # a job that was under way when it opened tells nothing new
        failures = self.failures + 1
        if state is BreakerState.CLOSED and failures < self.policy.failures:
            return attrs.evolve(self, failures=failures)
        openings = self.openings + 1
        return Breaker(
            self.policy,
            openings=openings,
            until=now + self.policy.pause(openings, chance),
        )
