"""``POST /prompt``: what the server says to a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeGuard

import attrs

from .._errors import (
    EnqueueFailedError,
    InputError,
    MissingNodeError,
    NodeErrors,
    describe_node,
)
from .._prompt import title_of
from .._replies import raise_for_status, sentence_of
from .._util import as_list, as_object, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._errors import ReplySummary
    from .._replies import Reply
    from .._util import JSONObject


LONGEST_ID: Final = 1000
"""Characters that the id of a job may have: those of servers are UUIDs."""


@attrs.frozen
class Accepted:
    """The server took the prompt.

    Args:
        number: Its place in the queue: lower runs earlier.
        node_errors: The nodes that will not run, because the server refused them.
        assigned_id: The id under which the server runs it; the one that was sent, unless the
            server is a hosted one that makes its own. None if it does not tell.
    """

    number: float
    node_errors: Mapping[str, NodeErrors] = attrs.field(factory=dict[str, NodeErrors])
    assigned_id: str | None = None


def read_prompt_reply(reply: Reply, prompt: JSONObject) -> Accepted:
    """Read the reply to POST /prompt.

    Raises:
        AuthenticationError, PaymentRequiredError, RequestTooLargeError, TooManyRequestsError,
            ServiceUnavailableError: see `raise_for_status`.
        ResponseError: it is a redirect.
        MissingNodeError: the server lacks a class of nodes.
        EnqueueFailedError: the server refused the prompt, for any other reason.
    """
    body = reply.json()
    if reply.status == 200 and is_object(body) and "prompt_id" in body:
        number, assigned_id = body.get("number"), body["prompt_id"]
        return Accepted(
            number if isinstance(number, (int, float)) else 0,
            read_node_errors(reply.secrets.mask_json(body.get("node_errors")), prompt),
            assigned_id if _is_id(assigned_id) else None,
        )
    if reply.status in {401, 402, 403, 407, 413, 429, 503} or 300 <= reply.status < 400:
        raise_for_status(reply)
    raise refusal(reply.summary(), prompt)


def _is_id(value: object) -> TypeGuard[str]:
    """Tell whether a job can be asked for by it."""
    return isinstance(value, str) and len(value) <= LONGEST_ID and value.isprintable()


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
        sentence = sentence_of(summary)
        code = answer.get("code")
        reason = code if isinstance(code, str) else sentence
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
