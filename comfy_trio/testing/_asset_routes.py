"""Routes of the assets API, as app/assets/api of ComfyUI 0.27 has them."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote

import attrs
from starlette.routing import Route

from comfy_trio._util import as_list, as_object, is_list, is_object

from ._asset_queries import (
    CURSOR_SORTS,
    SORTS,
    Refused,
    asset_filter,
    canonical_hash,
    choice,
    integer,
    invalid,
    normal_tags,
    read_cursor,
    sort_key,
    upload_spec,
    write_cursor,
)
from ._asset_store import ROOTS, BadRequestError, hash_of
from ._file_routes import NOT_SHOWN, FileReply
from ._forms import read_form
from ._http import PayloadTooLarge, empty_reply, json_reply, read_json
from ._model_routes import MODEL_INPUTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from comfy_trio._util import JSONObject

    from ._asset_store import AssetEntry, AssetStore
    from ._versions import PlayedVersion

    Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


@attrs.define(eq=False)
class AssetRoutes:
    """The handlers.

    Args:
        store: The assets.
        version: What the server can do.
        limit: The largest body of JSON, in bytes. Files may be of any size, as with the real
            server.
    """

    store: AssetStore
    version: PlayedVersion
    limit: int

    def routes(self) -> list[Route]:
        """The routes, with ``/api``: without it they do not exist."""
        can, one = self.version, "/api/assets/{id:uuid}"
        handlers: list[tuple[bool, str, str, Handler]] = [
            (can.assets, "GET", "/api/assets", self.get_page),
            (can.assets, "GET", "/api/tags", self.get_tags),
            (can.asset_writing, "HEAD", "/api/assets/hash/{hash}", self.head_hash),
            (can.asset_writing, "POST", "/api/assets", self.post_upload),
            (can.asset_writing, "POST", "/api/assets/from-hash", self.post_from_hash),
            (can.asset_writing, "POST", "/api/assets/seed", self.post_seed),
            (can.assets_feature, "GET", "/api/assets/seed/status", self.get_seed_status),
            (can.assets_feature, "POST", "/api/assets/seed/cancel", self.post_seed_cancel),
            (can.assets_feature, "POST", "/api/assets/prune", self.post_prune),
            (can.asset_refining, "GET", "/api/assets/tags/refine", self.get_tags_refine),
            (can.assets, "GET", one, self.get_one),
            (can.asset_writing, "GET", f"{one}/content", self.get_content),
            (can.asset_writing, "PUT", one, self.put_one),
            (can.asset_writing, "DELETE", one, self.delete_one),
            (can.asset_writing, "POST", f"{one}/tags", self.post_tags),
            (can.asset_writing, "DELETE", f"{one}/tags", self.delete_tags),
        ]
        return [
            Route(path, self._guarded(handler), methods=[method])
            for exists, method, path, handler in handlers
            if exists
        ]

    async def get_page(self, request: Request) -> Response:
        """Assets, filtered, sorted and cut to a page."""
        query = request.query_params
        wanted = asset_filter(query)
        limit = integer(query, "limit", 20, 1, 500)
        offset = integer(query, "offset", 0, 0)
        sort = choice(query, "sort", SORTS, "created_at")
        order = choice(query, "order", ("asc", "desc"), "desc")
        after = query.get("after") if self.version.asset_cursors else None
        entries = [entry for entry in self.store.shown() if wanted.picks(entry)]
        entries.sort(key=lambda entry: sort_key(entry, sort), reverse=order == "desc")
        rest = entries[offset:]
        if after is not None:
            end = read_cursor(after, sort, order)
            rest = [
                entry
                for entry in entries
                if (sort_key(entry, sort) > end if order == "asc" else sort_key(entry, sort) < end)
            ]
        page = rest[:limit]
        has_more = len(rest) > limit
        body: JSONObject = {
            "assets": [self._shown(entry) for entry in page],
            "total": len(entries),
            "has_more": has_more,
        }
        if has_more and sort in CURSOR_SORTS and self.version.asset_cursors:
            body["next_cursor"] = write_cursor(page[-1], sort, order)
        return json_reply(body)

    async def get_one(self, request: Request) -> Response:
        """One asset."""
        return json_reply(self._shown(self._entry(request)))

    async def get_content(self, request: Request) -> Response:
        """An asset's content; there is no part of it to be had."""
        entry = self._entry(request)
        path = self.store.open_path(entry)
        if path is None:
            raise Refused(404, "FILE_NOT_FOUND", "Underlying file not found on disk.")
        kind = entry.content.mime_type or "application/octet-stream"
        disposition = request.query_params.get("disposition", "").lower().strip()
        disposition = "inline" if disposition == "inline" else "attachment"
        name = quote(entry.name.replace("\r", "").replace("\n", ""))
        headers = {
            "content-type": "application/octet-stream" if kind in NOT_SHOWN else kind,
            "content-disposition": f"{disposition}; filename*=UTF-8''{name}",
            "x-content-type-options": "nosniff",
        }
        return FileReply(path, headers, None)

    async def head_hash(self, request: Request) -> Response:
        """Whether a content is known."""
        content_hash = canonical_hash(request.path_params["hash"])
        if content_hash is None:
            raise Refused(400, "INVALID_HASH", "hash must be like 'blake3:<hex>'")
        return empty_reply(200 if self.store.has_content(content_hash) else 404)

    async def post_upload(self, request: Request) -> Response:
        """Keep a file."""
        if not request.headers.get("content-type", "").lower().startswith("multipart/"):
            raise Refused(415, "UNSUPPORTED_MEDIA_TYPE", "Use multipart/form-data for uploads.")
        async with read_form(request, self.store.files, sys.maxsize) as form:
            if "id" in form.fields:
                message = (
                    "Client-provided 'id' is not supported. Asset IDs are assigned by the server."
                )
                raise Refused(400, "UNSUPPORTED_FIELD", message)
            tags = [value for name, value in form.texts if name == "tags"]
            file = form.files.get("file")
            content = None if file is None else file.content.read_bytes()
            return self._keep(form.fields, tags, content, "" if file is None else file.filename)

    async def post_from_hash(self, request: Request) -> Response:
        """Make one more asset of a content."""
        body = await self._body(request)
        content_hash = canonical_hash(str(body.get("hash", "")))
        if content_hash is None:
            raise invalid("INVALID_BODY", "Value error, hash must be 'blake3:<hex>'", "hash")
        if not self.store.has_content(content_hash):
            raise Refused(404, "ASSET_NOT_FOUND", f"Asset content {content_hash} does not exist")
        entry = self.store.refer(
            content_hash,
            body.get("name") or content_hash.partition(":")[2],
            tags=normal_tags(as_list(body.get("tags"))),
            mime_type=body.get("mime_type"),
            user_metadata=as_object(body.get("user_metadata")),
            preview_id=body.get("preview_id"),
        )
        return json_reply({**self._shown(entry), "created_new": False}, 201)

    async def put_one(self, request: Request) -> Response:
        """Change an asset."""
        body = await self._body(request)
        name, metadata = body.get("name"), body.get("user_metadata")
        preview_id = body.get("preview_id")
        if name is None and metadata is None and preview_id is None:
            reason = "Value error, Provide at least one of: name, user_metadata, preview_id."
            raise invalid("INVALID_BODY", reason)
        entry = self._entry(request)
        if preview_id is not None and self.store.find(preview_id) is None:
            message = f"Preview AssetReference {preview_id} not found"
            raise Refused(404, "ASSET_NOT_FOUND", message, {"id": entry.id})
        entry.name = entry.name if name is None else str(name)
        entry.preview_id = entry.preview_id if preview_id is None else preview_id
        if metadata is not None:
            own = {"filename": entry.filename} if entry.filename else {}
            entry.user_metadata = {**as_object(metadata), **own}
        entry.updated_at = self.store.moment()
        return json_reply(self._shown(entry))

    async def delete_one(self, request: Request) -> Response:
        """Forget an asset. Servers before 0.25 may delete the file, those before 0.18 unasked."""
        entry = self._entry(request)
        default = "false" if self.version.asset_refining else "true"
        asked = request.query_params.get("delete_content", default).lower()
        with_content = not self.version.asset_cursors and asked not in {"0", "false", "no"}
        self.store.delete(entry, with_content=with_content)
        return empty_reply(204)

    async def get_tags(self, request: Request) -> Response:
        """Tags, sorted and cut to a page."""
        query = request.query_params
        limit = integer(query, "limit", 100, 1, 1000)
        offset = integer(query, "offset", 0, 0, 10_000_000)
        order = choice(query, "order", ("count_desc", "name_asc"), "count_desc")
        include_zero = query.get("include_zero", "true").lower() not in {"false", "0", "no", "off"}
        prefix = query.get("prefix", "").strip().lower()
        counts = {
            tag: count
            for tag, count in sorted(self.store.counts().items())
            if tag.startswith(prefix) and (count or include_zero)
        }
        names = list(counts)
        if order == "count_desc":
            names.sort(key=lambda tag: -counts[tag])
        page = [{"name": tag, "count": counts[tag]} for tag in names[offset : offset + limit]]
        has_more = offset + len(page) < len(names)
        return json_reply({"tags": page, "total": len(names), "has_more": has_more})

    async def get_tags_refine(self, request: Request) -> Response:
        """How many of some assets have which tag."""
        limit = integer(request.query_params, "limit", 100, 1, 1000)
        wanted = asset_filter(request.query_params)
        counts: dict[str, int] = {}
        for entry in self.store.shown():
            for tag in entry.tags if wanted.picks(entry) else ():
                counts[tag] = counts.get(tag, 0) + 1
        first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit]
        return json_reply({"tag_counts": dict(first)})

    async def post_tags(self, request: Request) -> Response:
        """Give an asset more tags."""
        wanted = await self._tags(request, "add")
        entry = self._entry(request)
        present = sorted(entry.tags & wanted)
        self.store.add_tags(entry, wanted)
        body: JSONObject = {
            "added": sorted(wanted.difference(present)),
            "already_present": present,
            "total_tags": sorted(entry.tags),
        }
        return json_reply(body)

    async def delete_tags(self, request: Request) -> Response:
        """Take tags from an asset."""
        wanted = await self._tags(request, "remove")
        entry = self._entry(request)
        removed = sorted(entry.tags & wanted)
        entry.tags -= wanted
        body: JSONObject = {
            "removed": removed,
            "not_present": sorted(wanted.difference(removed)),
            "total_tags": sorted(entry.tags),
        }
        return json_reply(body)

    async def post_seed(self, request: Request) -> Response:
        """Scan the folders, which takes no time here."""
        try:
            posted = as_object(await read_json(request, self.limit))
        except (ValueError, PayloadTooLarge):
            posted = {}
        roots = [root for root in as_list(posted.get("roots", [*ROOTS])) if root in ROOTS]
        if not roots:
            raise Refused(400, "INVALID_BODY", "No valid roots specified")
        counts = self.store.scan(roots)
        if not self.version.assets_feature:
            return json_reply({"seeded": roots})
        if request.query_params.get("wait", "").lower() not in {"true", "1", "yes"}:
            return json_reply({"status": "started"}, 202)
        progress = attrs.asdict(counts)
        return json_reply({"status": "completed", "progress": progress, "errors": []})

    async def get_seed_status(self, request: Request) -> Response:
        """What the last scan came to."""
        last = self.store.last_scan
        progress = None if last is None else attrs.asdict(last)
        return json_reply({"state": "IDLE", "progress": progress, "errors": []})

    async def post_seed_cancel(self, request: Request) -> Response:
        """There is never a scan to cancel."""
        return json_reply({"status": "idle"})

    async def post_prune(self, request: Request) -> Response:
        """There is never a file outside the folders."""
        return json_reply({"status": "completed", "marked": 0})

    def _guarded(self, handler: Handler) -> Handler:
        """The handler, if assets are on, with its refusals as replies."""

        @functools.wraps(handler)
        async def guarded(request: Request) -> Response:
            try:
                self._require_enabled()
                return await handler(request)
            except Refused as refused:
                return refused.reply()

        return guarded

    def _require_enabled(self) -> None:
        if not self.version.assets_enabled:
            message = (
                "Assets system is disabled. Start the server with --enable-assets to use this"
                " feature."
            )
            raise Refused(503, "SERVICE_DISABLED", message)

    def _entry(self, request: Request) -> AssetEntry:
        asset_id = str(request.path_params["id"])
        entry = self.store.find(asset_id)
        if entry is None:
            message = f"AssetReference {asset_id} not found"
            raise Refused(404, "ASSET_NOT_FOUND", message, {"id": asset_id})
        return entry

    async def _body(self, request: Request) -> JSONObject:
        try:
            body = await read_json(request, self.limit)
        except (ValueError, PayloadTooLarge):
            message = "Request body must be valid JSON."
            raise Refused(400, "INVALID_JSON", message) from None
        if not is_object(body):
            raise invalid("INVALID_BODY", "Input should be a valid dictionary")
        return body

    async def _tags(self, request: Request, what: str) -> set[str]:
        tags = (await self._body(request)).get("tags")
        message = f"Invalid JSON body for tags {what}."
        if not is_list(tags) or not tags:
            reason = "List should have at least 1 item after validation, not 0"
            raise invalid("INVALID_BODY", reason, "tags", message=message)
        if not all(isinstance(tag, str) for tag in tags):
            reason = "Input should be a valid string"
            raise invalid("INVALID_BODY", reason, "tags", message=message)
        return set(normal_tags(tags))

    def _keep(
        self, fields: dict[str, str], tags: list[str], content: bytes | None, filename: str
    ) -> Response:
        content_hash: str | None = None
        if fields.get("hash", "").strip():
            content_hash = canonical_hash(fields["hash"])
            if content_hash is None:
                raise Refused(400, "INVALID_HASH", "hash must be like 'blake3:<hex>'")
        is_known = content_hash is not None and self.store.has_content(content_hash)
        if content is None and not is_known:
            message = "Form must include a 'file' part or a known 'hash'."
            raise Refused(400, "MISSING_FILE", message)
        if not content and not is_known:
            raise Refused(400, "EMPTY_UPLOAD", "Uploaded file is empty.")
        spec = upload_spec(fields, tags, MODEL_INPUTS)
        if content_hash is not None and is_known:
            entry = self.store.refer(
                content_hash,
                spec.name or content_hash.partition(":")[2],
                tags=spec.tags,
                mime_type=spec.mime_type,
                user_metadata=spec.user_metadata,
                preview_id=spec.preview_id,
            )
            return json_reply({**self._shown(entry), "created_new": False})
        assert content is not None
        if content_hash not in {None, hash_of(content)}:
            message = "Uploaded file hash does not match provided hash."
            raise Refused(400, "HASH_MISMATCH", message)
        try:
            entry, created_new = self.store.upload(
                content, filename, **attrs.asdict(spec, recurse=False)
            )
        except BadRequestError as error:
            raise Refused(400, "BAD_REQUEST", str(error)) from None
        body = {**self._shown(entry), "created_new": created_new}
        return json_reply(body, 201 if created_new else 200)

    def _shown(self, entry: AssetEntry) -> JSONObject:
        """An asset as the real server describes it."""
        content = entry.content
        preview = entry if entry.preview_id is None else self.store.find(entry.preview_id)
        told: JSONObject = {
            "id": entry.id,
            "name": entry.name,
            "hash": content.hash if self.version.asset_hash else None,
            "asset_hash": content.hash,
            "size": content.size,
            "mime_type": content.mime_type or None,
            "tags": sorted(entry.tags),
            "preview_url": preview and _preview_url(preview),
            "preview_id": entry.preview_id,
            "user_metadata": entry.user_metadata,
            "is_immutable": False,
            "metadata": content.found or None,
            "job_id": entry.job_id,
            "prompt_id": entry.job_id,
        }
        moments = (
            ("created_at", entry.created_at),
            ("updated_at", entry.updated_at),
            ("last_access_time", entry.accessed_at),
        )
        told |= {key: moment.replace(tzinfo=None).isoformat() for key, moment in moments}
        return {key: value for key, value in told.items() if value is not None}


def _preview_url(entry: AssetEntry) -> str | None:
    filename = entry.user_metadata.get("filename")
    kind = next((kind for kind in ("input", "output") if kind in entry.tags), None)
    if not filename or kind is None:
        return None
    subfolder, _, name = str(filename).rpartition("/")
    url = f"/api/view?type={kind}&filename={quote(name, safe='')}"
    return f"{url}&subfolder={quote(subfolder, safe='')}" if subfolder else url
