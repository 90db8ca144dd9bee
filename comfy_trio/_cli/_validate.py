"""What a server would say of a workflow, without running it."""

# No postponed annotations in modules of commands: cyclopts reads them.

from functools import partial
from typing import final

import attrs
import trio

from .. import Validation, Workflow, open_comfy
from .. import validate as validate_offline
from .._workflow_source import WorkflowSource
from ._definitions import read_object_info
from ._options import ServerURL
from ._screen import Screen, printable
from ._supervise import CommandError, supervise
from ._workflow_file import read_source, require_one


@final
@attrs.frozen(kw_only=True)
class ValidateOptions:
    """What `validate` was asked for; see there."""

    file: str
    url: str | None = None
    object_info: str | None = None
    server_version: str | None = None


async def validate(
    file: str,
    *,
    url: ServerURL | None = None,
    object_info: str | None = None,
    server_version: str | None = None,
) -> int:
    """Tell what a server would say of a workflow, and what it would overlook. Nothing is run.

    The exit code is 1 if the server would refuse the workflow, or a part of it.

    Args:
        file: The workflow: API JSON, a canvas file, or a picture that holds one.
        url: A ComfyUI server. Default: $COMFY_HOST, or else http://127.0.0.1:8188.
        object_info: A file with a server's reply to GET /object_info, in place of a server.
        server_version: With --object-info, the version of ComfyUI to judge as. Default: the newest
            known.
    """
    options = ValidateOptions(
        file=file, url=url, object_info=object_info, server_version=server_version
    )
    return await supervise(partial(run_validate, options), Screen())


async def run_validate(options: ValidateOptions, screen: Screen) -> None:
    """Run the command `validate`.

    Raises:
        CommandError: what was asked for contradicts itself, a file holds something else, or the
            server would refuse the workflow or a part of it.
        ComfyError: the file is no workflow, or the server cannot be asked.
        OSError: a file cannot be read.
    """
    require_one(options.url, options.object_info)
    if options.server_version is not None and options.object_info is None:
        raise CommandError("--server-version goes with --object-info; a server tells its own")
    validation = await _judge(await read_source(options.file), options)
    for line in str(validation).splitlines():
        screen.line(printable(line))
    if not validation.accepted:
        raise CommandError(f"{options.file} would not run")
    if validation.left_out:
        raise CommandError(f"{options.file} would run in part only")


async def _judge(source: WorkflowSource, options: ValidateOptions) -> Validation:
    if options.object_info is None:
        async with open_comfy(options.url) as comfy:
            definitions = await comfy.node.definitions() if source.prompt is None else None
            return await comfy.validate(Workflow._from_source(source, definitions))
    definitions = await read_object_info(trio.Path(options.object_info))
    workflow = Workflow._from_source(source, definitions)
    return validate_offline(workflow, definitions, version=options.server_version)
