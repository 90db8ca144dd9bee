"""``/history``: how jobs ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from .._replies import get, quote_segment, require_object, unexpected
from .._util import as_list, as_object, is_object
from .._wire import decode_execution_error, decode_execution_interrupted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._replies import Reply, Request
    from .._util import JSONObject
    from .._wire import ExecutionError, ExecutionInterrupted


def history_of(prompt_id: str) -> Request:
    """Return the request for one job's history."""
    return get(f"/history/{quote_segment(prompt_id)}")


@attrs.frozen
class HistoryEntry:
    """What the server's history holds of a job that is over.

    Args:
        outputs: What each node shows, by node id.
        failure: How the job failed or was interrupted; None if it succeeded.
        cached: The nodes that came from the server's cache.
    """

    outputs: Mapping[str, JSONObject]
    failure: ExecutionError | ExecutionInterrupted | None = None
    cached: frozenset[str] = frozenset()


def read_history_entry(reply: Reply, prompt_id: str) -> HistoryEntry | None:
    """Read the reply to GET /history/{id}; None if the job is not over, or unknown.

    Raises:
        ResponseError: it is something else.
    """
    body = require_object(reply, "a job's history")
    entry = body.get(prompt_id)
    if entry is None:
        return None
    if not is_object(entry):
        raise unexpected(reply, "a job's history")
    try:
        return _read_entry(entry, prompt_id)
    except (KeyError, TypeError, ValueError):
        raise unexpected(reply, "a job's history") from None


def _read_entry(entry: JSONObject, prompt_id: str) -> HistoryEntry:
    outputs = as_object(entry.get("outputs"))
    status = as_object(entry.get("status"))
    failure: ExecutionError | ExecutionInterrupted | None = None
    if status.get("status_str") == "error":
        failure = decode_execution_error({"prompt_id": prompt_id})
    cached: frozenset[str] = frozenset()
    # The messages outrank ``status_str``, which a run that ends in a cycle leaves at the previous
    # run's; and of the messages the last word counts.
    for event, data in as_list(status.get("messages")):
        told = {"prompt_id": prompt_id, **as_object(data)}
        if event == "execution_success":
            failure = None
        elif event == "execution_error":
            failure = decode_execution_error(told)
        elif event == "execution_interrupted":
            failure = decode_execution_interrupted(told)
        elif event == "execution_cached":
            cached = frozenset(map(str, as_list(told.get("nodes"))))
    return HistoryEntry(
        {node_id: output for node_id, output in outputs.items() if is_object(output)},
        failure,
        cached,
    )
