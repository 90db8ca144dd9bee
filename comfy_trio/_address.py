"""Where a server lives, and what one shows at its door: addresses and credentials, as values."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, unquote, urlencode, urlsplit

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_URL = "http://127.0.0.1:8188"


class Credentials(Protocol):
    """What is shown at the door, on every HTTP request and on the WebSocket upgrade."""

    def headers(self) -> Sequence[tuple[str, str]]:
        """Return the headers that carry the credentials."""
        ...


@attrs.frozen
class BasicCredentials:
    """User name and password, as a reverse proxy asks for them."""

    username: str
    password: str = attrs.field(repr=False)

    def headers(self) -> Sequence[tuple[str, str]]:
        """See `Credentials.headers`."""
        token = base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")
        return [("Authorization", f"Basic {token}")]


@attrs.frozen
class BearerCredentials:
    """A bearer token."""

    token: str = attrs.field(repr=False)

    def headers(self) -> Sequence[tuple[str, str]]:
        """See `Credentials.headers`."""
        return [("Authorization", f"Bearer {self.token}")]


@attrs.frozen
class HeaderCredentials:
    """Secret headers of any name, such as ``{"X-API-Key": "..."}`` or a cookie."""

    secrets: Mapping[str, str] = attrs.field(repr=False)

    def headers(self) -> Sequence[tuple[str, str]]:
        """See `Credentials.headers`."""
        return list(self.secrets.items())


@attrs.frozen
class ServerAddress:
    """A server's address, taken apart. Holds no secrets; `str` of it is fit for a message.

    Args:
        secure: Whether it is https and wss.
        authority: Host, and port if it was given.
        base_path: The path under which a reverse proxy serves ComfyUI: empty, or ``/comfy``.
    """

    secure: bool
    authority: str
    base_path: str = ""

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.authority}{self.base_path}"

    def http_url(self, path: str, params: Sequence[tuple[str, str]] = ()) -> str:
        """Return the URL of a route, such as ``/api/prompt``. `path` is percent-encoded already."""
        query = f"?{urlencode(params, quote_via=quote)}" if params else ""
        return f"{self}{path}{query}"

    def websocket_url(self, client_id: str) -> str:
        """Return the URL of the WebSocket that hears the events of `client_id`."""
        scheme = "wss" if self.secure else "ws"
        query = urlencode([("clientId", client_id)])
        return f"{scheme}://{self.authority}{self.base_path}/ws?{query}"


def parse_address(url: str) -> tuple[ServerAddress, Credentials | None]:
    """Take a server's URL apart; user and password in it become `BasicCredentials`.

    Takes what people write: no scheme (http is meant), a trailing slash, a path in front of
    ComfyUI's own, an IPv6 host in brackets.

    Raises:
        ValueError: it names no host, or has a scheme, query or fragment that cannot be meant.
    """
    text = url.strip()
    if "://" not in text:
        text = f"http://{text}"
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"a server's URL begins with http:// or https://, not {_redact(url)!r}")
    if parts.query or parts.fragment:
        raise ValueError(f"a server's URL has no query and no fragment: {_redact(url)!r}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{_redact(url)!r} is not a URL: {error}") from None
    if not host:
        raise ValueError(f"{_redact(url)!r} names no host; write something like {DEFAULT_URL!r}")
    authority = f"[{host}]" if ":" in host else host
    if port is not None:
        authority = f"{authority}:{port}"
    credentials = None
    if parts.username is not None:
        credentials = BasicCredentials(unquote(parts.username), unquote(parts.password or ""))
    base_path = quote(parts.path.rstrip("/"), safe="/%~")
    return ServerAddress(parts.scheme == "https", authority, base_path), credentials


def _redact(url: str) -> str:
    """Return `url` without the user and password that it may carry."""
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
