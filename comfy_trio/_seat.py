"""One server of a pool, as decisions see it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import attrs
import trio

from ._breaker import Breaker, BreakerState
from ._pick import ServerLoad
from ._requirements import Requirements, find_lack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._pool_job import Attempt
    from ._requirements import Needs
    from ._util import JSONObject

MAX_GIVEN_UP: Final = 1000


@attrs.define(eq=False)
class Seat:
    """A server: what is known of it, and which jobs of the pool it has."""

    server_id: str
    concurrency: int
    breaker: Breaker
    connected: bool = False
    leaving: bool = False
    queue_remaining: int = 0
    turn: int = 0
    attempts: dict[Attempt, None] = attrs.field(factory=dict["Attempt", None], init=False)
    succeeded: int = 0
    failed: int = 0
    losses: int = 0
    """How often its WebSocket was lost."""
    given_up: deque[str] = attrs.field(factory=lambda: deque[str](maxlen=MAX_GIVEN_UP), init=False)
    """Prompts that were given up there, and that it is to stop when it is back."""
    _definitions: Mapping[str, JSONObject] | None = None
    _lacks: dict[Needs, str | None] = attrs.field(factory=dict["Needs", "str | None"], init=False)

    def learn(self, definitions: Mapping[str, JSONObject]) -> None:
        """Take note of what the server declares."""
        self._definitions = definitions
        self._lacks.clear()

    def breaker_state(self) -> BreakerState:
        """Tell what the breaker lets through."""
        if self.breaker.openings == 0:  # without a look at the clock: this is asked all the time
            return BreakerState.CLOSED
        return self.breaker.state(trio.current_time())

    def is_able(self) -> bool:
        """Tell whether it is given jobs at all, now or when it is done with others."""
        if not self.connected or self.leaving:
            return False
        return self.breaker_state() is not BreakerState.OPEN

    def is_free(self) -> bool:
        """Tell whether it can be given a job now."""
        if not self.connected or self.leaving or len(self.attempts) >= self.concurrency:
            return False
        match self.breaker_state():
            case BreakerState.CLOSED:
                return True
            case BreakerState.HALF_OPEN:
                return not self.attempts
            case BreakerState.OPEN:
                return False

    def obstacle(self, requirements: Requirements) -> str | None:
        """Return why it will never run a job of such requirements; None if it may."""
        if not requirements.admits(self.server_id):
            return "it is excluded for this job"
        if self._definitions is None:
            return None
        needs = requirements.needs
        if needs not in self._lacks:
            self._lacks[needs] = find_lack(needs, self._definitions)
        return self._lacks[needs]

    def load(self) -> ServerLoad:
        """Return what a strategy is told."""
        return ServerLoad(
            self.server_id, self.queue_remaining, len(self.attempts), self.concurrency, self.turn
        )


def obstacles(requirements: Requirements, seats: Iterable[Seat]) -> Mapping[str, str] | None:
    """Return why each of some servers will never run a job, by id; None if one of them may."""
    found: dict[str, str] = {}
    for seat in seats:
        obstacle = seat.obstacle(requirements)
        if obstacle is None:
            return None
        found[seat.server_id] = obstacle
    return found
