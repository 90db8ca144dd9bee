"""A double of the extension Crystools, which measures the server's machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import attrs
import trio
from starlette.routing import Route

from ._http import empty_reply, json_reply, read_json, text_reply

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from comfy_trio._util import JSONObject

    from ._engine import Engine

MAX_BODY: Final = 2**20

_SWITCHES: Final = ("switchCPU", "switchHDD", "switchRAM")
_GPU_SWITCHES: Final = ("utilization", "vram", "temperature")


@attrs.define
class _State:
    """What clients have set."""

    rate: float = 1.0
    on: bool = True
    settings: dict[str, Any] = attrs.field(
        factory=lambda: {**dict.fromkeys(_SWITCHES, True), "whichHDD": "/"}
    )
    gpus: list[dict[str, bool]] = attrs.field(factory=list[dict[str, bool]])


@final
@attrs.define(eq=False, kw_only=True)
class Crystools:
    """Crystools on a machine of which you say how busy it is.

    A reading goes to every client each second, unless clients set another interval.

    Args:
        cpu_utilization: In percent.
        ram_total: In bytes.
        ram_used: In bytes.
        drives: Where drives are mounted. The first is watched.
        drive_total: In bytes.
        drive_used: In bytes.
        gpus: The names of the graphics cards.
        gpu_utilization: Of each card, in percent.
        gpu_temperature: Of each card, in degrees Celsius.
        vram_total: Of each card, in bytes.
        vram_used: Of each card, in bytes.
    """

    cpu_utilization: float = 12.5
    ram_total: int = 16 * 2**30
    ram_used: int = 4 * 2**30
    drives: tuple[str, ...] = ("/",)
    drive_total: int = 512 * 2**30
    drive_used: int = 128 * 2**30
    gpus: tuple[str, ...] = ()
    gpu_utilization: float = 80
    gpu_temperature: float = 65
    vram_total: int = 24 * 2**30
    vram_used: int = 6 * 2**30
    _engine: Engine = attrs.field(init=False, repr=False)
    _state: _State = attrs.field(init=False, repr=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.restart()

    def routes(self, engine: Engine) -> list[Route]:
        """See `Extension.routes`."""
        self._engine = engine
        base = "/crystools/monitor"
        return [
            Route(base, self.patch_settings, methods=["PATCH"]),
            Route(f"{base}/switch", self.post_switch, methods=["POST"]),
            Route(f"{base}/HDD", self.get_drives, methods=["GET"]),
            Route(f"{base}/GPU", self.get_gpus, methods=["GET"]),
            Route(f"{base}/GPU/{{index}}", self.patch_gpu, methods=["PATCH"]),
        ]

    def manager_features(self) -> JSONObject:
        """See `Extension.manager_features`."""
        return {}

    def restart(self) -> None:
        """See `Extension.restart`."""
        self._state = _State(gpus=[dict.fromkeys(_GPU_SWITCHES, True) for _ in self.gpus])

    async def run(self) -> None:
        """See `Extension.run`."""
        while True:
            await trio.lowlevel.checkpoint()
            self._changed = trio.Event()
            if self._state.on and self._state.rate > 0:
                self._engine.hub.publish("crystools.monitor", self.reading(), None)
                await trio.sleep(self._state.rate)
            else:
                await self._changed.wait()

    def reading(self) -> JSONObject:
        """What is measured now, as it is sent; -1 is not measured."""
        on = self._state.settings
        ram = (self.ram_total, self.ram_used) if on["switchRAM"] else None
        is_mounted = on["whichHDD"] in self.drives
        drive = (self.drive_total, self.drive_used) if on["switchHDD"] and is_mounted else None
        return {
            "cpu_utilization": self.cpu_utilization if on["switchCPU"] else -1,
            **_space("ram", ram),
            **_space("hdd", drive),
            "device_type": "cuda" if self.gpus else "cpu",
            "gpus": [self._gpu_reading(on) for on in self._state.gpus] or [_NO_GPU],
        }

    def _gpu_reading(self, on: dict[str, bool]) -> JSONObject:
        vram = (self.vram_total, self.vram_used) if on["vram"] else None
        return {
            "gpu_utilization": self.gpu_utilization if on["utilization"] else -1,
            "gpu_temperature": self.gpu_temperature if on["temperature"] else -1,
            **_space("vram", vram),
        }

    async def get_drives(self, request: Request) -> Response:
        """Where drives are mounted."""
        return json_reply(list(self.drives))

    async def get_gpus(self, request: Request) -> Response:
        """The graphics cards."""
        return json_reply([{"index": index, "name": name} for index, name in enumerate(self.gpus)])

    async def patch_settings(self, request: Request) -> Response:
        """Change what is measured, and how often."""
        posted = await read_json(request, MAX_BODY)
        state = self._state
        if "rate" in posted:
            if type(posted["rate"]) not in (int, float):
                return text_reply("Rate must be an number.", 400)
            state.on = state.on or (state.rate == 0 and posted["rate"] > 0)
            state.rate = posted["rate"]
            self._changed.set()
        for name in (*_SWITCHES, "whichHDD"):
            if name in posted:
                kind, kind_name = (str, "string") if name == "whichHDD" else (bool, "boolean")
                if not isinstance(posted[name], kind):
                    return text_reply(f"{name} must be an {kind_name}.", 400)
                state.settings[name] = posted[name]
        return empty_reply()

    async def patch_gpu(self, request: Request) -> Response:
        """Change what is measured of a graphics card."""
        posted = await read_json(request, MAX_BODY)
        for name in _GPU_SWITCHES:
            if name in posted:
                if not isinstance(posted[name], bool):
                    return text_reply(f"{name} must be an boolean.", 400)
                try:
                    self._state.gpus[int(request.path_params["index"])][name] = posted[name]
                except IndexError:
                    return text_reply("list assignment index out of range", 400)
        return empty_reply()

    async def post_switch(self, request: Request) -> Response:
        """Begin or end the measuring."""
        posted = await read_json(request, MAX_BODY)
        if "monitor" in posted:
            if not isinstance(posted["monitor"], bool):
                return text_reply("monitor must be an boolean.", 400)
            self._state.on = posted["monitor"]
            self._changed.set()
        return empty_reply()


def _space(name: str, total_and_used: tuple[int, int] | None) -> JSONObject:
    total, used = total_and_used or (-1, -1)
    percent = -1 if total_and_used is None else 100 * used / total
    return {f"{name}_total": total, f"{name}_used": used, f"{name}_used_percent": percent}


_NO_GPU: Final[JSONObject] = {"gpu_utilization": -1, "gpu_temperature": -1, **_space("vram", None)}
