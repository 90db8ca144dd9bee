"""The server's history."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import attrs

from .._replies import raise_for_status
from .._routes._history import (
    CLEAR_HISTORY,
    forget,
    history_of,
    history_page,
    read_history,
    read_history_entry,
)
from .._util import NoPublicConstructor

if TYPE_CHECKING:
    from .._http import HttpClient
    from .._routes._history import HistoryEntry


@final
@attrs.define(eq=False, slots=False)
class HistoryNamespace(metaclass=NoPublicConstructor):
    """`Comfy.history`: the jobs that are over, whoever's they were.

    A server keeps it in memory, of the last 10,000 jobs, until it is restarted.
    """

    _http: HttpClient = attrs.field(repr=False)

    async def entry(self, prompt_id: str) -> HistoryEntry | None:
        """Return what is kept of a job; None if it is not over, or unknown.

        Args:
            prompt_id: The job.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_history_entry(await self._http.request(history_of(prompt_id)), prompt_id)

    async def page(
        self, max_items: int | None = None, *, offset: int | None = None
    ) -> tuple[HistoryEntry, ...]:
        """Return a part of the history, in the order in which the jobs ended: the latest is last.

        Args:
            max_items: How many at most. Default: all, which may be many megabytes.
            offset: How many of the oldest to pass over. Default, and if it is negative: as many as
                leave the latest `max_items`.

        Raises:
            ValueError: `max_items` is below 1.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_history(await self._http.request(history_page(max_items, offset)))

    async def delete(self, *prompt_ids: str) -> None:
        """Delete jobs from the history, whoever's they were. Their files stay.

        Those that are unknown, or not over yet, are left alone, without a word.

        Args:
            prompt_ids: The jobs.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        raise_for_status(await self._http.request(forget(prompt_ids)))

    async def clear(self) -> None:
        """Delete everything from the history: everybody's. The files stay.

        A job that ends in this moment may be lost to its client, as `WentMissingError`.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        raise_for_status(await self._http.request(CLEAR_HISTORY))
