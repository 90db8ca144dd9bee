"""HTTP as values: the requests that the client makes, and what their replies say.

Routes and bodies are those of server.py of ComfyUI 0.3.40 and newer; every route is asked for under
``/api``, where all versions, proxies and hosted servers have it.
"""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from urllib.parse import quote

import attrs

from ._errors import (
    SNIPPET_LENGTH,
    AuthenticationError,
    NotComfyUIError,
    PaymentRequiredError,
    ReplySummary,
    RequestTooLargeError,
    ResponseError,
    ServiceUnavailableError,
    TooManyRequestsError,
    UnsupportedError,
)
from ._masking import Secrets
from ._secrets import hide_secrets
from ._util import as_object, is_list, is_object, one_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
    from os import PathLike

    from ._util import JSON, JSONObject


class Readable(Protocol):
    """A file that is open for reading bytes."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes or less; none at the end."""
        ...


class AsyncReadable(Protocol):
    """The same with an asynchronous method, such as what `trio.open_file` returns."""

    def read(self, size: int, /) -> Awaitable[bytes]:
        """Return so many bytes or less; none at the end."""
        ...


FileSource: TypeAlias = "bytes | bytearray | memoryview | str | PathLike[str]"
"""A file's content, or the path of a file here."""

UploadSource: TypeAlias = (
    "FileSource | Readable | AsyncReadable | AsyncIterable[bytes] | Iterable[bytes]"
)
"""Whatever a file's content can be read from."""

Progress: TypeAlias = "Callable[[int, int | None], object]"
"""Is called with how many bytes are through, and of how many; None if that is not known."""


@attrs.frozen
class FileForm:
    """A form with one file, as browsers send it (``multipart/form-data``).

    Args:
        fields: The other fields, in their order.
        name: Of the file's field.
        filename: Of the file, for the server.
        source: Its content, the path of a file here, or what is read while it is sent; see
            `comfy_trio._content`.
        progress: Is told how much of the file has been sent.
    """

    fields: tuple[tuple[str, str], ...]
    name: str
    filename: str
    source: UploadSource = attrs.field(repr=False)
    progress: Progress | None = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen
class Request:
    """One HTTP request, without the server's address.

    Args:
        method: ``GET``, ``POST``, ...
        path: The route, percent-encoded, such as ``/api/prompt``.
        params: The query.
        json: The body, as JSON; None for no body.
        form: Or else the body, as a form.
        content: Or else the body, as it is.
        headers: More headers; they go along with redirects, too.
    """

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    json: Any = attrs.field(default=None, repr=False)
    form: FileForm | None = None
    content: bytes | None = attrs.field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)

    @property
    def repeatable(self) -> bool:
        """Whether the body can be sent a second time: not one that is read from who knows where."""
        return self.form is None or isinstance(self.form.source, bytes | str)


@attrs.frozen
class Reply:
    """One HTTP reply, read whole.

    Args:
        request: What was asked.
        url: Where, without credentials.
        status: The HTTP status.
        content: The body.
        content_type: Its format as the server states it; may be empty.
        location: Where it leads, if it is a redirect that was not followed. Without what may be
            secret in that.
        retry_after: Seconds after which the server wants to be asked again, if it says so.
        secrets: What no message about it may repeat.
    """

    request: Request
    url: str
    status: int
    content: bytes = attrs.field(repr=False)
    content_type: str = ""
    location: str = ""
    retry_after: float | None = None
    secrets: Secrets = attrs.field(factory=Secrets, eq=False, repr=False)

    def json(self) -> JSON:
        """Return the body as JSON; None if it is none."""
        return _json_or_none(self.content)

    def summary(self) -> ReplySummary:
        """Return what an error shows of the reply, without the secrets that it may quote."""
        text = self.secrets.mask(hide_secrets(self.content.decode(errors="replace")))
        return ReplySummary(
            self.request.method,
            self.url,
            self.status,
            self.secrets.mask_json(_json_or_none(text)),
            text[:SNIPPET_LENGTH].strip(),
            self.retry_after,
        )


def _json_or_none(text: str | bytes) -> JSON:
    try:
        value: JSON = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def get(path: str, /, **params: str) -> Request:
    """Return a GET of a route under ``/api``."""
    return Request("GET", f"/api{path}", tuple(params.items()))


def post(path: str, body: JSONObject) -> Request:
    """Return a POST of JSON to a route under ``/api``."""
    return Request("POST", f"/api{path}", json=body)


def delete(path: str, body: JSONObject | None = None) -> Request:
    """Return a DELETE of a route under ``/api``."""
    return Request("DELETE", f"/api{path}", json=body)


def quote_segment(name: str) -> str:
    """Percent-encode a name so that it is one segment of a path, slashes included.

    Dots, too, where they would be taken for this directory or the one above; and half a surrogate
    pair, which no server will know, but may have told.
    """
    if name in {".", ".."}:
        return name.replace(".", "%2E")
    return quote(name, safe="", errors="surrogatepass")


QUEUE_LENGTH = get("/prompt")

USER_HEADER = "comfy-user"
"""The header that says for whom a request is. Servers without ``--multi-user`` pass over it."""


def read_retry_after(value: str, now: float) -> float | None:
    """Read the header ``Retry-After``: seconds, or a date (RFC 9110, section 10.2.3).

    Args:
        value: Of the header; may be empty.
        now: Seconds since 1970.
    """
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - now, 0.0)
    except (ValueError, OverflowError):
        return None


def raise_for_status(reply: Reply) -> None:
    """Raise what a status of 300 or more means.

    Raises:
        AuthenticationError: 401, 403, 407.
        PaymentRequiredError: 402.
        RequestTooLargeError: 413.
        TooManyRequestsError: 429.
        ServiceUnavailableError: 503.
        ResponseError: any other.
    """
    if reply.status < 300:
        return
    summary = reply.summary()
    asked = f"{summary.method} {summary.url} was answered with HTTP status {summary.status}"
    if reply.status in {401, 403, 407}:
        raise AuthenticationError(
            f"{asked}: the server, or a proxy before it, wants other credentials."
            " Pass credentials=... to open_comfy" + _quoted(summary),
            summary,
        )
    if reply.status == 413:
        raise RequestTooLargeError(
            f"{asked}: the request is too large. ComfyUI's own limit is set by --max-upload-size;"
            " a proxy before it may have a lower one" + _quoted(summary),
            summary,
        )
    if reply.status < 400:
        raise bad_redirect(reply, "which is not followed: use the address it leads to")
    kind = _KINDS.get(reply.status, ResponseError)
    wait = "" if reply.retry_after is None else f" (try again in {reply.retry_after:.0f} s)"
    raise kind(asked + wait + _quoted(summary), summary)


_KINDS: Mapping[int, type[ResponseError]] = {
    402: PaymentRequiredError,
    429: TooManyRequestsError,
    503: ServiceUnavailableError,
}


def bad_redirect(reply: Reply, why: str) -> ResponseError:
    """Return the error for a redirect that is not followed.

    Args:
        reply: The redirect.
        why: The end of a sentence.
    """
    summary = reply.summary()
    target = f" to {reply.location}" if reply.location else ""
    return ResponseError(
        f"{summary.method} {summary.url} was answered with HTTP status {summary.status}, a redirect"
        f"{target}, {why}",
        summary,
    )


def sentence_of(summary: ReplySummary) -> str:
    """Return what a server says of an error, in whatever form; may be empty.

    ComfyUI: ``{"error": {"message", ...}}`` or ``{"error": "..."}``; its assets and Comfy Cloud
    (``ErrorResponse`` in https://github.com/Comfy-Org/docs/blob/main/openapi-cloud.yaml):
    ``{"code", "message"}``; proxies: text, or a page.
    """
    body = as_object(summary.body)
    error = body.get("error") or body
    sentence = error if isinstance(error, str) else as_object(error).get("message")
    return one_line(sentence if isinstance(sentence, str) else summary.snippet)[:200]


def _quoted(summary: ReplySummary) -> str:
    sentence = sentence_of(summary)
    return f": {sentence}" if sentence else " and an empty body"


def unexpected(reply: Reply, expected: str) -> ResponseError:
    """Return the error for a reply of good status that holds something else than it should."""
    summary = reply.summary()
    content_type = reply.secrets.mask(reply.content_type)
    return ResponseError(
        f"{summary.method} {summary.url} should have been answered with {expected}, but the reply"
        f" (HTTP status {summary.status}, {content_type or 'no content type'}) is"
        f" {one_line(summary.snippet)[:200] or 'empty'}",
        summary,
    )


def require_route(reply: Reply, feature: str) -> None:
    """Raise if a server has no route like that; only for routes that have no 404 of their own.

    ComfyUI serves its web page's files at all other paths, to GET alone: any other method is
    answered with 405 there.

    Args:
        reply: The server's.
        feature: What the route is for, and who has it: "the jobs API (ComfyUI 0.6 and newer)".

    Raises:
        UnsupportedError: the status is 404 or 405.
    """
    if reply.status in {404, 405}:
        summary = reply.summary()
        raise UnsupportedError(
            f"the server does not have {feature}: {summary.method} {summary.url} was answered with"
            f" HTTP status {summary.status}",
            summary,
        )


def require_list(reply: Reply, expected: str) -> list[Any]:
    """Return a reply's body if it is a JSON list.

    Raises:
        ResponseError: the status or the body is something else.
    """
    raise_for_status(reply)
    body = reply.json()
    if not is_list(body):
        raise unexpected(reply, expected)
    return body


def require_object(reply: Reply, expected: str) -> JSONObject:
    """Return a reply's body if it is a JSON object.

    Raises:
        ResponseError: the status or the body is something else.
    """
    raise_for_status(reply)
    body = reply.json()
    if not is_object(body):
        raise unexpected(reply, expected)
    return body


def require_comfyui(reply: Reply) -> int:
    """Read the reply to `QUEUE_LENGTH`, which only ComfyUI gives; return the queue's length.

    Raises:
        AuthenticationError: see `raise_for_status`.
        NotComfyUIError: something else answers.
    """
    if reply.status == 200 and (remaining := _queue_length(reply)) is not None:
        return remaining
    if reply.status in {401, 403, 407}:
        raise_for_status(reply)
    summary = reply.summary()
    raise NotComfyUIError(
        f"{summary.url} is not answered as ComfyUI answers it, but with HTTP status"
        f" {summary.status}" + _quoted(summary) + ". Check the address: the port, and the path if a"
        " proxy serves ComfyUI under one",
        summary,
    )


def read_queue_length(reply: Reply) -> int:
    """Read the reply to `QUEUE_LENGTH` of a server that is known to be ComfyUI.

    Raises:
        ResponseError: it is something else.
    """
    raise_for_status(reply)
    remaining = _queue_length(reply)
    if remaining is None:
        raise unexpected(reply, "the length of the queue")
    return remaining


def _queue_length(reply: Reply) -> int | None:
    match reply.json():
        case {"exec_info": {"queue_remaining": int() as remaining}}:
            return remaining
        case _:
            return None
