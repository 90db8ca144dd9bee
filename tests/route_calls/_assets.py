from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from ._row import Row

if TYPE_CHECKING:
    from comfy_trio import Asset, Comfy
    from comfy_trio.testing import EmbeddedServer


async def uploaded(comfy: Comfy) -> Asset:
    return (await comfy.assets.upload(b"...", filename="a.txt", tags=["input"])).asset


async def page(comfy: Comfy, server: EmbeddedServer) -> None:
    assert (await comfy.assets.page()).assets == ()


async def each(comfy: Comfy, server: EmbeddedServer) -> None:
    assert [asset async for asset in comfy.assets.each()] == []


async def get(comfy: Comfy, server: EmbeddedServer) -> None:
    asset = await uploaded(comfy)
    assert await comfy.assets.get(asset.id) == asset


async def of(comfy: Comfy, server: EmbeddedServer) -> None:
    asset = await uploaded(comfy)
    assert await comfy.assets.of({"filename": "a.txt", "id": asset.id}) == asset


async def upload(comfy: Comfy, server: EmbeddedServer) -> None:
    assert (await comfy.assets.upload(b"...", filename="a.txt", tags=["input"])).created_new


async def create_from_hash(comfy: Comfy, server: EmbeddedServer) -> None:
    asset = await uploaded(comfy)
    assert asset.hash is not None
    assert await comfy.assets.create_from_hash(asset.hash)


async def has_content(comfy: Comfy, server: EmbeddedServer) -> None:
    asset = await uploaded(comfy)
    assert asset.hash is not None
    assert await comfy.assets.has_content(asset.hash)


async def update(comfy: Comfy, server: EmbeddedServer) -> None:
    assert (await comfy.assets.update(await uploaded(comfy), name="b")).name == "b"


async def delete(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.assets.delete(await uploaded(comfy))


async def read(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.assets.read(await uploaded(comfy)) == b"..."


async def download(comfy: Comfy, server: EmbeddedServer) -> None:
    asset = await uploaded(comfy)
    with tempfile.TemporaryDirectory() as directory:
        path = await comfy.assets.download(asset, directory)
        assert await path.read_bytes() == b"..."


async def open_stream(comfy: Comfy, server: EmbeddedServer) -> None:
    async with comfy.assets.open_stream(await uploaded(comfy)) as stream:
        assert b"".join([piece async for piece in stream]) == b"..."


async def add_tags(comfy: Comfy, server: EmbeddedServer) -> None:
    assert (await comfy.assets.add_tags(await uploaded(comfy), "x")).changed == ("x",)


async def remove_tags(comfy: Comfy, server: EmbeddedServer) -> None:
    assert (await comfy.assets.remove_tags(await uploaded(comfy), "x")).unchanged == ("x",)


async def tags(comfy: Comfy, server: EmbeddedServer) -> None:
    assert (await comfy.assets.tags("inp")).total == 1


async def tag_counts(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.assets.tag_counts() == {}


async def start_scan(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.assets.start_scan()


async def scan(comfy: Comfy, server: EmbeddedServer) -> None:
    assert (await comfy.assets.scan()).total == 0


async def scan_status(comfy: Comfy, server: EmbeddedServer) -> None:
    assert not (await comfy.assets.scan_status()).running


async def cancel_scan(comfy: Comfy, server: EmbeddedServer) -> None:
    assert not await comfy.assets.cancel_scan()


async def prune(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.assets.prune() == 0


ON = {"assets": True}
ROWS = (
    Row("GET /assets", "assets.page", page, ON),
    Row("GET /assets", "assets.each", each, ON),
    Row("GET /assets/{id}", "assets.get", get, ON),
    Row("GET /assets/{id}", "assets.of", of, ON),
    Row("POST /assets", "assets.upload", upload, ON),
    Row("POST /assets/from-hash", "assets.create_from_hash", create_from_hash, ON),
    Row("HEAD /assets/hash/{hash}", "assets.has_content", has_content, ON),
    Row("PUT /assets/{id}", "assets.update", update, ON),
    Row("DELETE /assets/{id}", "assets.delete", delete, ON),
    Row("GET /assets/{id}/content", "assets.read", read, ON),
    Row("GET /assets/{id}/content", "assets.download", download, ON),
    Row("GET /assets/{id}/content", "assets.open_stream", open_stream, ON),
    Row("POST /assets/{id}/tags", "assets.add_tags", add_tags, ON),
    Row("DELETE /assets/{id}/tags", "assets.remove_tags", remove_tags, ON),
    Row("GET /tags", "assets.tags", tags, ON),
    Row("GET /assets/tags/refine", "assets.tag_counts", tag_counts, ON),
    Row("POST /assets/seed", "assets.start_scan", start_scan, ON),
    Row("POST /assets/seed", "assets.scan", scan, ON),
    Row("GET /assets/seed/status", "assets.scan_status", scan_status, ON),
    Row("POST /assets/seed/cancel", "assets.cancel_scan", cancel_scan, ON),
    Row("POST /assets/prune", "assets.prune", prune, ON),
)
