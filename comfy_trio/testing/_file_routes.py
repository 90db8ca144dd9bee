"""Routes for uploading and fetching files."""

from __future__ import annotations

import email.utils
import io
import json
import mimetypes
import re
from typing import TYPE_CHECKING, Final

import attrs
import trio
from PIL import Image
from starlette.responses import Response
from starlette.routing import Route

from ._files import FOLDERS, StoredFile, UnsafePathError
from ._forms import read_form
from ._http import empty_reply, json_reply

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.datastructures import Headers
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from comfy_trio._util import JSONObject

    from ._asset_store import AssetStore
    from ._files import FileStore
    from ._forms import Form
    from ._versions import PlayedVersion

CHUNK: Final = 64 * 2**10
"""How much of a file is read at a time, in bytes."""

NOT_SHOWN: Final = frozenset(
    {
        "text/html",
        "text/html-sandboxed",
        "application/xhtml+xml",
        "text/javascript",
        "text/css",
    }
)
"""Types that are sent as bytes, so that no browser runs them."""


MODEL_FOLDERS: Final = (
    "checkpoints",
    "configs",
    "loras",
    "vae",
    "text_encoders",
    "diffusion_models",
    "clip_vision",
    "embeddings",
    "controlnet",
    "upscale_models",
)
"""Some of the kinds of models that every server has a folder for."""


class _Refused(Exception):
    """The request is answered with a status and an empty body."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@attrs.define(eq=False)
class FileRoutes:
    """The handlers.

    Args:
        version: What the server can do.
        files: The server's folders.
        limit: The largest body, in bytes.
        assets: Where uploads are registered and contents found by their hashes, if they are.
    """

    version: PlayedVersion
    files: FileStore
    limit: int
    assets: AssetStore | None = None

    def routes(self) -> list[Route]:
        """The routes, without ``/api``."""
        return [
            Route("/upload/image", self.post_image, methods=["POST"]),
            Route("/upload/mask", self.post_mask, methods=["POST"]),
            Route("/view", self.get_view, methods=["GET"]),
        ]

    def internal_routes(self) -> list[Route]:
        """The routes that are never below ``/api``."""
        return [
            Route("/internal/files/{directory_type}", self.get_names, methods=["GET"]),
            Route("/internal/folder_paths", self.get_folder_paths, methods=["GET"]),
        ]

    async def post_image(self, request: Request) -> Response:
        """Store a file."""
        async with read_form(request, self.files, self.limit) as form:
            return self._upload(form, None)

    async def post_mask(self, request: Request) -> Response:
        """Store a file with the alpha channel of another."""
        async with read_form(request, self.files, self.limit) as form:
            reference = json.loads(form.field("original_ref"))
            name, kind = self.files.split_annotation(
                reference["filename"], reference.get("type", "output")
            )
            return self._upload(form, StoredFile(name, reference.get("subfolder", ""), kind))

    async def get_view(self, request: Request) -> Response:
        """A file, or a picture made from it."""
        query = request.query_params
        try:
            path, name = self._viewed(request)
        except _Refused as refused:
            return empty_reply(refused.status)
        # In UTF-8, as the real server sends headers; starlette would have them in Latin-1.
        quoted = f'filename="{name}"'.encode().decode("latin-1")
        disposition = {"content-disposition": quoted}
        channel = query.get("channel", "")
        if "preview" in query:
            content, kind = _preview(path, query["preview"], channel)
            return Response(content, 200, disposition, kind)
        if channel in ("rgb", "a"):
            return Response(_channel(path, channel), 200, disposition, "image/png")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        if kind in NOT_SHOWN:
            kind = "application/octet-stream"
        return FileReply(path, {**disposition, "content-type": kind}, request.headers)

    async def get_names(self, request: Request) -> Response:
        """The names of the files at the top of a folder, newest first."""
        kind = request.path_params["directory_type"]
        if kind not in FOLDERS:
            return json_reply({"error": "Invalid directory type"}, 400)
        names = self.files.names(kind)
        if self.version.annotated_names:
            names = [f"{name} [{kind}]" for name in names if not name.startswith(".")]
        return json_reply(names)

    async def get_folder_paths(self, request: Request) -> Response:
        """Where models and nodes are, by their kind."""
        places = {name: self.files.root / "models" / name for name in MODEL_FOLDERS}
        places["custom_nodes"] = self.files.root / "custom_nodes"
        return json_reply({name: [str(path)] for name, path in places.items()})

    def _upload(self, form: Form, original: StoredFile | None) -> Response:
        image = form.files.get("image")
        if image is None or not image.filename:
            return empty_reply(400)
        kind = form.field("type", "input")
        subfolder = form.field("subfolder", "")
        overwrite = form.field("overwrite", "") in ("true", "1")
        try:
            if original is None:
                stored = self.files.upload(
                    image.filename,
                    image.content,
                    kind=kind,
                    subfolder=subfolder,
                    overwrite=overwrite,
                )
            else:
                stored = self.files.upload_mask(
                    image.filename,
                    image.content,
                    original,
                    kind=kind,
                    subfolder=subfolder,
                    overwrite=overwrite,
                )
        except UnsafePathError:
            return empty_reply(400)
        return json_reply({**stored.as_upload(), **self._registered(stored)})

    def _registered(self, stored: StoredFile) -> JSONObject:
        if self.assets is None:
            return {}
        kind = stored.type if stored.type in ("input", "output") else "input"
        entry, _ = self.assets.register(self.files.path(stored), stored.filename, tags=[kind])
        asset: JSONObject = {
            "id": entry.id,
            "name": entry.name,
            "asset_hash": entry.content.hash,
            "size": entry.content.size,
            "mime_type": entry.content.mime_type,
            "tags": sorted(entry.tags),
        }
        return {"asset": asset}

    def _viewed(self, request: Request) -> tuple[Path, str]:
        query = request.query_params
        if "filename" not in query:
            raise _Refused(404)
        if query["filename"].startswith("blake3:"):
            entry = self.assets and self.assets.file_of(query["filename"])
            if not entry or entry.path is None:
                raise _Refused(404)
            return entry.path, entry.name
        name, kind = self.files.split_annotation(query["filename"], query.get("type", "output"))
        if not name or name.startswith("/") or ".." in name:
            raise _Refused(400)
        try:
            self.files.folder(kind)
        except ValueError:
            raise _Refused(400) from None
        name = name.rsplit("/", 1)[-1]
        try:
            path = self.files.path(StoredFile(name, query.get("subfolder", ""), kind))
        except UnsafePathError:
            raise _Refused(403) from None
        if not path.is_file():
            raise _Refused(404)
        return path, name


class FileReply(Response):
    """A file, or the part of it that was asked for, streamed without threads.

    Args:
        path: The file.
        headers: Headers of the reply.
        asked: Headers of the request: ``Range``, ``If-Range``, ``If-None-Match``,
            ``If-Modified-Since``. None for a file that is sent whole in any case.
    """

    def __init__(self, path: Path, headers: dict[str, str], asked: Headers | None) -> None:
        super().__init__(headers=headers)
        self._path = path
        stat = path.stat()
        self._start, self._stop = 0, stat.st_size
        self.headers["content-length"] = str(stat.st_size)
        if asked is None:
            return
        etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
        modified = email.utils.formatdate(stat.st_mtime, usegmt=True)
        self.headers["etag"] = etag
        self.headers["last-modified"] = modified
        self.headers["accept-ranges"] = "bytes"
        if _is_unchanged(asked, etag, modified):
            self.status_code = 304
            self._stop = 0
            del self.headers["content-length"]
            return
        wanted = asked.get("range")
        if wanted is not None and asked.get("if-range", etag) in (etag, modified):
            self._cut(wanted, stat.st_size)
        self.headers["content-length"] = str(self._stop - self._start)

    def _cut(self, wanted: str, size: int) -> None:
        part = _range(wanted, size)
        if part is None:
            self.status_code = 416
            self.headers["content-range"] = f"bytes */{size}"
            self._stop = 0
            return
        self.status_code = 206
        self._start, self._stop = part
        self.headers["content-range"] = f"bytes {self._start}-{self._stop - 1}/{size}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, with a checkpoint per chunk."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        left = 0 if scope["method"] == "HEAD" else self._stop - self._start
        with self._path.open("rb") as file:
            file.seek(self._start)
            while left > 0:
                chunk = file.read(min(CHUNK, left))
                if not chunk:
                    return  # the file has shrunk: the reply stays incomplete
                left -= len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await trio.lowlevel.checkpoint()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _is_unchanged(asked: Headers, etag: str, modified: str) -> bool:
    if "if-none-match" in asked:
        known = [each.strip().removeprefix("W/") for each in asked["if-none-match"].split(",")]
        return etag in known or "*" in known
    since = email.utils.parsedate_tz(asked.get("if-modified-since", ""))
    changed = email.utils.parsedate_tz(modified)
    if since is None or changed is None:
        return False
    return email.utils.mktime_tz(changed) <= email.utils.mktime_tz(since)


def _range(wanted: str, size: int) -> tuple[int, int] | None:
    """The one range that is asked for, as start and stop; None if it cannot be had."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted.strip())
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    return (start, stop) if start < stop else None


def _preview(path: Path, wanted: str, channel: str) -> tuple[bytes, str]:
    """A smaller encoding: ``webp`` or ``jpeg``, with a quality after a semicolon."""
    kind, *_, quality = [*wanted.split(";"), wanted.split(";")[-1]]
    if kind not in ("webp", "jpeg") or "a" in channel:
        kind = "webp"
    stream = io.BytesIO()
    with Image.open(path) as image:
        shown = image.convert("RGB") if kind == "jpeg" or channel == "rgb" else image
        shown.save(stream, kind, quality=int(quality) if quality.isdigit() else 90)
    return stream.getvalue(), f"image/{kind}"


def _channel(path: Path, channel: str) -> bytes:
    """The picture without its alpha channel, or nothing but that."""
    stream = io.BytesIO()
    with Image.open(path) as image:
        if channel == "rgb":
            result = image.convert("RGBA").convert("RGB")
        else:
            alpha = (
                image.getchannel("A") if image.mode == "RGBA" else Image.new("L", image.size, 255)
            )
            result = Image.new("RGBA", image.size)
            result.putalpha(alpha)
    result.save(stream, "PNG")
    return stream.getvalue()
