"""Routes that tell what the server is and has."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import attrs
from starlette.routing import Route

from ._http import json_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from comfy_trio._util import JSONObject

    from ._versions import PlayedVersion

MEMORY: Final = 16 * 2**30
"""The memory that the server claims to have, in bytes."""


@attrs.define(eq=False)
class InfoRoutes:
    """The handlers.

    Args:
        version: What the server can do.
        object_info: Makes the declarations of the node types.
        max_upload_size: Told among the features, in bytes.
        arguments: Told of the machine.
    """

    version: PlayedVersion
    object_info: Callable[[], JSONObject]
    max_upload_size: int
    arguments: Sequence[str]

    def routes(self) -> list[Route]:
        """The routes, without ``/api``."""
        routes = [
            Route("/object_info", self.get_object_info, methods=["GET"]),
            Route("/object_info/{node_class:path}", self.get_node_info, methods=["GET"]),
            Route("/system_stats", self.get_system_stats, methods=["GET"]),
            Route("/features", self.get_features, methods=["GET"]),
            Route("/extensions", self.get_extensions, methods=["GET"]),
        ]
        if self.version.node_replacements:
            routes.append(Route("/node_replacements", self.get_replacements, methods=["GET"]))
        return routes

    async def get_object_info(self, request: Request) -> Response:
        """All node types."""
        return json_reply(self.object_info())

    async def get_node_info(self, request: Request) -> Response:
        """One node type, or ``{}``."""
        name = request.path_params["node_class"]
        info = self.object_info()
        return json_reply({name: info[name]} if name in info else {})

    async def get_system_stats(self, request: Request) -> Response:
        """The machine that the server pretends to run on."""
        system: JSONObject = {
            "os": sys.platform if self.version.sys_platform else os.name,
            "ram_total": MEMORY,
            "ram_free": MEMORY // 2,
            "comfyui_version": self.version.text,
            "required_frontend_version": None,
            "installed_templates_version": None,
            "required_templates_version": None,
            "python_version": sys.version,
            "pytorch_version": "none (embedded server)",
            "embedded_python": False,
            "argv": ["main.py", *self.arguments],
        }
        if self.version.package_versions:
            system["comfy_package_versions"] = []
        if self.version.deploy_environment:
            system["deploy_environment"] = "local"
        device: JSONObject = {
            "name": "cpu",
            "type": "cpu",
            "index": None,
            "vram_total": MEMORY,
            "vram_free": MEMORY // 2,
            "torch_vram_total": MEMORY,
            "torch_vram_free": MEMORY // 2,
        }
        return json_reply({"system": system, "devices": [device]})

    async def get_features(self, request: Request) -> Response:
        """The server's feature flags."""
        return json_reply(self.version.features(self.max_upload_size))

    async def get_extensions(self, request: Request) -> Response:
        """Scripts of the frontend: there is none."""
        return json_reply([])

    async def get_replacements(self, request: Request) -> Response:
        """Renamed node types: there are none."""
        return json_reply({})
