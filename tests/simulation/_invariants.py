"""What must hold, whatever happens.

1. Every job ends exactly once, with the outcome that the server truly had.
2. No job is accepted twice.
3. A result is that of the job that it was asked for.
4. What is told to have failed before the server had it never runs.
5. A job that is told to be gone is gone: with a restart, or because a person removed it. Which of
   these is told is true, unless frames overtook each other.
6. A person's interruption is told as such, and ours as ours.
7. What is cancelled in fair weather is not queued and does not run when the cancellation is over.
8. Jobs of strangers are never stopped.
9. When a client is closed, it holds no task, no socket and no request.
10. Nothing hangs: a world ends within a bound of virtual time.
11. Where nothing goes wrong, an outcome is told at once; but to clients that did not submit the
    job, which ComfyUI tells nothing, when they next ask.
12. Who listens hears every event or how many it missed, however slow it is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs

from comfy_trio import (
    Disappearance,
    DisconnectedError,
    EnqueueFailedError,
    ExecutionFailedError,
    ExecutionInterruptedError,
    JobResult,
    ResponseError,
    ServerUnreachableError,
    WentMissingError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

NEVER_ENDS = 20_000.0
"""Seconds of virtual time after which something hangs."""

AT_ONCE = 2.0
"""Seconds between a job's end and that it is told."""
WHEN_ASKED = 12.0
"""The same for another client than that which submitted it."""

NOT_SENT = (ServerUnreachableError, DisconnectedError, EnqueueFailedError, ResponseError)


@attrs.define(eq=False)
class Truth:
    """What the server did with one job, and what its client was told."""

    number: int
    fails: bool = False
    stranger: bool = False
    accepted: int = 0
    completed: int = 0
    raised: int = 0
    interrupted: int = 0
    lost: set[str] = attrs.field(factory=set[str])
    """Why the server may know nothing of it: ``restart``, ``quiet restart`` (one over which the
    server kept its history, so that nothing tells of it), ``dequeued``, ``forgotten``."""
    restarted: bool = False
    """Whether the server was restarted since it had the job."""
    meddled: bool = False
    """Whether a person interrupted it."""
    cancelled: bool = False
    over_at: float | None = None
    """When the server was done with it."""
    told: list[object] = attrs.field(factory=list[object])
    """How it ended, for its client: a result, an exception, or ``cancelled``."""
    told_at: float = 0.0
    told_within: float = math.inf
    """How soon it should be told, where nothing goes wrong."""


class Violation(AssertionError):
    """Something does not hold."""


def require(holds: bool, what: str, truth: Truth) -> None:
    """Raise unless something holds."""
    if not holds:
        raise Violation(f"{what}: {truth}")


def check(truths: Iterable[Truth], *, calm: bool, disorder: bool) -> None:
    """Compare what clients were told with what was true.

    Args:
        truths: Of all jobs.
        calm: Whether nothing went wrong at all.
        disorder: Whether frames overtook each other.

    Raises:
        Violation: the two differ.
    """
    for truth in truths:
        if truth.stranger:
            excused = truth.meddled or truth.restarted
            require(not truth.interrupted or excused, "a stranger's job was stopped", truth)
            continue
        require(truth.accepted <= 1, "accepted twice", truth)
        require(len(truth.told) == 1, "ended not once", truth)
        _check_outcome(truth, truth.told[0], disorder=disorder)
        if calm and truth.over_at is not None and truth.told != ["cancelled"]:
            took = truth.told_at - truth.over_at
            require(took <= truth.told_within, f"told {took:.0f} s late", truth)


def _check_outcome(truth: Truth, told: object, *, disorder: bool) -> None:
    match told:
        case "cancelled":
            require(truth.cancelled, "nobody cancelled it", truth)
        case JobResult():
            require(told["1"]["text"] == [str(truth.number)], "the result of another job", truth)
            require(truth.completed == 1, "a result that never was", truth)
        case ExecutionFailedError():
            require(truth.raised == 1, "a failure that never was", truth)
        case ExecutionInterruptedError():
            if told.by_us:
                require(truth.cancelled, "nobody of us stopped it", truth)
            else:
                require(truth.meddled, "nobody else stopped it", truth)
            # A result that went before anybody read it might never have been.
            gone = bool(truth.lost)
            require(not truth.completed or gone, "stopped, and yet complete", truth)
        case WentMissingError():
            require(bool(truth.lost), "it is not gone", truth)
            if not disorder:
                _check_disappearance(truth, told.disappearance)
        case Exception() if isinstance(told, NOT_SENT):
            require(not truth.accepted or bool(truth.lost), "it was sent after all", truth)
        case _:
            require(False, f"an outcome that there should not be: {told!r}", truth)


def _check_disappearance(truth: Truth, told: Disappearance) -> None:
    match told:
        case Disappearance.RESTARTED:
            require(truth.restarted, "there was no restart", truth)
        case Disappearance.DEQUEUED:
            require("dequeued" in truth.lost, "nobody dequeued it", truth)
        case Disappearance.FORGOTTEN:
            deleted = {"forgotten", "quiet restart"}
            require(bool(truth.lost & deleted), "nobody deleted it", truth)
        case Disappearance.REMOVED:
            removed = {"dequeued", "forgotten", "quiet restart"}
            require(bool(truth.lost & removed), "nobody removed it", truth)
        case Disappearance.UNKNOWN:
            pass
