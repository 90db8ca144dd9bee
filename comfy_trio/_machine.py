"""The life of one job as a pure function: ``advance(state, event) -> state``.

Events come from the WebSocket (which only hints), from HTTP replies (which decide) and from the
client itself. They may come twice, late, in odd order or not at all. `_KINDS` tells what an event
means for how far the job is, `_NEXT_PHASE` where that leads, and `EFFECTS` what else it changes;
what it makes known to the job's user is left in `JobState.news`. Nothing leads out of ``ENDED``.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import attrs

from . import _wire as wire
from ._effects import EFFECTS, no_effect
from ._events import Pending, ProgressPercent, Started
from ._routes._history import HistoryEntry
from ._routes._prompt import Accepted
from ._state import Gone, JobState, Phase, Refused, SeenPending, SeenRunning, ServerLost, StateEvent

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    if foreign or state.phase is Phase.ENDED:
        return state
    if isinstance(event, Accepted) and event.assigned_id:
        state = attrs.evolve(state, plan=attrs.evolve(state.plan, prompt_id=event.assigned_id))
    if kind is not None:
        state = _enter_phase(state, kind, event)
    return EFFECTS.get(type(event), no_effect)(state, event)


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
        state = state.telling(Pending(prompt_id))
    if before in (Phase.SUBMITTED, Phase.PENDING) and kind is not _Kind.ACCEPTS:
        state = state.telling(Started(prompt_id), ProgressPercent(prompt_id, 0), percent=0)
    return state
