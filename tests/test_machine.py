from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import traces

from comfy_trio import (
    CustomEventError,
    DisconnectedError,
    EnqueueFailedError,
    ExecutionFailedError,
    ExecutionInterruptedError,
    Failed,
    FailedCacheError,
    Finished,
    ImageReceived,
    JobEvent,
    JobResult,
    NodeErrors,
    NodeStarted,
    Output,
    Pending,
    Preview,
    Progress,
    ProgressPercent,
    ReceivedImage,
    ReplySummary,
    Started,
    Text,
    WentMissingError,
    wire,
)
from comfy_trio._machine import advance
from comfy_trio._routes._history import HistoryEntry, read_history_entry
from comfy_trio._routes._prompt import Accepted, read_prompt_reply
from comfy_trio._state import (
    Gap,
    Gone,
    JobPlan,
    JobState,
    Phase,
    Refused,
    SeenPending,
    SeenRunning,
    ServerLost,
    StateEvent,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PROMPT: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {}},
    "2": {
        "class_type": "ImageInvert",
        "inputs": {"image": ["1", 0]},
        "_meta": {"title": "Invert!"},
    },
    "5": {"class_type": "SaveImageWebsocket", "inputs": {"images": ["2", 0]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
}
FILES = {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}


def new_state(**plan: Any) -> JobState:
    return JobState(JobPlan("p", PROMPT, **plan))


def run(state: JobState, events: Iterable[StateEvent]) -> tuple[JobState, list[JobEvent]]:
    news: list[JobEvent] = []
    for event in events:
        state = advance(state, event)
        news += state.news
    return state, news


def history(outputs: dict[str, Any] | None = None, **entry: Any) -> HistoryEntry:
    shown = {"9": FILES} if outputs is None else outputs
    return HistoryEntry(prompt_id="p", outputs=shown, **entry)


HAPPY_RUN: list[StateEvent] = [
    Accepted(0),
    wire.ExecutionStart("p"),
    wire.ExecutionCached("p", ("1",)),
    wire.Executing("p", "2", "2"),
    wire.Progress("p", "2", 1, 2),
    wire.PreviewImage(b"jpg", "image/jpeg"),
    wire.ProgressText("2", "half way"),
    wire.Executing("p", "9", "9"),
    wire.Executed("p", "9", "9", FILES),
    wire.ExecutionSuccess("p"),
    wire.Executing("p", None),
    history(),
]


def test_a_run_tells_everything_in_order() -> None:
    state, news = run(new_state(aliases={"pictures": "9"}), HAPPY_RUN)
    assert isinstance(state.outcome, JobResult)
    assert news == [
        Pending("p"),
        Started("p"),
        ProgressPercent("p", 0),
        ProgressPercent("p", 25),
        NodeStarted("p", "2", "ImageInvert", "Invert!"),
        Progress("p", "2", 1, 2),
        ProgressPercent("p", 37),
        Preview("p", "2", b"jpg", "image/jpeg"),
        Text("p", "2", "half way"),
        NodeStarted("p", "9", "SaveImage", "SaveImage"),
        ProgressPercent("p", 50),
        ProgressPercent("p", 75),
        Output("p", "pictures", "9", FILES),
        ProgressPercent("p", 100),
        Finished("p", state.outcome),
    ]
    assert dict(state.outcome) == {"pictures": FILES}
    assert state.outcome.aliases == {"9": "pictures"}


def test_the_phases_of_a_run() -> None:
    state = new_state()
    phases = [state.phase]
    for event in HAPPY_RUN:
        state = advance(state, event)
        if state.phase is not phases[-1]:
            phases.append(state.phase)
    assert phases == [*Phase]


@pytest.mark.parametrize("event", HAPPY_RUN, ids=lambda event: type(event).__name__)
def test_nothing_changes_a_job_that_is_over(event: StateEvent) -> None:
    over, _ = run(new_state(), HAPPY_RUN)
    assert attrs.evolve(over, news=()) == advance(over, event)


def test_frames_of_other_prompts_never_touch_a_job() -> None:
    frames = [event for event in HAPPY_RUN if getattr(event, "prompt_id", None) is not None]
    assert len(frames) > 5
    state = advance(JobState(JobPlan("another", PROMPT)), Accepted(0))
    for frame in frames:
        assert advance(state, frame) == attrs.evolve(state, news=())


def test_frames_that_come_twice_tell_nothing_twice() -> None:
    once = run(new_state(), HAPPY_RUN)[1]
    milestones = (Pending, Started, NodeStarted, Output, Finished, ProgressPercent)
    twice = run(new_state(), [event for event in HAPPY_RUN for _ in range(2)])[1]
    assert [item for item in twice if isinstance(item, milestones)] == [
        item for item in once if isinstance(item, milestones)
    ]


def test_frames_before_the_reply_to_the_post() -> None:
    accepted, *frames = HAPPY_RUN
    state, news = run(new_state(), [*frames[:4], accepted, *frames[4:]])
    assert news[:2] == [Pending("p"), Started("p")]
    assert news.count(Pending("p")) == 1
    assert state.number == 0
    assert isinstance(state.outcome, JobResult)


def test_a_run_of_which_no_frame_came() -> None:
    state, news = run(new_state(), [Accepted(0), history()])
    assert isinstance(state.outcome, JobResult)
    assert news == [
        Pending("p"),
        Started("p"),
        ProgressPercent("p", 0),
        Output("p", "9", "9", FILES),
        ProgressPercent("p", 100),
        Finished("p", state.outcome),
    ]


def test_being_seen_in_the_queue() -> None:
    state, news = run(new_state(), [SeenPending(), SeenPending(), SeenRunning(), SeenRunning()])
    assert state.phase is Phase.RUNNING
    assert news == [Pending("p"), Started("p"), ProgressPercent("p", 0)]


def test_percent_follows_progress_state_and_never_falls() -> None:
    def progress(**nodes: tuple[float, float, str]) -> wire.ProgressState:
        return wire.ProgressState(
            "p",
            {
                node_id.strip("n"): wire.NodeProgress(node_id.strip("n"), value, maximum, state)
                for node_id, (value, maximum, state) in nodes.items()
            },
        )

    state, news = run(
        new_state(),
        [
            wire.ExecutionStart("p"),
            progress(n1=(0, 1, "running")),
            progress(n1=(1, 1, "finished"), n2=(0, 4, "running")),
            wire.Executing("p", "2", "2"),
            progress(n1=(1, 1, "finished"), n2=(3, 4, "running")),
            wire.Progress("p", "2", 3, 4),
            progress(n1=(1, 1, "finished"), n2=(1, 4, "running")),  # a node that runs twice
            progress(n1=(1, 1, "finished"), n2=(5, 4, "running"), n77=(0, 0, "running")),
            progress(n1=(1, 1, "finished"), n2=(4, 4, "finished"), n9=(0, 0, "running")),
        ],
    )
    assert [item.percent for item in news if isinstance(item, ProgressPercent)] == [0, 25, 43, 50]
    assert state.done == {"1", "2"}


def test_nodes_that_the_server_expanded_show_as_what_they_stand_for() -> None:
    events = [
        wire.Executing("p", "2.0.0.1", "2"),
        wire.Executing("p", "2.0.0.2", "2"),
        wire.Executing("p", "2", "2"),
    ]
    _, news = run(new_state(), events)
    started = [item for item in news if isinstance(item, NodeStarted)]
    assert started == [NodeStarted("p", "2", "ImageInvert", "Invert!")]


def test_a_preview_with_metadata_names_its_node() -> None:
    event = wire.PreviewImageWithMetadata(b"x", "image/png", "p", "2", metadata={"node_id": "2"})
    _, news = run(new_state(), [wire.Executing("p", "1"), event])
    assert news[-1] == Preview("p", "2", b"x", "image/png", {"node_id": "2"})


def test_pictures_sent_as_results_are_kept_all() -> None:
    events: list[StateEvent] = [
        wire.Executing("p", "5", "5"),
        wire.PreviewImage(b"one", "image/png"),
        wire.PreviewImageWithMetadata(b"two", "image/png", "p", "5"),
        history({}),
    ]
    state, news = run(new_state(), events)
    received = [item for item in news if isinstance(item, ImageReceived)]
    assert received == [
        ImageReceived("p", "5", 0, b"one", "image/png"),
        ImageReceived("p", "5", 1, b"two", "image/png"),
    ]
    assert isinstance(state.outcome, JobResult)
    assert state.outcome.received == {
        "5": (ReceivedImage(b"one", "image/png"), ReceivedImage(b"two", "image/png"))
    }


def test_text_of_a_node_that_is_not_ours_is_ignored() -> None:
    _, news = run(new_state(), [wire.ExecutionStart("p"), wire.ProgressText("77", "hi")])
    assert not any(isinstance(item, Text) for item in news)


FAILURE = wire.ExecutionError("p", "2", "ImageInvert", "ValueError", "boom\n", ("line",), ("1",))
INTERRUPTION = wire.ExecutionInterrupted("p", "2", "ImageInvert")


def test_a_node_that_raises() -> None:
    state, news = run(
        new_state(), [Accepted(0), FAILURE, wire.Executing("p", None), history(failure=FAILURE)]
    )
    error = state.outcome
    assert isinstance(error, ExecutionFailedError)
    assert news[-1] == Failed("p", error)
    assert str(error).startswith('node 2 (ImageInvert, "Invert!") raised ValueError: boom\n')
    assert (error.node_id, error.class_type, error.title) == ("2", "ImageInvert", "Invert!")
    assert (error.traceback, error.executed) == (("line",), ("1",))


def test_a_blocked_node_ends_nothing() -> None:
    blocked = attrs.evolve(FAILURE, exception_type="ExecutionBlocked")
    state, _ = run(new_state(), [blocked, blocked])
    assert state.phase is Phase.RUNNING
    state, _ = run(state, [wire.ExecutionSuccess("p"), wire.Executing("p", None), history()])
    assert isinstance(state.outcome, JobResult)


@pytest.mark.parametrize("by_us", [True, False])
def test_an_interruption_tells_who_asked_for_it(by_us: bool) -> None:
    state = attrs.evolve(new_state(), cancelling=by_us)
    state, _ = run(state, [INTERRUPTION, history(failure=INTERRUPTION)])
    error = state.outcome
    assert isinstance(error, ExecutionInterruptedError)
    assert error.by_us is by_us
    assert ("not by this client" in str(error)) is not by_us
    assert 'node 2 (ImageInvert, "Invert!")' in str(error)


def test_an_error_without_a_node() -> None:
    event = wire.ExecutionError("p", None, None, "", "no GPU", data={"why": "no GPU"})
    state, _ = run(new_state(), [history(failure=event)])
    assert isinstance(state.outcome, CustomEventError)
    assert state.outcome.payload == {"why": "no GPU"}
    assert "no GPU" in str(state.outcome)


GONE_CASES: list[tuple[list[StateEvent], type]] = [
    ([Accepted(0), Gone()], WentMissingError),
    ([Accepted(0), Gone(dequeued=True)], ExecutionInterruptedError),
    ([FAILURE, Gone()], ExecutionFailedError),
    ([INTERRUPTION, Gone()], ExecutionInterruptedError),
    ([*HAPPY_RUN[:-1], Gone()], JobResult),
    (
        [Gap("away"), HAPPY_RUN[1], wire.Executing("p", "5"), *HAPPY_RUN[2:-1], Gone()],
        JobResult,
    ),
    ([*HAPPY_RUN[:4], Gap("away"), *HAPPY_RUN[4:-1], Gone()], WentMissingError),
    ([Accepted(0), ServerLost("down")], DisconnectedError),
]


@pytest.mark.parametrize(("events", "outcome"), GONE_CASES)
def test_what_a_job_ends_as_when_the_server_knows_it_no_more(
    events: Sequence[StateEvent], outcome: type
) -> None:
    state, news = run(new_state(), events)
    assert type(state.outcome) is outcome
    assert isinstance(news[-1], Finished if outcome is JobResult else Failed)


def test_a_refused_job_was_never_pending() -> None:
    error = EnqueueFailedError("no", ReplySummary("POST", "http://x", 400))
    state, news = run(new_state(), [Refused(error)])
    assert news == [Failed("p", error)]
    assert state.outcome is error


def test_all_from_the_cache_and_nothing_to_show() -> None:
    state, _ = run(new_state(aliases={"out": "9"}), [history({}, cached=frozenset(PROMPT))])
    assert isinstance(state.outcome, FailedCacheError)


def test_nodes_that_are_left_out_do_not_count() -> None:
    plan: dict[str, Any] = {"targets": ("9",), "skipped": frozenset({"5"})}
    state = new_state(aliases={"out": "9", "socket": "5"}, **plan)
    state, news = run(
        state,
        [
            Accepted(0),
            wire.ExecutionCached("p", ("1", "5")),  # "5" from a run that was for all
            wire.Executing("p", "2"),
            wire.Executing("p", "9"),
            wire.Executed("p", "9", "9", FILES),
            history({"9": FILES, "5": FILES}, cached=frozenset({"1", "5"})),
        ],
    )
    result = state.outcome
    assert isinstance(result, JobResult)
    assert dict(result) == {"out": FILES}
    assert result.nodes == {"9": FILES}
    assert result.cached == {"1"}
    percents = [item.percent for item in news if isinstance(item, ProgressPercent)]
    assert percents == [0, 33, 66, 100]
    assert [item.node_id for item in news if isinstance(item, Output)] == ["9"]
    with pytest.raises(KeyError, match="'socket' did not run: none of the targets needs it"):
        result["socket"]


def test_targets_from_the_cache_and_nothing_to_show() -> None:
    plan: dict[str, Any] = {"targets": ("9",), "skipped": frozenset({"5"})}
    cached = frozenset({"1", "2", "9"})
    state, _ = run(new_state(aliases={"out": "9"}, **plan), [history({}, cached=cached)])
    assert isinstance(state.outcome, FailedCacheError)
    state, _ = run(new_state(aliases={"out": "9"}), [history({}, cached=cached)])
    assert isinstance(state.outcome, JobResult)


def test_an_output_that_the_server_refused() -> None:
    errors = {"2": NodeErrors("2", "ImageInvert", "Invert!", (), ("9",))}
    state, _ = run(
        new_state(aliases={"out": "9", "socket": "5"}), [Accepted(0, errors), history({})]
    )
    result = state.outcome
    assert isinstance(result, JobResult)
    assert dict(result) == {"socket": {}}
    assert result.node_errors == errors
    with pytest.raises(KeyError, match="did not run: the server refused node 2"):
        result["out"]
    with pytest.raises(KeyError, match="there are socket"):
        result["typo"]


# --- Recorded traffic -----------------------------------------------------------------------------

ENDS: dict[str, list[type]] = {
    "cached": [JobResult],
    "dequeue-pending": [JobResult, ExecutionInterruptedError],
    "fresh": [JobResult],
    "interrupt": [ExecutionInterruptedError],
    "no-client-id": [JobResult],
    "one-output-invalid": [JobResult],
    "partly-cached": [JobResult],
    "previews-legacy": [JobResult],
    "previews-with-metadata": [JobResult],
    "runtime-error": [ExecutionFailedError],
    "several-outputs": [JobResult],
    "two-queued": [JobResult, JobResult],
    "txt2img": [JobResult],
}


def replay(trace: traces.Trace, index: int) -> tuple[JobState, list[JobEvent]]:
    """Feed all that was recorded to the job that was posted as number `index`."""
    body, reply = trace.posts()[index]
    prompt_id = json.loads(reply.content)["prompt_id"]
    events: list[StateEvent] = [read_prompt_reply(reply, body["prompt"])]
    events += [wire.decode_frame(frame) for frame in trace.frames()]
    # A preview without metadata belongs to the job that runs.
    owner = None
    mine: list[StateEvent] = []
    for event in events:
        if isinstance(event, wire.ExecutionStart):
            owner = event.prompt_id
        if not isinstance(event, wire.PreviewImage) or owner == prompt_id:
            mine.append(event)
    entry = read_history_entry(trace.history(prompt_id), prompt_id)
    mine.append(Gone(dequeued=True) if entry is None else entry)
    return run(JobState(JobPlan(prompt_id, body["prompt"])), mine)


@pytest.mark.parametrize("version", traces.VERSIONS)
@pytest.mark.parametrize(("scenario", "ends"), ENDS.items())
def test_recorded_jobs_reach_their_ends(version: str, scenario: str, ends: list[type]) -> None:
    trace = traces.load(version, scenario)
    assert len(trace.posts()) == len(ends)
    for index, end in enumerate(ends):
        state, news = replay(trace, index)
        assert type(state.outcome) is end
        assert isinstance(news[0], Pending)
        assert isinstance(news[-1], Finished if end is JobResult else Failed)
        percents = [item.percent for item in news if isinstance(item, ProgressPercent)]
        assert percents == sorted(set(percents))


def test_every_scenario_with_a_job_is_covered() -> None:
    assert sorted(ENDS) == [name for name in traces.SCENARIOS if name != "rejected"]


@pytest.mark.parametrize("version", traces.VERSIONS)
def test_recorded_previews(version: str) -> None:
    for scenario, metadata in [("previews-legacy", False), ("previews-with-metadata", True)]:
        _, news = replay(traces.load(version, scenario), 0)
        previews = [item for item in news if isinstance(item, Preview)]
        assert previews
        assert {preview.node_id for preview in previews} == {"3"}
        assert {preview.media_type for preview in previews} == {"image/jpeg"}
        assert all(bool(preview.metadata) is metadata for preview in previews)
