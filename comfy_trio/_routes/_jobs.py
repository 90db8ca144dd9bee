"""``/jobs``: what the server runs, will run and has run, in one list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import attrs

from .._replies import get, post, quote_segment, raise_for_status, require_object, unexpected
from .._secrets import without_secrets
from .._util import as_object, from_milliseconds, is_list, is_object
from .._wire import decode_execution_error
from ._job_records import created, details, finished_job, queued_job, ran_for
from ._record import JOB_STATUSES, JobStatus, duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from .._replies import Reply, Request
    from .._util import JSONObject
    from .._wire import ExecutionError
    from ._history import HistoryEntry
    from ._queue import QueueState

JobOrder: TypeAlias = Literal["created_at", "execution_duration"]
"""What jobs are sorted by: when they were created, or how long they ran."""

PROBE: Final = get("/jobs", status="cancelled", limit="1")
"""Tells the servers that have the list apart from those before 0.6, which answer 404, and from
those before 0.9, which answer 400 because they do not tell cancelled jobs from failed ones."""

FAILS: Final = 500
"""The status of any list of jobs that an odd prompt is in, such as an ``extra_pnginfo`` of null."""


def cancel(prompt_ids: Iterable[str]) -> Request:
    """Return the request that cancels jobs, running or pending (0.26 and newer)."""
    return post("/jobs/cancel", {"job_ids": [*prompt_ids]})


def read_cancelled(reply: Reply) -> bool:
    """Read the reply to it: whether there was any job to cancel.

    Raises:
        ResponseError: it is something else.
    """
    cancelled = require_object(reply, "whether a job was cancelled").get("cancelled")
    if not isinstance(cancelled, bool) and not is_list(cancelled):  # Comfy Cloud lists their ids
        raise unexpected(reply, "whether a job was cancelled")
    return bool(cancelled)


@attrs.frozen(kw_only=True)
class JobInfo:
    """What the server says of a job.

    Args:
        prompt_id: The job.
        status: How it is. A server newer than this library may have more words for it.
        number: Its place in the queue: lower runs earlier, or did.
        created: When it was put in the queue, in UTC; None on servers before 0.3.69.
        started: When the server began it, in UTC; None until it is over, or if it does not tell.
        ended: When it ended, likewise.
        failure: What a node raised, if one did.
        workflow_id: The id of the workflow as drawn, if it was sent along.
        outputs_count: How many files and texts it gave.
        preview: The one that stands for the job, if there is one.
        outputs: What each node shows, by node id; None unless asked for one job that is over.
        prompt: The graph; None unless asked for one job, and the server tells.
        extra_data: What was sent along with it, without the keys of paid services; likewise.
        raw: The server's record.
    """

    prompt_id: str
    status: JobStatus
    number: float | None
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    failure: ExecutionError | None
    workflow_id: str | None
    outputs_count: int
    preview: Mapping[str, object] | None
    outputs: Mapping[str, JSONObject] | None = None
    prompt: JSONObject | None = attrs.field(default=None, repr=False)
    extra_data: JSONObject | None = attrs.field(default=None, repr=False)
    raw: JSONObject = attrs.field(repr=False, eq=False)

    @property
    def duration(self) -> float | None:
        """How long it ran, in seconds; None if it is not over, or the server does not tell."""
        return duration(self.started, self.ended)


@attrs.frozen
class JobPage:
    """A part of a list of jobs.

    Args:
        jobs: The jobs, in the order asked for.
        offset: How many come before them.
        total: How many there are in all.
    """

    jobs: tuple[JobInfo, ...]
    offset: int
    total: int

    @property
    def has_more(self) -> bool:
        """Whether more come after them."""
        return self.offset + len(self.jobs) < self.total


@attrs.frozen(kw_only=True)
class JobQuery:
    """Which jobs are asked for; see `JobsNamespace.page`.

    Raises:
        ValueError: a part of it makes no sense.
    """

    statuses: Sequence[JobStatus] | None = None
    workflow_id: str | None = None
    sort_by: JobOrder = "created_at"
    descending: bool = True
    limit: int | None = None
    offset: int = 0

    def __attrs_post_init__(self) -> None:
        wanted = JOB_STATUSES if self.statuses is None else self.statuses
        if not wanted or not set(wanted).issubset(JOB_STATUSES):
            known = ", ".join(JOB_STATUSES)
            raise ValueError(f"the status of a job is one of {known}; not {wanted!r}")
        if self.sort_by not in ("created_at", "execution_duration"):
            raise ValueError(f"sort_by is created_at or execution_duration, not {self.sort_by!r}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit is at least 1, not {self.limit}")
        if self.offset < 0:
            raise ValueError(f"offset is at least 0, not {self.offset}")

    def request(self) -> Request:
        """Return the request to a server that has the list."""
        params = {
            "sort_by": self.sort_by,
            "sort_order": "desc" if self.descending else "asc",
            "offset": str(self.offset),
        }
        if self.statuses is not None:
            params["status"] = ",".join(self.statuses)
        if self.limit is not None:
            params["limit"] = str(self.limit)
        if self.workflow_id is not None:
            params["workflow_id"] = self.workflow_id
        return get("/jobs", **params)

    def answer(self, queue: QueueState, history: Iterable[HistoryEntry]) -> JobPage:
        """Answer it from queue and history, as a server does that has the list.

        Args:
            queue: Asked for first: a job moves from there to the history.
            history: All of it.
        """
        over = {entry.prompt_id: entry for entry in history}
        records = [record for record in _queued(queue) if record["id"] not in over]
        records += [finished_job(entry.prompt_id, entry.raw) for entry in over.values()]
        wanted = [
            record
            for record in records
            if (self.statuses is None or record["status"] in self.statuses)
            and (not self.workflow_id or record.get("workflow_id") == self.workflow_id)
        ]
        wanted.sort(
            key=created if self.sort_by == "created_at" else ran_for, reverse=self.descending
        )
        end = None if self.limit is None else self.offset + self.limit
        page = tuple(map(_job_of, wanted[self.offset : end]))
        return JobPage(page, self.offset, len(wanted))


def job_of(prompt_id: str, queue: QueueState, entry: HistoryEntry | None) -> JobInfo | None:
    """Return what queue and history say of a job; None if neither has it.

    Args:
        prompt_id: The job.
        queue: Asked for first.
        entry: The history's.
    """
    if entry is not None:
        return _job_of({**finished_job(prompt_id, entry.raw), **details(entry.raw)})
    record = next((each for each in _queued(queue) if each["id"] == prompt_id), None)
    return None if record is None else _job_of(record)


def _queued(queue: QueueState) -> Iterator[JSONObject]:
    for entry in queue.running:
        yield queued_job(entry.raw, "in_progress")
    for entry in queue.pending:
        yield queued_job(entry.raw, "pending")


def job_request(prompt_id: str) -> Request:
    """Return the request for one job."""
    return get(f"/jobs/{quote_segment(prompt_id)}")


def is_unknown(reply: Reply) -> bool:
    """Whether a server answers that it has no such job; a proxy's 404 says nothing of jobs."""
    return reply.status == 404 and is_object(reply.json())


def read_job(reply: Reply) -> JobInfo | None:
    """Read the reply to it; None if the server does not know the job.

    Raises:
        ResponseError: it is something else.
    """
    if is_unknown(reply):
        return None
    body = require_object(reply, "a job")
    try:
        return _job_of(body)
    except (KeyError, TypeError, ValueError):
        raise unexpected(reply, "a job") from None


def read_jobs(reply: Reply) -> JobPage:
    """Read the reply to GET /jobs.

    Raises:
        ResponseError: it is something else.
    """
    body = require_object(reply, "a list of jobs")
    jobs, page = body.get("jobs"), as_object(body.get("pagination"))
    offset, total = page.get("offset", 0), page.get("total")
    if not is_list(jobs) or not isinstance(offset, int) or not isinstance(total, int):
        raise unexpected(reply, "a list of jobs")
    try:
        return JobPage(tuple(map(_job_of, jobs)), offset, total)
    except (KeyError, TypeError, ValueError):
        raise unexpected(reply, "a list of jobs") from None


def read_probe(reply: Reply) -> bool | None:
    """Read the reply to `PROBE`: whether the server can be asked for its list of jobs.

    None if it can, but fails: it does so as long as its history has one odd prompt.

    Raises:
        ResponseError: it tells nothing.
    """
    if reply.status == FAILS:
        return None
    if reply.status in {400, 404, 405}:
        return False
    raise_for_status(reply)
    return True


def _job_of(record: object) -> JobInfo:
    if not is_object(record):
        raise TypeError("a job is an object")
    prompt_id, status = record["id"], record["status"]
    if not isinstance(prompt_id, str) or not isinstance(status, str):
        raise TypeError("a job has an id and a status")
    error = record.get("execution_error")
    number, workflow_id = record.get("priority"), record.get("workflow_id")
    count = record.get("outputs_count")
    workflow = record.get("workflow")
    outputs = record.get("outputs")
    preview = record.get("preview_output")
    return JobInfo(
        prompt_id=prompt_id,
        status=cast("JobStatus", status),
        number=number if isinstance(number, int | float) else None,
        created=from_milliseconds(record.get("create_time")),
        started=from_milliseconds(record.get("execution_start_time")),
        ended=from_milliseconds(record.get("execution_end_time")),
        failure=decode_execution_error({"prompt_id": prompt_id, **error})
        if is_object(error)
        else None,
        workflow_id=workflow_id if isinstance(workflow_id, str) else None,
        outputs_count=count if isinstance(count, int) else 0,
        preview=preview if is_object(preview) else None,
        outputs={key: shown for key, shown in outputs.items() if is_object(shown)}
        if is_object(outputs)
        else None,
        prompt=as_object(workflow.get("prompt")) if is_object(workflow) else None,
        extra_data=without_secrets(as_object(workflow.get("extra_data")))
        if is_object(workflow)
        else None,
        raw=record,
    )
