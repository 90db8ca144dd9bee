"""How the assets API says no: ``{"error": {"code", "message", "details"}}``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .._errors import AssetError, UnsupportedError
from .._replies import raise_for_status, require_route, unexpected
from .._util import as_list, as_object, is_list, is_object, one_line

if TYPE_CHECKING:
    from .._replies import Reply
    from .._util import JSONObject

NOT_FOUND: Final = "ASSET_NOT_FOUND"
UNKNOWN_PARAMETERS: Final = frozenset({"UNSUPPORTED_PARAM", "INVALID_TAG_FILTER"})
"""What servers say of parameters that they no longer take."""
SCAN_RUNNING: Final = frozenset({"already_running", "scan_running"})
"""What servers say, as ``status``, when a scan keeps them from what is asked."""

_DISABLED: Final = "SERVICE_DISABLED"
_FEATURE: Final = (
    "this part of the assets API (ComfyUI 0.9 and newer can list assets, 0.12 make them, 0.17 watch"
    " scans, 0.18 refine tags)"
)
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def require_success(reply: Reply, asset_id: str | None = None) -> None:
    """Raise what a status of 300 or more means when the assets API gives it.

    Args:
        reply: The server's.
        asset_id: Of the asset in the route, if there is one. Servers have no route for what is no
            UUID, as if they had no such API at all.

    Raises:
        UnsupportedError: the server has no such route, or its assets are switched off.
        AssetError: it refuses.
        AuthenticationError, RequestTooLargeError, ResponseError: see `raise_for_status`.
    """
    if reply.status < 300:
        return
    summary = reply.summary()
    asked = f"{summary.method} {summary.url}"
    reason, message, details = _refusal(reply)
    if reason == _DISABLED:
        raise UnsupportedError(
            f"the server's assets are switched off ({asked}: {message or reason}). Start it with"
            " --enable-assets or, if newer than 0.27, without --disable-assets",
            summary,
        )
    # A proxy may word its own refusals in any way.
    if reason and reply.status not in {401, 407, 413}:
        raise AssetError(
            f"the server refuses {asked} (HTTP status {reply.status}, {reason}): {message}",
            summary,
            reason=reason,
            details=details,
        )
    if reply.status in {404, 405} and asset_id is not None and not _UUID.fullmatch(asset_id):
        raise AssetError(
            f"{asset_id!r} is no id of an asset: those are UUIDs ({asked} was answered with HTTP"
            f" status {reply.status})",
            summary,
            reason=NOT_FOUND,
        )
    require_route(reply, _FEATURE)
    raise_for_status(reply)


def require_answer(reply: Reply, expected: str, asset_id: str | None = None) -> JSONObject:
    """Return the body of a good reply of the assets API if it is a JSON object.

    Raises:
        ResponseError: the status or the body is something else; see `require_success`.
    """
    require_success(reply, asset_id)
    body = reply.json()
    if not is_object(body):
        raise unexpected(reply, expected)
    return body


def _refusal(reply: Reply) -> tuple[str, str, JSONObject]:
    """Return the name, the sentence and the particulars of a refusal; empty if it is none."""
    body = as_object(reply.json())
    error = as_object(body.get("error"))
    status = body.get("status")
    if reply.status == 409 and isinstance(status, str) and status in SCAN_RUNNING:
        return status, "a scan for assets is running there", {}
    code = error.get("code")
    if not isinstance(code, str):
        return "", "", {}
    details = as_object(error.get("details"))
    message = one_line(str(error.get("message") or ""))
    reasons = [
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}".removeprefix(": ")
        for each in _validation_errors(details)
    ]
    return code, "; ".join([message, *reasons])[:500], details


def _validation_errors(details: JSONObject) -> list[JSONObject]:
    """Return what is wrong with a request, as pydantic says it."""
    errors = map(as_object, as_list(details.get("errors")))
    return [each for each in errors if is_list(each.get("loc")) and "msg" in each]
