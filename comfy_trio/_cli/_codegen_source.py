"""What the generators are given: the options of their command, and what a server declares."""

import importlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import final

import attrs
import trio

from .. import Comfy, open_comfy
from .._replies import get
from .._util import JSONObject, as_object, is_object
from ._supervise import CommandError

INSTALLED, IN_CHECKOUT = "comfy_trio._codegen", "codegen"
"""What the generator is called in an installed package, and beside it in its repository."""
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
        return Told(options.object_info, await _read_object_info(trio.Path(options.object_info)))
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


def import_generator(module: str) -> ModuleType:
    """Import a module of the generator.

    Raises:
        CommandError: it is not installed.
    """
    try:
        return _find_generator(module)
    except ModuleNotFoundError:  # itself, or what it needs
        raise CommandError(
            'the generator is not installed: run  pip install "comfy-trio[codegen]"'
        ) from None


def _find_generator(module: str) -> ModuleType:
    root = Path(__file__).parents[2]
    if importlib.util.find_spec(INSTALLED) is not None:
        return importlib.import_module(f"{INSTALLED}.{module}")
    # Another package may have that name, too.
    spec = importlib.util.find_spec(IN_CHECKOUT)
    if spec is not None and spec.origin == str(root / IN_CHECKOUT / "__init__.py"):
        return importlib.import_module(f"{IN_CHECKOUT}.{module}")
    raise ModuleNotFoundError(IN_CHECKOUT)


async def _read_object_info(path: trio.Path) -> JSONObject:
    try:
        value: object = json.loads(await path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path} is no JSON: {error}") from error
    # Anything else would be read as odd nodes, without a complaint.
    if not is_object(value) or not any("input" in as_object(entry) for entry in value.values()):
        raise CommandError(
            f"{path} declares no nodes: it should hold a server's reply to GET /object_info"
        )
    return value


def printable(text: str) -> str:
    """Return a text of the server's without what would do something to a terminal."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
