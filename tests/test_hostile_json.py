"""Every field of every frame and of every reply holds what it should not: see `mutants`."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest
import traces
from mutants import NASTY, mutants, paths, replaced
from readers import Reading, all_readers, readings

from comfy_trio import ComfyError, ExecutionFailedError, wire
from comfy_trio._machine import advance
from comfy_trio._masking import Secrets
from comfy_trio._routes._manager import queue_news
from comfy_trio._routes._monitor import reading_of
from comfy_trio._routes._prompt import Accepted
from comfy_trio._state import Gone, JobPlan, JobState, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST_MESSAGE = 11_000
"""How long the text of any error may be, in characters."""

ERROR_BODY: dict[str, Any] = {
    "status": "running",
    "error": {"type": "t", "code": "C", "message": "m", "details": {"errors": [{"loc": [1]}]}},
    "node_errors": {"3": {"errors": [{"message": "m"}], "dependent_outputs": ["9"]}},
}


@cache
def recorded_frames() -> tuple[tuple[str, Any], ...]:
    """One frame of each form that two real servers sent, with its type."""
    found: dict[object, tuple[str, Any]] = {}
    for version in traces.VERSIONS:
        for scenario in traces.SCENARIOS:
            for line in traces.load(version, scenario).lines:
                if line.get("ws") == "text":
                    frame = line["data"]
                    found.setdefault(frozenset(paths(frame)), (frame["type"], frame))
    return tuple(found.values())


KINDS = sorted({kind for kind, _ in recorded_frames()})


def states_of(prompt_id: str) -> list[JobState]:
    """A job in each phase, of a workflow with the nodes that recorded frames speak of."""
    prompt: dict[str, Any] = {
        str(number): {"class_type": "K", "inputs": {}} for number in range(1, 13)
    }
    state = JobState(JobPlan(prompt_id, prompt))
    states = [state]
    for event in (
        Accepted(1),
        wire.Executing(prompt_id, "3"),
        wire.ExecutionSuccess(prompt_id),
        wire.Executing(prompt_id, None),
    ):
        state = advance(state, event)
        states.append(state)
    assert [state.phase for state in states] == [*Phase][:-1]
    return states


@pytest.mark.parametrize("kind", KINDS)
def test_frames(kind: str) -> None:
    frames = [frame for each, frame in recorded_frames() if each == kind]
    unreadable = 0
    for frame in frames[:6]:
        data = frame["data"]
        states = states_of(data.get("prompt_id", "p"))
        for what, text in mutants(frame):
            event = wire.decode_frame(text)
            if isinstance(event, wire.MalformedFrame):
                unreadable += 1
                assert len(event.reason) < LONGEST_MESSAGE, what
                continue
            for state in states:
                after = advance(state, event)
                assert after.phase is not Phase.ENDED, what
                assert 0 <= max(after.percent, 0) <= 100, what
    assert unreadable


@pytest.mark.parametrize("kind", KINDS)
def test_a_time_that_is_none_costs_no_frame(kind: str) -> None:
    """What a frame says counts; when it was said is by the way."""
    frame = next(frame for each, frame in recorded_frames() if each == kind)
    if "timestamp" not in frame["data"]:
        return
    for name, text in NASTY.items():
        if name in {"too deep", "too long for Python"}:
            continue  # no JSON to Python
        told = json.dumps(frame).replace(json.dumps(frame["data"]["timestamp"]), text)
        assert type(wire.decode_frame(told)) is type(wire.decode_frame(json.dumps(frame))), name


def exercise(value: object, depth: int = 0) -> None:
    """Look at all that a value tells, as a program may."""
    if hasattr(type(value), "__attrs_attrs__"):
        for name in dir(value):
            if not name.startswith("_"):
                exercise(getattr(value, name), depth + 1)
    elif isinstance(value, tuple) and depth < 5:
        for each in cast("tuple[object, ...]", value)[:3]:
            exercise(each, depth + 1)


def bad_bodies(reading: Reading) -> Iterator[tuple[str, str]]:
    yield from mutants(reading.body)
    yield "nothing", ""
    yield "a mark before it", "\ufeff" + json.dumps(reading.body)


def read(reading: Reading, what: str, text: str, status: int | None = None) -> None:
    """Read a bad reply: as something, or else into a typed error."""
    raised: Exception | None = None
    try:
        exercise(reading.read(text, status))
    except Exception as error:
        raised = error
    assert isinstance(raised, ComfyError | None), what
    assert len(str(raised)) < LONGEST_MESSAGE, what


@pytest.mark.parametrize("name", all_readers())
def test_replies(name: str) -> None:
    found = [reading for reading in readings() if reading.name == name]
    assert found, "no good reply is known: see readers.py"
    for reading in found:
        for what, text in bad_bodies(reading):
            read(reading, what, text)


ERRORS = [*mutants(ERROR_BODY)]


@pytest.mark.parametrize("status", [400, 404, 409, 500])
def test_errors(status: int) -> None:
    for name in all_readers():
        reading = next(reading for reading in readings() if reading.name == name)
        for what, text in ERRORS[:: 1 if "prompt" in name or "asset" in name else 7]:
            read(reading, f"{name}: {what}", text, status)


EXTENSIONS: list[tuple[Callable[[wire.ServerEvent], object], dict[str, Any]]] = [
    (
        reading_of,
        {
            "type": "crystools.monitor",
            "data": {
                "cpu_utilization": 3.5,
                "ram_total": 16,
                "hdd_used": 5,
                "device_type": "cuda",
                "gpus": [{"gpu_utilization": 1, "vram_total": 9}],
            },
        },
    ),
    (
        queue_news,
        {"type": "cm-task-completed", "data": {"ui_id": "1", "result": {"msg": "success"}}},
    ),
    (
        queue_news,
        {
            "type": "cm-queue-status",
            "data": {"status": "done", "nodepack_result": {"a": "skip"}, "model_result": {}},
        },
    ),
]


@pytest.mark.parametrize(("reader", "frame"), EXTENSIONS)
def test_frames_of_extensions(
    reader: Callable[[wire.ServerEvent], object], frame: dict[str, Any]
) -> None:
    assert reader(wire.decode_frame(json.dumps(frame))) is not None
    for _, text in mutants(frame):
        exercise(reader(wire.decode_frame(text)))


@pytest.mark.parametrize("depth", [300, 600, 900, 940])
def test_what_is_deep_and_may_hold_secrets(depth: int) -> None:
    """Python parses what its own functions cannot walk through any more."""
    secrets = Secrets.of("secret-key")
    deep = "[" * depth + '"secret-key"' + "]" * depth
    for reading in readings():
        if "prompt" in reading.name:
            for path in paths(reading.body):
                read(
                    attrs.evolve(reading, secrets=secrets),
                    "deep",
                    replaced(reading.body, path, deep),
                )
    frame = next(frame for kind, frame in recorded_frames() if kind == "execution_error")
    prompt_id = frame["data"]["prompt_id"]
    plan = JobPlan(prompt_id, {"3": {"class_type": "K", "inputs": {}}}, secrets=secrets)
    for path in paths(frame["data"]["current_inputs"]):
        text = replaced(frame, ("data", "current_inputs", *path), deep)
        event = wire.decode_frame(text)
        if not isinstance(event, wire.MalformedFrame):
            outcome = advance(advance(JobState(plan), event), Gone()).outcome
            assert isinstance(outcome, ExecutionFailedError)
            assert "secret-key" not in repr(outcome.current_inputs)
