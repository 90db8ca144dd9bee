"""The transport that goes over the network: httpx and trio-websocket, or what one has instead."""

from __future__ import annotations

import ssl
import sys
from typing import TYPE_CHECKING, final

import attrs
import httpx

from ._http import new_http_transport
from ._websocket import open_trio_websocket

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from ._address import ServerAddress
    from ._transport import OpenWebSocket, WebSocket
    from ._tunnel import Proxy


@final
@attrs.frozen
class NetworkTransport:
    """A `Transport` over TCP and TLS.

    Args:
        ssl_context: Whom to trust.
        proxy: Through which proxy to go, if any.
    """

    ssl_context: ssl.SSLContext
    proxy: Proxy | None = None

    @classmethod
    def to(
        cls,
        address: ServerAddress,
        ssl_context: ssl.SSLContext | None,
        proxy: Proxy | None = None,
    ) -> NetworkTransport:
        """Return the transport to an address; by default, https trusts what the system trusts."""
        if ssl_context is None:
            # Loading the system's certificates takes 50 ms, for nothing if the address is http.
            # The bare context trusts nobody, so that a redirect to https fails rather than leaks.
            ssl_context = (
                ssl.create_default_context()
                if address.secure
                else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            )
        return cls(ssl_context, proxy)

    def http_transport(self) -> httpx.AsyncBaseTransport:
        """See `Transport.http_transport`."""
        return new_http_transport(self.ssl_context, self.proxy)

    def open_websocket(
        self, url: str, *, headers: Sequence[tuple[str, str]], max_message_size: int
    ) -> AbstractAsyncContextManager[WebSocket]:
        """See `Transport.open_websocket`."""
        return open_trio_websocket(
            url,
            headers=headers,
            max_message_size=max_message_size,
            ssl_context=self.ssl_context,
            proxy=self.proxy,
        )


@final
class OwnTransport:
    """A `Transport` of which parts are the caller's.

    Args:
        network: For the parts that are not.
        http: For HTTP. Closed when all who have it are done.
        websocket: For WebSockets.
    """

    def __init__(
        self,
        network: NetworkTransport,
        http: httpx.AsyncBaseTransport | None,
        websocket: OpenWebSocket | None,
    ) -> None:
        self._network = network
        self._shared = None if http is None else _Shared(http)
        self.open_websocket: OpenWebSocket = websocket or network.open_websocket

    def http_transport(self) -> httpx.AsyncBaseTransport:
        """See `Transport.http_transport`."""
        return self._network.http_transport() if self._shared is None else self._shared.share()


@final
class _Shared(httpx.AsyncBaseTransport):
    """An httpx transport with several users, closed by the last."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self._users = 0

    def share(self) -> _Shared:
        """Return it for one more user."""
        self._users += 1
        return self

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        self._users -= 1
        if not self._users:
            await self._transport.aclose()


def check_http_transport(transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    """Return a transport that was passed in, if no request can be lost in it.

    Raises:
        ValueError: its pool is bounded.
    """
    pool = getattr(transport, "_pool", None)
    bound = getattr(pool, "_max_connections", None)
    if isinstance(transport, httpx.AsyncHTTPTransport) and bound not in {None, sys.maxsize}:
        raise ValueError(
            f"the pool of this httpx transport is bounded (max_connections={bound}). In such a"
            " pool, a request that is cancelled while it waits leaks its place for good"
            " (encode/httpcore#1093). Make it with limits=httpx.Limits(max_connections=None);"
            " max_requests of open_comfy bounds it better"
        )
    return transport
