"""What a job tells while it lives, in the order in which it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from ._errors import ComfyError
    from ._result import JobResult


@attrs.frozen
class Pending:
    """The server has accepted the job. Once, first."""

    prompt_id: str


@attrs.frozen
class Started:
    """The server works on the job. Once, if it does."""

    prompt_id: str


@attrs.frozen
class NodeStarted:
    """A node began to run; nodes that come from the server's cache do not.

    Args:
        node_id: The node of the workflow: for nodes that it expanded into, the outermost one.
        class_type: Its class; empty when the server expanded it from nothing of the workflow.
        title: Its title on the canvas, or else its class.
    """

    prompt_id: str
    node_id: str
    class_type: str
    title: str


@attrs.frozen
class Progress:
    """A node's own progress bar, as the server sends it.

    Args:
        value: How far it is.
        max: What `value` will be at its end.
    """

    prompt_id: str
    node_id: str
    value: float
    max: float


@attrs.frozen
class ProgressPercent:
    """How much of the whole job is done, from 0 to 100. Never repeated, never backwards."""

    prompt_id: str
    percent: int


@attrs.frozen
class Preview:
    """A picture of the work as it stands.

    Args:
        node_id: The node that works on it; None when the server does not tell.
        data: The encoded picture.
        media_type: Its format, such as ``image/jpeg``.
        metadata: What the server tells of it; empty on servers that tell nothing.
    """

    prompt_id: str
    node_id: str | None
    data: bytes = attrs.field(repr=False)
    media_type: str
    metadata: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)


@attrs.frozen
class ImageReceived:
    """A finished picture that came over the WebSocket (node SaveImageWebsocket), not as a file.

    None is ever left out. The server keeps no copy; all are in `JobResult.received` too.

    Args:
        node_id: The node that sent it.
        index: Its number among the node's pictures, from 0.
        data: The encoded picture, usually PNG.
        media_type: Its format.
    """

    prompt_id: str
    node_id: str
    index: int
    data: bytes = attrs.field(repr=False)
    media_type: str


@attrs.frozen
class Text:
    """A line of text that a node shows while it runs."""

    prompt_id: str
    node_id: str
    text: str


@attrs.frozen
class Output:
    """A node's output is there. Once a node.

    Args:
        key: The output's alias in the workflow, or else the node's id.
        node_id: The node.
        data: What the node shows, such as ``{"images": [{"filename": ...}]}``.
    """

    prompt_id: str
    key: str
    node_id: str
    data: Mapping[str, Any]


@attrs.frozen
class Finished:
    """The job succeeded. Once, last."""

    prompt_id: str
    result: JobResult = attrs.field(repr=False)


@attrs.frozen
class Failed:
    """The job failed, was interrupted, or is lost. Once, last. `Job.wait` raises the error."""

    prompt_id: str
    error: ComfyError


JobEvent: TypeAlias = (
    Pending
    | Started
    | NodeStarted
    | Progress
    | ProgressPercent
    | Preview
    | ImageReceived
    | Text
    | Output
    | Finished
    | Failed
)
"""Everything that `Job.events` yields."""


def kind_of(event: object) -> Hashable:
    """Return what a newer event takes the place of an older one by.

    The keys are bounded: by the nodes of the workflow, or by what the result holds anyway.
    """
    match event:
        case Progress() | Preview() | NodeStarted() | Text() | Output():
            return type(event), event.node_id
        case ImageReceived():
            return type(event), event.node_id, event.index
        case _:
            return (type(event),)
