"""HTTP as values: the requests that the client makes, and what their replies say.

Routes and bodies are those of server.py of ComfyUI 0.3.40 and newer; every route is asked for under
``/api``, where all versions, proxies and hosted servers have it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import attrs

from ._errors import (
    SNIPPET_LENGTH,
    AuthenticationError,
    EnqueueFailedError,
    InputError,
    MissingNodeError,
    NodeErrors,
    NotComfyUIError,
    ReplySummary,
    RequestTooLargeError,
    ResponseError,
    describe_node,
)
from ._prompt import title_of
from ._util import as_list, as_object, is_object
from ._wire import decode_execution_error, decode_execution_interrupted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._util import JSON, JSONObject
    from ._wire import ExecutionError, ExecutionInterrupted


@attrs.frozen
class FileForm:
    """A form with one file, as browsers send it (``multipart/form-data``).

    Args:
        fields: The other fields, in their order.
        name: Of the file's field.
        filename: Of the file, for the server.
        source: Its content, or the path of a file here, which is read while it is sent.
    """

    fields: tuple[tuple[str, str], ...]
    name: str
    filename: str
    source: bytes | str = attrs.field(repr=False)


@attrs.frozen
class Request:
    """One HTTP request, without the server's address.

    Args:
        method: ``GET``, ``POST``, ...
        path: The route, percent-encoded, such as ``/api/prompt``.
        params: The query.
        json: The body, as JSON; None for no body.
        form: Or else the body, as a form.
    """

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    json: Any = None
    form: FileForm | None = None


@attrs.frozen
class Reply:
    """One HTTP reply, read whole.

    Args:
        request: What was asked.
        url: Where, without credentials.
        status: The HTTP status.
        content: The body.
        content_type: Its format as the server states it; may be empty.
    """

    request: Request
    url: str
    status: int
    content: bytes = attrs.field(repr=False)
    content_type: str = ""

    def json(self) -> JSON:
        """Return the body as JSON; None if it is none."""
        try:
            value: JSON = json.loads(self.content)
        except (ValueError, RecursionError):
            return None
        return value

    def summary(self) -> ReplySummary:
        """Return what an error shows of the reply."""
        text = self.content[: 4 * SNIPPET_LENGTH].decode(errors="replace")
        body = self.json()
        return ReplySummary(
            self.request.method, self.url, self.status, body, text[:SNIPPET_LENGTH].strip()
        )


def get(path: str, **params: str) -> Request:
    """Return a GET of a route under ``/api``."""
    return Request("GET", f"/api{path}", tuple(params.items()))


def post(path: str, body: JSONObject) -> Request:
    """Return a POST of JSON to a route under ``/api``."""
    return Request("POST", f"/api{path}", json=body)


def quote_segment(name: str) -> str:
    """Percent-encode a name so that it is one segment of a path, slashes included."""
    return quote(name, safe="")


QUEUE_LENGTH = get("/prompt")
QUEUE = get("/queue")


def history_of(prompt_id: str) -> Request:
    """Return the request for one job's history."""
    return get(f"/history/{quote_segment(prompt_id)}")


def raise_for_status(reply: Reply) -> None:
    """Raise what a status of 300 or more means.

    Raises:
        AuthenticationError: 401, 403, 407.
        RequestTooLargeError: 413.
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
        raise ResponseError(
            f"{asked}, a redirect that is not followed: use the address it leads to", summary
        )
    raise ResponseError(asked + _quoted(summary), summary)


def _quoted(summary: ReplySummary) -> str:
    return f": {_one_line(summary.snippet)[:200]}" if summary.snippet else " and an empty body"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def unexpected(reply: Reply, expected: str) -> ResponseError:
    """Return the error for a reply of good status that holds something else than it should."""
    summary = reply.summary()
    return ResponseError(
        f"{summary.method} {summary.url} should have been answered with {expected}, but the reply"
        f" (HTTP status {summary.status}, {reply.content_type or 'no content type'}) is"
        f" {_one_line(summary.snippet)[:200] or 'empty'}",
        summary,
    )


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
    match reply.json():
        case {"exec_info": {"queue_remaining": int() as remaining}} if reply.status == 200:
            return remaining
        case _:
            pass
    if reply.status in {401, 403, 407}:
        raise_for_status(reply)
    summary = reply.summary()
    raise NotComfyUIError(
        f"{summary.url} is not answered as ComfyUI answers it, but with HTTP status"
        f" {summary.status}" + _quoted(summary) + ". Check the address: the port, and the path if a"
        " proxy serves ComfyUI under one",
        summary,
    )


# --- POST /prompt ---------------------------------------------------------------------------------


@attrs.frozen
class Accepted:
    """The server took the prompt.

    Args:
        number: Its place in the queue: lower runs earlier.
        node_errors: The nodes that will not run, because the server refused them.
    """

    number: float
    node_errors: Mapping[str, NodeErrors] = attrs.field(factory=dict[str, NodeErrors])


def read_prompt_reply(reply: Reply, prompt: JSONObject) -> Accepted:
    """Read the reply to POST /prompt.

    Raises:
        AuthenticationError, RequestTooLargeError: see `raise_for_status`.
        MissingNodeError: the server lacks a class of nodes.
        EnqueueFailedError: the server refused the prompt, for any other reason.
    """
    body = reply.json()
    if reply.status == 200 and is_object(body) and "prompt_id" in body:
        number = body.get("number")
        return Accepted(
            number if isinstance(number, (int, float)) else 0,
            read_node_errors(body.get("node_errors"), prompt),
        )
    if reply.status in {401, 403, 407, 413}:
        raise_for_status(reply)
    raise refusal(reply.summary(), prompt)


def refusal(
    summary: ReplySummary, prompt: JSONObject, *, foreseen: bool = False
) -> EnqueueFailedError:
    """Return the error for a prompt that the server refuses.

    Args:
        summary: The reply to POST /prompt.
        prompt: What was sent.
        foreseen: The reply is only what the server would say; nothing was sent.
    """
    answer = as_object(summary.body)
    error = as_object(answer.get("error"))
    if error:
        reason = str(error.get("type") or "")
        sentence = str(error.get("message") or reason)
    else:  # hosted servers and proxies: {"error": "..."}, {"message": "..."}, or no JSON at all
        reason = sentence = _one_line(
            str(answer.get("error") or answer.get("message") or summary.snippet)
        )[:200]
    details = str(error.get("details") or "")
    info = as_object(error.get("extra_info"))
    head = (
        "the workflow was not sent, because the server would refuse it"
        if foreseen
        else "the server refused the workflow"
    )
    unknown_class = reason == "invalid_prompt" and "does not exist" in sentence
    if reason == "missing_node_type" or unknown_class:
        return _missing_node(head, summary, reason, sentence, details, info, prompt)
    node_errors = read_node_errors(answer.get("node_errors"), prompt)
    particulars = [] if foreseen else [f"HTTP status {summary.status}"]
    particulars += [reason] if reason and reason != sentence else []
    lines = [
        head
        + (f" ({', '.join(particulars)})" if particulars else "")
        + (f": {sentence}" if sentence else "")
    ]
    lines += [f"  {errors}" for errors in node_errors.values()]
    if not node_errors and details and details not in sentence:
        lines.append(f"  {details}")
    return EnqueueFailedError("\n".join(lines), summary, reason=reason, node_errors=node_errors)


def _missing_node(
    head: str,
    summary: ReplySummary,
    reason: str,
    sentence: str,
    details: str,
    info: JSONObject,
    prompt: JSONObject,
) -> MissingNodeError:
    # Servers before 0.12 name the node only in the details, as "Node ID '#3'".
    node_id = info.get("node_id") or details.partition("#")[2].rstrip("'") or None
    node = as_object(prompt.get(str(node_id)))
    class_type = node.get("class_type") or info.get("class_type")
    title = title_of(node)
    return MissingNodeError(
        f"{head}: {describe_node(node_id, class_type, title)} is of a"
        f" class that the server does not have ({sentence}). Install the custom nodes that hold"
        " it, or compare the name with those in /object_info",
        summary,
        reason=reason,
        node_id=node_id,
        class_type=class_type,
    )


def read_node_errors(value: object, prompt: JSONObject) -> dict[str, NodeErrors]:
    """Read ``node_errors``. Proxies and hosted servers send ``[]`` for none."""
    return {
        node_id: _read_node_error(node_id, as_object(errors), prompt)
        for node_id, errors in as_object(value).items()
    }


def _read_node_error(node_id: str, errors: JSONObject, prompt: JSONObject) -> NodeErrors:
    node = as_object(prompt.get(node_id))
    return NodeErrors(
        node_id,
        class_type=str(errors.get("class_type") or node.get("class_type", "")),
        title=title_of(node),
        errors=tuple(
            _read_input_error(as_object(error)) for error in as_list(errors.get("errors"))
        ),
        dependent_outputs=tuple(map(str, as_list(errors.get("dependent_outputs")))),
    )


def _read_input_error(error: JSONObject) -> InputError:
    info = as_object(error.get("extra_info"))
    name = info.get("input_name")
    return InputError(
        type=str(error.get("type", "")),
        message=str(error.get("message", "")),
        details=str(error.get("details", "")),
        input_name=name if isinstance(name, str) else None,
        extra_info=info,
    )


# --- GET /queue -----------------------------------------------------------------------------------


@attrs.frozen
class QueueSnapshot:
    """The server's queue at one moment.

    Args:
        running: Ids of the prompts that run.
        pending: Ids of the prompts that wait, the next one first.
    """

    running: tuple[str, ...]
    pending: tuple[str, ...]

    def __contains__(self, prompt_id: object) -> bool:
        return prompt_id in self.running or prompt_id in self.pending


def read_queue(reply: Reply) -> QueueSnapshot:
    """Read the reply to GET /queue. Pending prompts come in heap order, and are sorted here.

    Raises:
        ResponseError: it is something else.
    """
    body = require_object(reply, "the queue")
    try:
        running = _queue_items(body["queue_running"])
        pending = _queue_items(body["queue_pending"])
    except (KeyError, TypeError, ValueError, IndexError):
        raise unexpected(reply, "the queue") from None
    # Equal numbers are ordered by id: the server's heap holds tuples (number, id, ...).
    return QueueSnapshot(
        tuple(prompt_id for _, prompt_id in running),
        tuple(prompt_id for _, prompt_id in sorted(pending)),
    )


def _queue_items(items: Sequence[Sequence[Any]]) -> list[tuple[float, str]]:
    return [(float(item[0]), str(item[1])) for item in items]


# --- GET /history/{id} ----------------------------------------------------------------------------


@attrs.frozen
class HistoryEntry:
    """What the server's history holds of a job that is over.

    Args:
        outputs: What each node shows, by node id.
        failure: How the job failed or was interrupted; None if it succeeded.
        cached: The nodes that came from the server's cache.
    """

    outputs: Mapping[str, JSONObject]
    failure: ExecutionError | ExecutionInterrupted | None = None
    cached: frozenset[str] = frozenset()


def read_history_entry(reply: Reply, prompt_id: str) -> HistoryEntry | None:
    """Read the reply to GET /history/{id}; None if the job is not over, or unknown.

    Raises:
        ResponseError: it is something else.
    """
    body = require_object(reply, "a job's history")
    entry = body.get(prompt_id)
    if entry is None:
        return None
    if not is_object(entry):
        raise unexpected(reply, "a job's history")
    try:
        return _read_entry(entry, prompt_id)
    except (KeyError, TypeError, ValueError):
        raise unexpected(reply, "a job's history") from None


def _read_entry(entry: JSONObject, prompt_id: str) -> HistoryEntry:
    outputs = as_object(entry.get("outputs"))
    status = as_object(entry.get("status"))
    failure: ExecutionError | ExecutionInterrupted | None = None
    if status.get("status_str") == "error":
        failure = decode_execution_error({"prompt_id": prompt_id})
    cached: frozenset[str] = frozenset()
    # The messages outrank ``status_str``, which a run that ends in a cycle leaves at the previous
    # run's; and of the messages the last word counts.
    for event, data in as_list(status.get("messages")):
        told = {"prompt_id": prompt_id, **as_object(data)}
        if event == "execution_success":
            failure = None
        elif event == "execution_error":
            failure = decode_execution_error(told)
        elif event == "execution_interrupted":
            failure = decode_execution_interrupted(told)
        elif event == "execution_cached":
            cached = frozenset(map(str, as_list(told.get("nodes"))))
    return HistoryEntry(
        {node_id: output for node_id, output in outputs.items() if is_object(output)},
        failure,
        cached,
    )
