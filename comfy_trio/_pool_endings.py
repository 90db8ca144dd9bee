"""How jobs of a pool end other than by a result: what is told, and what is raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._errors import DisconnectedError, ExecutionInterruptedError, WorkflowNotSupportedError
from ._pool_events import JobFailed, JobInterrupted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._pool_job import Ticket


def failure(ticket: Ticket, error: BaseException, *, will_retry: bool) -> JobFailed:
    """Return what is told of a failure of the attempt that was the last so far."""
    server_id = _last_server(ticket)
    return JobFailed(ticket.job_id, server_id, len(ticket.past), error, will_retry)


def interruption(ticket: Ticket, *, by_us: bool) -> JobInterrupted:
    """Return what is told of a job that was stopped."""
    return JobInterrupted(ticket.job_id, _last_server(ticket), by_us)


def cancellation(ticket: Ticket) -> ExecutionInterruptedError:
    """Return the error of a job that its owner stopped."""
    return ExecutionInterruptedError(
        f"job {ticket.job_id} was cancelled by this program",
        prompt_id=(ticket.past[-1].prompt_id if ticket.past else None) or "",
        by_us=True,
    )


def unseen_end(ticket: Ticket) -> DisconnectedError:
    """Return the error of a job that the pool had no time to stop."""
    return DisconnectedError(
        f"job {ticket.job_id} was not seen to stop before its pool was closed; it may still run at"
        " its server"
    )


def unsupported(ticket: Ticket, obstacles: Mapping[str, str]) -> WorkflowNotSupportedError:
    """Return the error of a job that no server can have.

    Args:
        ticket: The job. What servers said themselves to it counts more.
        obstacles: Why not, by server.
    """
    said = {server_id: why for server_id, why in ticket.reasons if server_id in obstacles}
    reasons = {**obstacles, **said}
    listed = "".join(f"\n  {server_id}: {reason}" for server_id, reason in reasons.items())
    return WorkflowNotSupportedError(
        f"no server of the pool can run job {ticket.job_id}:{listed}", reasons=reasons
    )


def _last_server(ticket: Ticket) -> str | None:
    return ticket.past[-1].server_id if ticket.past else None
