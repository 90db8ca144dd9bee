"""What all HTTP routes share: reading bodies, and replies in the real server's form."""

from __future__ import annotations

import json
import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from starlette.responses import Response
from starlette.routing import Match, Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import Scope

    from comfy_trio._util import JSON

JSON_TYPE: Final = "application/json; charset=utf-8"
TEXT_TYPE: Final = "text/plain; charset=utf-8"

TROUBLE: Final = "500 Internal Server Error\n\nServer got itself in trouble"
"""The body of every 500 reply."""


class PayloadTooLarge(Exception):
    """A body exceeds the upload limit; answered with 413."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"Maximum request body size {limit} exceeded.")


class ServerGoesDown(Exception):
    """The server is started anew, and does not answer any more."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the server is down for {seconds} s")
        self.seconds = seconds


class SegmentRoute(Route):
    """A route as aiohttp matches it: by the path as it was sent.

    An encoded slash does not part it, and whatever the route leaves open has no brace in it.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See `Route.matches`."""
        sent = scope["raw_path"].decode("ascii")
        # All is decoded but slashes and percent signs, which are when the path has been parted.
        path = unquote(re.sub("%(2[5Ff])", lambda match: f"%25{match[1].upper()}", sent))
        match, found = super().matches({**scope, "path": path})
        segments = found.get("path_params", {})
        if any("{" in each or "}" in each for each in segments.values()):
            return Match.NONE, {}
        decoded = {
            name: each.replace("%2F", "/").replace("%25", "%") for name, each in segments.items()
        }
        return match, {**found, "path_params": decoded} if found else found


def json_reply(data: JSON, status: int = 200) -> Response:
    """A JSON reply, with the ``NaN`` tokens that the real server lets through."""
    return Response(json.dumps(data).encode(), status, media_type=JSON_TYPE)


def empty_reply(status: int = 200) -> Response:
    """A reply without a body."""
    return Response(b"", status)


def text_reply(text: str, status: int) -> Response:
    """A plain text reply."""
    return Response(text.encode(), status, headers={"content-type": TEXT_TYPE})


async def take_body(request: Request, limit: int, take: Callable[[bytes], object]) -> None:
    """Hand the body over, piece by piece.

    Like the real server, this does not believe in the length that is announced: a body that is
    too long is refused when so much of it has come.

    Args:
        request: Whose body.
        limit: In bytes.
        take: Gets each piece.

    Raises:
        PayloadTooLarge: It is longer than `limit`.
    """
    size = 0
    async with aclosing(request.stream()) as stream:
        async for chunk in stream:
            size += len(chunk)
            if size > limit:
                raise PayloadTooLarge(limit)
            take(chunk)


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body; see `take_body`."""
    body = bytearray()
    await take_body(request, limit, body.extend)
    return bytes(body)


async def read_json(request: Request, limit: int) -> Any:
    """The body as JSON.

    Raises:
        ValueError: It is none; the real server answers 500.
        PayloadTooLarge: See `read_body`.
    """
    return json.loads(await read_body(request, limit))
