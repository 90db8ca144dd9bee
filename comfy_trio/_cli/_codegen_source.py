"""What the generators are given: the options of their command, and what a server declares."""

from typing import final

import attrs
import trio

from .. import Comfy, open_comfy
from .._replies import get
from .._util import JSONObject, as_object
from ._definitions import read_object_info

UNKNOWN_VERSION = "unknown"
MAX_JOBS = "1000"
"""How much of a history is enough to learn from."""


@final
@attrs.frozen(kw_only=True)
class CodegenOptions:
    """What `codegen` was asked for; see there."""

    url: str | None = None
    object_info: str | None = None
    out: str
    check: bool = False
    strict_files: bool = False
    learn: bool = False
    workflow: str | None = None


@final
@attrs.frozen
class Told:
    """What a server, or a file in its place, told.

    Args:
        source: Who, for people to read.
        object_info: The nodes.
        version: The server's.
        history: The jobs to learn from.
    """

    source: str
    object_info: JSONObject
    version: str = UNKNOWN_VERSION
    history: JSONObject = attrs.field(factory=dict[str, object])


async def ask(options: CodegenOptions) -> Told:
    """Return what a server, or the file in its place, tells.

    Raises:
        CommandError: the file holds something else.
        ComfyError: the server cannot be asked.
        OSError: the file cannot be read.
    """
    if options.object_info is not None:
        return Told(options.object_info, await read_object_info(trio.Path(options.object_info)))
    async with open_comfy(options.url) as comfy:
        object_info = await comfy.node.definitions()
        system = as_object((await _get(comfy, "/system_stats")).get("system"))
        version = system.get("comfyui_version")
        version = version if isinstance(version, str) else UNKNOWN_VERSION
        history = await _get(comfy, "/history", max_items=MAX_JOBS) if options.learn else {}
    return Told(f"{comfy.url}, ComfyUI {version}", object_info, version, history)


async def _get(comfy: Comfy, path: str, **parameters: str) -> JSONObject:
    reply = await comfy._session.http.request(get(path, **parameters))
    return as_object(reply.json())
