from __future__ import annotations

import math
from typing import TYPE_CHECKING

from model_files import picture, safetensors

from comfy_trio import ModelFile

from ._row import Row

if TYPE_CHECKING:
    from comfy_trio import Comfy
    from comfy_trio.testing import EmbeddedServer

FILE = ModelFile("loras", "mine.safetensors")


def store(server: EmbeddedServer) -> None:
    folder = server.files.root / "models" / "loras"
    folder.mkdir(parents=True)
    (folder / "mine.safetensors").write_bytes(safetensors({"a": "b"}))
    (folder / "mine.png").write_bytes(picture("red"))


def make_old(server: EmbeddedServer) -> None:
    """Take the newer routes away: none of the versions that the server plays is without them."""
    for route in ("GET /experiment/models", "GET /experiment/models/{folder}"):
        server.faults.answer(route, 404, times=math.inf)


async def folders(comfy: Comfy, server: EmbeddedServer) -> None:
    assert "loras" in [folder.name for folder in await comfy.model.folders()]


async def folders_of_old(comfy: Comfy, server: EmbeddedServer) -> None:
    make_old(server)
    await folders(comfy, server)


async def files(comfy: Comfy, server: EmbeddedServer) -> None:
    store(server)
    assert "mine.safetensors" in [file.name for file in await comfy.model.files("loras")]


async def files_of_old(comfy: Comfy, server: EmbeddedServer) -> None:
    make_old(server)
    await files(comfy, server)


async def preview(comfy: Comfy, server: EmbeddedServer) -> None:
    store(server)
    assert await comfy.model.preview(FILE) is not None


async def metadata(comfy: Comfy, server: EmbeddedServer) -> None:
    store(server)
    assert await comfy.model.metadata(FILE) == {"a": "b"}


ROWS = (
    Row("GET /experiment/models", "model.folders", folders),
    Row("GET /models", "model.folders", folders_of_old),
    Row("GET /experiment/models/{folder}", "model.files", files),
    Row("GET /models/{folder}", "model.files", files_of_old),
    Row(
        "GET /experiment/models/preview/{folder}/{path_index}/{filename}", "model.preview", preview
    ),
    Row("GET /view_metadata/{folder}", "model.metadata", metadata),
)
