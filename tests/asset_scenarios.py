"""What happens to assets, for real servers and embedded ones alike; no tests by themselves."""

from __future__ import annotations

import io
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trio
from PIL import Image
from prompts import node

from comfy_trio import AssetError, AssetFilter, Comfy, NewAsset

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

NOBODY = "00000000-0000-0000-0000-000000000000"
NO_CONTENT = "blake3:" + 64 * "0"


def png() -> bytes:
    stream = io.BytesIO()
    color = secrets.token_bytes(3)
    Image.new("RGB", (8, 8), (color[0], color[1], color[2])).save(stream, "PNG")
    return stream.getvalue() + secrets.token_bytes(8)


async def uploaded(comfy: Comfy, *more_tags: str, name: str | None = None) -> NewAsset:
    return await comfy.assets.upload(png(), tags=["input", *more_tags], name=name)


CALLS: list[Callable[[Comfy], Awaitable[object]]] = [
    lambda comfy: comfy.assets.page(),
    lambda comfy: comfy.assets.each().__anext__(),
    lambda comfy: comfy.assets.get(NOBODY),
    lambda comfy: comfy.assets.upload(b"x", filename="x.txt", tags=["input"]),
    lambda comfy: comfy.assets.create_from_hash(NO_CONTENT),
    lambda comfy: comfy.assets.has_content(NO_CONTENT),
    lambda comfy: comfy.assets.update(NOBODY, name="x"),
    lambda comfy: comfy.assets.delete(NOBODY),
    lambda comfy: comfy.assets.read(NOBODY),
    lambda comfy: comfy.assets.download(NOBODY, "no-such-directory/x"),
    lambda comfy: comfy.assets.add_tags(NOBODY, ["x"]),
    lambda comfy: comfy.assets.remove_tags(NOBODY, ["x"]),
    lambda comfy: comfy.assets.tags(),
    lambda comfy: comfy.assets.tag_counts(),
    lambda comfy: comfy.assets.start_scan(),
    lambda comfy: comfy.assets.scan(),
    lambda comfy: comfy.assets.scan_status(),
    lambda comfy: comfy.assets.cancel_scan(),
    lambda comfy: comfy.assets.prune(),
    lambda comfy: comfy.assets.open_stream(NOBODY).__aenter__(),
]
"""A call of each method."""


async def an_upload_and_what_becomes_of_it(comfy: Comfy, tmp_path: Path) -> None:
    began = trio.current_time()
    content = png()
    path = tmp_path / "bird.png"
    path.write_bytes(content)
    tag = f"tag{secrets.token_hex(4)}"
    new = await comfy.assets.upload(
        path, tags=["input", tag.upper()], user_metadata={"mood": "fine"}
    )
    assert new.created_new
    asset = new.asset
    assert (asset.name, asset.size, asset.mime_type) == ("bird.png", len(content), "image/png")
    assert asset.tags == ("input", tag)
    assert asset.user_metadata["mood"] == "fine"
    assert asset.hash is not None
    assert asset.created_at is not None
    # Virtual time, where it is that, runs ahead while a thread reads the file.
    ahead = timedelta(seconds=trio.current_time() - began)
    assert abs(datetime.now(UTC) - asset.created_at) < timedelta(hours=1) + ahead
    assert await comfy.assets.get(asset) == asset
    assert await comfy.assets.has_content(asset.hash)

    again = await comfy.assets.upload(path, tags=["input"], name="again", hash=asset.hash)
    assert not again.created_new
    assert again.asset.hash == asset.hash
    assert again.asset.id != asset.id
    assert again.asset.reference is None
    third = await comfy.assets.create_from_hash(asset.hash, tags=[tag], name="third.png")
    assert third is not None
    assert third.tags == (tag,)

    page = await comfy.assets.page(AssetFilter(tags=[tag]), sort="name", order="asc")
    assert [each.name for each in page.assets] == ["bird.png", "third.png"]
    assert (page.total, page.has_more) == (2, False)
    page = await comfy.assets.page(AssetFilter(tags=tag, without_tags=["input"]))
    assert [each.id for each in page.assets] == [third.id]
    page = await comfy.assets.page(AssetFilter(tags=tag, metadata={"mood": "fine"}))
    assert [each.id for each in page.assets] == [asset.id]
    page = await comfy.assets.page(AssetFilter(tags=tag, name_contains="BIRD"))
    assert [each.id for each in page.assets] == [asset.id]

    assert await comfy.assets.read(third) == content
    copy = await comfy.assets.download(third.id, f"{tmp_path}/copies/")
    assert copy.name == "third.png"
    assert await copy.read_bytes() == content
    async with comfy.assets.open_stream(third) as stream:
        assert b"".join([piece async for piece in stream]) == content

    assert await comfy.assets.delete(third)
    assert not await comfy.assets.delete(third)
    assert await comfy.assets.get(third) is None
    assert await comfy.assets.read(asset) == content


async def a_node_reads_an_upload(comfy: Comfy, tmp_path: Path) -> None:
    new = await uploaded(comfy, f"sub{secrets.token_hex(4)}")
    prompt = {
        "1": node("LoadImage", image=new.asset.reference),
        "9": node("SaveImage", images=["1", 0], filename_prefix="asset"),
    }
    result = await comfy.run(prompt)
    (file,) = result["9"]["images"]
    asset = await comfy.assets.of(file)
    assert asset is not None
    assert "output" in asset.tags
    assert asset.reference == f"{file['filename']} [output]"
    assert await comfy.assets.read(asset) == await comfy.file.read(file)
    assert await comfy.assets.of({"filename": "a.png"}) is None


async def pages_and_the_iterator(comfy: Comfy, tmp_path: Path) -> None:
    tag = f"many{secrets.token_hex(4)}"
    names = [f"{number}.png" for number in range(5)]
    for name in names:
        await uploaded(comfy, tag, name=name)
    wanted = AssetFilter(tags=[tag])
    by_offset = await comfy.assets.page(wanted, limit=2, offset=2, sort="name", order="asc")
    assert [asset.name for asset in by_offset.assets] == names[2:4]
    assert (by_offset.total, by_offset.has_more) == (5, True)
    seen: list[str] = []
    after: str | None = None
    while True:
        page = await comfy.assets.page(wanted, limit=2, after=after)
        seen += [asset.name for asset in page.assets]
        after = page.next_cursor
        if after is None:
            break
    assert seen == names[::-1]
    each = comfy.assets.each(wanted, sort="size", order="asc")
    assert sorted([asset.name async for asset in each]) == names
    each = comfy.assets.each(wanted, sort="last_access_time")
    assert sorted([asset.name async for asset in each]) == names


async def an_upload_piece_by_piece(comfy: Comfy, tmp_path: Path) -> None:
    content = secrets.token_bytes(3 * 2**20)
    pieces = [content[at : at + 2**20] for at in range(0, len(content), 2**20)]
    told: list[tuple[int, int | None]] = []
    new = await comfy.assets.upload(
        pieces,
        filename="a.bin",
        tags=["output"],
        progress=lambda sent, size: told.append((sent, size)),
    )
    assert new.asset.size == len(content)
    assert told[-1][0] == len(content)
    assert await comfy.assets.read(new.asset) == content


async def changes_and_tags(comfy: Comfy, tmp_path: Path) -> None:
    asset = (await uploaded(comfy)).asset
    tag = f"tag{secrets.token_hex(4)}"
    other = (await uploaded(comfy)).asset
    changed = await comfy.assets.update(
        asset, name="new name", user_metadata={"a": [1]}, preview=other
    )
    assert changed.name == "new name"
    assert changed.user_metadata["a"] == [1]
    assert changed.preview_id == other.id

    change = await comfy.assets.add_tags(asset, [tag, "input"])
    assert (change.changed, change.unchanged) == ((tag,), ("input",))
    assert change.tags == ("input", tag)
    assert await comfy.assets.tag_counts(AssetFilter(tags=[tag])) == {tag: 1, "input": 1}
    tags = await comfy.assets.tags(tag)
    assert [(each.name, each.count) for each in tags.tags] == [(tag, 1)]
    assert (tags.total, tags.has_more) == (1, False)
    change = await comfy.assets.remove_tags(asset, [tag, "nope"])
    assert (change.changed, change.unchanged, change.tags) == ((tag,), ("nope",), ("input",))
    tags = await comfy.assets.tags(tag, include_unused=False)
    assert tags.tags == ()


async def scans(comfy: Comfy, tmp_path: Path) -> None:
    scan = await comfy.assets.scan(["input"])
    assert not scan.running
    assert scan.errors == ()
    assert scan.total >= scan.created
    assert not (await comfy.assets.scan_status()).running
    assert await comfy.assets.start_scan()
    await comfy.assets.cancel_scan()
    while (await comfy.assets.scan_status()).running:  # noqa: ASYNC110  # nobody tells
        await trio.sleep(0.05)
    assert not await comfy.assets.cancel_scan()
    assert await comfy.assets.prune() >= 0


REFUSALS: list[tuple[str, Callable[[Comfy], Awaitable[object]]]] = [
    ("INVALID_QUERY", lambda comfy: comfy.assets.page(limit=0)),
    ("INVALID_QUERY", lambda comfy: comfy.assets.tags(limit=0)),
    ("INVALID_QUERY", lambda comfy: comfy.assets.tag_counts(limit=0)),
    ("INVALID_CURSOR", lambda comfy: comfy.assets.page(after="nope")),
    ("INVALID_BODY", lambda comfy: comfy.assets.upload(png(), tags=[])),
    ("INVALID_BODY", lambda comfy: comfy.assets.upload(png(), tags=["models", "nope"])),
    ("BAD_REQUEST", lambda comfy: comfy.assets.upload(png(), tags=["input", ".."])),
    ("HASH_MISMATCH", lambda comfy: comfy.assets.upload(png(), tags=["input"], hash=NO_CONTENT)),
    ("INVALID_HASH", lambda comfy: comfy.assets.upload(png(), tags=["input"], hash="x")),
    ("EMPTY_UPLOAD", lambda comfy: comfy.assets.upload(b"", filename="x", tags=["input"])),
    ("INVALID_BODY", lambda comfy: comfy.assets.create_from_hash("x")),
    ("INVALID_HASH", lambda comfy: comfy.assets.has_content("x")),
    ("INVALID_BODY", lambda comfy: comfy.assets.update(NOBODY)),
    ("ASSET_NOT_FOUND", lambda comfy: comfy.assets.update(NOBODY, name="x")),
    ("ASSET_NOT_FOUND", lambda comfy: comfy.assets.update("no uuid", name="x")),
    ("ASSET_NOT_FOUND", lambda comfy: comfy.assets.read(NOBODY)),
    ("ASSET_NOT_FOUND", lambda comfy: comfy.assets.read("no uuid")),
    ("ASSET_NOT_FOUND", lambda comfy: comfy.assets.add_tags(NOBODY, ["x"])),
    ("INVALID_BODY", lambda comfy: comfy.assets.remove_tags(NOBODY, [])),
    ("INVALID_BODY", lambda comfy: comfy.assets.scan([])),
]


async def refusals(comfy: Comfy, tmp_path: Path) -> None:
    for reason, call in REFUSALS:
        with pytest.raises(AssetError, match="HTTP status 40") as caught:
            await call(comfy)
        assert caught.value.reason == reason
    assert await comfy.assets.get(NOBODY) is None
    assert await comfy.assets.get("no uuid") is None
    assert not await comfy.assets.delete(NOBODY)
    assert not await comfy.assets.delete("no uuid")
    assert not await comfy.assets.has_content(NO_CONTENT)
    assert await comfy.assets.create_from_hash(NO_CONTENT) is None


SCENARIOS: list[Callable[[Comfy, Path], Awaitable[None]]] = [
    an_upload_and_what_becomes_of_it,
    a_node_reads_an_upload,
    an_upload_piece_by_piece,
    pages_and_the_iterator,
    changes_and_tags,
    scans,
    refusals,
]
