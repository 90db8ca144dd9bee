"""The WebSocket's one reader, which also brings the socket back when it is lost."""

from __future__ import annotations

import math
import random
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, final

import attrs
import trio

from ._errors import (
    AuthenticationError,
    CredentialsError,
    DisconnectedError,
    NotComfyUIError,
    ResponseError,
    ServerUnreachableError,
)
from ._logging import logger
from ._replies import Reply, get
from ._transport import WebSocketClosed, WebSocketRejected, WebSocketUnreachable
from ._wire import MalformedFrame, ServerEvent, decode_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._address import ServerAddress
    from ._credentials import AuthHeaders
    from ._door import Door
    from ._transport import Transport, WebSocket


LOSSES = (WebSocketRejected, WebSocketUnreachable, WebSocketClosed)
MAX_DOUBLINGS = 64
"""How often a pause is doubled at most; a float has no room for more than 1023 times."""
STABLE = 10.0
"""Seconds after which a connection that is lost is worth another one at once."""


class ConnectionState(Enum):
    """How the client's WebSocket is."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    FAILED = "failed"
    """Given up: jobs are followed by asking over HTTP."""
    CLOSED = "closed"


@attrs.frozen
class ReconnectPolicy:
    """How a lost WebSocket is brought back: at once, then after growing pauses.

    Args:
        attempts: How often to try before giving up; `math.inf` for never.
        base: The first pause, in seconds; each is twice the one before.
        cap: The longest pause, in seconds.
        jitter: How much of a pause is random, from 0 to 1.
    """

    attempts: float = 10
    base: float = 1.0
    cap: float = 15.0
    jitter: float = 0.3

    def pause(self, attempt: int) -> float:
        """Return the pause before an attempt, counted from 1."""
        if attempt <= 1:
            return 0.0
        doublings = min(attempt - 2, MAX_DOUBLINGS)
        pause = min(self.base * 2.0**doublings, self.cap)
        return pause * (1 - self.jitter * random.random())


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
        connect_timeout: Seconds for each attempt to connect.
        on_event: Called for each event, in order. Must not raise.
        on_lost: Called with the error each time the socket is lost, and how to tell of it; and
            with the error alone each time that it is not brought back. Must not raise.
        on_reconnected: Called after each connect but the first. Must not raise.
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
        on_event: Callable[[ServerEvent], None],
        on_lost: Callable[[Exception, str | None], None],
        on_reconnected: Callable[[], None],
    ) -> None:
        self.state = ConnectionState.CONNECTING
        self._address = address
        self._client_id = client_id
        self._door = door
        self._handshake = handshake
        self._transport = transport
        self._max_message_size = max_message_size
        self._reconnect = reconnect
        self._connect_timeout = connect_timeout
        self._on_event = on_event
        self._on_lost = on_lost
        self._on_reconnected = on_reconnected
        self._reading: trio.CancelScope | None = None
        self._websocket: WebSocket | None = None
        self._deaf = False
        self._closing = False
        self._connected_at = math.inf

    async def run(self, on_connected: Callable[[], None]) -> None:
        """Connect, and read until `close`.

        Args:
            on_connected: Called once, when the server's greeting is there.

        Raises:
            ComfyError: the first connect failed. Later losses raise nothing.
        """
        loss: WebSocketRejected | WebSocketUnreachable | WebSocketClosed | None = None
        try:
            await self._converse(on_connected)
        except LOSSES as error:
            loss = error
        if loss is not None and self.state is ConnectionState.CONNECTING:
            raise self._explain(loss) from self._door.secrets.harmless(loss)
        if loss is not None:
            self._lose("the WebSocket is lost", loss)
        tries = failures = 0
        while not self._closing and failures < self._reconnect.attempts:
            tries += 1
            await trio.sleep(self._reconnect.pause(tries))
            self._connected_at = math.inf
            try:
                await self._converse(self._on_reconnected)
            except (*LOSSES, CredentialsError) as error:
                if self.state is ConnectionState.CONNECTED:
                    failures = 0
                    self._lose("the WebSocket is lost again", error)
                else:
                    failures += 1
                    attempts = self._reconnect.attempts
                    told = self._door.secrets.mask(str(error))
                    self._log(f"no WebSocket yet (attempt {failures} of {attempts}): {told}")
                    self._on_lost(error, None)
                # A server that hangs up at once is not asked again at once.
                if trio.current_time() - self._connected_at >= STABLE:
                    tries = 0
        self.state = ConnectionState.CLOSED if self._closing else ConnectionState.FAILED
        if not self._closing:
            logger.error("%s: gave up reconnecting the WebSocket", self._address)

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
            assert self._reading is not None
            self._deaf = True
            self._reading.cancel("the server does not answer pings")
        return not waiting.cancelled_caught

    def _lose(self, what: str, error: Exception) -> None:
        self.state = ConnectionState.RECONNECTING
        reason = self._door.secrets.mask(_reason(error, self._max_message_size))
        self._log(f"{what}: {reason}")
        self._on_lost(error, reason)

    def _log(self, message: str) -> None:
        logger.warning("%s: %s", self._address, message)

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
            self.state = ConnectionState.CONNECTED
            self._connected_at = trio.current_time()
            self._deaf, self._websocket = False, websocket
            try:
                on_greeting()
                with trio.CancelScope() as self._reading:
                    await self._read(websocket)
            finally:
                self._websocket = None
            if self._deaf:
                raise WebSocketClosed(reason=f"no pong within {self._connect_timeout} s")

    async def _read(self, websocket: WebSocket) -> None:
        while True:
            event = self._decode(await websocket.receive())
            if isinstance(event, MalformedFrame):
                logger.warning("%s: unreadable frame: %s", self._address, event)
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
