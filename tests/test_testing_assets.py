"""The embedded server's assets, as far as the client does not show them."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image
from prompts import node

from comfy_trio import open_comfy
from comfy_trio.testing import open_embedded_server
from comfy_trio.testing._asset_store import hash_of
from comfy_trio.testing._versions import capabilities

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer

NO_CONTENT = "blake3:" + 64 * "0"
NOBODY = "/api/assets/00000000-0000-0000-0000-000000000000"


def png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (5, 3)).save(stream, "PNG")
    return stream.getvalue()


def client(server: EmbeddedServer) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=server.transport.http_transport(), base_url=server.url)


def with_assets(version: str = "0.27.0") -> AbstractAsyncContextManager[EmbeddedServer]:
    return open_embedded_server(version=version, assets=True)


def test_who_has_assets() -> None:
    assert not capabilities("0.8.2", assets=True).assets_enabled
    assert capabilities("0.9.0").assets_enabled
    assert capabilities("0.16.4").assets_enabled
    assert not capabilities("0.17.0").assets_enabled
    assert capabilities("0.17.0", assets=True).features(7)["assets"] is True
    assert capabilities("0.27.0").features(7)["assets"] is False
    assert "assets" not in capabilities("0.16.4").features(7)


class FakeDigest:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def hexdigest(self) -> str:
        return self.content.hex()


def test_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "blake3", None)
    stand_in = hash_of(b"a")
    assert stand_in.startswith("blake3:")
    assert len(stand_in) == len(NO_CONTENT)
    monkeypatch.setitem(sys.modules, "blake3", SimpleNamespace(blake3=FakeDigest))
    assert hash_of(b"a") == "blake3:61"


async def test_an_asset_as_the_real_server_shows_it(autojump_clock: MockClock) -> None:
    async with with_assets() as server, client(server) as http:
        reply = await http.post(
            "/api/assets",
            files={"file": ("a b.png", png())},
            data={"tags": ["input, Sub", "x"], "user_metadata": '{"k": 1}', "preview_id": "nope"},
        )
        assert reply.status_code == 201
        body: dict[str, Any] = reply.json()
        content_hash = body["hash"]
        digest = content_hash.partition(":")[2]
        assert content_hash == hash_of(png())
        moments = [body.pop(key) for key in ("created_at", "updated_at", "last_access_time")]
        assert all("+" not in moment and "T" in moment for moment in moments)
        asset_id = body.pop("id")
        assert body == {
            "name": "a b.png",
            "hash": content_hash,
            "asset_hash": content_hash,
            "size": len(png()),
            "mime_type": "image/png",
            "tags": ["input", "sub", "x"],
            "preview_url": f"/api/view?type=input&filename={digest}.png&subfolder=sub%2Fx",
            "user_metadata": {"k": 1, "filename": f"sub/x/{digest}.png"},
            "is_immutable": False,
            "metadata": {"kind": "image", "width": 5, "height": 3},
            "created_new": True,
        }
        reply = await http.get(f"/api/assets/{asset_id}/content", headers={"range": "bytes=0-1"})
        assert (reply.status_code, reply.content) == (200, png())
        assert reply.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20b.png"
        assert reply.headers["content-type"] == "image/png"
        reply = await http.get(f"/view?filename={content_hash}")
        assert (reply.status_code, reply.content) == (200, png())
        assert (await http.get(f"/view?filename={NO_CONTENT}")).status_code == 404

        refused = await http.put(f"/api/assets/{asset_id}", json={"preview_id": "nope"})
        assert refused.status_code == 404
        form = {"hash": content_hash, "tags": "input"}
        reply = await http.post("/api/assets", data=form, files={"x": b""})
        assert (reply.status_code, reply.json()["name"]) == (200, digest)

        # As with the real server, a content has no file any more once its first asset is deleted.
        assert (await http.delete(f"/api/assets/{asset_id}")).status_code == 204
        again = await http.post(
            "/api/assets", files={"file": ("a.png", png())}, data={"tags": "input"}
        )
        assert again.status_code == 200
        reply = await http.get(f"/api/assets/{again.json()['id']}/content")
        assert reply.json()["error"]["code"] == "FILE_NOT_FOUND"


async def test_uploaded_and_generated_files_are_assets(autojump_clock: MockClock) -> None:
    prompt = {
        "1": node("LoadImage", image="a.png"),
        "9": node("SaveImage", images=["1", 0], filename_prefix="sub/x"),
    }
    async with with_assets() as server, client(server) as http:
        files = {"image": ("a.png", png())}
        told = (await http.post("/upload/image", files=files)).json()["asset"]
        assert told["asset_hash"] == hash_of(png())
        assert told["tags"] == ["input"]
        async with open_comfy(server.url, transport=server.transport) as comfy:
            async with comfy.open_job(prompt) as job:
                result = await job.wait()
        (file,) = result["9"]["images"]
        asset = (await http.get(f"/api/assets/{file['id']}")).json()
        assert asset["job_id"] == asset["prompt_id"] == job.prompt_id
        assert asset["tags"] == ["output", "sub"]
        assert "hash" not in asset


async def test_older_servers_tell_less(autojump_clock: MockClock) -> None:
    prompt = {
        "1": node("LoadImage", image="a.png"),
        "9": node("SaveImage", images=["1", 0], filename_prefix="x"),
    }
    async with with_assets("0.17.0") as server, client(server) as http:
        told = (await http.post("/upload/image", files={"image": ("a.png", png())})).json()
        assert "asset" not in told
        async with open_comfy(server.url, transport=server.transport) as comfy:
            result = await comfy.run(prompt)
        assert "id" not in result["9"]["images"][0]
        assert (await http.get("/api/assets/tags/refine")).status_code == 404
        reply = await http.post(
            "/api/assets", files={"file": ("a.txt", b"1")}, data={"tags": "input"}
        )
        assert "hash" not in reply.json()
        path = server.files.folder("input") / reply.json()["user_metadata"]["filename"]
        assert path.exists()
        await http.delete(f"/api/assets/{reply.json()['id']}")
        assert not path.exists()


async def test_files_that_come_and_go(autojump_clock: MockClock) -> None:
    async with with_assets() as server, client(server) as http:
        model = server.files.root / "models" / "loras" / "style" / "a.safetensors"
        model.parent.mkdir(parents=True)
        model.write_bytes(b"...")
        scanned = await http.post("/api/assets/seed?wait=1", json={"roots": ["models", "?"]})
        counts = {"scanned": 1, "total": 1, "created": 1, "skipped": 0}
        assert scanned.json() == {"status": "completed", "progress": counts, "errors": []}
        (asset,) = (await http.get("/api/assets")).json()["assets"]
        assert asset["tags"] == ["loras", "models", "style"]
        assert asset["user_metadata"] == {"filename": "style/a.safetensors"}
        assert "hash" not in asset
        model.unlink()
        await http.post("/api/assets/seed")
        assert (await http.get("/api/assets")).json()["total"] == 0
        assert (await http.get(f"/api/assets/{asset['id']}")).status_code == 200
        model.write_bytes(b"...")
        await http.post("/api/assets/seed", content=b"no JSON")
        assert (await http.get("/api/assets")).json()["total"] == 1
        assert (await http.get("/api/assets/seed/status")).json()["progress"]["skipped"] == 1


FILTERS: list[tuple[str, bool]] = [
    ('{"n": 1}', True),
    ('{"n": true}', False),
    ('{"n": "1"}', False),
    ('{"flag": true}', True),
    ('{"flag": 1}', False),
    ('{"list": "b"}', True),
    ('{"list": ["x", "a"]}', True),
    ('{"list": []}', True),
    ('{"nothing": null}', True),
    ('{"n": null}', False),
    ('{"n": 1, "flag": false}', False),
    ("", True),
]


async def test_filters_by_metadata(autojump_clock: MockClock) -> None:
    async with with_assets() as server, client(server) as http:
        await http.post(
            "/api/assets",
            files={"file": ("a.txt", b"1")},
            data={"tags": "input", "user_metadata": '{"n": 1, "flag": true, "list": ["a", "b"]}'},
        )
        for text, fits in FILTERS:
            reply = await http.get("/api/assets", params={"metadata_filter": text})
            assert (reply.json()["total"] == 1) is fits, text


FILE = {"file": ("a.txt", b"x")}
BAD: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/api/assets?limit=x", {}, 400, "INVALID_QUERY"),
    ("GET", "/api/assets?limit=501", {}, 400, "INVALID_QUERY"),
    ("GET", "/api/assets?sort=x", {}, 400, "INVALID_QUERY"),
    ("GET", "/api/assets?metadata_filter=x", {}, 400, "INVALID_QUERY"),
    ("GET", "/api/assets?metadata_filter=[]", {}, 400, "INVALID_QUERY"),
    ("GET", "/api/assets?after=", {}, 400, "INVALID_CURSOR"),
    ("GET", "/api/assets?after=W10", {}, 400, "INVALID_CURSOR"),
    ("GET", "/api/assets?after=x&sort=last_access_time", {}, 400, "INVALID_CURSOR"),
    ("POST", "/api/assets", {"content": b"x"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
    ("POST", "/api/assets", {"files": {"x": b""}}, 400, "MISSING_FILE"),
    ("POST", "/api/assets", {"files": {"file": b""}}, 400, "EMPTY_UPLOAD"),
    (
        "POST",
        "/api/assets",
        {"files": {"file": b"x"}, "data": {"id": "1"}},
        400,
        "UNSUPPORTED_FIELD",
    ),
    ("POST", "/api/assets", {"files": {"file": b"x"}, "data": {"tags": "x"}}, 400, "INVALID_BODY"),
    (
        "POST",
        "/api/assets",
        {"files": {"file": b"x"}, "data": {"tags": "models"}},
        400,
        "INVALID_BODY",
    ),
    ("POST", "/api/assets/from-hash", {"content": b"{"}, 400, "INVALID_JSON"),
    ("POST", "/api/assets/from-hash", {"json": []}, 400, "INVALID_BODY"),
    ("POST", "/api/assets/from-hash", {"json": {"hash": NO_CONTENT}}, 404, "ASSET_NOT_FOUND"),
    ("PUT", NOBODY, {"json": {}}, 400, "INVALID_BODY"),
    ("DELETE", NOBODY, {}, 404, "ASSET_NOT_FOUND"),
    ("POST", f"{NOBODY}/tags", {"json": {"tags": [1]}}, 400, "INVALID_BODY"),
    ("POST", f"{NOBODY}/tags", {"json": {"tags": []}}, 400, "INVALID_BODY"),
    ("GET", "/api/tags?order=x", {}, 400, "INVALID_QUERY"),
    ("POST", "/api/assets/seed", {"json": {"roots": ["x"]}}, 400, "INVALID_BODY"),
]


@pytest.mark.parametrize(("method", "path", "more", "status", "code"), BAD)
async def test_refusals(
    method: str, path: str, more: dict[str, Any], status: int, code: str, autojump_clock: MockClock
) -> None:
    async with with_assets() as server, client(server) as http:
        reply = await http.request(method, path, **more)
        error = reply.json()["error"]
        assert (reply.status_code, error["code"]) == (status, code)
        assert error["message"]
        assert isinstance(error["details"], dict)


async def test_cursors_are_bound_to_their_order(autojump_clock: MockClock) -> None:
    async with with_assets() as server, client(server) as http:
        for name in ("a", "b"):
            await http.post(
                "/api/assets", files={"file": (name, name.encode())}, data={"tags": "input"}
            )
        cursor = (await http.get("/api/assets?limit=1")).json()["next_cursor"]
        good = await http.get("/api/assets", params={"after": cursor})
        assert [asset["name"] for asset in good.json()["assets"]] == ["a"]
        assert good.json()["has_more"] is False
        for wrong in ({"order": "asc"}, {"sort": "size"}):
            reply = await http.get("/api/assets", params={"after": cursor, **wrong})
            assert reply.json()["error"]["code"] == "INVALID_CURSOR"
