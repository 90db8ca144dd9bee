"""What an extension of the server is, such as people install it besides nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from starlette.routing import Route

    from comfy_trio._util import JSONObject

    from ._engine import Engine


class Extension(Protocol):
    """An extension for `open_embedded_server`: routes of its own, and a task. For one server."""

    def routes(self, engine: Engine) -> list[Route]:
        """Join a server; return the routes, without ``/api``."""
        ...

    def manager_features(self) -> JSONObject:
        """What the server's features tell of ComfyUI-Manager because of this extension."""
        ...

    async def run(self) -> None:
        """Do what is to be done besides answering requests, until cancelled."""
        ...

    def restart(self) -> None:
        """Lose everything that is held in memory."""
        ...
