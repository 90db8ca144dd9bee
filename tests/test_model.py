"""`Comfy.model`: files of models at the server."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from bad_replies import check_refuses, check_refuses_bad_replies, reply_to
from model_files import picture, safetensors

from comfy_trio import (
    Comfy,
    ModelFile,
    ModelFolder,
    NotFoundError,
    ResponseError,
    UnsupportedError,
    open_comfy,
)
from comfy_trio._routes._model import (
    FOLDER_NAMES,
    FOLDERS,
    file_names_request,
    files_request,
    metadata_request,
    preview_request,
    read_files,
    read_folders,
    read_metadata,
    read_preview,
)
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer

FILES = files_request("loras")
FILE = ModelFile("loras", "a.safetensors")


# Requests


def test_requests() -> None:
    assert files_request("my models/x").path == "/api/experiment/models/my%20models%2Fx"
    assert file_names_request("..").path == "/api/models/%2E%2E"
    odd = ModelFile("my models", "sub dir/../ü%20 #1.safetensors", 2)
    assert preview_request(odd).path == (
        "/api/experiment/models/preview/my%20models/2/sub%20dir/%2E%2E/%C3%BC%2520%20%231.safetensors"
    )
    assert metadata_request(odd).path == "/api/view_metadata/my%20models"
    assert metadata_request(odd).params == (("filename", odd.name),)


# Reading


def test_bad_replies() -> None:
    check_refuses_bad_replies(read_folders, FOLDERS)
    check_refuses_bad_replies(read_folders, FOLDER_NAMES)
    check_refuses_bad_replies(lambda reply: read_files(reply, "loras"), FILES)
    check_refuses_bad_replies(read_preview, preview_request(FILE))
    check_refuses_bad_replies(read_metadata, metadata_request(FILE))
    check_refuses(read_metadata, metadata_request(FILE), [])


@pytest.mark.parametrize("body", [{}, [7], [None], [{}], [{"name": 7}], ["a", {"folders": []}]])
def test_what_are_no_folders_and_no_files(body: Any) -> None:
    check_refuses(read_folders, FOLDERS, body)
    check_refuses(lambda reply: read_files(reply, "loras"), FILES, body)


def test_folders() -> None:
    body: list[Any] = [
        {"name": "loras", "folders": ["/a", "/b"], "extensions": [".pt"]},
        {"name": "vae", "folders": None},
        {"name": "gligen", "folders": ["/c", 7]},
        "plain",
    ]
    folders = read_folders(reply_to(FOLDERS, body))
    assert folders == (
        ModelFolder("loras", ("/a", "/b")),
        ModelFolder("vae"),
        ModelFolder("gligen", ("/c",)),
        ModelFolder("plain"),
    )
    assert folders[0].raw == body[0]
    assert len(set(folders)) == 4


def test_files() -> None:
    entry = {
        "name": "sub/a.safetensors",
        "pathIndex": 1,
        "modified": 1700000000.25,
        "created": 1700000000,
        "size": 145,
        "new": True,
    }
    found, named = read_files(reply_to(FILES, [entry, "b.pt"]), "loras")
    assert found == ModelFile(
        "loras",
        "sub/a.safetensors",
        1,
        145,
        datetime(2023, 11, 14, 22, 13, 20, 250000, UTC),
        datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
    )
    assert found.raw == entry
    assert named == ModelFile("loras", "b.pt")
    assert len({found, named}) == 2


@pytest.mark.parametrize("value", [None, "1", True, math.nan, math.inf, -1e300, 10**400, [], {}])
def test_odd_numbers_are_as_good_as_none(value: object) -> None:
    keys = ("pathIndex", "size", "modified", "created")
    entry = {"name": "a", **dict.fromkeys(keys, value)}
    assert read_files(reply_to(FILES, [entry]), "loras") == (ModelFile("loras", "a"),)


def test_a_time_that_no_calendar_has() -> None:
    (file,) = read_files(reply_to(FILES, [{"name": "a", "modified": 2**62}]), "loras")
    assert file.modified is None


def test_previews() -> None:
    request = preview_request(FILE)
    preview = read_preview(reply_to(request, b"RIFF", 200, "Image/WEBP; charset=x"))
    assert preview is not None
    assert (preview.content, preview.content_type) == (b"RIFF", "image/webp")
    assert "RIFF" not in repr(preview)
    assert read_preview(reply_to(request, b"", 404)) is None
    for content, content_type in ((b"", "image/webp"), (b"...", ""), (b"<html>", "text/html")):
        with pytest.raises(ResponseError, match="should have been answered with a picture"):
            read_preview(reply_to(request, content, 200, content_type))


def test_metadata() -> None:
    request = metadata_request(FILE)
    assert read_metadata(reply_to(request, {"a": "b", "c": 1})) == {"a": "b", "c": 1}
    assert read_metadata(reply_to(request, b"", 404)) is None


# Asking


@pytest.fixture
def loras(server: EmbeddedServer) -> Path:
    folder = server.files.root / "models" / "loras"
    (folder / "sub dir").mkdir(parents=True)
    return folder


@pytest.mark.parametrize("version", ["0.3.45", "0.3.64", "0.27.0"])
async def test_every_listed_file_can_be_asked_about(
    version: str, autojump_clock: MockClock
) -> None:
    async with (
        open_embedded_server(version=version) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        folders = await comfy.model.folders()
        assert ("loras", (str(server.files.root / "models" / "loras"),)) in [
            (folder.name, folder.paths) for folder in folders
        ]
        files = [file for folder in folders for file in await comfy.model.files(folder.name)]
        assert {file.folder for file in files} > {"checkpoints"}
        for file in files:
            assert file.size == 0
            assert await comfy.model.preview(file) is None
            assert await comfy.model.metadata(file) is None


async def test_files_on_disk(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, loras: Path
) -> None:
    name = "sub dir/ü%20 #1.safetensors"
    (loras / name).write_bytes(safetensors({"a": "b"}))
    (loras / name).with_suffix(".preview.png").write_bytes(picture("red"))
    (loras / "notes.txt").write_bytes(b"")
    [file] = [each for each in await comfy.model.files("loras") if each.size]
    stat = (loras / name).stat()
    assert (file.name, file.size, file.path_index) == (name, stat.st_size, 0)
    assert file.modified == datetime.fromtimestamp(stat.st_mtime, UTC)
    assert await comfy.model.metadata(file) == {"a": "b"}
    preview = await comfy.model.preview(file)
    assert preview is not None
    assert preview.content_type == "image/webp"
    assert preview.content.startswith(b"RIFF")
    url = comfy.model.preview_url(file)
    assert url == f"{server.url}{preview_request(file).path}"


async def test_a_file_that_the_server_cannot_read(
    autojump_clock: MockClock, comfy: Comfy, loras: Path
) -> None:
    (loras / "broken.safetensors").write_bytes(b"...")
    file = ModelFile("loras", "broken.safetensors")
    for ask in (comfy.model.preview, comfy.model.metadata):
        with pytest.raises(ResponseError, match="HTTP status 500"):
            await ask(file)


async def test_a_folder_that_is_not_there(autojump_clock: MockClock, comfy: Comfy) -> None:
    with pytest.raises(NotFoundError) as caught:
        await comfy.model.files("lora")
    assert str(caught.value) == ("the server has no folder of models 'lora'. Did you mean 'loras'?")
    assert caught.value.status == 404
    for name in ("?", ""):
        with pytest.raises(NotFoundError, match=r"of models '\??'\. It has checkpoints, loras, "):
            await comfy.model.files(name)
    assert await comfy.model.preview(ModelFile("lora", "a.safetensors")) is None
    assert await comfy.model.metadata(ModelFile("lora", "a.safetensors")) is None


async def test_servers_without_the_newer_routes(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    for route in ("GET /experiment/models", "GET /experiment/models/{folder}"):
        server.faults.answer(route, 404, times=math.inf)
    folders = await comfy.model.folders()
    assert ModelFolder("checkpoints") in folders
    files = await comfy.model.files("checkpoints")
    assert ModelFile("checkpoints", "sd15.safetensors") in files
    with pytest.raises(NotFoundError, match="Did you mean 'checkpoints'"):
        await comfy.model.files("checkpoint")


async def test_servers_without_any_route(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.answer("*", 404, times=math.inf)
    with pytest.raises(UnsupportedError, match=r"GET .*/api/models was answered with HTTP"):
        await comfy.model.folders()
    with pytest.raises(UnsupportedError):
        await comfy.model.files("loras")


async def test_trouble_is_no_reason_to_ask_elsewhere(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.answer("GET /experiment/models", 502, "<html>")
    with pytest.raises(ResponseError, match="502"):
        await comfy.model.folders()
    server.faults.answer("GET /experiment/models/{folder}", 500)
    with pytest.raises(ResponseError, match="500"):
        await comfy.model.files("loras")
    assert "GET /models" not in server.statistics().requests
