"""A small double of Comfy Cloud (API v1), which behaves as its documentation says.

https://docs.comfy.org/development/cloud/api-reference, and openapi-cloud.yaml in
https://github.com/Comfy-Org/docs. Where these are silent, it is told what to do.
"""

from __future__ import annotations

import json
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import trio

from comfy_trio import WebSocketClosed, WebSocketRejected

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

KEY = "comfyui-0123456789abcdef"
URL = "https://cloud.comfy.test"
STORAGE = "https://storage.test"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(1000)


@attrs.define
class CloudJob:
    """A job of the account. `status` is what ``/api/jobs/{id}`` says."""

    id: str
    prompt: dict[str, Any]
    number: int
    status: str = "pending"
    outputs: dict[str, Any] = attrs.field(factory=dict[str, Any])
    messages: list[Any] = attrs.field(factory=list[Any])
    error: dict[str, Any] | None = None
    cancelling: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    @property
    def detail(self) -> dict[str, Any]:
        known = {"id": self.id, "status": self.status, "create_time": 1, "update_time": 2}
        if self.status in {"pending", "in_progress"}:
            return known
        status = {"completed": self.status == "completed", "messages": self.messages}
        more = {"outputs": self.outputs, "execution_status": status, "workflow": {}}
        return {**known, **more, **({"execution_error": self.error} if self.error else {})}


@attrs.define(eq=False)
class Cloud:
    """One account of the service.

    Args:
        nursery: Where its jobs run.
        parallel: How many at once.
        steps: How long each takes, in steps of 0.1 s.
        cancels: Whether it has ``/api/jobs/cancel``, which not all its documents know.
        has_jobs: Whether it has ``/api/jobs/{id}``.
        greeting: The first message on a WebSocket, which is not documented.
    """

    nursery: trio.Nursery
    parallel: int = 3
    steps: int = 5
    cancels: bool = True
    has_jobs: bool = True
    deaf: bool = False
    greeting: tuple[str, Any] = ("status", {"status": {"exec_info": {"queue_remaining": 0}}})
    jobs: dict[str, CloudJob] = attrs.field(factory=dict[str, CloudJob])
    seen: list[httpx.Request] = attrs.field(factory=list[httpx.Request])
    sockets: dict[str, trio.MemorySendChannel[str | bytes]] = attrs.field(
        factory=dict[str, "trio.MemorySendChannel[str | bytes]"]
    )
    refusal: httpx.Response | None = None
    lose_posts: bool = False
    _places: trio.Semaphore = attrs.field(
        default=attrs.Factory(lambda self: trio.Semaphore(self.parallel), takes_self=True)
    )

    def requests(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.seen]

    # --- HTTP ---------------------------------------------------------------------------------

    async def answer(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.seen.append(request)
        await trio.lowlevel.checkpoint()
        if request.url.host == "storage.test":
            signed = request.url.params.get("X-Goog-Signature") == "signature-of-the-url"
            bare = not {"x-api-key", "authorization", "cookie"} & set(request.headers)
            return httpx.Response(200, content=PICTURE) if signed and bare else refused(403)
        if request.headers.get("x-api-key") != KEY:
            return refused(401, "UNAUTHORIZED", "Invalid API key")
        path = request.url.path.removeprefix("/api")
        body: Any = json.loads(request.content) if request.content[:1] == b"{" else {}
        match request.method, *path.strip("/").split("/"):
            case "GET", "prompt":
                return ok({"exec_info": {"queue_remaining": len(self._with("pending"))}})
            case "POST", "prompt":
                return self._submit(body)
            case "GET", "queue":
                running, pending = self._with("in_progress"), self._with("pending")
                return ok({"queue_running": running, "queue_pending": pending})
            case "POST", "queue":
                deleted = [job for job in self._named(body["delete"]) if job.status == "pending"]
                return self._cancel(deleted, {"deleted": [job.id for job in deleted]})
            case "POST", "interrupt":  # all that the account runs, whatever the body says
                running = [job for job in self.jobs.values() if job.status == "in_progress"]
                return self._cancel(running, {})
            case "POST", "jobs", "cancel" if self.cancels:
                named = self._named(body["job_ids"])
                if len(named) < len(body["job_ids"]):
                    return refused(404, "NOT_FOUND", "Job not found")
                return self._cancel(named, {"cancelled": [job.id for job in named]})
            case "GET", "jobs", job_id if self.has_jobs:
                job = self.jobs.get(job_id)
                return refused(404, "NOT_FOUND", "Job not found") if job is None else ok(job.detail)
            case "GET", "history_v2", job_id:
                return self._history(job_id)
            case "GET", "view":
                query = "X-Goog-Signature=signature-of-the-url"
                location = f"{STORAGE}/{request.url.params['filename']}?{query}"
                return httpx.Response(302, headers={"location": location})
            case "POST", "upload", "image":
                return ok({"name": "blake3.png", "subfolder": "", "type": "input"})
            case _:
                return httpx.Response(404, text="404 page not found")

    def _submit(self, body: dict[str, Any]) -> httpx.Response:
        if self.refusal is not None:
            return self.refusal
        job = CloudJob(str(uuid.uuid4()), body["prompt"], len(self.jobs) + 1)
        self.jobs[job.id] = job
        self.nursery.start_soon(self._run, job)
        if self.lose_posts:
            raise httpx.ReadError("the connection is gone")
        return ok({"prompt_id": job.id, "number": job.number, "node_errors": {}})

    def _with(self, status: str) -> list[Any]:
        return [
            [job.number, job.id, job.prompt, ["9"], {"create_time": 1}]
            for job in self.jobs.values()
            if job.status == status
        ]

    def _named(self, ids: Sequence[str]) -> list[CloudJob]:
        return [self.jobs[each] for each in ids if each in self.jobs]

    def _cancel(self, jobs: Sequence[CloudJob], reply: dict[str, Any]) -> httpx.Response:
        for job in jobs:
            job.cancelling.cancel()
        return ok(reply)

    def _history(self, job_id: str) -> httpx.Response:
        job = self.jobs.get(job_id)
        if job is None or job.status in {"pending", "in_progress"}:
            return refused(404, "NOT_FOUND", "Prompt not found")
        prompt = {"priority": 1, "prompt_id": job.id, "prompt": job.prompt}
        status = job.detail["execution_status"]
        status["status_str"] = "success" if job.status == "completed" else "error"
        return ok({job.id: {"prompt": prompt, "outputs": job.outputs, "status": status}})

    # --- Jobs ---------------------------------------------------------------------------------

    def tell(self, kind: str, **data: Any) -> None:
        """Tell all sockets of the account, whatever their client ids."""
        self.send(json.dumps({"type": kind, "data": data}))

    def send(self, message: str | bytes) -> None:
        for socket in () if self.deaf else self.sockets.values():
            socket.send_nowait(message)

    async def _run(self, job: CloudJob) -> None:
        with job.cancelling:
            async with self._places:
                await self._execute(job)
        if job.cancelling.cancelled_caught:
            job.status = "cancelled"
            self._record(job, "execution_interrupted", node_id="3", node_type="K", executed=[])

    async def _execute(self, job: CloudJob) -> None:
        job.status = "in_progress"
        self.tell("notification", value="Executing workflow...")
        self._record(job, "execution_start")
        self._record(job, "execution_cached", nodes=[])
        for node_id, node in job.prompt.items():
            self.tell("executing", node=node_id, display_node=node_id, prompt_id=job.id)
            picture = b"\0\0\0\1\0\0\0\2" + job.id.encode()  # which does not tell whose it is
            for step in range(self.steps):
                await trio.sleep(0.1)
                self.tell("progress", node=node_id, value=step, max=self.steps, prompt_id=job.id)
                self.send(picture)
            if node["class_type"] == "Fail":
                job.status = "failed"
                job.error = {
                    "node_id": node_id,
                    "node_type": "Fail",
                    "exception_type": "OOMError",
                    "exception_message": "Out of GPU memory",
                    "traceback": [],
                    "current_inputs": {},
                    "current_outputs": {},
                }
                self._record(job, "execution_error", executed=[], **job.error)
                return
            if node["class_type"] == "SaveImage":
                file = {"filename": f"{job.id}.png", "subfolder": "", "type": "output"}
                job.outputs[node_id] = {"images": [file]}
                output = job.outputs[node_id]
                self.tell(
                    "executed", node=node_id, display_node=node_id, output=output, prompt_id=job.id
                )
        job.status = "completed"
        self._record(job, "execution_success")

    def _record(self, job: CloudJob, kind: str, **data: Any) -> None:
        data = {**data, "prompt_id": job.id, "timestamp": 1}
        job.messages.append([kind, data])
        self.tell(kind, **data)

    # --- The WebSocket ------------------------------------------------------------------------

    @asynccontextmanager
    async def open_websocket(
        self, url: str, *, headers: Sequence[tuple[str, str]], max_message_size: int
    ) -> AsyncGenerator[CloudSocket, None]:
        await trio.lowlevel.checkpoint()
        params = httpx.URL(url).params
        if params.get("token") != KEY:
            raise WebSocketRejected(401, b'{"code": "UNAUTHORIZED", "message": "Invalid token"}')
        sender, receiver = trio.open_memory_channel[str | bytes](10_000)
        kind, data = self.greeting
        sender.send_nowait(json.dumps({"type": kind, "data": data}))
        name = params["clientId"]
        self.sockets[name] = sender
        try:
            yield CloudSocket(receiver)
        finally:
            if self.sockets.get(name) is sender:
                del self.sockets[name]

    def drop_sockets(self) -> None:
        for socket in self.sockets.values():
            socket.close()
        self.sockets.clear()


@attrs.define
class CloudSocket:
    """A `comfy_trio.WebSocket` to the double."""

    _receiver: trio.MemoryReceiveChannel[str | bytes]

    async def send(self, message: str | bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def receive(self) -> str | bytes:
        try:
            return await self._receiver.receive()
        except trio.EndOfChannel:
            raise WebSocketClosed from None

    async def ping(self) -> None:
        await trio.lowlevel.checkpoint()


def ok(body: object) -> httpx.Response:
    return httpx.Response(200, json=body)


def refused(status: int, code: str = "ERROR", message: str = "no") -> httpx.Response:
    return httpx.Response(status, json={"code": code, "message": message})
