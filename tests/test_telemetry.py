"""Spans and metrics, as OpenTelemetry's exporters get them."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Never, cast

import attrs
import httpx
import prompts
import pytest
import trio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from pools import open_farm

from comfy_trio import (
    BearerCredentials,
    Comfy,
    ExecutionFailedError,
    FileError,
    MissingNodeError,
    ServerUnreachableError,
    open_comfy,
    open_pool,
)
from comfy_trio._address import ServerAddress
from comfy_trio.telemetry import OpenTelemetry
from comfy_trio.telemetry._http import TracedTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.metrics.export import HistogramDataPoint
    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer


def id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


@attrs.frozen(eq=False)
class Told:
    """What the exporters got."""

    telemetry: OpenTelemetry
    provider: TracerProvider
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """Those of a name, or all, in the order in which they began."""
        found = [span for span in self.exporter.get_finished_spans() if name in (span.name, "")]
        return sorted(found, key=lambda span: span.start_time or 0)

    def span(self, name: str) -> ReadableSpan:
        [found] = self.spans(name)
        return found

    def children(self, parent: ReadableSpan) -> list[str]:
        return [
            span.name
            for span in self.spans()
            if span.parent is not None and span.parent.span_id == id_of(parent)
        ]

    def metric(self, name: str, *labels: str) -> dict[Any, Any]:
        """The values of a metric, or of a duration its count and sum, by these labels."""
        data = self.reader.get_metrics_data()
        assert data is not None
        found: dict[Any, Any] = {}
        for metric in data.resource_metrics[0].scope_metrics[0].metrics:
            for point in metric.data.data_points if metric.name == name else ():
                key = tuple((point.attributes or {}).get(label) for label in labels)
                value: Any = getattr(point, "value", None)
                if value is None:
                    point = cast("HistogramDataPoint", point)
                    found[key] = (point.count, point.sum)
                else:
                    found[key] = found.get(key, 0) + value
        return found


@pytest.fixture
def told() -> Told:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry = OpenTelemetry(tracer_provider=provider, meter_provider=MeterProvider([reader]))
    return Told(telemetry, provider, exporter, reader)


def events(span: ReadableSpan) -> list[str]:
    return [event.name for event in span.events]


async def test_a_job(autojump_clock: MockClock, server: EmbeddedServer, told: Told) -> None:
    async with open_comfy(
        server.url, transport=server.transport, telemetry=told.telemetry
    ) as comfy:
        with told.provider.get_tracer("test").start_as_current_span("mine"):
            result = await comfy.run(prompts.slow(10))
    job = told.span("comfyui.job")
    assert told.children(told.span("mine")) == ["comfyui.job"]
    assert job.attributes is not None
    assert job.attributes["comfyui.prompt_id"] == result.prompt_id
    assert job.attributes["comfyui.outcome"] == "succeeded"
    assert job.status.status_code is StatusCode.UNSET
    assert events(job) == ["accepted", "started"]
    classes = ["EmptyImage", "ImageInvert", "ProbeProgress", "SaveImage"]
    assert [name for name in told.children(job) if "node" in name] == [
        f"comfyui.node {each}" for each in classes
    ]
    assert {"POST /api/prompt", "GET /api/history"} <= {*told.children(job)}
    [(count, seconds)] = told.metric("comfyui.job.duration").values()
    assert count == 1
    by_class = told.metric("comfyui.node.duration", "comfyui.node.class_type")
    assert by_class.keys() == {(each,) for each in classes}
    assert sum(total for _, total in by_class.values()) == pytest.approx(seconds, rel=0.3)
    assert [*told.metric("comfyui.jobs").values()] == [0]


async def test_a_node_is_over_when_the_server_says_so(
    autojump_clock: MockClock, server: EmbeddedServer, told: Told
) -> None:
    async with open_comfy(
        server.url, transport=server.transport, telemetry=told.telemetry
    ) as comfy:
        server.faults.slow("GET /history/{prompt_id}", 7)
        await comfy.run(prompts.image())
    [(_, seconds)] = told.metric("comfyui.job.duration").values()
    assert seconds >= 7
    by_class = told.metric("comfyui.node.duration", "comfyui.node.class_type")
    assert sum(total for _, total in by_class.values()) < 1


async def test_a_job_that_fails(
    autojump_clock: MockClock, server: EmbeddedServer, told: Told
) -> None:
    async with open_comfy(
        server.url, transport=server.transport, telemetry=told.telemetry
    ) as comfy:
        with pytest.raises(ExecutionFailedError):
            await comfy.run(prompts.failing())
        with pytest.raises(MissingNodeError):
            await comfy.run({"1": prompts.node("Nope")})
    failed, refused = told.spans("comfyui.job")
    for job, code in (failed, "E_EXECUTION_FAILED"), (refused, "E_MISSING_NODE"):
        assert job.attributes is not None
        assert job.attributes["comfyui.outcome"] == code
        assert job.status.status_code is StatusCode.ERROR
        assert "exception" in events(job)
    node = next(span for span in told.spans() if span.status.status_code is StatusCode.ERROR)
    assert node.name == "comfyui.job"
    last = [span for span in told.spans() if span.name.startswith("comfyui.node")][-1]
    assert last.status.status_code is StatusCode.ERROR
    outcomes = told.metric("comfyui.job.duration", "comfyui.outcome")
    assert outcomes.keys() == {("E_EXECUTION_FAILED",), ("E_MISSING_NODE",)}


async def test_a_node_is_not_at_fault_when_its_server_is_lost(
    autojump_clock: MockClock, server: EmbeddedServer, told: Told
) -> None:
    async with open_comfy(
        server.url, transport=server.transport, telemetry=told.telemetry
    ) as comfy:
        await comfy.submit(prompts.slow(1000))
        await trio.sleep(1)
        server.faults.hang("*", times=math.inf)
    assert told.span("comfyui.job").status.status_code is StatusCode.ERROR
    assert told.span("comfyui.node ProbeProgress").status.status_code is StatusCode.UNSET


async def test_a_job_that_is_cancelled(
    autojump_clock: MockClock, server: EmbeddedServer, told: Told
) -> None:
    async with open_comfy(
        server.url, transport=server.transport, telemetry=told.telemetry
    ) as comfy:
        with trio.move_on_after(0.5):
            await comfy.run(prompts.slow(1000))
    job = told.span("comfyui.job")
    assert job.status.status_code is StatusCode.UNSET
    assert events(job)[-1] == "interrupted"
    [interrupted] = [event for event in job.events if event.name == "interrupted"]
    assert interrupted.attributes == {"comfyui.by_us": True}
    assert [*told.metric("comfyui.jobs").values()] == [0]


async def test_jobs_that_are_left_and_taken_up(
    autojump_clock: MockClock, server: EmbeddedServer, told: Told
) -> None:
    async with open_comfy(
        server.url, transport=server.transport, telemetry=told.telemetry
    ) as comfy:
        submission = await comfy.queue.submit(prompts.slow(10))
        await comfy.attach(submission.reference)
    left, taken_up = told.spans("comfyui.job")
    assert left.attributes is not None
    assert left.attributes["comfyui.outcome"] == "left to the server"
    assert taken_up.attributes is not None
    assert taken_up.attributes["comfyui.own"] is False
    assert taken_up.attributes["comfyui.outcome"] == "succeeded"
    assert [*told.metric("comfyui.jobs").values()] == [0]


async def test_requests(autojump_clock: MockClock, server: EmbeddedServer, told: Told) -> None:
    token = "aeb7c1c0f2d4"
    async with open_comfy(
        server.url,
        transport=server.transport,
        telemetry=told.telemetry,
        credentials=BearerCredentials(token),
    ) as comfy:
        with pytest.raises(FileError):
            await comfy.file.read({"filename": "no such.png", "type": "output"})
    spans = told.spans("GET /api/view")
    assert spans
    for span in spans:
        assert span.attributes is not None
        assert span.attributes["http.response.status_code"] == 404
        assert span.attributes["url.full"] == f"{server.url}/api/view"
        assert span.status.status_code is StatusCode.ERROR
    assert token not in repr([span.to_json() for span in told.spans()])
    durations = told.metric("http.client.request.duration", "http.response.status_code")
    assert durations.keys() == {(200,), (404,)}


@attrs.frozen
class Way:
    """A `Transport` that goes nowhere but to a function; see `open_comfy`."""

    answer: Callable[[httpx.Request], httpx.Response]

    def http_transport(self) -> httpx.AsyncBaseTransport:
        return httpx.MockTransport(self.answer)

    def open_websocket(self, *_: object, **__: object) -> Never:
        raise AssertionError


async def test_the_trace_goes_along_to_the_server_alone(told: Told) -> None:
    traced = TracedTransport(
        Way(lambda request: httpx.Response(200, headers=request.headers)),
        told.telemetry,
        ServerAddress(secure=True, authority="gpu.example", base_path="/comfy"),
        mask=str,
    )
    async with httpx.AsyncClient(transport=traced.http_transport()) as client:
        home = await client.get("https://gpu.example/comfy/api/jobs/17?token=5")
        elsewhere = await client.get("https://bucket.example/comfy/api/jobs/17?signature=5")
    first, second = told.spans()
    assert first.name == "GET /api/jobs"
    assert format(id_of(first), "016x") in home.headers["traceparent"]
    assert second.name == "GET"
    assert "traceparent" not in elsewhere.headers
    assert "=5" not in f"{first.to_json()}{second.to_json()}"


async def test_the_trace_goes_nowhere_if_so_wanted(told: Told) -> None:
    traced = TracedTransport(
        Way(lambda request: httpx.Response(200, headers=request.headers)),
        attrs.evolve(told.telemetry, propagate=False),
        ServerAddress(secure=False, authority="gpu.example"),
        mask=str,
    )
    async with httpx.AsyncClient(transport=traced.http_transport()) as client:
        assert "traceparent" not in (await client.get("http://gpu.example/")).headers


async def test_a_request_that_fails(told: Told) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("hunter2 is refused", request=request)

    with pytest.raises(ServerUnreachableError):
        async with open_comfy("gpu.example", transport=Way(refuse), telemetry=told.telemetry):
            pass
    request = told.span("GET /api/prompt")
    assert request.status.status_code is StatusCode.ERROR
    assert request.attributes is not None
    assert request.attributes["error.type"] == "ConnectError"
    assert request.attributes["server.port"] == 80
    assert "hunter2" not in request.to_json()


async def test_a_request_that_is_cancelled(
    autojump_clock: MockClock, server: EmbeddedServer, told: Told
) -> None:
    async with open_comfy(
        server.url, transport=server.transport, telemetry=told.telemetry
    ) as comfy:
        server.faults.hang("GET /queue")
        with trio.move_on_after(2):
            await comfy.queue.state()
    request = told.span("GET /api/queue")
    assert request.status.status_code is StatusCode.UNSET
    assert request.attributes is not None
    assert request.attributes["error.type"] == "cancelled"
    durations = told.metric("http.client.request.duration", "error.type")
    assert durations["cancelled",] == (1, pytest.approx(2, abs=0.1))


async def test_an_outage(autojump_clock: MockClock, server: EmbeddedServer, told: Told) -> None:
    async with open_comfy(
        server.url, transport=server.transport, telemetry=told.telemetry
    ) as comfy:
        with told.provider.get_tracer("test").start_as_current_span("mine"):
            server.faults.drop_sockets()
            await comfy.run(prompts.slow(10))
    outage = told.span("comfyui.outage")
    assert outage.parent is None
    assert outage.status.status_code is StatusCode.ERROR
    assert [*told.metric("comfyui.reconnections").values()] == [1]


async def test_a_pool(autojump_clock: MockClock, told: Told) -> None:
    async with open_farm("ab") as farm:
        async with open_pool(farm.members(), telemetry=told.telemetry) as pool:
            for name in "ab":
                farm[name].faults.answer("POST /prompt", 503)
            with told.provider.get_tracer("test").start_as_current_span("mine"):
                await pool.run(prompts.slow(10))
            with pytest.raises(ExecutionFailedError):
                await pool.run(prompts.failing())
            with trio.move_on_after(1):
                await pool.run(prompts.slow(1000))
    moved, failed, cancelled = told.spans("comfyui.pool.job")
    assert told.children(told.span("mine")) == ["comfyui.pool.job"]
    assert told.children(moved).count("comfyui.job") == 3
    assert events(moved) == [*["given to a server", "goes elsewhere"] * 2, "given to a server"]
    assert moved.attributes is not None
    assert moved.attributes["comfyui.outcome"] == "succeeded"
    assert failed.status.status_code is StatusCode.ERROR
    assert events(cancelled)[-1] == "interrupted"
    attempts = told.metric("comfyui.pool.attempts", "comfyui.outcome")
    each_once = dict.fromkeys([("succeeded",), ("failed",), ("interrupted",)], 1)
    assert attempts == {("retried",): 2, **each_once}
    states = told.metric("comfyui.pool.jobs", "comfyui.pool.state")
    assert states == {("waiting",): 0, ("running",): 0}
    changes = told.metric("comfyui.pool.server.changes", "comfyui.pool.change")
    assert changes.keys() == {("connected",), ("ready",)}


async def test_a_job_whose_server_is_removed(autojump_clock: MockClock, told: Told) -> None:
    async with open_farm("ab") as farm:
        async with open_pool(farm.members(), telemetry=told.telemetry) as pool:
            job = await pool.submit(prompts.slow(50))
            await trio.sleep(1)
            await pool.remove(job.server_id or "", drain=False)
            await job.wait()
    span = told.span("comfyui.pool.job")
    assert events(span) == ["given to a server", "waits again", "given to a server"]
    attempts = told.metric("comfyui.pool.attempts", "comfyui.outcome")
    assert attempts == {("returned",): 1, ("succeeded",): 1}


async def test_what_a_function_of_a_pool_does_is_of_its_job(
    autojump_clock: MockClock, told: Told
) -> None:
    async def work(comfy: Comfy) -> None:
        await comfy.run(prompts.slow(1))

    async with open_farm("a") as farm:
        async with open_pool(farm.members(), telemetry=told.telemetry) as pool:
            await pool.run(work)
    assert "comfyui.job" in told.children(told.span("comfyui.pool.job"))


def test_who_does_not_want_it_does_not_load_it() -> None:
    code = (
        "import sys\n"
        "from comfy_trio import open_comfy, open_pool\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_extra() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import comfy_trio; comfy_trio.open_comfy, comfy_trio.open_pool\n"
        "import comfy_trio.telemetry"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'run  pip install "comfy-trio[telemetry]"' in done.stderr.splitlines()[-1]
