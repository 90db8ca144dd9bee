"""The web service of the examples: one request is one job."""

from __future__ import annotations

import base64
import importlib.util
import json
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import trio
from hypercorn.config import Config
from hypercorn.trio import serve  # pyright: ignore[reportUnknownVariableType]

from comfy_trio import Pool, PoolServer, open_pool
from comfy_trio.pool import JobInterrupted
from comfy_trio.testing import EmbeddedServer, open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import ModuleType

    import pytest

SERVICE = Path(__file__).parent.parent / "examples" / "web_service" / "service.py"


def load_service() -> ModuleType:
    spec = importlib.util.spec_from_file_location("web_service", SERVICE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@attrs.frozen
class Running:
    """The service, and all that is behind it."""

    module: ModuleType
    server: EmbeddedServer
    pool: Pool
    url: str


@asynccontextmanager
async def open_service() -> AsyncGenerator[Running, None]:
    module = load_service()
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.graceful_timeout = 0.1
    config.errorlog = None
    async with (
        open_embedded_server() as server,
        open_pool([PoolServer(server.url, transport=server.transport)]) as pool,
        trio.open_nursery() as nursery,
    ):
        start: Any = partial(serve, module.make_app(pool), config)
        [url] = await nursery.start(start)
        yield Running(module, server, pool, url)
        nursery.cancel_scope.cancel()


async def test_a_picture_comes_into_being() -> None:
    async with open_service() as service, httpx.AsyncClient(base_url=service.url) as client:
        page = await client.get("/")
        assert "Draw me a picture" in page.text
        assert "http" not in page.text.replace("http-", "")  # nothing comes from elsewhere
        reply = await client.post("/pictures", json={"prompt": "a boat"}, timeout=30)
        news = [json.loads(line) for line in reply.text.splitlines()]
    assert news[0] == {"doing": "Wait for a server"}
    percents = [each["percent"] for each in news if "percent" in each]
    assert percents == sorted(percents)
    assert any(each.get("picture", "").startswith("data:image/jpeg") for each in news)
    assert news[-1]["done"] is True
    picture = base64.b64decode(news[-1]["picture"].removeprefix("data:image/png;base64,"))
    assert picture.startswith(b"\x89PNG")


async def test_who_leaves_ends_the_job() -> None:
    async with open_service() as service:
        events = service.pool.events()
        host, port = service.url.removeprefix("http://").split(":")
        # Not by httpx, whose generators are left to the garbage collector by who leaves early.
        async with await trio.open_tcp_stream(host, int(port)) as visitor:
            body = b'{"prompt": "a boat"}'
            head = b"POST /pictures HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
            await visitor.send_all(head + body)
            seen = bytearray()
            while b"Sample" not in seen:
                seen += await visitor.receive_some()
        async for event in events:
            if isinstance(event, JobInterrupted):
                break
        assert service.server.statistics().running == 0


async def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_service() as service, httpx.AsyncClient(base_url=service.url) as client:
        reply = await client.post("/pictures", json={"prompt": " "})
        assert (reply.status_code, reply.json()) == (400, {"failed": "Say what to draw."})
        refusal = {"error": {"type": "no", "message": "Not today", "details": ""}}
        service.server.faults.answer(
            "POST /prompt", 400, json.dumps(refusal), content_type="application/json"
        )
        reply = await client.post("/pictures", json={"prompt": "a boat"})
        assert "Not today" in json.loads(reply.text.splitlines()[-1])["failed"]
        monkeypatch.setattr(service.module, "MOST_WAITING", 0)
        reply = await client.post("/pictures", json={"prompt": "a boat"})
        assert reply.status_code == 503
        assert reply.json()["failed"].startswith("Too many pictures")
