"""How a job ends: its result, or the error that says what happened and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from . import _wire as wire
from ._errors import (
    CustomEventError,
    DisconnectedError,
    ExecutionFailedError,
    ExecutionInterruptedError,
    FailedCacheError,
    PicturesLostError,
    WentMissingError,
)
from ._events import Failed, Finished, ProgressPercent
from ._result import JobResult
from ._util import as_object

if TYPE_CHECKING:
    from ._errors import ComfyError
    from ._masking import Secrets
    from ._state import Gone, JobPlan, JobState, ServerLost


IMAGE_SENDERS = frozenset({"SaveImageWebsocket"})
"""Classes whose pictures on the WebSocket are results, not previews."""
LONGEST_QUOTE = 2000
"""How much of what a node says an error repeats in its text, in characters."""


def sends_pictures(plan: JobPlan) -> bool:
    """Whether a job is to send pictures over the WebSocket."""
    return any(plan.class_of(node_id) in IMAGE_SENDERS for node_id in plan.part)


def succeed(state: JobState) -> JobState:
    """End a job well, by the outputs that are known."""
    plan = state.plan
    if plan.aliases and not state.outputs and state.cached >= plan.part.keys():
        return fail(
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
        if node_id in state.outputs or node_id not in refused | plan.skipped
    }
    result = JobResult(
        prompt_id=plan.prompt_id,
        outputs=named if plan.aliases else state.outputs,
        nodes=state.outputs,
        aliases={node_id: plan.key_of(node_id) for node_id in plan.aliases.values()},
        named=plan.aliases,
        auto_seeds=plan.auto_seeds,
        node_errors=state.node_errors,
        received=state.received,
        cached=state.cached,
        node_ids=plan.node_ids,
        skipped=plan.skipped,
    )
    if state.percent < 100:
        state = state.telling(ProgressPercent(plan.prompt_id, 100), percent=100)
    unheard = [
        node_id
        for node_id in plan.part
        if state.gap is not None
        and plan.class_of(node_id) in IMAGE_SENDERS
        and node_id not in state.watched
        and node_id not in state.cached
        and node_id not in refused
    ]
    if unheard:
        return fail(state, _pictures_lost(state, unheard, result))
    return state.telling(Finished(plan.prompt_id, result), outcome=result)


def _pictures_lost(state: JobState, node_ids: list[str], result: JobResult) -> PicturesLostError:
    plan = state.plan
    nodes = ", ".join(map(plan.name, node_ids))
    return PicturesLostError(
        f"job {plan.prompt_id} ran to its end, but the pictures of {nodes} did not arrive, or not"
        f" all: {state.gap}. The server keeps none of them. The rest is in the error's result; a"
        " SaveImage node leaves its pictures at the server",
        prompt_id=plan.prompt_id,
        node_ids=node_ids,
        result=result,
    )


def fail(state: JobState, error: ComfyError) -> JobState:
    """End a job with an error."""
    return state.telling(Failed(state.plan.prompt_id, error), outcome=error)


def vanish(state: JobState, event: Gone) -> JobState:
    """End a job of which the server knows nothing, by what its frames told."""
    prompt_id = state.plan.prompt_id
    if state.failure is not None:
        return fail(state, error_of(state, state.failure))
    if state.succeeded and state.followed:
        return succeed(state)
    if event.dequeued and not state.succeeded:
        text = f"job {prompt_id} was cancelled by this client before the server began it"
        return fail(state, ExecutionInterruptedError(text, prompt_id=prompt_id, by_us=True))
    ran = " ran to its end, but not all that it gave was heard, and it" if state.succeeded else ""
    text = (
        f"job {prompt_id}{ran} is neither in the server's queue nor in its history: {event.how}."
        " If it matters, run it again"
    )
    return fail(state, WentMissingError(text, prompt_id=prompt_id, disappearance=event.how))


def lose(state: JobState, event: ServerLost) -> JobState:
    """End a job whose server is lost."""
    prompt_id = state.plan.prompt_id
    text = (
        f"job {prompt_id}: the connection to the server is lost ({event.reason}). The job may still"
        " run there; its id finds it in the server's queue or history"
    )
    return fail(attrs.evolve(state, unsettled=True), DisconnectedError(text, prompt_id=prompt_id))


def error_of(
    state: JobState, failure: wire.ExecutionError | wire.ExecutionInterrupted
) -> ExecutionFailedError | ExecutionInterruptedError | CustomEventError:
    """Return the error for what the server said of a run that ended badly."""
    plan = state.plan
    if isinstance(failure, wire.ExecutionInterrupted):
        return _interruption(state, failure)
    failure = _masked(failure, plan.secrets)
    if failure.node_id is None:
        said = (failure.exception_message or failure.exception_type or "no reason")[:LONGEST_QUOTE]
        return CustomEventError(
            f"job {plan.prompt_id} ended with an error that names no node: {said}."
            " The event is in the error's payload; the server's log may tell more",
            prompt_id=plan.prompt_id,
            payload=failure.data,
        )
    raised = failure.exception_type
    if failure.exception_message:
        raised += f": {failure.exception_message.strip()}"
    raised = raised[:LONGEST_QUOTE]
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


def _masked(failure: wire.ExecutionError, secrets: Secrets) -> wire.ExecutionError:
    """Leave out what a server should not have told: hidden inputs, such as API keys."""
    return attrs.evolve(
        failure,
        exception_message=secrets.mask(failure.exception_message),
        traceback=tuple(map(secrets.mask, failure.traceback)),
        current_inputs=as_object(secrets.mask_json(failure.current_inputs)),
        current_outputs=secrets.mask_json(failure.current_outputs),
        data=as_object(secrets.mask_json(failure.data)),
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
