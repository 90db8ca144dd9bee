"""Everything that this library raises, in one tree with stable codes.

The classes tell who is at fault: the workflow (`WorkflowError`), the server's reply to one request
(`ResponseError`), the run of one job (`JobError`), or the way to the server (`DisconnectedError`,
`ServerUnreachableError`). Match on the class or on `ComfyError.code`, never on the text.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from ._disappearance import Disappearance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._result import JobResult
    from ._util import JSON, JSONObject

SNIPPET_LENGTH = 500
"""Characters of a reply's body that an error carries and shows."""
MESSAGE_LENGTH = 10_000
"""Characters of an error's own text, whatever a server says: what is longer is for attributes."""


class ErrorCode(StrEnum):
    """A stable name for each class of `ComfyError`."""

    ALREADY_EXISTS = "E_ALREADY_EXISTS"

    ASSET = "E_ASSET"
    AUTHENTICATION = "E_AUTHENTICATION"
    CREDENTIALS = "E_CREDENTIALS"
    CUSTOM_EVENT = "E_CUSTOM_EVENT"
    DISCONNECTED = "E_DISCONNECTED"
    ENQUEUE_FAILED = "E_ENQUEUE_FAILED"
    EXECUTION_FAILED = "E_EXECUTION_FAILED"
    EXECUTION_INTERRUPTED = "E_EXECUTION_INTERRUPTED"
    FAILED_CACHE = "E_FAILED_CACHE"
    FILE = "E_FILE"
    FORBIDDEN = "E_FORBIDDEN"
    MISSING_NODE = "E_MISSING_NODE"
    NOT_COMFYUI = "E_NOT_COMFYUI"
    NOT_FOUND = "E_NOT_FOUND"
    PAYMENT_REQUIRED = "E_PAYMENT_REQUIRED"
    PICTURES_LOST = "E_PICTURES_LOST"
    REPLY_TOO_LARGE = "E_REPLY_TOO_LARGE"
    RESPONSE = "E_RESPONSE"
    SERVER_CRASHED = "E_SERVER_CRASHED"
    SERVICE_UNAVAILABLE = "E_SERVICE_UNAVAILABLE"
    TOO_LARGE = "E_TOO_LARGE"
    TOO_MANY_REQUESTS = "E_TOO_MANY_REQUESTS"
    UNKNOWN_USER = "E_UNKNOWN_USER"
    UNREACHABLE = "E_UNREACHABLE"
    UNSUPPORTED = "E_UNSUPPORTED"
    WENT_MISSING = "E_WENT_MISSING"
    WORKFLOW = "E_WORKFLOW"
    WORKFLOW_NOT_SUPPORTED = "E_WORKFLOW_NOT_SUPPORTED"


class ComfyError(Exception):
    """Base of everything that this library raises on purpose."""

    code: ClassVar[ErrorCode]
    """What programs may rely on, whatever becomes of a message. One for each class."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__module__ == __name__:
            # Where people find it: tracebacks tell of it before anybody has looked there.
            cls.__module__ = "comfy_trio"

    def __init__(self, message: str) -> None:
        left_out = len(message) - MESSAGE_LENGTH
        if left_out > 0:
            message = f"{message[:MESSAGE_LENGTH]}... (and {left_out} more characters)"
        super().__init__(message)


class WorkflowError(ComfyError, ValueError):
    """The workflow, or what was asked of it, is wrong. Nothing was sent.

    Args:
        message: What is wrong and what to do.
        node_id: The node concerned, if it is one.
        input_name: Its input, if it is one.
    """

    code = ErrorCode.WORKFLOW

    def __init__(
        self, message: str, *, node_id: str | None = None, input_name: str | None = None
    ) -> None:
        super().__init__(message)
        self.node_id = node_id
        self.input_name = input_name


class WorkflowNotSupportedError(ComfyError):
    """No server of a pool can run the workflow: each lacks something, or is excluded.

    Args:
        message: Which server lacks what.
        reasons: Why not, by server id.
    """

    code = ErrorCode.WORKFLOW_NOT_SUPPORTED

    def __init__(self, message: str, *, reasons: Mapping[str, str]) -> None:
        super().__init__(message)
        self.reasons: Mapping[str, str] = dict(reasons)


class ServerUnreachableError(ComfyError):
    """Nobody answers at the address: wrong host or port, server down, TLS refused.

    Args:
        message: What happened and what to check.
        url: The server's address, without credentials.
    """

    code = ErrorCode.UNREACHABLE

    def __init__(self, message: str, *, url: str) -> None:
        super().__init__(message)
        self.url = url


class DisconnectedError(ComfyError):
    """The connection to the server broke, and what was under way could not be settled.

    Args:
        message: What happened and what may still be true at the server.
        prompt_id: The job concerned, if it is one.
    """

    code = ErrorCode.DISCONNECTED

    def __init__(self, message: str, *, prompt_id: str | None = None) -> None:
        super().__init__(message)
        self.prompt_id = prompt_id


class CredentialsError(ComfyError):
    """The credentials could not be had: what was to give them raised, or gave what is none.

    Nothing was sent. The reason is the ``__cause__``, unless its text repeats a secret.
    """

    code = ErrorCode.CREDENTIALS


class FileError(ComfyError):
    """A file cannot be read, written or named as asked. Nothing was left half done."""

    code = ErrorCode.FILE


class ServerCrashedError(ComfyError):
    """A server that this program had started ended by itself.

    Args:
        message: How it ended, and what it wrote last.
        returncode: The exit code of its process; below 0, the number of the signal that killed it;
            None if there was no process, because it could not be started.
        log: The last lines that it wrote.
    """

    code = ErrorCode.SERVER_CRASHED

    def __init__(self, message: str, *, returncode: int | None, log: Sequence[str]) -> None:
        super().__init__(message)
        self.returncode: int | None = returncode
        self.log: tuple[str, ...] = tuple(log)


class InternalError(RuntimeError):
    """A background task of the library crashed: a bug of `comfy_trio`. Please report it."""


@attrs.frozen
class ReplySummary:
    """The reply behind a `ResponseError`.

    Args:
        method: HTTP method of the request.
        url: Its URL, without credentials.
        status: HTTP status of the reply.
        body: The reply's body parsed as JSON; None if it is not JSON, or empty.
        snippet: The first 500 characters of the body as text.
        retry_after: Seconds after which the server wants to be asked again, if it says so.
    """

    method: str
    url: str
    status: int
    body: JSON = None
    snippet: str = ""
    retry_after: float | None = None


class ResponseError(ComfyError):
    """The server replied, but not with what the request asks for."""

    code = ErrorCode.RESPONSE

    def __init__(self, message: str, reply: ReplySummary) -> None:
        super().__init__(message)
        self.reply = reply

    @property
    def status(self) -> int:
        """HTTP status of the reply."""
        return self.reply.status

    @property
    def method(self) -> str:
        """HTTP method of the request."""
        return self.reply.method

    @property
    def url(self) -> str:
        """URL of the request, without credentials."""
        return self.reply.url

    @property
    def body(self) -> JSON:
        """The reply's body parsed as JSON; None if it is not JSON, or empty."""
        return self.reply.body

    @property
    def snippet(self) -> str:
        """The first 500 characters of the reply's body."""
        return self.reply.snippet

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the server wants to be asked again; None if it does not say."""
        return self.reply.retry_after


class AuthenticationError(ResponseError):
    """The server, or a proxy before it, wants other credentials (401, 403, 407)."""

    code = ErrorCode.AUTHENTICATION


class ForbiddenError(ResponseError):
    """The server knows how, and does not do it: its configuration forbids what was asked."""

    code = ErrorCode.FORBIDDEN


class RequestTooLargeError(ResponseError):
    """The request is larger than the server or a proxy takes (413)."""

    code = ErrorCode.TOO_LARGE


class PaymentRequiredError(ResponseError):
    """A hosted server wants to be paid: the account has not enough credits (402)."""

    code = ErrorCode.PAYMENT_REQUIRED


class TooManyRequestsError(ResponseError):
    """The server wants to be asked less (429); see `ResponseError.retry_after`.

    Comfy Cloud answers so, too, when an account has no active subscription.
    """

    code = ErrorCode.TOO_MANY_REQUESTS


class ServiceUnavailableError(ResponseError):
    """The server, or what a proxy stands before, is not there for now (503).

    See `ResponseError.retry_after`.
    """

    code = ErrorCode.SERVICE_UNAVAILABLE


class ReplyTooLargeError(ResponseError):
    """The reply is larger than ``max_reply_size`` of `open_comfy`. What was read is thrown away."""

    code = ErrorCode.REPLY_TOO_LARGE


class NotComfyUIError(ResponseError):
    """Something answers at the address, but it is not ComfyUI."""

    code = ErrorCode.NOT_COMFYUI


class UnsupportedError(ResponseError):
    """The server does not have the route: too old for it, or without the extension that has it."""

    code = ErrorCode.UNSUPPORTED


class AlreadyExistsError(ResponseError):
    """What was to be made is there already: a user of that name, a file not to be overwritten."""

    code = ErrorCode.ALREADY_EXISTS


class UnknownUserError(ResponseError):
    """The server keeps its users apart, and has none of the id that the client acts for.

    Args:
        message: Which user, and what to do.
        reply: The server's reply, whose status is 401, 403 or 500, whatever the route makes of it.
        user: The id; None if the client names no user.
    """

    code = ErrorCode.UNKNOWN_USER

    def __init__(self, message: str, reply: ReplySummary, *, user: str | None) -> None:
        super().__init__(message, reply)
        self.user = user


class NotFoundError(ResponseError):
    """The server does not have what was asked for by its name: a class, a folder, a template."""

    code = ErrorCode.NOT_FOUND


class AssetError(ResponseError):
    """The server's assets API refuses what was asked of it.

    Args:
        message: The server's reason.
        reply: The reply.
        reason: The server's own name for it, such as ``ASSET_NOT_FOUND``, ``FILE_NOT_FOUND``,
            ``FORBIDDEN``, ``HASH_MISMATCH`` or ``INVALID_BODY``. Servers may know others.
        details: The server's particulars.
    """

    code = ErrorCode.ASSET

    def __init__(
        self,
        message: str,
        reply: ReplySummary,
        *,
        reason: str,
        details: JSONObject | None = None,
    ) -> None:
        super().__init__(message, reply)
        self.reason = reason
        self.details: JSONObject = details or {}


@attrs.frozen
class InputError:
    """One reason why the server refuses a node.

    Args:
        type: The server's name for it, such as ``value_not_in_list``.
        message: The server's sentence.
        details: The server's particulars, often the input and the value.
        input_name: The input concerned, if the server names one.
        extra_info: Whatever else the server says of it.
    """

    type: str
    message: str
    details: str = ""
    input_name: str | None = None
    extra_info: Mapping[str, Any] = attrs.field(factory=dict[str, Any])

    def __str__(self) -> str:
        if self.input_name is None:
            return f"{self.message} ({self.details})" if self.details else self.message
        # The server begins the details with the input's name, if it does not end there.
        details = self.details.removeprefix(self.input_name).lstrip(" :,-")
        particulars = f" ({details})" if details else ""
        return f"input {self.input_name!r}: {self.message}{particulars}"


@attrs.frozen
class NodeErrors:
    """Why the server refuses one node.

    Args:
        node_id: The node.
        class_type: Its class.
        title: Its title on the canvas; empty if it has none.
        errors: The reasons. Empty when only a node before it is at fault.
        dependent_outputs: The output nodes that do not run because of it.
    """

    node_id: str
    class_type: str
    title: str = ""
    errors: tuple[InputError, ...] = ()
    dependent_outputs: tuple[str, ...] = ()

    def __str__(self) -> str:
        name = describe_node(self.node_id, self.class_type, self.title)
        return f"{name}: {'; '.join(map(str, self.errors)) or 'a node before it is refused'}"


def describe_node(node_id: str | None, class_type: str | None, title: str | None = None) -> str:
    """Name a node as every message of the library does: ``node 3 (KSampler, "Sampler")``."""
    if node_id is None:
        return f"a node of class {class_type}" if class_type else "a node"
    known = [class_type] if class_type else []
    if title and title != class_type:
        known.append(f'"{title}"')
    return f"node {node_id} ({', '.join(known)})" if known else f"node {node_id}"


class EnqueueFailedError(ResponseError):
    """The server refused the workflow. It does not run.

    Args:
        message: The server's reason, node by node.
        reply: The reply.
        reason: The server's own name for the refusal, such as
            ``prompt_outputs_failed_validation``; a sentence where it has no name.
        node_errors: What is wrong with which node, by node id.
    """

    code = ErrorCode.ENQUEUE_FAILED

    def __init__(
        self,
        message: str,
        reply: ReplySummary,
        *,
        reason: str = "",
        node_errors: Mapping[str, NodeErrors] | None = None,
    ) -> None:
        super().__init__(message, reply)
        self.reason = reason
        self.node_errors: Mapping[str, NodeErrors] = node_errors or {}


class MissingNodeError(EnqueueFailedError):
    """The server does not have a class of nodes that the workflow uses.

    Args:
        message: Which node, and what to do.
        reply: The reply.
        reason: See `EnqueueFailedError`.
        node_id: The first such node, if the server names it.
        class_type: The missing class, if the server names it.
    """

    code = ErrorCode.MISSING_NODE

    def __init__(
        self,
        message: str,
        reply: ReplySummary,
        *,
        reason: str = "",
        node_id: str | None = None,
        class_type: str | None = None,
    ) -> None:
        super().__init__(message, reply, reason=reason)
        self.node_id = node_id
        self.class_type = class_type


class JobError(ComfyError):
    """A job was accepted and did not end well.

    Args:
        message: What happened, to which node, and what to do.
        prompt_id: The job.
    """

    def __init__(self, message: str, *, prompt_id: str) -> None:
        super().__init__(message)
        self.prompt_id = prompt_id


class ExecutionFailedError(JobError):
    """A node raised while it ran.

    Args:
        message: The node and its exception.
        prompt_id: The job.
        node_id: The node.
        class_type: Its class.
        title: Its title on the canvas; empty if it has none.
        exception_type: Name of the exception's class at the server.
        exception_message: The exception's text.
        traceback: The server's traceback, a line or more an item.
        current_inputs: The values that the node was called with, as the server shows them.
        executed: The nodes that had run before.
    """

    code = ErrorCode.EXECUTION_FAILED

    def __init__(
        self,
        message: str,
        *,
        prompt_id: str,
        node_id: str,
        class_type: str,
        title: str = "",
        exception_type: str = "",
        exception_message: str = "",
        traceback: Sequence[str] = (),
        current_inputs: JSONObject | None = None,
        executed: Sequence[str] = (),
    ) -> None:
        super().__init__(message, prompt_id=prompt_id)
        self.node_id = node_id
        self.class_type = class_type
        self.title = title
        self.exception_type = exception_type
        self.exception_message = exception_message
        self.traceback: tuple[str, ...] = tuple(traceback)
        self.current_inputs: JSONObject = current_inputs or {}
        self.executed: tuple[str, ...] = tuple(executed)


class ExecutionInterruptedError(JobError):
    """The job was cancelled: by this client, or by someone else at the server.

    Args:
        message: Who or what stopped it, and at which node.
        prompt_id: The job.
        node_id: The node that was running; None when none was.
        class_type: Its class.
        by_us: Whether this client asked for it.
    """

    code = ErrorCode.EXECUTION_INTERRUPTED

    def __init__(
        self,
        message: str,
        *,
        prompt_id: str,
        node_id: str | None = None,
        class_type: str | None = None,
        by_us: bool = False,
    ) -> None:
        super().__init__(message, prompt_id=prompt_id)
        self.node_id = node_id
        self.class_type = class_type
        self.by_us = by_us


class WentMissingError(JobError):
    """The job is neither in the server's queue nor in its history.

    Args:
        message: What became of it, as far as the server tells.
        prompt_id: The job.
        disappearance: The same, for programs.
    """

    code = ErrorCode.WENT_MISSING

    def __init__(
        self,
        message: str,
        *,
        prompt_id: str,
        disappearance: Disappearance = Disappearance.UNKNOWN,
    ) -> None:
        super().__init__(message, prompt_id=prompt_id)
        self.disappearance: Disappearance = disappearance


class FailedCacheError(JobError):
    """The server answered wholly from its cache and has no outputs to show for it.

    Its history or files were cleared while its node cache was not. Change an input, or free the
    server's memory, and run again.
    """

    code = ErrorCode.FAILED_CACHE


class PicturesLostError(JobError):
    """The job ran to its end, but pictures that it sent over the WebSocket did not arrive.

    Such pictures (of nodes SaveImageWebsocket) the server sends once, and keeps none. They are lost
    when the connection is, be it to a message over ``max_message_size``, while the node runs.

    Args:
        message: Which nodes, and why.
        prompt_id: The job.
        node_ids: The nodes whose pictures did not arrive, or not all.
        result: What there is nevertheless.
    """

    code = ErrorCode.PICTURES_LOST

    def __init__(
        self, message: str, *, prompt_id: str, node_ids: Sequence[str], result: JobResult
    ) -> None:
        super().__init__(message, prompt_id=prompt_id)
        self.node_ids: tuple[str, ...] = tuple(node_ids)
        self.result = result


class CustomEventError(JobError):
    """The run ended with an error event that no node of ComfyUI's own protocol explains.

    Args:
        message: What the event says.
        prompt_id: The job.
        payload: The event's data, as it came.
    """

    code = ErrorCode.CUSTOM_EVENT

    def __init__(self, message: str, *, prompt_id: str, payload: JSONObject) -> None:
        super().__init__(message, prompt_id=prompt_id)
        self.payload = payload
