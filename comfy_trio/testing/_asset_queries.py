"""What requests to the assets API may hold, and how its refusals look."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any, Final

import attrs

from comfy_trio._util import as_object, is_list, is_object

from ._http import json_reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from starlette.datastructures import QueryParams
    from starlette.responses import Response

    from comfy_trio._util import JSONObject

    from ._asset_store import AssetEntry

SORTS: Final = ("name", "created_at", "updated_at", "size", "last_access_time")
CURSOR_SORTS: Final = ("created_at", "updated_at", "name", "size")
_HASH: Final = re.compile(r"blake3:[0-9a-f]{64}")


class Refused(Exception):
    """The request is answered with an error."""

    def __init__(
        self, status: int, code: str, message: str, details: JSONObject | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details or {}

    def reply(self) -> Response:
        """The reply."""
        error = {"code": self.code, "message": str(self), "details": self.details}
        return json_reply({"error": error}, self.status)


def invalid(code: str, reason: str, *loc: str, message: str = "Validation failed.") -> Refused:
    """The refusal of a value, in the words of the real server's validator."""
    error = {"type": "value_error", "loc": list(loc), "msg": reason}
    return Refused(400, code, message, {"errors": [error]})


def canonical_hash(text: str) -> str | None:
    """A content's hash in its one form; None if it is none."""
    normal = text.strip().lower()
    return normal if _HASH.fullmatch(normal) else None


def integer(query: QueryParams, name: str, default: int, low: int, high: int | None = None) -> int:
    """A number of a query."""
    text = query.get(name, str(default))
    if not re.fullmatch(r"\s*[+-]?\d+\s*", text):
        raise invalid(
            "INVALID_QUERY",
            "Input should be a valid integer, unable to parse string as an integer",
            name,
        )
    value = int(text)
    if value < low:
        reason = f"Input should be greater than or equal to {low}"
        raise invalid("INVALID_QUERY", reason, name)
    if high is not None and value > high:
        raise invalid("INVALID_QUERY", f"Input should be less than or equal to {high}", name)
    return value


def choice(query: QueryParams, name: str, allowed: Sequence[str], default: str) -> str:
    """A word of a query."""
    word = query.get(name, default)
    if word not in allowed:
        *first, last = map(repr, allowed)
        reason = f"Input should be {', '.join(first)} or {last}"
        raise invalid("INVALID_QUERY", reason, name)
    return word


def normal_tags(tags: Iterable[object]) -> list[str]:
    """Tags in lower case, each once, in their order."""
    return list(dict.fromkeys(tag for each in tags if (tag := str(each).strip().lower())))


@attrs.frozen
class Filter:
    """Which assets a list has."""

    include_tags: list[str]
    exclude_tags: list[str]
    name_contains: str
    metadata: Mapping[str, object]

    def picks(self, entry: AssetEntry) -> bool:
        """Whether a list has this one."""
        return entry.fulfils(
            self.include_tags, self.exclude_tags, self.name_contains, self.metadata
        )


def asset_filter(query: QueryParams) -> Filter:
    """The filter in a query."""
    metadata: object = None
    text = query.get("metadata_filter", "")
    if text.strip():
        try:
            metadata = json.loads(text)
        except ValueError as error:
            reason = f"Value error, metadata_filter must be JSON: {error}"
            raise invalid("INVALID_QUERY", reason, "metadata_filter") from None
        if not is_object(metadata):
            reason = "Value error, metadata_filter must be a JSON object"
            raise invalid("INVALID_QUERY", reason, "metadata_filter")
    tags = [
        normal_tags(part for value in query.getlist(name) for part in value.split(","))
        for name in ("include_tags", "exclude_tags")
    ]
    return Filter(tags[0], tags[1], query.get("name_contains", ""), as_object(metadata))


def sort_key(entry: AssetEntry, sort: str) -> tuple[str | int, str]:
    """What assets are sorted by; what JSON can hold."""
    if sort == "name":
        return entry.name, entry.id
    if sort == "size":
        return entry.content.size, entry.id
    moments = {
        "created_at": entry.created_at,
        "updated_at": entry.updated_at,
        "last_access_time": entry.accessed_at,
    }
    return round(moments[sort].timestamp() * 1e6), entry.id


def write_cursor(entry: AssetEntry, sort: str, order: str) -> str:
    """Where a page ended."""
    value, asset_id = sort_key(entry, sort)
    payload = {"s": sort, "v": str(value), "id": asset_id, "o": order}
    return base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=").decode()


def read_cursor(cursor: str, sort: str, order: str) -> tuple[str | int, str]:
    """The `sort_key` of the asset where a page ended."""
    if sort not in CURSOR_SORTS:
        raise _bad_cursor(f"cursor pagination is not supported for sort={sort!r}")
    try:
        payload: Any = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        found, value, asset_id = payload["s"], payload["v"], payload["id"]
        typed = str(value) if sort == "name" else int(value)
    except (ValueError, TypeError, KeyError) as error:
        raise _bad_cursor(f"payload: {error}") from None
    if found != sort:
        raise _bad_cursor(f"cursor sort field {found!r} does not match request sort {sort!r}")
    if payload.get("o") != order:
        raise _bad_cursor(
            f"cursor order {payload.get('o')!r} does not match request order {order!r}"
        )
    return typed, str(asset_id)


def _bad_cursor(message: str) -> Refused:
    return Refused(400, "INVALID_CURSOR", message)


@attrs.frozen
class UploadSpec:
    """What a form says of the file in it."""

    tags: list[str]
    name: str | None
    user_metadata: JSONObject
    mime_type: str | None
    preview_id: str | None


def upload_spec(
    fields: Mapping[str, str], tags: Iterable[str], categories: Iterable[str]
) -> UploadSpec:
    """What the fields of an upload say.

    Args:
        fields: By name.
        tags: The fields called ``tags``: JSON lists, or with commas between tags.
        categories: The kinds of models.
    """
    found: list[object] = []
    for text in tags:
        listed: object = None
        if text.strip().startswith("["):
            try:
                listed = json.loads(text)
            except ValueError:
                listed = None
        found += listed if is_list(listed) else text.split(",")
    metadata: object = {}
    text = fields.get("user_metadata", "")
    if text.strip():
        try:
            metadata = json.loads(text)
        except ValueError as error:
            raise _bad_form(f"user_metadata must be JSON: {error}") from None
    if not is_object(metadata):
        raise _bad_form("user_metadata must be a JSON object")
    normal = normal_tags(found)
    if not normal:
        raise _bad_form("at least one tag is required for uploads")
    if normal[0] not in {"models", "input", "output"}:
        raise _bad_form("first tag must be one of: models, input, output")
    if normal[0] == "models":
        if len(normal) < 2:
            raise _bad_form("models uploads require a category tag as the second tag")
        if normal[1] not in categories:
            raise Refused(400, "INVALID_BODY", f"unknown models category {normal[1]!r}")
    return UploadSpec(
        normal,
        fields.get("name", "").strip() or None,
        metadata,
        fields.get("mime_type", "").strip() or None,
        fields.get("preview_id", "").strip() or None,
    )


def _bad_form(reason: str) -> Refused:
    errors = json.dumps([{"type": "value_error", "loc": [], "msg": f"Value error, {reason}"}])
    return Refused(400, "INVALID_BODY", f"Validation failed: {errors}")
