"""Types for one workflow: a Python module of its own."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from .. import Workflow
from .._version import __version__
from ._codegen_source import CodegenOptions, ask
from ._generator import import_generator
from ._screen import Screen, printable
from ._supervise import CommandError
from ._workflow_file import read_source, require_one

if TYPE_CHECKING:
    from codegen.workflow_module import WorkflowModule


async def run_workflow_codegen(options: CodegenOptions, screen: Screen) -> None:
    """Run the command `codegen` for a workflow.

    Raises:
        CommandError: what was asked for contradicts itself, a file holds something else, no module
            can be made of the workflow, the generator is not installed, or `options.check` finds a
            difference.
        ComfyError: the server cannot be asked, or the workflow is none.
        OSError: a file cannot be read or written.
    """
    require_one(options.url, options.object_info)
    if options.learn:
        raise CommandError("--learn is for packages of nodes, not for --workflow")
    path = Path(options.workflow or "")
    source = await read_source(str(path))
    generator, package = import_generator("workflow_module"), import_generator("package")
    found = await _read(Path(options.out), package.HEADER)
    told = await ask(options)
    screen.fact("Nodes of", printable(told.source))
    workflow = Workflow._from_source(source, told.object_info)
    try:
        module: WorkflowModule = await trio.to_thread.run_sync(
            partial(
                generator.generate_workflow_module,
                workflow.resolved_prompt(told.object_info),
                told.object_info,
                name=path.stem,
                generator_version=__version__,
                server_version=told.version,
                strict_files=options.strict_files,
            ),
            abandon_on_cancel=True,
        )
    except generator.WorkflowModuleError as error:
        raise CommandError(f"no module can be made of {path}: {error}") from None
    for class_type in module.unknown:
        screen.line(f"unknown {printable(class_type)}: its inputs are typed by their values")
    same = found is not None and generator.is_same_module(
        found, module.source, strict_files=options.strict_files
    )
    if options.check and not same:
        raise CommandError(f"{options.out} is outdated: run the command without --check")
    stands = options.check or found == module.source
    if not stands:
        await trio.to_thread.run_sync(package.replace_file, Path(options.out), module.source)
    screen.fact(
        "Up to date" if stands else "Written",
        f"{options.out}: {len(module.inputs)} inputs, {len(module.outputs)} outputs",
    )


async def _read(path: Path, header: str) -> str | None:
    """Return the module as it is; None if there is none.

    Raises:
        CommandError: the file is not ours to write.
    """
    try:
        data = await trio.Path(path).read_bytes()
    except FileNotFoundError:
        return None
    text = data.decode(errors="replace").replace("\r\n", "\n")
    if text and not text.startswith(header):
        raise CommandError(f"{path} exists, and this command has not written it: choose another")
    return text
