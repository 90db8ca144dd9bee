"""What the server writes to its terminal."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, final

import attrs
import trio

from .._connection_state import ConnectionState
from .._errors import ComfyError, DisconnectedError, ServerUnreachableError
from .._logging import logger
from .._replies import raise_for_status
from .._routes._terminal import (
    LOGS,
    LOGS_AS_TEXT,
    UntoldEntries,
    entries_of,
    read_log,
    read_log_as_text,
    require_internal,
    subscription_to_logs,
)
from .._util import NoPublicConstructor
from .._wire import Logs
from ._feed import open_feed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from .._http import HttpClient
    from .._mailbox import Mailbox, Subscription
    from .._routes._terminal import TerminalEntry, TerminalLog
    from .._session import Session
    from .._wire import ServerEvent

RETRY_PAUSE = 1.0
"""Seconds before a request is made again that broke although the WebSocket is there."""


@final
@attrs.define(eq=False, slots=False)
class TerminalNamespace(metaclass=NoPublicConstructor):
    """`Comfy.terminal`: the server's log, as its terminal shows it.

    ComfyUI keeps these routes for its own page and promises nothing of them; a proxy before the
    server may not pass them on.
    """

    _session: Session = attrs.field(repr=False)
    _subscribers: int = attrs.field(default=0, init=False, repr=False)
    _telling: trio.Lock = attrs.field(factory=trio.Lock, init=False, repr=False)

    async def logs(self) -> TerminalLog:
        """Return what the server has written last: its last 300 writes, the oldest first.

        Raises:
            UnsupportedError, ForbiddenError: the server, or a proxy, keeps this to itself.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_log(await self._session.http.request(LOGS))

    async def text(self) -> str:
        """Return the same as one text, as the server puts it together: a time before each entry.

        Raises:
            UnsupportedError, ForbiddenError: the server, or a proxy, keeps this to itself.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_log_as_text(await self._session.http.request(LOGS_AS_TEXT))

    @asynccontextmanager
    async def subscribe(self) -> AsyncGenerator[Subscription[TerminalEntry], None]:
        """Read what the server writes from now on, for as long as a block lasts.

        Each entry comes once, in the server's order. When the WebSocket was away, what was written
        meanwhile is asked for and comes first; of more than 300 entries the server keeps only the
        last. Of a server that was restarted this is its log from the start on. A reader that falls
        more than 1000 entries behind misses the oldest; `Subscription.missed` counts them.

        The iteration ends when the client gives up reconnecting, and raises what `logs` raises if
        the server does not let the client in any more.

        Raises:
            UnsupportedError, ForbiddenError: the server, or a proxy, keeps this to itself.
            ResponseError, ServerUnreachableError, DisconnectedError: a request failed.
        """
        events = self._session.subscribe()
        reconnections = self._session.reconnections
        async with self._subscribed():
            untold = UntoldEntries()
            untold.skip((await self.logs()).entries)
            async with open_feed(partial(self._follow, events, reconnections, untold)) as entries:
                yield entries

    @asynccontextmanager
    async def _subscribed(self) -> AsyncGenerator[None, None]:
        """Let the server send the log while anybody of this client wants it."""
        self._subscribers += 1
        try:
            async with self._telling:
                await self._tell(self._session.http, enabled=True)
            yield
        finally:
            self._subscribers -= 1
            with trio.move_on_after(self._session.options.close_timeout, shield=True):
                await self._unsubscribe_if_last()

    async def _unsubscribe_if_last(self) -> None:
        async with self._telling:  # the server heeds who speaks last
            if self._subscribers:
                return
            try:
                await self._tell(self._session.cleanup_http, enabled=False)
            except (ComfyError, trio.ClosedResourceError) as error:
                about = self._session.connection.ids()
                logger.debug("the server may go on sending its log: %s", error, extra=about)

    async def _tell(self, http: HttpClient, *, enabled: bool) -> None:
        request = subscription_to_logs(self._session.options.client_id, enabled=enabled)
        reply = await http.request(request)
        require_internal(reply)
        raise_for_status(reply)

    async def _follow(
        self,
        events: Mailbox[ServerEvent],
        reconnections: int,
        untold: UntoldEntries,
        entries: Mailbox[TerminalEntry],
    ) -> None:
        numbers = itertools.count()
        async for event in events.subscription():
            new: list[TerminalEntry] = []
            # The greeting of a socket that is back comes before all else from it, and wakes this.
            if self._session.reconnections > reconnections:
                reconnections = self._session.reconnections
                new += await self._catch_up(untold)
            if isinstance(event, Logs):
                new += untold.of_frame(entries_of(event))
            for entry in new:
                entries.put_nowait(next(numbers), entry)

    async def _catch_up(self, untold: UntoldEntries) -> list[TerminalEntry]:
        """Subscribe anew, and return what was missed."""
        # A socket that is lost again will be back, or no more events will come.
        while self._session.connection.state is ConnectionState.CONNECTED:
            try:
                await self._tell(self._session.http, enabled=True)
                return untold.of_log((await self.logs()).entries)
            except (DisconnectedError, ServerUnreachableError) as error:
                about = self._session.connection.ids()
                logger.debug("the terminal's log cannot be asked for yet: %s", error, extra=about)
                await trio.sleep(RETRY_PAUSE)
        return []
