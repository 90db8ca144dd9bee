"""`Comfy.assets`, on embedded servers, and how it reads what servers may answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from asset_scenarios import CALLS, NO_CONTENT, NOBODY, SCENARIOS

from comfy_trio import (
    Asset,
    AssetError,
    AssetFilter,
    AuthenticationError,
    Comfy,
    DisconnectedError,
    FileError,
    RequestTooLargeError,
    ResponseError,
    UnsupportedError,
    open_comfy,
)
from comfy_trio._multipart import open_form
from comfy_trio._replies import Reply, get
from comfy_trio._routes._asset_refusals import require_success
from comfy_trio._routes._asset_scans import (
    AssetScan,
    read_cancellation,
    read_prune,
    read_scan,
    read_start,
)
from comfy_trio._routes._asset_tags import read_change, read_counts, read_tags
from comfy_trio._routes._assets import (
    page_request,
    read_asset,
    read_deletion,
    read_new_asset,
    read_page,
    upload_request,
)
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from trio.testing import MockClock

LIST, ONE = "GET /assets", "GET /assets/{id}"
ID = "0b2f2e6e-9d8f-4b5e-8f0a-5d2a3a1f9c11"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_a_scenario(
    scenario: Callable[[Comfy, Path], Awaitable[None]], tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with (
        open_embedded_server(assets=True) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        await scenario(comfy, tmp_path)


WITHOUT = [
    ("0.27.0", r"assets are switched off .*Start it with --enable-assets"),
    ("0.8.2", "does not have this part of the assets API"),
]


@pytest.mark.parametrize(("version", "message"), WITHOUT)
async def test_servers_without_assets(
    version: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
) -> None:
    monkeypatch.chdir(tmp_path)
    async with (
        open_embedded_server(version=version) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        for call in CALLS:
            with pytest.raises(UnsupportedError, match=message):
                await call(comfy)


async def test_servers_that_only_list_assets(autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server(version="0.9.2") as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        assert await comfy.assets.page() is not None
        for call in (
            comfy.assets.has_content(NO_CONTENT),
            comfy.assets.upload(b"x", filename="x", tags=["input"]),
        ):
            with pytest.raises(UnsupportedError, match=r"0\.12 make them"):
                await call


async def test_older_servers(autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server(version="0.16.4") as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        (server.files.folder("input") / "found.txt").write_bytes(b"...")
        assert await comfy.assets.start_scan()
        assert not (await comfy.assets.scan()).running
        new = await comfy.assets.upload(b"abc", filename="a.txt", tags=["input"])
        assert new.asset.hash is not None
        page = await comfy.assets.page(limit=1)
        assert (page.total, page.has_more, page.next_cursor) == (2, True, None)
        each = comfy.assets.each(sort="name", order="asc")
        assert [asset.name async for asset in each] == ["a.txt", "found.txt"]
        assert new.asset.reference is not None
        assert await comfy.assets.delete(new.asset)
        assert (server.files.folder("input") / new.asset.reference).exists()


async def test_outputs_of_servers_without_assets_name_none(
    comfy: Comfy, autojump_clock: MockClock
) -> None:
    assert await comfy.assets.of({"filename": "a.png", "subfolder": "", "type": "output"}) is None


async def test_the_iterator_holds_a_page_at_a_time(autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server(assets=True) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        for number in range(250):
            (server.files.folder("input") / f"{number:03}.txt").write_bytes(b"...")
        await comfy.assets.scan(["input"])
        before = server.statistics().requests.get(LIST, 0)
        each = comfy.assets.each()
        assert server.statistics().requests.get(LIST, 0) == before
        ids = [(await anext(each)).id for _ in range(100)]
        assert server.statistics().requests[LIST] == before + 1
        await comfy.assets.upload(b"new", filename="new.txt", tags=["input"])
        ids += [asset.id async for asset in each]
        assert len(ids) == len(set(ids)) == 250
        assert server.statistics().requests[LIST] == before + 3
        with pytest.raises(StopAsyncIteration):
            await anext(each)


async def test_a_server_that_promises_more_without_end(
    comfy: Comfy, server: Any, autojump_clock: MockClock
) -> None:
    body = json.dumps({"assets": [], "total": 5, "has_more": True, "next_cursor": "x"})
    server.faults.answer(LIST, 200, body, content_type="application/json", times=2)
    assert [asset async for asset in comfy.assets.each()] == []


@pytest.mark.parametrize("reason", ["UNSUPPORTED_PARAM", "INVALID_TAG_FILTER"])
async def test_newer_servers_are_asked_in_their_words(
    reason: str, comfy: Comfy, server: Any, autojump_clock: MockClock
) -> None:
    refusal = json.dumps({"error": {"code": reason, "message": "no", "details": {}}})
    server.faults.answer(LIST, 400, refusal, content_type="application/json")
    server.faults.answer(LIST, 200, '{"assets": []}', content_type="application/json")
    page = await comfy.assets.page(AssetFilter(tags=["a"]))
    assert page.assets == ()
    assert server.statistics().requests[LIST] == 2
    server.faults.answer(LIST, 400, refusal, content_type="application/json")
    with pytest.raises(AssetError, match=reason):
        await comfy.assets.page(AssetFilter(metadata={"a": 1}))


def test_what_is_asked_of_older_and_newer_servers() -> None:
    wanted = AssetFilter(tags=["a", "b"], without_tags="c", name_contains="x", metadata={"k": None})
    assert dict(wanted.params()) == {
        "include_tags": "a,b",
        "tags_all": "a,b",
        "exclude_tags": "c",
        "tags_none": "c",
        "name_contains": "x",
        "metadata_filter": '{"k": null}',
    }
    assert not {"include_tags", "exclude_tags"} & dict(wanted.params(newest=True)).keys()
    assert AssetFilter().params() == []
    with pytest.raises(ValueError, match="a comma parts tags"):
        AssetFilter(tags=["a,b"])
    page = page_request(
        AssetFilter(), limit=5, offset=3, after="x", sort="name", order="asc", newest=False
    )
    assert dict(page.params) == {"limit": "5", "after": "x", "sort": "name", "order": "asc"}


async def test_the_hash_comes_before_the_file(autojump_clock: MockClock) -> None:
    request = upload_request(
        b"content",
        "a.txt",
        tags="input",
        name="n",
        user_metadata={"k": "ü"},
        content_hash="blake3:00",
        mime_type=None,
        preview_id=None,
    )
    assert request.form is not None
    async with open_form(request.form) as stream:
        body = b"".join([piece async for piece in stream])
    parts = [
        body.index(part) for part in (b"blake3:00", b'["input"]', b'name="file"', b"content\r")
    ]
    assert parts == sorted(parts)
    assert b"mime_type" not in body


async def test_content_as_a_stream(autojump_clock: MockClock) -> None:
    content = bytes(range(256)) * 1024
    async with (
        open_embedded_server(assets=True) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        new = await comfy.assets.upload(content, filename="a.bin", tags=["output"])
        async with comfy.assets.open_stream(new.asset) as stream:
            assert await stream.receive_some(5) == content[:5]
            assert await stream.receive_some(3) == content[5:8]
            with pytest.raises(ValueError, match="at least 1"):
                await stream.receive_some(0)
            assert b"".join([piece async for piece in stream]) == content[8:]
            assert await stream.receive_some() == b""
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive_some()
        server.faults.break_connection("GET /assets/{id}/content")
        with pytest.raises(DisconnectedError):
            async with comfy.assets.open_stream(new.asset):
                raise AssertionError


async def test_content_that_is_not_read_to_its_end(tmp_path: Path) -> None:
    with trio.fail_after(60):
        async with open_embedded_server(assets=True) as server, server.listen() as url:
            for transport in (None, server.transport):
                async with open_comfy(
                    url if transport is None else server.url, transport=transport
                ) as comfy:
                    new = await comfy.assets.upload(
                        bytes(8 * 2**20), filename="a.bin", tags=["input"]
                    )
                    async with comfy.assets.open_stream(new.asset) as stream:
                        assert await stream.receive_some(1) == b"\0"
                    with trio.move_on_after(0.01):
                        while True:
                            await comfy.assets.download(new.asset, tmp_path / "copy")
                    assert await comfy.assets.get(new.asset)


async def test_a_download_leaves_nothing_behind_that_is_not_whole(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with (
        open_embedded_server(assets=True) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        new = await comfy.assets.upload(b"abc", filename="a.txt", name="../b", tags=["input"])
        path = await comfy.assets.download(new.asset, tmp_path)
        assert path == trio.Path(tmp_path / "b")
        path = await comfy.assets.download(new.asset.id, tmp_path / "c" / "d.txt")
        assert await path.read_bytes() == b"abc"
        assert new.asset.reference is not None
        (server.files.folder("input") / new.asset.reference).unlink()
        with pytest.raises(AssetError, match="FILE_NOT_FOUND"):
            await comfy.assets.download(new.asset, tmp_path / "e")
        with pytest.raises(FileError, match="no name for one here"):
            await comfy.assets.download(attrs.evolve(new.asset, name=".."), tmp_path)
        assert sorted(each.name for each in tmp_path.iterdir()) == ["b", "c"]


# How replies read.


def reply(body: object, status: int = 200, content_type: str = "application/json") -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(get("/assets"), "http://h/api/assets", status, content, content_type)


def refusal(code: object, status: int = 400, **details: Any) -> Reply:
    return reply({"error": {"code": code, "message": "no", "details": details}}, status)


def test_a_whole_asset() -> None:
    told = {
        "id": ID,
        "name": "a.png",
        "hash": NO_CONTENT,
        "asset_hash": "old",
        "size": 7,
        "mime_type": "image/png",
        "tags": ["input", "sub"],
        "preview_id": NOBODY,
        "preview_url": "/api/view?x",
        "user_metadata": {"filename": "sub/a.png"},
        "metadata": {"kind": "image"},
        "prompt_id": "job",
        "created_at": "2026-11-26T07:13:15.540654",
        "updated_at": "2026-11-26T08:13:15Z",
        "last_access_time": "2026-11-26T08:13:15+01:00",
        "shiny": True,
    }
    asset = read_asset(reply(told))
    assert asset == Asset(
        id=ID,
        name="a.png",
        hash=NO_CONTENT,
        size=7,
        mime_type="image/png",
        tags=("input", "sub"),
        preview_id=NOBODY,
        preview_url="/api/view?x",
        user_metadata={"filename": "sub/a.png"},
        metadata={"kind": "image"},
        job_id="job",
        created_at=datetime(2026, 11, 26, 7, 13, 15, 540654, UTC),
        updated_at=datetime(2026, 11, 26, 8, 13, 15, tzinfo=UTC),
        accessed_at=datetime(2026, 11, 26, 7, 13, 15, tzinfo=UTC),
    )
    assert asset.raw["shiny"] is True
    assert asset.reference == "sub/a.png"


def test_an_asset_of_few_words() -> None:
    assert read_asset(reply({"id": ID, "asset_hash": "x"})) == Asset(id=ID, hash="x")
    assert read_asset(reply({"id": ID})).reference is None
    assert read_asset(reply({"id": ID, "loader_path": "x"})).reference == "x"
    told = {"id": ID, "user_metadata": {"filename": "x"}, "tags": ["output", "a"]}
    assert read_asset(reply(told)).reference == "x [output]"


@pytest.mark.parametrize(
    ("status", "told", "new"), [(201, None, True), (200, None, False), (200, True, True)]
)
def test_whether_a_content_was_new(status: int, told: bool | None, new: bool) -> None:
    body = {"id": ID} if told is None else {"id": ID, "created_new": told}
    assert read_new_asset(reply(body, status)).created_new is new


NO_ASSETS: list[Any] = [
    None,
    [],
    3,
    b"",
    b"<html>",
    b'{"id": "',
    {},
    {"id": 3},
    {"id": ID, "name": 3},
    {"id": ID, "size": "big"},
    {"id": ID, "size": []},
    {"id": ID, "created_at": "yesterday"},
    {"id": ID, "created_at": 3},
]


@pytest.mark.parametrize("body", NO_ASSETS)
def test_what_is_no_asset(body: object) -> None:
    with pytest.raises(ResponseError, match=r"GET http://h/api/assets should .* an asset"):
        read_asset(reply(body))
    with pytest.raises(ResponseError, match="a page of assets"):
        read_page(reply({"assets": [body]}) if not isinstance(body, bytes) else reply(body))


@pytest.mark.parametrize(
    "body", [{}, {"assets": 3}, {"assets": None}, {"assets": [], "total": "x"}]
)
def test_what_is_no_page(body: object) -> None:
    with pytest.raises(ResponseError, match="a page of assets"):
        read_page(reply(body))


def test_infinite_sizes() -> None:
    with pytest.raises(ResponseError, match="an asset"):
        read_asset(reply(b'{"id": "x", "size": Infinity}'))


BAD_ANSWERS: list[tuple[Callable[[Reply], object], list[Any]]] = [
    (read_tags, [{}, {"tags": 3}, {"tags": [3]}, {"tags": [{"name": "x"}]}]),
    (read_counts, [{}, {"tag_counts": 3}, {"tag_counts": {"x": "y"}}]),
    (lambda reply: read_change(reply, ID), [{}, {"total_tags": 3}]),
    (read_start, [{}]),
    (read_scan, [{}, {"state": 3}, {"state": "IDLE", "progress": {"total": "x"}}]),
    (read_cancellation, [{}, {"status": 3}]),
    (read_prune, [{}, {"marked": "x"}]),
    (lambda reply: read_deletion(reply, ID), [{}]),
]


@pytest.mark.parametrize(("read", "bodies"), BAD_ANSWERS)
def test_bad_answers(read: Callable[[Reply], object], bodies: list[Any]) -> None:
    others: list[Any] = [[], None, b"<html>"]
    for body in bodies + others:
        with pytest.raises(ResponseError, match="GET http://h/api/assets should have been"):
            read(reply(body))
    for status in (500, 302):
        with pytest.raises(ResponseError, match=f"HTTP status {status}"):
            read(reply(b"", status))
    with pytest.raises(AssetError, match="INTERNAL"):
        read(refusal("INTERNAL", 500))


def test_scans() -> None:
    assert read_scan(reply({"state": "IDLE", "progress": None})) == AssetScan(running=False)
    told = {
        "state": "PAUSED",
        "progress": {"scanned": 1, "total": 4, "created": 2, "skipped": 3},
        "errors": ["bad"],
    }
    expected = AssetScan(running=True, scanned=1, total=4, created=2, skipped=3, errors=("bad",))
    assert read_scan(reply(told)) == expected
    assert read_start(reply({"status": "started"}, 202))
    running = reply({"status": "already_running"}, 409)
    assert not read_start(running)
    with pytest.raises(AssetError, match="a scan for assets is running") as caught:
        read_scan(running)
    assert caught.value.reason == "already_running"
    with pytest.raises(AssetError) as caught:
        read_prune(reply({"status": "scan_running", "marked": 0}, 409))
    assert caught.value.reason == "scan_running"


REFUSALS: list[tuple[Reply, type[ResponseError], str]] = [
    (refusal("FORBIDDEN", 403), AssetError, r"refuses GET http://h/api/assets \(HTTP status 403"),
    (refusal("SYSTEM_TAG_FORBIDDEN"), AssetError, "SYSTEM_TAG_FORBIDDEN"),
    (refusal("NEVER_HEARD_OF", 418), AssetError, "NEVER_HEARD_OF"),
    (refusal("SERVICE_DISABLED", 503), UnsupportedError, "--enable-assets"),
    (refusal("DEPENDENCY_MISSING", 503), AssetError, "DEPENDENCY_MISSING"),
    (refusal("WHO_ARE_YOU", 401), AuthenticationError, "credentials"),
    (reply(b"", 403), AuthenticationError, "credentials"),
    (refusal("TOO_LARGE", 413), RequestTooLargeError, "too large"),
    (refusal(3, 400), ResponseError, "HTTP status 400"),
    (reply(b"", 404), UnsupportedError, "does not have"),
    (reply(b"", 405), UnsupportedError, "does not have"),
    (reply(b"<html>", 502), ResponseError, "HTTP status 502"),
    (reply({"error": "slow down"}, 429), ResponseError, "slow down"),
]


@pytest.mark.parametrize(("answer", "error", "message"), REFUSALS)
def test_refusals(answer: Reply, error: type[ResponseError], message: str) -> None:
    with pytest.raises(ResponseError, match=message) as caught:
        require_success(answer)
    assert type(caught.value) is error


def test_what_is_wrong_with_a_request_is_told() -> None:
    errors: list[Any] = [
        {"loc": ["limit"], "msg": "too small"},
        {"loc": [], "msg": "odd"},
        3,
        {"loc": 3},
    ]
    with pytest.raises(AssetError, match=r"no; limit: too small; odd$") as caught:
        require_success(refusal("INVALID_QUERY", errors=errors))
    assert caught.value.reason == "INVALID_QUERY"
    assert caught.value.details == {"errors": errors}
    assert caught.value.status == 400


def test_ids_that_are_none() -> None:
    with pytest.raises(AssetError, match="'x' is no id of an asset"):
        require_success(reply(b"", 405), "x")
    with pytest.raises(UnsupportedError):
        require_success(reply(b"", 405), ID)
