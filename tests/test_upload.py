"""Uploading files, by themselves and as attachments of workflows."""

from __future__ import annotations

import io
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import prompts
import pytest
import trio
import trio.testing
from PIL import Image

from comfy_trio import (
    Comfy,
    DisconnectedError,
    FileError,
    RequestTooLargeError,
    ResponseError,
    UploadedFile,
    Workflow,
    WorkflowError,
    _content,
    open_comfy,
)
from comfy_trio._multipart import CHUNK, open_form
from comfy_trio._replies import FileForm, get
from comfy_trio._util import as_object
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer

UPLOAD = "POST /upload/image"


def png(color: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (color, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def loading(image: str = "is replaced.png") -> Workflow:
    return Workflow(
        {
            "1": prompts.node("LoadImage", image=image),
            "2": prompts.node("LoadImage", image=image),
            "8": prompts.node("PreviewImage", images=["2", 0]),
            "9": prompts.node("SaveImage", images=["1", 0], filename_prefix="up"),
        }
    )


async def ran(comfy: Comfy, workflow: Workflow) -> dict[str, Any]:
    """The prompt that the server ran, as it says itself."""
    result = await comfy.run(workflow)
    picture = await comfy.file.read(result["9"]["images"][0])
    return Workflow.from_bytes(picture).to_dict()


async def test_uploading_content(autojump_clock: MockClock, comfy: Comfy) -> None:
    first = await comfy.file.upload_image(png(), filename="a.png")
    assert first == UploadedFile("a.png", "", "input")
    assert await comfy.file.read(first.as_output()) == png()
    again = await comfy.file.upload_image(bytearray(png()), filename="a.png")
    assert again == first
    other = await comfy.file.upload_image(png(1), filename="a.png")
    assert other.reference == "a (1).png"
    over = await comfy.file.upload_image(png(2), filename="a.png", overwrite=True)
    assert over == first
    assert await comfy.file.read(first.as_output()) == png(2)
    elsewhere = await comfy.file.upload_image(
        png(3), filename="a.png", subfolder="deep/er", type="temp"
    )
    assert elsewhere == UploadedFile("a.png", "deep/er", "temp")
    assert elsewhere.reference == "deep/er/a.png [temp]"
    assert await comfy.file.read(elsewhere.as_output()) == png(3)


@pytest.mark.parametrize("size", [0, 1, CHUNK, 3 * CHUNK + 5])
async def test_uploading_a_file(
    autojump_clock: MockClock, comfy: Comfy, tmp_path: Path, size: int
) -> None:
    file = tmp_path / "Grün ☃ 'x'.bin"
    file.write_bytes(bytes(number % 251 for number in range(size)))
    for source in (file, str(file)):
        uploaded = await comfy.file.upload_image(source)
        assert uploaded.reference == file.name
        assert await comfy.file.read(uploaded.as_output()) == file.read_bytes()


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (png(), ".png"),
        (b"\xff\xd8\xff...", ".jpg"),
        (b"GIF89a...", ".gif"),
        (b"RIFF....WEBP", ".webp"),
    ],
)
async def test_a_picture_without_a_name_gets_one_by_its_content(
    autojump_clock: MockClock, comfy: Comfy, content: bytes, suffix: str
) -> None:
    first = await comfy.file.upload_image(content)
    assert first.filename.endswith(suffix)
    assert await comfy.file.upload_image(content) == first
    assert await comfy.file.upload_image(content + b"other") != first


@pytest.mark.parametrize(
    ("source", "filename", "message"),
    [
        (b"some text", None, "have no name; give filename"),
        (b"", "", "cannot be uploaded as ''"),
        (b"", "../a.png", "its name alone"),
        (b"", "a\\b.png", "its name alone"),
        (b"", "a\0b", "its name alone"),
        ("folder/", None, "cannot be uploaded as ''"),
    ],
)
def test_names_that_are_none(source: Any, filename: str | None, message: str) -> None:
    workflow = loading()
    with pytest.raises(FileError, match=message):
        workflow.attach_image("1", "image", source, filename=filename)
    assert "replaced" in workflow.to_json()


async def test_a_file_is_sent_as_browsers_send_it(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    form = FileForm((("type", "input"),), "image", 'a"\r\nb.png', b"content")
    async with open_form(form) as stream:
        body = b"".join([piece async for piece in stream])
    headers = dict(stream.headers)
    boundary = headers["Content-Type"].removeprefix("multipart/form-data; boundary=")
    assert headers["Content-Length"] == str(len(body))
    assert body.decode().split("\r\n") == [
        f"--{boundary}",
        'Content-Disposition: form-data; name="type"',
        "",
        "input",
        f"--{boundary}",
        'Content-Disposition: form-data; name="image"; filename="a%22%0D%0Ab.png"',
        "Content-Type: application/octet-stream",
        "",
        "content",
        f"--{boundary}--",
        "",
    ]


@pytest.mark.parametrize("how", ["path", "file"])
@pytest.mark.parametrize(("size", "change"), [(2 * CHUNK, "shorter"), (9 * CHUNK, "longer")])
async def test_a_file_that_changes_while_it_is_sent(
    autojump_clock: MockClock,
    comfy: Comfy,
    server: EmbeddedServer,
    tmp_path: Path,
    how: str,
    size: int,
    change: str,
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(4 * CHUNK))

    def changing(sent: int, total: int | None) -> None:
        assert total == 4 * CHUNK
        if sent == CHUNK:
            os.truncate(path, size)

    with path.open("rb") as file:
        source = file if how == "file" else path
        with pytest.raises(FileError, match=rf"'a\.bin' became {change} while it was sent"):
            await comfy.file.upload(source, progress=changing)
    await trio.testing.wait_all_tasks_blocked()
    assert not server.files.names("input")
    assert comfy._session.http.statistics().borrowed_tokens == 0


class Slow:
    """A file with an asynchronous method, as other libraries have them."""

    name = "/somewhere/slow.bin"

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    async def read(self, size: int) -> bytes:
        await trio.lowlevel.checkpoint()
        return self._file.read(min(size, 1000))


async def pieces_of(content: bytes, size: int) -> AsyncGenerator[bytes, None]:  # noqa: ASYNC900
    for start in range(0, len(content), size):
        yield content[start : start + size]
        await trio.lowlevel.checkpoint()
        yield b""


CONTENT = bytes(number % 251 for number in range(2 * CHUNK + 12345))


def fill(pipe: int) -> None:
    with open(pipe, "wb") as file:
        file.write(CONTENT)


@asynccontextmanager
async def opened(kind: str, path: Path) -> AsyncGenerator[Any, None]:
    """A source of `CONTENT`, of some kind, which is at a path, too."""
    match kind:
        case "bytes" | "bytearray" | "memoryview":
            yield {"bytes": bytes, "bytearray": bytearray, "memoryview": memoryview}[kind](CONTENT)
        case "path":
            yield path
        case "string":
            yield str(path)
        case "file":
            with path.open("rb") as file:
                yield file
        case "unbuffered file":
            with path.open("rb", buffering=0) as raw:
                yield raw
        case "BytesIO":
            yield io.BytesIO(CONTENT)
        case "trio file":
            async with await trio.open_file(path, "rb") as trio_file:
                yield trio_file
        case "wrapped file":
            yield trio.wrap_file(io.BytesIO(CONTENT))
        case "pipe":
            reading, writing = os.pipe()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, fill, writing)
                with io.FileIO(reading) as pipe:
                    yield pipe
        case "other file":
            yield Slow(CONTENT)
        case "async generator":
            yield pieces_of(CONTENT, 100_000)
        case "list":
            yield [CONTENT[:5], b"", memoryview(CONTENT)[5:], bytearray()]
        case _:
            assert kind == "generator"
            yield (CONTENT[start : start + 7000] for start in range(0, len(CONTENT), 7000))


SIZED = (
    *("bytes", "bytearray", "memoryview", "path", "string", "file", "unbuffered file", "BytesIO"),
    *("trio file", "wrapped file"),
)
UNSIZED = ("pipe", "other file", "async generator", "list", "generator")


@pytest.mark.parametrize("kind", [*SIZED, *UNSIZED])
async def test_all_kinds_of_sources(
    autojump_clock: MockClock, comfy: Comfy, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    told: list[tuple[int, int | None]] = []

    def tell(sent: int, total: int | None) -> None:
        told.append((sent, total))

    async with opened(kind, path) as source:
        uploaded = await comfy.file.upload(source, filename="b.bin", progress=tell)
    assert await comfy.file.read(uploaded) == CONTENT
    total = None if kind in UNSIZED else len(CONTENT)
    assert told[0] == (0, total)
    assert told[-1] == (len(CONTENT), total)
    assert told == sorted(told, key=lambda each: each[0])
    assert len(told) > 2


@pytest.mark.parametrize("kind", [*SIZED, *UNSIZED])
async def test_all_kinds_of_sources_over_tcp(
    server: EmbeddedServer, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    with trio.fail_after(60):
        async with server.listen() as url, open_comfy(url) as comfy, opened(kind, path) as source:
            uploaded = await comfy.file.upload(source, filename="b.bin")
            assert await comfy.file.read(uploaded) == CONTENT


async def test_open_files_have_names_and_stay_open(
    autojump_clock: MockClock, comfy: Comfy, tmp_path: Path
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        file.seek(4)
        uploaded = await comfy.file.upload(file)
        assert uploaded.filename == "a.bin"
        assert await comfy.file.read(uploaded) == b"456789"
        assert file.read() == b""
        assert (await comfy.file.upload(file, filename="empty")).filename == "empty"
    async with await trio.open_file(path, "rb") as trio_file:
        assert (await comfy.file.upload(trio_file, overwrite=True)).filename == "a.bin"
    assert (await comfy.file.upload(Slow(b"1"))).filename == "slow.bin"
    for nameless in (io.BytesIO(), pieces_of(b"", 1), [b""]):
        with pytest.raises(FileError, match="has no name; give filename="):
            await comfy.file.upload(nameless)


def closed_file() -> Any:
    file = io.BytesIO()
    file.close()
    return file


async def test_what_cannot_be_read_is_told_before_anything_is_sent(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    before = server.statistics().requests
    with path.open() as text, path.open("ab") as writing, path.open("rb") as shut:
        shut.close()
        sources: list[tuple[Any, type[Exception], str]] = [
            (tmp_path / "none.png", FileNotFoundError, r"none\.png"),
            (tmp_path, IsADirectoryError, str(tmp_path)),
            (fifo, FileError, "is no regular file"),
            (path / "below", NotADirectoryError, "below"),
            (text, FileError, "is open as text: open it in binary mode"),
            (io.StringIO("text"), FileError, "is open as text"),
            (writing, FileError, "cannot be read: .*not readable|cannot be read: read"),
            (shut, FileError, "cannot be read: .*closed"),
            (closed_file(), FileError, "cannot be read: .*closed"),
            (3, FileError, "cannot be read from a int: give bytes, a path, an open file"),
        ]
        for source, error, message in sources:
            with pytest.raises(error, match=message):
                await comfy.file.upload(source, filename="a.png")
    with pytest.raises(FileError, match="there is no folder 'models': the type is input, output"):
        await comfy.file.upload(b"", filename="a.png", type="models")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert server.statistics().requests == before


async def test_a_file_that_is_not_ours_to_read(
    autojump_clock: MockClock,
    comfy: Comfy,
    server: EmbeddedServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(path: str, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    path = tmp_path / "a.png"
    path.write_bytes(b"")
    monkeypatch.setattr(_content, "open", refuse, raising=False)  # root may read everything
    with pytest.raises(PermissionError, match=r"a\.png"):
        await comfy.file.upload(path)
    assert UPLOAD not in server.statistics().requests


class Failing(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= CHUNK:
            raise OSError("the disk is broken")
        return super().read(size)


class NonBlocking(io.BytesIO):
    def read(self, size: int | None = -1, /) -> Any:
        return super().read(size) or None if size else b""


async def test_sources_that_fail_on_the_way(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    received = httpx.ReadError("another server hung up")

    async def relayed() -> AsyncGenerator[bytes, None]:  # noqa: ASYNC900
        yield b"some"
        raise received

    def failing_progress(sent: int, total: int | None) -> None:
        raise LookupError(f"{sent} of {total}")

    sources: list[tuple[Any, type[Exception], str]] = [
        (Failing(bytes(3 * CHUNK)), OSError, "the disk is broken"),
        (NonBlocking(), FileError, "gave a NoneType, not bytes: it may be open without blocking"),
        (relayed(), httpx.ReadError, "another server hung up"),
        ([b"1", "2"], FileError, "the pieces of 'a' are bytes; one is a str"),
        (iter([b"1", 2]), FileError, "the pieces of 'a' are bytes; one is a int"),
    ]
    for source, error, message in sources:
        with pytest.raises(error, match=message):
            await comfy.file.upload(source, filename="a", progress=None)
    with pytest.raises(LookupError, match="0 of 5"):
        await comfy.file.upload(b"12345", filename="a", progress=failing_progress)
    await trio.testing.wait_all_tasks_blocked()
    assert not server.files.names("input")
    assert comfy._session.http.statistics().borrowed_tokens == 0


async def test_an_async_generator_is_closed_whatever_happens(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    closed: list[str] = []

    async def endless(name: str) -> AsyncGenerator[bytes, None]:  # noqa: ASYNC900
        try:
            while True:
                yield b"x" * 1000
                await trio.sleep(1)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.1)
            closed.append(name)

    with trio.move_on_after(5):
        await comfy.file.upload(endless("cancelled"), filename="a")
    server.faults.break_connection(UPLOAD, received=5000)
    with pytest.raises(DisconnectedError):
        await comfy.file.upload(endless("broken"), filename="a")

    def fail(sent: int, total: int | None) -> None:
        if sent:
            raise LookupError("told of progress")

    with pytest.raises(LookupError, match="told of progress"):
        await comfy.file.upload(endless("failed"), filename="a", progress=fail)
    assert closed == ["cancelled", "broken", "failed"]


def test_only_what_can_be_read_again_can_be_attached() -> None:
    for source in (io.BytesIO(), [b""]):
        unfit: Any = source
        with pytest.raises(FileError, match="cannot be attached, since a workflow may be run ag"):
            loading().attach_image("1", "image", unfit, filename="a.png")
        with pytest.raises(FileError, match="cannot be attached"):
            loading().attach_folder("x", {"a.png": unfit})
    loading().attach_image("1", "image", memoryview(png()))


async def test_what_the_server_says_of_an_upload(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    with pytest.raises(FileError, match=r"refuses to store 'a\.png' \(subfolder '\.\./\.\.'"):
        await comfy.file.upload_image(png(), filename="a.png", subfolder="../..")
    for body in (b"[]", b"{}", b'{"name": ""}', b'{"name": 3}'):
        server.faults.answer(UPLOAD, 200, body)
        with pytest.raises(ResponseError, match="the name of the uploaded file"):
            await comfy.file.upload_image(png())
    server.faults.answer(UPLOAD, 200, b'{"name": "b.png", "subfolder": "a\\\\b", "type": null}')
    assert (await comfy.file.upload_image(png())).reference == "a/b/b.png"
    server.faults.break_connection(UPLOAD)
    with pytest.raises(DisconnectedError):
        await comfy.file.upload_image(png())


async def test_a_file_that_is_too_large(autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server(max_upload_size=1000) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        with pytest.raises(RequestTooLargeError):
            await comfy.file.upload_image(bytes(2000), filename="a.bin")


async def test_an_attached_file_is_uploaded_and_named(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path
) -> None:
    file = tmp_path / "a.png"
    workflow = loading().attach_image("1", "image", file, subfolder="mine")
    workflow.attach_image("2", "image", png(9))
    before = workflow.to_dict()
    for number in range(2):  # it is read with each run
        file.write_bytes(png(number))
        sent = await ran(comfy, workflow)
        assert sent["1"]["inputs"]["image"] == ["mine/a.png", "mine/a (1).png"][number]
        assert sent["2"]["inputs"]["image"].endswith(".png")
    assert workflow.to_dict() == before
    assert server.statistics().requests[UPLOAD] == 4


async def test_a_file_that_is_attached_twice_is_uploaded_once(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path
) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(png())
    workflow = loading().attach_image("1", "image", file).attach_image("2", "image", str(file))
    sent = await ran(comfy, workflow)
    assert sent["1"]["inputs"] == sent["2"]["inputs"] == {"image": "a.png"}
    assert server.statistics().requests[UPLOAD] == 1


async def test_what_is_not_needed_is_not_uploaded(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    await comfy.file.upload_image(png(), filename="a.png")
    set_later = loading("a.png").attach_image("1", "image", png(1)).set("1.inputs.image", "a.png")
    assert (await ran(comfy, set_later))["1"]["inputs"]["image"] == "a.png"
    set_later = loading("a.png").attach_image("1", "image", png(1)).input("1", "image", "a.png")
    await comfy.run(set_later)
    bypassed = loading("a.png").attach_image("2", "image", png(1)).bypass("2", "8")
    await comfy.run(bypassed)
    around = loading("a.png").input("9", "images", ["3", 0])
    around._prompt["3"] = prompts.node("ImageInvert", image=["1", 0])
    sent = await ran(comfy, around.bypass("3").attach_image("3", "image", png(1)))
    assert sent["9"]["inputs"]["images"] == ["1", 0]
    assert server.statistics().requests[UPLOAD] == 1
    replaced = loading("a.png").attach_image("1", "image", png(1), filename="1.png")
    replaced.attach_image("1", "image", png(2), filename="2.png")
    assert (await ran(comfy, replaced.copy()))["1"]["inputs"]["image"] == "2.png"
    assert server.statistics().requests[UPLOAD] == 2


async def test_attaching_a_folder(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(png(number))
    workflow = Workflow(prompts.image())
    workflow.attach_folder("set", sorted(tmp_path.iterdir()))
    workflow.attach_folder("set", {"3.png": png(3), "0 too.png": tmp_path / "0.png"})
    await comfy.run(workflow.copy())
    for number, name in enumerate(["0.png", "1.png", "2.png", "3.png"]):
        there = {"filename": name, "subfolder": "set", "type": "input"}
        assert await comfy.file.read(there) == png(number)
    assert server.statistics().requests[UPLOAD] == 5


@pytest.mark.parametrize("files", ["pictures", b"pictures", Path("pictures")])
def test_a_folder_is_not_its_path(files: Any) -> None:
    with pytest.raises(WorkflowError, match=r"^attach_folder\('set', \.\.\.\): files are several"):
        loading().attach_folder("set", files)


async def test_a_name_in_another_encoding(
    autojump_clock: MockClock, comfy: Comfy, tmp_path: Path
) -> None:
    file = tmp_path / os.fsdecode(b"caf\xe9.png")
    file.write_bytes(png())
    with pytest.raises(FileError, match="not all text: give another name, as filename="):
        loading().attach_image("1", "image", file)
    with pytest.raises(FileError, match="not all text"):
        await comfy.file.upload_image(png(), subfolder="\udce9")
    workflow = loading().attach_image("1", "image", file, filename="café.png").bypass("2", "8")
    assert (await ran(comfy, workflow))["1"]["inputs"]["image"] == "café.png"


async def test_a_file_is_attached_to_an_input_that_has_no_value(
    autojump_clock: MockClock, comfy: Comfy
) -> None:
    # Nor may the value that it replaces stand in the way: here a link to nowhere.
    workflow = loading().bypass("2", "8").input("1", "image", ["77", 0])
    del workflow._prompt["2"]["inputs"]["image"]
    workflow.attach_image("1", "image", png(), filename="a.png", subfolder="b\\c")
    assert workflow.resolved_prompt({})["1"]["inputs"] == {"image": "b/c/a.png"}
    for _ in range(2):  # the second time, the client judges what it sends
        assert (await ran(comfy, workflow))["1"]["inputs"]["image"] == "b/c/a.png"
        assert (await comfy.validate(workflow)).accepted


async def test_a_workflow_that_changes_while_it_is_sent(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.slow(UPLOAD, 1.0)
    workflow = loading().attach_image("1", "image", png(), filename="a.png").bypass("2", "8")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(comfy.run, workflow)
        await trio.testing.wait_all_tasks_blocked()
        workflow.attach_image("2", "image", png(9)).reinstate("2", "8").output("9")
        workflow.attach_image("1", "image", png(9)).set("9.inputs.filename_prefix", "changed")
    (item,) = as_object((await comfy._session.http.request(get("/history"))).json()).values()
    sent = item["prompt"][2]
    assert sorted(sent) == ["1", "9"]
    assert sent["1"]["inputs"] == {"image": "a.png"}
    assert sent["9"]["inputs"]["filename_prefix"] == "up"


def test_attaching_to_no_node() -> None:
    with pytest.raises(WorkflowError, match="there is no node '77'"):
        loading().attach_image("77", "image", png())


def test_files_are_no_json() -> None:
    for workflow in (
        loading().attach_image("1", "image", png()),
        loading().attach_folder("a", {"b.png": png()}),
    ):
        with pytest.raises(WorkflowError, match="files are attached"):
            workflow.to_json()


async def test_files_that_would_overwrite_each_other(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    workflow = loading().attach_image("1", "image", png(1), filename="a.png", overwrite=True)
    workflow.attach_image("2", "image", png(2), filename="a.png")
    with pytest.raises(WorkflowError, match=r"two different files are attached as 'a\.png'"):
        await comfy.run(workflow)
    assert UPLOAD not in server.statistics().requests
    workflow.attach_image("1", "image", png(1), filename="a.png")
    sent = await ran(comfy, workflow)
    names = {sent[node_id]["inputs"]["image"] for node_id in "12"}
    assert names == {"a.png", "a (1).png"}


async def test_an_upload_that_fails_ends_the_run_before_it_begins(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path
) -> None:
    missing = loading().attach_image("1", "image", tmp_path / "none.png")
    missing.attach_image("2", "image", png())
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        await comfy.run(missing)
    server.faults.answer(UPLOAD, 500, times=9)
    both = loading().attach_image("1", "image", png(1)).attach_image("2", "image", png(2))
    with pytest.raises(ResponseError, match="HTTP status 500"):
        await comfy.run(both)
    assert "POST /prompt" not in server.statistics().requests


async def test_cancelled_while_it_uploads(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path
) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(png())
    server.faults.hang(UPLOAD, times=2)
    workflow = loading().attach_image("1", "image", png(1)).attach_image("2", "image", file)
    with trio.move_on_after(5) as deadline:
        await comfy.run(workflow)
    assert deadline.cancelled_caught
    assert comfy._session.http.statistics().borrowed_tokens == 0
    assert "POST /prompt" not in server.statistics().requests
    server.faults.clear()
    await comfy.run(workflow)


async def test_no_more_uploads_at_once_than_requests(autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server() as server,
        open_comfy(server.url, transport=server.transport, max_requests=2) as comfy,
    ):
        server.faults.slow(UPLOAD, 1.0)
        workflow = Workflow(prompts.image())
        workflow.attach_folder("many", {f"{number}.png": png(number) for number in range(6)})
        started = trio.current_time()
        await comfy.submit(workflow)
        assert trio.current_time() - started == pytest.approx(3.0)
