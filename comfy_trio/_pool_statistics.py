"""What a pool holds and did, at one moment."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import attrs

from ._breaker import BreakerState
from ._pool_job import PoolJobStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._dispatcher import Dispatcher
    from ._seat import Seat


class PoolServerState(StrEnum):
    """How a server of a pool is."""

    READY = "ready"
    """It is given jobs."""
    PROBED = "probed"
    """It is given one job, after it failed; see `BreakerPolicy`."""
    COOLING = "cooling"
    """It failed, and is left alone for a while."""
    AWAY = "away"
    """There is no connection to it, not yet or not now."""
    LEAVING = "leaving"
    """It is being removed."""


@attrs.frozen(kw_only=True)
class PoolServerStatistics:
    """One server of a pool at one moment."""

    state: PoolServerState
    queue_remaining: int
    """Prompts in its own queue, running ones included, whoever's they are, as it told last."""
    running: int
    """Jobs of the pool that it has."""
    concurrency: int
    """How many of these it may have at once."""
    succeeded: int
    """Jobs of the pool that it did."""
    failed: int
    """Attempts that failed there, for whatever reason."""


@attrs.frozen(kw_only=True)
class PoolStatistics:
    """A pool at one moment. Each job that was added is waiting, pausing, running, or settled."""

    added: int
    waiting: int
    """Jobs that no server has."""
    pausing: int
    """Jobs between two attempts."""
    running: int
    succeeded: int
    failed: int
    cancelled: int
    retries: int
    """How often a job was given to a server again."""
    servers: Mapping[str, PoolServerStatistics]
    """By id."""


def pool_statistics(dispatcher: Dispatcher) -> PoolStatistics:
    """Return the statistics of a pool."""
    counts = dispatcher.counts
    return PoolStatistics(
        added=dispatcher.added,
        waiting=counts[PoolJobStatus.WAITING],
        pausing=counts[PoolJobStatus.PAUSING],
        running=counts[PoolJobStatus.RUNNING],
        succeeded=counts[PoolJobStatus.SUCCEEDED],
        failed=counts[PoolJobStatus.FAILED],
        cancelled=counts[PoolJobStatus.CANCELLED],
        retries=dispatcher.retries,
        servers={seat.server_id: _server(seat) for seat in dispatcher.seats.values()},
    )


def _server(seat: Seat) -> PoolServerStatistics:
    return PoolServerStatistics(
        state=_state(seat),
        queue_remaining=seat.queue_remaining,
        running=len(seat.attempts),
        concurrency=seat.concurrency,
        succeeded=seat.succeeded,
        failed=seat.failed,
    )


def _state(seat: Seat) -> PoolServerState:
    if seat.leaving:
        return PoolServerState.LEAVING
    if not seat.connected:
        return PoolServerState.AWAY
    match seat.breaker_state():
        case BreakerState.OPEN:
            return PoolServerState.COOLING
        case BreakerState.HALF_OPEN:
            return PoolServerState.PROBED
        case BreakerState.CLOSED:
            return PoolServerState.READY
