"""Workflows as code: a Python script of typed nodes."""

# No postponed annotations in modules of commands: cyclopts reads them.

import importlib
import os
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, final

import attrs
import trio
from cyclopts import Parameter

from ._generator import import_generator
from ._options import ServerURL
from ._screen import Screen, printable
from ._supervise import CommandError, supervise
from ._workflow_file import read_prompt

if TYPE_CHECKING:
    from codegen.transpile import Script


@final
@attrs.frozen(kw_only=True)
class TranspileOptions:
    """What `transpile` was asked for; see there."""

    file: str
    out: str | None = None
    nodes: str = "comfy_nodes"
    renumber: bool = False
    url: str | None = None
    object_info: str | None = None


async def transpile(
    file: str,
    /,
    *,
    out: str | None = None,
    nodes: str = "comfy_nodes",
    renumber: Annotated[bool, Parameter(negative=())] = False,
    url: ServerURL | None = None,
    object_info: str | None = None,
) -> int:
    """Write a workflow as a Python script of typed nodes, which makes the same prompt and runs it.

    Args:
        file: The workflow: API JSON, a canvas file, or a picture that holds one.
        out: The script, which must not exist yet. Default: it is printed.
        nodes: The package of generated nodes. It is looked for here first, then where Python looks
            for packages.
        renumber: Leave out the node ids of the file, and the nodes that no output needs.
        url: A ComfyUI server, to tell what the nodes of a canvas file are. Default: $COMFY_HOST, or
            else http://127.0.0.1:8188.
        object_info: A file with a server's reply to GET /object_info, in place of a server.
    """
    options = TranspileOptions(
        file=file, out=out, nodes=nodes, renumber=renumber, url=url, object_info=object_info
    )
    return await supervise(partial(run_transpile, options), Screen())


async def run_transpile(options: TranspileOptions, screen: Screen) -> None:
    """Run the command `transpile`.

    Raises:
        CommandError: there is no such package of nodes, what was asked for contradicts itself, or
            the generator is not installed.
        ComfyError: the file holds no workflow.
        OSError: a file cannot be read or written, or the script exists.
    """
    generator = import_generator("transpile")
    prompt = await read_prompt(options.file, url=options.url, object_info=options.object_info)
    package = import_nodes(options.nodes)
    script: Script = await trio.to_thread.run_sync(
        partial(
            generator.transpile,
            prompt,
            package,
            name=Path(options.file).name,
            renumber=options.renumber,
        )
    )
    if options.out is None:
        screen.line(script.source.rstrip("\n"))
    else:
        async with await trio.open_file(options.out, "x", encoding="utf-8", newline="\n") as out:
            await out.write(script.source)
    for note in script.notes:
        screen.warning(printable(note))
    if options.out is not None:
        screen.fact("Written", options.out)


def import_nodes(name: str) -> ModuleType:
    """Import a package of generated nodes: from here, or from where Python finds packages.

    Raises:
        CommandError: there is none, or it cannot be imported.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        raise CommandError(f"--nodes takes the name of a package, not {name!r}")
    before = list(sys.path)
    sys.path.insert(0, os.getcwd())
    importlib.invalidate_caches()  # it may just have been generated
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):  # but something that it needs
            raise
        raise CommandError(
            f"there is no package {name}, neither here nor where Python looks for packages."
            f" Generate it: python -m comfy_trio codegen --out {name.replace('.', '/')}"
        ) from None
    except ImportError as error:  # it is of another format
        raise CommandError(str(error)) from error
    finally:
        sys.path[:] = before
