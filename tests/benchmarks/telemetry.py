"""What it costs to be told by OpenTelemetry: ``nox -s bench -- telemetry``."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import trio
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from comfy_trio import open_comfy
from comfy_trio.telemetry import OpenTelemetry
from comfy_trio.testing import open_embedded_server

from .client import WARM, tiny_prompt

if TYPE_CHECKING:
    from comfy_trio import Comfy

    from .measuring import Report

JOBS = 300


async def time_clients(report: Report) -> None:
    """Run one job after the other by each client, in turns, at one server in memory."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    who = {
        "nobody is told": None,
        "a job, with the API alone": OpenTelemetry(),
        "a job, with the SDK and a batch processor": OpenTelemetry(tracer_provider=provider),
    }
    clients: dict[str, Comfy] = {}
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_embedded_server())
        for name, telemetry in who.items():
            client = open_comfy(server.url, transport=server.transport, telemetry=telemetry)
            clients[name] = await stack.enter_async_context(client)
        times: dict[str, list[float]] = {name: [] for name in clients}
        for number in range(WARM + report.scaled(JOBS)):
            for name, comfy in clients.items():
                start = time.perf_counter()
                await comfy.run(tiny_prompt())
                if number >= WARM:
                    times[name].append(1000 * (time.perf_counter() - start))
    nobody, *told = times
    for name in told:
        report.add(name, times[name], times[nobody], "ms")
    provider.shutdown()


def measure(report: Report) -> None:
    """A tiny job of a client that tells OpenTelemetry, beside one that tells nobody."""
    report.title("telemetry", "told", "not told")
    trio.run(time_clients, report)
