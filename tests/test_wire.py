from __future__ import annotations

import json
import struct
from typing import Any

import pytest
import traces
from hypothesis import given
from hypothesis import strategies as st

from comfy_trio import wire

PNG = b"\x89PNG\r\n\x1a\n-the-rest"
JPEG = b"\xff\xd8\xff\xe0-the-rest"

FLAGS = {"supports_preview_metadata": True}

TEXT_FRAMES: list[tuple[str, Any, object]] = [
    (
        "status",
        {"status": {"exec_info": {"queue_remaining": 2}}, "sid": "me"},
        wire.Status(2, "me"),
    ),
    ("status", {"status": {"exec_info": {"queue_remaining": 0}}}, wire.Status(0)),
    ("status", {"status": None}, wire.Status(None)),
    ("execution_start", {"prompt_id": "p", "timestamp": 7}, wire.ExecutionStart("p", 7)),
    (
        "execution_cached",
        {"nodes": ["1", 2], "prompt_id": "p", "timestamp": 7},
        wire.ExecutionCached("p", ("1", "2"), 7),
    ),
    (
        "executing",
        {"node": "5.0.0.3", "display_node": "5", "prompt_id": "p"},
        wire.Executing("p", "5.0.0.3", "5"),
    ),
    ("executing", {"node": None, "prompt_id": "p"}, wire.Executing("p", None)),
    ("executing", {"node": "5"}, wire.Executing(None, "5")),
    (
        "progress",
        {"value": 1, "max": 20, "prompt_id": "p", "node": "3"},
        wire.Progress("p", "3", 1, 20),
    ),
    ("progress", {"value": 1, "max": 20}, wire.Progress(None, None, 1, 20)),
    (
        "progress_state",
        {
            "prompt_id": "p",
            "nodes": {
                "3": {
                    "value": 0.5,
                    "max": 1.0,
                    "state": "running",
                    "node_id": "3",
                    "prompt_id": "p",
                    "display_node_id": "3",
                    "parent_node_id": None,
                    "real_node_id": "3",
                }
            },
        },
        wire.ProgressState("p", {"3": wire.NodeProgress("3", 0.5, 1.0, "running", "3", None, "3")}),
    ),
    (
        "executed",
        {"node": "9", "display_node": "9", "output": {"text": ["hi"]}, "prompt_id": "p"},
        wire.Executed("p", "9", "9", {"text": ["hi"]}),
    ),
    (
        "executed",
        {"node": "9", "output": None, "prompt_id": "p"},
        wire.Executed("p", "9", None, None),
    ),
    ("execution_success", {"prompt_id": "p", "timestamp": 8}, wire.ExecutionSuccess("p", 8)),
    (
        "execution_error",
        {
            "prompt_id": "p",
            "node_id": "3",
            "node_type": "KSampler",
            "executed": ["1"],
            "exception_message": "boom",
            "exception_type": "ValueError",
            "traceback": ["a", "b"],
            "current_inputs": {"seed": [1]},
            "current_outputs": ["1"],
            "timestamp": 9,
        },
        wire.ExecutionError(
            "p", "3", "KSampler", "ValueError", "boom", ("a", "b"), ("1",), {"seed": [1]}, ["1"], 9
        ),
    ),
    (
        "execution_interrupted",
        {"prompt_id": "p", "node_id": "3", "node_type": "K", "executed": [], "timestamp": 9},
        wire.ExecutionInterrupted("p", "3", "K", (), 9),
    ),
    (
        "feature_flags",
        {"supports_preview_metadata": True},
        wire.FeatureFlags({"supports_preview_metadata": True}),
    ),
    (
        "logs",
        {"entries": [{"t": "12:00", "m": "hello\n"}], "size": {"cols": 80, "rows": 24}},
        wire.Logs((wire.LogEntry("12:00", "hello\n"),), 80, 24),
    ),
    ("logs", {"entries": [{"m": "x"}]}, wire.Logs((wire.LogEntry("", "x"),))),
    ("notification", {"value": "Look!"}, wire.Notification("Look!")),
    ("crystools.monitor", {"cpu": 3}, wire.RawEvent("crystools.monitor", {"cpu": 3})),
    ("no-data-at-all", None, wire.RawEvent("no-data-at-all", None)),
]


@pytest.mark.parametrize(("kind", "data", "event"), TEXT_FRAMES)
def test_text_frame(kind: str, data: Any, event: object) -> None:
    assert wire.decode_frame(json.dumps({"type": kind, "data": data})) == event


def test_blocked_error_is_told_apart() -> None:
    data = {"prompt_id": "p", "node_id": "3", "exception_type": "ExecutionBlocked"}
    event = wire.decode_frame(json.dumps({"type": "execution_error", "data": data}))
    assert isinstance(event, wire.ExecutionError)
    assert event.blocked
    assert event.data == data


def sized(part: bytes) -> bytes:
    return struct.pack(">I", len(part)) + part


METADATA = {
    "node_id": "3",
    "prompt_id": "p",
    "display_node_id": "3",
    "parent_node_id": None,
    "real_node_id": "3",
    "image_type": "image/png",
}

BINARY_FRAMES: list[tuple[bytes, object]] = [
    (struct.pack(">II", 1, 1) + JPEG, wire.PreviewImage(JPEG, "image/jpeg")),
    (struct.pack(">II", 1, 2) + PNG, wire.PreviewImage(PNG, "image/png")),
    (struct.pack(">II", 1, 7) + b"RIFF....WEBP", wire.PreviewImage(b"RIFF....WEBP", "image/webp")),
    (struct.pack(">II", 1, 7) + b"?", wire.PreviewImage(b"?", "application/octet-stream")),
    (struct.pack(">I", 3) + sized(b"12:3") + "über".encode(), wire.ProgressText("12:3", "über")),
    (
        struct.pack(">I", 4) + sized(json.dumps(METADATA).encode()) + PNG,
        wire.PreviewImageWithMetadata(PNG, "image/png", "p", "3", "3", None, "3", METADATA),
    ),
    (
        struct.pack(">I", 4) + sized(b"{}") + JPEG,
        wire.PreviewImageWithMetadata(JPEG, "image/jpeg", None, None),
    ),
    (struct.pack(">I", 99) + b"anything", wire.RawBinary(99, b"anything")),
    (struct.pack(">I", 2), wire.RawBinary(2, b"")),
]


@pytest.mark.parametrize(("message", "event"), BINARY_FRAMES)
def test_binary_frame(message: bytes, event: object) -> None:
    assert wire.decode_frame(message) == event


MALFORMED: list[tuple[str | bytes, str]] = [
    ("", "JSONDecodeError"),
    ("[]", "a JSON object is expected"),
    ("{}", "the field 'type' is missing"),
    ('{"type": 3}', "a string is expected, not 3"),
    ('{"type": "executing", "data": []}', "a JSON object is expected"),
    ('{"type": "executing", "data": {"prompt_id": "p"}}', "the field 'node' is missing"),
    ('{"type": "progress", "data": {"value": "1", "max": 2}}', "a number is expected, not '1'"),
    ('{"type": "progress", "data": {"value": true, "max": 2}}', "a number is expected, not True"),
    ('{"type": "executed", "data": {"prompt_id": "p", "node": "9", "output": 3}}', "not 3"),
    ('{"type": "execution_cached", "data": {"prompt_id": "p", "nodes": 3}}', "a list is expected"),
    ('{"type": "logs", "data": {"entries": [3]}}', "a JSON object is expected, not 3"),
    ('{"type": "x", "data": ' + "[" * 100_000, "RecursionError"),
    ('{"type": "x", "data": ' + "9" * 5000 + "}", "ValueError"),
    (b"", "error: unpack_from requires"),
    (b"\0\0\0\1\0", "error: unpack_from requires"),
    (b"\0\0\0\3\0\0\0\xffab", "a part of 255 bytes is announced, 2 are there"),
    (b"\0\0\0\4\0\0\0\2[]x", "a JSON object is expected"),
    (b"\0\0\0\4\0\0\0\2{]x", "JSONDecodeError"),
    (b"\0\0\0\3\0\0\0\1\xff", "UnicodeDecodeError"),
]


@pytest.mark.parametrize(("message", "reason"), MALFORMED, ids=lambda value: repr(value)[:40])
def test_malformed_frame_is_reported(message: str | bytes, reason: str) -> None:
    event = wire.decode_frame(message)
    assert isinstance(event, wire.MalformedFrame)
    assert reason in event.reason
    assert event.snippet == message[: len(event.snippet)]
    assert len(event.snippet) <= 200


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = sorted({field for _, data, _ in TEXT_FRAMES if data for field in data})


@given(
    st.sampled_from([kind for kind, _, _ in TEXT_FRAMES]),
    st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES) | JSON_VALUES,
)
def test_no_text_frame_raises(kind: str, data: object) -> None:
    wire.decode_frame(json.dumps({"type": kind, "data": data}))


@given(st.integers(0, 6), st.binary(max_size=64))
def test_no_binary_frame_raises(event: int, payload: bytes) -> None:
    wire.decode_frame(struct.pack(">I", event) + payload)


@pytest.mark.parametrize("version", traces.VERSIONS)
@pytest.mark.parametrize("scenario", traces.SCENARIOS)
def test_every_recorded_frame_is_known(version: str, scenario: str) -> None:
    events = [wire.decode_frame(frame) for frame in traces.load(version, scenario).frames()]
    for event in events:
        assert not isinstance(event, wire.MalformedFrame | wire.RawEvent | wire.RawBinary), event


def test_the_handshake_asks_for_metadata() -> None:
    assert json.loads(wire.feature_flags_frame()) == {
        "type": "feature_flags",
        "data": {"supports_preview_metadata": True},
    }
