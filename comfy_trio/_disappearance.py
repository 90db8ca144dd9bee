"""Why a server may know nothing of a job that it had."""

from __future__ import annotations

from enum import StrEnum


class Disappearance(StrEnum):
    """What became of a job that is neither in the queue nor in the history."""

    DEQUEUED = "somebody took it out of the queue before it began"
    FORGOTTEN = "it began, and somebody deleted it from the history"
    REMOVED = "somebody took it out of the queue or deleted it from the history"
    RESTARTED = "the server was restarted, and keeps neither over that"
    UNKNOWN = "somebody removed it or cleared the history, or the server was restarted"


def explain_disappearance(
    *, began: bool | None, undisturbed: bool, refused: bool, keeps_history: bool | None
) -> Disappearance:
    """Tell what became of a job, as far as anything tells it.

    Args:
        began: Whether the server was seen to work on it; None if it might have, and this client
            would not have heard: its socket may be deaf, and ComfyUI tells that only whoever sent
            the job.
        undisturbed: Whether the WebSocket was there since the job was sent. Then the server was not
            restarted.
        refused: Whether a connection was refused meanwhile: no process had the port.
        keeps_history: Whether the history still holds a job that was in it before this one was
            sent; None if nobody knows of one. A restart leaves none.
    """
    if refused:
        return Disappearance.RESTARTED
    if undisturbed and began is not None:
        return Disappearance.FORGOTTEN if began else Disappearance.DEQUEUED
    if undisturbed or keeps_history:
        return Disappearance.FORGOTTEN if began else Disappearance.REMOVED
    return Disappearance.UNKNOWN
