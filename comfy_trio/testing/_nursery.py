"""A nursery for tasks that serve a block and end with it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from comfy_trio._util import raise_saving_context

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def open_service_nursery() -> AsyncGenerator[trio.Nursery, None]:
    """Open a nursery whose tasks are cancelled when the block ends.

    What the block raises comes out as it is, not in a group: the tasks are no business of the
    caller. Only a task that crashes, which none should, brings an exception group.
    """
    body_error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            except BaseException as exc:  # noqa: ASYNC103  # raised again below
                body_error = exc
            finally:
                nursery.cancel_scope.cancel("the block that these tasks serve is over")
    except BaseExceptionGroup as group:
        _, crashes = group.split(trio.Cancelled)
        if crashes is not None or body_error is None:
            raise
    if body_error is not None:
        raise_saving_context(body_error)
