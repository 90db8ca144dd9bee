"""What a server declares of its nodes, as a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .._util import as_object, is_object
from ._supervise import CommandError

if TYPE_CHECKING:
    import trio

    from .._util import JSONObject


async def read_object_info(path: trio.Path) -> JSONObject:
    """Read a file with a server's reply to GET /object_info.

    Raises:
        CommandError: the file holds something else.
        OSError: it cannot be read.
    """
    try:
        value: object = json.loads(await path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path} is no JSON: {error}") from error
    # Anything else would be read as odd nodes, without a complaint.
    if not is_object(value) or not any("input" in as_object(entry) for entry in value.values()):
        raise CommandError(
            f"{path} declares no nodes: it should hold a server's reply to GET /object_info"
        )
    return value
