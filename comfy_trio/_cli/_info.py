"""What a server is, has and does."""

# No postponed annotations in modules of commands: cyclopts reads them.

from functools import partial
from typing import Any

from .. import Comfy, ComfyError, ServerInfo, UnsupportedError, open_comfy
from .._nursery import map_concurrently
from .._util import as_list, as_object
from ._json_lines import write_json_line
from ._options import Flag, ServerURL
from ._screen import Screen, printable
from ._supervise import supervise

AT_ONCE = 4
GIB = 2**30


async def info(*, url: ServerURL | None = None, json: Flag = False) -> int:
    """Tell what a server is, has and does: version, devices, queue, models.

    Args:
        url: A ComfyUI server. Default: $COMFY_HOST, or else http://127.0.0.1:8188.
        json: Write it as JSON.
    """
    return await supervise(partial(run_info, url, as_json=json), Screen())


async def run_info(url: str | None, screen: Screen, *, as_json: bool = False) -> None:
    """Run the command `info`.

    Raises:
        ComfyError: the server cannot be asked.
    """
    async with open_comfy(url, require_websocket=False) as comfy:
        found = await comfy.system.info()
        stats: dict[str, Any] = {**await comfy.system.stats()}
        queue = await comfy.queue.state()
        models = await _models(comfy)
    devices = [as_object(device) for device in as_list(stats.get("devices"))]
    if as_json:
        told = {
            "url": comfy.url,
            "version": found.version,
            "system": dict(found.system),
            "devices": devices,
            "running": [entry.prompt_id for entry in queue.running],
            "pending": [entry.prompt_id for entry in queue.pending],
            "models": models,
        }
        write_json_line(screen, told)
        return
    screen.fact("Server", comfy.url)
    screen.fact("ComfyUI", printable(found.version or "of a version that it does not tell"))
    for line in _machine(found):
        screen.fact("Runs on", printable(line))
    for device in devices:
        screen.fact("Device", printable(_device(device)))
    screen.fact("Queue", f"{len(queue.running)} running, {len(queue.pending)} waiting")
    for folder, names in models.items():
        screen.fact("Models", printable(f"{len(names)} in {folder}: {_some(names)}"))
    if not models:
        screen.fact("Models", "none")


async def _models(comfy: Comfy) -> dict[str, list[str]]:
    """Return the names of the models, by folder; without the folders that have none."""

    async def names(folder: str) -> list[str]:
        try:
            return [file.name for file in await comfy.model.files(folder)]
        except ComfyError:  # a folder that went away, or that the server keeps to itself
            return []

    try:
        folders = [folder.name for folder in await comfy.model.folders()]
    except UnsupportedError:
        return {}
    found = await map_concurrently(names, folders, AT_ONCE)
    return {folder: found[folder] for folder in folders if found[folder]}


def _machine(found: ServerInfo) -> list[str]:
    system = found.system
    python = str(system.get("python_version") or "").split(" ")[0]
    parts = {"Python": python, "PyTorch": system.get("pytorch_version"), "on": system.get("os")}
    text = ", ".join(f"{name} {value}" for name, value in parts.items() if value)
    return [text] if text else []


def _device(device: dict[str, Any]) -> str:
    name = str(device.get("name") or device.get("type") or "a device")
    total, free = device.get("vram_total"), device.get("vram_free")
    if isinstance(total, int | float) and isinstance(free, int | float) and total > 0:
        name += f", {free / GIB:.1f} of {total / GIB:.1f} GiB free"
    return name


def _some(names: list[str], most: int = 3) -> str:
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left} more" if left > 0 else "")
