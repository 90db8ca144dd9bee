"""The library's logger: silent, until a program gives it a handler or configures logging."""

from __future__ import annotations

import logging
from typing import Final

IDS: Final = ("server", "client_id", "prompt_id", "job_id")
"""What each record tells whom it concerns by, as attributes; None where it is nobody's."""

logger = logging.getLogger("comfy_trio")
# Without any handler, Python itself would print warnings to stderr.
logger.addHandler(logging.NullHandler())


def ids(
    *,
    server: object = None,
    client_id: str | None = None,
    prompt_id: str | None = None,
    job_id: int | None = None,
) -> dict[str, str | int | None]:
    """Return what a record is given as ``extra``.

    Args:
        server: Its address, or its id in a pool.
        client_id: The name under which it knows the client.
        prompt_id: A job's id there.
        job_id: A job's number in a pool.
    """
    told = None if server is None else str(server)
    return {"server": told, "client_id": client_id, "prompt_id": prompt_id, "job_id": job_id}


def _complete(record: logging.LogRecord) -> bool:
    """Let formatters ask any record for any id."""
    for name in IDS:
        record.__dict__.setdefault(name, None)
    return True


logger.addFilter(_complete)
