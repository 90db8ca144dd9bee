"""Routes to the log that the terminal shows. They have no ``/api`` form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from starlette.routing import Route

from ._http import empty_reply, json_reply, read_json

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ._terminal import Terminal


@attrs.define(eq=False)
class TerminalRoutes:
    """The handlers.

    Args:
        terminal: Whose log.
        limit: The largest body, in bytes.
    """

    terminal: Terminal
    limit: int

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("/internal/logs", self.get_text, methods=["GET"]),
            Route("/internal/logs/raw", self.get_raw, methods=["GET"]),
            Route("/internal/logs/subscribe", self.patch_subscription, methods=["PATCH"]),
        ]

    async def get_text(self, request: Request) -> Response:
        """The log as one text."""
        return json_reply(self.terminal.text())

    async def get_raw(self, request: Request) -> Response:
        """The log as it is."""
        return json_reply(self.terminal.raw())

    async def patch_subscription(self, request: Request) -> Response:
        """Let a client follow the log, or let it not."""
        posted = await read_json(request, self.limit)
        if posted["enabled"]:
            self.terminal.subscribe(posted["clientId"])
        else:
            self.terminal.unsubscribe(posted["clientId"])
        return empty_reply()
