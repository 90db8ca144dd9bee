"""What the queue, the history and the list of jobs say of a job in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import attrs

from .._secrets import without_secrets
from .._util import as_list, as_object, is_list, is_object

if TYPE_CHECKING:
    from datetime import datetime

    from .._util import JSONObject

JobStatus: TypeAlias = Literal["pending", "in_progress", "completed", "failed", "cancelled"]
"""How a job is. A job that was taken out of the queue before it ran has none: it leaves no trace.

``completed``: it ran to its end, well. ``failed``: a node raised. ``cancelled``: it was interrupted
while it ran.
"""

JOB_STATUSES: Final[tuple[JobStatus, ...]] = get_args(JobStatus)


@attrs.frozen
class Item:
    """The list in which servers keep a prompt, as far as it is one.

    Args:
        number: Its place: lower runs earlier.
        prompt_id: Its id.
        prompt: The graph.
        extra_data: What was sent along, without secrets.
        outputs: The ids of the output nodes to run.
    """

    number: float | None
    prompt_id: str | None
    prompt: JSONObject
    extra_data: JSONObject
    outputs: tuple[str, ...]


def parts(value: object) -> list[Any]:
    """Return the five parts of such a list; None for what is missing."""
    return [*as_list(value), None, None, None, None, None][:5]


def read_item(value: object) -> Item:
    """Read ``[number, prompt id, prompt, extra data, outputs]``; what is odd in it is left out."""
    number, prompt_id, prompt, extra_data, outputs = parts(value)
    if is_list(extra_data):  # Comfy Cloud has the two the other way round
        extra_data, outputs = outputs, extra_data
    return Item(
        number if isinstance(number, int | float) else None,
        prompt_id if isinstance(prompt_id, str) else None,
        as_object(prompt),
        without_secrets(as_object(extra_data)),
        tuple(map(str, as_list(outputs))),
    )


def safe_item(value: list[Any]) -> list[Any]:
    """Return such a list as it came, but for the secrets in it."""
    return [without_secrets(part) if is_object(part) else part for part in value[:5]]


def duration(started: datetime | None, ended: datetime | None) -> float | None:
    """Return the seconds between two times; None if either is not known."""
    return None if started is None or ended is None else (ended - started).total_seconds()
