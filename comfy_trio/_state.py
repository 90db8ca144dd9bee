"""One job at one moment, as a value; `advance` in `_machine` leads from one to the next."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from . import _wire as wire
from ._disappearance import Disappearance
from ._errors import describe_node
from ._masking import Secrets
from ._prompt import title_of
from ._routes._history import HistoryEntry
from ._routes._prompt import Accepted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._errors import ComfyError, NodeErrors
    from ._events import JobEvent
    from ._result import JobResult, ReceivedImage
    from ._routes._queue import QueueEntry
    from ._typed_node import Node
    from ._util import JSONObject


class Phase(Enum):
    """How far a job is."""

    SUBMITTED = "submitted"
    """The POST is under way. Frames may come before its reply."""
    PENDING = "pending"
    """The server has it in its queue."""
    RUNNING = "running"
    """The server works on it."""
    ENDING = "ending"
    """The server said how it ended. Its history is about to be written."""
    RECORDED = "recorded"
    """The history is written. Time to read it."""
    ENDED = "ended"
    """Settled for good: `JobState.outcome` holds the result or the error."""


@attrs.frozen
class Refused:
    """The job never came to be: the POST failed, and `error` says how.

    Args:
        error: What the POST came to.
        unsettled: It may have come to be after all; the server cannot be asked.
    """

    error: ComfyError
    unsettled: bool = False


@attrs.frozen
class SeenPending:
    """The server's queue lists the job as waiting; the entry is there if it was told."""

    entry: QueueEntry | None = None


@attrs.frozen
class SeenRunning:
    """The server's queue lists the job as running; the entry is there if it was told."""

    entry: QueueEntry | None = None


@attrs.frozen
class Gone:
    """The job is neither in the queue nor in the history.

    Args:
        dequeued: Whether this client removed it from the queue, so that nothing is amiss.
        how: Otherwise, what became of it.
    """

    dequeued: bool = False
    how: Disappearance = Disappearance.UNKNOWN


@attrs.frozen
class Gap:
    """The WebSocket was lost, and with it whatever frames were to come: the reason."""

    reason: str


@attrs.frozen
class ServerLost:
    """The server cannot be asked any more, and it is given up."""

    reason: str


StateEvent: TypeAlias = (
    wire.ServerEvent
    | Accepted
    | Refused
    | SeenPending
    | SeenRunning
    | HistoryEntry
    | Gone
    | Gap
    | ServerLost
)
"""Everything that `advance` takes."""


@attrs.frozen
class JobPlan:
    """What is known of a job before it starts.

    Args:
        prompt_id: The client's own choice; where a server makes its own, that.
        prompt: The graph that is sent.
        aliases: Node id by alias, of the outputs to collect; empty for all.
        auto_seeds: The seeds drawn for this run, by node id.
        node_ids: The ids of the typed nodes that the prompt was made of, if it was.
        targets: The ids of the output nodes to run; None for all.
        skipped: The nodes that the server leaves out, because no target needs them.
        own: Whether this client submits it, and stops it when it goes.
        secrets: What no error may repeat.
    """

    prompt_id: str
    prompt: JSONObject
    aliases: Mapping[str, str] = attrs.field(factory=dict[str, str])
    auto_seeds: Mapping[str, int] = attrs.field(factory=dict[str, int])
    node_ids: Mapping[Node, str] = attrs.field(factory=dict["Node", str], repr=False)
    targets: tuple[str, ...] | None = None
    skipped: frozenset[str] = frozenset()
    own: bool = True
    secrets: Secrets = attrs.field(factory=Secrets, eq=False, repr=False)

    @property
    def part(self) -> JSONObject:
        """The part of the prompt that runs: all of it, unless there are targets."""
        if not self.skipped:
            return self.prompt
        return {key: node for key, node in self.prompt.items() if key not in self.skipped}

    def class_of(self, node_id: str) -> str:
        """Return a node's class; empty for nodes that the server made itself."""
        node = self.prompt.get(node_id)
        return str(node["class_type"]) if node is not None else ""

    def title(self, node_id: str) -> str:
        """Return a node's title, or else its class."""
        node = self.prompt.get(node_id)
        return (title_of(node) or str(node["class_type"])) if node is not None else ""

    def name(self, node_id: str | None, class_type: str | None = None) -> str:
        """Name a node in a message."""
        if node_id is None:
            return describe_node(None, class_type)
        return describe_node(
            node_id, self.class_of(node_id) or class_type, title_of(self.prompt.get(node_id, {}))
        )

    def key_of(self, node_id: str) -> str:
        """Return the alias of a node's output, or else the node's id."""
        return next((alias for alias, node in self.aliases.items() if node == node_id), node_id)


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@attrs.frozen
class JobState:
    """A job at one moment.

    Args:
        plan: What was known before.
        phase: How far it is.
        number: Its place in the server's queue, as the reply to the POST told.
        node_errors: The nodes that the server refused while it took the rest.
        running: How much of each running node is done, from 0 to 1.
        done: The nodes that need not run any more.
        cached: Those of them that came from the server's cache.
        percent: The last percentage told; -1 before the first.
        executing: The node that the server last said it runs, as the workflow knows it.
        outputs: What each node showed so far.
        received: The pictures that came over the WebSocket.
        watched: The nodes that send such pictures, and did so within one connection.
        gap: Why the connection was lost meanwhile, if it was.
        followed: Whether all that it told came, from its beginning on.
        detailed: Whether the server sends `wire.ProgressState`, which outranks other signs.
        failure: How it ends, if a frame said that it ends badly.
        succeeded: Whether a frame said that it ends well.
        cancelling: Whether this client asked the server to stop it.
        refused: Whether it never came to be.
        unsettled: Whether it ended here without anybody knowing how, or whether, it ended there.
        outcome: The result, or the error. Only when `phase` is ``ENDED``.
        news: What the last event made known, in order.
    """

    plan: JobPlan
    phase: Phase = Phase.SUBMITTED
    number: float | None = None
    node_errors: Mapping[str, NodeErrors] = attrs.field(factory=_nothing)
    running: Mapping[str, float] = attrs.field(factory=_nothing)
    done: frozenset[str] = frozenset()
    cached: frozenset[str] = frozenset()
    percent: int = -1
    executing: str | None = None
    outputs: Mapping[str, JSONObject] = attrs.field(factory=_nothing)
    received: Mapping[str, tuple[ReceivedImage, ...]] = attrs.field(factory=_nothing)
    watched: frozenset[str] = frozenset()
    gap: str | None = None
    followed: bool = False
    detailed: bool = False
    failure: wire.ExecutionError | wire.ExecutionInterrupted | None = None
    succeeded: bool = False
    cancelling: bool = False
    refused: bool = False
    unsettled: bool = False
    outcome: JobResult | ComfyError | None = None
    news: tuple[JobEvent, ...] = ()

    def telling(self, *news: JobEvent, **changes: Any) -> JobState:
        """Return this state with changes, and more news."""
        return attrs.evolve(self, news=(*self.news, *news), **changes)
