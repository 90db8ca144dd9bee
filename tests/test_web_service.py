"""The web service of the examples: one request is one job."""

from __future__ import annotations

import base64
import importlib.util
import json
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import prompts
import pytest
import trio
from embedded_process import open_server_process
from hypercorn.config import Config
from hypercorn.trio import serve  # pyright: ignore[reportUnknownVariableType]
from pools import open_farm, open_pool_of

from comfy_trio import Pool, PoolServer, Workflow, open_comfy, open_pool
from comfy_trio.pool import JobInterrupted
from comfy_trio.testing import EmbeddedServer, open_embedded_server
from comfy_trio.wire import ExecutionInterrupted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import ModuleType

    from starlette.applications import Starlette
    from starlette.types import Message
    from trio.testing import MockClock

EXAMPLES = Path(__file__).parent.parent / "examples"
SERVICE = EXAMPLES / "web_service" / "service.py"
WORKFLOW = EXAMPLES / "workflows" / "text_to_image.json"


def load_service() -> ModuleType:
    spec = importlib.util.spec_from_file_location("web_service", SERVICE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_app(
    module: ModuleType, pool: Pool, workflow: Workflow | None = None, path: str = "6.inputs.text"
) -> Starlette:
    app: Starlette = module.make_app(pool, workflow or Workflow.from_file(WORKFLOW), path)
    return app


@attrs.define
class Visitor:
    """A visitor without a network: what the service is told by it, and tells it.

    Args:
        app: The service.
        reads: Whether it reads what it is told; a line that is as slow as that holds up who sends.
        site: Whose page asks, as its browser says.
    """

    app: Starlette
    reads: bool = True
    site: str = "same-origin"
    status: int = 0
    told: bytearray = attrs.field(factory=bytearray)
    left: trio.Event = attrs.field(factory=trio.Event)

    async def ask(self, *words: bytes) -> list[dict[str, Any]]:
        """Ask for a picture, and return all that is told."""
        parts = [{"type": "http.request", "body": part, "more_body": True} for part in words]
        parts.append({"type": "http.request", "body": b"", "more_body": False})
        inbox = iter(parts)

        async def receive() -> Message:
            for message in inbox:
                return message
            await self.left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            self.status = message.get("status", self.status)
            if message["type"] == "http.response.body":
                if not self.reads:
                    await trio.sleep_forever()
                self.told += message.get("body", b"")
            await trio.lowlevel.checkpoint()

        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": "/pictures",
            "headers": [(b"sec-fetch-site", self.site.encode())],
        }
        await self.app(scope, receive, send)
        return [json.loads(line) for line in self.told.splitlines()]


@attrs.frozen
class Running:
    """The service on a port, and all that is behind it."""

    server: EmbeddedServer
    pool: Pool
    url: str


@asynccontextmanager
async def open_service() -> AsyncGenerator[Running, None]:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.graceful_timeout = 0.1
    config.errorlog = None
    async with (
        open_embedded_server() as server,
        open_pool([PoolServer(server.url, transport=server.transport)]) as pool,
        trio.open_nursery() as nursery,
    ):
        app: Any = make_app(load_service(), pool)
        start = partial(serve, app, config)
        [url] = await nursery.start(start)
        yield Running(server, pool, url)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_visitor(url: str) -> AsyncGenerator[trio.SocketStream, None]:
    """Ask for a picture, and read until it is sampled.

    Not by httpx, whose generators are left to the garbage collector by who leaves early.
    """
    host, port = url.removeprefix("http://").split(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        head = "POST /pictures HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n"
        await stream.send_all(f"{head}a boat".encode())
        seen = bytearray()
        while b"Sample" not in seen:
            seen += await stream.receive_some()
        yield stream


async def test_a_picture_comes_into_being() -> None:
    async with open_service() as service, httpx.AsyncClient(base_url=service.url) as client:
        page = await client.get("/")
        assert "Draw me a picture" in page.text
        assert "//" not in page.text.replace(" // ", "")  # nothing comes from elsewhere
        reply = await client.post("/pictures", content="a boat", timeout=30)
        news = [json.loads(line) for line in reply.text.splitlines()]
    assert news[0] == {"doing": "Waiting for a server"}
    percents = [each["percent"] for each in news if "percent" in each]
    assert percents == sorted(percents)
    assert any(each.get("preview", "").startswith("data:image/jpeg;base64,") for each in news)
    picture = base64.b64decode(news[-1]["done"].removeprefix("data:image/png;base64,"))
    assert picture.startswith(b"\x89PNG")


async def test_who_leaves_ends_the_job() -> None:
    async with open_service() as service:
        events = service.pool.events()
        async with open_visitor(service.url):
            pass
        async for event in events:
            if isinstance(event, JobInterrupted):
                break
        assert service.server.statistics().running == 0


async def test_many_visitors(autojump_clock: MockClock) -> None:
    async with open_farm("ab") as farm:
        async with open_pool_of(farm) as pool, trio.open_nursery() as nursery:
            app = make_app(load_service(), pool)
            visitors = [Visitor(app) for _ in range(6)]
            for number, visitor in enumerate(visitors):
                nursery.start_soon(visitor.ask, f"boat {number}".encode())
            await trio.sleep(0.01)  # all are there, four wait
            visitors[5].left.set()
        assert [b'"done"' in visitor.told for visitor in visitors] == [True] * 5 + [False]
        assert sum(map(len, farm.completed().values())) == 5
        farm.assert_clean()


async def test_who_reads_nothing_holds_up_nobody(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm) as pool, trio.open_nursery() as nursery:
        app = make_app(load_service(), pool)
        stalled = Visitor(app, reads=False)
        nursery.start_soon(stalled.ask, b"a boat")
        await trio.sleep(0.01)
        with trio.fail_after(60):
            news = await Visitor(app).ask(b"a hill")
        assert "done" in news[-1]
        stalled.left.set()  # which ends that request, too


async def test_a_long_wait_is_not_silent_nor_endless(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load_service()
    monkeypatch.setattr(module, "PATIENCE", 40.0)
    async with open_pool() as pool:  # of no server, so that all wait
        news = await Visitor(make_app(module, pool)).ask(b"a boat")
    assert news == [{"doing": "Waiting for a server"}, {}, {}, {"failed": "It took too long."}]


async def test_what_is_refused(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        module = load_service()
        app = make_app(module, pool)
        assert await Visitor(app).ask(b" \n") == [{"failed": "Say what to draw."}]
        visitor = Visitor(app)
        assert await visitor.ask(b"a" * 4000, b"b") == [{"failed": "These are too many words."}]
        assert visitor.status == 413
        for site in ("cross-site", "same-site"):
            visitor = Visitor(app, site=site)
            (news,) = await visitor.ask(b"a boat")
            assert news["failed"].startswith("Another site's page")
            assert visitor.status == 403
        refusal = {"error": {"type": "no", "message": "Not today", "details": ""}}
        farm["a"].faults.answer(
            "POST /prompt", 400, json.dumps(refusal), content_type="application/json"
        )
        assert "Not today" in (await Visitor(app).ask(b"a boat"))[-1]["failed"]
        monkeypatch.setattr(module, "MOST_WAITING", 0)
        visitor = Visitor(app)
        (news,) = await visitor.ask(b"a boat")
        assert news["failed"].startswith("Too many pictures")
        assert visitor.status == 503


async def test_words_that_are_no_text_are_drawn_somehow(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        news = await Visitor(make_app(load_service(), pool)).ask(b"a boat \xff")
        assert "done" in news[-1]


async def test_a_workflow_of_ones_own(autojump_clock: MockClock) -> None:
    shown = Workflow(
        {
            "1": prompts.node("ProbeText", text="", repeat=1, salt=0),
            "2": prompts.node("PreviewAny", source=["1", 0]),
        }
    )
    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        app = make_app(load_service(), pool, shown, "1.inputs.text")
        news = await Visitor(app).ask(b"a boat")
        assert news[-1] == {"failed": "The workflow made no picture."}
        (record,) = farm["a"]._engine.queue.history.values()
        assert record["outputs"]["2"] == {"text": ["a boat"]}


async def test_a_node_that_fails(autojump_clock: MockClock) -> None:
    async with open_farm("a") as farm, open_pool_of(farm) as pool:
        failing = Workflow(prompts.failing())
        news = await Visitor(make_app(load_service(), pool, failing, "3.inputs.message")).ask(b"no")
        assert news[-1] == {"failed": "Boom: no"}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM is of POSIX")
async def test_whoever_ends_the_service_ends_its_jobs(tmp_path: Path) -> None:
    long = Workflow.from_file(WORKFLOW).set("3.inputs.steps", 1000)
    (tmp_path / "long.json").write_text(long.to_json())
    options = ["--bind", "127.0.0.1:0", "--workflow", str(tmp_path / "long.json")]
    async with open_server_process() as (server, _):
        command = [sys.executable, str(SERVICE), *options, server]
        service = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
        assert service.stdout is not None
        try:
            url = (await service.stdout.receive_some()).decode().split()[1]
            # Hypercorn waits for a visitor who reads nothing; the job does not.
            async with open_visitor(url), open_comfy(server) as comfy:
                service.send_signal(signal.SIGTERM)
                with trio.fail_after(30):
                    await comfy.run(prompts.image())  # when that is out of its way
                    failures = [entry.failure for entry in await comfy.history.page()]
                assert [type(each) for each in failures if each] == [ExecutionInterrupted]
            with trio.fail_after(30):
                assert await service.wait() == 0
        finally:
            service.kill()
            await service.stdout.aclose()
