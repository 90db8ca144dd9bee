"""What the failure of an attempt means."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from comfy_trio import (
    AuthenticationError,
    ComfyError,
    CustomEventError,
    DisconnectedError,
    EnqueueFailedError,
    ExecutionFailedError,
    ExecutionInterruptedError,
    FailedCacheError,
    FileError,
    InputError,
    MissingNodeError,
    NodeErrors,
    ReplySummary,
    RequestTooLargeError,
    ResponseError,
    ServerUnreachableError,
    WentMissingError,
    WorkflowError,
)
from comfy_trio._failover import Verdict, is_refused, judge


def reply(status: int) -> ReplySummary:
    return ReplySummary("POST", "http://a/prompt", status)


def refusal(*errors: InputError, status: int = 400) -> EnqueueFailedError:
    nodes = {"1": NodeErrors("1", "A", errors=errors), "2": NodeErrors("2", "B")} if errors else {}
    return EnqueueFailedError("no", reply(status), node_errors=nodes)


def not_in_list(name: str, value: Any) -> InputError:
    return InputError(
        "value_not_in_list", "no", input_name=name, extra_info={"received_value": value}
    )


def raised(exception: str, message: str = "") -> ExecutionFailedError:
    return ExecutionFailedError(
        "no",
        prompt_id="p",
        node_id="1",
        class_type="A",
        exception_type=exception,
        exception_message=message,
    )


INVALID_IMAGE = InputError("custom_validation_failed", "no", "image - Invalid image file: a.png")
TOO_SMALL = InputError("value_smaller_than_min", "no", input_name="steps")


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (WorkflowError("no"), Verdict.WORKFLOW),
        (FileError("no"), Verdict.WORKFLOW),
        (FileNotFoundError("here, not there"), Verdict.WORKFLOW),
        (RuntimeError("of a function of the user's"), Verdict.WORKFLOW),
        (MissingNodeError("no", reply(400)), Verdict.INCOMPATIBLE),
        (RequestTooLargeError("no", reply(413)), Verdict.INCOMPATIBLE),
        (refusal(), Verdict.WORKFLOW),
        (refusal(TOO_SMALL), Verdict.WORKFLOW),
        (refusal(not_in_list("sampler_name", "eulerr")), Verdict.WORKFLOW),
        (refusal(not_in_list("ckpt_name", "a model")), Verdict.INCOMPATIBLE),
        (refusal(not_in_list("x", "a.safetensors")), Verdict.INCOMPATIBLE),
        (refusal(not_in_list("x", "a.safetensors"), TOO_SMALL), Verdict.WORKFLOW),
        (refusal(INVALID_IMAGE), Verdict.INCOMPATIBLE),
        (refusal(status=500), Verdict.SERVER),
        (refusal(status=429), Verdict.SERVER),
        (ResponseError("no", reply(502)), Verdict.SERVER),
        (ResponseError("no", reply(404)), Verdict.WORKFLOW),
        (AuthenticationError("no", reply(401)), Verdict.SERVER),
        (raised("RuntimeError", "boom"), Verdict.WORKFLOW),
        (raised("torch.OutOfMemoryError"), Verdict.OVERTAXED),
        (raised("RuntimeError", "CUDA out of memory. Tried to"), Verdict.OVERTAXED),
        (raised("MemoryError"), Verdict.OVERTAXED),
        (raised("RuntimeError", "CUDA error: device-side assert"), Verdict.SERVER),
        (raised("FileNotFoundError", "a.safetensors"), Verdict.INCOMPATIBLE),
        (ExecutionInterruptedError("no", prompt_id="p"), Verdict.PERSON),
        (WentMissingError("no", prompt_id="p"), Verdict.PERSON),
        (FailedCacheError("no", prompt_id="p"), Verdict.OVERTAXED),
        (CustomEventError("no", prompt_id="p", payload={}), Verdict.WORKFLOW),
        (ServerUnreachableError("no", url="http://a"), Verdict.UNSENT),
        (DisconnectedError("no"), Verdict.SERVER),
    ],
)
def test_verdicts(error: Exception, verdict: Verdict) -> None:
    assert judge(error) is verdict


def test_what_is_known_of_the_attempt_besides() -> None:
    missing = WentMissingError("no", prompt_id="p")
    assert judge(missing, restarted=True) is Verdict.SERVER
    assert judge(DisconnectedError("no"), unsettled=True) is Verdict.UNSETTLED
    assert judge(missing, unsettled=True) is Verdict.UNSETTLED
    assert judge(DisconnectedError("no"), sent=False) is Verdict.UNSENT


@pytest.mark.parametrize(
    ("verdict", "elsewhere", "counts", "blames"),
    [
        (Verdict.WORKFLOW, False, False, False),
        (Verdict.PERSON, False, False, False),
        (Verdict.UNSETTLED, False, False, False),
        (Verdict.INCOMPATIBLE, True, False, False),
        (Verdict.OVERTAXED, True, True, False),
        (Verdict.SERVER, True, True, True),
        (Verdict.UNSENT, True, False, True),
    ],
)
def test_what_verdicts_lead_to(
    verdict: Verdict, elsewhere: bool, counts: bool, blames: bool
) -> None:
    assert verdict.may_go_elsewhere is elsewhere
    assert verdict.counts is counts
    assert verdict.blames_server is blames


def chained(*errors: Exception) -> Exception:
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[0]


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (ConnectionRefusedError(), True),
        (chained(ComfyError("a"), OSError("b"), ConnectionRefusedError()), True),
        (TimeoutError(), False),
        (ComfyError("a"), False),
        (
            chained(
                OSError("all"),
                ExceptionGroup("all", [ConnectionRefusedError(), ConnectionRefusedError()]),
            ),
            True,
        ),
        (
            chained(
                OSError("all"),
                ExceptionGroup("all", [ConnectionRefusedError(), TimeoutError()]),
            ),
            False,
        ),
    ],
)
def test_refused_connections(error: Exception, refused: bool) -> None:
    assert is_refused(error) is refused
