"""Workflow files that commands take: API JSON, canvas files, pictures."""

from __future__ import annotations

import trio

from .. import Workflow, open_comfy
from .._workflow_source import WorkflowSource, read_content
from ._definitions import read_object_info
from ._supervise import CommandError


async def read_source(file: str) -> WorkflowSource:
    """Read a workflow's file, before a server's definitions are asked for.

    Raises:
        OSError: it cannot be read.
        WorkflowError: it holds no workflow.
    """
    content = await trio.Path(file).read_bytes()
    return await trio.to_thread.run_sync(read_content, content, file)


async def read_workflow(
    file: str, *, url: str | None = None, object_info: str | None = None
) -> Workflow:
    """Read a workflow's file.

    Args:
        file: Its path.
        url: The server that tells of the nodes in it, where there is only a canvas. Default:
            $COMFY_HOST, or else http://127.0.0.1:8188.
        object_info: A file with a server's reply to GET /object_info, in place of a server.

    Raises:
        CommandError: both a server and a file in its place are given.
        ComfyError: the file holds no workflow, or the server cannot be asked.
        OSError: a file cannot be read.
    """
    require_one(url, object_info)
    source = await read_source(file)
    if source.prompt is not None:
        return Workflow._from_source(source, None)
    if object_info is not None:
        return Workflow._from_source(source, await read_object_info(trio.Path(object_info)))
    async with open_comfy(url) as comfy:
        return Workflow._from_source(source, await comfy.node.definitions())


def require_one(url: str | None, object_info: str | None) -> None:
    """Refuse both a server and a file in its place.

    Raises:
        CommandError: both are given.
    """
    if url is not None and object_info is not None:
        raise CommandError("choose one of --url and --object-info")
