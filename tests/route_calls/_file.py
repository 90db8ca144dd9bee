from __future__ import annotations

import io
import tempfile
from typing import TYPE_CHECKING

from PIL import Image

from ._row import Row

if TYPE_CHECKING:
    from comfy_trio import Comfy, OutputFile
    from comfy_trio.testing import EmbeddedServer


def picture() -> bytes:
    stream = io.BytesIO()
    Image.new("RGBA", (4, 4), (1, 2, 3, 4)).save(stream, "PNG")
    return stream.getvalue()


def stored(server: EmbeddedServer, content: bytes = b"...") -> OutputFile:
    file = server.files.upload("a.png", content, kind="output")
    return {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}


async def read(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.file.read(stored(server)) == b"..."


async def download(comfy: Comfy, server: EmbeddedServer) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = await comfy.file.download(stored(server), directory)
        assert await path.read_bytes() == b"..."


async def upload_image(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.file.upload_image(b"...", filename="b.png")
    assert server.files.names("input") == ["b.png"]


async def open_stream(comfy: Comfy, server: EmbeddedServer) -> None:
    async with comfy.file.open_stream(stored(server)) as stream:
        assert [chunk async for chunk in stream] == [b"..."]


async def download_all(comfy: Comfy, server: EmbeddedServer) -> None:
    with tempfile.TemporaryDirectory() as directory:
        (path,) = await comfy.file.download_all([stored(server)], directory)
        assert await path.read_bytes() == b"..."


async def exists(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.file.exists(stored(server))


async def image(comfy: Comfy, server: EmbeddedServer) -> None:
    assert (await comfy.file.image(stored(server, picture()))).size == (4, 4)


async def upload(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.file.upload([b"..."], filename="b.wav", type="temp")
    assert server.files.names("temp") == ["b.wav"]


async def upload_mask(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.file.upload_mask(picture(), stored(server, picture()), filename="m.png")
    assert server.files.names("input") == ["m.png"]


async def names(comfy: Comfy, server: EmbeddedServer) -> None:
    stored(server)
    assert await comfy.file.names() == ("a.png",)


async def folder_paths(comfy: Comfy, server: EmbeddedServer) -> None:
    assert "checkpoints" in await comfy.file.folder_paths()


ROWS = (
    Row("GET /view", "file.read", read),
    Row("GET /view", "file.open_stream", open_stream),
    Row("GET /view", "file.download", download),
    Row("GET /view", "file.download_all", download_all),
    Row("GET /view", "file.exists", exists),
    Row("GET /view", "file.image", image),
    Row("POST /upload/image", "file.upload", upload),
    Row("POST /upload/image", "file.upload_image", upload_image),
    Row("POST /upload/mask", "file.upload_mask", upload_mask),
    Row("GET /internal/files/{directory_type}", "file.names", names),
    Row("GET /internal/folder_paths", "file.folder_paths", folder_paths),
)
