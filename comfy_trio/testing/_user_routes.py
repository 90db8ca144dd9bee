"""Routes for users, their settings and their files."""

from __future__ import annotations

import glob
import mimetypes
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import attrs

from ._file_routes import FileReply
from ._http import SegmentRoute, empty_reply, json_reply, read_body, read_json, text_reply
from ._users import UnknownUserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from comfy_trio._util import JSONObject

    from ._users import UserStore

CREATED_TIMES: Final = (0, 3, 49)
"""The first release that tells when files were created."""
REFUSES_BAD_NAMES: Final = (0, 3, 52)
"""The first that answers 400 for what cannot be written, and not 500."""
MILLISECOND_TIMES: Final = (0, 21, 0)
"""The first whose times are whole milliseconds, not seconds; `/v2/userdata` still has these."""


@attrs.define(eq=False)
class UserRoutes:
    """The handlers.

    Args:
        users: The server's users. That a request names none of them is told by its settings and
            by `/v2/userdata`; elsewhere it is an error of the server, as with the real one.
        version: Of ComfyUI.
        limit: The largest body, in bytes.
    """

    users: UserStore
    version: tuple[int, ...]
    limit: int

    def routes(self) -> list[Route]:
        """The routes, without ``/api``."""
        return [
            SegmentRoute("/users", self.get_users, methods=["GET"]),
            SegmentRoute("/users", self.post_users, methods=["POST"]),
            SegmentRoute("/settings", self.get_settings, methods=["GET"]),
            SegmentRoute("/settings", self.post_settings, methods=["POST"]),
            SegmentRoute("/settings/{id}", self.get_setting, methods=["GET"]),
            SegmentRoute("/settings/{id}", self.post_setting, methods=["POST"]),
            SegmentRoute("/userdata", self.get_listing, methods=["GET"]),
            SegmentRoute("/v2/userdata", self.get_tree, methods=["GET"]),
            SegmentRoute("/userdata/{file}", self.get_file, methods=["GET"]),
            SegmentRoute("/userdata/{file}", self.post_file, methods=["POST"]),
            SegmentRoute("/userdata/{file}", self.delete_file, methods=["DELETE"]),
            SegmentRoute("/userdata/{file}/move/{dest}", self.move_file, methods=["POST"]),
        ]

    async def get_users(self, request: Request) -> Response:
        """All users, if they are kept apart."""
        if self.users.multi_user:
            return json_reply({"storage": "server", "users": self.users.names})
        return json_reply(
            {"storage": "server", "migrated": self.users.top(self._user(request)).exists()}
        )

    async def post_users(self, request: Request) -> Response:
        """Add a user."""
        body = await read_json(request, self.limit)
        name = body["username"]
        if name in self.users.names.values():
            return json_reply({"error": "Duplicate username."}, 400)
        try:
            return json_reply(self.users.add(name))
        except ValueError as error:
            if not self.users.has_system_users:
                raise
            return json_reply({"error": str(error)}, 400)

    async def get_settings(self, request: Request) -> Response:
        """All settings of a user."""
        try:
            return json_reply(self.users.settings(self._user(request)))
        except UnknownUserError:
            return _unauthorized()

    async def get_setting(self, request: Request) -> Response:
        """One setting."""
        try:
            settings = self.users.settings(self._user(request))
        except UnknownUserError:
            return _unauthorized()
        return json_reply(settings.get(request.path_params["id"]))

    async def post_settings(self, request: Request) -> Response:
        """Change some settings."""
        try:
            user = self._user(request)
        except UnknownUserError:
            return _unauthorized()
        self.users.merge_settings(user, {**await read_json(request, self.limit)})
        return empty_reply()

    async def post_setting(self, request: Request) -> Response:
        """Change one setting."""
        try:
            user = self._user(request)
        except UnknownUserError:
            return _unauthorized()
        value = await read_json(request, self.limit)
        self.users.merge_settings(user, {request.path_params["id"]: value})
        return empty_reply()

    async def get_listing(self, request: Request) -> Response:
        """The files in a directory, but for hidden ones."""
        query = request.query_params
        if not query.get("dir"):
            return text_reply("Directory not provided", 400)
        top = self.users.path(self._user(request), query["dir"])
        if top is None:
            return text_reply("Invalid directory", 403)
        if not top.exists():
            return text_reply("Directory not found", 404)
        paths = _list(top, deep=_is_true(query.get("recurse")))
        if _is_true(query.get("full_info")):
            return json_reply([self._info(path, top) for path in paths])
        names: list[Any] = [path.relative_to(top).as_posix() for path in paths]
        if _is_true(query.get("split")):
            names = [[name, *name.split("/")] for name in names]
        return json_reply(names)

    async def get_tree(self, request: Request) -> Response:
        """All that is below a directory."""
        name = unquote(request.query_params.get("path", ""))
        try:
            user = self._user(request)
        except UnknownUserError:
            return text_reply("Invalid user specified in request", 403)
        top = self.users.top(user)
        start = self.users.path(user, name, make_parent=False) if name else top
        if start is None:
            return text_reply("Invalid path requested", 400)
        if not start.exists():
            return json_reply([]) if start == top else text_reply("Requested path not found", 404)
        if not start.is_dir():
            return text_reply("Requested path is not a directory", 400)
        entries = sorted(_walk(start, top), key=lambda each: each["name"].lower())
        return json_reply(sorted(entries, key=lambda each: each["type"]))

    async def get_file(self, request: Request) -> Response:
        """The content of a file."""
        path = self._path(request, "file", must_exist=True)
        if not isinstance(path, Path):
            return path
        if not path.is_file():
            return empty_reply(403)
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return FileReply(path, {"content-type": kind}, request.headers)

    async def post_file(self, request: Request) -> Response:
        """Write a file."""
        path = self._path(request, "file")
        if not isinstance(path, Path):
            return path
        if request.query_params.get("overwrite") == "false" and path.exists():
            return text_reply("File already exists", 409)
        body = await read_body(request, self.limit)
        try:
            path.write_bytes(body)
        except OSError:
            if self.version < REFUSES_BAD_NAMES:
                raise
            return empty_reply(400)
        return self._stored(request, path)

    async def delete_file(self, request: Request) -> Response:
        """Delete a file."""
        path = self._path(request, "file", must_exist=True)
        if not isinstance(path, Path):
            return path
        path.unlink()
        return empty_reply(204)

    async def move_file(self, request: Request) -> Response:
        """Move a file."""
        source = self._path(request, "file", must_exist=True)
        if not isinstance(source, Path):
            return source
        target = self._path(request, "dest")
        if not isinstance(target, Path):
            if not self.users.has_system_users:  # both came with 0.3.76
                raise TypeError("older servers trip over a path that they refuse")
            return target
        if request.query_params.get("overwrite") == "false" and target.exists():
            return text_reply("File already exists", 409)
        shutil.move(source, target)
        return self._stored(request, target)

    def _user(self, request: Request) -> str:
        return self.users.find(request.headers.get("comfy-user"))

    def _path(self, request: Request, name: str, *, must_exist: bool = False) -> Path | Response:
        path = self.users.path(self._user(request), request.path_params[name])
        if path is None:
            return empty_reply(403)
        return empty_reply(404) if must_exist and not path.exists() else path

    def _stored(self, request: Request, path: Path) -> Response:
        top = self.users.top(self._user(request))
        if _is_true(request.query_params.get("full_info")):
            return json_reply(self._info(path, top))
        return json_reply(path.relative_to(top).as_posix())

    def _info(self, path: Path, top: Path) -> JSONObject:
        stat = path.stat()
        times = {"modified": stat.st_mtime, "created": stat.st_ctime}
        if self.version < CREATED_TIMES:
            del times["created"]
        return {
            "path": path.relative_to(top).as_posix(),
            "size": stat.st_size,
            **(
                {name: int(time * 1000) for name, time in times.items()}
                if self.version >= MILLISECOND_TIMES
                else times
            ),
        }


def _list(top: Path, *, deep: bool) -> list[Path]:
    """The files in a folder, but for those that a shell would hide."""
    pattern = os.path.join(glob.escape(str(top)), *(["**"] if deep else []), "*")
    return [Path(each) for each in glob.glob(pattern, recursive=deep) if os.path.isfile(each)]


def _walk(start: Path, top: Path) -> Iterator[JSONObject]:
    for folder, directories, files in os.walk(start):
        for name in directories:
            path = Path(folder, name).relative_to(top).as_posix()
            yield {"name": name, "path": path, "type": "directory"}
        for name in files:
            path = Path(folder, name).relative_to(top).as_posix()
            stat = Path(folder, name).stat()
            size, modified = stat.st_size, stat.st_mtime
            yield {"name": name, "path": path, "type": "file", "size": size, "modified": modified}


def _is_true(value: str | None) -> bool:
    return value is not None and value.lower() == "true"


def _unauthorized() -> Response:
    return text_reply("401: Unauthorized", 401)
