from __future__ import annotations

import io
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from PIL import Image, PngImagePlugin

from comfy_trio.testing import EmbeddedServer, open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock


def png(color: tuple[int, ...], mode: str = "RGB", text: str | None = None) -> bytes:
    stream = io.BytesIO()
    chunks = PngImagePlugin.PngInfo()
    if text is not None:
        chunks.add_text("prompt", text)
    Image.new(mode, (4, 4), color).save(stream, "PNG", pnginfo=chunks)
    return stream.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


RED, BLUE = png((255, 0, 0)), png((0, 0, 255))


@asynccontextmanager
async def open_client() -> AsyncGenerator[tuple[EmbeddedServer, httpx.AsyncClient], None]:
    with trio.fail_after(10**6):
        async with (
            open_embedded_server() as server,
            httpx.AsyncClient(
                transport=server.transport.http_transport(), base_url=server.url
            ) as http,
        ):
            yield server, http


async def upload(
    http: httpx.AsyncClient, content: bytes, name: str = "x.png", path: str = "image", **data: str
) -> httpx.Response:
    return await http.post(f"/upload/{path}", files={"image": (name, content)}, data=data)


async def test_uploads_are_never_overwritten_unasked(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):

        async def name(content: bytes, **data: str) -> Any:
            return (await upload(http, content, **data)).json()["name"]

        assert (await upload(http, RED)).json() == {
            "name": "x.png",
            "subfolder": "",
            "type": "input",
        }
        assert await name(RED) == "x.png"
        assert await name(BLUE) == "x (1).png"
        assert await name(BLUE) == "x (1).png"
        assert await name(BLUE, overwrite="false") == "x (1).png"
        assert await name(BLUE, overwrite="true") == "x.png"
        assert (server.files.folder("input") / "x.png").read_bytes() == BLUE


async def test_uploads_to_other_places(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        reply = await upload(http, b"sound", "a b.wav", type="temp", subfolder="deep/er")
        assert reply.json() == {"name": "a b.wav", "subfolder": "deep/er", "type": "temp"}
        stored = server.files.folder("temp") / "deep" / "er" / "a b.wav"
        assert stored.read_bytes() == b"sound"


async def test_large_uploads_need_no_threads(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        content = bytes(range(256)) * 2**14  # starlette would roll this over to disk, in a thread
        await upload(http, content, "big.bin")
        assert (server.files.folder("input") / "big.bin").read_bytes() == content
        reply = await http.get("/view?filename=big.bin&type=input")
        assert reply.content == content


async def test_refused_uploads(autojump_clock: MockClock) -> None:
    async with open_client() as (_, http):
        for name, data in (
            ("../x.png", {}),
            ("x.png", {"subfolder": "../.."}),
        ):
            reply = await upload(http, RED, name, **data)
            assert (reply.status_code, reply.content) == (400, b""), name
        reply = await http.post("/upload/image", files={"other": ("x.png", RED)})
        assert (reply.status_code, reply.content) == (400, b"")
        reply = await http.post("/upload/image", data={"image": "no file"})
        assert (reply.status_code, reply.content) == (400, b"")
        assert (await upload(http, RED, type="models")).status_code == 500
        assert (await http.post("/upload/image", content=b"no form")).status_code == 400


async def test_masks(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        (server.files.folder("output") / "o.png").write_bytes(png((1, 2, 3), text="kept"))
        mask = png((9, 9, 9, 77), "RGBA")
        reference = json.dumps({"filename": "o.png"})
        reply = await upload(http, mask, "m.png", "mask", original_ref=reference)
        assert reply.json() == {"name": "m.png", "subfolder": "", "type": "input"}
        with Image.open(server.files.folder("input") / "m.png") as masked:
            assert masked.getpixel((0, 0)) == (1, 2, 3, 77)
            assert masked.info["prompt"] == "kept"
        reference = json.dumps({"filename": "o.png [input]"})
        reply = await upload(http, mask, "n.png", "mask", original_ref=reference)
        assert reply.status_code == 200
        assert not (server.files.folder("input") / "n.png").exists()
        assert (await upload(http, mask, "n.png", "mask")).status_code == 500


async def test_viewing(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        (server.files.folder("output") / "sub dir").mkdir()
        (server.files.folder("output") / "sub dir" / "ü%.png").write_bytes(RED)
        query = {"filename": "ü%.png", "subfolder": "sub dir"}
        reply = await http.get("/api/view", params=query)
        assert reply.status_code == 200
        assert reply.content == RED
        assert reply.headers["content-type"] == "image/png"
        (server.files.folder("temp") / "page.html").write_text("<script>")
        reply = await http.get("/view", params={"filename": "page.html [temp]"})
        assert reply.headers["content-type"] == "application/octet-stream"
        (server.files.folder("temp") / "unknown").write_text("?")
        reply = await http.get("/view", params={"filename": "unknown", "type": "temp"})
        assert reply.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 404),
        ("filename=missing.png", 404),
        ("filename=blake3:abc", 404),
        ("filename=", 400),
        ("filename=/etc/passwd", 400),
        ("filename=../x.png", 400),
        ("filename=x.png&type=models", 400),
        ("filename=x.png&subfolder=../..", 403),
    ],
)
async def test_what_cannot_be_viewed(query: str, status: int, autojump_clock: MockClock) -> None:
    async with open_client() as (_, http):
        reply = await http.get(f"/view?{query}")
        assert (reply.status_code, reply.content) == (status, b"")


async def test_parts_of_a_file(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        (server.files.folder("output") / "f.bin").write_bytes(b"0123456789")

        async def get(**headers: str) -> httpx.Response:
            names = {key.replace("_", "-"): value for key, value in headers.items()}
            return await http.get("/view?filename=f.bin", headers=names)

        whole = await get()
        etag, modified = whole.headers["etag"], whole.headers["last-modified"]
        assert whole.headers["accept-ranges"] == "bytes"
        for wanted, content, told in (
            ("bytes=2-4", b"234", "bytes 2-4/10"),
            ("bytes=7-", b"789", "bytes 7-9/10"),
            ("bytes=-3", b"789", "bytes 7-9/10"),
            ("bytes=0-99", b"0123456789", "bytes 0-9/10"),
        ):
            reply = await get(range=wanted)
            assert (reply.status_code, reply.content) == (206, content), wanted
            assert reply.headers["content-range"] == told
        for wanted in ("bytes=10-", "bytes=5-4", "bytes=-", "lines=1-2", "bytes=0-1,3-4"):
            reply = await get(range=wanted)
            assert (reply.status_code, reply.content) == (416, b""), wanted
            assert reply.headers["content-range"] == "bytes */10"
        assert (await get(range="bytes=2-4", if_range=etag)).status_code == 206
        assert (await get(range="bytes=2-4", if_range='"other"')).status_code == 200
        assert (await get(if_none_match=f'"other", {etag}')).status_code == 304
        assert (await get(if_none_match='"other"')).status_code == 200
        assert (await get(if_modified_since=modified)).status_code == 304
        assert (await get(if_modified_since="Thu, 01 Jan 1970 00:00:00 GMT")).status_code == 200
        reply = await http.head("/view?filename=f.bin")
        assert (reply.content, reply.headers["content-length"]) == (b"", "10")


async def test_previews_and_channels(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        (server.files.folder("output") / "a.png").write_bytes(png((1, 2, 3, 4), "RGBA"))
        (server.files.folder("output") / "b.png").write_bytes(png((1, 2, 3)))

        async def get(query: str, name: str = "a.png") -> tuple[str, Image.Image]:
            reply = await http.get(f"/view?filename={name}&{query}")
            assert reply.status_code == 200
            assert reply.headers["content-disposition"] == f'filename="{name}"'
            return reply.headers["content-type"], opened(reply.content)

        for query, kind, mode in (
            ("preview=webp", "webp", "RGBA"),
            ("preview=webp;50", "webp", "RGBA"),
            ("preview=jpeg;80", "jpeg", "RGB"),
            ("preview=tiff", "webp", "RGBA"),
            ("preview=jpeg&channel=a", "webp", "RGBA"),
            ("preview=webp&channel=rgb", "webp", "RGB"),
            ("channel=rgb", "png", "RGB"),
            ("channel=a", "png", "RGBA"),
        ):
            content_type, image = await get(query)
            assert (content_type, image.mode) == (f"image/{kind}", mode), query
        assert (await get("channel=rgb"))[1].getpixel((0, 0)) == (1, 2, 3)
        assert (await get("channel=a"))[1].getpixel((0, 0)) == (0, 0, 0, 4)
        assert (await get("channel=a", "b.png"))[1].getpixel((0, 0)) == (0, 0, 0, 255)
        reply = await http.get("/view?filename=a.png&channel=rgba")
        assert reply.content == png((1, 2, 3, 4), "RGBA")
