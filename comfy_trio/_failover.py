"""What the failure of an attempt means: whether the job may run again, and where.

An attempt that failed because of the server goes elsewhere; one that failed because of the workflow
would fail anywhere; one that a person stopped must not come back; and one of which nobody knows how
it ended must not run a second time.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, cast

from ._disappearance import Disappearance
from ._errors import (
    AuthenticationError,
    CredentialsError,
    DisconnectedError,
    EnqueueFailedError,
    ExecutionFailedError,
    ExecutionInterruptedError,
    FailedCacheError,
    MissingNodeError,
    NotComfyUIError,
    RequestTooLargeError,
    ResponseError,
    ServerUnreachableError,
    WentMissingError,
)
from ._file_choices import NAMES, is_file

if TYPE_CHECKING:
    from ._errors import InputError


class Verdict(StrEnum):
    """Why an attempt failed."""

    WORKFLOW = "workflow"
    """It would fail on any server."""
    PERSON = "person"
    """Somebody stopped it: interrupted it, or took it out of the server's queue."""
    INCOMPATIBLE = "incompatible"
    """This server lacks what the workflow needs; others may have it."""
    OVERTAXED = "overtaxed"
    """This server could not do it this time, and is well otherwise."""
    SERVER = "server"
    """The server failed."""
    UNSENT = "unsent"
    """The server failed before it had the job."""
    UNSETTLED = "unsettled"
    """Nobody knows whether it still runs, or did."""

    @property
    def may_go_elsewhere(self) -> bool:
        """Whether the attempt is over for sure, and another server may do better."""
        return self in _ELSEWHERE

    @property
    def counts(self) -> bool:
        """Whether it uses up one of the retries.

        Of the verdicts that lead elsewhere, one that excludes its server comes once for each, and a
        job that no server had was not tried. All others may be the job's own doing.
        """
        return self in {Verdict.OVERTAXED, Verdict.SERVER}

    @property
    def blames_server(self) -> bool:
        """Whether it speaks against giving the server more jobs."""
        return self in {Verdict.SERVER, Verdict.UNSENT}


_ELSEWHERE: Final = {Verdict.INCOMPATIBLE, Verdict.OVERTAXED, Verdict.SERVER, Verdict.UNSENT}

OUT_OF_MEMORY: Final = ("outofmemory", "out of memory", "allocation on device", "memoryerror")
"""What exceptions of nodes say when the memory does not suffice, without regard to case."""
DEVICE_TROUBLE: Final = ("cuda error", "hip error", "cudnn_status", "cublas_status")
"""What they say when the device itself is in trouble."""
CLIENT_AT_FAULT: Final = range(400, 500)
TRY_LATER: Final = {408, 425, 429}
"""Statuses of that range that blame the server's load or a proxy's, not the request."""


def judge(
    error: BaseException, *, unsettled: bool = False, restarted: bool = False, sent: bool = True
) -> Verdict:
    """Tell why an attempt failed.

    Args:
        error: What came of it.
        unsettled: Nobody knows whether the job still runs.
        restarted: The connection to the server was lost since the job was sent, so that a job it
            does not know any more was lost by it, rather than taken away by somebody.
        sent: Whether the server was given the job.
    """
    if unsettled:
        return Verdict.UNSETTLED
    match error:
        case MissingNodeError() | RequestTooLargeError():
            return Verdict.INCOMPATIBLE
        case EnqueueFailedError() if error.node_errors:
            return _judge_refusal(error)
        case AuthenticationError() | NotComfyUIError():
            return Verdict.SERVER if sent else Verdict.UNSENT
        case ResponseError():
            if error.status in CLIENT_AT_FAULT and error.status not in TRY_LATER:
                return Verdict.WORKFLOW
            return Verdict.SERVER
        case ExecutionFailedError():
            return _judge_node(error)
        case ExecutionInterruptedError():
            return Verdict.PERSON
        case WentMissingError():
            return _judge_disappearance(error.disappearance, restarted=restarted)
        case FailedCacheError():
            return Verdict.OVERTAXED
        case ServerUnreachableError() | CredentialsError():
            return Verdict.UNSENT
        case DisconnectedError():
            return Verdict.SERVER if sent else Verdict.UNSENT
        case _:
            return Verdict.WORKFLOW


def _judge_refusal(error: EnqueueFailedError) -> Verdict:
    """Tell whether all that the server does not like are files that it lacks."""
    reasons = [each for errors in error.node_errors.values() for each in errors.errors]
    lacks_files = bool(reasons) and all(_is_missing_file(each) for each in reasons)
    return Verdict.INCOMPATIBLE if lacks_files else Verdict.WORKFLOW


def _is_missing_file(error: InputError) -> bool:
    if error.type == "value_not_in_list":
        value = error.extra_info.get("received_value")
        return error.input_name in NAMES or (isinstance(value, str) and is_file(value))
    # LoadImage and its like: "image - Invalid image file: missing.png"
    return error.type == "custom_validation_failed" and is_file(error.details)


def _judge_disappearance(how: Disappearance, *, restarted: bool) -> Verdict:
    lost = restarted if how is Disappearance.UNKNOWN else how is Disappearance.RESTARTED
    return Verdict.SERVER if lost else Verdict.PERSON


def _judge_node(error: ExecutionFailedError) -> Verdict:
    said = f"{error.exception_type} {error.exception_message}".lower()
    if any(sign in said for sign in OUT_OF_MEMORY):
        return Verdict.OVERTAXED
    if any(sign in said for sign in DEVICE_TROUBLE):
        return Verdict.SERVER
    if error.exception_type.rpartition(".")[2] == "FileNotFoundError":
        return Verdict.INCOMPATIBLE
    return Verdict.WORKFLOW


def is_refused(error: BaseException) -> bool:
    """Tell whether a connection failed because nobody listens there: no process has the port.

    A name may stand for several addresses: all of them must have refused.
    """
    reasons = [error]
    refused = False
    while reasons:
        reason = reasons.pop()
        if isinstance(reason, BaseExceptionGroup):
            reasons += cast("BaseExceptionGroup[BaseException]", reason).exceptions
        elif reason.__cause__ is not None:
            reasons.append(reason.__cause__)
        elif isinstance(reason, ConnectionRefusedError):
            refused = True
        else:
            return False
    return refused
