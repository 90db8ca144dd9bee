"""What the library measures, and where it goes."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, final

import attrs
from opentelemetry import metrics, trace

from .._version import __version__
from ._client import ClientTelemetry
from ._pool import PoolTelemetry

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import Counter, Histogram, MeterProvider, UpDownCounter
    from opentelemetry.trace import Tracer, TracerProvider

    from .._address import ServerAddress

NAME = "comfy_trio"
"""The name of the instrumentation, by which exporters and views know it."""


@final
@attrs.frozen(eq=False, kw_only=True, slots=False)
class OpenTelemetry:
    """Spans and metrics of whatever is given it: `open_comfy`, `open_pool`.

    Spans:

    - ``comfyui.job``: a job, from its submission to its end, with what happened to it as events;
      a child of whatever was under way where it was submitted. Its children are
      ``comfyui.node CLASS`` for each node that ran, until the next one began, and the requests that
      were made for it.
    - ``comfyui.pool.job``: a job of a pool, in the queue and out of it, with the pool's decisions
      as events. Its attempts are its children.
    - ``comfyui.outage``: from the loss of a WebSocket until it is back.
    - ``POST /prompt`` and the like: an HTTP request, until the head of its reply.

    Metrics, in seconds where they are durations: ``comfyui.job.duration``,
    ``comfyui.job.queue.duration``, ``comfyui.node.duration``, ``comfyui.jobs``,
    ``comfyui.reconnections``, ``comfyui.pool.jobs``, ``comfyui.pool.attempts``,
    ``comfyui.pool.server.changes``, ``http.client.request.duration``.

    Durations of metrics are of Trio's clock, times of spans are the machine's. No span and no
    metric holds a credential or the query of a URL; of prompts they tell what errors quote.

    Args:
        tracer_provider: Where spans go. Default: the program's own, as `opentelemetry.trace` has
            it.
        meter_provider: Where metrics go. Default: likewise.
        propagate: Whether requests carry the trace on to the server (``traceparent``), for proxies
            that take it up. It is sent to no other origin. Default: true.
    """

    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None
    propagate: bool = True

    @cached_property
    def _tracer(self) -> Tracer:
        return trace.get_tracer(NAME, __version__, self.tracer_provider)

    @cached_property
    def _meters(self) -> Meters:
        return Meters.of(self.meter_provider)

    def _of_client(
        self, address: ServerAddress, client_id: str, mask: Callable[[str], str]
    ) -> ClientTelemetry:
        return ClientTelemetry(self, address, client_id, mask)

    def _of_pool(self) -> PoolTelemetry:
        return PoolTelemetry(self)


@attrs.frozen(eq=False)
class Meters:
    """The metrics; see `OpenTelemetry`."""

    job_duration: Histogram
    queue_duration: Histogram
    node_duration: Histogram
    jobs: UpDownCounter
    reconnections: Counter
    request_duration: Histogram
    pool_jobs: UpDownCounter
    pool_attempts: Counter
    server_changes: Counter

    @classmethod
    def of(cls, provider: MeterProvider | None) -> Meters:
        """Make them, once for all clients: a name is one instrument."""
        meter = metrics.get_meter(NAME, __version__, provider)
        return cls(
            job_duration=meter.create_histogram(
                "comfyui.job.duration", "s", "From the submission of a job to its end"
            ),
            queue_duration=meter.create_histogram(
                "comfyui.job.queue.duration", "s", "How long a job waited in a server's queue"
            ),
            node_duration=meter.create_histogram(
                "comfyui.node.duration", "s", "How long a node ran"
            ),
            jobs=meter.create_up_down_counter(
                "comfyui.jobs", "{job}", "Jobs that are submitted and not over"
            ),
            reconnections=meter.create_counter(
                "comfyui.reconnections", "{reconnection}", "WebSockets that were brought back"
            ),
            request_duration=meter.create_histogram(
                "http.client.request.duration", "s", "From a request to the head of its reply"
            ),
            pool_jobs=meter.create_up_down_counter(
                "comfyui.pool.jobs", "{job}", "Jobs of a pool, by where they are"
            ),
            pool_attempts=meter.create_counter(
                "comfyui.pool.attempts", "{attempt}", "Attempts at jobs of a pool, by their ends"
            ),
            server_changes=meter.create_counter(
                "comfyui.pool.server.changes", "{change}", "What became of the servers of a pool"
            ),
        )
