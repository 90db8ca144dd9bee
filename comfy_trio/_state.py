"""The life of one job as a pure function: ``advance(state, event) -> state``.

Events come from the WebSocket (which only hints), from HTTP replies (which decide) and from the
client itself. They may come twice, late, in odd order or not at all. `_KINDS` tells what an event
means for how far the job is, `_NEXT_PHASE` where that leads, and `_EFFECTS` what else it changes;
what it makes known to the job's user is left in `JobState.news`. Nothing leads out of ``ENDED``.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from . import _wire as wire
from ._errors import (
    CustomEventError,
    DisconnectedError,
    ExecutionFailedError,
    ExecutionInterruptedError,
    FailedCacheError,
    NodeErrors,
    WentMissingError,
    describe_node,
)
from ._events import (
    Failed,
    Finished,
    ImageReceived,
    JobEvent,
    NodeStarted,
    Output,
    Pending,
    Preview,
    Progress,
    ProgressPercent,
    Started,
    Text,
)
from ._prompt import title_of
from ._replies import Accepted, HistoryEntry
from ._result import JobResult, ReceivedImage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._errors import ComfyError
    from ._util import JSONObject

IMAGE_SENDERS = frozenset({"SaveImageWebsocket"})
"""Classes whose pictures on the WebSocket are results, not previews."""


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
    """The job never came to be: the POST failed, and `error` says how."""

    error: ComfyError


@attrs.frozen
class SeenPending:
    """The server's queue lists the job as waiting."""


@attrs.frozen
class SeenRunning:
    """The server's queue lists the job as running."""


@attrs.frozen
class Gone:
    """The job is neither in the queue nor in the history.

    Args:
        dequeued: Whether this client removed it from the queue, so that nothing is amiss.
    """

    dequeued: bool = False


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
    | ServerLost
)
"""Everything that `advance` takes."""


@attrs.frozen
class JobPlan:
    """What is known of a job before it starts.

    Args:
        prompt_id: The client's own choice.
        prompt: The graph that is sent.
        aliases: Node id by alias, of the outputs to collect; empty for all.
        auto_seeds: The seeds drawn for this run, by node id.
    """

    prompt_id: str
    prompt: JSONObject
    aliases: Mapping[str, str] = attrs.field(factory=dict[str, str])
    auto_seeds: Mapping[str, int] = attrs.field(factory=dict[str, int])

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
        detailed: Whether the server sends `wire.ProgressState`, which outranks other signs.
        failure: How it ends, if a frame said that it ends badly.
        succeeded: Whether a frame said that it ends well.
        cancelling: Whether this client asked the server to stop it.
        refused: Whether it never came to be.
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
    detailed: bool = False
    failure: wire.ExecutionError | wire.ExecutionInterrupted | None = None
    succeeded: bool = False
    cancelling: bool = False
    refused: bool = False
    outcome: JobResult | ComfyError | None = None
    news: tuple[JobEvent, ...] = ()


class _Kind(Enum):
    """What an event means for how far the job is."""

    ACCEPTS = "the server took it"
    RUNS = "the server works on it"
    ENDS = "the server said how it ends"
    RECORDS = "the server wrote its history"
    SETTLES = "nothing more can happen"


_KINDS: Mapping[type, _Kind] = {
    Accepted: _Kind.ACCEPTS,
    SeenPending: _Kind.ACCEPTS,
    SeenRunning: _Kind.RUNS,
    wire.ExecutionStart: _Kind.RUNS,
    wire.ExecutionCached: _Kind.RUNS,
    wire.Executing: _Kind.RUNS,
    wire.Progress: _Kind.RUNS,
    wire.ProgressState: _Kind.RUNS,
    wire.ProgressText: _Kind.RUNS,
    wire.PreviewImage: _Kind.RUNS,
    wire.PreviewImageWithMetadata: _Kind.RUNS,
    wire.Executed: _Kind.RUNS,
    wire.ExecutionSuccess: _Kind.ENDS,
    wire.ExecutionError: _Kind.ENDS,
    wire.ExecutionInterrupted: _Kind.ENDS,
    HistoryEntry: _Kind.SETTLES,
    Gone: _Kind.SETTLES,
    Refused: _Kind.SETTLES,
    ServerLost: _Kind.SETTLES,
}


def _row(accepts: Phase, runs: Phase, ends: Phase, records: Phase) -> Mapping[_Kind, Phase]:
    return {
        _Kind.ACCEPTS: accepts,
        _Kind.RUNS: runs,
        _Kind.ENDS: ends,
        _Kind.RECORDS: records,
        _Kind.SETTLES: Phase.ENDED,
    }


_NEXT_PHASE: Mapping[Phase, Mapping[_Kind, Phase]] = {
    # phase:                ACCEPTS         RUNS            ENDS            RECORDS
    Phase.SUBMITTED: _row(Phase.PENDING, Phase.RUNNING, Phase.ENDING, Phase.RECORDED),
    Phase.PENDING: _row(Phase.PENDING, Phase.RUNNING, Phase.ENDING, Phase.RECORDED),
    Phase.RUNNING: _row(Phase.RUNNING, Phase.RUNNING, Phase.ENDING, Phase.RECORDED),
    Phase.ENDING: _row(Phase.ENDING, Phase.ENDING, Phase.ENDING, Phase.RECORDED),
    Phase.RECORDED: _row(Phase.RECORDED, Phase.RECORDED, Phase.RECORDED, Phase.RECORDED),
}


def _kind_of(event: StateEvent) -> _Kind | None:
    match event:
        case wire.ExecutionError(exception_type=wire.BLOCKED_EXCEPTION):
            return _Kind.RUNS
        case wire.Executing(node=None):
            return _Kind.RECORDS
        case _:
            return _KINDS.get(type(event))


def advance(state: JobState, event: StateEvent) -> JobState:
    """Return the job's state after an event. Pure, and total: any event may come at any time.

    A frame that tells its prompt changes no job but that prompt's. Frames that do not tell
    (`wire.PreviewImage`, `wire.ProgressText`) are the caller's to attribute.
    """
    kind = _kind_of(event)
    told = getattr(event, "prompt_id", None)
    foreign = told is not None and told != state.plan.prompt_id
    if state.news:
        state = attrs.evolve(state, news=())
    if kind is None or foreign or state.phase is Phase.ENDED:
        return state
    state = _enter_phase(state, kind, event)
    return _EFFECTS.get(type(event), _no_effect)(state, event)


def _enter_phase(state: JobState, kind: _Kind, event: StateEvent) -> JobState:
    """Go on to the next phase, and tell what that proves to have happened."""
    before, following = state.phase, _NEXT_PHASE[state.phase][kind]
    if following is before:
        return state
    state = attrs.evolve(state, phase=following)
    if kind is _Kind.SETTLES and not isinstance(event, HistoryEntry):
        return state
    prompt_id = state.plan.prompt_id
    if before is Phase.SUBMITTED:
        state = _told(state, Pending(prompt_id))
    if before in (Phase.SUBMITTED, Phase.PENDING) and kind is not _Kind.ACCEPTS:
        state = _told(state, Started(prompt_id), ProgressPercent(prompt_id, 0), percent=0)
    return state


# --- What an event changes beside the phase -------------------------------------------------------


def _told(state: JobState, *news: JobEvent, **changes: Any) -> JobState:
    return attrs.evolve(state, news=(*state.news, *news), **changes)


def _no_effect(state: JobState, event: Any) -> JobState:
    return state


def _measure(state: JobState) -> JobState:
    """Tell the percentage if it has grown."""
    share = (len(state.done) + sum(state.running.values())) / len(state.plan.prompt)
    percent = min(int(100 * share), 100)
    if percent <= state.percent:
        return state
    return _told(state, ProgressPercent(state.plan.prompt_id, percent), percent=percent)


def _finish(state: JobState, *node_ids: str) -> JobState:
    """Count nodes as done; ids that the server made itself count for nothing."""
    done = state.done | (state.plan.prompt.keys() & set(node_ids))
    if done == state.done:
        return state
    running = {node_id: share for node_id, share in state.running.items() if node_id not in done}
    return _measure(attrs.evolve(state, done=done, running=running))


def _share(value: float, maximum: float) -> float:
    return min(max(value / maximum, 0.0), 1.0) if maximum > 0 else 0.0


def _known(state: JobState, *candidates: str | None) -> str | None:
    """Return the first of some names for a node that the workflow knows, or else the first."""
    names = [name for name in candidates if name is not None]
    return next((name for name in names if name in state.plan.prompt), names[0] if names else None)


def _on_accepted(state: JobState, event: Accepted) -> JobState:
    return attrs.evolve(state, number=event.number, node_errors=event.node_errors)


def _on_cached(state: JobState, event: wire.ExecutionCached) -> JobState:
    return _finish(attrs.evolve(state, cached=frozenset(event.nodes)), *event.nodes)


def _on_executing(state: JobState, event: wire.Executing) -> JobState:
    node_id = _known(state, event.node, event.display_node)
    if node_id is None or node_id == state.executing:
        return state
    before = state.executing
    started = NodeStarted(
        state.plan.prompt_id, node_id, state.plan.class_of(node_id), state.plan.title(node_id)
    )
    state = _told(state, started, executing=node_id)
    # Servers before 0.3.45 send no progress_state: there the next node tells that one is done.
    return state if state.detailed or before is None else _finish(state, before)


def _on_progress(state: JobState, event: wire.Progress) -> JobState:
    node_id = _known(state, event.node, state.executing)
    if node_id is None:
        return state
    state = _told(state, Progress(state.plan.prompt_id, node_id, event.value, event.max))
    if state.detailed or node_id not in state.plan.prompt or node_id in state.done:
        return state
    running = {**state.running, node_id: _share(event.value, event.max)}
    return _measure(attrs.evolve(state, running=running))


def _on_progress_state(state: JobState, event: wire.ProgressState) -> JobState:
    prompt = state.plan.prompt
    nodes = [(node_id, node) for node_id, node in event.nodes.items() if node_id in prompt]
    finished = [node_id for node_id, node in nodes if node.state == "finished"]
    running = {
        node_id: _share(node.value, node.max)
        for node_id, node in nodes
        if node.state != "finished" and node_id not in state.done
    }
    state = _finish(attrs.evolve(state, running=running, detailed=True), *finished)
    return _measure(state)


def _on_preview(
    state: JobState, event: wire.PreviewImage | wire.PreviewImageWithMetadata
) -> JobState:
    plan = state.plan
    metadata: Mapping[str, Any] = {}
    node_id = state.executing
    if isinstance(event, wire.PreviewImageWithMetadata):
        metadata = event.metadata
        node_id = _known(
            state, event.node_id, event.real_node_id, event.display_node_id, state.executing
        )
    if node_id is None or plan.class_of(node_id) not in IMAGE_SENDERS:
        return _told(
            state, Preview(plan.prompt_id, node_id, event.data, event.media_type, metadata)
        )
    before = state.received.get(node_id, ())
    images = (*before, ReceivedImage(event.data, event.media_type))
    return _told(
        state,
        ImageReceived(plan.prompt_id, node_id, len(before), event.data, event.media_type),
        received={**state.received, node_id: images},
    )


def _on_text(state: JobState, event: wire.ProgressText) -> JobState:
    if event.node_id not in state.plan.prompt:
        return state
    return _told(state, Text(state.plan.prompt_id, event.node_id, event.text))


def _on_executed(state: JobState, event: wire.Executed) -> JobState:
    state = _finish(state, event.node)
    return state if event.output is None else _show(state, {event.node: event.output})


def _show(state: JobState, outputs: Mapping[str, JSONObject]) -> JobState:
    """Tell of outputs, each node's once."""
    fresh = {node_id: data for node_id, data in outputs.items() if node_id not in state.outputs}
    if not fresh:
        return state
    plan = state.plan
    news = [
        Output(plan.prompt_id, plan.key_of(node_id), node_id, data)
        for node_id, data in fresh.items()
    ]
    return _told(state, *news, outputs={**state.outputs, **fresh})


def _on_failure(
    state: JobState, event: wire.ExecutionError | wire.ExecutionInterrupted
) -> JobState:
    if isinstance(event, wire.ExecutionError) and event.blocked:
        return state
    return attrs.evolve(state, failure=event)


def _on_success(state: JobState, event: wire.ExecutionSuccess) -> JobState:
    return attrs.evolve(state, succeeded=True)


def _on_history(state: JobState, entry: HistoryEntry) -> JobState:
    state = attrs.evolve(state, cached=state.cached | entry.cached)
    if entry.failure is not None:
        return _fail(state, _error_of(state, entry.failure))
    state = _show(state, entry.outputs)
    return _succeed(attrs.evolve(state, outputs={**state.outputs, **entry.outputs}))


def _succeed(state: JobState) -> JobState:
    plan = state.plan
    if plan.aliases and not state.outputs and state.cached >= plan.prompt.keys():
        return _fail(
            state,
            FailedCacheError(
                f"job {plan.prompt_id}: all nodes came from the server's cache, and the server has"
                " no outputs of them any more. Change an input, or free the server's memory, and"
                " run again",
                prompt_id=plan.prompt_id,
            ),
        )
    refused = {
        output for errors in state.node_errors.values() for output in errors.dependent_outputs
    }
    named = {
        alias: state.outputs.get(node_id, {})
        for alias, node_id in plan.aliases.items()
        if node_id in state.outputs or node_id not in refused
    }
    result = JobResult(
        prompt_id=plan.prompt_id,
        outputs=named if plan.aliases else state.outputs,
        nodes=state.outputs,
        aliases={node_id: alias for alias, node_id in plan.aliases.items()},
        auto_seeds=plan.auto_seeds,
        node_errors=state.node_errors,
        received=state.received,
        cached=state.cached,
    )
    if state.percent < 100:
        state = _told(state, ProgressPercent(plan.prompt_id, 100), percent=100)
    return _told(state, Finished(plan.prompt_id, result), outcome=result)


def _fail(state: JobState, error: ComfyError) -> JobState:
    return _told(state, Failed(state.plan.prompt_id, error), outcome=error)


def _on_gone(state: JobState, event: Gone) -> JobState:
    """End a job of which the server knows nothing, by what its frames told."""
    prompt_id = state.plan.prompt_id
    if state.failure is not None:
        return _fail(state, _error_of(state, state.failure))
    if state.succeeded:
        return _succeed(state)
    if event.dequeued:
        text = f"job {prompt_id} was cancelled by this client before the server began it"
        return _fail(state, ExecutionInterruptedError(text, prompt_id=prompt_id, by_us=True))
    text = (
        f"job {prompt_id} is neither in the server's queue nor in its history: someone removed it"
        " or cleared the history, or the server was restarted. If it matters, run it again"
    )
    return _fail(state, WentMissingError(text, prompt_id=prompt_id))


def _on_refused(state: JobState, event: Refused) -> JobState:
    return _fail(attrs.evolve(state, refused=True), event.error)


def _on_lost(state: JobState, event: ServerLost) -> JobState:
    prompt_id = state.plan.prompt_id
    text = (
        f"job {prompt_id}: the connection to the server is lost ({event.reason}). The job may still"
        " run there; its id finds it in the server's queue or history"
    )
    return _fail(state, DisconnectedError(text, prompt_id=prompt_id))


_EFFECTS: Mapping[type, Callable[[JobState, Any], JobState]] = {
    Accepted: _on_accepted,
    wire.ExecutionCached: _on_cached,
    wire.Executing: _on_executing,
    wire.Progress: _on_progress,
    wire.ProgressState: _on_progress_state,
    wire.PreviewImage: _on_preview,
    wire.PreviewImageWithMetadata: _on_preview,
    wire.ProgressText: _on_text,
    wire.Executed: _on_executed,
    wire.ExecutionSuccess: _on_success,
    wire.ExecutionError: _on_failure,
    wire.ExecutionInterrupted: _on_failure,
    HistoryEntry: _on_history,
    Gone: _on_gone,
    Refused: _on_refused,
    ServerLost: _on_lost,
}


# --- How a run that ended badly is reported -------------------------------------------------------


def _error_of(
    state: JobState, failure: wire.ExecutionError | wire.ExecutionInterrupted
) -> ExecutionFailedError | ExecutionInterruptedError | CustomEventError:
    plan = state.plan
    if isinstance(failure, wire.ExecutionInterrupted):
        return _interruption(state, failure)
    if failure.node_id is None:
        said = failure.exception_message or failure.exception_type or "no reason"
        return CustomEventError(
            f"job {plan.prompt_id} ended with an error that names no node: {said}."
            " The event is in the error's payload; the server's log may tell more",
            prompt_id=plan.prompt_id,
            payload=failure.data,
        )
    raised = failure.exception_type
    if failure.exception_message:
        raised += f": {failure.exception_message.strip()}"
    return ExecutionFailedError(
        f"{plan.name(failure.node_id, failure.node_type)} raised {raised or 'an exception'}\n"
        "  The server's traceback is in the error's traceback, the node's inputs in its"
        " current_inputs",
        prompt_id=plan.prompt_id,
        node_id=failure.node_id,
        class_type=failure.node_type or plan.class_of(failure.node_id),
        title=plan.title(failure.node_id),
        exception_type=failure.exception_type,
        exception_message=failure.exception_message,
        traceback=failure.traceback,
        current_inputs=failure.current_inputs,
        executed=failure.executed,
    )


def _interruption(state: JobState, failure: wire.ExecutionInterrupted) -> ExecutionInterruptedError:
    who = "by this client" if state.cancelling else "at the server, not by this client"
    where = ""
    if failure.node_id is not None:
        where = f" at {state.plan.name(failure.node_id, failure.node_type)}"
    return ExecutionInterruptedError(
        f"job {state.plan.prompt_id} was interrupted {who}{where}",
        prompt_id=state.plan.prompt_id,
        node_id=failure.node_id,
        class_type=failure.node_type,
        by_us=state.cancelling,
    )
