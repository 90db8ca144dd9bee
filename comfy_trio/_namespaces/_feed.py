"""What a namespace tells as it happens: an iterator, and the task that fills it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from .._mailbox import Mailbox
from .._nursery import open_service_nursery

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from .._mailbox import Subscription

T = TypeVar("T")

MAX_UNREAD = 1000
"""Items that a reader may be behind; beyond that it misses the oldest."""


@asynccontextmanager
async def open_feed(
    fill: Callable[[Mailbox[T]], Awaitable[None]],
) -> AsyncGenerator[Subscription[T], None]:
    """Run a task that fills a mailbox, for as long as a block lasts.

    When the task ends, so does the iteration, and with the task's exception if that raised one.

    Args:
        fill: The task: puts what is to be read into the mailbox.
    """
    mailbox: Mailbox[T] = Mailbox(MAX_UNREAD)

    async def run() -> None:
        try:
            await fill(mailbox)
        except Exception as error:  # raised again, to who reads
            mailbox.close(error)
        else:
            mailbox.close()

    async with open_service_nursery() as nursery:
        nursery.start_soon(run)
        yield mailbox.subscription()
