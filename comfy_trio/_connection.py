"""The WebSocket's one reader, which also brings the socket back when it is lost."""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from typing import TYPE_CHECKING, final

import trio

from ._connection_state import ConnectionProgress, ConnectionState
from ._errors import (
    AuthenticationError,
    CredentialsError,
    DisconnectedError,
    NotComfyUIError,
    ResponseError,
    ServerUnreachableError,
)
from ._failover import is_refused
from ._logging import ids, logger
from ._replies import Reply, get
from ._transport import WebSocketClosed, WebSocketRejected, WebSocketUnreachable
from ._wire import Executing, FeatureFlags, MalformedFrame, decode_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._address import ServerAddress
    from ._connection_state import ReconnectPolicy
    from ._credentials import AuthHeaders
    from ._door import Door
    from ._transport import Transport, WebSocket
    from ._wire import ServerEvent


LOSSES = (WebSocketRejected, WebSocketUnreachable, WebSocketClosed)
DEAF_AFTER = 20.0
"""Seconds without a frame, while a job runs, after which a socket is exchanged for another one."""
MAX_DEAF_AFTER = 320.0
"""The same after many exchanges that changed nothing: some nodes say nothing for minutes."""
STABLE = 10.0
"""Seconds after which a connection that is lost is worth another one at once."""


@final
class Connection:
    """Reads the WebSocket as long as it is run, and never waits for those who listen.

    Args:
        address: The server.
        client_id: Whose events to hear.
        door: What is sent with the upgrade.
        handshake: The first frame that is sent on each socket.
        transport: How to connect.
        max_message_size: In bytes.
        reconnect: What to do when the socket is lost.
        connect_timeout: Seconds for each attempt to connect, and for the answer to a ping.
        heartbeat: Seconds between pings.
        required: Whether `run` fails if the first attempt to connect does.
        on_event: Called for each event, in order. Must not raise.
        on_lost: Called with the error each time the socket is lost, and how to tell of it; and
            with the error alone each time that it is not brought back. Must not raise.
        on_reconnected: Called after each connect but the first. Must not raise.
        on_given_up: Called when it was not brought back too often. Must not raise.
    """

    def __init__(
        self,
        address: ServerAddress,
        client_id: str,
        *,
        door: Door,
        handshake: str,
        transport: Transport,
        max_message_size: int,
        reconnect: ReconnectPolicy,
        connect_timeout: float,
        heartbeat: float,
        required: bool,
        on_event: Callable[[ServerEvent], None],
        on_lost: Callable[[Exception, str | None], None],
        on_reconnected: Callable[[], None],
        on_given_up: Callable[[], None],
    ) -> None:
        self.progress = ConnectionProgress()
        self._address = address
        self._client_id = client_id
        self._door = door
        self._handshake = handshake
        self._transport = transport
        self._max_message_size = max_message_size
        self._reconnect = reconnect
        self._connect_timeout = connect_timeout
        self._heartbeat = heartbeat
        self._required = required
        self._on_event = on_event
        self._on_lost = on_lost
        self._on_reconnected = on_reconnected
        self._on_given_up = on_given_up
        self._reading: trio.CancelScope | None = None
        self._websocket: WebSocket | None = None
        self._given_up = ""
        self._closing = False
        self._connected_at = math.inf
        self._heard_at = -math.inf
        self._heard = trio.Event()
        self._refused_at = -math.inf
        self._deaf_after = DEAF_AFTER
        self._is_first = True

    @property
    def state(self) -> ConnectionState:
        """How it is."""
        return self.progress.now.state

    def ids(self, prompt_id: str | None = None) -> dict[str, str | int | None]:
        """Return what a log record tells of whom it concerns: this client, and one of its jobs."""
        return ids(server=self._address, client_id=self._client_id, prompt_id=prompt_id)

    async def run(self, on_connected: Callable[[], None]) -> None:
        """Connect, and read until `close`.

        A socket that is lost is brought back for as long as this runs, however often.

        Args:
            on_connected: Called once, when the server's greeting is there; or, if that is not
                required, when the first attempt to connect failed.

        Raises:
            ComfyError: the first connect failed, and it is required. Later losses raise nothing.
        """
        loss: WebSocketRejected | WebSocketUnreachable | WebSocketClosed | None = None
        try:
            await self._converse(on_connected)
        except LOSSES as error:
            loss = error
        if loss is not None and self.state is ConnectionState.CONNECTING:
            if self._required:
                raise self._explain(loss) from self._door.secrets.harmless(loss)
            on_connected()
        if loss is not None:
            self._lose("the WebSocket is lost", loss)
        tries = failures = 0
        while not self._closing:
            self._give_up_after(failures)
            tries += 1
            if self.state is ConnectionState.FAILED:
                await trio.sleep(self._reconnect.late_pause(tries))
            else:
                await trio.sleep(self._reconnect.pause(tries))
            self._connected_at = math.inf
            self._is_first = False
            try:
                await self._converse(self._on_reconnected)
            except (*LOSSES, CredentialsError) as error:
                if self.state is ConnectionState.CONNECTED:
                    failures = 0
                    self._lose("the WebSocket is lost again", error)
                else:
                    failures += 1
                    self._miss(error, failures)
                # A server that hangs up at once is not asked again at once.
                if trio.current_time() - self._connected_at >= STABLE:
                    tries = 0
        self.progress.enter(ConnectionState.DISCONNECTED, "the client is closed")

    async def keep_alive(self) -> None:
        """Ping the server now and then, for as long as this is run.

        That keeps proxies from cutting a connection that is idle, and finds out about one whose
        other end is gone.
        """
        while True:
            await trio.sleep(self._heartbeat)
            await self.probe()

    async def catch_up(self) -> None:
        """Wait until all is here that the server has sent so far, or until the socket is lost."""
        await trio.lowlevel.checkpoint()
        if self._websocket is not None:
            with suppress(WebSocketClosed):
                await self._websocket.ping()  # its answer comes after what was sent before it

    def close(self) -> None:
        """Stop reading, and let `run` say goodbye to the server and return.

        While there is no socket to say goodbye on, `run` does not return by itself.
        """
        self._closing = True
        if self._reading is not None:
            self._reading.cancel("the client is closed")

    def heard_since(self, time: float) -> bool:
        """Tell whether the server sent anything since then that it need not send to a deaf socket.

        A server that has forgotten a socket answers on it, and sends no events.
        """
        return self._heard_at >= time

    async def wait_heard(self, since: float) -> None:
        """Wait until it did; see `heard_since`."""
        await trio.lowlevel.checkpoint()
        while not self.heard_since(since):
            if self._heard.is_set():
                self._heard = trio.Event()
            await self._heard.wait()

    def refused_since(self, time: float) -> bool:
        """Tell whether nobody had the server's port at some moment since then."""
        return self._refused_at >= time

    def suspect(self, *, spare_first: bool = False) -> None:
        """Exchange the socket for another one if it may be deaf: nothing came on it for long.

        A node may really have nothing to tell for long. So each exchange that changed nothing
        doubles the time until the next one.

        Args:
            spare_first: Leave it alone if it is the client's first one. Only one that took the
                place of another is ever forgotten by ComfyUI; but proxies may let any down.
        """
        if spare_first and self._is_first:
            return
        silent = trio.current_time() - max(self._heard_at, self._connected_at)
        if silent >= self._deaf_after:
            self.exchange(f"no event came for {silent:.0f} s while a job runs")
            self._deaf_after = min(self._deaf_after * 2, MAX_DEAF_AFTER)

    def exchange(self, reason: str) -> None:
        """Give the socket up, if there is one, for another one."""
        if self._websocket is not None:
            assert self._reading is not None
            self._given_up = reason
            self._reading.cancel(reason)

    async def probe(self) -> bool:
        """Tell whether the server hears this socket. If not, it is given up for another one.

        The network tells nobody of a peer that was switched off: a socket that only listens would
        wait for it for ever.
        """
        websocket = self._websocket
        if websocket is None:
            await trio.lowlevel.checkpoint()
            return False
        with trio.move_on_after(self._connect_timeout) as waiting:
            try:
                await websocket.ping()
            except WebSocketClosed:
                return False  # the reader knows, or will
        if waiting.cancelled_caught and websocket is self._websocket:
            self.exchange(f"no pong within {self._connect_timeout} s")
        return not waiting.cancelled_caught

    def _lose(self, what: str, error: Exception) -> None:
        reason = self._door.secrets.mask(_reason(error, self._max_message_size))
        self._log(f"{what}: {reason}")
        self.progress.enter(ConnectionState.RECONNECTING, reason)
        self._on_lost(error, reason)

    def _miss(self, error: Exception, failures: int) -> None:
        if is_refused(error):
            self._refused_at = trio.current_time()
        told = self._door.secrets.mask(str(error))
        attempts = self._reconnect.attempts
        level = logging.WARNING if failures <= attempts else logging.DEBUG
        self._log(f"no WebSocket yet (attempt {failures} of {attempts}): {told}", level)
        self.progress.enter(self.state, told, attempt=failures)
        self._on_lost(error, None)

    def _give_up_after(self, failures: int) -> None:
        if failures >= self._reconnect.attempts and self.state is ConnectionState.RECONNECTING:
            message = "%s: gave up reconnecting the WebSocket"
            logger.error(message, self._address, extra=self.ids())
            reason = self.progress.now.reason
            self.progress.enter(ConnectionState.FAILED, reason, attempt=failures)
            self._on_given_up()

    def _log(self, message: str, level: int = logging.WARNING) -> None:
        logger.log(level, "%s: %s", self._address, message, extra=self.ids())

    async def _converse(self, on_greeting: Callable[[], None]) -> None:
        """Connect and read. Returns when `close` is called, or raises what ended the socket."""
        with trio.move_on_after(self._connect_timeout) as connecting:
            shown = await self._door.show()
            rejection: WebSocketRejected | None = None
            try:
                await self._converse_as(shown, connecting, on_greeting)
            except WebSocketRejected as error:
                rejection = error
            if rejection is not None:
                renewed = await self._door.renew(shown) if rejection.status == 401 else None
                if renewed is None:
                    raise rejection
                await self._converse_as(renewed, connecting, on_greeting)
        if connecting.cancelled_caught:
            raise WebSocketUnreachable(f"no greeting within {self._connect_timeout} s")

    async def _converse_as(
        self, shown: AuthHeaders, connecting: trio.CancelScope, on_greeting: Callable[[], None]
    ) -> None:
        async with self._transport.open_websocket(
            self._address.websocket_url(self._client_id, shown.websocket_params),
            headers=shown.headers,
            max_message_size=self._max_message_size,
        ) as websocket:
            await websocket.send(self._handshake)
            # ComfyUI's first frame is a status; of hosted servers nobody knows.
            greeting = self._decode(await websocket.receive())
            if isinstance(greeting, MalformedFrame):
                raise WebSocketClosed(reason=f"the greeting is {greeting!r:.200}, no event")
            connecting.deadline = math.inf
            self._on_event(greeting)
            self.progress.enter(ConnectionState.CONNECTED)
            self._connected_at = trio.current_time()
            self._websocket = websocket
            try:
                on_greeting()
                with trio.CancelScope() as self._reading:
                    await self._read(websocket)
            finally:
                self._websocket = None
            if self._reading.cancelled_caught and not self._closing:
                raise WebSocketClosed(reason=self._given_up)

    async def _read(self, websocket: WebSocket) -> None:
        while True:
            event = self._decode(await websocket.receive())
            if isinstance(event, MalformedFrame):
                self._log(f"unreadable frame: {event}")
            if not _is_for_anybody(event):
                self._heard_at = trio.current_time()
                self._heard.set()
                self._deaf_after = DEAF_AFTER
            self._on_event(event)

    def _decode(self, message: str | bytes) -> ServerEvent:
        event = decode_frame(message)
        if not isinstance(event, MalformedFrame):
            return event
        # It tells how the message begins, and is not to end in half a secret.
        if isinstance(message, str):
            return decode_frame(self._door.secrets.mask(message))
        return decode_frame(self._door.secrets.mask_bytes(message))

    def _explain(
        self, error: WebSocketRejected | WebSocketUnreachable | WebSocketClosed
    ) -> ServerUnreachableError | ResponseError | DisconnectedError:
        """Return the error for a first connect that failed."""
        url = self._address.websocket_url(self._client_id).partition("?")[0]
        told = self._door.secrets.mask(str(error))
        if isinstance(error, WebSocketUnreachable):
            return ServerUnreachableError(f"no WebSocket at {url}: {told}", url=str(self._address))
        if isinstance(error, WebSocketClosed):
            return DisconnectedError(f"the WebSocket at {url} ended before its greeting: {told}")
        refused = Reply(
            get("/ws"), url, error.status, error.body, secrets=self._door.secrets
        ).summary()
        if error.status in {401, 403, 407}:
            return AuthenticationError(
                f"the WebSocket at {url} is refused with HTTP status {error.status}: a proxy may"
                " want other credentials for it than for the rest",
                refused,
            )
        return NotComfyUIError(
            f"the WebSocket at {url} is refused with HTTP status {error.status}. If a proxy stands"
            " before ComfyUI, it must pass WebSocket upgrades of /ws on",
            refused,
        )


def _reason(error: Exception, max_message_size: int) -> str:
    if isinstance(error, WebSocketClosed) and error.code == error.MESSAGE_TOO_BIG:
        return (
            f"a message was larger than {max_message_size} bytes (WebSocket code {error.code}). A"
            " larger max_message_size for open_comfy lets it through"
        )
    return str(error)


def _is_for_anybody(event: ServerEvent) -> bool:
    """Tell whether it is what a server sends on a new socket, even one that it then forgets."""
    match event:
        case FeatureFlags() | Executing(prompt_id=None):
            return True
        case _:
            return False
