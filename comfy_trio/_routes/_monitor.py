"""``/crystools/monitor``: what the server's machine is busy with, by the extension Crystools.

From server/monitor.py and general/ of ComfyUI-Crystools 1.27. The extension measures about once a
second, and sends that to every client as ``crystools.monitor``; what is not measured is -1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from .._replies import Request, get, post, raise_for_status, require_list, require_route, unexpected
from .._util import as_list, as_number, as_object, is_object
from .._wire import RawEvent

if TYPE_CHECKING:
    from .._replies import Reply
    from .._util import JSONObject
    from .._wire import ServerEvent

EVENT: Final = "crystools.monitor"
DRIVES: Final = get("/crystools/monitor/HDD")
GPUS: Final = get("/crystools/monitor/GPU")
"""The smallest request that only a server with Crystools answers."""


@attrs.frozen
class Gpu:
    """A graphics card that is measured.

    Args:
        index: Its number, from 0.
        name: What its driver calls it.
    """

    index: int
    name: str


@attrs.frozen
class GpuReading:
    """What was measured of a graphics card; None where nothing is.

    Args:
        utilization: In percent.
        temperature: In degrees Celsius.
        vram_total: In bytes.
        vram_used: In bytes.
        vram_used_percent: In percent.
    """

    utilization: float | None = None
    temperature: float | None = None
    vram_total: int | None = None
    vram_used: int | None = None
    vram_used_percent: float | None = None


@attrs.frozen
class MonitorReading:
    """What was measured of the server's machine at one moment; None where nothing is.

    Args:
        cpu_utilization: In percent.
        ram_total: In bytes.
        ram_used: In bytes.
        ram_used_percent: In percent.
        drive_total: Of the drive that is watched, in bytes.
        drive_used: In bytes.
        drive_used_percent: In percent.
        device_type: What ComfyUI computes on: ``cuda`` or ``cpu``.
        gpus: The graphics cards, in the order of their numbers; with ``cpu`` one of which nothing
            is measured.
        raw: What came.
    """

    cpu_utilization: float | None
    ram_total: int | None
    ram_used: int | None
    ram_used_percent: float | None
    drive_total: int | None
    drive_used: int | None
    drive_used_percent: float | None
    device_type: str
    gpus: tuple[GpuReading, ...]
    raw: JSONObject = attrs.field(eq=False, repr=False)


def configuration(**settings: float | bool | str | None) -> Request:
    """Return the request that changes what is measured; None leaves a setting as it is."""
    return _patch("/api/crystools/monitor", settings)


def gpu_configuration(index: int, **settings: bool | None) -> Request:
    """Return the request that changes what is measured of a graphics card; see `configuration`."""
    return _patch(f"/api/crystools/monitor/GPU/{index}", settings)


def _patch(path: str, settings: dict[str, Any]) -> Request:
    body = {name: value for name, value in settings.items() if value is not None}
    return Request("PATCH", path, json=body)


def switch(*, on: bool) -> Request:
    """Return the request that begins or ends the measuring."""
    return post("/crystools/monitor/switch", {"monitor": on})


def require_crystools(reply: Reply) -> None:
    """Raise if the server does not have the extension, or refuses what was asked.

    Raises:
        UnsupportedError: it does not have it.
        ResponseError: it refuses.
    """
    require_route(reply, "the extension Crystools")
    raise_for_status(reply)


def read_gpus(reply: Reply) -> tuple[Gpu, ...]:
    """Read the reply to GET /crystools/monitor/GPU.

    Raises:
        UnsupportedError, ResponseError: see `require_crystools`; or it is something else.
    """
    require_crystools(reply)
    expected = "the list of graphics cards"
    cards = require_list(reply, expected)
    try:
        return tuple(Gpu(int(card["index"]), str(card["name"])) for card in cards)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise unexpected(reply, expected) from None


def read_drives(reply: Reply) -> tuple[str, ...]:
    """Read the reply to GET /crystools/monitor/HDD.

    Raises:
        UnsupportedError, ResponseError: see `require_crystools`; or it is something else.
    """
    require_crystools(reply)
    expected = "the list of drives"
    drives = require_list(reply, expected)
    if not all(isinstance(drive, str) for drive in drives):
        raise unexpected(reply, expected)
    return tuple(drives)


def reading_of(event: ServerEvent) -> MonitorReading | None:
    """Return what an event tells of the machine; None if it is about something else."""
    if not (isinstance(event, RawEvent) and event.type == EVENT and is_object(event.data)):
        return None
    data = event.data
    return MonitorReading(
        cpu_utilization=_measured(data.get("cpu_utilization")),
        ram_total=_bytes(data.get("ram_total")),
        ram_used=_bytes(data.get("ram_used")),
        ram_used_percent=_measured(data.get("ram_used_percent")),
        drive_total=_bytes(data.get("hdd_total")),
        drive_used=_bytes(data.get("hdd_used")),
        drive_used_percent=_measured(data.get("hdd_used_percent")),
        device_type=str(data.get("device_type") or ""),
        gpus=tuple(_gpu_reading(as_object(card)) for card in as_list(data.get("gpus"))),
        raw=data,
    )


def _gpu_reading(card: JSONObject) -> GpuReading:
    return GpuReading(
        utilization=_measured(card.get("gpu_utilization")),
        temperature=_measured(card.get("gpu_temperature")),
        vram_total=_bytes(card.get("vram_total")),
        vram_used=_bytes(card.get("vram_used")),
        vram_used_percent=_measured(card.get("vram_used_percent")),
    )


def _measured(value: object) -> float | None:
    number = as_number(value)
    return None if number is None or number < 0 else float(number)


def _bytes(value: object) -> int | None:
    measured = _measured(value)
    return None if measured is None else int(measured)
