from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from ._row import Row

if TYPE_CHECKING:
    from comfy_trio import Comfy, OutputFile
    from comfy_trio.testing import EmbeddedServer


def stored(server: EmbeddedServer) -> OutputFile:
    file = server.files.upload("a.png", b"...", kind="output")
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


ROWS = (
    Row("GET /view", "file.read", read),
    Row("GET /view", "file.download", download),
    Row("POST /upload/image", "file.upload_image", upload_image),
)
