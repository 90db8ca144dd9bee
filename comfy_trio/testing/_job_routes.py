"""Routes of the jobs API, which shows queue and history in one form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
from starlette.routing import Route

from comfy_trio._routes._job_records import created, details, finished_job, queued_job, ran_for
from comfy_trio._routes._record import JOB_STATUSES
from comfy_trio._util import as_object, is_list

from ._http import json_reply, read_body
from ._prompt_routes import is_canonical_uuid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.responses import Response

    from comfy_trio._util import JSONObject

    from ._engine import Engine


class _BadQuery(Exception):
    """A query parameter has a value that the API refuses."""


@attrs.define(eq=False)
class JobRoutes:
    """The handlers.

    Args:
        engine: Whose queue and history are shown.
        limit: The largest body, in bytes.
    """

    engine: Engine
    limit: int

    def routes(self) -> list[Route]:
        """The routes, with ``/api``: without it they do not exist."""
        can = self.engine.version
        routes: list[Route] = []
        if can.job_cancel:
            routes += [
                Route("/api/jobs/cancel", self.post_cancel, methods=["POST"]),
                Route("/api/jobs/{job_id}/cancel", self.post_cancel_one, methods=["POST"]),
            ]
        if can.jobs:
            routes += [
                Route("/api/jobs", self.get_jobs, methods=["GET"]),
                Route("/api/jobs/{job_id}", self.get_job, methods=["GET"]),
            ]
        return routes

    async def get_jobs(self, request: Request) -> Response:
        """Jobs, filtered, sorted and cut to a page."""
        query = request.query_params
        try:
            wanted = self._wanted(query)
            limit = _positive(query, "limit")
            offset = max(_integer(query, "offset") or 0, 0)
            sort_by = _choice(query, "sort_by", ("created_at", "execution_duration"))
            sort_order = _choice(query, "sort_order", ("desc", "asc"))
        except _BadQuery as exc:
            return json_reply({"error": str(exc)}, 400)
        jobs = [job for job in self._all() if job["status"] in wanted]
        if workflow_id := query.get("workflow_id"):
            jobs = [job for job in jobs if job.get("workflow_id") == workflow_id]
        key = ran_for if sort_by == "execution_duration" else created
        jobs.sort(key=key, reverse=sort_order == "desc")
        page = jobs[offset:] if limit is None else jobs[offset : offset + limit]
        pagination: JSONObject = {
            "offset": offset,
            "limit": limit,
            "total": len(jobs),
            "has_more": offset + len(page) < len(jobs),
        }
        return json_reply({"jobs": page, "pagination": pagination})

    async def get_job(self, request: Request) -> Response:
        """One job, with its outputs if it is over."""
        job_id = request.path_params["job_id"]
        entry = self.engine.queue.history.get(job_id)
        if entry is not None:
            return json_reply({**self._finished(job_id, entry), **details(entry)})
        for job in self._queued():
            if job["id"] == job_id:
                return json_reply(job)
        return json_reply({"error": "Job not found"}, 404)

    async def post_cancel_one(self, request: Request) -> Response:
        """Interrupt or dequeue one job."""
        return json_reply({"cancelled": self.engine.cancel(request.path_params["job_id"])})

    async def post_cancel(self, request: Request) -> Response:
        """Interrupt or dequeue several jobs; nothing happens unless all ids are well formed."""
        try:
            posted = json.loads(await read_body(request, self.limit))
        except ValueError:
            return json_reply({"error": "Request body must be valid JSON"}, 400)
        job_ids = as_object(posted).get("job_ids")
        if not is_list(job_ids):
            return json_reply({"error": "job_ids must be a list"}, 400)
        bad = [each for each in job_ids if not is_canonical_uuid(each)]
        if bad:
            shown = [each if isinstance(each, str) else repr(each) for each in bad]
            error = {"error": "job_ids contains invalid id(s)", "invalid_ids": shown}
            return json_reply(error, 400)
        cancelled = [self.engine.cancel(each) for each in job_ids]
        return json_reply({"cancelled": any(cancelled)})

    def _wanted(self, query: QueryParams) -> Sequence[str]:
        valid = JOB_STATUSES if self.engine.version.cancelled_status else JOB_STATUSES[:-1]
        wanted = [part.strip().lower() for part in query.get("status", "").split(",")]
        wanted = [part for part in wanted if part]
        unknown = [part for part in wanted if part not in valid]
        if unknown:
            raise _BadQuery(
                f"Invalid status value(s): {', '.join(unknown)}. Valid values: {', '.join(valid)}"
            )
        return wanted or valid

    def _all(self) -> Iterator[JSONObject]:
        yield from self._queued()
        for prompt_id, entry in self.engine.queue.history.items():
            yield self._finished(prompt_id, entry)

    def _queued(self) -> Iterator[JSONObject]:
        queue = self.engine.queue
        for item in queue.running:
            yield queued_job(_sound(item.as_json()), "in_progress")
        for item in queue.pending:
            yield queued_job(_sound(item.as_json()), "pending")

    def _finished(self, prompt_id: str, entry: JSONObject) -> JSONObject:
        _sound(entry["prompt"])
        job = finished_job(prompt_id, entry)
        if job["status"] == "cancelled" and not self.engine.version.cancelled_status:
            job["status"] = "failed"
        return job


def _sound(item: list[Any]) -> list[Any]:
    """A prompt over which the real server does not fail; fails where that does, with 500."""
    item[3].get("extra_pnginfo", {}).get("workflow", {}).get("id")
    return item


def _integer(query: QueryParams, name: str) -> int | None:
    if name not in query:
        return None
    try:
        return int(query[name])
    except ValueError:
        raise _BadQuery(f"{name} must be an integer") from None


def _positive(query: QueryParams, name: str) -> int | None:
    number = _integer(query, name)
    if number is not None and number <= 0:
        raise _BadQuery(f"{name} must be a positive integer")
    return number


def _choice(query: QueryParams, name: str, choices: tuple[str, str]) -> str:
    choice = query.get(name, choices[0]).lower()
    if choice not in choices:
        first, second = sorted(choices, key=lambda each: (each != "created_at", each))
        raise _BadQuery(f"{name} must be {first!r} or {second!r}")
    return choice
