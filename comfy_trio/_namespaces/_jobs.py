"""All jobs of a server in one list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, final

import attrs

from .._learned import Learned
from .._routes._history import history_of, history_page, read_history, read_history_entry
from .._routes._jobs import (
    FAILS,
    PROBE,
    JobQuery,
    job_of,
    job_request,
    read_job,
    read_jobs,
    read_probe,
)
from .._routes._queue import QUEUE, read_queue
from .._util import NoPublicConstructor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._replies import Reply, Request
    from .._routes._jobs import JobInfo, JobOrder, JobPage
    from .._routes._record import JobStatus
    from .._session import Session


@final
@attrs.define(eq=False, slots=False)
class JobsNamespace(metaclass=NoPublicConstructor):
    """`Comfy.jobs`: the jobs that wait, run or are over, whoever's they are.

    Servers have this list since 0.6, and tell cancelled jobs from failed ones since 0.9. For those
    before, all of it is made of their queue and their history, with the same results; that takes
    more time, because a list there means to read both whole.
    """

    _session: Session = attrs.field(repr=False)
    _has_list: Learned[bool] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._has_list = Learned(lambda: self._session.reconnections)

    async def page(
        self,
        *,
        status: JobStatus | Iterable[JobStatus] | None = None,
        workflow_id: str | None = None,
        sort_by: JobOrder = "created_at",
        sort_order: Literal["asc", "desc"] = "desc",
        limit: int | None = None,
        offset: int = 0,
    ) -> JobPage:
        """Return a part of the list of jobs.

        Args:
            status: Only jobs of this status, or of one of these. Default: any.
            workflow_id: Only jobs of the workflow, as drawn, that has this id. Default: any.
            sort_by: When they were created, or how long they ran (for which those that are not
                over count as 0). Servers before 0.3.69 do not tell when a job was created: there
                it is when it began, and those that wait count as the newest.
            sort_order: ``desc``: the newest, or longest, first; ``asc``: the other way round.
            limit: How many at most. Default: all.
            offset: How many to pass over.

        Raises:
            ValueError: an argument makes no sense.
            ResponseError, ServerUnreachableError, DisconnectedError: a request failed.
        """
        if sort_order not in ("asc", "desc"):
            raise ValueError(f"sort_order is asc or desc, not {sort_order!r}")
        if status is not None:
            status = (status,) if isinstance(status, str) else tuple(status)
        query = JobQuery(
            statuses=status,
            workflow_id=workflow_id,
            sort_by=sort_by,
            descending=sort_order == "desc",
            limit=limit,
            offset=offset,
        )
        reply = await self._ask_list(query.request())
        if reply is not None:
            return read_jobs(reply)
        queue = read_queue(await self._session.http.request(QUEUE))
        history = read_history(await self._session.http.request(history_page()))
        return query.answer(queue, history)

    async def info(self, prompt_id: str) -> JobInfo | None:
        """Return what the server says of a job; None if it does not know it.

        A job that was taken out of the queue before it began is unknown from then on.

        Args:
            prompt_id: The job.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: a request failed.
        """
        reply = await self._ask_list(job_request(prompt_id))
        if reply is not None:
            return read_job(reply)
        queue = read_queue(await self._session.http.request(QUEUE))
        history = await self._session.http.request(history_of(prompt_id))
        return job_of(prompt_id, queue, read_history_entry(history, prompt_id))

    async def status(self, prompt_id: str) -> JobStatus | None:
        """Return how a job is; None if the server does not know it. See `info`.

        Args:
            prompt_id: The job.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: a request failed.
        """
        found = await self.info(prompt_id)
        return None if found is None else found.status

    async def cancel(self, *prompt_ids: str) -> bool:
        """Stop jobs, whoever's they are: take them out of the queue, or interrupt them by id.

        Nobody else's job is touched. Those that are over, or unknown, are left alone, without a
        word. A running node is interrupted where it checks for that, which may take it a while;
        this does not wait for it.

        Args:
            prompt_ids: The jobs.

        Returns:
            Whether any of them ran or waited.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: a request failed.
        """
        return await self._session.supervisor.cancel(prompt_ids)

    async def _ask_list(self, request: Request) -> Reply | None:
        """Ask for something of the server's own list; None if queue and history are to be asked."""
        http = self._session.http
        has_list = self._has_list.value
        if has_list is None:
            asked = self._has_list.moment
            has_list = read_probe(await http.request(PROBE))
            if has_list is not None:
                self._has_list.learn(has_list, asked)
        if not has_list:
            return None
        reply = await http.request(request)
        return None if reply.status == FAILS else reply
