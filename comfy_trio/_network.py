"""The transport that goes over the network: httpx and trio-websocket."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, final

import attrs

from ._http import new_http_transport
from ._websocket import open_trio_websocket

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    import httpx

    from ._address import ServerAddress
    from ._transport import WebSocket


@final
@attrs.frozen
class NetworkTransport:
    """A `Transport` over TCP and TLS.

    Args:
        ssl_context: Whom to trust.
    """

    ssl_context: ssl.SSLContext

    @classmethod
    def to(cls, address: ServerAddress, ssl_context: ssl.SSLContext | None) -> NetworkTransport:
        """Return the transport to an address; by default, https trusts what the system trusts."""
        if ssl_context is None:
            # Loading the system's certificates takes 50 ms, for nothing if the address is http.
            # The bare context trusts nobody, so that a redirect to https fails rather than leaks.
            ssl_context = (
                ssl.create_default_context()
                if address.secure
                else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            )
        return cls(ssl_context)

    def http_transport(self) -> httpx.AsyncBaseTransport:
        """See `Transport.http_transport`."""
        return new_http_transport(self.ssl_context)

    def open_websocket(
        self, url: str, *, headers: Sequence[tuple[str, str]], max_message_size: int
    ) -> AbstractAsyncContextManager[WebSocket]:
        """See `Transport.open_websocket`."""
        return open_trio_websocket(
            url,
            headers=headers,
            max_message_size=max_message_size,
            ssl_context=self.ssl_context if url.startswith("wss:") else None,
        )
