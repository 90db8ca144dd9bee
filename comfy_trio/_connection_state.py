"""How the WebSocket is, how that changes, and when a lost one is brought back."""

from __future__ import annotations

import math
import random
from enum import Enum
from typing import TYPE_CHECKING, Final, final
from weakref import WeakSet

import attrs
import trio

from ._backoff import backoff
from ._logging import logger
from ._mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

SUBSCRIBER_BOUND: Final = 1000
"""Unread changes that a subscriber may have; older ones are dropped for newer ones."""


class ConnectionState(Enum):
    """How the client's WebSocket is."""

    CONNECTING = "connecting"
    """For the first time."""
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    """It was lost, and is to be brought back. Jobs live on."""
    FAILED = "failed"
    """It was not brought back, as often as it was tried. It is still tried now and then; meanwhile,
    jobs are followed by asking over HTTP, and lost if there is no answer to that either."""
    DISCONNECTED = "disconnected"
    """The client's block is over."""


@attrs.frozen
class ConnectionChanged:
    """The WebSocket is in another state, or was once more not brought back.

    Args:
        state: How it is now.
        reason: Why it is not connected; None while it is.
        attempt: Attempts in a row that failed to bring it back.
    """

    state: ConnectionState
    reason: str | None = None
    attempt: int = 0


@attrs.frozen
class ReconnectPolicy:
    """How a lost WebSocket is brought back: at once, then after growing pauses.

    It is tried for as long as the client lives.

    Args:
        attempts: After how many in a row the connection counts as failed, so that jobs are not
            waited for any more whose server does not answer over HTTP either; `math.inf` for never.
        base: The first pause, in seconds; each is twice the one before.
        cap: The longest pause, in seconds. After a failure, all are so long.
        jitter: How much of a pause is random, from 0 to 1.
        pauses: A function of your own, in place of all that: it is given the number of the attempt
            since the last connection, from 1, and returns the pause before it, in seconds.
    """

    attempts: float = 10
    base: float = 1.0
    cap: float = 15.0
    jitter: float = 0.3
    pauses: Callable[[int], float] | None = attrs.field(default=None, kw_only=True)

    def pause(self, attempt: int) -> float:
        """Return the pause before an attempt, counted from 1."""
        own = self._own_pause(attempt)
        if own is not None:
            return own
        return 0.0 if attempt <= 1 else self._backoff(self.base, attempt - 1)

    def late_pause(self, attempt: int) -> float:
        """Return the pause before an attempt after the connection failed."""
        own = self._own_pause(attempt)
        return self._backoff(self.cap, 1) if own is None else own

    def _backoff(self, first: float, attempt: int) -> float:
        chance = random.random()
        return backoff(first, attempt, cap=self.cap, jitter=self.jitter, chance=chance)

    def _own_pause(self, attempt: int) -> float | None:
        """Return what the user's own function says; None if there is none, or it fails."""
        if self.pauses is None:
            return None
        try:
            pause = float(self.pauses(attempt))
        except Exception:
            logger.exception("pauses of the ReconnectPolicy raised; the usual one is made instead")
            return None
        if math.isnan(pause):
            logger.error("pauses of the ReconnectPolicy returned nan; the usual one is made")
            return None
        return max(pause, 0.0)


@final
class ConnectionProgress:
    """How a connection is, for those who want to wait for it or to hear of its changes."""

    def __init__(self) -> None:
        self.now = ConnectionChanged(ConnectionState.CONNECTING)
        self._turn = trio.Event()
        self._count = 0
        self._mailboxes: WeakSet[Mailbox[ConnectionChanged]] = WeakSet()

    def enter(self, state: ConnectionState, reason: str | None = None, *, attempt: int = 0) -> None:
        """Let everybody know of a change."""
        self.now = ConnectionChanged(state, reason, attempt)
        self._count += 1
        self._turn.set()
        self._turn = trio.Event()
        for mailbox in self._mailboxes:
            mailbox.put_nowait(self._count, self.now)
            if state is ConnectionState.DISCONNECTED:
                mailbox.close()

    async def wait(self, states: Collection[ConnectionState]) -> ConnectionState:
        """Wait until the connection is in one of some states, and return that.

        Raises:
            ValueError: there are no states.
            trio.ClosedResourceError: it is over, and was not to be waited for.
        """
        await trio.lowlevel.checkpoint()
        if not states:
            raise ValueError("name the states to wait for: of none, none is ever reached")
        while self.now.state not in states:
            if self.now.state is ConnectionState.DISCONNECTED:
                raise trio.ClosedResourceError("this client's block is over")
            await self._turn.wait()
        return self.now.state

    def subscribe(self) -> Mailbox[ConnectionChanged]:
        """Return a mailbox with how the connection is, and each change from now on."""
        mailbox = Mailbox(SUBSCRIBER_BOUND, [(self._count, self.now)])
        if self.now.state is ConnectionState.DISCONNECTED:
            mailbox.close()
        else:
            self._mailboxes.add(mailbox)
        return mailbox
