"""Where a server lives: addresses, as values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlencode, urlsplit

import attrs

from ._credentials import BasicCredentials

if TYPE_CHECKING:
    from collections.abc import Sequence
    from urllib.parse import SplitResult

DEFAULT_URL = "http://127.0.0.1:8188"


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

    @property
    def host(self) -> str:
        """The host alone; of an IPv6 address, without brackets."""
        return urlsplit(str(self)).hostname or ""

    @property
    def port(self) -> int:
        """The port: the scheme's own if none was given."""
        return urlsplit(str(self)).port or (443 if self.secure else 80)

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.authority}{self.base_path}"

    def http_url(self, path: str, params: Sequence[tuple[str, str]] = ()) -> str:
        """Return the URL of a route, such as ``/api/prompt``. `path` is percent-encoded already."""
        encoded = urlencode(params, quote_via=quote, errors="surrogatepass")
        query = f"?{encoded}" if params else ""
        return f"{self}{path}{query}"

    def websocket_url(self, client_id: str, params: Sequence[tuple[str, str]] = ()) -> str:
        """Return the URL of the WebSocket that hears the events of `client_id`.

        Args:
            client_id: Whose events.
            params: More of the query, which may be secret.
        """
        scheme = "wss" if self.secure else "ws"
        query = urlencode([("clientId", client_id), *params])
        return f"{scheme}://{self.authority}{self.base_path}/ws?{query}"


def parse_address(url: str) -> tuple[ServerAddress, BasicCredentials | None]:
    """Take a server's URL apart; user and password in it become `BasicCredentials`.

    Takes what people write: no scheme (http is meant), a trailing slash, a path in front of
    ComfyUI's own, an IPv6 host in brackets.

    Raises:
        ValueError: it names no host, or has a scheme, query or fragment that cannot be meant.
    """
    text = url.strip()
    if "://" not in text:
        text = f"http://{text}"
    parts = _split(text)
    if parts is None:
        raise ValueError(
            f"{_redact(url)!r} is not a URL. A slash, a hash or the like in a password is written"
            " percent-encoded there; a port is a number up to 65535"
        )
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"a server's URL begins with http:// or https://, not {_redact(url)!r}")
    if parts.query or parts.fragment:
        raise ValueError(f"a server's URL has no query and no fragment: {_redact(url)!r}")
    if "@" in parts.path:  # or else half a password would be taken for a host
        raise ValueError(
            f"{_redact(url)!r} has an @ after a slash: write a slash in a password as %2F, and an @"
            " in a path as %40"
        )
    host, port = parts.hostname, parts.port
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


def _split(text: str) -> SplitResult | None:
    """Split a URL; None if it is none. No exception comes out, as its text may hold a password."""
    try:
        parts = urlsplit(text)
        _ = parts.hostname, parts.port
    except ValueError:
        return None
    return parts


def _redact(url: str) -> str:
    """Return `url` without the user and password that it may carry, and without its query."""
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|", url)
    assert scheme is not None
    rest = url[scheme.end() :].rpartition("@")[2]
    shown = re.split(r"[?#]", rest)[0]
    return f"{scheme[0]}{shown}{'' if shown == rest else rest[len(shown)] + '...'}"
