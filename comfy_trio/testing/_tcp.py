"""The front over TCP: hypercorn on trio, with a hand on every connection."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from ._faults import Faults

KEEP_ALIVE: Final = 75.0
"""Seconds that an idle connection is kept, as with the real server."""

MAX_MESSAGE: Final = 4 * 2**20
"""The largest message from a client, in bytes, as with the real server."""


class TCPFront:
    """Connections of one server over TCP.

    Args:
        app: What serves them.
        faults: Where they are registered.
    """

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = ASGIWrapper(cast("Any", app))
        self._faults = faults
        self._context = WorkerContext(None)
        self._streams: set[_Stream] = set()
        self._config = Config()
        self._config.keep_alive_timeout = KEEP_ALIVE
        self._config.websocket_max_message_size = MAX_MESSAGE
        self._config.include_server_header = False
        self._config.errorlog = logging.getLogger("comfy_trio.testing.hypercorn")

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one connection until it ends."""
        if self._faults._down:
            stream.socket.close()
            return
        wrapped = _Stream(stream, self._faults)
        key = stream.socket.getpeername()[:2]
        self._streams.add(wrapped)
        self._faults._connections[key] = wrapped
        try:
            state = ConnectionState({})
            await TCPServer(self._app, self._config, self._context, state, cast("Any", wrapped))
        finally:
            if self._faults._connections.get(key) is wrapped:  # the port may be in use again
                del self._faults._connections[key]
            self._streams.discard(wrapped)
            stream.socket.close()

    def abort(self) -> None:
        """Break all connections at once.

        hypercorn shields its sends from cancellation: one that a client does not take would hold
        up the end of the server for ever.
        """
        for stream in self._streams:
            stream.lose(noticed=True)


class _Stream:
    """The stream that hypercorn sees: a socket that can be taken away from it."""

    def __init__(self, stream: trio.SocketStream, faults: Faults) -> None:
        self._stream = stream
        self._faults = faults
        self._lost = False
        self._noticed = trio.Event()

    @property
    def socket(self) -> trio.socket.SocketType:
        """Asked by hypercorn for the addresses."""
        return self._stream.socket

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        try:
            data = bytes(await self._stream.receive_some(max_bytes))
        except trio.ClosedResourceError:
            if not self._lost:
                raise
            await self._noticed.wait()
            return b""
        await self._faults._wait_reading()
        return data

    async def send_all(self, data: bytes) -> None:
        """See `trio.abc.SendStream`."""
        try:
            await self._stream.send_all(data)
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            if not self._lost or self._noticed.is_set():
                raise
            # A network takes what is sent to a peer that nobody knows to be gone.

    async def send_eof(self) -> None:
        """See `trio.abc.HalfCloseableStream`."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        await self._stream.aclose()

    def lose(self, *, noticed: bool) -> None:
        """See `Connection.lose`."""
        self._lost = True
        self._stream.socket.close()
        if noticed:
            self.notice()

    def notice(self) -> None:
        """See `Connection.notice`."""
        self._noticed.set()
