"""Replies that no reader may take for what it expects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from comfy_trio import AuthenticationError, RequestTooLargeError, ResponseError
from comfy_trio._replies import Reply, get

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfy_trio._replies import Request

PAGE: Final = b"<html><body>502 Bad Gateway</body></html>"

BAD: Final[dict[str, tuple[int, bytes, str, type[ResponseError]]]] = {
    "redirect": (302, b"", "text/html", ResponseError),
    "bad request": (400, b"", "", ResponseError),
    "no credentials": (401, b"401: Unauthorized", "text/plain", AuthenticationError),
    "foreign": (403, b"", "", AuthenticationError),
    "too large": (413, b"Maximum request body size exceeded", "text/plain", RequestTooLargeError),
    "trouble": (
        500,
        b"500 Internal Server Error\n\nServer got itself in trouble",
        "",
        ResponseError,
    ),
    "bad gateway": (502, PAGE, "text/html", ResponseError),
    "page": (200, PAGE, "text/html", ResponseError),
    "empty": (200, b"", "application/json", ResponseError),
    "no text": (200, b"\xff\xfe\x00", "application/octet-stream", ResponseError),
    "truncated": (200, b'{"system": {"os": "li', "application/json", ResponseError),
    "truncated list": (200, b'["a", "b', "application/json", ResponseError),
    "deep": (200, b"[" * 100_000, "application/json", ResponseError),
    "number": (200, b"7", "application/json", ResponseError),
    "text": (200, b'"sorry"', "application/json", ResponseError),
}


BAD_REPLIES: Final[dict[str, tuple[int, bytes, str, type[ResponseError]]]] = {
    **BAD,
    "missing": (404, b"", "application/octet-stream", ResponseError),
    "wrong method": (405, b"405: Method Not Allowed", "text/plain", ResponseError),
    "null": (200, b"null", "application/json", ResponseError),
}
"""Those that mean something to some readers, too."""


def reply_to(
    request: Request, body: Any, status: int = 200, content_type: str = "application/json"
) -> Reply:
    """The reply to a request, with a body that is bytes or becomes JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(request, f"http://h:8188{request.path}", status, content, content_type)


def check_refuses_bad_replies(read: Callable[[Reply], object], request: Request) -> None:
    """See that a reader raises the typed error for each bad reply, and says what was asked."""
    for name, (status, body, content_type, error) in BAD.items():
        with pytest.raises(ResponseError) as caught:
            pytest.fail(f"{name}: {read(reply_to(request, body, status, content_type))!r}")
        assert type(caught.value) is error, name
        assert caught.value.status == status, name
        message = str(caught.value)
        assert message.startswith(f"{request.method} http://h:8188{request.path} "), name
        assert status != 200 or "should have been answered with" in message, name


def check_refuses(read: Callable[[Reply], object], request: Request, body: Any) -> None:
    """See that a reader raises the typed error for JSON of the wrong shape."""
    with pytest.raises(ResponseError, match="should have been answered with"):
        pytest.fail(f"{body!r} is read as {read(reply_to(request, body))!r}")


def bad_reply(name: str) -> tuple[Reply, type[ResponseError]]:
    """One of `BAD_REPLIES`, and the error that tells of it."""
    status, content, content_type, error = BAD_REPLIES[name]
    return reply_to(get("/x"), content, status, content_type), error


def reply(body: Any, status: int = 200) -> Reply:
    """A reply, where what was asked does not matter."""
    return reply_to(get("/x"), body, status)
