"""Routes of the jobs API, which shows queue and history in one form."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import attrs
from starlette.routing import Route

from comfy_trio._util import as_object, is_list, is_object

from ._http import json_reply, read_body
from ._prompt_routes import is_canonical_uuid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.responses import Response

    from comfy_trio._util import JSONObject

    from ._engine import Engine

STATUSES: Final = ("pending", "in_progress", "completed", "failed", "cancelled")
PREVIEWABLE: Final = frozenset({"images", "video", "audio", "3d", "text"})
MODEL_SUFFIXES: Final = frozenset({".obj", ".fbx", ".gltf", ".glb", ".usdz"})
MAX_TEXT_PREVIEW: Final = 1024
"""Where the text in ``preview_output`` is cut, in characters."""


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
        key = _duration if sort_by == "execution_duration" else _created
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
            job = self._finished(job_id, entry)
            job["outputs"] = _normalized(entry["outputs"])
            job["execution_status"] = entry["status"]
            job["workflow"] = {"prompt": entry["prompt"][2], "extra_data": entry["prompt"][3]}
            return json_reply(job)
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
        valid = STATUSES if self.engine.version.cancelled_status else STATUSES[:-1]
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
        for status, items in (("in_progress", queue.running), ("pending", queue.pending)):
            for item in items:
                job = {"id": item.prompt_id, "status": status, "priority": item.number}
                yield _pruned({**job, **_origin(item.extra_data), "outputs_count": 0})

    def _finished(self, prompt_id: str, entry: JSONObject) -> JSONObject:
        times: JSONObject = {}
        status = "completed" if entry["status"]["status_str"] == "success" else "failed"
        for event, data in entry["status"]["messages"]:
            if event == "execution_start":
                times["execution_start_time"] = data["timestamp"]
            elif event != "execution_cached":
                times["execution_end_time"] = data["timestamp"]
            if event == "execution_error":
                times["execution_error"] = data
            elif event == "execution_interrupted" and self.engine.version.cancelled_status:
                status = "cancelled"
        outputs = list(_items(entry["outputs"]))
        number, _, _, extra_data, _ = entry["prompt"]
        job = {"id": prompt_id, "status": status, "priority": number, **_origin(extra_data)}
        summary = {"outputs_count": len(outputs), "preview_output": _preview(outputs)}
        return _pruned({**job, **times, **summary})


def _origin(extra_data: JSONObject) -> JSONObject:
    # A null in this place fails here as it does in the real server: with 500.
    workflow = extra_data.get("extra_pnginfo", {}).get("workflow", {})
    return {"create_time": extra_data.get("create_time"), "workflow_id": workflow.get("id")}


def _pruned(job: JSONObject) -> JSONObject:
    return {key: value for key, value in job.items() if value is not None}


def _created(job: JSONObject) -> float:
    created: float = job.get("create_time", 0)
    return created


def _duration(job: JSONObject) -> float:
    start: float = job.get("execution_start_time", 0)
    end: float = job.get("execution_end_time", 0)
    return end - start if start and end else 0


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


def _as_file(item: Any) -> JSONObject | None:
    """An item of an output list as a file; the names of 3D models are files too."""
    if is_object(item):
        return item
    if isinstance(item, str) and PurePosixPath(item.lower()).suffix in MODEL_SUFFIXES:
        return {"filename": item, "type": "output", "subfolder": "", "mediaType": "3d"}
    return None


def _normalized(outputs: JSONObject) -> JSONObject:
    return {
        node_id: {
            kind: [_as_file(item) or item for item in items if item is not None]
            if is_list(items) and kind != "animated"
            else items
            for kind, items in ui.items()
        }
        for node_id, ui in outputs.items()
    }


def _items(outputs: JSONObject) -> Iterator[tuple[bool, JSONObject]]:
    """What counts as an output, and whether it can be shown."""
    for node_id, ui in outputs.items():
        for kind, items in ui.items():
            if kind == "animated" or not is_list(items):
                continue
            for item in items:
                file = _as_file(item)
                if file is not None:
                    shown = {**file, "nodeId": node_id}
                    shown.setdefault("mediaType", kind)
                    yield _is_previewable(kind, file), shown
                elif kind == "text":
                    text = str(item)
                    content: JSONObject = {"content": text[:MAX_TEXT_PREVIEW]}
                    if len(text) > MAX_TEXT_PREVIEW:
                        content["truncated"] = True
                    yield True, {**content, "nodeId": node_id, "mediaType": kind}


def _is_previewable(kind: str, file: JSONObject) -> bool:
    form = file.get("format") or ""
    suffix = PurePosixPath(str(file.get("filename", "")).lower()).suffix
    return kind in PREVIEWABLE or form.startswith(("video/", "audio/")) or suffix in MODEL_SUFFIXES


def _preview(items: list[tuple[bool, JSONObject]]) -> JSONObject | None:
    """The first file among the outputs that can be shown, or else the first of the others."""
    shown = [item for can_be_shown, item in items if can_be_shown]
    saved = [item for item in shown if item.get("type") == "output"]
    return next(iter(saved or shown), None)
