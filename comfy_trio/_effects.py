"""What each event changes in a job beside its phase, and what it makes known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from . import _wire as wire
from ._events import (
    ImageReceived,
    NodeStarted,
    Output,
    Preview,
    Progress,
    ProgressPercent,
    Text,
)
from ._outcomes import IMAGE_SENDERS, error_of, fail, lose, succeed, vanish
from ._result import ReceivedImage
from ._routes._history import HistoryEntry
from ._routes._prompt import Accepted
from ._state import Gap, Gone, JobState, Refused, ServerLost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._util import JSONObject


MOST_SHOWN = 10_000
"""Of how many nodes frames may tell outputs; the history tells of any number."""


def no_effect(state: JobState, event: Any) -> JobState:
    """Change nothing."""
    return state


def _measure(state: JobState) -> JobState:
    """Tell the percentage if it has grown."""
    nodes = len(state.plan.prompt) - len(state.plan.skipped)
    share = (len(state.done) + sum(state.running.values())) / nodes
    percent = min(int(100 * share), 100)
    if percent <= state.percent:
        return state
    return state.telling(ProgressPercent(state.plan.prompt_id, percent), percent=percent)


def _finish(state: JobState, *node_ids: str) -> JobState:
    """Count nodes as done; ids that the server made itself, and those left out, do not count."""
    done = state.done | ((state.plan.prompt.keys() & set(node_ids)) - state.plan.skipped)
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


def _on_start(state: JobState, event: wire.ExecutionStart) -> JobState:
    return attrs.evolve(state, followed=True)


def _on_cached(state: JobState, event: wire.ExecutionCached) -> JobState:
    # Servers list all nodes of the prompt that are in their cache, also those left out.
    cached = frozenset(event.nodes) - state.plan.skipped
    return _finish(attrs.evolve(state, cached=cached), *cached)


def _on_executing(state: JobState, event: wire.Executing) -> JobState:
    node_id = _known(state, event.node, event.display_node)
    if node_id is None or node_id == state.executing:
        return state
    before = state.executing
    started = NodeStarted(
        state.plan.prompt_id, node_id, state.plan.class_of(node_id), state.plan.title(node_id)
    )
    state = state.telling(started, executing=node_id)
    if state.plan.class_of(node_id) in IMAGE_SENDERS:
        state = attrs.evolve(state, watched=state.watched | {node_id})
    # Servers before 0.3.45 send no progress_state: there the next node tells that one is done.
    return state if state.detailed or before is None else _finish(state, before)


def _on_progress(state: JobState, event: wire.Progress) -> JobState:
    node_id = _known(state, event.node, state.executing)
    if node_id is None:
        return state
    state = state.telling(Progress(state.plan.prompt_id, node_id, event.value, event.max))
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
        return state.telling(
            Preview(plan.prompt_id, node_id, event.data, event.media_type, metadata)
        )
    before = state.received.get(node_id, ())
    images = (*before, ReceivedImage(event.data, event.media_type))
    return state.telling(
        ImageReceived(plan.prompt_id, node_id, len(before), event.data, event.media_type),
        received={**state.received, node_id: images},
    )


def _on_text(state: JobState, event: wire.ProgressText) -> JobState:
    if event.node_id not in state.plan.prompt:
        return state
    return state.telling(Text(state.plan.prompt_id, event.node_id, event.text))


def _on_executed(state: JobState, event: wire.Executed) -> JobState:
    state = _finish(state, event.node)
    if event.output is None or len(state.outputs) >= MOST_SHOWN:
        return state
    return _show(state, {event.node: event.output})


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
    return state.telling(*news, outputs={**state.outputs, **fresh})


def _on_failure(
    state: JobState, event: wire.ExecutionError | wire.ExecutionInterrupted
) -> JobState:
    if isinstance(event, wire.ExecutionError) and event.blocked:
        return state
    return attrs.evolve(state, failure=event)


def _on_success(state: JobState, event: wire.ExecutionSuccess) -> JobState:
    return attrs.evolve(state, succeeded=True)


def _on_history(state: JobState, entry: HistoryEntry) -> JobState:
    skipped = state.plan.skipped
    state = attrs.evolve(state, cached=state.cached | (entry.cached - skipped))
    if entry.failure is not None:
        return fail(state, error_of(state, entry.failure))
    # Before 0.3.68 these are also the outputs of cached nodes that were left out.
    outputs = {node_id: data for node_id, data in entry.outputs.items() if node_id not in skipped}
    state = _show(state, outputs)
    return succeed(attrs.evolve(state, outputs={**state.outputs, **outputs}))


def _on_gap(state: JobState, event: Gap) -> JobState:
    watched = state.watched & state.done
    return attrs.evolve(state, gap=event.reason, watched=watched, followed=False)


def _on_refused(state: JobState, event: Refused) -> JobState:
    return fail(attrs.evolve(state, refused=True, unsettled=event.unsettled), event.error)


EFFECTS: Mapping[type, Callable[[JobState, Any], JobState]] = {
    Accepted: _on_accepted,
    wire.ExecutionStart: _on_start,
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
    Gone: vanish,
    Gap: _on_gap,
    Refused: _on_refused,
    ServerLost: lose,
}
