"""``/jobs``, as read, as made of queue and history, and as asked for on the embedded server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import prompts
import pytest
import trio
from bad_replies import BAD_REPLIES, bad_reply, reply

from comfy_trio import Comfy, ExecutionInterruptedError, JobInfo, ResponseError, open_comfy, wire
from comfy_trio._replies import post
from comfy_trio._routes._history import read_history
from comfy_trio._routes._job_records import created
from comfy_trio._routes._jobs import (
    JobPage,
    JobQuery,
    job_of,
    job_request,
    read_cancelled,
    read_job,
    read_jobs,
    read_probe,
)
from comfy_trio._routes._queue import read_queue
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from comfy_trio._replies import Reply
    from comfy_trio.testing import EmbeddedServer

VERSIONS = ["0.3.45", "0.3.56", "0.3.64", "0.6.0", "0.8.0", "0.9.0", "0.27.0"]

FIXTURES = Path(__file__).parent / "fixtures"
RECORDED: dict[str, Any] = json.loads((FIXTURES / "job_lists-0.27.0.json").read_text())
"""What one server of 0.27 said at one moment: its queue, its history, its lists of jobs by query,
and its records of single jobs."""

KEY = "comfyui-0123"


def query_of(text: str) -> JobQuery:
    """Read a query as it was sent."""
    asked: dict[str, Any] = dict(parse_qsl(text.removeprefix("?")))
    if "status" in asked:
        asked["statuses"] = tuple(asked.pop("status").split(","))
    if "sort_order" in asked:
        asked["descending"] = asked.pop("sort_order") == "desc"
    for name in asked.keys() & {"limit", "offset"}:
        asked[name] = int(asked[name])
    return JobQuery(**asked)


def recorded_answer(query: JobQuery) -> JobPage:
    queue = read_queue(reply(RECORDED["queue"]))
    return query.answer(queue, read_history(reply(RECORDED["history"])))


@pytest.mark.parametrize("text", RECORDED["jobs"])
def test_lists_made_of_queue_and_history_are_those_of_a_newer_server(text: str) -> None:
    recorded = RECORDED["jobs"][text]
    answer = recorded_answer(query_of(text))
    assert answer.total == recorded["pagination"]["total"]
    assert answer.offset == recorded["pagination"]["offset"]
    assert answer.has_more == recorded["pagination"]["has_more"]
    if text:
        assert [job.prompt_id for job in answer.jobs] == recorded["jobs"]
    else:
        assert [job.raw for job in answer.jobs] == recorded["jobs"]
        assert answer == read_jobs(reply(recorded))


@pytest.mark.parametrize("prompt_id", RECORDED["one"])
def test_jobs_made_of_queue_and_history_are_those_of_a_newer_server(prompt_id: str) -> None:
    queue = read_queue(reply(RECORDED["queue"]))
    over = {entry.prompt_id: entry for entry in read_history(reply(RECORDED["history"]))}
    made = job_of(prompt_id, queue, over.get(prompt_id))
    assert made is not None
    assert made.raw == RECORDED["one"][prompt_id]
    assert made == read_job(reply(RECORDED["one"][prompt_id]))


def test_the_recording_has_every_status() -> None:
    jobs = {job.prompt_id: job for job in read_jobs(reply(RECORDED["jobs"][""])).jobs}
    statuses = [job.status for job in jobs.values()]
    assert statuses[:4] == ["pending"] * 4
    assert statuses[4:8] == ["in_progress", "completed", "cancelled", "failed"]
    assert statuses[8:] == ["completed"] * 3
    for job in jobs.values():
        assert job.created is not None
        over = job.status not in {"pending", "in_progress"}
        assert (job.started is not None) == (job.duration is not None) == over
        assert (job.failure is not None) == (job.status == "failed")
        assert (job.outputs, job.prompt, job.extra_data) == (None, None, None)
        one = read_job(reply(RECORDED["one"][job.prompt_id]))
        assert one is not None
        assert (one.outputs is None) == (job.duration is None)
        assert (one.started, one.status, one.preview) == (job.started, job.status, job.preview)


def test_a_job_that_nobody_knows() -> None:
    assert read_job(reply({"error": "Job not found"}, 404)) is None
    assert job_of("x", read_queue(reply({"queue_running": [], "queue_pending": []})), None) is None
    assert job_request("a/b").path == "/api/jobs/a%2Fb"


def test_a_job_that_left_the_queue_meanwhile_is_listed_once() -> None:
    item: list[Any] = [1, "a", {}, {}, []]
    queue = read_queue(reply({"queue_running": [item], "queue_pending": []}))
    history = read_history(reply({"a": {"prompt": item, "status": None}}))
    assert [job.status for job in JobQuery().answer(queue, history).jobs] == ["completed"]


def test_jobs_of_a_server_that_does_not_tell_when_they_were_created() -> None:
    def over(prompt_id: str, start: int) -> dict[str, Any]:
        messages = [["execution_start", {"timestamp": start}]]
        return {"prompt": [0, prompt_id, {}, {}, []], "status": {"messages": messages}}

    body: dict[str, Any] = {
        "queue_running": [[3, "c", {}, {}]],
        "queue_pending": [[5, "e", {}], [4, "d", {}]],
    }
    history = {"b": over("b", 200), "a": over("a", 100), "odd": {}}
    queue, entries = read_queue(reply(body)), read_history(reply(history))
    oldest_first = JobQuery(descending=False).answer(queue, entries)
    assert [job.prompt_id for job in oldest_first.jobs] == ["odd", "a", "b", "c", "d", "e"]
    newest_first = JobQuery().answer(queue, entries)
    assert [job.prompt_id for job in newest_first.jobs] == ["d", "e", "c", "b", "a", "odd"]
    assert created({"status": "pending", "create_time": 0}) == 0


ODD_ENTRIES: list[dict[str, Any]] = [
    {},
    {"prompt": None, "outputs": None, "status": None},
    {"prompt": [None, None, None, {"extra_pnginfo": None}], "outputs": {"1": None, "2": {"a": 3}}},
    {"prompt": [1, "p", {}, {"extra_pnginfo": {"workflow": None}}], "outputs": []},
    {"prompt": [1, "p", {}, {"extra_pnginfo": {"workflow": []}}]},
    {"prompt": [1, "p", {}, []], "status": {"status_str": 3, "messages": [["a", 1, 2]]}},
    {"outputs": {"1": {"images": [{"filename": 3, "format": 5}, {}, 7, None, ["x"]]}}},
]


@pytest.mark.parametrize("entry", ODD_ENTRIES)
def test_odd_entries_are_listed_where_a_newer_server_fails(entry: dict[str, Any]) -> None:
    queue = read_queue(reply({"queue_running": [], "queue_pending": []}))
    history = read_history(reply({"p": entry}))
    (job,) = JobQuery().answer(queue, history).jobs
    assert (job.prompt_id, job.status) == ("p", "completed")
    assert job_of("p", queue, history[0]) is not None


NO_QUERIES: list[tuple[dict[str, Any], str]] = [
    ({"statuses": ()}, "one of pending, in_progress, completed, failed, cancelled; not"),
    ({"statuses": ("done",)}, r"not \('done',\)"),
    ({"statuses": "failed"}, "not 'failed'"),
    ({"sort_by": "created"}, "created_at or execution_duration, not 'created'"),
    ({"limit": 0}, "limit is at least 1, not 0"),
    ({"offset": -1}, "offset is at least 0, not -1"),
]


@pytest.mark.parametrize(("options", "message"), NO_QUERIES)
def test_queries_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        JobQuery(**options)


def test_queries_as_sent() -> None:
    assert dict(JobQuery().request().params) == {
        "sort_by": "created_at",
        "sort_order": "desc",
        "offset": "0",
    }
    query = JobQuery(
        statuses=("failed", "cancelled"),
        workflow_id="w",
        sort_by="execution_duration",
        descending=False,
        limit=2,
        offset=4,
    )
    assert dict(query.request().params) == {
        "status": "failed,cancelled",
        "workflow_id": "w",
        "sort_by": "execution_duration",
        "sort_order": "asc",
        "limit": "2",
        "offset": "4",
    }


def test_timestamps_of_zero() -> None:
    job = read_job(
        reply(
            {
                "id": "p",
                "status": "completed",
                "create_time": 0,
                "execution_start_time": 0,
                "execution_end_time": 2500,
            }
        )
    )
    assert job is not None
    beginning = datetime(1970, 1, 1, tzinfo=UTC)
    assert job.created == job.started == beginning
    assert job.ended == beginning + timedelta(seconds=2.5)
    assert job.duration == 2.5


def test_what_is_missing_or_new_is_tolerated() -> None:
    body: dict[str, Any] = {
        "id": "p",
        "status": "archived",
        "shiny": [1],
        "outputs_count": "many",
        "workflow": {},
    }
    job = read_job(reply(body))
    assert job is not None
    assert (job.status, job.number, job.outputs_count, job.prompt) == ("archived", None, 0, {})
    assert job.raw == body
    page = read_jobs(reply({"jobs": [body], "pagination": {"total": 7}}))
    assert (page.jobs, page.offset, page.total, page.has_more) == ((job,), 0, 7, True)


def test_keys_of_paid_services_are_hidden() -> None:
    error = {"node_id": "1", "current_inputs": {"auth_token": [KEY]}}
    workflow = {"prompt": {}, "extra_data": {"api_key_comfy_org": KEY, "a": 1}}
    body = {"id": "p", "status": "failed", "execution_error": error, "workflow": workflow}
    job = read_job(reply(body))
    assert job is not None
    assert job.extra_data == {"a": 1}
    assert isinstance(job.failure, wire.ExecutionError)
    assert KEY not in f"{job!r} {job.failure.data}"


NO_JOBS: list[Any] = [
    [],
    {},
    {"id": "p"},
    {"id": 3, "status": "failed"},
    {"id": "p", "status": None},
    {"id": "p", "status": "failed", "execution_error": {"node_id": 3}},
]


@pytest.mark.parametrize("body", NO_JOBS)
def test_what_is_no_job(body: object) -> None:
    with pytest.raises(ResponseError, match="should have been answered with a job, but"):
        read_job(reply(body))
    with pytest.raises(ResponseError, match="should have been answered with a list of jobs"):
        read_jobs(reply({"jobs": [body], "pagination": {"offset": 0, "total": 1}}))


NO_LISTS: list[Any] = [{}, {"jobs": []}, {"jobs": {}, "pagination": {"total": 0}}, [], 3]


@pytest.mark.parametrize("body", NO_LISTS)
def test_what_is_no_list_of_jobs(body: object) -> None:
    with pytest.raises(ResponseError, match="should have been answered with a list of jobs"):
        read_jobs(reply(body))


@pytest.mark.parametrize("body", [{}, {"cancelled": "yes"}, [], True])
def test_what_does_not_say_whether_a_job_was_cancelled(body: object) -> None:
    assert read_cancelled(reply({"cancelled": True}))
    with pytest.raises(ResponseError, match="with whether a job was cancelled"):
        read_cancelled(reply(body))


READERS: list[Callable[[Reply], object]] = [read_job, read_jobs, read_cancelled]


@pytest.mark.parametrize("name", BAD_REPLIES)
def test_bad_replies(name: str) -> None:
    bad, error = bad_reply(name)
    for read in READERS:
        with pytest.raises(error, match="http://h:8188/api/x"):
            read(bad)


@pytest.mark.parametrize(
    ("status", "found"), [(200, True), (400, False), (404, False), (405, False), (500, None)]
)
def test_whether_there_is_a_list(status: int, found: bool | None) -> None:
    assert read_probe(reply({}, status)) is found
    with pytest.raises(ResponseError):
        read_probe(reply({}, 503))


# --- On a server ----------------------------------------------------------------------------------


async def ids_of(comfy: Comfy, **query: Any) -> list[str]:
    return [job.prompt_id for job in (await comfy.jobs.page(**query)).jobs]


@pytest.mark.parametrize("version", VERSIONS)
async def test_lists_are_the_same_on_servers_that_have_none(
    autojump_clock: MockClock, version: str
) -> None:
    async with open_embedded_server(version=version) as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            assert await ids_of(comfy) == []
            workflow = {"extra_pnginfo": {"workflow": {"id": "w"}}}
            done = (await comfy.queue.submit(prompts.slow(8), extra_data=workflow)).prompt_id
            await trio.sleep(2)
            failed = (await comfy.queue.submit(prompts.failing())).prompt_id
            await trio.sleep(2)
            cancelled = (await comfy.queue.submit(prompts.slow())).prompt_id
            await trio.sleep(1.5)
            await comfy.queue.interrupt(cancelled)
            await trio.sleep(2)
            running = (await comfy.queue.submit(prompts.slow())).prompt_id
            await trio.sleep(1)
            pending = (await comfy.queue.submit(prompts.image(), extra_data=workflow)).prompt_id

            everything = [pending, running, cancelled, failed, done]
            page = await comfy.jobs.page()
            assert [job.prompt_id for job in page.jobs] == everything
            assert (page.offset, page.total, page.has_more) == (0, 5, False)
            assert [job.status for job in page.jobs] == [
                "pending",
                "in_progress",
                "cancelled",
                "failed",
                "completed",
            ]
            assert await ids_of(comfy, sort_order="asc") == everything[::-1]
            assert await ids_of(comfy, status="cancelled") == [cancelled]
            assert await ids_of(comfy, status="failed") == [failed]
            assert await ids_of(comfy, status=["failed", "cancelled"]) == [cancelled, failed]
            assert await ids_of(comfy, status={"pending", "in_progress"}) == [pending, running]
            assert await ids_of(comfy, workflow_id="w") == [pending, done]
            assert await ids_of(comfy, workflow_id="w", status="completed") == [done]
            longest = await ids_of(comfy, sort_by="execution_duration")
            assert longest[:2] == [cancelled, done]
            page = await comfy.jobs.page(limit=2, offset=1)
            assert [job.prompt_id for job in page.jobs] == everything[1:3]
            assert (page.offset, page.total, page.has_more) == (1, 5, True)
            assert await ids_of(comfy, offset=9) == []

            for prompt_id, status in (
                (pending, "pending"),
                (running, "in_progress"),
                (cancelled, "cancelled"),
                (failed, "failed"),
                (done, "completed"),
                ("unknown", None),
            ):
                assert await comfy.jobs.status(prompt_id) == status
            job = await comfy.jobs.info(done)
            assert job is not None
            assert job.duration == pytest.approx(0.8, abs=0.1)
            assert (job.outputs_count, job.workflow_id, job.number) == (1, "w", 0)
            assert job.outputs is not None
            assert job.preview is not None
            assert job.preview["filename"] == job.outputs["9"]["images"][0]["filename"]
            assert job.prompt is not None
            assert job.extra_data is not None
            assert job.extra_data["client_id"] == comfy.client_id
            job = await comfy.jobs.info(failed)
            assert job is not None
            assert job.failure is not None
            assert job.failure.node_id == "3"
            await comfy.queue.interrupt_whatever_runs()


@pytest.mark.parametrize("version", VERSIONS)
async def test_cancelling(autojump_clock: MockClock, version: str) -> None:
    async with open_embedded_server(version=version) as server:
        async with (
            open_comfy(server.url, transport=server.transport) as comfy,
            open_comfy(server.url, transport=server.transport) as stranger,
        ):
            running = await comfy.submit(prompts.slow())
            theirs = await stranger.submit(prompts.slow(5))
            pending = [await comfy.submit(prompts.image()) for _ in range(3)]
            await trio.sleep(0.5)
            assert await comfy.jobs.cancel(pending[0].prompt_id)
            assert not running.done
            assert await comfy.jobs.cancel(*(job.prompt_id for job in [running, *pending]), "x/y")
            for job in [running, *pending]:
                with pytest.raises(ExecutionInterruptedError) as caught:
                    await job.wait()
                assert caught.value.by_us
            assert (await theirs.wait())["9"]
            assert not await comfy.jobs.cancel(theirs.prompt_id, running.prompt_id)
            assert not await comfy.jobs.cancel()
            alien = await stranger.submit(prompts.slow())
            await trio.sleep(0.5)
            assert await comfy.jobs.cancel(alien.prompt_id)
            with pytest.raises(ExecutionInterruptedError) as caught:
                await alien.wait()
            assert not caught.value.by_us
            statistics = server.statistics()
            assert statistics.pending == statistics.running == 0


@pytest.mark.parametrize(
    ("version", "asked"),
    [("0.3.64", "unknown"), ("0.8.0", "GET /jobs"), ("0.9.0", "GET /jobs")],
)
async def test_whether_there_is_a_list_is_asked_once(
    autojump_clock: MockClock, version: str, asked: str
) -> None:
    async with open_embedded_server(version=version) as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:

            async def look() -> None:
                for _ in range(3):
                    await comfy.jobs.page(status="failed")
                    await comfy.jobs.info("x")

            await look()
            served = 3 if version == "0.9.0" else 0
            assert server.statistics().requests[asked] == 1 + served
            server.faults.drop_sockets()
            await trio.sleep(5)
            await look()
            assert server.statistics().requests[asked] == 2 * (1 + served)


async def test_a_list_over_which_the_server_fails(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    """One prompt with a null in its extra data spoils every list of a server."""
    first = await comfy.run(prompts.slow(3))
    assert await ids_of(comfy) == [first.prompt_id]
    body = {"prompt": prompts.image(), "extra_data": {"extra_pnginfo": None}}
    await comfy._session.http.request(post("/prompt", body))
    await trio.sleep(1)
    async with open_comfy(server.url, transport=server.transport) as other:
        page = await other.jobs.page()
        for each in (comfy, other):
            assert await each.jobs.page() == page
            assert (page.total, page.jobs[-1].prompt_id) == (2, first.prompt_id)
            found = await each.jobs.info(first.prompt_id)
            assert found is not None
            assert found.status == "completed"
        await other.history.delete(page.jobs[0].prompt_id)
        before = server.statistics().requests.get("GET /history", 0)
        assert await ids_of(other) == await ids_of(comfy) == [first.prompt_id]
        assert server.statistics().requests.get("GET /history", 0) == before


async def test_arguments_that_make_no_sense(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    before = server.statistics().requests
    queries: list[dict[str, Any]] = [
        {"status": "done"},
        {"status": []},
        {"sort_order": "up"},
        {"limit": 0},
    ]
    for odd in queries:
        with pytest.raises(ValueError, match=next(iter(odd)).split("_")[0]):
            await comfy.jobs.page(**odd)
    assert server.statistics().requests == before


@pytest.mark.parametrize("status", [401, 502])
async def test_refusals(
    status: int, autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    for _ in range(2):
        server.faults.answer("*", status, times=2)
        with pytest.raises(ResponseError, match=f"HTTP status {status}"):
            await comfy.jobs.page()
        with pytest.raises(ResponseError, match=f"HTTP status {status}"):
            await comfy.jobs.info("a")
        assert await ids_of(comfy) == []


def test_a_job_of_a_list_is_a_value() -> None:
    job = read_job(reply({"id": "p", "status": "completed"}))
    assert isinstance(job, JobInfo)
    assert job == read_job(reply({"id": "p", "status": "completed", "new": 1}))
