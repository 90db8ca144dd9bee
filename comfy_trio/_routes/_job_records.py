"""What ``/jobs`` says of jobs, made of what queue and history say, as servers since 0.9 make it.

Facts are those of comfy_execution/jobs.py of ComfyUI 0.27. Where that fails over odd data, as over
an ``extra_pnginfo`` of null, this goes on.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, Final

from .._util import as_list, as_object, is_list, is_object
from ._record import parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._util import JSONObject
    from ._record import JobStatus

PREVIEWABLE: Final = frozenset({"images", "video", "audio", "3d", "text"})
MODEL_SUFFIXES: Final = (".obj", ".fbx", ".gltf", ".glb", ".usdz")
LONGEST_TEXT: Final = 1024
"""Where the text in ``preview_output`` is cut, in characters."""

PENDING: Final = math.inf
BEFORE_PENDING: Final = sys.float_info.max

ENDS: Final = frozenset({"execution_success", "execution_error", "execution_interrupted"})


def queued_job(item: list[Any], status: JobStatus) -> JSONObject:
    """Return the record of a job in the queue.

    Args:
        item: As ``/queue`` lists it, without secrets.
        status: Where.
    """
    number, prompt_id, _, extra_data, _ = parts(item)
    job = {"id": prompt_id, "status": status, "priority": number, **_origin(extra_data)}
    return _pruned({**job, "outputs_count": 0})


def finished_job(prompt_id: str, entry: JSONObject) -> JSONObject:
    """Return the record of a job in the history.

    Args:
        prompt_id: The job.
        entry: As ``/history`` holds it.
    """
    number, _, _, extra_data, _ = parts(entry.get("prompt"))
    told = as_object(entry.get("status"))
    times: JSONObject = {}
    status: JobStatus = "failed" if told.get("status_str") == "error" else "completed"
    for message in as_list(told.get("messages")):
        match message:
            case ["execution_start", {"timestamp": timestamp}, *_]:
                times["execution_start_time"] = timestamp
            case [str() as event, {**data}, *_] if event in ENDS:
                times["execution_end_time"] = data.get("timestamp")
                if event == "execution_error":
                    times["execution_error"] = data
                elif event == "execution_interrupted" and status == "failed":
                    status = "cancelled"
            case _:
                pass
    outputs = list(_items(as_object(entry.get("outputs"))))
    job = {"id": prompt_id, "status": status, "priority": number, **_origin(extra_data)}
    summary = {"outputs_count": len(outputs), "preview_output": _preview(outputs)}
    return _pruned({**job, **times, **summary})


def details(entry: JSONObject) -> JSONObject:
    """Return what the record of one job has besides, if it is over.

    Args:
        entry: As ``/history`` holds it.
    """
    _, _, prompt, extra_data, _ = parts(entry.get("prompt"))
    return {
        "outputs": _normalized(as_object(entry.get("outputs"))),
        "execution_status": entry.get("status"),
        "workflow": {"prompt": prompt, "extra_data": extra_data},
    }


def created(job: JSONObject) -> float:
    """Return what jobs are sorted by: when they were created, in milliseconds since 1970.

    Servers before 0.3.69 do not tell. There it is when they began; those that run come after all
    that are over, and those that wait come last.
    """
    last = {"in_progress": BEFORE_PENDING, "pending": PENDING}.get(job["status"], 0.0)
    times = (job.get("create_time"), job.get("execution_start_time"), last)
    return next(time for time in times if isinstance(time, int | float))


def ran_for(job: JSONObject) -> float:
    """Return what jobs are sorted by: how long they ran, in milliseconds."""
    start, end = (_number(job.get(f"execution_{each}_time")) for each in ("start", "end"))
    return end - start if start and end else 0.0


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0.0


def _origin(extra_data: object) -> JSONObject:
    extra = as_object(extra_data)
    workflow = as_object(as_object(extra.get("extra_pnginfo")).get("workflow"))
    return {"create_time": extra.get("create_time"), "workflow_id": workflow.get("id")}


def _pruned(job: JSONObject) -> JSONObject:
    return {key: value for key, value in job.items() if value is not None}


def _as_file(item: object) -> JSONObject | None:
    """Return an item of an output list as a file; the names of 3D models are files too."""
    if is_object(item):
        return item
    if isinstance(item, str) and _is_model(item):
        return {"filename": item, "type": "output", "subfolder": "", "mediaType": "3d"}
    return None


def _is_model(name: object) -> bool:
    return str(name).lower().endswith(MODEL_SUFFIXES)


def _normalized(outputs: JSONObject) -> JSONObject:
    return {
        node_id: {
            kind: [_as_file(item) or item for item in items if item is not None]
            if is_list(items) and kind != "animated"
            else items
            for kind, items in shown.items()
        }
        if is_object(shown)
        else shown
        for node_id, shown in outputs.items()
    }


def _items(outputs: JSONObject) -> Iterator[tuple[bool, JSONObject]]:
    """Yield what counts as an output, and whether it can be shown."""
    for node_id, shown in outputs.items():
        for kind, items in as_object(shown).items():
            if kind != "animated":
                for item in as_list(items):
                    yield from _item(node_id, kind, item)


def _item(node_id: str, kind: str, item: object) -> Iterator[tuple[bool, JSONObject]]:
    file = _as_file(item)
    if file is not None:
        yield _is_previewable(kind, file), {"mediaType": kind, **file, "nodeId": node_id}
    elif kind == "text":
        text = str(item)
        content: JSONObject = {"content": text[:LONGEST_TEXT]}
        if len(text) > LONGEST_TEXT:
            content["truncated"] = True
        yield True, {**content, "nodeId": node_id, "mediaType": kind}


def _is_previewable(kind: str, file: JSONObject) -> bool:
    form = str(file.get("format") or "")
    playable = form.startswith(("video/", "audio/"))
    return kind in PREVIEWABLE or playable or _is_model(file.get("filename", ""))


def _preview(items: list[tuple[bool, JSONObject]]) -> JSONObject | None:
    """Return the first of the outputs that can be shown, of saved files if there are any."""
    shown = [item for can_be_shown, item in items if can_be_shown]
    saved = [item for item in shown if item.get("type") == "output"]
    return next(iter(saved or shown), None)
