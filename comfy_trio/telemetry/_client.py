"""What one client tells: its jobs, the nodes that they run, and the outages of its WebSocket."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, final

import trio
from opentelemetry import context, trace
from opentelemetry.trace import StatusCode

from .._errors import ExecutionFailedError, ExecutionInterruptedError
from .._events import Failed, Finished, NodeStarted, Pending, Started
from ._http import TracedTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

    from .._address import ServerAddress
    from .._errors import ComfyError
    from .._events import JobEvent
    from .._tracker import JobTracker
    from .._transport import Transport
    from .._wire import ServerEvent
    from ._instruments import OpenTelemetry

SUCCEEDED = "succeeded"
LEFT = "left to the server"
"""How a job is over for a client that does not follow it."""


@final
class ClientTelemetry:
    """Tells what happens to one client; a `SessionObserver`.

    Args:
        telemetry: Where to tell.
        address: The client's server.
        client_id: The name under which the server knows it.
        mask: Takes secrets out of a text.
    """

    def __init__(
        self,
        telemetry: OpenTelemetry,
        address: ServerAddress,
        client_id: str,
        mask: Callable[[str], str],
    ) -> None:
        self._telemetry = telemetry
        self._address = address
        self._client_id = client_id
        self._mask = mask
        self._place: dict[str, AttributeValue] = {"server.address": address.host}
        self._place["server.port"] = address.port
        self._outage: Span | None = None

    def traced(self, transport: Transport) -> Transport:
        """Return a way to the server by which each request is told of."""
        return TracedTransport(transport, self._telemetry, self._address, self._mask)

    @contextmanager
    def job(self, tracker: JobTracker, *, follow: bool) -> Generator[None]:
        """Tell of a job until it ends. What is started in the block belongs to it.

        Args:
            tracker: The job's.
            follow: Whether its end will be told; or else it is over when the server has it.
        """
        labels = {"comfyui.client_id": self._client_id}
        told = JobTelemetry(self._telemetry, tracker, {**self._place, **labels}, follow=follow)
        tracker.listeners.append(told.note)
        with trace.use_span(told.span, record_exception=False, set_status_on_exception=False):
            yield

    def heard(self, event: ServerEvent) -> None:
        """See `SessionObserver`."""

    def lost(self, error: Exception) -> None:
        """See `SessionObserver`."""
        reason = self._mask(str(error))
        if self._outage is None:
            # It is nobody's in particular: what was under way when the client was opened is over.
            self._outage = self._telemetry._tracer.start_span(
                "comfyui.outage",
                context=context.Context(),
                attributes={**self._place, "comfyui.client_id": self._client_id},
            )
            self._outage.set_status(StatusCode.ERROR, reason)
        else:
            self._outage.add_event("not brought back", {"comfyui.reason": reason})

    def reconnected(self) -> None:
        """See `SessionObserver`."""
        self._telemetry._meters.reconnections.add(1, self._place)
        self.close()

    def close(self) -> None:
        """Tell that there is no outage any more, or nobody who would mind."""
        if self._outage is not None:
            self._outage.end()
            self._outage = None


@final
class JobTelemetry:
    """Tells what happens to one job.

    Args:
        telemetry: Where to tell.
        tracker: The job's.
        labels: Of the client.
        follow: Whether its end will be told.
    """

    def __init__(
        self,
        telemetry: OpenTelemetry,
        tracker: JobTracker,
        labels: Mapping[str, AttributeValue],
        *,
        follow: bool,
    ) -> None:
        self._telemetry = telemetry
        self._tracker = tracker
        self._follow = follow
        self._place = {key: labels[key] for key in ("server.address", "server.port")}
        self._accepted = self._began = trio.current_time()
        plan = tracker.state.plan
        self.span = telemetry._tracer.start_span(
            "comfyui.job",
            attributes={
                **labels,
                "comfyui.prompt_id": plan.prompt_id,
                "comfyui.nodes": len(plan.part),
                "comfyui.own": plan.own,
            },
        )
        self._over = False
        self._node: Span | None = None
        self._node_class = ""
        self._node_began = self._began
        telemetry._meters.jobs.add(1, self._place)

    def note(self, event: JobEvent, now: float) -> None:
        """Tell what the job told at that time."""
        if self._over:
            return
        match event:
            case Pending(prompt_id=prompt_id):
                self._accepted = now
                self.span.set_attribute("comfyui.prompt_id", prompt_id)  # the server may choose it
                self.span.add_event("accepted")
                if not self._follow:
                    self._end(LEFT, now)
            case Started():
                self.span.add_event("started")
                waited = now - self._accepted
                self._telemetry._meters.queue_duration.record(waited, self._place)
            case NodeStarted():
                self._end_node(now)
                self._begin_node(event, now)
            case Finished():
                self._end(SUCCEEDED, now)
            case Failed(error=error):
                self._fail(error)
                self._end(error.code.value, now)
            case _:
                pass

    def _begin_node(self, event: NodeStarted, now: float) -> None:
        self._node_class, self._node_began = event.class_type, now
        self._node = self._telemetry._tracer.start_span(
            f"comfyui.node {event.class_type}".strip(),
            context=trace.set_span_in_context(self.span),
            attributes={
                "comfyui.prompt_id": event.prompt_id,
                "comfyui.node.id": event.node_id,
                "comfyui.node.class_type": event.class_type,
                "comfyui.node.title": event.title,
            },
        )

    def _end_node(self, now: float) -> None:
        if self._node is None:
            return
        # How the job ended may have taken long to read.
        late = max(0.0, now - max(self._tracker.over_at, self._node_began))
        self._node.end(time.time_ns() - round(late * 1e9))
        self._node = None
        now -= late
        self._telemetry._meters.node_duration.record(
            now - self._node_began, {**self._place, "comfyui.node.class_type": self._node_class}
        )

    def _fail(self, error: ComfyError) -> None:
        if isinstance(error, ExecutionInterruptedError):
            self.span.add_event("interrupted", {"comfyui.by_us": error.by_us})
            return
        self.span.set_status(StatusCode.ERROR, str(error))
        self.span.record_exception(error)
        if self._node is not None and isinstance(error, ExecutionFailedError):
            self._node.set_status(StatusCode.ERROR, str(error))

    def _end(self, outcome: str, now: float) -> None:
        self._end_node(now)
        self._over = True
        cached = len(self._tracker.state.cached)
        self.span.set_attributes({"comfyui.outcome": outcome, "comfyui.cached_nodes": cached})
        self.span.end()
        self._telemetry._meters.jobs.add(-1, self._place)
        self._telemetry._meters.job_duration.record(
            now - self._began, {**self._place, "comfyui.outcome": outcome}
        )
