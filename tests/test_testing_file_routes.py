from __future__ import annotations

import io
import json
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from PIL import Image, PngImagePlugin

from comfy_trio.testing import EmbeddedServer, open_embedded_server
from comfy_trio.testing._files import FOLDERS

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
async def open_client(
    **options: Any,
) -> AsyncGenerator[tuple[EmbeddedServer, httpx.AsyncClient], None]:
    with trio.fail_after(10**6):
        async with (
            open_embedded_server(**options) as server,
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


def left_behind(server: EmbeddedServer) -> list[str]:
    return [path.name for path in server.files.root.iterdir() if path.name not in FOLDERS]


@pytest.fixture
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_sync(*_: object) -> None:
        raise AssertionError("the embedded server uses no threads")

    monkeypatch.setattr(trio.to_thread, "run_sync", run_sync)


@pytest.mark.usefixtures("_no_threads")
async def test_large_uploads_need_no_threads(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        content = bytes(range(256)) * 2**14
        await upload(http, content, "big.bin")
        assert (server.files.folder("input") / "big.bin").read_bytes() == content
        assert not left_behind(server)
        reply = await http.get("/view?filename=big.bin&type=input")
        assert reply.content == content
        await upload(http, content, "big.bin")
        assert server.files.names("input") == ["big.bin"]
        assert not left_behind(server)


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
        for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
            reply = await http.post("/upload/image", content=b"?", headers={"content-type": kind})
            assert reply.status_code == 500


async def test_forms_are_read_in_whatever_pieces(autojump_clock: MockClock) -> None:
    body = (
        b"--x\r\nContent-Disposition: form-data; name=subfolder\r\n\r\na/b\r\n"
        b"--x\r\nContent-Type: image/png\r\n"
        b'content-disposition: form-data; name="image"; filename="\xc3\xbc.png"\r\n\r\n'
        b"\r\n--y\r\n--x-\r\n--x--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=x"}
    async with open_client() as (server, http):
        for size in (1, 7, len(body)):

            async def pieces(size: int = size) -> AsyncGenerator[bytes, None]:  # noqa: ASYNC900
                for start in range(0, len(body), size):
                    yield body[start : start + size]

            reply = await http.post("/upload/image", content=pieces(), headers=headers)
            assert reply.json() == {"name": "ü.png", "subfolder": "a/b", "type": "input"}
            content = (server.files.folder("input") / "a" / "b" / "ü.png").read_bytes()
            assert content == b"\r\n--y\r\n--x-"


async def test_uploads_that_break_off_leave_nothing(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        server.faults.break_connection("POST /upload/image", received=100_000)
        with pytest.raises(httpx.RemoteProtocolError):
            await upload(http, bytes(10**6))
        assert not left_behind(server)
        assert not server.files.names("input")
        server.faults.break_connection("POST /upload/image", received=10**7)
        assert (await upload(http, bytes(10**6))).status_code == 200


async def test_replies_that_break_off(autojump_clock: MockClock) -> None:
    async with open_client() as (server, http):
        content = bytes(range(256)) * 1000
        server.files.upload("f.bin", content, kind="output")
        for size in (0, 1, 65536, 200_000):
            server.faults.break_connection("GET /view", sent=size)
            got = bytearray()
            with pytest.raises(httpx.RemoteProtocolError):
                async with http.stream("GET", "/view?filename=f.bin") as reply:
                    assert reply.status_code == 200
                    async for chunk in reply.aiter_raw():
                        got += chunk
            assert got == content[:size]
        for size in (len(content), 10**7):
            server.faults.break_connection("GET /view", sent=size)
            assert (await http.get("/view?filename=f.bin")).content == content


async def test_too_large_an_upload(autojump_clock: MockClock) -> None:
    async with open_client(max_upload_size=1000) as (server, http):
        reply = await upload(http, bytes(10**6))
        assert reply.status_code == 413
        assert reply.text == "Maximum request body size 1000 exceeded."
        assert not left_behind(server)
        assert trio.current_time() == 0
        assert server.statistics().connections == 0


@pytest.mark.parametrize(("version", "suffix"), [("0.19.0", ""), ("0.20.0", " [temp]")])
async def test_names(version: str, suffix: str, autojump_clock: MockClock) -> None:
    async with open_client(version=version) as (server, http):
        for age, name in enumerate((".hidden", "b.png", "a.png")):
            server.files.upload(name, b"...", kind="temp")
            os.utime(server.files.folder("temp") / name, (100 - age, 100 - age))
        server.files.upload("c.png", b"...", kind="temp", subfolder="sub")
        names = (await http.get("/internal/files/temp")).json()
        assert names[-2:] == [f"b.png{suffix}", f"a.png{suffix}"]
        assert names[:-2] == ([] if suffix else [".hidden"])
        reply = await http.get("/internal/files/models")
        assert (reply.status_code, reply.json()) == (400, {"error": "Invalid directory type"})
        assert (await http.get("/api/internal/files/temp")).status_code == 404
        paths = (await http.get("/internal/folder_paths")).json()
        assert paths["checkpoints"] == [str(server.files.root / "models" / "checkpoints")]


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
