from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest
import trio

from comfy_trio.testing import EmbeddedServer, NodeResult, NodeRun, NodeType, open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

FILE = {"filename": "x.png", "subfolder": "", "type": "output"}


async def _show(run: NodeRun, *, kind: str, seconds: float = 0.0) -> NodeResult:
    await run.sleep(seconds)
    if kind == "fail":
        raise ValueError("no good")
    shown: dict[str, Any] = {
        "temp": {"images": [{**FILE, "type": "temp"}], "animated": [False]},
        "output": {"images": [FILE]},
        "text": {"text": ["x" * 2000]},
        "model": {"result": ["sub/thing.GLB", None]},
        "video": {"gifs": [{**FILE, "format": "video/mp4"}]},
        "odd": {"numbers": [1, 2]},
    }
    return NodeResult(ui=shown[kind])


SHOW = NodeType(
    class_type="Show",
    run=_show,
    required={"kind": ["STRING", {}]},
    optional={"seconds": ["FLOAT", {}]},
    output_node=True,
)


@attrs.define
class Client:
    server: EmbeddedServer
    http: httpx.AsyncClient

    async def submit(self, *kinds: str, seconds: float = 0.0, **extra_data: Any) -> str:
        prompt = {
            str(number): {"class_type": "Show", "inputs": {"kind": kind, "seconds": seconds}}
            for number, kind in enumerate(kinds)
        }
        body = {"prompt": prompt, "client_id": "me", "extra_data": extra_data}
        reply = await self.http.post("/prompt", json=body)
        await trio.sleep(0.001)  # let it begin, or end if it takes no time
        return str(reply.json()["prompt_id"])

    async def job(self, prompt_id: str) -> Any:
        return (await self.http.get(f"/api/jobs/{prompt_id}")).json()

    async def ids(self, query: str = "") -> list[str]:
        reply = await self.http.get(f"/api/jobs{query}")
        assert reply.status_code == 200, reply.text
        return [job["id"] for job in reply.json()["jobs"]]


@asynccontextmanager
async def open_client(version: str = "0.27.0") -> AsyncGenerator[Client, None]:
    with trio.fail_after(10**6):
        async with (
            open_embedded_server(version=version, nodes=[SHOW]) as server,
            httpx.AsyncClient(
                transport=server.transport.http_transport(), base_url=server.url
            ) as http,
        ):
            yield Client(server, http)


async def test_a_job_from_pending_to_completed(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        first = await client.submit("temp", seconds=5.0)
        workflow = {"workflow": {"id": "wf"}}
        second = await client.submit("temp", "output", seconds=5.0, extra_pnginfo=workflow)
        job = await client.job(second)
        created = job.pop("create_time")
        assert job == {
            "id": second,
            "status": "pending",
            "priority": 1,
            "outputs_count": 0,
            "workflow_id": "wf",
        }
        assert (await client.job(first))["status"] == "in_progress"
        await trio.sleep(20)
        job = await client.job(second)
        assert job["status"] == "completed"
        assert job["outputs_count"] == 2
        assert job["preview_output"] == {**FILE, "nodeId": "1", "mediaType": "images"}
        assert job["execution_start_time"] - created == pytest.approx(5000, abs=10)
        assert job["execution_end_time"] - created == pytest.approx(
            10000, abs=10
        )  # the first was cached
        assert job["execution_status"]["completed"] is True
        assert job["outputs"]["1"] == {"images": [FILE]}
        assert job["workflow"]["prompt"]["1"]["class_type"] == "Show"
        assert job["workflow"]["extra_data"]["extra_pnginfo"] == workflow


@pytest.mark.parametrize(
    ("kind", "count", "preview"),
    [
        ("temp", 1, {**FILE, "type": "temp", "mediaType": "images"}),
        ("text", 1, {"content": "x" * 1024, "truncated": True, "mediaType": "text"}),
        (
            "model",
            1,
            {"filename": "sub/thing.GLB", "subfolder": "", "type": "output", "mediaType": "3d"},
        ),
        ("video", 1, {**FILE, "format": "video/mp4", "mediaType": "gifs"}),
        ("odd", 0, None),
    ],
)
async def test_previews(kind: str, count: int, preview: Any, autojump_clock: MockClock) -> None:
    async with open_client() as client:
        job = await client.job(await client.submit(kind))
        assert job["outputs_count"] == count
        assert job.get("preview_output") == (preview and {**preview, "nodeId": "0"})


async def test_3d_names_become_files_in_outputs(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        job = await client.job(await client.submit("model", "odd"))
        assert job["outputs"]["0"]["result"][0]["mediaType"] == "3d"
        assert len(job["outputs"]["0"]["result"]) == 1
        assert job["outputs"]["1"] == {"numbers": [1, 2]}


async def test_failed_and_cancelled(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        failed = await client.job(await client.submit("fail"))
        assert failed["status"] == "failed"
        assert failed["execution_error"]["exception_message"] == "no good\n"
        running = await client.submit("temp", seconds=5.0)
        await client.http.post("/interrupt")
        await trio.sleep(0.1)
        cancelled = await client.job(running)
        assert cancelled["status"] == "cancelled"
        assert "execution_error" not in cancelled
    async with open_client("0.8.0") as client:
        running = await client.submit("temp", seconds=5.0)
        await client.http.post("/interrupt")
        await trio.sleep(0.1)
        assert (await client.job(running))["status"] == "failed"
        reply = await client.http.get("/api/jobs?status=cancelled")
        assert reply.status_code == 400


async def test_filters_orders_and_pages(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        quick = await client.submit("temp")
        slow = await client.submit("temp", seconds=5.0, extra_pnginfo={"workflow": {"id": "w"}})
        await trio.sleep(10)
        bad = await client.submit("fail", seconds=1.0)
        await trio.sleep(10)
        running = await client.submit("temp", seconds=60.0)
        pending = await client.submit("temp")
        assert await client.ids() == [pending, running, bad, slow, quick]
        assert await client.ids("?sort_order=asc") == [quick, slow, bad, running, pending]
        assert await client.ids("?status=completed,%20Failed") == [bad, slow, quick]
        assert await client.ids("?status=pending") == [pending]
        assert await client.ids("?status=in_progress") == [running]
        assert await client.ids("?workflow_id=w") == [slow]
        assert (await client.ids("?sort_by=execution_duration"))[:2] == [slow, bad]
        assert await client.ids("?limit=2&offset=1") == [running, bad]
        assert await client.ids("?offset=-1&limit=1") == [pending]
        reply = await client.http.get("/api/jobs?limit=2&offset=1")
        assert reply.json()["pagination"] == {
            "offset": 1,
            "limit": 2,
            "total": 5,
            "has_more": True,
        }


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("status=done", "Invalid status value(s): done. Valid values: pending, in_progress"),
        ("limit=x", "limit must be an integer"),
        ("limit=0", "limit must be a positive integer"),
        ("offset=x", "offset must be an integer"),
        ("sort_by=x", "sort_by must be 'created_at' or 'execution_duration'"),
        ("sort_order=x", "sort_order must be 'asc' or 'desc'"),
    ],
)
async def test_bad_queries(query: str, error: str, autojump_clock: MockClock) -> None:
    async with open_client() as client:
        reply = await client.http.get(f"/api/jobs?{query}")
        assert reply.status_code == 400
        assert reply.json()["error"].startswith(error)


async def test_cancelling(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        running = await client.submit("temp", seconds=60.0)
        pending = await client.submit("temp")

        async def cancel(job_id: str) -> bool:
            reply = await client.http.post(f"/api/jobs/{job_id}/cancel")
            assert reply.status_code == 200
            return bool(reply.json()["cancelled"])

        assert await cancel(pending)
        assert not await cancel(pending)
        reply = await client.http.get(f"/api/jobs/{pending}")
        assert (reply.status_code, reply.json()) == (404, {"error": "Job not found"})
        assert await cancel(running)
        await trio.sleep(0.1)
        assert not await cancel(running)
        assert (await client.job(running))["status"] == "cancelled"


async def test_cancelling_several(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        ids = [await client.submit("temp", seconds=60.0) for _ in range(3)]

        async def cancel(body: object) -> httpx.Response:
            return await client.http.post("/api/jobs/cancel", json=body)

        assert (await client.http.post("/api/jobs/cancel", content=b"{")).status_code == 400
        assert (await cancel([])).status_code == 400
        assert (await cancel({"job_ids": "x"})).json() == {"error": "job_ids must be a list"}
        reply = await cancel({"job_ids": [ids[0], "x", 5]})
        assert reply.status_code == 400
        assert reply.json()["invalid_ids"] == ["x", "5"]
        assert (await cancel({"job_ids": [str(uuid.uuid4())]})).json() == {"cancelled": False}
        assert (await cancel({"job_ids": ids})).json() == {"cancelled": True}
        await trio.sleep(0.1)
        assert client.server.statistics().pending == 0
        assert await client.ids("?status=cancelled") == [ids[0]]


@pytest.mark.parametrize(
    ("version", "statuses"),
    [("0.5.0", (404, 405)), ("0.25.0", (404, 405)), ("0.26.0", (404, 200))],
)
async def test_versions(version: str, statuses: tuple[int, int], autojump_clock: MockClock) -> None:
    async with open_client(version) as client:
        has_jobs = version != "0.5.0"
        assert (await client.http.get("/api/jobs")).status_code == (200 if has_jobs else 404)
        assert (await client.http.get("/jobs")).status_code == statuses[0]
        reply = await client.http.post(f"/api/jobs/{uuid.uuid4()}/cancel")
        assert reply.status_code == statuses[1]


async def test_a_null_in_extra_data_breaks_the_listing(autojump_clock: MockClock) -> None:
    async with open_client() as client:
        await client.submit("temp", extra_pnginfo=None)
        assert (await client.http.get("/api/jobs")).status_code == 500
