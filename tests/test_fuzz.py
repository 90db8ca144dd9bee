"""What a server may send, drawn at random: ``nox -s fuzz`` goes on for as long as one likes."""

from __future__ import annotations

import json
from contextlib import suppress
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest
import traces
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mutants import NASTY, paths, replaced
from readers import REQUEST, all_readers, readings

from comfy_trio import ComfyError, Workflow, WorkflowError, wire
from comfy_trio._machine import advance
from comfy_trio._replies import Reply, raise_for_status, read_retry_after
from comfy_trio._routes._history import HistoryEntry
from comfy_trio._routes._prompt import Accepted
from comfy_trio._state import (
    Gap,
    Gone,
    JobPlan,
    JobState,
    Phase,
    SeenPending,
    SeenRunning,
    ServerLost,
)

if TYPE_CHECKING:
    from comfy_trio._state import StateEvent

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
TEXTS = JSON.map(json.dumps) | st.sampled_from([*NASTY.values()]) | st.text()

# --- Frames ---------------------------------------------------------------------------------------

PROMPT_ID = "p"


def of_our_job(frame: Any) -> Any:
    data = frame["data"]
    return {**frame, "data": {**data, "prompt_id": PROMPT_ID}} if "prompt_id" in data else frame


FRAMES = [
    of_our_job(line["data"])
    for scenario in ("fresh", "runtime-error", "interrupt", "cached")
    for line in traces.load("0.27.0", scenario).lines
    if line.get("ws") == "text"
]


@st.composite
def frames(draw: st.DrawFn) -> str | bytes:
    """A frame as it was recorded, or with something else in it, or cut, or none at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.text() | st.binary(max_size=200))
    if draw(st.integers(0, 3)) == 0:
        header = draw(st.integers(0, 6)).to_bytes(4, "big")
        length = draw(st.integers(0, 100) | st.just(2**32 - 1)).to_bytes(4, "big")
        return header + length + draw(st.binary(max_size=200))
    frame = draw(st.sampled_from(FRAMES))
    if draw(st.booleans()):
        return json.dumps(frame)
    return replaced(frame, draw(st.sampled_from([*paths(frame)])), draw(TEXTS))


@given(frames())
@example('{"type": "progress", "data": {"value": NaN, "max": 1, "prompt_id": "p", "node": "3"}}')
@example('{"type": "execution_start", "data": {"prompt_id": "p", "timestamp": 1e999}}')
@example(b"")
def test_the_decoder(frame: str | bytes) -> None:
    event = wire.decode_frame(frame)
    assert len(repr(event)) >= 0
    if isinstance(event, wire.MalformedFrame):
        assert len(event.snippet) <= 200


# --- The life of a job ----------------------------------------------------------------------------

OTHER_EVENTS: list[StateEvent] = [
    Accepted(1),
    Accepted(2, assigned_id="another"),
    SeenPending(),
    SeenRunning(),
    Gap("lost"),
    HistoryEntry(prompt_id=PROMPT_ID, outputs={"9": {}}),
    Gone(),
    Gone(dequeued=True),
    ServerLost("gone"),
]
PLAN = JobPlan(
    PROMPT_ID,
    {str(number): {"class_type": "SaveImageWebsocket", "inputs": {}} for number in range(1, 10)},
    aliases={"out": "9"},
)


@given(st.lists(frames().map(wire.decode_frame) | st.sampled_from(OTHER_EVENTS), max_size=30))
@example([wire.Progress(PROMPT_ID, "3", 1.7e308, 5e-324)])
def test_a_job_takes_any_event_at_any_time(events: list[StateEvent]) -> None:
    state = JobState(PLAN)
    phases = [*Phase]
    ends = 0
    for event in events:
        after = advance(state, event)
        assert phases.index(after.phase) >= phases.index(state.phase)
        assert state.percent <= after.percent <= 100
        assert (after.outcome is not None) == (after.phase is Phase.ENDED)
        ends += after.phase is Phase.ENDED and state.phase is not Phase.ENDED
        state = after
    assert ends <= 1


# --- Replies --------------------------------------------------------------------------------------

STATUSES = st.sampled_from([200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 409, 413, 429, 500])


@pytest.mark.parametrize("name", all_readers())
@settings(max_examples=settings().max_examples // 5)  # there are many
@given(data=st.data())
def test_readers(name: str, data: st.DataObject) -> None:
    reading = data.draw(st.sampled_from([each for each in readings() if each.name == name]))
    text = data.draw(TEXTS)
    if data.draw(st.integers(0, 3)):
        text = replaced(reading.body, data.draw(st.sampled_from([*paths(reading.body)])), text)
    status = None if data.draw(st.integers(0, 3)) else data.draw(STATUSES)
    with suppress(ComfyError):
        reading.read(text, status)


@given(st.integers(200, 999), st.binary(max_size=1000), st.text(), st.text())
def test_any_reply(status: int, content: bytes, content_type: str, location: str) -> None:
    reply = Reply(REQUEST, "http://h/api/x", status, content, content_type, location)
    with suppress(ComfyError):
        raise_for_status(reply)


@given(st.text() | st.text("0123456789 ,:+-GMTanFebJ") | st.floats(0, 2**37).map(formatdate))
@example("Mon, 99 Feb 99999999 00:00:00 GMT")
@example("0 0 0 0")
def test_when_to_try_again(value: str) -> None:
    pause = read_retry_after(value, 0.0)
    assert pause is None or pause >= 0


# --- Workflows ------------------------------------------------------------------------------------

WORKFLOW: dict[str, Any] = {
    "3": {"class_type": "K", "inputs": {"a": 1, "b": ["4", 0]}, "_meta": {"title": "t"}},
    "4": {"class_type": "L", "inputs": {}},
}


@given(st.sampled_from([*paths(WORKFLOW)]), TEXTS)
def test_workflows(path: tuple[Any, ...], text: str) -> None:
    with suppress(WorkflowError):
        Workflow.from_json(replaced(WORKFLOW, path, text)).to_json()
