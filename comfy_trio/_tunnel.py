"""Through an HTTP proxy to a server: for the WebSocket, as httpx has its own way for the rest."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final, final
from urllib.parse import urlsplit

import attrs
import trio

from ._address import parse_address

if TYPE_CHECKING:
    import ssl

MAX_HEAD: Final = 64 * 2**10
"""How long a proxy's answer may be, in bytes."""


@final
@attrs.frozen
class Proxy:
    """An HTTP proxy; `str` of it is fit for a message.

    Args:
        secure: Whether the way to the proxy is TLS.
        authority: Its host and port.
        auth: User and password, if there are any.
    """

    secure: bool
    authority: str
    auth: tuple[str, str] | None = attrs.field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Read a proxy's URL, such as ``http://me:password@proxy:3128``.

        Raises:
            ValueError: it is none, or not of a kind that is known.
        """
        scheme = url.partition("://")[0].lower()
        if scheme not in {"http", "https"}:
            raise ValueError(
                "a proxy is given as http://host:port or https://host:port. For another kind, such"
                " as SOCKS, pass an httpx transport that has it as http_transport, and as websocket"
                " what opens WebSockets through it"
            )
        address, credentials = parse_address(url)
        auth = None if credentials is None else (credentials.username, credentials.password)
        return cls(address.secure, address.authority, auth)

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.authority}"

    def headers(self) -> list[tuple[str, str]]:
        """Return what is shown to the proxy."""
        if self.auth is None:
            return []
        token = base64.b64encode(":".join(self.auth).encode()).decode("ascii")
        return [("Proxy-Authorization", f"Basic {token}")]


async def open_tunnel(
    proxy: Proxy, host: str, port: int, ssl_context: ssl.SSLContext
) -> trio.abc.Stream:
    """Connect to a host through a proxy, by CONNECT (RFC 9110, section 9.3.6).

    Raises:
        OSError: the proxy cannot be reached, or does not let it through.
    """
    at = urlsplit(str(proxy))
    proxy_host, proxy_port = at.hostname or "", at.port or (443 if proxy.secure else 80)
    stream: trio.abc.Stream = await trio.open_tcp_stream(proxy_host, proxy_port)
    try:
        if proxy.secure:
            stream = await start_tls(stream, proxy_host, ssl_context)
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        lines += [f"{name}: {value}" for name, value in proxy.headers()]
        await stream.send_all("\r\n".join([*lines, "", ""]).encode())
        await _read_consent(stream, f"the proxy {proxy} answers CONNECT {target}")
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise OSError(f"the proxy {proxy} broke the connection") from error
    except BaseException:
        await trio.aclose_forcefully(stream)  # never blocks
        raise
    return stream


async def start_tls(
    stream: trio.abc.Stream, host: str, ssl_context: ssl.SSLContext
) -> trio.abc.Stream:
    """Speak TLS on a stream, as a client. The stream is closed if that fails.

    Raises:
        OSError: the peer does not, or cannot be trusted.
    """
    secure = trio.SSLStream(stream, ssl_context, server_hostname=host, https_compatible=True)
    try:
        await secure.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(secure)
        raise OSError(f"no TLS with {host}: {error.__cause__ or error}") from error.__cause__
    except BaseException:
        await trio.aclose_forcefully(secure)  # never blocks
        raise
    return secure


async def _read_consent(stream: trio.abc.Stream, what: str) -> None:
    head = bytearray()
    while b"\r\n\r\n" not in head:
        data = await stream.receive_some()
        head += data
        if not data or len(head) > MAX_HEAD:
            raise OSError(f"{what} with what is no HTTP")
    status = head.split(b" ", 2)[1:2]
    if not status or not status[0].isdigit():
        raise OSError(f"{what} with what is no HTTP")
    if not 200 <= int(status[0]) < 300:
        raise OSError(f"{what} with HTTP status {int(status[0])}")
