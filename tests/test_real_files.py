"""Files on a real ComfyUI server at $COMFY_HOST: ``nox -s real``."""

from __future__ import annotations

import io
import os
import random
from typing import TYPE_CHECKING, Any

import pytest
import trio
from PIL import Image
from prompts import node

from comfy_trio import (
    Comfy,
    DisconnectedError,
    FileError,
    RequestTooLargeError,
    ResponseError,
    open_comfy,
    output_files,
)
from comfy_trio._replies import get

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.real

DEADLINE = 120
SOME = random.Random(0).randbytes(3 * 2**20 + 17)


@pytest.fixture
async def comfy() -> AsyncGenerator[Comfy, None]:
    assert "COMFY_HOST" in os.environ, "say where the real server is: COMFY_HOST=http://..."
    with trio.fail_after(DEADLINE):
        async with open_comfy() as comfy:
            yield comfy


def png(color: tuple[int, ...] = (1, 2, 3), mode: str = "RGB", size: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (size, size), color).save(stream, "PNG")
    return stream.getvalue()


async def test_uploads_of_all_kinds(comfy: Comfy, tmp_path: Path) -> None:
    path = tmp_path / "grün ☃ 'x' %41.bin"
    path.write_bytes(SOME)

    async def pieces() -> AsyncGenerator[bytes, None]:  # noqa: ASYNC900
        for start in range(0, len(SOME), 100_000):
            yield SOME[start : start + 100_000]

    told: list[int] = []
    for source in (path, SOME, io.BytesIO(SOME), pieces(), [SOME]):
        uploaded = await comfy.file.upload(
            source,
            filename=path.name,
            subfolder="comfy_trio/deep",
            progress=lambda sent, total: told.append(sent),
        )
        assert uploaded.reference == f"comfy_trio/deep/{path.name}"
        assert await comfy.file.read(uploaded) == SOME
        assert told[-1] == len(SOME)
    other = await comfy.file.upload(b"other", filename=path.name, subfolder="comfy_trio/deep")
    assert other.filename != path.name
    assert await comfy.file.read(other) == b"other"
    over = await comfy.file.upload(
        b"over", filename=other.filename, subfolder="comfy_trio/deep", overwrite=True, type="temp"
    )
    assert over.reference == f"comfy_trio/deep/{other.filename} [temp]"
    assert await comfy.file.exists(over)
    assert not await comfy.file.exists({"filename": "never was.png"})
    empty = await comfy.file.upload(b"", filename="empty.bin", type="temp")
    assert await comfy.file.read(empty) == b""


async def test_names_that_the_server_does_not_take(comfy: Comfy) -> None:
    with pytest.raises(FileError, match="refuses to store"):
        await comfy.file.upload(b"", filename="a.png", subfolder="../..")
    for wrong in ({"type": "models"}, {"subfolder": "../.."}, {"filename": "../a.png"}):
        with pytest.raises(FileError, match="for no file of its"):
            await comfy.file.read({"filename": "a.png", **wrong})
    with pytest.raises(FileError, match="the server has no file"):
        await comfy.file.read({"filename": "never was.png"})


async def test_too_large_an_upload(comfy: Comfy) -> None:
    features: Any = (await comfy._session.http.request(get("/features"))).json()
    limit = int(features["max_upload_size"])
    assert limit < 2**28, "start the server without --max-upload-size"
    piece = bytes(2**20)
    sent = 0

    def tell(so_far: int, total: int | None) -> None:
        nonlocal sent
        sent = so_far

    with pytest.raises(RequestTooLargeError, match="--max-upload-size"):
        await comfy.file.upload(
            [piece] * (limit // 2**20 + 50), filename="too large.bin", type="temp", progress=tell
        )
    assert sent >= limit


async def test_previews_channels_and_pictures(comfy: Comfy, tmp_path: Path) -> None:
    file = await comfy.file.upload(png((1, 2, 3, 77), "RGBA"), type="temp")
    for preview, channel, format, mode in (  # noqa: A001
        ("webp", None, "WEBP", "RGBA"),
        ("jpeg;80", None, "JPEG", "RGB"),
        (None, "rgb", "PNG", "RGB"),
        (None, "a", "PNG", "RGBA"),
        (None, None, "PNG", "RGBA"),
    ):
        some: Any = channel
        content = await comfy.file.read(file, preview=preview, channel=some)
        picture = Image.open(io.BytesIO(content))
        assert (picture.format, picture.mode) == (format, mode)
        path = await comfy.file.download(file, tmp_path, preview=preview, channel=some)
        assert await path.read_bytes() == content
    assert (await comfy.file.image(file)).getpixel((0, 0)) == (1, 2, 3, 77)


async def test_masks(comfy: Comfy) -> None:
    original = await comfy.file.upload(png((1, 2, 3)), filename="mask me.png", type="output")
    mask = png((9, 9, 9, 77), "RGBA")
    masked = await comfy.file.upload_mask(mask, original, filename="masked.png", overwrite=True)
    assert (await comfy.file.image(masked)).getpixel((0, 0)) == (1, 2, 3, 77)
    with pytest.raises(FileError, match="to put a mask into"):
        await comfy.file.upload_mask(mask, {"filename": "never was.png"})
    for wrong in (png(size=9), b"text"):
        file = await comfy.file.upload(wrong, filename="unfit.png", type="temp")
        with pytest.raises(ResponseError, match="no picture, or their sizes may differ"):
            await comfy.file.upload_mask(mask, file)


async def test_the_files_of_a_job(comfy: Comfy, tmp_path: Path) -> None:
    color = random.randrange(2**24)
    prompt = {
        "1": node("EmptyImage", width=64, height=64, batch_size=2, color=color),
        "2": node("SaveImage", images=["1", 0], filename_prefix="comfy_trio/x"),
        "3": node("PreviewImage", images=["1", 0]),
        "4": node(
            "SaveAnimatedWEBP",
            images=["1", 0],
            filename_prefix="comfy_trio/y",
            fps=6.0,
            lossless=True,
            quality=80,
            method="default",
        ),
        "5": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "6": node("SaveLatent", samples=["5", 0], filename_prefix="comfy_trio/z"),
    }
    result = await comfy.run(prompt)
    files = [file for output in result.nodes.values() for file in output_files(output)]
    assert len(files) == 2 + 2 + 1 + 1
    paths = await comfy.file.download_all(files, tmp_path, keep_subfolders=True)
    assert len(set(paths)) == 6
    for path, file in zip(paths, files, strict=True):
        assert await path.read_bytes() == await comfy.file.read(file)
        folder = str(path.parent.relative_to(tmp_path))
        assert folder == (file["subfolder"] or ".")
    assert {path.suffix for path in paths} == {".png", ".webp", ".latent"}


class Breaking:
    """A server before the real one: of its connections each carries so many bytes back."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.bound = 2**40
        self.broken = 0

    async def __call__(self, client: trio.SocketStream) -> None:
        server = await trio.open_tcp_stream("127.0.0.1", self._port)
        try:
            async with client, server, trio.open_nursery() as nursery:
                nursery.start_soon(self._upload, client, server)
                await self._download(server, client)
                nursery.cancel_scope.cancel("it breaks")
        except* trio.BrokenResourceError:
            pass  # one of them hung up first

    async def _upload(self, client: trio.SocketStream, server: trio.SocketStream) -> None:
        async for data in client:
            await server.send_all(data)
        await server.send_eof()

    async def _download(self, server: trio.SocketStream, client: trio.SocketStream) -> None:
        carried = 0
        while carried < self.bound and (data := await server.receive_some(2**16)):
            data = data[: self.bound - carried]
            carried += len(data)
            await client.send_all(data)
        self.broken += carried >= self.bound


async def test_downloads_go_on_where_they_broke_off(comfy: Comfy, tmp_path: Path) -> None:
    file = await comfy.file.upload(SOME, filename="resumed.bin", type="temp", overwrite=True)
    real = comfy._session.http.address
    port = int(str(real).rpartition(":")[2])
    breaking = Breaking(port)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, breaking, 0)
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        async with open_comfy(url) as through:
            breaking.bound = 10**6
            path = await through.file.download(file, tmp_path)
            assert await path.read_bytes() == SOME
            assert breaking.broken == 3
            # aiohttp heeds no ETag in If-Range: the client finds out by itself.
            breaking.bound = 2 * 10**6
            async with through.file.open_stream(file) as stream:
                changed = b"?" * len(SOME)
                await comfy.file.upload(
                    changed, filename="resumed.bin", overwrite=True, type="temp"
                )
                with pytest.raises(FileError, match="changed at the server while it was read"):
                    async for _ in stream:
                        pass
            breaking.bound = 100  # of the headers
            with pytest.raises(DisconnectedError):
                await through.file.read(file)
            breaking.bound = 2**40
        nursery.cancel_scope.cancel("all is tested")


async def test_folders(comfy: Comfy) -> None:
    await comfy.file.upload(b"", filename="listed.bin", overwrite=True)
    names = await comfy.file.names("input")
    assert names[0] == "listed.bin"
    assert all(paths for paths in (await comfy.file.folder_paths()).values())


async def test_cancelled_transfers_leave_nothing(comfy: Comfy, tmp_path: Path) -> None:
    file = await comfy.file.upload(SOME * 5, filename="cancelled.bin", type="temp")
    source = tmp_path / "source.bin"
    source.write_bytes(SOME * 5)
    target = tmp_path / "out"
    rng = random.Random(0)
    actions: list[Callable[[], Awaitable[object]]] = [
        lambda: comfy.file.download(file, target / "x"),
        lambda: comfy.file.upload(source, type="temp", overwrite=True),
        lambda: comfy.file.read(file),
    ]
    for number in range(30):
        with trio.move_on_after(rng.random() * 0.1):
            await actions[number % 3]()
        assert comfy._session.http.statistics().borrowed_tokens == 0
        if target.exists():
            assert {path.name for path in target.iterdir()} <= {"x"}
    for action in actions:
        await action()
