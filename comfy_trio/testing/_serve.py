"""A server on TCP for as long as wanted: what ``python -m comfy_trio serve`` runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import trio

from ._diffusion_nodes import DEFAULT_SECONDS_PER_STEP
from ._server import MAX_UPLOAD_SIZE, open_embedded_server
from ._versions import DEFAULT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    from ._node_type import NodeType

DEFAULT_PORT = 8188
"""The port of the real server."""


async def serve_forever(  # noqa: ASYNC114  # a caller's nursery starts it
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    version: str = DEFAULT_VERSION,
    nodes: Iterable[NodeType] = (),
    base_directory: str | PathLike[str] | None = None,
    seconds_per_step: float = DEFAULT_SECONDS_PER_STEP,
    base_path: str = "",
    max_upload_size: int = MAX_UPLOAD_SIZE,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Run an embedded server on TCP until cancelled.

    ``await nursery.start(serve_forever, host, 0)`` returns its URL.

    Args:
        host: The address to bind.
        port: The port; 0 for any that is free.
        version: See `open_embedded_server`, as for all that follow.
        nodes: Node types of your own.
        base_directory: Where the files are.
        seconds_per_step: How long a step of a sampler takes.
        base_path: The path under which everything lives.
        max_upload_size: The largest request body, in bytes.
        task_status: Told the URL once the server listens.

    Raises:
        OSError: The port is taken, or is not ours to take.
        ValueError: `version` is no version, or too old a one.
    """
    async with (
        open_embedded_server(
            version=version,
            nodes=nodes,
            base_directory=base_directory,
            seconds_per_step=seconds_per_step,
            base_path=base_path,
            max_upload_size=max_upload_size,
        ) as server,
        server.listen(host, port) as url,
    ):
        task_status.started(url)
        await trio.sleep_forever()
    raise AssertionError("unreachable")
