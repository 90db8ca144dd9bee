"""The WebSocket's frames as values: `decode_frame` turns one message into one event.

ComfyUI sends JSON text frames ``{"type": ..., "data": {...}}``, and binary frames that begin with a
big-endian 32-bit event number (server.py and protocol.py of ComfyUI; the layouts are at
`_BINARY_DECODERS`). Custom nodes send types and numbers of their own, which pass through as
`RawEvent` and `RawBinary`. A frame that cannot be read becomes a `MalformedFrame`: decoding never
raises, because one bad frame is no reason to lose the next.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from ._secrets import without_secrets
from ._util import as_number, as_object, is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._util import JSON, JSONObject

SNIPPET_LENGTH = 200
"""How much of a malformed frame is kept, in characters or bytes."""

BLOCKED_EXCEPTION = "ExecutionBlocked"
"""The ``exception_type`` of an ``execution_error`` that ends nothing."""


@attrs.frozen
class Status:
    """How long the server's queue is. The first frame of a connection, then at every change.

    Args:
        queue_remaining: Prompts running and pending, of all clients; None if the server is silent.
        sid: The client id by which the server knows this connection; only in the first frame.
    """

    queue_remaining: int | None
    sid: str | None = None


@attrs.frozen
class ExecutionStart:
    """The server began to execute a prompt. `timestamp` is in milliseconds."""

    prompt_id: str
    timestamp: int | None = None


@attrs.frozen
class ExecutionCached:
    """The nodes that need not run, because their results are in the server's cache."""

    prompt_id: str
    nodes: tuple[str, ...]
    timestamp: int | None = None


@attrs.frozen
class Executing:
    """A node began to run; with `node` None, the prompt is over and its history is written.

    `prompt_id` is None in the frame that a server sends to a socket which connects during a run.
    """

    prompt_id: str | None
    node: str | None
    display_node: str | None = None


@attrs.frozen
class Progress:
    """A node's own progress bar. `prompt_id` and `node` may be missing outside a node."""

    prompt_id: str | None
    node: str | None
    value: float
    max: float


@attrs.frozen
class NodeProgress:
    """One node in a `ProgressState`; `state` is ``running`` or ``finished``."""

    node_id: str
    value: float
    max: float
    state: str
    display_node_id: str | None = None
    parent_node_id: str | None = None
    real_node_id: str | None = None


@attrs.frozen
class ProgressState:
    """All nodes of a prompt that run or have run. Sent at a node's start, progress and end."""

    prompt_id: str
    nodes: Mapping[str, NodeProgress]


@attrs.frozen
class Executed:
    """A node showed an output; `output` is None where it has none to show."""

    prompt_id: str
    node: str
    display_node: str | None
    output: JSONObject | None


@attrs.frozen
class ExecutionSuccess:
    """All nodes have run. The history is written only after this frame."""

    prompt_id: str
    timestamp: int | None = None


@attrs.frozen
class ExecutionError:
    """A node raised. Ends the prompt, unless `blocked`."""

    prompt_id: str
    node_id: str | None
    node_type: str | None
    exception_type: str
    exception_message: str
    traceback: tuple[str, ...] = ()
    executed: tuple[str, ...] = ()
    current_inputs: JSONObject = attrs.field(factory=dict[str, Any])
    current_outputs: JSON = None
    timestamp: int | None = None
    data: JSONObject = attrs.field(factory=dict[str, Any], eq=False, repr=False)

    @property
    def blocked(self) -> bool:
        """Whether an ExecutionBlocker with a message reached a node: the run goes on."""
        return self.exception_type == BLOCKED_EXCEPTION


@attrs.frozen
class ExecutionInterrupted:
    """The prompt was interrupted while it ran."""

    prompt_id: str
    node_id: str | None = None
    node_type: str | None = None
    executed: tuple[str, ...] = ()
    timestamp: int | None = None


@attrs.frozen
class FeatureFlags:
    """The server's flags: its reply to a client whose first frame told its own."""

    flags: JSONObject


@attrs.frozen
class LogEntry:
    """One piece of the server's terminal output: time as the server writes it, and text."""

    time: str
    text: str


@attrs.frozen
class Logs:
    """Terminal output, for those who subscribed to it."""

    entries: tuple[LogEntry, ...]
    columns: int | None = None
    rows: int | None = None


@attrs.frozen
class Notification:
    """A message for the person at the screen."""

    value: str
    prompt_id: str | None = None


@attrs.frozen
class PreviewImage:
    """A picture with nothing that tells whose: it belongs to the node that runs (binary 1)."""

    data: bytes = attrs.field(repr=False)
    media_type: str


@attrs.frozen
class PreviewImageWithMetadata:
    """A picture and where it comes from (binary 4)."""

    data: bytes = attrs.field(repr=False)
    media_type: str
    prompt_id: str | None
    node_id: str | None
    display_node_id: str | None = None
    parent_node_id: str | None = None
    real_node_id: str | None = None
    metadata: JSONObject = attrs.field(factory=dict[str, Any], repr=False)


@attrs.frozen
class ProgressText:
    """A line of text shown at a node (binary 3). The server does not tell of which prompt."""

    node_id: str
    text: str


@attrs.frozen
class RawEvent:
    """A text frame of a type that ComfyUI's core does not send."""

    type: str
    data: JSON


@attrs.frozen
class RawBinary:
    """A binary frame with an event number that ComfyUI's core does not send."""

    event: int
    payload: bytes = attrs.field(repr=False)


@attrs.frozen
class MalformedFrame:
    """A frame that cannot be read: why, and how it begins."""

    reason: str
    snippet: str | bytes


ServerEvent: TypeAlias = (
    Status
    | ExecutionStart
    | ExecutionCached
    | Executing
    | Progress
    | ProgressState
    | Executed
    | ExecutionSuccess
    | ExecutionError
    | ExecutionInterrupted
    | FeatureFlags
    | Logs
    | Notification
    | PreviewImage
    | PreviewImageWithMetadata
    | ProgressText
    | RawEvent
    | RawBinary
    | MalformedFrame
)
"""Everything that `decode_frame` returns."""


def decode_frame(message: str | bytes) -> ServerEvent:
    """Turn one WebSocket message into one event. Never raises."""
    try:
        return _decode_text(message) if isinstance(message, str) else _decode_binary(message)
    # A frame may nest deeper than the parser goes, or hold a number longer than Python converts.
    except (KeyError, TypeError, ValueError, RecursionError, struct.error) as error:
        return MalformedFrame(_reason(error), message[:SNIPPET_LENGTH])


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the field {error} is missing"
    return f"{type(error).__name__}: {error}"


def _decode_text(message: str) -> ServerEvent:
    frame = _object(json.loads(message))
    kind = _text(frame["type"])
    decoder = _TEXT_DECODERS.get(kind)
    data = frame.get("data")
    return RawEvent(kind, data) if decoder is None else decoder(_object(data))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a string is expected, not {value!r:.80}")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _number(value: object) -> float:
    number = as_number(value)
    if number is None:
        raise TypeError(f"a number is expected, not {value!r:.80}")
    return number


def _timestamp(data: JSONObject) -> int | None:
    """Read when a frame was sent; what else it tells counts, whatever is there."""
    number = as_number(data.get("timestamp"))
    return None if number is None else int(number)


def _texts(value: object) -> tuple[str, ...]:
    """Read a list of strings; node ids that a server sends as numbers become strings."""
    if value is None:
        return ()
    if not is_list(value):
        raise TypeError(f"a list is expected, not {value!r:.80}")
    return tuple(item if isinstance(item, str) else str(item) for item in value)


def _object(value: object) -> JSONObject:
    if not is_object(value):
        raise TypeError(f"a JSON object is expected, not {value!r:.80}")
    return value


def _decode_status(data: JSONObject) -> Status:
    remaining = _object(_object(data.get("status") or {}).get("exec_info") or {})
    count = remaining.get("queue_remaining")
    return Status(
        queue_remaining=None if count is None else int(_number(count)),
        sid=_text_or_none(data.get("sid")),
    )


def _decode_progress_state(data: JSONObject) -> ProgressState:
    nodes: dict[str, NodeProgress] = {}
    for node_id, value in _object(data["nodes"]).items():
        node = _object(value)
        nodes[node_id] = NodeProgress(
            node_id,
            _number(node["value"]),
            _number(node["max"]),
            _text(node["state"]),
            _text_or_none(node.get("display_node_id")),
            _text_or_none(node.get("parent_node_id")),
            _text_or_none(node.get("real_node_id")),
        )
    return ProgressState(_text(data["prompt_id"]), nodes)


def _decode_executed(data: JSONObject) -> Executed:
    output = data.get("output")
    return Executed(
        prompt_id=_text(data["prompt_id"]),
        node=_text(data["node"]),
        display_node=_text_or_none(data.get("display_node")),
        output=None if output is None else _object(output),
    )


def decode_execution_error(data: JSONObject) -> ExecutionError:
    """Read the data of an ``execution_error``, from a frame or from a history's messages."""
    told = as_object(data.get("current_inputs"))
    inputs = without_secrets(told)
    return ExecutionError(
        prompt_id=_text(data["prompt_id"]),
        node_id=_text_or_none(data.get("node_id")),
        node_type=_text_or_none(data.get("node_type")),
        exception_type=_text_or_none(data.get("exception_type")) or "",
        exception_message=_text_or_none(data.get("exception_message")) or "",
        traceback=_texts(data.get("traceback")),
        executed=_texts(data.get("executed")),
        current_inputs=inputs,
        current_outputs=data.get("current_outputs"),
        timestamp=_timestamp(data),
        data={**data, "current_inputs": inputs} if told else data,
    )


def decode_execution_interrupted(data: JSONObject) -> ExecutionInterrupted:
    """Read the data of an ``execution_interrupted``, from a frame or a history's messages."""
    return ExecutionInterrupted(
        prompt_id=_text(data["prompt_id"]),
        node_id=_text_or_none(data.get("node_id")),
        node_type=_text_or_none(data.get("node_type")),
        executed=_texts(data.get("executed")),
        timestamp=_timestamp(data),
    )


def _decode_logs(data: JSONObject) -> Logs:
    entries = data["entries"]
    if not is_list(entries):
        raise TypeError("the entries of a logs frame are a list")
    size = as_object(data.get("size"))
    return Logs(
        tuple(
            LogEntry(str(entry.get("t", "")), _text(entry["m"])) for entry in map(_object, entries)
        ),
        columns=size.get("cols"),
        rows=size.get("rows"),
    )


_TEXT_DECODERS: Mapping[str, Callable[[JSONObject], ServerEvent]] = {
    "status": _decode_status,
    "execution_start": lambda data: ExecutionStart(_text(data["prompt_id"]), _timestamp(data)),
    "execution_cached": lambda data: ExecutionCached(
        _text(data["prompt_id"]), _texts(data.get("nodes")), _timestamp(data)
    ),
    "executing": lambda data: Executing(
        _text_or_none(data.get("prompt_id")),
        _text_or_none(data["node"]),
        _text_or_none(data.get("display_node")),
    ),
    "progress": lambda data: Progress(
        _text_or_none(data.get("prompt_id")),
        _text_or_none(data.get("node")),
        _number(data["value"]),
        _number(data["max"]),
    ),
    "progress_state": _decode_progress_state,
    "executed": _decode_executed,
    "execution_success": lambda data: ExecutionSuccess(_text(data["prompt_id"]), _timestamp(data)),
    "execution_error": decode_execution_error,
    "execution_interrupted": decode_execution_interrupted,
    "feature_flags": FeatureFlags,
    "logs": _decode_logs,
    "notification": lambda data: Notification(
        _text(data["value"]), _text_or_none(data.get("prompt_id"))
    ),
}


def _decode_binary(message: bytes) -> ServerEvent:
    event, *_ = struct.unpack_from(">I", message)
    decoder = _BINARY_DECODERS.get(event)
    return RawBinary(event, message[4:]) if decoder is None else decoder(message)


def _sized_part(message: bytes) -> tuple[bytes, bytes]:
    """Split a payload of a length, that many bytes, and the rest."""
    (length,) = struct.unpack_from(">I", message, 4)
    if length > len(message) - 8:
        raise ValueError(f"a part of {length} bytes is announced, {len(message) - 8} are there")
    return message[8 : 8 + length], message[8 + length :]


_MEDIA_TYPES = {1: "image/jpeg", 2: "image/png"}
_MAGIC_NUMBERS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n", "image/png"),
    (b"RIFF", "image/webp"),
    (b"GIF8", "image/gif"),
)


def _media_type_of(data: bytes) -> str:
    """Name the format of a picture whose format number is a custom node's own."""
    for magic, media_type in _MAGIC_NUMBERS:
        if data.startswith(magic):
            return media_type
    return "application/octet-stream"


def _decode_preview(message: bytes) -> PreviewImage:
    (image_format,) = struct.unpack_from(">I", message, 4)
    data = message[8:]
    return PreviewImage(data, _MEDIA_TYPES.get(image_format) or _media_type_of(data))


def _decode_progress_text(message: bytes) -> ProgressText:
    node_id, text = _sized_part(message)
    return ProgressText(node_id.decode(), text.decode(errors="replace"))


def _decode_preview_with_metadata(message: bytes) -> PreviewImageWithMetadata:
    header, data = _sized_part(message)
    metadata = _object(json.loads(header))
    return PreviewImageWithMetadata(
        data,
        media_type=_text_or_none(metadata.get("image_type")) or _media_type_of(data),
        prompt_id=_text_or_none(metadata.get("prompt_id")),
        node_id=_text_or_none(metadata.get("node_id")),
        display_node_id=_text_or_none(metadata.get("display_node_id")),
        parent_node_id=_text_or_none(metadata.get("parent_node_id")),
        real_node_id=_text_or_none(metadata.get("real_node_id")),
        metadata=metadata,
    )


# All integers are big-endian and 32 bits wide; the event number comes first.
_BINARY_DECODERS: Mapping[int, Callable[[bytes], ServerEvent]] = {
    1: _decode_preview,  # format (1 JPEG, 2 PNG), picture
    3: _decode_progress_text,  # length, node id in UTF-8, text in UTF-8
    4: _decode_preview_with_metadata,  # length, JSON, picture
}
