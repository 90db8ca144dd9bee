"""``/api/assets``: the files that a server keeps track of, by content and with tags.

The routes are those of app/assets/api of ComfyUI 0.27, which older versions have in part: 0.9 lists
assets, 0.12 makes them, 0.25 has cursors.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, final

import attrs

from .._errors import AssetError
from .._replies import FileForm, Request, get, post, quote_segment, unexpected
from .._util import as_list, as_object
from ._asset_refusals import NOT_FOUND, require_answer, require_success

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .._replies import Progress, Reply, UploadSource
    from .._util import JSONObject

T = TypeVar("T")

AssetSort: TypeAlias = Literal["created_at", "updated_at", "name", "size", "last_access_time"]
"""What pages of assets can be sorted by."""

Order: TypeAlias = Literal["desc", "asc"]
"""Falling or rising."""

_ASSET = "an asset"
_PAGE = "a page of assets"


@final
@attrs.frozen(kw_only=True)
class Asset:
    """A file that the server keeps track of. Several assets may share one content.

    Args:
        id: Of this asset, a UUID.
        name: For people; need not be the file's.
        hash: Of the content, ``blake3:`` and 64 hexadecimal digits; None while the server has not
            computed it, as for models and outputs unless it was started with
            ``--enable-asset-hashing``.
        size: Of the content, in bytes; None if the server does not tell.
        mime_type: Of the content, such as ``image/png``.
        tags: In the server's order. ``input``, ``output`` or ``models`` says in which of its
            folders the file is.
        preview_id: The asset that shows what this one looks like.
        preview_url: Where a picture of it is, from the server's root on: ``/api/view?...``.
        user_metadata: What people or programs said of it, besides the server's ``filename``.
        metadata: What the server found in the file.
        job_id: The job that made it.
        created_at: When; in UTC, like the others.
        updated_at: When it was last changed.
        accessed_at: When its content was last fetched.
        raw: The asset as the server sent it.
    """

    id: str
    name: str = ""
    hash: str | None = None
    size: int | None = None
    mime_type: str | None = None
    tags: tuple[str, ...] = ()
    preview_id: str | None = None
    preview_url: str | None = None
    user_metadata: JSONObject = attrs.field(factory=dict[str, Any])
    metadata: JSONObject = attrs.field(factory=dict[str, Any])
    job_id: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    accessed_at: datetime | None = None
    raw: JSONObject = attrs.field(factory=dict[str, Any], repr=False, eq=False)

    @property
    def reference(self) -> str | None:
        """What a node's input calls the file: ``"sub/a.png"``, or ``"a.png [output]"``.

        None if the server does not say where the file is. So it is with an asset that was made of
        a content which the server had.
        """
        path = self.raw.get("loader_path")  # servers newer than 0.27
        if isinstance(path, str):
            return path
        path = self.user_metadata.get("filename")
        if not isinstance(path, str):
            return None
        return (
            f"{path} [output]"
            if {"input", "output"}.intersection(self.tags) == {"output"}
            else path
        )


@final
@attrs.frozen
class NewAsset:
    """What the server made of a file that was sent to it, or of a content that it has.

    Args:
        asset: The asset.
        created_new: Whether the content was new to the server, too.
    """

    asset: Asset
    created_new: bool


@final
@attrs.frozen
class AssetPage:
    """Some of the server's assets.

    Args:
        assets: In the order asked for.
        total: How many there are on all pages.
        has_more: Whether more follow.
        next_cursor: Where they do, for ``after=``; None on the last page, where the order has no
            cursors, and from servers before 0.25.
    """

    assets: tuple[Asset, ...]
    total: int
    has_more: bool
    next_cursor: str | None = None


def as_tags(tags: Iterable[str]) -> list[str]:
    """Return tags as a list; one alone may come as it is."""
    return [tags] if isinstance(tags, str) else list(tags)


def _wanted_tags(tags: Iterable[str]) -> tuple[str, ...]:
    wanted = tuple(as_tags(tags))
    for tag in wanted:
        if "," in tag:
            raise ValueError(f"no server can look for {tag!r}: a comma parts tags")
    return wanted


@final
@attrs.frozen(kw_only=True)
class AssetFilter:
    """Which assets to show: those that fulfil all of this.

    Args:
        tags: Tags that each has.
        without_tags: Tags that none has.
        name_contains: A part of the name, in upper or lower case.
        metadata: What each says under these keys, in `Asset.user_metadata` or `Asset.metadata`. A
            list stands for any of its items, None for a key that is not there. Servers newer than
            0.27 refuse it (`AssetError`).

    Raises:
        ValueError: a tag has a comma in it.
    """

    tags: tuple[str, ...] = attrs.field(default=(), converter=_wanted_tags)
    without_tags: tuple[str, ...] = attrs.field(default=(), converter=_wanted_tags)
    name_contains: str | None = None
    metadata: Mapping[str, Any] = attrs.field(factory=dict[str, Any])

    def params(self, *, newest: bool = False) -> list[tuple[str, str]]:
        """Return the query.

        Tags go under the names of both older and newer servers, because either ignore unknown ones.

        Args:
            newest: Only those of servers newer than 0.27, which may refuse the older names.
        """
        params: list[tuple[str, str]] = []
        names = (
            ("include_tags", "tags_all", self.tags),
            ("exclude_tags", "tags_none", self.without_tags),
        )
        for older, newer, tags in names:
            joined = ",".join(tags)
            if joined:
                params += [(newer, joined)] if newest else [(older, joined), (newer, joined)]
        if self.name_contains:
            params.append(("name_contains", self.name_contains))
        if self.metadata:
            params.append(("metadata_filter", json.dumps(dict(self.metadata))))
        return params


def asset_request(asset_id: str, *, method: str = "GET", below: str = "", **more: Any) -> Request:
    """Return a request for what is at, or below, an asset's own route."""
    return Request(method, f"/api/assets/{quote_segment(asset_id)}{below}", **more)


def page_request(
    wanted: AssetFilter,
    *,
    limit: int,
    offset: int,
    after: str | None,
    sort: AssetSort,
    order: Order,
    newest: bool = False,
) -> Request:
    """Return the request for a page; see `AssetNamespace.page`."""
    params = [*wanted.params(newest=newest), ("limit", str(limit))]
    params.append(("offset", str(offset)) if after is None else ("after", after))
    params += [("sort", sort), ("order", order)]
    return Request("GET", "/api/assets", tuple(params))


def upload_request(
    source: UploadSource,
    filename: str,
    *,
    tags: Iterable[str],
    name: str | None,
    user_metadata: Mapping[str, Any] | None,
    content_hash: str | None,
    mime_type: str | None,
    preview_id: str | None,
    progress: Progress | None = None,
) -> Request:
    """Return the request that sends a file; see `AssetNamespace.upload`."""
    fields = {
        "hash": content_hash,  # before the file: a server that has the content does not store it
        "tags": json.dumps(as_tags(tags)),
        "name": name,
        "user_metadata": json.dumps(dict(user_metadata)) if user_metadata else None,
        "mime_type": mime_type,
        "preview_id": preview_id,
    }
    present = tuple((key, value) for key, value in fields.items() if value is not None)
    form = FileForm(present, "file", filename, source, progress)
    return Request("POST", "/api/assets", form=form)


def from_hash_request(
    content_hash: str, tags: Iterable[str], user_metadata: Mapping[str, Any] | None, **more: Any
) -> Request:
    """Return the request that makes an asset of a content that the server has."""
    body: JSONObject = {"hash": content_hash, "tags": as_tags(tags)}
    if user_metadata:
        body["user_metadata"] = dict(user_metadata)
    return post(
        "/assets/from-hash", body | {key: each for key, each in more.items() if each is not None}
    )


def hash_request(content_hash: str) -> Request:
    """Return the request that asks whether the server has a content."""
    return Request("HEAD", f"/api/assets/hash/{quote_segment(content_hash)}")


def delete_request(asset_id: str) -> Request:
    """Return the request that deletes an asset, and on no version the file."""
    return asset_request(asset_id, method="DELETE", params=(("delete_content", "false"),))


NO_HASH = hash_request("none")
"""What servers with the route of `hash_request` answer with 400, others with 404."""

ONE_ASSET = get("/assets", limit="1")
"""Tells why a server refuses what is asked for with HEAD, whose reply has no body."""


def read_page(reply: Reply) -> AssetPage:
    """Read a page of assets.

    Raises:
        ResponseError: it is something else.
    """
    body = require_answer(reply, _PAGE)

    def build() -> AssetPage:
        assets = tuple(_asset(each) for each in body["assets"])
        total = body.get("total", len(assets))
        if not isinstance(total, int):
            raise TypeError(total)
        return AssetPage(assets, total, bool(body.get("has_more")), _text(body, "next_cursor"))

    return _built(build, reply, _PAGE)


def read_asset(reply: Reply, asset_id: str | None = None) -> Asset:
    """Read one asset.

    Raises:
        ResponseError: it is something else.
    """
    body = require_answer(reply, _ASSET, asset_id)
    return _built(lambda: _asset(body), reply, _ASSET)


def read_found_asset(reply: Reply, asset_id: str) -> Asset | None:
    """Read one asset; None if there is none of that id.

    Raises:
        ResponseError: it is something else.
    """
    try:
        return read_asset(reply, asset_id)
    except AssetError as error:
        if error.reason != NOT_FOUND:
            raise
        return None


def read_new_asset(reply: Reply) -> NewAsset:
    """Read the asset that was made.

    Raises:
        ResponseError: it is something else.
    """
    asset = read_asset(reply)
    created_new = asset.raw.get("created_new", reply.status == 201)
    return NewAsset(asset, bool(created_new))


def read_deletion(reply: Reply, asset_id: str) -> bool:
    """Read whether there was an asset to delete.

    Raises:
        ResponseError: it is something else.
    """
    try:
        require_success(reply, asset_id)
    except AssetError as error:
        if error.reason != NOT_FOUND:
            raise
        return False
    if reply.content:
        raise unexpected(reply, "an empty body")
    return True


def _built(build: Callable[[], T], reply: Reply, expected: str) -> T:
    try:
        return build()
    except (KeyError, TypeError, ValueError, OverflowError):
        raise unexpected(reply, expected) from None


def _asset(value: object) -> Asset:
    told = as_object(value)
    if not isinstance(told.get("id"), str):
        raise TypeError("an asset has an id")
    size = told.get("size")
    return Asset(
        id=told["id"],
        name=_text(told, "name") or "",
        hash=_text(told, "hash") or _text(told, "asset_hash"),
        size=None if size is None else int(size),
        mime_type=_text(told, "mime_type"),
        tags=tuple(map(str, as_list(told.get("tags")))),
        preview_id=_text(told, "preview_id"),
        preview_url=_text(told, "preview_url"),
        user_metadata=as_object(told.get("user_metadata")),
        metadata=as_object(told.get("metadata")),
        job_id=_text(told, "job_id") or _text(told, "prompt_id"),
        created_at=_time(told, "created_at"),
        updated_at=_time(told, "updated_at"),
        accessed_at=_time(told, "last_access_time"),
        raw=told,
    )


def _text(told: JSONObject, key: str) -> str | None:
    value = told.get(key)
    if value is not None and not isinstance(value, str):
        raise TypeError(key)
    return value


def _time(told: JSONObject, key: str) -> datetime | None:
    text = _text(told, key)
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
