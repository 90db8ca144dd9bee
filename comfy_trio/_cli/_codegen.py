"""Typed nodes: a Python package of the classes that a server has."""

# No postponed annotations in modules of commands: cyclopts reads them.

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import trio
from cyclopts import Parameter

from .._version import __version__
from ._codegen_source import CodegenOptions, ask
from ._codegen_workflow import run_workflow_codegen
from ._generator import import_generator
from ._options import ServerURL
from ._screen import Screen, printable
from ._supervise import CommandError, supervise
from ._workflow_file import require_one

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codegen.nodes import GeneratedPackage
    from codegen.package import Difference


async def codegen(
    *,
    out: str,
    url: ServerURL | None = None,
    object_info: str | None = None,
    check: Annotated[bool, Parameter(negative=())] = False,
    strict_files: Annotated[bool, Parameter(negative=())] = False,
    learn: Annotated[bool, Parameter(negative=())] = False,
    workflow: str | None = None,
) -> int:
    """Write a server's nodes as a Python package of typed classes, or a module for a workflow.

    Args:
        out: The directory of the package. It is made if need be; one that exists must be empty, or
            hold such a package. With --workflow, the file of the module.
        url: A ComfyUI server. Default: $COMFY_HOST, or else http://127.0.0.1:8188.
        object_info: A file with a server's reply to GET /object_info, in place of a server.
        check: Write nothing, and fail if the package is not what it would be.
        strict_files: Let only those model files pass that the server has now.
        learn: See in the server's history what custom nodes show, for types of that. Only the
            shapes are kept, in the package, and used from then on.
        workflow: A workflow's file. Write a module for it alone: types of its inputs and outputs,
            and a function that runs it.
    """
    options = CodegenOptions(
        url=url,
        object_info=object_info,
        out=out,
        check=check,
        strict_files=strict_files,
        learn=learn,
        workflow=workflow,
    )
    run = run_codegen if workflow is None else run_workflow_codegen
    return await supervise(partial(run, options), Screen())


async def run_codegen(options: CodegenOptions, screen: Screen) -> None:
    """Run the command `codegen`.

    Raises:
        CommandError: what was asked for contradicts itself, the file holds something else, the
            generator is not installed, or `options.check` finds a difference.
        ComfyError: the server cannot be asked.
        OSError: a file cannot be read or written, or the directory holds something else.
    """
    require_one(options.url, options.object_info)
    if options.learn and options.object_info is not None:
        raise CommandError("--learn needs a server, whose history it reads")
    nodes, package = import_generator("nodes"), import_generator("package")
    learned, ui_types = import_generator("learned"), import_generator("ui_types")
    told = await ask(options)
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
