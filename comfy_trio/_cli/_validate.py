"""What a server would say of a workflow, without running it."""

# No postponed annotations in modules of commands: cyclopts reads them.

from functools import partial
from typing import final

import attrs
import trio

from .. import Validation, Workflow, open_comfy
from .. import validate as validate_offline
from ._definitions import read_object_info
from ._options import ServerURL
from ._screen import Screen, printable
from ._supervise import CommandError, supervise


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

    The exit code is 1 if the server would refuse the workflow.

    Args:
        file: The workflow, in API format.
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
            server would refuse the workflow.
        ComfyError: the file is no workflow, or the server cannot be asked.
        OSError: a file cannot be read.
    """
    if options.url is not None and options.object_info is not None:
        raise CommandError("choose one of --url and --object-info")
    if options.server_version is not None and options.object_info is None:
        raise CommandError("--server-version goes with --object-info; a server tells its own")
    workflow = await trio.to_thread.run_sync(Workflow.from_file, options.file)
    validation = await _judge(workflow, options)
    for line in str(validation).splitlines():
        screen.line(printable(line))
    if not validation.accepted:
        raise CommandError(f"{options.file} would not run")


async def _judge(workflow: Workflow, options: ValidateOptions) -> Validation:
    if options.object_info is None:
        async with open_comfy(options.url) as comfy:
            return await comfy.validate(workflow)
    definitions = await read_object_info(trio.Path(options.object_info))
    return validate_offline(workflow, definitions, version=options.server_version)
