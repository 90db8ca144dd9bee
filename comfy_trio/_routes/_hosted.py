"""How jobs ended on hosted servers, which have no ``/history`` of one job.

Comfy Cloud has ``GET /api/jobs/{id}`` instead, and the deprecated ``GET /api/history_v2/{id}``:
https://github.com/Comfy-Org/docs/blob/main/openapi-cloud.yaml, and openapi.yaml of ComfyUI, which
describes the same service. What the statuses stand for is in CLOUD_API_RECOMMENDATIONS.md of the
same repository, and under "Checking Job Status" of
https://docs.comfy.org/development/cloud/api-reference: all but the terminal ones mean that the job
is under way, whatever their names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from .._replies import get, quote_segment, unexpected
from .._state import SeenPending, SeenRunning
from .._wire import ExecutionInterrupted, decode_execution_error
from ._history import HistoryEntry, entry_of, read_history_entry
from ._jobs import is_unknown, read_job

if TYPE_CHECKING:
    from .._replies import Reply, Request

Found: TypeAlias = SeenPending | SeenRunning | HistoryEntry | None

_PENDING: Final = frozenset(
    {
        "pending",
        "waiting_to_dispatch",
        "submitted",
        "queued_limited",
        "queued_waiting",
        "allocated",
        "preparing",
        "pending_execution",
    }
)
_SUCCEEDED: Final = frozenset({"completed", "success"})
_FAILED: Final = frozenset({"failed", "error", "non_retryable_error", "lost"})


def history_v2_of(prompt_id: str) -> Request:
    """Return the request for one job's history, as a hosted server keeps it."""
    return get(f"/history_v2/{quote_segment(prompt_id)}")


def read_job_outcome(reply: Reply, prompt_id: str) -> Found:
    """Read the reply to GET /jobs/{id}; None if there is no such job.

    Raises:
        ResponseError: it is something else.
    """
    job = read_job(reply)
    if job is None:
        return None
    if job.status in _PENDING:
        return SeenPending()
    try:
        told = {"outputs": job.raw.get("outputs"), "status": job.raw.get("execution_status")}
        entry = entry_of(prompt_id, told)
        if job.status in _SUCCEEDED:
            return attrs.evolve(entry, failure=None)
        if job.status == "cancelled":
            return attrs.evolve(entry, failure=ExecutionInterrupted(prompt_id))
        if job.status in _FAILED:
            unexplained = {
                "prompt_id": prompt_id,
                "exception_message": f"its status is {job.status}",
            }
            failure = entry.failure or job.failure or decode_execution_error(unexplained)
            return attrs.evolve(entry, failure=failure)
    except (KeyError, TypeError, ValueError):
        raise unexpected(reply, "a job") from None
    return SeenRunning()


def read_history_v2(reply: Reply, prompt_id: str) -> HistoryEntry | None:
    """Read the reply to GET /history_v2/{id}; None if the job is not over, or unknown.

    Raises:
        ResponseError: it is something else.
    """
    return None if is_unknown(reply) else read_history_entry(reply, prompt_id)
