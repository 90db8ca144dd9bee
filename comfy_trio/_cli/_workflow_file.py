"""Workflow files that commands take: API JSON, canvas files, pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from .. import Workflow, open_comfy
from .._workflow_source import WorkflowSource, read_content
from ._definitions import read_object_info
from ._supervise import CommandError

if TYPE_CHECKING:
    from .._util import JSONObject


async def read_source(file: str) -> WorkflowSource:
    """Read a workflow's file, before a server's definitions are asked for.

    Raises:
        OSError: it cannot be read.
        WorkflowError: it holds no workflow.
    """
    content = await trio.Path(file).read_bytes()
    return await trio.to_thread.run_sync(read_content, content, file)


async def read_prompt(
    file: str, *, url: str | None = None, object_info: str | None = None
) -> JSONObject:
    """Read a workflow's file as the prompt that a server runs.

    Args:
        file: Its path.
        url: The server that tells of the nodes, where the file says too little of them. Default:
            $COMFY_HOST, or else http://127.0.0.1:8188.
        object_info: A file with a server's reply to GET /object_info, in place of a server.

    Raises:
        CommandError: both a server and a file in its place are given.
        ComfyError: the file holds no workflow, or the server cannot be asked.
        OSError: a file cannot be read.
    """
    require_one(url, object_info)
    source = await read_source(file)
    definitions: JSONObject = {}
    if source.needs_definitions and object_info is not None:
        definitions = await read_object_info(trio.Path(object_info))
    elif source.needs_definitions:
        async with open_comfy(url) as comfy:
            definitions = await comfy.node.definitions()
    return Workflow._from_source(source, definitions).resolved_prompt(definitions)


def require_one(url: str | None, object_info: str | None) -> None:
    """Refuse both a server and a file in its place.

    Raises:
        CommandError: both are given.
    """
    if url is not None and object_info is not None:
        raise CommandError("choose one of --url and --object-info")
