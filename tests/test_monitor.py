"""`Comfy.monitor`: what Crystools measures, as values."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
import trio

from comfy_trio import (
    Comfy,
    Gpu,
    GpuReading,
    MonitorReading,
    ReconnectPolicy,
    ResponseError,
    Subscription,
    UnsupportedError,
    open_comfy,
)
from comfy_trio._replies import Reply
from comfy_trio._routes._monitor import DRIVES, GPUS, read_drives, read_gpus, reading_of
from comfy_trio._wire import RawEvent, decode_frame
from comfy_trio.testing import Crystools, EmbeddedServer, open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from trio.testing import MockClock

PROBE = "GET /crystools/monitor/GPU"


@pytest.fixture
def crystools() -> Crystools:
    return Crystools(gpus=("A", "B"), cpu_utilization=7)


@pytest.fixture
async def server(crystools: Crystools) -> AsyncGenerator[EmbeddedServer, None]:
    async with open_embedded_server(extensions=[crystools]) as server:
        yield server


def reply(body: object, status: int = 200, request: Any = GPUS) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(request, "http://h/api/crystools", status, content, "application/json")


WRONG: list[object] = [b"", b"[1", b"<html>", {}, None, [1], [{"index": 0}], [{"name": "x"}]]


@pytest.mark.parametrize("body", WRONG)
def test_lists_that_are_none(body: object) -> None:
    with pytest.raises(ResponseError, match="should have been answered with the list of graphics"):
        read_gpus(reply(body))
    with pytest.raises(ResponseError, match="should have been answered with the list of drives"):
        read_drives(reply(body, request=DRIVES))


@pytest.mark.parametrize("read", [read_gpus, read_drives])
def test_replies_of_bad_status(read: Callable[[Reply], object]) -> None:
    for status in (404, 405):
        with pytest.raises(UnsupportedError, match="does not have the extension Crystools"):
            read(reply(b"", status))
    with pytest.raises(ResponseError, match="HTTP status 400: it broke"):
        read(reply(b"it broke", 400))


def test_what_is_not_measured_is_none() -> None:
    sent = {"cpu_utilization": -1, "ram_total": 5, "ram_used": "x", "gpus": [{"vram_total": -1}, 3]}
    reading = reading_of(decode_frame(json.dumps({"type": "crystools.monitor", "data": sent})))
    assert reading is not None
    assert reading == MonitorReading(
        cpu_utilization=None,
        ram_total=5,
        ram_used=None,
        ram_used_percent=None,
        drive_total=None,
        drive_used=None,
        drive_used_percent=None,
        device_type="",
        gpus=(GpuReading(), GpuReading()),
        raw={},
    )
    assert reading.raw == sent
    assert reading_of(RawEvent("crystools.monitor", [1])) is None
    assert reading_of(RawEvent("other", {})) is None


async def next_of(readings: Subscription[MonitorReading]) -> MonitorReading:
    with trio.fail_after(10):
        return await anext(readings)


async def test_readings(autojump_clock: MockClock, comfy: Comfy, crystools: Crystools) -> None:
    async with comfy.monitor.subscribe() as readings:
        first = await next_of(readings)
        assert (first.cpu_utilization, first.device_type, len(first.gpus)) == (7, "cuda", 2)
        assert (first.ram_total, first.ram_used, first.ram_used_percent) == (2**34, 2**32, 25)
        assert (first.drive_total, first.drive_used, first.drive_used_percent) == (
            512 * 2**30,
            128 * 2**30,
            25,
        )
        card = first.gpus[1]
        assert (card.utilization, card.temperature, card.vram_used_percent) == (80, 65, 25)
        crystools.cpu_utilization = 99
        began = trio.current_time()
        assert (await next_of(readings)).cpu_utilization == 99
        assert trio.current_time() - began == pytest.approx(1)


async def test_settings(autojump_clock: MockClock, comfy: Comfy) -> None:
    assert await comfy.monitor.gpus() == (Gpu(0, "A"), Gpu(1, "B"))
    assert await comfy.monitor.drives() == ("/",)
    async with comfy.monitor.subscribe() as readings:
        await comfy.monitor.configure(interval=0.25, cpu=False, ram=False, watched_drive="/none")
        await comfy.monitor.configure_gpu(0, utilization=False, vram=False, temperature=False)
        await next_of(readings)
        began = trio.current_time()
        reading = await next_of(readings)
        assert trio.current_time() - began == pytest.approx(0.25)
        assert (reading.cpu_utilization, reading.ram_used, reading.drive_used) == (None, None, None)
        assert reading.gpus[0] == GpuReading()
        assert reading.gpus[1].utilization == 80


async def test_stopping_and_starting(autojump_clock: MockClock, comfy: Comfy) -> None:
    async with comfy.monitor.subscribe() as readings:
        for stop, start in [
            (comfy.monitor.stop(), comfy.monitor.start()),
            (comfy.monitor.configure(interval=0), comfy.monitor.configure(interval=1)),
        ]:
            await stop
            await trio.sleep(1)
            with trio.move_on_after(0.5):
                while True:
                    await anext(readings)
            with trio.move_on_after(30) as silence:
                await anext(readings)
            assert silence.cancelled_caught
            await start
            await next_of(readings)


async def test_what_the_server_refuses(comfy: Comfy) -> None:
    with pytest.raises(ResponseError, match="400: list assignment index out of range"):
        await comfy.monitor.configure_gpu(7, vram=True)
    wrong: Any = "fast"
    with pytest.raises(ResponseError, match="400: Rate must be an number"):
        await comfy.monitor.configure(interval=wrong)
    with pytest.raises(ResponseError, match="400: switchCPU must be an boolean"):
        await comfy.monitor.configure(cpu=wrong)


async def test_support_is_asked_for_once(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    assert server.statistics().requests.get(PROBE, 0) == 0
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(comfy.monitor.supported)
    async with comfy.monitor.subscribe():
        assert await comfy.monitor.supported()
    assert server.statistics().requests[PROBE] == 1
    server.faults.answer(PROBE, 404)
    server.faults.drop_sockets()
    await trio.sleep(5)
    assert not await comfy.monitor.supported()
    with pytest.raises(UnsupportedError):
        async with comfy.monitor.subscribe():
            pytest.fail("entered")
    requests = server.statistics().requests
    assert requests[PROBE] == 2
    assert not [route for route in requests if "object_info" in route]


async def test_a_request_that_fails_is_not_remembered(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.answer(PROBE, 500)
    with pytest.raises(ResponseError, match="500"):
        await comfy.monitor.supported()
    assert await comfy.monitor.supported()


async def test_a_server_without_it(autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server() as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        assert not await comfy.monitor.supported()
        for call in (comfy.monitor.gpus, comfy.monitor.drives, comfy.monitor.start):
            with pytest.raises(UnsupportedError, match="the extension Crystools"):
                await call()
        with pytest.raises(UnsupportedError, match="the extension Crystools"):
            async with comfy.monitor.subscribe():
                pytest.fail("entered")
        assert server.statistics().requests["unknown"] == 4


async def test_lost_sockets_and_restarts(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.monitor.subscribe() as readings:
        await comfy.monitor.stop()
        server.restart()
        await trio.sleep(5)
        assert (await next_of(readings)).cpu_utilization == 7
        server.faults.drop_sockets()
        await trio.sleep(5)
        assert (await next_of(readings)).cpu_utilization == 7


async def test_the_iteration_ends_when_the_client_gives_up(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    policy = ReconnectPolicy(attempts=1)
    async with (
        open_comfy(server.url, transport=server.transport, reconnect=policy) as comfy,
        comfy.monitor.subscribe() as readings,
    ):
        server.faults.answer("GET /ws", 503, times=math.inf)
        server.faults.drop_sockets()
        with trio.fail_after(60):
            assert [reading async for reading in readings] == []
