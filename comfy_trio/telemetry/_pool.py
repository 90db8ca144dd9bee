"""What a pool tells: its jobs from the queue to their end, and its decisions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, final

import attrs
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from .._pool_events import (
    JobAdded,
    JobFailed,
    JobInterrupted,
    JobReturned,
    JobStarted,
    JobSucceeded,
    LocalServerCrashed,
    ServerAdded,
    ServerConnected,
    ServerCooling,
    ServerDisconnected,
    ServerReady,
    ServerReconnected,
    ServerRemoved,
    ServerUnreachable,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

    from .._pool_events import PoolEvent
    from ._instruments import OpenTelemetry

WAITING, RUNNING = "waiting", "running"
CHANGES = {
    ServerAdded: "added",
    ServerRemoved: "removed",
    ServerConnected: "connected",
    ServerUnreachable: "unreachable",
    ServerDisconnected: "disconnected",
    ServerReconnected: "reconnected",
    ServerReady: "ready",
    ServerCooling: "cooling",
    LocalServerCrashed: "crashed",
}


@attrs.define(eq=False)
class _Job:
    span: Span
    state: str = WAITING


@final
class PoolTelemetry:
    """Tells what happens in one pool.

    Args:
        telemetry: Where to tell; the clients of the pool tell there, too.
    """

    def __init__(self, telemetry: OpenTelemetry) -> None:
        self.telemetry = telemetry
        self._jobs: dict[int, _Job] = {}

    @contextmanager
    def attempt(self, job_id: int) -> Generator[None]:
        """Let what happens in the block belong to a job."""
        span = self._jobs[job_id].span
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield

    def note(self, event: PoolEvent) -> None:
        """Tell of an event. What comes in by it is a child of what is under way in this task."""
        match event:
            case JobAdded(job_id=job_id, weight=weight):
                self._add(job_id, weight)
            case JobStarted(job_id=job_id, server_id=server_id, attempt=attempt):
                self._enter(self._jobs[job_id], RUNNING)
                self._tell(job_id, "given to a server", server_id, attempt=attempt)
            case JobReturned(job_id=job_id, server_id=server_id, attempt=attempt):
                self._count(server_id, "returned")
                self._enter(self._jobs[job_id], WAITING)
                self._tell(job_id, "waits again", server_id, attempt=attempt)
            case JobFailed(job_id=job_id, server_id=server_id, attempt=attempt, will_retry=True):
                self._count(server_id, "retried")
                self._enter(self._jobs[job_id], WAITING)
                reason = str(event.error)
                self._tell(job_id, "goes elsewhere", server_id, attempt=attempt, reason=reason)
            case JobFailed(job_id=job_id, server_id=server_id):
                self._count(server_id, "failed")
                span = self._jobs[job_id].span
                span.record_exception(event.error)
                span.set_status(StatusCode.ERROR, str(event.error))
                self._end(job_id, "failed", server_id)
            case JobSucceeded(job_id=job_id, server_id=server_id):
                self._count(server_id, "succeeded")
                self._end(job_id, "succeeded", server_id)
            case JobInterrupted(job_id=job_id, server_id=server_id, by_us=by_us):
                self._count(server_id, "interrupted")
                self._tell(job_id, "interrupted", server_id, by_us=by_us)
                self._end(job_id, "interrupted", server_id)
            case (
                ServerAdded()
                | ServerRemoved()
                | ServerConnected()
                | ServerUnreachable()
                | ServerDisconnected()
                | ServerReconnected()
                | ServerReady()
                | ServerCooling()
                | LocalServerCrashed()
            ):
                change = CHANGES[type(event)]
                labels = {
                    "comfyui.pool.server_id": event.server_id,
                    "comfyui.pool.change": change,
                }
                self.telemetry._meters.server_changes.add(1, labels)
            case _:
                pass

    def _add(self, job_id: int, weight: float) -> None:
        labels: dict[str, AttributeValue] = {
            "comfyui.pool.job_id": job_id,
            "comfyui.pool.weight": weight,
        }
        span = self.telemetry._tracer.start_span("comfyui.pool.job", attributes=labels)
        self._jobs[job_id] = _Job(span)
        self.telemetry._meters.pool_jobs.add(1, {"comfyui.pool.state": WAITING})

    def _enter(self, job: _Job, state: str) -> None:
        meter = self.telemetry._meters.pool_jobs
        meter.add(-1, {"comfyui.pool.state": job.state})
        job.state = state
        meter.add(1, {"comfyui.pool.state": state})

    def _tell(
        self, job_id: int, what: str, server_id: str | None, **more: str | bool | int
    ) -> None:
        labels: dict[str, AttributeValue] = {
            "comfyui.pool.server_id": server_id or "",
            **{f"comfyui.pool.{name}": value for name, value in more.items()},
        }
        self._jobs[job_id].span.add_event(what, labels)

    def _count(self, server_id: str | None, outcome: str) -> None:
        if server_id is not None:
            labels = {"comfyui.pool.server_id": server_id, "comfyui.outcome": outcome}
            self.telemetry._meters.pool_attempts.add(1, labels)

    def _end(self, job_id: int, outcome: str, server_id: str | None) -> None:
        job = self._jobs.pop(job_id)
        self.telemetry._meters.pool_jobs.add(-1, {"comfyui.pool.state": job.state})
        if server_id is not None:
            job.span.set_attribute("comfyui.pool.server_id", server_id)
        job.span.set_attribute("comfyui.outcome", outcome)
        job.span.end()
