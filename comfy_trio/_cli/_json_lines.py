"""What commands tell as JSON, for other programs: one value a line."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from .. import Failed, Finished, ImageReceived, Preview

if TYPE_CHECKING:
    from .. import JobEvent
    from ._screen import Screen


def write_json_line(screen: Screen, value: object) -> None:
    """Write a value as one line."""
    screen.line(json.dumps(value, default=_plain, ensure_ascii=False))


def event_as_json(event: JobEvent, job: int) -> dict[str, Any]:
    """Return a job's event, without the bytes of pictures.

    Args:
        event: The event.
        job: The job's number, from 1.
    """
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(event).__name__).lower()
    told: dict[str, Any] = {"event": kind, "job": job, "prompt_id": event.prompt_id}
    match event:
        case Finished():
            return {**told, "outputs": dict(event.result)}
        case Failed():
            return {**told, "code": event.error.code, "message": str(event.error)}
        case Preview():
            facts = {"node_id": event.node_id, "media_type": event.media_type}
            return {**told, **facts, "size": len(event.data)}
        case ImageReceived():
            facts = {"node_id": event.node_id, "media_type": event.media_type}
            return {**told, **facts, "index": event.index, "size": len(event.data)}
        case _:
            return {**told, **attrs.asdict(event)}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
