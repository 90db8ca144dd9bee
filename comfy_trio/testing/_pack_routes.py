"""Routes for what packs of custom nodes bring along: templates, subgraphs, translations.

The packs are folders in ``custom_nodes`` below the server's root, of which only such files are
looked at: their nodes are given to the server as `NodeType`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs
from starlette.routing import Route

from comfy_trio._util import is_object

from ._file_routes import FileReply
from ._http import json_reply, text_reply

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from comfy_trio._util import JSONObject

    from ._files import FileStore
    from ._versions import PlayedVersion

TEMPLATE_FOLDERS: Final = ("example_workflows", "example", "examples", "workflow", "workflows")
LOCALE_FILES: Final = ("nodeDefs", "commands", "settings")


@attrs.define(eq=False)
class PackRoutes:
    """The handlers.

    Args:
        version: What the server can do.
        files: The server's folders; packs are below ``custom_nodes`` in its root, and the templates
            that a real server has of itself are below ``templates``, its pages on nodes below
            ``docs``.
    """

    version: PlayedVersion
    files: FileStore

    def routes(self) -> list[Route]:
        """The routes, without ``/api``."""
        routes = [
            Route("/workflow_templates", self.get_templates, methods=["GET"]),
            Route("/i18n", self.get_translations, methods=["GET"]),
        ]
        if self.version.global_subgraphs:
            routes += [
                Route("/global_subgraphs", self.get_subgraphs, methods=["GET"]),
                Route("/global_subgraphs/{id}", self.get_subgraph, methods=["GET"]),
            ]
        return routes

    def fixed_routes(self) -> list[Route]:
        """The routes that are at one path only."""
        template = "/api/workflow_templates/{pack}/{name:path}"
        return [
            Route(template, self.get_template, methods=["GET"]),
            Route("/templates/{name:path}", self.get_core_template, methods=["GET"]),
            Route("/docs/{name:path}", self.get_help_page, methods=["GET"]),
        ]

    async def get_templates(self, request: Request) -> Response:
        """Names of the packs' templates."""
        names: dict[str, list[str]] = {}
        for folder in TEMPLATE_FOLDERS:
            for path in self._find(f"{folder}/*.json"):
                names.setdefault(path.parent.parent.name, []).append(path.stem)
        return json_reply(names)

    async def get_template(self, request: Request) -> Response:
        """A template of a pack."""
        pack = request.path_params["pack"]
        # The real server compares its paths as they are quoted with those asked for as they are
        # not, and of several folders at one path the first answers.
        folders = (self._packs / pack / folder for folder in TEMPLATE_FOLDERS)
        folder = next(filter(Path.is_dir, folders), None) if pack == quote(pack) else None
        return _file(folder, request)

    async def get_core_template(self, request: Request) -> Response:
        """One of the server's own templates, or their index."""
        return _file(self.files.root / "templates", request)

    async def get_help_page(self, request: Request) -> Response:
        """A page on a class of nodes."""
        return _file(self.files.root / "docs", request, "text/markdown")

    async def get_translations(self, request: Request) -> Response:
        """The packs' translations, by language."""
        translations: dict[str, Any] = {}
        for folder in self._find("locales/*"):
            language = _load(folder / "main.json")
            parts = {name: _load(folder / f"{name}.json") for name in LOCALE_FILES}
            language |= {name: part for name, part in parts.items() if part}
            if language:
                translations[folder.name] = _merged(translations.get(folder.name, {}), language)
        return json_reply(translations)

    async def get_subgraphs(self, request: Request) -> Response:
        """The packs' subgraphs."""
        return json_reply({key: _entry(path) for key, path in self._subgraphs().items()})

    async def get_subgraph(self, request: Request) -> Response:
        """A subgraph with its data, or null."""
        path = self._subgraphs().get(request.path_params["id"])
        if path is None:
            return json_reply(None)
        return json_reply({**_entry(path), "data": path.read_text(encoding="utf-8")})

    @property
    def _packs(self) -> Path:
        return self.files.root / "custom_nodes"

    def _find(self, pattern: str) -> list[Path]:
        return sorted(self._packs.glob(f"*/{pattern}"))

    def _subgraphs(self) -> dict[str, Path]:
        return {
            hashlib.sha256(f"custom_node{path.as_posix()}".encode()).hexdigest(): path
            for path in self._find("subgraphs/*.json")
        }


def _file(
    folder: Path | None, request: Request, content_type: str = "application/json"
) -> Response:
    path = folder and (folder / request.path_params["name"]).resolve()
    if folder is None or path is None or not path.is_relative_to(folder.resolve()):
        return text_reply("404: Not Found", 404)
    if not path.is_file():
        return text_reply("404: Not Found", 404)
    return FileReply(path, {"content-type": content_type}, request.headers)


def _entry(path: Path) -> JSONObject:
    info = {"node_pack": f"custom_nodes.{path.parent.parent.name}"}
    return {"source": "custom_node", "name": path.stem, "info": info}


def _load(path: Path) -> JSONObject:
    """What a file says; nothing if it is not there, or no JSON."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if is_object(content) else {}


def _merged(base: JSONObject, more: JSONObject) -> JSONObject:
    """Both, where what is an object in both is merged in turn."""
    merged = dict(base)
    for key, value in more.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if is_object(old) and is_object(value) else value
    return merged
