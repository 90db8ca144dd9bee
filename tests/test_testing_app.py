"""The routes' statuses, bodies and types."""

from __future__ import annotations

import base64
import io
import json
import struct
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from model_files import picture, safetensors
from PIL import Image

from comfy_trio.testing import EmbeddedServer, open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

TROUBLE = "500 Internal Server Error\n\nServer got itself in trouble"

SAVE = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}
SLOW = {
    **SAVE,
    "3": {
        "class_type": "ProbeProgress",
        "inputs": {"image": ["1", 0], "steps": 9, "delay": 9.0, "preview_px": 0, "salt": 0},
    },
    "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
}


@asynccontextmanager
async def open_client(
    version: str = "0.27.0", **options: Any
) -> AsyncGenerator[tuple[EmbeddedServer, httpx.AsyncClient], None]:
    with trio.fail_after(10**6):
        async with (
            open_embedded_server(version=version, **options) as server,
            httpx.AsyncClient(
                transport=server.transport.http_transport(), base_url=server.url
            ) as http,
        ):
            yield server, http


async def finish(http: httpx.AsyncClient) -> None:
    await trio.sleep(1000)
    assert (await http.get("/prompt")).json() == {"exec_info": {"queue_remaining": 0}}


def assert_trouble(reply: httpx.Response) -> None:
    assert reply.status_code == 500
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert reply.text == TROUBLE


@pytest.mark.parametrize(
    "path", ["/prompt", "/queue", "/history", "/free", "/api/prompt", "/api/history"]
)
async def test_bad_json_is_trouble(path: str, autojump_clock: MockClock) -> None:
    async with open_client() as (_, http):
        assert_trouble(await http.post(path, content=b"{"))


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": []},
        {"prompt": SAVE, "extra_data": None},
        {"prompt": SAVE, "number": "first"},
        5,
    ],
)
async def test_nonsense_is_trouble(body: object, autojump_clock: MockClock) -> None:
    async with open_client() as (_, http):
        assert_trouble(await http.post("/prompt", json=body))
        assert (await http.get("/prompt")).json() == {"exec_info": {"queue_remaining": 0}}


async def test_a_list_has_no_prompt(autojump_clock: MockClock) -> None:
    async with open_client() as (_, http):
        reply = await http.post("/prompt", json=[])
        assert reply.status_code == 400
        assert reply.json()["error"]["type"] == "no_prompt"


async def test_interrupt_takes_any_body(autojump_clock: MockClock) -> None:
    async with open_client() as (_, http):
        for content in (b"", b"{", b"{}", b'{"prompt_id": null}'):
            reply = await http.post("/interrupt", content=content)
            assert (reply.status_code, reply.content) == (200, b"")


async def test_unknown_paths_and_methods(autojump_clock: MockClock) -> None:
    async with open_client() as (_, http):
        for path in ("/nothing", "/api", "/jobs", "/api/history/a/b"):
            assert (await http.get(path)).status_code == 404
        assert (await http.put("/prompt")).status_code == 405


async def test_history_queries(autojump_clock: MockClock) -> None:
    async with open_client() as (_, http):
        ids: list[str] = []
        for _ in range(3):
            ids.append((await http.post("/prompt", json={"prompt": SAVE})).json()["prompt_id"])
            await finish(http)

        async def listed(query: str) -> list[str]:
            return list((await http.get(f"/history{query}")).json())

        assert await listed("") == ids
        assert await listed("?max_items=2") == ids[1:]
        assert await listed("?max_items=1&offset=1") == ids[1:2]
        assert await listed("?offset=2") == ids[2:]
        assert_trouble(await http.get("/history?max_items=all"))
        assert (await http.get("/history/unknown")).json() == {}
        await http.post("/history", json={"delete": [ids[0], "unknown"]})
        assert await listed("") == ids[1:]
        await http.post("/history", json={"clear": True})
        assert await listed("") == []


async def test_clearing_the_queue_leaves_what_runs(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        for _ in range(3):
            await http.post("/prompt", json={"prompt": SLOW})
        await trio.sleep(1)
        reply = await http.post("/queue", json={"clear": True})
        assert (reply.status_code, reply.content) == (200, b"")
        assert (server.statistics().running, server.statistics().pending) == (1, 0)
        await finish(http)
        assert server.statistics().history == 1


@pytest.mark.parametrize(
    ("posted", "accepted"),
    [
        ("6e3f4e92-2ec3-4a06-8436-c7291e617f7c", True),
        ("6E3F4E92-2EC3-4A06-8436-C7291E617F7C", False),
        ("6e3f4e922ec34a068436c7291e617f7c", False),
        (5, False),
    ],
)
async def test_prompt_ids(posted: object, *, accepted: bool, autojump_clock: MockClock) -> None:
    async with open_client() as (_, http):
        reply = await http.post("/prompt", json={"prompt": SAVE, "prompt_id": posted})
        assert reply.status_code == (200 if accepted else 400)
        if not accepted:
            assert reply.json()["error"]["type"] == "invalid_prompt_id"
    async with open_client("0.24.0") as (_, http):
        reply = await http.post("/prompt", json={"prompt": SAVE, "prompt_id": posted})
        assert reply.json()["prompt_id"] == str(posted)


async def test_ids_are_minted(autojump_clock: MockClock) -> None:
    async with open_client() as (_, http):
        reply = await http.post("/prompt", json={"prompt": SAVE, "prompt_id": None})
        minted = reply.json()["prompt_id"]
        assert str(uuid.UUID(minted)) == minted


async def test_usage_source_comes_with_a_header(autojump_clock: MockClock) -> None:
    async with open_client() as (_, http):
        headers = {"Comfy-Usage-Source": "tests"}
        await http.post("/prompt", json={"prompt": SAVE}, headers=headers)
        await finish(http)
        (entry,) = (await http.get("/history")).json().values()
        assert entry["prompt"][3]["comfy_usage_source"] == "tests"


async def test_too_large_a_body(autojump_clock: MockClock) -> None:
    async with open_client(max_upload_size=100) as (server, http):
        reply = await http.post("/prompt", json={"prompt": SAVE})
        assert reply.status_code == 413
        assert reply.headers["content-type"].startswith("text/plain")
        assert (await http.get("/features")).json()["max_upload_size"] == 100

        async def endless() -> AsyncGenerator[bytes, None]:  # noqa: ASYNC900
            while True:
                yield b" " * 30

        reply = await http.post("/prompt", content=endless())
        assert reply.status_code == 413
        assert server.statistics().connections == 0


async def test_features_and_system(autojump_clock: MockClock) -> None:
    async with open_client("0.3.64") as (_, http):
        assert (await http.get("/features")).json() == {
            "supports_preview_metadata": True,
            "max_upload_size": 104857600,
        }
        stats = (await http.get("/api/system_stats")).json()
        assert stats["system"]["comfyui_version"] == "0.3.64"
        assert "deploy_environment" not in stats["system"]
        assert stats["devices"][0]["type"] == "cpu"
    async with open_client() as (_, http):
        assert (await http.get("/system_stats")).json()["system"]["deploy_environment"]
        assert (await http.get("/node_replacements")).json() == {}


async def test_object_info(autojump_clock: MockClock) -> None:
    async with open_client() as (_, http):
        everything = (await http.get("/object_info")).json()
        assert everything["SaveImage"]["output_node"] is True
        one = (await http.get("/object_info/Probe%20Odd%7CNames%20(x)")).json()
        assert one == {"Probe Odd|Names (x)": everything["Probe Odd|Names (x)"]}
        reply = await http.get("/object_info/Nope")
        assert (reply.status_code, reply.json()) == (200, {})


async def test_models(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        assert "checkpoints" in (await http.get("/models")).json()
        (offered,) = (await http.get("/object_info/CheckpointLoaderSimple")).json().values()
        names = offered["input"]["required"]["ckpt_name"][0]
        assert (await http.get("/models/checkpoints")).json() == sorted(names)
        folder = server.files.root / "models" / "embeddings"
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "bad-hands.pt").touch()
        assert (await http.get("/models/embeddings")).json() == ["sub/bad-hands.pt"]
        assert (await http.get("/embeddings")).json() == ["sub/bad-hands"]
        reply = await http.get("/models/nothing")
        assert (reply.status_code, reply.content) == (404, b"")
        assert (await http.get("/extensions")).json() == []


async def test_model_files_and_previews(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        folder = server.files.root / "models" / "loras"
        (folder / "sub").mkdir(parents=True)
        for name in ("plain.safetensors", "sub/other.safetensors", "[b].safetensors"):
            (folder / name).write_bytes(safetensors(None))
        (folder / "broken.safetensors").write_bytes(b"...")
        cover = base64.b64encode(picture("green", "PNG")).decode()
        covers = json.dumps([cover])
        (folder / "cover.pt").write_bytes(b"")
        (folder / "cover.safetensors").write_bytes(safetensors({"ssmd_cover_images": covers}))
        (folder / "plain.png").write_bytes(picture("red", "PNG"))
        (folder / "[b].png").write_bytes(picture("red", "PNG"))
        (folder / "plain.more.png").write_bytes(b"no picture, and of no model")
        (folder / "sub" / "other.preview.jpg").write_bytes(picture("red", "JPEG"))
        (folder / "bad.safetensors").write_bytes(safetensors(None))
        (folder / "bad.png").write_bytes(b"no picture")
        folders = (await http.get("/experiment/models")).json()
        assert folders[1] == {"name": "loras", "folders": [str(folder)]}
        listed = (await http.get("/experiment/models/loras")).json()
        assert [each["name"] for each in listed] == (await http.get("/models/loras")).json()
        plain = next(each for each in listed if each["name"] == "plain.safetensors")
        stat = (folder / "plain.safetensors").stat()
        times = {"modified": stat.st_mtime, "created": stat.st_ctime}
        expected = {"name": "plain.safetensors", "pathIndex": 0, "size": stat.st_size}
        assert plain == {**expected, **times}
        assert (await http.get("/experiment/models/nothing")).status_code == 404
        statuses = {
            "loras/0/plain.safetensors": 200,
            "loras/0/sub/other.safetensors": 200,
            "loras/0/sub%2Fother.safetensors": 200,
            "loras/0/cover.safetensors": 200,
            "loras/0/cover.pt": 200,
            "loras/0/%5Bb%5D.safetensors": 404,
            "loras/0/bad.safetensors": 404,
            "loras/0/missing.safetensors": 404,
            "loras/0/..%2F..%2Fx": 404,
            "nothing/0/plain.safetensors": 404,
            "loras/0/broken.safetensors": 500,
            "loras/1/plain.safetensors": 500,
            "loras/x/plain.safetensors": 500,
        }
        for path, status in statuses.items():
            reply = await http.get(f"/experiment/models/preview/{path}")
            assert reply.status_code == status, path
            if status == 200:
                assert reply.headers["content-type"] == "image/webp"
                assert Image.open(io.BytesIO(reply.content)).format == "WEBP"


async def test_view_metadata(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        folder = server.files.root / "models" / "loras"
        folder.mkdir(parents=True)

        def store(name: str, header: bytes) -> None:
            (folder / name).write_bytes(struct.pack("<Q", len(header)) + header)

        store("good.safetensors", json.dumps({"__metadata__": {"a": "b"}}).encode())
        store("none.safetensors", b"{}")
        store("list.safetensors", b"[]")
        store("junk.safetensors", b"junk")
        store("good.bin", json.dumps({"__metadata__": {"a": "b"}}).encode())
        (folder / "long.safetensors").write_bytes(struct.pack("<Q", 2**30))
        (folder / "short.safetensors").write_bytes(b"x")
        reply = await http.get("/view_metadata/loras?filename=good.safetensors")
        assert reply.json() == {"a": "b"}
        for name in (
            "none.safetensors",
            "list.safetensors",
            "good.bin",
            "long.safetensors",
            "missing.safetensors",
            "../loras/../../x.safetensors",
        ):
            reply = await http.get("/view_metadata/loras", params={"filename": name})
            assert (reply.status_code, reply.content) == (404, b""), name
        for name in ("junk.safetensors", "short.safetensors"):
            reply = await http.get("/view_metadata/loras", params={"filename": name})
            assert reply.status_code == 500, name
        assert (await http.get("/view_metadata/other?filename=x.safetensors")).status_code == 404


async def test_browsers_of_other_sites_are_refused(autojump_clock: MockClock) -> None:
    async with open_client() as (_, http):
        reply = await http.get("/prompt", headers={"Sec-Fetch-Site": "cross-site"})
        assert (reply.status_code, reply.content) == (403, b"")
        headers = {"Host": "127.0.0.1:8188", "Origin": "http://evil.example"}
        assert (await http.get("/prompt", headers=headers)).status_code == 403
        headers = {"Host": "127.0.0.1:8188", "Origin": "http://127.0.0.1:8188"}
        assert (await http.get("/prompt", headers=headers)).status_code == 200
        headers = {"Origin": "http://evil.example"}  # the check is for loopback hosts only
        assert (await http.get("/prompt", headers=headers)).status_code == 200
    async with open_client("0.18.0") as (_, http):
        reply = await http.get("/prompt", headers={"Sec-Fetch-Site": "cross-site"})
        assert reply.status_code == 200


async def test_requests_are_counted_by_route(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        for path in ("/prompt", "/api/prompt", "/history/a", "/api/history/b", "/nothing"):
            await http.get(path)
        await http.get("/object_info/KSampler")
        assert server.statistics().requests == {
            "GET /prompt": 2,
            "GET /history/{prompt_id}": 2,
            "unknown": 1,
            "GET /object_info/{node_class}": 1,
        }


async def test_a_base_path(autojump_clock: MockClock) -> None:
    async with open_client(base_path="/comfy/") as (server, http):
        assert server.url == "http://embedded.invalid/comfy"
        assert (await http.get("/api/prompt")).status_code == 200
        assert (await http.get("http://embedded.invalid/api/prompt")).status_code == 404
        assert (await http.get("http://embedded.invalid/comfyapi/prompt")).status_code == 404
        async with server.transport.open_websocket(
            "ws://embedded.invalid/comfy/ws", headers=[], max_message_size=2**20
        ) as socket:
            greeting = json.loads(await socket.receive())
            assert len(greeting["data"]["sid"]) == 32
