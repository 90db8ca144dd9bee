"""What must hold, whatever happens; each with its reason.

While a world lives, as soon as it can be told:

1. *No job is accepted twice.* An image costs minutes of a GPU: a POST of which nobody knows
   whether it arrived is settled by the job's id, never by another one.
2. *Only its owner, or a person, stops a job.* The server is others' too, and its plain interrupt
   kills whatever runs.
3. *What a job's owner is told is what the server did*: a result is the job's own, and was; a
   failure or an interruption was; what is told to be gone is gone, for the reason that is told;
   what is told never to have got there did not. A program acts on what it is told.
4. *A job is stopped when its cancellation is over*: from then on it neither waits nor runs at the
   server, nor comes there later. That holds if nothing harmed HTTP between the client and the
   server since the cancellation began. If something did, the job is stopped when the bound of the
   cancellation is over, provided that nothing did in its last `REACH` seconds. A socket that is
   cut, deaf or slow is no excuse. (`Job.cancel` may give up; then it raises.)
5. *What a job tells is in order*: it begins at most once, ends exactly once, last of all, and as
   those are told who wait for it. Programs are state machines, too.
6. *In a world without any weather, a job's end is told within `PROMPTLY` seconds.* A client that
   misses frames, and finds out later by asking, is right and slow.
7. *One socket at a time.* ComfyUI deafens a client that opens one while it has another.

When a client is left:

8. *Every job that was wanted was told of exactly once*, and no handle is left unsettled: nobody
   waits for ever.
9. *Nothing is left*: no request holds a place, no job has a tracker, no buffer holds more than its
   bound. What leaks once a job fills up in a week.

When the storms are over:

10. *All comes right again*: a client has a socket on which it hears, without being told to.
11. *Nothing hangs*: the world ends within `SETTLES_WITHIN` seconds of the last harm.
12. *No task and no connection is left* at its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import trio

from comfy_trio import (
    Disappearance,
    DisconnectedError,
    EnqueueFailedError,
    ExecutionFailedError,
    ExecutionInterruptedError,
    Failed,
    Finished,
    JobResult,
    Pending,
    ResponseError,
    ServerUnreachableError,
    Started,
    WentMissingError,
)

if TYPE_CHECKING:
    from comfy_trio import Comfy, JobEvent
    from comfy_trio._tracker import JobTracker

    from ._network import Network
    from ._truth import Truth

REACH = 3.0
"""Seconds of good weather in which a client must have tried again to stop a job."""
PROMPTLY = 2.0
"""Seconds for a few messages to come and go at the slowest pace."""
SETTLES_WITHIN = 1000.0
"""Seconds that the work that is left, and all pauses and patience of a client, take at most."""
SUBSCRIBER_BOUND = 20
"""How many unread events a subscriber may have, in worlds: so few that some have more."""
EVENT_KINDS = 20
"""How many kinds of events a job has at most, of which one each is kept."""

NOT_SENT = (ServerUnreachableError, DisconnectedError, EnqueueFailedError, ResponseError)


class Violation(AssertionError):
    """Something does not hold."""


def require(holds: bool, what: str) -> None:
    """Raise unless something holds."""
    if not holds:
        raise Violation(what)


# --- 3. What is told is true ----------------------------------------------------------------------


def check_outcome(
    truth: Truth, told: object, *, by_owner: bool, keeps_history: bool, gave_up: bool
) -> None:
    """Compare what somebody is told of a job, now, with what is true, now.

    Args:
        truth: What is true.
        told: A result or an exception.
        by_owner: Whether it is the owner who is told, or else somebody who follows the job.
        keeps_history: Whether a restart kept the history, so that it hides itself.
        gave_up: Whether the client was closed, or counts its connection as failed; then it may say
            that it does not know.
    """
    match told:
        case JobResult():
            require(truth.ended == "completed", f"{truth} has a result, and did not complete")
            text = told["1"]["text"]
            require(text == [str(truth.salt)], f"{truth} has the result of another job: {text}")
        case ExecutionFailedError():
            require(truth.ended == "failed", f"{truth} is told to have failed, and did not")
        case ExecutionInterruptedError(by_us=True):
            require(by_owner, f"{truth} is told to be stopped by one who only followed it")
            require(truth.cancelled_at is not None, f"{truth} was not cancelled by its owner")
            stopped = truth.ended == "interrupted" or truth.lost or not truth.accepted
            require(bool(stopped), f"{truth} is told to be stopped, and was not")
        case ExecutionInterruptedError():
            require(truth.ended == "interrupted", f"{truth} was not interrupted")
            others = truth.stopped_by - ({truth.owner} if by_owner else set())
            require(bool(others), f"nobody else interrupted {truth}")
        case WentMissingError():
            require(bool(truth.lost), f"{truth} is told to be gone, and is not")
            if not keeps_history:
                _check_reason(truth, told.disappearance)
        case DisconnectedError() if gave_up:
            pass
        case Exception() if isinstance(told, NOT_SENT):
            gone = not truth.accepted or bool(truth.lost)
            require(gone, f"{truth} is told never to have been sent, and was: {told!r}")
        case _:
            raise Violation(f"{truth} has an outcome that there should not be: {told!r}")


def _check_reason(truth: Truth, told: Disappearance) -> None:
    reasons = {
        Disappearance.RESTARTED: {"restart"},
        Disappearance.DEQUEUED: {"dequeued"},
        Disappearance.FORGOTTEN: {"forgotten"},
        Disappearance.REMOVED: {"dequeued", "forgotten"},
        Disappearance.UNKNOWN: truth.lost,
    }
    holds = bool(reasons[told] & truth.lost)
    require(holds, f"{truth} is told to be gone because: {told}; it is {truth.lost}")


# --- 5. What a job tells is in order --------------------------------------------------------------


@attrs.define(eq=False)
class EventChecker:
    """Follows what one reader hears of one job."""

    truth: Truth
    heard: list[str] = attrs.field(factory=list[str])
    last: object = None

    def hear(self, event: JobEvent) -> None:
        """Take the next event."""
        kind = type(event).__name__
        require(self.last is None, f"{self.truth} tells {kind} after its end")
        if isinstance(event, Pending | Started):
            require(kind not in self.heard, f"{self.truth} tells {kind} twice")
        if isinstance(event, Pending):
            require("Started" not in self.heard, f"{self.truth} waits after it began")
        self.heard.append(kind)
        match event:
            case Finished():
                self.last = event.result
            case Failed():
                self.last = event.error
            case _:
                pass

    def end(self, told: object) -> None:
        """Compare the end with what those are told who wait for it."""
        require(self.last is not None, f"{self.truth} tells nothing of its end")
        require(self.last == told, f"{self.truth} tells {self.last!r}, and then {told!r}")


# --- 6. Promptly ----------------------------------------------------------------------------------


def check_promptness(truth: Truth) -> None:
    """Refuse that a job's end is told late, now."""
    late = trio.current_time() - truth.ended_at
    require(late <= PROMPTLY, f"the end of {truth} is told {late:.1f} s late")


# --- 7. to 10. ------------------------------------------------------------------------------------


def check_sockets(network: Network) -> None:
    """Refuse two sockets at once."""
    require(not network.two_at_once, f"{network.client} opened a socket while it had another")


def check_left(comfy: Comfy, actor: str, buffers: list[int]) -> None:
    """Refuse anything that a client that was left still holds.

    Args:
        comfy: The client.
        actor: Its name.
        buffers: How many unread events there are, of each of its subscribers.
    """
    session = comfy._session
    for http in (session.http, session.cleanup_http):
        told = http.statistics()
        held = told.borrowed_tokens + told.tasks_waiting
        require(not held, f"{actor} is closed, and {held} requests hold places")
    live = [str(tracker.prompt_id) for tracker in session.supervisor.live]
    require(not live, f"{actor} is closed, and has trackers of {live}")
    running = len(session.supervisor._running)
    # One whose end is on its way is no leak.
    require(running <= 1, f"{actor} is closed, and remembers {running} jobs that run")
    require(max(buffers, default=0) <= SUBSCRIBER_BOUND, f"{actor} keeps {buffers} events")


def check_tracker(tracker: JobTracker, truth: Truth) -> None:
    """Refuse a job that nobody settled, or that keeps what it told."""
    require(tracker.ended.is_set(), f"{truth} is not settled, and its client is closed")
    kept = len(tracker._latest)
    require(kept <= EVENT_KINDS, f"{truth} keeps {kept} events")
