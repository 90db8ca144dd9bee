"""Workflow files that commands take."""

from functools import partial

import trio

from .. import Workflow
from ._supervise import CommandError


async def read_workflow(
    file: str, *, url: str | None = None, object_info: str | None = None
) -> Workflow:
    """Read a workflow's file.

    Args:
        file: Its path.
        url: The server that tells of the nodes in it, where the file itself says too little.
        object_info: A file with a server's reply to GET /object_info, in place of a server.

    Raises:
        CommandError: both a server and a file in its place are given.
        OSError: a file cannot be read.
        WorkflowError: it holds no workflow.
    """
    if url is not None and object_info is not None:
        raise CommandError("choose one of --url and --object-info")
    return await trio.to_thread.run_sync(partial(Workflow.from_file, file))
