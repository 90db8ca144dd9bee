"""What is shown at the door of a server, as values.

For a program's own kind, `Credentials` is all that is needed::

    class FromTheVault:
        async def headers(self):
            secret = await vault.read("comfyui")
            return AuthHeaders([("Authorization", f"Bearer {secret.value}")], lifetime=secret.ttl)
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast, final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

Headers: TypeAlias = "Sequence[tuple[str, str]]"
"""Names and values of HTTP headers, in order."""

FORBIDDEN_HEADERS = frozenset({"host", "origin", "content-length", "transfer-encoding"})
"""Headers that would break a request. ComfyUI refuses an Origin that is not its own address."""
NAME_CHARACTERS = frozenset(
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)
"""What the name of a header is made of (RFC 9110, section 5.6.2)."""


@final
@attrs.frozen
class AuthHeaders:
    """Headers that carry credentials, and how long these are good.

    Args:
        headers: Sent with every HTTP request, and with the WebSocket upgrade.
        lifetime: Seconds for which they may be shown, counted from when they were asked for. After
            that they are asked for anew. Default: until the server answers 401 to them.
        websocket_params: Added to the query of the WebSocket's URL, for servers that take a token
            only there.
    """

    headers: Headers = attrs.field(repr=False)
    lifetime: float | None = None
    websocket_params: Headers = attrs.field(default=(), repr=False)

    def is_like(self, other: AuthHeaders) -> bool:
        """Whether the same would be sent."""
        return [*self.headers] == [*other.headers] and [*self.websocket_params] == [
            *other.websocket_params
        ]


class Credentials(Protocol):
    """What is shown at the door, on every HTTP request and on the WebSocket upgrade.

    A client asks for the headers when it is about to send something and holds none that are good:
    first of all, when their lifetime is over, and when the server answers 401 to them. Requests
    that need them at the same time wait for one answer. After a 401 the request is sent once more,
    if the headers are others by then: a server that answers 401 has not acted.
    """

    def headers(self) -> Headers | AuthHeaders | Awaitable[Headers | AuthHeaders]:
        """Return the headers that carry the credentials. May be async.

        Whatever this raises comes out as the cause of a `CredentialsError`.
        """
        ...


@final
@attrs.frozen
class BasicCredentials:
    """User name and password, as a reverse proxy asks for them."""

    username: str
    password: str = attrs.field(repr=False)

    def headers(self) -> Headers:
        """See `Credentials.headers`."""
        token = base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")
        return [("Authorization", f"Basic {token}")]


@final
@attrs.frozen
class BearerCredentials:
    """A bearer token. For one that expires, see `TokenCredentials`."""

    token: str = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        check_headers(self.headers())

    def headers(self) -> Headers:
        """See `Credentials.headers`."""
        return [("Authorization", f"Bearer {self.token}")]


@final
@attrs.frozen
class HeaderCredentials:
    """Secret headers of any name, such as ``{"X-API-Key": "..."}`` or a cookie."""

    secrets: Mapping[str, str] = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        check_headers(self.headers())

    def headers(self) -> Headers:
        """See `Credentials.headers`."""
        return list(self.secrets.items())


Token: TypeAlias = "str | Mapping[str, str] | AuthHeaders"
"""A bearer token, or headers, or headers with a lifetime."""


@final
@attrs.frozen
class TokenCredentials:
    """A token that expires, fetched when it is needed; see `Credentials` for when that is.

    Args:
        fetch: Returns a bearer token as a string, or a mapping of headers, or `AuthHeaders` with a
            lifetime of their own. May be async. It is run in the task that needs the token, and
            cancelled with it; another task that waits for the token then runs it again.
        lifetime: Seconds for which a token is good. Default: until the server answers 401.
    """

    fetch: Callable[[], Token | Awaitable[Token]] = attrs.field(repr=False)
    lifetime: float | None = None

    async def headers(self) -> AuthHeaders:
        """See `Credentials.headers`."""
        fetched = self.fetch()
        token = await fetched if isinstance(fetched, Awaitable) else fetched
        if isinstance(token, str):
            return AuthHeaders([("Authorization", f"Bearer {token}")], self.lifetime)
        if isinstance(token, Mapping):
            return AuthHeaders(list(token.items()), self.lifetime)
        return token


@final
@attrs.frozen
class ComfyCloudCredentials:
    """The API key of a Comfy Cloud account, for ``open_comfy("https://cloud.comfy.org")``.

    The key goes into the header ``X-API-Key`` of every request and, as ``token``, into the query of
    the WebSocket's URL: https://docs.comfy.org/development/cloud/api-reference (Cloud API v1). The
    same key pays for nodes that call services: pass it as ``comfy_org_api_key``, too.

    What else is documented of that service works as on one's own server: jobs run and are followed,
    several at once; files go up and down (``/view`` leads to a signed URL, which is fetched without
    the key); refusals are `PaymentRequiredError`, `RequestTooLargeError`, `TooManyRequestsError`
    and `ServiceUnavailableError`. The service chooses the ids of jobs itself, so that `Job` tells
    its id; a job whose reply is lost on the way cannot be found again, and runs unheard.
    ``number`` and ``front``, subfolders and overwriting are ignored there. Not documented, and so
    not relied upon: what the first message on a WebSocket is, whether pictures of
    SaveImageWebsocket arrive, and whether a running job can be stopped without
    ``/api/jobs/cancel``.
    """

    api_key: str = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        check_headers(self.headers().headers)

    def headers(self) -> AuthHeaders:
        """See `Credentials.headers`."""
        return AuthHeaders(
            [("X-API-Key", self.api_key)], websocket_params=[("token", self.api_key)]
        )


def read_headers(answer: object) -> AuthHeaders:
    """Return what `Credentials.headers` gave as `AuthHeaders`.

    Raises:
        TypeError: it is none.
        ValueError: a header is none that may be sent; see `check_headers`.
    """
    if isinstance(answer, AuthHeaders):
        shown = answer
    elif isinstance(answer, Sequence) and not isinstance(answer, str):
        shown = AuthHeaders(cast("Headers", answer))
    else:
        raise TypeError(f"headers() is to return pairs or AuthHeaders, not {type(answer)}")
    check_headers(shown.headers)
    return shown


def check_headers(headers: Headers) -> Headers:
    """Return headers, if they may be sent. What they hold is in no message.

    Raises:
        ValueError: one is the library's own, or has characters that no header may have.
    """
    for name, value in headers:
        if name.lower() in FORBIDDEN_HEADERS:
            raise ValueError(f"the header {name!r} is not for the caller to set")
        if not name or not NAME_CHARACTERS.issuperset(name):
            # Who wrote "Authorization: Bearer ..." as the name is not to see that in a log.
            begin = "".join(takewhile(NAME_CHARACTERS.__contains__, name))
            raise ValueError(f"the header {begin!r}... has a name that no header may have")
        if not all(" " <= character <= "~" or character == "\t" for character in value):
            raise ValueError(f"the header {name!r} has characters that no header may have")
        if value != value.strip():
            raise ValueError(f"the header {name!r} begins or ends with white space")
    return headers
