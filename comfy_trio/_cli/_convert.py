"""Canvas files, and pictures that hold one, as the prompts that a server runs."""

# No postponed annotations in modules of commands: cyclopts reads them.

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, final

import attrs
import trio
from cyclopts import Parameter

from .. import Workflow, WorkflowError, open_comfy
from .._prompt_json import write_json
from .._util import JSONObject
from ._definitions import read_object_info
from ._options import ServerURL
from ._screen import Screen
from ._supervise import CommandError, supervise
from ._workflow_file import read_source, require_one

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._workflow_source import WorkflowSource

SUFFIX = ".api.json"
"""What a prompt is called beside its canvas file, as in ``portrait.api.json``."""


@final
@attrs.frozen(kw_only=True)
class ConvertOptions:
    """What `convert` was asked for; see there."""

    files: tuple[str, ...]
    url: str | None = None
    object_info: str | None = None
    out: str | None = None
    expand: bool = False


async def convert(
    *files: str,
    url: ServerURL | None = None,
    object_info: str | None = None,
    out: str | None = None,
    expand: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Make the prompts that a server runs of canvas files and pictures, one file for each.

    What cannot be converted as it is drawn is said; a file that cannot be converted at all is
    named, the others are, and the exit code is 1.

    Args:
        files: Canvas files as ComfyUI saves them, pictures that it made, or prompts.
        url: A ComfyUI server, to tell what the nodes are. Default: $COMFY_HOST, or else
            http://127.0.0.1:8188.
        object_info: A file with a server's reply to GET /object_info, in place of a server.
        out: A directory for the prompts, each called as its canvas. Default: beside each canvas,
            as NAME.api.json.
        expand: Choose among {a|b} and fill in %date:yyyy% and %Node.input%, as the browser does
            when it queues a workflow.
    """
    options = ConvertOptions(files=files, url=url, object_info=object_info, out=out, expand=expand)
    return await supervise(partial(run_convert, options), Screen())


async def run_convert(options: ConvertOptions, screen: Screen) -> None:
    """Run the command `convert`.

    Raises:
        CommandError: what was asked for contradicts itself, or a file could not be converted.
        ComfyError: the server cannot be asked.
        OSError: the definitions cannot be read, or a prompt cannot be written.
    """
    require_one(options.url, options.object_info)
    if not options.files:
        raise CommandError("which files? Give at least one")
    targets = _targets(options)
    sources: dict[str, WorkflowSource] = {}
    failed: list[str] = []
    for file in targets:
        try:
            sources[file] = await read_source(file)
        except (WorkflowError, OSError) as error:
            _tell(file, error, screen)
            failed.append(file)
    is_asked = options.expand or any(source.needs_definitions for source in sources.values())
    object_info = await _definitions(options) if is_asked else None
    for file, source in sources.items():
        try:
            prompt = await trio.to_thread.run_sync(
                partial(_to_prompt, source, object_info, expand=options.expand)
            )
        except WorkflowError as error:
            _tell(file, error, screen)
            failed.append(file)
            continue
        await _write(targets[file], prompt)
        screen.fact("Written", f"{targets[file]}: {len(prompt)} nodes")
    if failed:
        raise CommandError(f"{len(failed)} of {len(targets)} files could not be converted")


def _targets(options: ConvertOptions) -> dict[str, Path]:
    """Return where the prompt of each file goes.

    Raises:
        CommandError: two would go to one place, or one to where a file is read from.
    """
    targets: dict[str, Path] = {}
    taken = {Path(file).resolve(): file for file in options.files}
    for file in dict.fromkeys(options.files):
        path = Path(file)
        if options.out is None:
            target = path.with_name(f"{path.stem}{SUFFIX}")
        else:
            target = Path(options.out) / f"{path.stem}.json"
        other = taken.setdefault(target.resolve(), file)
        if other != file or target.resolve() == path.resolve():
            raise CommandError(
                f"the prompt of {file} would be {target}, where {other} is or goes: choose another"
                " --out"
            )
        targets[file] = target
    return targets


def _tell(file: str, error: WorkflowError | OSError, screen: Screen) -> None:
    if isinstance(error, OSError):
        screen.error(f"{file}: {error.strerror or error}")
    else:  # which begins with the file's name
        screen.error(str(error))


async def _definitions(options: ConvertOptions) -> JSONObject:
    if options.object_info is not None:
        return await read_object_info(trio.Path(options.object_info))
    async with open_comfy(options.url) as comfy:
        return await comfy.node.definitions()


def _to_prompt(
    source: "WorkflowSource", object_info: "Mapping[str, object] | None", *, expand: bool
) -> JSONObject:
    workflow = Workflow._from_source(source, object_info)
    if object_info is None:
        return workflow.to_dict()
    if expand:
        workflow.expand(object_info)
    return workflow.resolved_prompt(object_info)


async def _write(path: Path, prompt: JSONObject) -> None:
    await trio.Path(path.parent).mkdir(parents=True, exist_ok=True)
    text = write_json(prompt, prompt, indent=2)
    await trio.Path(path).write_text(f"{text}\n", encoding="utf-8", newline="\n")
