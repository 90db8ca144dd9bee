"""``/history``: how jobs ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from .._replies import get, post, quote_segment, require_object, unexpected
from .._util import as_list, as_object, from_milliseconds, is_object
from .._wire import (
    ExecutionInterrupted,
    decode_execution_error,
    decode_execution_interrupted,
)
from ._record import JobStatus, duration, read_item

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from .._replies import Reply, Request
    from .._util import JSONObject
    from .._wire import ExecutionError

CLEAR_HISTORY: Final = post("/history", {"clear": True})


def history_of(prompt_id: str) -> Request:
    """Return the request for one job's history."""
    return get(f"/history/{quote_segment(prompt_id)}")


def history_page(max_items: int | None = None, offset: int | None = None) -> Request:
    """Return the request for a part of the history; see `HistoryNamespace.page`.

    Raises:
        ValueError: `max_items` is below 1.
    """
    if max_items is not None and max_items < 1:
        raise ValueError(f"max_items is at least 1, not {max_items}")
    asked = {"max_items": max_items, "offset": offset}
    return get(
        "/history", **{name: str(number) for name, number in asked.items() if number is not None}
    )


def forget(prompt_ids: Iterable[str]) -> Request:
    """Return the request that deletes jobs from the history."""
    return post("/history", {"delete": [*prompt_ids]})


@attrs.frozen(kw_only=True)
class HistoryEntry:
    """What the server's history holds of a job that is over.

    Args:
        prompt_id: The job.
        number: Its place in the queue, when it was there.
        prompt: The graph that ran.
        extra_data: What was sent along, without the keys of paid services.
        output_nodes: The ids of the output nodes that were to run.
        outputs: What each node shows, by node id.
        failure: How the job failed or was interrupted; None if it succeeded.
        cached: The nodes that came from the server's cache.
        started: When the server began it, in UTC; None if it does not tell.
        ended: When it ended, likewise.
        raw: The server's entry.
    """

    prompt_id: str
    number: float | None = None
    prompt: JSONObject = attrs.field(factory=dict[str, Any], repr=False)
    extra_data: JSONObject = attrs.field(factory=dict[str, Any], repr=False)
    output_nodes: tuple[str, ...] = ()
    outputs: Mapping[str, JSONObject] = attrs.field(factory=dict[str, "JSONObject"])
    failure: ExecutionError | ExecutionInterrupted | None = None
    cached: frozenset[str] = frozenset()
    started: datetime | None = None
    ended: datetime | None = None
    raw: JSONObject = attrs.field(factory=dict[str, Any], repr=False, eq=False)

    @property
    def status(self) -> JobStatus:
        """How it ended: ``completed``, ``failed`` or ``cancelled``."""
        if self.failure is None:
            return "completed"
        return "cancelled" if isinstance(self.failure, ExecutionInterrupted) else "failed"

    @property
    def duration(self) -> float | None:
        """How long it ran, in seconds; None if the server does not tell."""
        return duration(self.started, self.ended)


def read_history(reply: Reply) -> tuple[HistoryEntry, ...]:
    """Read the reply to GET /history: the entries in the order in which the jobs ended.

    Raises:
        ResponseError: it is something else.
    """
    body = require_object(reply, "the history")
    return tuple(_read_entry(reply, prompt_id, entry) for prompt_id, entry in body.items())


def read_history_entry(reply: Reply, prompt_id: str) -> HistoryEntry | None:
    """Read the reply to GET /history/{id}; None if the job is not over, or unknown.

    Raises:
        ResponseError: it is something else.
    """
    entry = require_object(reply, "a job's history").get(prompt_id)
    return None if entry is None else _read_entry(reply, prompt_id, entry)


def _read_entry(reply: Reply, prompt_id: str, entry: object) -> HistoryEntry:
    if is_object(entry):
        try:
            return entry_of(prompt_id, entry)
        except (KeyError, TypeError, ValueError):
            pass
    raise unexpected(reply, "a job's history")


def entry_of(prompt_id: str, entry: JSONObject) -> HistoryEntry:
    """Read an entry of the history.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    item = read_item(entry.get("prompt"))
    outputs = as_object(entry.get("outputs"))
    status = as_object(entry.get("status"))
    failure: ExecutionError | ExecutionInterrupted | None = None
    if status.get("status_str") == "error":
        failure = decode_execution_error({"prompt_id": prompt_id})
    cached: frozenset[str] = frozenset()
    started = ended = None
    # The messages outrank ``status_str``, which a run that ends in a cycle leaves at the previous
    # run's; and of the messages the last word counts.
    for event, data, *_ in as_list(status.get("messages")):
        told = {"prompt_id": prompt_id, **as_object(data)}
        time = from_milliseconds(told.get("timestamp"))
        if event == "execution_start":
            started = time
        elif event == "execution_success":
            failure, ended = None, time
        elif event == "execution_error":
            failure, ended = decode_execution_error(told), time
        elif event == "execution_interrupted":
            failure, ended = decode_execution_interrupted(told), time
        elif event == "execution_cached":
            cached = frozenset(map(str, as_list(told.get("nodes"))))
    return HistoryEntry(
        prompt_id=prompt_id,
        number=item.number,
        prompt=item.prompt,
        extra_data=item.extra_data,
        output_nodes=item.outputs,
        outputs={node_id: output for node_id, output in outputs.items() if is_object(output)},
        failure=failure,
        cached=cached,
        started=started,
        ended=ended,
        raw=entry,
    )
