"""Replies that no reader of JSON may mistake for an answer."""

from __future__ import annotations

import json
from typing import Any, Final

from comfy_trio import AuthenticationError, RequestTooLargeError, ResponseError
from comfy_trio._replies import Reply, get

BAD_REPLIES: Final[dict[str, tuple[int, str, bytes, type[ResponseError]]]] = {
    "bad request": (400, "text/plain", b"", ResponseError),
    "unauthorized": (401, "text/html", b"<html>", AuthenticationError),
    "forbidden": (403, "text/plain", b"", AuthenticationError),
    "missing": (404, "application/octet-stream", b"", ResponseError),
    "wrong method": (405, "text/plain", b"405: Method Not Allowed", ResponseError),
    "too large": (413, "text/plain", b"Maximum request body size", RequestTooLargeError),
    "redirect": (302, "text/html", b"", ResponseError),
    "crash": (500, "text/plain", b"500 Internal Server Error\n\nServer got itself", ResponseError),
    "proxy": (502, "text/html", b"<html>Bad Gateway</html>", ResponseError),
    "a page": (200, "text/html", b"<!DOCTYPE html><html></html>", ResponseError),
    "nothing": (200, "application/json", b"", ResponseError),
    "truncated": (200, "application/json", b'{"queue_running": [[1, "a", {', ResponseError),
    "no UTF-8": (200, "application/json", b"\xff\xfe\xfd", ResponseError),
    "null": (200, "application/json", b"null", ResponseError),
    "a number": (200, "application/json", b"3", ResponseError),
    "deep": (200, "application/json", b"[" * 100_000, ResponseError),
}


def bad_reply(name: str) -> tuple[Reply, type[ResponseError]]:
    """Return one of them, and the error that tells of it."""
    status, content_type, content, error = BAD_REPLIES[name]
    return Reply(get("/x"), "http://host/api/x", status, content, content_type), error


def reply(body: Any, status: int = 200) -> Reply:
    """Return a reply of JSON, or of bytes as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(get("/x"), "http://host/api/x", status, content, "application/json")
