"""The client on a double of Comfy Cloud; see `cloud`."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from cloud import KEY, PICTURE, STORAGE, URL, Cloud, CloudJob

from comfy_trio import (
    AuthenticationError,
    BearerCredentials,
    Comfy,
    ComfyCloudCredentials,
    ComfyError,
    CustomEventError,
    DisconnectedError,
    EnqueueFailedError,
    ExecutionFailedError,
    ExecutionInterruptedError,
    JobResult,
    NodeStarted,
    PaymentRequiredError,
    Preview,
    Progress,
    RequestTooLargeError,
    ResponseError,
    ServiceUnavailableError,
    TooManyRequestsError,
    open_comfy,
)
from comfy_trio._replies import Reply, get
from comfy_trio._routes._history import HistoryEntry
from comfy_trio._routes._hosted import read_history_v2, read_job_outcome
from comfy_trio._routes._jobs import job_request, read_cancelled
from comfy_trio._routes._queue import QUEUE, read_queue
from comfy_trio._state import SeenPending, SeenRunning

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from comfy_trio import Credentials


def prompt(text: str = "a cat", kind: str = "KSampler") -> dict[str, Any]:
    return {
        "3": {"class_type": kind, "inputs": {"text": text}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}},
    }


@asynccontextmanager
async def open_cloud(
    credentials: Credentials | None = None, **options: Any
) -> AsyncGenerator[tuple[Comfy, Cloud], None]:
    async with trio.open_nursery() as nursery:
        cloud = Cloud(nursery, **options)
        async with open_comfy(
            URL,
            credentials=credentials or ComfyCloudCredentials(KEY),
            http_transport=httpx.MockTransport(cloud.answer),
            websocket=cloud.open_websocket,
        ) as comfy:
            yield comfy, cloud
        nursery.cancel_scope.cancel()


async def test_a_job_and_its_file(
    autojump_clock: MockClock, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_cloud() as (comfy, cloud):
        async with comfy.open_job(prompt()) as job:
            assert job.prompt_id in cloud.jobs
            events = [event async for event in job.events()]
            result = await job.wait()
        assert {event.prompt_id for event in events} == {job.prompt_id, result.prompt_id}
        assert [each.node_id for each in events if isinstance(each, NodeStarted)] == ["3", "9"]
        file = result["9"]["images"][0]
        path = await comfy.file.download(file, tmp_path)
        assert await path.read_bytes() == PICTURE
        assert await comfy.file.read(file) == PICTURE
        assert str(httpx.URL(STORAGE).host) == cloud.seen[-1].url.host
        assert KEY not in str(cloud.seen[-1].headers)
        uploaded = await comfy.file.upload_image(PICTURE)
        assert uploaded.filename == "blake3.png"
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "greeting",
    [
        ("status", {"status": {"exec_info": {"queue_remaining": 7}}}),
        ("notification", {"value": "Executing workflow..."}),
        ("execution_success", {"prompt_id": "a stranger's"}),
        ("something_new", None),
    ],
)
async def test_whatever_the_first_message_is(
    autojump_clock: MockClock, greeting: tuple[str, Any]
) -> None:
    async with open_cloud(greeting=greeting) as (comfy, _):
        assert (await comfy.run(prompt()))["9"]


@pytest.mark.parametrize(
    "credentials", [ComfyCloudCredentials("comfyui-wrong"), BearerCredentials(KEY)]
)
async def test_a_wrong_key(autojump_clock: MockClock, credentials: Credentials) -> None:
    with pytest.RaisesGroup(AuthenticationError) as caught:
        async with open_cloud(credentials):
            pytest.fail("entered")
    assert "Invalid API key" in str(caught.value.exceptions[0])


# --- Several at once, and others' messages --------------------------------------------------------


async def test_jobs_that_run_at_the_same_time_are_kept_apart(autojump_clock: MockClock) -> None:
    """Every socket of an account hears of all its jobs, also of those of other programs."""
    async with open_cloud(parallel=6) as (comfy, cloud):
        for number in range(2):  # another program's
            stranger = CloudJob(f"stranger-{number}", prompt("stranger"), 100)
            cloud.jobs[stranger.id] = stranger
            cloud.nursery.start_soon(cloud._run, stranger)
        told: dict[str, list[Any]] = {}
        results: dict[str, JobResult] = {}

        async def one(text: str) -> None:
            async with comfy.open_job(prompt(text)) as job:
                told[text] = [event async for event in job.events()]
                results[text] = await job.wait()

        async with trio.open_nursery() as nursery:
            for text in ("one", "two", "three"):
                nursery.start_soon(one, text)
        assert len({result.prompt_id for result in results.values()}) == 3
        for text, result in results.items():
            file = result["9"]["images"][0]["filename"]
            assert file == f"{result.prompt_id}.png"
            assert {event.prompt_id for event in told[text]} == {result.prompt_id}
            assert any(isinstance(event, Progress) for event in told[text])
            # Pictures tell nobody whose they are: until all but one have ended, they are nobody's.
            pictures = [event.data for event in told[text] if isinstance(event, Preview)]
            assert pictures in ([], [result.prompt_id.encode()])
        assert (await comfy.run(prompt("alone")))["9"]


async def test_pictures_of_a_job_that_runs_alone_are_its_own(autojump_clock: MockClock) -> None:
    async with open_cloud() as (comfy, _):
        for text in ("one", "two"):
            async with comfy.open_job(prompt(text)) as job:
                events = [event async for event in job.events()]
            pictures = {event.data for event in events if isinstance(event, Preview)}
            assert pictures == {job.prompt_id.encode()}


async def test_more_than_run_at_once_wait(autojump_clock: MockClock) -> None:
    async with open_cloud(parallel=1) as (comfy, cloud):
        jobs = [await comfy.submit(prompt()) for _ in range(3)]
        await trio.sleep(0.3)
        queue = read_queue(await comfy._session.http.request(QUEUE))
        assert [entry.prompt_id for entry in queue.running] == [jobs[0].prompt_id]
        assert [entry.prompt_id for entry in queue.pending] == [job.prompt_id for job in jobs[1:]]
        assert queue.running[0].outputs == ("9",)
        assert queue.running[0].extra_data == {"create_time": 1}
        for job in jobs:
            assert (await job.wait())["9"]
        assert all(job.status == "completed" for job in cloud.jobs.values())


# --- Ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_jobs", [True, False])
@pytest.mark.parametrize("deaf", [False, True])
async def test_how_jobs_end(autojump_clock: MockClock, deaf: bool, has_jobs: bool) -> None:
    async with open_cloud(has_jobs=has_jobs) as (comfy, cloud):
        cloud.deaf = deaf
        assert (await comfy.run(prompt()))["9"]["images"]
        with pytest.raises(ExecutionFailedError, match="Out of GPU memory") as caught:
            await comfy.run(prompt(kind="Fail"))
        assert caught.value.exception_type == "OOMError"
        job = await comfy.submit(prompt())
        await trio.sleep(0.3)
        await job.cancel()
        with pytest.raises(ExecutionInterruptedError, match="by this client"):
            await job.wait()
        assert not [each for each in cloud.requests() if "interrupt" in each]
    asked = cloud.requests()
    assert sum("/api/history/" in each for each in asked) <= (1 if has_jobs else 100)


async def test_a_socket_that_drops(autojump_clock: MockClock) -> None:
    async with open_cloud(steps=50) as (comfy, cloud):
        async with comfy.open_job(prompt()) as job:
            await trio.sleep(1)
            cloud.drop_sockets()
            assert (await job.wait())["9"]
        assert comfy.connection_state.value == "connected"


async def test_other_jobs_are_not_interrupted_with_ours(autojump_clock: MockClock) -> None:
    """Its interrupt stops all that an account runs. Without another way, ours is not stopped."""
    async with open_cloud(cancels=False, steps=50) as (comfy, cloud):
        stranger = CloudJob("stranger", prompt(), 100)
        cloud.jobs[stranger.id] = stranger
        cloud.nursery.start_soon(cloud._run, stranger)
        job = await comfy.submit(prompt())
        await trio.sleep(1)
        with trio.move_on_after(3) as moved:
            await job.cancel()
        assert moved.cancelled_caught
        assert stranger.status == "in_progress"
        assert "POST /api/interrupt" not in cloud.requests()
        assert (await job.wait())["9"]


async def test_a_post_whose_reply_is_lost_is_not_sent_again(autojump_clock: MockClock) -> None:
    async with open_cloud() as (comfy, cloud):
        cloud.lose_posts = True
        with pytest.raises(DisconnectedError, match="during POST"):
            await comfy.run(prompt())
        assert cloud.requests().count("POST /api/prompt") == 1


REFUSALS: list[tuple[httpx.Response, type[ComfyError], str]] = [
    (
        httpx.Response(402, json={"code": "PAYMENT", "message": "Insufficient credits"}),
        PaymentRequiredError,
        "HTTP status 402: Insufficient credits",
    ),
    (
        httpx.Response(413, json={"code": "LARGE", "message": "Workflow JSON too large"}),
        RequestTooLargeError,
        "Workflow JSON too large",
    ),
    (
        httpx.Response(429, json={"error": "Subscription inactive"}, headers={"retry-after": "30"}),
        TooManyRequestsError,
        r"HTTP status 429 \(try again in 30 s\): Subscription inactive",
    ),
    (
        httpx.Response(503, json={"code": "BUSY", "message": "Try later"}),
        ServiceUnavailableError,
        "HTTP status 503: Try later",
    ),
    (
        httpx.Response(400, json={"error": "No such node", "node_errors": []}),
        EnqueueFailedError,
        "No such node",
    ),
    (
        httpx.Response(
            400,
            json={
                "error": {
                    "type": "invalid",
                    "message": "Bad prompt",
                    "details": "",
                    "extra_info": {},
                }
            },
        ),
        EnqueueFailedError,
        r"\(HTTP status 400, invalid\): Bad prompt",
    ),
    (httpx.Response(500, text="oops"), EnqueueFailedError, "HTTP status 500.*oops"),
]


@pytest.mark.parametrize(("refusal", "error", "message"), REFUSALS)
async def test_refusals(
    autojump_clock: MockClock, refusal: httpx.Response, error: type[ComfyError], message: str
) -> None:
    async with open_cloud() as (comfy, cloud):
        cloud.refusal = refusal
        with pytest.raises(error, match=message) as caught:
            await comfy.run(prompt())
        assert isinstance(caught.value, ResponseError)
        assert caught.value.retry_after == (30 if refusal.status_code == 429 else None)
        assert cloud.requests().count("POST /api/prompt") == 1


# --- Replies --------------------------------------------------------------------------------------


def reply(body: object, status: int = 200) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(job_request("p"), "https://cloud/api/jobs/p", status, content)


STATUSES: list[tuple[str, object]] = [
    ("pending", SeenPending()),
    ("queued_limited", SeenPending()),
    ("waiting_to_dispatch", SeenPending()),
    ("in_progress", SeenRunning()),
    ("executing", SeenRunning()),
    ("cancel_requested", SeenRunning()),
    ("a new one", SeenRunning()),
    ("completed", HistoryEntry(prompt_id="p")),
    ("success", HistoryEntry(prompt_id="p")),
]


@pytest.mark.parametrize(("status", "found"), STATUSES)
def test_statuses(status: str, found: object) -> None:
    assert read_job_outcome(reply({"id": "p", "status": status}), "p") == found


@pytest.mark.parametrize("status", ["failed", "error", "non_retryable_error", "lost", "cancelled"])
def test_bad_ends(status: str) -> None:
    found = read_job_outcome(reply({"id": "p", "status": status}), "p")
    assert isinstance(found, HistoryEntry)
    assert found.failure is not None
    assert type(found.failure).__name__ == (
        "ExecutionInterrupted" if status == "cancelled" else "ExecutionError"
    )


async def test_a_job_that_is_lost_says_so(autojump_clock: MockClock) -> None:
    async with open_cloud(steps=100) as (comfy, cloud):
        job = await comfy.submit(prompt())
        await trio.sleep(1)
        cloud.deaf = True
        cloud.jobs[job.prompt_id].status = "lost"
        with pytest.raises(CustomEventError, match="its status is lost"):
            await job.wait()


def test_cancelling_lists_ids() -> None:
    assert read_cancelled(reply({"cancelled": ["p"]}))
    assert not read_cancelled(reply({"cancelled": []}))


async def test_a_job_that_the_service_does_not_know_is_no_missing_route(
    autojump_clock: MockClock,
) -> None:
    async with open_cloud(steps=50) as (comfy, cloud):
        job = await comfy.submit(prompt())
        await trio.sleep(0.3)
        assert not await comfy._session.supervisor.cancel(["unknown"])
        await job.cancel()
        assert job.done
        assert cloud.requests().count("POST /api/jobs/cancel") == 2
        assert "POST /api/interrupt" not in cloud.requests()


def test_no_such_job() -> None:
    unknown = {"code": "NOT_FOUND", "message": "Job not found"}
    assert read_job_outcome(reply(unknown, 404), "p") is None
    assert read_history_v2(reply(unknown, 404), "p") is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"404 page not found", 404),
        (b"<html>", 200),
        ([], 200),
        ({"id": "p"}, 200),
        ({"id": "p", "status": 7}, 200),
        ({"id": "p", "status": "completed", "execution_status": {"messages": [7]}}, 200),
        ({"code": "FORBIDDEN", "message": "not yours"}, 403),
    ],
)
def test_what_is_no_job(body: object, status: int) -> None:
    with pytest.raises(ResponseError, match="GET https://cloud/api/jobs/p"):
        read_job_outcome(reply(body, status), "p")


def test_a_proxy_that_hides_all_is_no_answer() -> None:
    hidden = Reply(get("/history_v2/p"), "https://cloud/api/history_v2/p", 404, b"not found")
    with pytest.raises(ResponseError, match="HTTP status 404"):
        read_history_v2(hidden, "p")
