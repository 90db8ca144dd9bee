"""Typed nodes: a Python package of the classes that a server has."""

# No postponed annotations in modules of commands: cyclopts reads them.

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, final

import attrs
import trio
from cyclopts import Parameter

from .. import Comfy, open_comfy
from .._replies import get
from .._util import JSONObject, as_object
from .._version import __version__
from ._definitions import read_object_info
from ._generator import import_generator
from ._options import ServerURL
from ._screen import Screen, printable
from ._supervise import CommandError, supervise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codegen.nodes import GeneratedPackage
    from codegen.package import Difference

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


async def codegen(
    *,
    out: str,
    url: ServerURL | None = None,
    object_info: str | None = None,
    check: Annotated[bool, Parameter(negative=())] = False,
    strict_files: Annotated[bool, Parameter(negative=())] = False,
    learn: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Write a Python package of a server's nodes as typed classes.

    Args:
        out: The directory of the package. It is made if need be; one that exists must be empty, or
            hold such a package.
        url: A ComfyUI server. Default: $COMFY_HOST, or else http://127.0.0.1:8188.
        object_info: A file with a server's reply to GET /object_info, in place of a server.
        check: Write nothing, and fail if the package is not what it would be.
        strict_files: Let only those model files pass that the server has now.
        learn: See in the server's history what custom nodes show, for types of that. Only the
            shapes are kept, in the package, and used from then on.
    """
    options = CodegenOptions(
        url=url,
        object_info=object_info,
        out=out,
        check=check,
        strict_files=strict_files,
        learn=learn,
    )
    return await supervise(partial(run_codegen, options), Screen())


async def run_codegen(options: CodegenOptions, screen: Screen) -> None:
    """Run the command `codegen`.

    Raises:
        CommandError: what was asked for contradicts itself, the file holds something else, the
            generator is not installed, or `options.check` finds a difference.
        ComfyError: the server cannot be asked.
        OSError: a file cannot be read or written, or the directory holds something else.
    """
    if options.url is not None and options.object_info is not None:
        raise CommandError("choose one of --url and --object-info")
    if options.learn and options.object_info is not None:
        raise CommandError("--learn needs a server, whose history it reads")
    nodes, package = import_generator("nodes"), import_generator("package")
    learned, ui_types = import_generator("learned"), import_generator("ui_types")
    told = await _ask(options)
    screen.fact("Nodes of", printable(told.source))
    directory = Path(options.out)
    shapes = await _read_learned(trio.Path(directory / learned.LEARNED), learned.load_learned)
    seen = learned.learn(told.history, known=ui_types.UI_TYPES)
    generated: GeneratedPackage = await trio.to_thread.run_sync(
        partial(
            nodes.generate_package,
            told.object_info,
            generator_version=__version__,
            server_version=told.version,
            strict_files=options.strict_files,
            learned=learned.merge_learned(shapes, seen),
        ),
        abandon_on_cancel=True,
    )
    for line in _oddities(generated):
        screen.line(line)
    if options.learn:
        screen.fact("Learned", ", ".join(map(printable, generated.learned)) or "nothing new")
    if options.check:
        difference: Difference = await trio.to_thread.run_sync(
            partial(
                package.compare, directory, generated.sources, strict_files=options.strict_files
            )
        )
    else:
        difference = await trio.to_thread.run_sync(package.write, directory, generated.sources)
    if options.check or "__init__.py" not in difference.new:  # or else all is new
        _tell(difference, screen)
    if options.check and difference:
        raise CommandError(f"{options.out} is outdated: run the command without --check")
    screen.fact(
        "Up to date" if not difference else "Written",
        f"{options.out}: {len(told.object_info)} nodes",
    )


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


async def _ask(options: CodegenOptions) -> Told:
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


async def _read_learned(
    path: trio.Path, load: "Callable[[str], Mapping[str, object]]"
) -> "Mapping[str, object]":
    """Return what was learned when the package was generated before."""
    try:
        return load(await path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path} does not hold what was learned: {error}") from error




def _oddities(generated: "GeneratedPackage") -> list[str]:
    """Say what was odd: each oddity once, with where it was first met."""
    count = Counter(oddity for each in generated.oddities.values() for oddity in each)
    first: dict[str, str] = {}
    for class_type, oddities in generated.oddities.items():
        for oddity in oddities:
            first.setdefault(oddity, class_type)
    return [
        f"odd, {number} times, first in {printable(first[oddity])}: {printable(oddity)}"
        if number > 1
        else f"odd in {printable(first[oddity])}: {printable(oddity)}"
        for oddity, number in sorted(count.items())
    ]


def _tell(difference: "Difference", screen: Screen) -> None:
    told = {"changed": difference.changed, "new": difference.new, "stale": difference.stale}
    if "__init__.py" not in difference.new:  # or else all nodes are new
        for word in ("added", "removed", "altered"):
            told[word] = tuple(f"node {class_type}" for class_type in getattr(difference, word))
    for word, names in told.items():
        for name in names:
            screen.line(f"{word:<8}{printable(name)}")
