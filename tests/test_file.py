"""Files at the server: downloads of all kinds, and masks; for other uploads see `test_upload`."""

from __future__ import annotations

import gc
import io
import json
import math
import os
import random
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import prompts
import pytest
import trio
from PIL import Image

from comfy_trio import (
    Comfy,
    DisconnectedError,
    FileError,
    FileStream,
    ResponseError,
    UnsupportedError,
    UploadedFile,
    open_comfy,
)
from comfy_trio._download import FIRST_PAUSE, TRIES
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer

VIEW = "GET /view"
CONTENT = random.Random(0).randbytes(3 * 2**20 + 17)
FILE = {"filename": "f.bin", "subfolder": "", "type": "output"}


@pytest.fixture
def stored(server: EmbeddedServer) -> bytes:
    """`FILE` is at the server, with this content."""
    server.files.upload("f.bin", CONTENT, kind="output")
    return CONTENT


def png(color: tuple[int, ...] = (1, 2, 3), mode: str = "RGB", size: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (size, size), color).save(stream, "PNG")
    return stream.getvalue()


def names_in(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def told() -> tuple[list[tuple[int, int | None]], Callable[[int, int | None], None]]:
    calls: list[tuple[int, int | None]] = []

    def tell(received: int, total: int | None) -> None:
        calls.append((received, total))

    return calls, tell


async def test_a_file_that_is_gone(autojump_clock: MockClock, comfy: Comfy, tmp_path: Path) -> None:
    file = {"filename": "gone.png", "subfolder": "", "type": "output"}
    for attempt in (comfy.file.read(file), comfy.file.download(file, tmp_path)):
        with pytest.raises(FileError, match=r"no file 'gone\.png'"):
            await attempt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", [{}, {"filename": ""}, {"filename": 3}])
async def test_what_names_no_file(
    autojump_clock: MockClock, comfy: Comfy, file: dict[str, Any]
) -> None:
    with pytest.raises(FileError, match="names no file"):
        await comfy.file.read(file)
    with pytest.raises(FileError, match="names no file"):
        comfy.file.url(file)


@pytest.mark.parametrize(
    ("filename", "written"),
    [
        ("../../evil.png", "evil.png"),
        ("/etc/passwd", "passwd"),
        ("a\\..\\b.png", "b.png"),
        ("..", None),
        ("x/", None),
        ("a\0b", None),
    ],
)
async def test_no_name_leads_out_of_the_directory(
    autojump_clock: MockClock,
    comfy: Comfy,
    server: EmbeddedServer,
    tmp_path: Path,
    filename: str,
    written: str | None,
) -> None:
    server.faults.answer(VIEW, 200, b"content", content_type="image/png")
    target = tmp_path / "out"
    target.mkdir()
    if written is None:
        with pytest.raises(FileError, match="no name for one here"):
            await comfy.file.download({"filename": filename}, target)
        assert list(target.iterdir()) == []
    else:
        path = await comfy.file.download({"filename": filename}, target)
        assert Path(path) == target / written
        assert [child.name for child in target.iterdir()] == [written]
    assert list(tmp_path.iterdir()) == [target]


async def test_a_download_that_breaks_leaves_nothing(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path
) -> None:
    result = await comfy.run(prompts.image())
    (file,) = result["9"]["images"]
    old = tmp_path / file["filename"]
    old.write_bytes(b"old")
    server.faults.hang(VIEW)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(comfy.file.download, file, tmp_path)
        # Deadlines are no use here: virtual time does not wait for the threads that touch files.
        while VIEW not in server.statistics().requests:  # noqa: ASYNC110
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert old.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [old]
    await comfy.file.download(file, tmp_path)
    assert struct.unpack(">I", old.read_bytes()[16:20]) == (64,)  # the PNG's width


# --- Reading and streaming ------------------------------------------------------------------------


async def test_reading_with_progress(
    autojump_clock: MockClock, comfy: Comfy, stored: bytes
) -> None:
    calls, tell = told()
    assert await comfy.file.read(FILE, progress=tell) == stored
    assert calls[0] == (0, len(stored))
    assert calls[-1] == (len(stored), len(stored))
    assert calls == sorted(set(calls))
    assert len(calls) > 10


async def test_streaming(autojump_clock: MockClock, comfy: Comfy, stored: bytes) -> None:
    async with comfy.file.open_stream(FILE) as stream:
        assert isinstance(stream, FileStream)
        assert repr(stream) == f"<FileStream 'f.bin [output]' [0 of {len(stored)} bytes]>"
        assert (stream.name, stream.size) == ("f.bin", len(stored))
        assert stream.content_type == "application/octet-stream"
        got = bytearray()
        async for chunk in stream:
            got += chunk
            assert stream.received == len(got)
        assert got == stored
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
    async with comfy.file.open_stream(FILE) as stream:
        pass
    with pytest.raises(trio.ClosedResourceError, match="block around this stream is over"):
        await anext(stream)
    with pytest.raises(TypeError, match="no public constructor"):
        FileStream()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def test_several_streams_in_one_task_and_one_stream_in_several_tasks(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, stored: bytes
) -> None:
    server.faults.break_connection(VIEW, sent=100_000, times=2)
    async with comfy.file.open_stream(FILE) as one, comfy.file.open_stream(FILE) as other:
        contents: dict[FileStream, bytes] = {}

        async def read(stream: FileStream) -> None:
            contents[stream] = b"".join([chunk async for chunk in stream])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, one)
            nursery.start_soon(read, other)
        assert contents == {one: stored, other: stored}
        assert comfy._session.http.statistics().borrowed_tokens == 2
    assert comfy._session.http.statistics().borrowed_tokens == 0


@pytest.mark.parametrize("over_tcp", [False, True])
@pytest.mark.parametrize("chunks", [0, 1, 2, 5])
async def test_a_stream_that_is_left_early(
    server: EmbeddedServer, stored: bytes, over_tcp: bool, chunks: int
) -> None:
    """Not even a generator is left, which trio would report when it is collected."""
    async with server.listen() as url:
        async with open_comfy(
            url if over_tcp else server.url, transport=None if over_tcp else server.transport
        ) as comfy:
            for _ in range(3):
                async with comfy.file.open_stream(FILE) as stream:
                    for _ in range(chunks):
                        await anext(stream)
                gc.collect()
            assert comfy._session.http.statistics().borrowed_tokens == 0


async def test_what_uploads_return_names_a_file(autojump_clock: MockClock, comfy: Comfy) -> None:
    uploaded = await comfy.file.upload(b"...", filename="a.bin", type="temp", subfolder="x")
    assert await comfy.file.read(uploaded) == b"..."
    assert comfy.file.url(uploaded) == comfy.file.url(uploaded.as_output())


async def test_whether_a_file_is_there(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, stored: bytes
) -> None:
    assert await comfy.file.exists(FILE)
    assert not await comfy.file.exists({**FILE, "type": "temp"})
    with pytest.raises(FileError, match="for no file of its"):
        await comfy.file.exists({**FILE, "type": "models"})
    server.faults.answer(VIEW, 502)
    with pytest.raises(ResponseError, match="502"):
        await comfy.file.exists(FILE)
    server.faults.answer(VIEW, 302)
    assert await comfy.file.exists(FILE)
    server.faults.break_connection(VIEW)
    assert await comfy.file.exists(FILE)


@pytest.mark.parametrize(
    "file",
    [
        {**FILE, "type": "models"},
        {**FILE, "subfolder": "../.."},
        {**FILE, "subfolder": "/etc"},
        {**FILE, "filename": "../f.bin"},
    ],
)
async def test_names_that_the_server_does_not_take(
    autojump_clock: MockClock, comfy: Comfy, file: dict[str, Any]
) -> None:
    with pytest.raises(FileError, match=r"the server takes .* for no file of its"):
        await comfy.file.read(file)


async def test_previews_and_channels(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path
) -> None:
    server.files.upload("p.q.png", png((1, 2, 3, 77), "RGBA"), kind="output")
    file = {"filename": "p.q.png"}
    for options, format, mode, name in (  # noqa: A001
        ({"preview": "webp"}, "WEBP", "RGBA", "p.q.webp"),
        ({"preview": "jpeg;80"}, "JPEG", "RGB", "p.q.jpg"),
        ({"channel": "rgb"}, "PNG", "RGB", "p.q.png"),
        ({"channel": "a"}, "PNG", "RGBA", "p.q.png"),
        ({}, "PNG", "RGBA", "p.q.png"),
    ):
        chosen: Any = options
        picture = Image.open(io.BytesIO(await comfy.file.read(file, **chosen)))
        assert (picture.format, picture.mode) == (format, mode)
        assert (await comfy.file.image(file, **chosen)).mode == mode
        assert (await comfy.file.download(file, tmp_path, **chosen)).name == name
        async with comfy.file.open_stream(file, **chosen) as stream:
            assert stream.name == name
        query = parse_qs(urlsplit(comfy.file.url(file, **chosen)).query)
        assert {key: query[key][0] for key in chosen} == chosen
    for wrong in ("png", "webp;0", "webp;101", "jpeg;"):
        with pytest.raises(FileError, match=r"there is no preview .*: it is 'webp' or 'jpeg'"):
            comfy.file.url(file, preview=wrong)
    unknown: Any = "r"
    with pytest.raises(FileError, match="there is no channel 'r': it is 'rgb' or 'a'"):
        await comfy.file.read(file, channel=unknown)


async def test_pictures(
    autojump_clock: MockClock,
    comfy: Comfy,
    server: EmbeddedServer,
    monkeypatch: pytest.MonkeyPatch,
    stored: bytes,
) -> None:
    uploaded = await comfy.file.upload(png((9, 8, 7)))
    picture = await comfy.file.image(uploaded)
    assert picture.getpixel((3, 3)) == (9, 8, 7)
    with pytest.raises(FileError, match=r"'f\.bin \[output\]' is no picture that Pillow can read"):
        await comfy.file.image(FILE)
    cut = await comfy.file.upload(png(size=99)[:-30], filename="cut.png")
    with pytest.raises(FileError, match=r"'cut\.png' is no picture that Pillow can read"):
        await comfy.file.image(cut)
    before = server.statistics().requests[VIEW]
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match="not installed: pip install pillow"):
        await comfy.file.image(uploaded)
    assert server.statistics().requests[VIEW] == before


async def test_a_file_by_its_hash(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path
) -> None:
    file = {"filename": "blake3:abc"}
    assert "filename=blake3%3Aabc" in comfy.file.url(file)
    with pytest.raises(FileError, match="no file 'blake3:abc'"):
        await comfy.file.read(file)

    def handler(request: httpx.Request) -> httpx.Response:
        named = {"content-disposition": 'filename="../gr\u00fcn "1".png"'.encode()}
        return httpx.Response(200, content=b"...", headers=named.items())  # type: ignore[arg-type]

    monkey = comfy._session.http
    monkey._transport = httpx.MockTransport(handler)
    assert (await comfy.file.download(file, tmp_path)).name == 'gr\u00fcn "1".png'


@pytest.mark.parametrize(
    ("status", "body", "content_type", "message"),
    [
        (200, b"<html>Log in</html>", "text/html; charset=utf-8", "answered with the content of a"),
        (204, b"", "", "answered with the content of a file"),
        (206, b"...", "image/png", "answered with the content of a file"),
        (500, b"trouble", "text/plain", "HTTP status 500: trouble"),
        (502, b"<html>", "text/html", "HTTP status 502: <html>"),
    ],
)
async def test_answers_that_are_no_files(
    autojump_clock: MockClock,
    comfy: Comfy,
    server: EmbeddedServer,
    tmp_path: Path,
    status: int,
    body: bytes,
    content_type: str,
    message: str,
) -> None:
    for attempt in (
        lambda: comfy.file.read(FILE),
        lambda: comfy.file.download(FILE, tmp_path / "new" / "f.bin"),
        lambda: comfy.file.download_all([FILE], tmp_path),
    ):
        server.faults.answer(VIEW, status, body, content_type=content_type)
        with pytest.raises(ResponseError, match=message) as caught:
            await attempt()
        assert "/api/view?" in caught.value.url
    assert names_in(tmp_path) == []


# --- Connections that break -----------------------------------------------------------------------


@pytest.mark.parametrize("sent", [0, 1, 65536, 1_000_000, len(CONTENT) - 1])
async def test_downloads_go_on_where_they_broke_off(
    autojump_clock: MockClock,
    comfy: Comfy,
    server: EmbeddedServer,
    tmp_path: Path,
    stored: bytes,
    sent: int,
) -> None:
    server.faults.break_connection(VIEW, sent=sent)
    calls, tell = told()
    path = await comfy.file.download(FILE, tmp_path, progress=tell)
    assert await path.read_bytes() == stored
    assert names_in(tmp_path) == ["f.bin"]
    assert server.statistics().requests[VIEW] == 2
    assert calls[-1] == (len(stored), len(stored))
    server.faults.break_connection(VIEW, sent=sent)
    assert await comfy.file.read(FILE) == stored
    server.faults.break_connection(VIEW, sent=sent)
    async with comfy.file.open_stream(FILE) as stream:
        assert b"".join([chunk async for chunk in stream]) == stored


async def test_what_came_is_not_asked_for_again(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, stored: bytes
) -> None:
    # Each connection carries a tenth of it: only parts that are put together make the whole.
    server.faults.break_connection(VIEW, sent=len(stored) // 10, times=20)
    assert await comfy.file.read(FILE) == stored
    assert server.statistics().requests[VIEW] == 11


async def test_it_is_given_up_when_nothing_more_comes(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path, stored: bytes
) -> None:
    server.faults.break_connection(VIEW, sent=100_000)
    server.faults.break_connection(VIEW, sent=0, times=math.inf)
    with pytest.raises(DisconnectedError, match="the connection broke during GET"):
        await comfy.file.read(FILE)
    assert server.statistics().requests[VIEW] == 1 + TRIES
    assert trio.current_time() == pytest.approx(FIRST_PAUSE * (2**TRIES - 1))
    with pytest.raises(DisconnectedError):
        await comfy.file.download(FILE, tmp_path)
    assert names_in(tmp_path) == []
    assert comfy._session.http.statistics().borrowed_tokens == 0


async def test_a_server_that_is_down_for_a_while(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, stored: bytes
) -> None:
    server.faults.break_connection(VIEW, sent=100_000)
    server.faults.answer(VIEW, 503, "<html>starting</html>", times=2)
    server.faults.break_connection(VIEW)
    assert await comfy.file.read(FILE) == stored
    server.faults.break_connection(VIEW, sent=100_000)
    server.faults.answer(VIEW, 503, "<html>starting</html>", times=math.inf)
    with pytest.raises(ResponseError, match="503"):
        await comfy.file.read(FILE)
    server.faults.clear()
    for status, error in ((401, "credentials"), (404, "has no file")):
        server.faults.break_connection(VIEW, sent=100_000)
        server.faults.answer(VIEW, status)
        with pytest.raises((ResponseError, FileError), match=error):
            await comfy.file.read(FILE)


@pytest.mark.parametrize("size", [len(CONTENT), len(CONTENT) + 10**6, 2**20, 10])
async def test_a_file_that_changes_is_never_stitched_together(
    autojump_clock: MockClock,
    comfy: Comfy,
    server: EmbeddedServer,
    tmp_path: Path,
    stored: bytes,
    size: int,
) -> None:
    other = random.Random(1).randbytes(size)

    def change(received: int, total: int | None) -> None:
        if received == 2**20:
            server.files.upload("f.bin", other, kind="output", overwrite=True)
            os.utime(server.files.folder("output") / "f.bin", (1, 1))

    for read in (
        lambda: comfy.file.read(FILE, progress=change),
        lambda: comfy.file.download(FILE, tmp_path, progress=change),
    ):
        server.files.upload("f.bin", stored, kind="output", overwrite=True)
        server.faults.break_connection(VIEW, sent=2**20)
        got = await read()
        assert (got if isinstance(got, bytes) else await got.read_bytes()) == other
    server.files.upload("f.bin", stored, kind="output", overwrite=True)
    server.faults.break_connection(VIEW, sent=2**20)
    async with comfy.file.open_stream(FILE, progress=change) as stream:
        with pytest.raises(FileError, match=r"'f\.bin \[output\]' changed at the server while"):
            async for _ in stream:
                pass


class Relay(httpx.AsyncBaseTransport):
    """Between a client and its server: changes what either says."""

    def __init__(self, comfy: Comfy) -> None:
        self._transport = comfy._session.http._transport
        comfy._session.http._transport = self
        self.drop_requested: set[str] = set()
        self.drop_replied: set[str] = set()
        self.asked: list[dict[str, str]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(dict(request.headers))
        for name in self.drop_requested:
            request.headers.pop(name, None)
        response = await self._transport.handle_async_request(request)
        for name in self.drop_replied:
            response.headers.pop(name, None)
        return response


async def test_a_server_that_heeds_no_etag_in_if_range(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, stored: bytes
) -> None:
    """aiohttp is one: it sends a part of whatever is there."""
    relay = Relay(comfy)
    relay.drop_requested = {"if-range"}
    server.faults.break_connection(VIEW, sent=2**20)
    assert await comfy.file.read(FILE) == stored
    assert relay.asked[-1]["range"] == f"bytes={2**20}-"
    assert relay.asked[-1]["if-range"].startswith('"')
    assert {asked["accept-encoding"] for asked in relay.asked} == {"identity"}
    other = bytes(len(stored))

    def change(received: int, total: int | None) -> None:
        if received == 2**20:
            server.files.upload("f.bin", other, kind="output", overwrite=True)

    server.faults.break_connection(VIEW, sent=2**20)
    assert await comfy.file.read(FILE, progress=change) == other


async def test_a_server_that_sends_no_parts(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path, stored: bytes
) -> None:
    relay = Relay(comfy)
    relay.drop_requested = {"range"}
    server.faults.break_connection(VIEW, sent=2**20)
    async with comfy.file.open_stream(FILE) as stream:  # the whole comes again, and is skipped
        assert b"".join([chunk async for chunk in stream]) == stored
    server.faults.break_connection(VIEW, sent=2**20)
    server.faults.break_connection(VIEW, sent=2**19)
    path = await comfy.file.download(FILE, tmp_path)
    assert await path.read_bytes() == stored
    server.faults.break_connection(VIEW, sent=2**20, times=math.inf)
    with pytest.raises(DisconnectedError):
        await comfy.file.read(FILE)
    assert server.statistics().requests[VIEW] == 2 + 3 + 1 + TRIES


async def test_contents_that_cannot_be_told_apart(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path, stored: bytes
) -> None:
    relay = Relay(comfy)
    relay.drop_replied = {"etag", "last-modified"}
    server.faults.break_connection(VIEW, sent=2**20)
    path = await comfy.file.download(FILE, tmp_path)  # starts anew
    assert await path.read_bytes() == stored
    server.faults.break_connection(VIEW, sent=2**20)
    async with comfy.file.open_stream(FILE) as stream:
        with pytest.raises(DisconnectedError):
            async for _ in stream:
                pass
    relay.drop_replied = {"etag"}  # what is left is when it was changed
    server.faults.break_connection(VIEW, sent=2**20)
    async with comfy.file.open_stream(FILE) as stream:
        assert b"".join([chunk async for chunk in stream]) == stored
    relay.drop_replied = {"content-length"}
    assert await comfy.file.read(FILE) == stored


class Body(httpx.AsyncByteStream):
    """A reply's body of some pieces; the end is an error if it says so."""

    def __init__(self, *pieces: bytes, broken: bool = False) -> None:
        self._left = list(pieces)
        self._broken = broken

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._left:
            return self._left.pop(0)
        if self._broken:
            raise httpx.ReadError("reset")
        raise StopAsyncIteration


@pytest.mark.parametrize(
    ("pieces", "came"), [((b"12345",), 5), ((b"12345", b"678901"), 11), ((), 0)]
)
@pytest.mark.parametrize("etag", ["", '"1"', 'W/"1"'])
async def test_a_reply_of_another_length_is_no_file(
    autojump_clock: MockClock,
    comfy: Comfy,
    tmp_path: Path,
    pieces: tuple[bytes, ...],
    came: int,
    etag: str,
) -> None:
    """A transport of one's own may not notice, as httpx does."""
    headers = {"content-length": "10", "etag": etag}
    comfy._session.http._transport = httpx.MockTransport(
        lambda _: httpx.Response(200, headers=headers, stream=Body(*pieces))
    )
    with pytest.raises(
        DisconnectedError, match=rf"'f.bin \[output\]' ended after {came} of 10 byt"
    ):
        await comfy.file.download(FILE, tmp_path)
    assert names_in(tmp_path) == []


async def test_a_connection_that_breaks_behind_the_last_byte(
    autojump_clock: MockClock, comfy: Comfy
) -> None:
    comfy._session.http._transport = httpx.MockTransport(
        lambda _: httpx.Response(
            200, headers={"content-length": "5"}, stream=Body(b"12345", broken=True)
        )
    )
    assert await comfy.file.read(FILE) == b"12345"
    async with comfy.file.open_stream(FILE) as stream:
        assert [chunk async for chunk in stream] == [b"12345"]
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_connections_that_break_over_tcp(
    server: EmbeddedServer, tmp_path: Path, stored: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comfy_trio._download.FIRST_PAUSE", 0.001)
    with trio.fail_after(60):
        async with server.listen() as url, open_comfy(url) as comfy:
            for sent in (0, 300_000, 10**6):
                server.faults.break_connection(VIEW, sent=sent, times=3)
                path = await comfy.file.download(FILE, tmp_path)
                assert await path.read_bytes() == stored
            server.faults.break_connection(VIEW, sent=0, times=math.inf)
            with pytest.raises(DisconnectedError):
                await comfy.file.download(FILE, tmp_path)
            assert comfy._session.http.statistics().borrowed_tokens == 0
    assert names_in(tmp_path) == ["f.bin"]


# --- Many at once ---------------------------------------------------------------------------------


def put(server: EmbeddedServer, *places: str) -> list[dict[str, str]]:
    """Store a file at each place, which is its content, and return how outputs name them."""
    files: list[dict[str, str]] = []
    for place in places:
        subfolder, _, filename = place.rpartition("/")
        server.files.upload(filename, place.encode(), kind="output", subfolder=subfolder)
        files.append({"filename": filename, "subfolder": subfolder, "type": "output"})
    return files


async def test_many_files_keep_their_order_and_never_collide(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path
) -> None:
    files = put(server, "a.png", "x/a.png", "y/a.png", "x/A.PNG", "a (1).png")
    server.files.upload("a.png", b"temp", kind="temp")
    files += [files[1], {"filename": "a.png", "type": "temp"}]
    calls, tell = told()
    paths = await comfy.file.download_all(files, tmp_path / "new", progress=tell)
    assert [path.name for path in paths] == [
        "a.png",
        "a (1).png",
        "a (2).png",
        "A (3).PNG",
        "a (1) (1).png",
        "a (1).png",
        "a (4).png",
    ]
    contents = [await path.read_text() for path in paths]
    expected = ["a.png", "x/a.png", "y/a.png", "x/A.PNG", "a (1).png", "x/a.png", "temp"]
    assert contents == expected
    assert calls == [(number, 6) for number in range(1, 7)]
    assert server.statistics().requests[VIEW] == 6
    paths = await comfy.file.download_all(files, tmp_path / "kept", keep_subfolders=True)
    assert [str(path.relative_to(tmp_path / "kept")) for path in paths] == [
        "a.png",
        "x/a.png",
        "y/a.png",
        "x/A (1).PNG",
        "a (1).png",
        "x/a.png",
        "a (2).png",
    ]
    assert [await path.read_text() for path in paths] == expected
    assert await comfy.file.download_all([], tmp_path / "none") == []


async def test_no_more_at_once_than_asked_for(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path
) -> None:
    files = put(server, *(f"{number}.bin" for number in range(8)))
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, comfy._session.http.statistics().borrowed_tokens)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await comfy.file.download_all(files, tmp_path, max_at_once=3)
        nursery.cancel_scope.cancel()
    assert most == 3
    with pytest.raises(ValueError, match="at least one must be allowed at once, not 0"):
        await comfy.file.download_all(files, tmp_path, max_at_once=0)


async def test_one_of_many_that_fails(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path
) -> None:
    files = put(server, *(f"{number}.bin" for number in range(8)))
    files[3] = {**files[3], "filename": "gone.bin"}
    with pytest.raises(FileError, match=r"no file 'gone\.bin'"):
        await comfy.file.download_all(files, tmp_path, max_at_once=2)
    assert set(names_in(tmp_path)) <= {f"{number}.bin" for number in range(6)}
    with pytest.raises(FileError, match="names no file"):
        await comfy.file.download_all([{}], tmp_path)


@pytest.mark.parametrize("subfolder", ["..", "../x", "x/../../y", "..\\x", "a/..", "a\0b", "x/\0"])
async def test_no_subfolder_leads_out_of_the_directory(
    autojump_clock: MockClock,
    comfy: Comfy,
    server: EmbeddedServer,
    tmp_path: Path,
    subfolder: str,
) -> None:
    server.faults.answer(VIEW, 200, b"...", content_type="image/png", times=math.inf)
    file = {**FILE, "subfolder": subfolder}
    target = tmp_path / "out"
    with pytest.raises(FileError, match="no name for one here"):
        await comfy.file.download_all([file], target, keep_subfolders=True)
    (path,) = await comfy.file.download_all([file], target)
    assert Path(path) == target / "f.bin"
    assert names_in(tmp_path) == ["out", "out/f.bin"]


async def test_absolute_subfolders_are_put_below_the_directory(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path
) -> None:
    server.faults.answer(VIEW, 200, b"...", content_type="image/png", times=math.inf)
    file = {**FILE, "subfolder": "/etc//x/./y\\z/"}
    (path,) = await comfy.file.download_all([file], tmp_path, keep_subfolders=True)
    assert Path(path) == tmp_path / "etc" / "x" / "y" / "z" / "f.bin"


async def test_no_link_leads_out_of_the_directory(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path
) -> None:
    files = put(server, "link/a.png", "link/deep/b.png", "within/c.png")
    target, outside = tmp_path / "out", tmp_path / "outside"
    (target / "real").mkdir(parents=True)
    outside.mkdir()
    (target / "link").symlink_to(outside)
    (target / "within").symlink_to(target / "real")
    for file in files[:2]:
        with pytest.raises(FileError, match=r"is outside of .*: a link leads there"):
            await comfy.file.download_all([file], target, keep_subfolders=True)
    assert list(outside.iterdir()) == []
    await comfy.file.download_all(files[2:], target, keep_subfolders=True)
    assert (target / "real" / "c.png").exists()
    # A link in the place of the file itself is replaced, not followed.
    (outside / "mine").write_bytes(b"mine")
    (target / "c.png").symlink_to(outside / "mine")
    await comfy.file.download_all(files[2:], target)
    assert (outside / "mine").read_bytes() == b"mine"
    assert not (target / "c.png").is_symlink()
    # A directory in the place of the file is not filled.
    (target / "a.png").mkdir()
    with pytest.raises(IsADirectoryError, match=r"a\.png"):
        await comfy.file.download_all(files[:1], target)


async def test_the_longest_of_names(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer, tmp_path: Path
) -> None:
    (file,) = put(server, "x" * 251 + ".png")
    assert (await comfy.file.download(file, tmp_path)).name == file["filename"]


# --- Cancellation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("over_tcp", [False, True])
async def test_cancelling_at_every_moment_leaves_nothing(
    server: EmbeddedServer, tmp_path: Path, stored: bytes, over_tcp: bool
) -> None:
    """Cancel after so many checkpoints of another task: wherever it falls, nothing is left."""
    source = tmp_path / "source.bin"
    source.write_bytes(stored)
    target = tmp_path / "out"

    async def cancel_after(checkpoints: int, scope: trio.CancelScope) -> None:
        for _ in range(checkpoints):
            await trio.lowlevel.checkpoint()
        scope.cancel("the test says so")

    async with server.listen() as url:
        async with open_comfy(
            url if over_tcp else server.url,
            transport=None if over_tcp else server.transport,
            max_requests=3,
        ) as comfy:
            actions: list[Callable[[], Any]] = [
                lambda: comfy.file.download(FILE, target),
                lambda: comfy.file.read(FILE),
                lambda: comfy.file.upload(source),
                lambda: comfy.file.upload(io.BytesIO(stored), filename="b.bin"),
                lambda: comfy.file.download_all(
                    [FILE, {**FILE, "filename": "gone"}], target, max_at_once=2
                ),
            ]
            finished = 0
            for number in range(120):
                server.faults.clear()
                if number % 3 == 0:
                    server.faults.break_connection(VIEW, sent=10**6)
                action = actions[number % len(actions)]
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(cancel_after, number * 3, nursery.cancel_scope)
                    try:
                        await action()
                        finished += 1
                    except FileError:
                        finished += 1
                    nursery.cancel_scope.cancel("it is over")
                assert comfy._session.http.statistics().borrowed_tokens == 0
                assert set(names_in(target)) <= {"f.bin"}
                if (target / "f.bin").exists():
                    assert (target / "f.bin").read_bytes() == stored
            assert finished < 120
            server.faults.clear()
            for action in actions[:4]:
                await action()
            with trio.fail_after(10):
                while server.statistics().connections > 1:  # the WebSocket stays  # noqa: ASYNC110
                    await trio.lowlevel.checkpoint()
    assert {path.name for path in server.files.root.iterdir()} == {"input", "output", "temp"}


# --- Masks ----------------------------------------------------------------------------------------


async def test_masks(autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer) -> None:
    original = await comfy.file.upload(png((1, 2, 3)), filename="o.png", type="output")
    mask = png((9, 9, 9, 77), "RGBA")
    masked = await comfy.file.upload_mask(mask, original, filename="m.png", subfolder="clipspace")
    assert masked == UploadedFile("m.png", "clipspace", "input")
    assert (await comfy.file.image(masked)).getpixel((0, 0)) == (1, 2, 3, 77)
    again = await comfy.file.upload_mask(
        io.BytesIO(mask), original.as_output(), filename="m.png", subfolder="clipspace"
    )
    assert again.filename == "m (1).png"
    for wrong in (
        await comfy.file.upload(b"text", filename="t.txt"),
        await comfy.file.upload(png(size=9), filename="large.png"),
    ):
        with pytest.raises(ResponseError, match=r"no picture, or their sizes may differ") as caught:
            await comfy.file.upload_mask(mask, wrong)
        assert caught.value.status == 500


async def test_masks_that_a_server_drops_without_a_word(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    mask = png((9, 9, 9, 77), "RGBA")
    with pytest.raises(FileError, match=r"no file 'gone\.png \[output\]' to put a mask into"):
        await comfy.file.upload_mask(mask, {"filename": "gone.png"})
    assert "POST /upload/mask" not in server.statistics().requests
    reply = json.dumps({"name": "m.png", "subfolder": "", "type": "input"})
    original = await comfy.file.upload(png())
    server.faults.answer("POST /upload/mask", 200, reply)
    with pytest.raises(FileError, match=r"says that it stored 'm\.png', but has not"):
        await comfy.file.upload_mask(mask, original, filename="m.png")


# --- Folders --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.27.0", "0.3.64"])
async def test_names_of_files(autojump_clock: MockClock, version: str) -> None:
    async with open_embedded_server(version=version) as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            assert await comfy.file.names() == ()
            put(server, "a.png", "b [x].png", "sub/c.png")
            assert sorted(await comfy.file.names()) == ["a.png", "b [x].png"]
            await comfy.file.upload(b"", filename="i.bin")
            assert await comfy.file.names("input") == ("i.bin",)
            paths = await comfy.file.folder_paths()
            assert all(isinstance(path, str) for path in paths["checkpoints"])


async def test_odd_answers_on_folders(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    unknown: Any = "models"
    with pytest.raises(FileError, match="there is no folder 'models': it is input, output, temp"):
        await comfy.file.names(unknown)
    names, paths = "GET /internal/files/{directory_type}", "GET /internal/folder_paths"
    for body in ("{}", "[1]", "<html>", ""):
        server.faults.answer(names, 200, body)
        with pytest.raises(ResponseError, match="a list of names"):
            await comfy.file.names()
    for body in ("[]", "<html>", ""):
        server.faults.answer(paths, 200, body)
        with pytest.raises(ResponseError, match="lists of paths"):
            await comfy.file.folder_paths()
    server.faults.answer(paths, 200, '{"a": ["x", 3], "b": null}')
    assert await comfy.file.folder_paths() == {"a": ("x",), "b": ()}
    server.faults.answer(names, 404)
    server.faults.answer(paths, 404)
    for attempt in (comfy.file.names, comfy.file.folder_paths):
        with pytest.raises(UnsupportedError, match="does not have the list of its f"):
            await attempt()
    server.faults.answer(names, 200, '["x [output]", "y"]')
    assert await comfy.file.names() == ("x [output]", "y")
