"""`Comfy.file.user_data`: the files that a server keeps for a user."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import prompts
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from users import NAMES, come_and_go

from comfy_trio import (
    AlreadyExistsError,
    AuthenticationError,
    Comfy,
    FileError,
    RequestTooLargeError,
    ResponseError,
    UnsupportedError,
    UserDataEntry,
    open_comfy,
)
from comfy_trio._replies import Reply, get
from comfy_trio._routes._user_data import (
    check_path,
    encode_path,
    list_request,
    move_request,
    read_content,
    read_deleted,
    read_files,
    read_moved,
    read_names,
    read_time,
    read_tree,
    read_written,
    tree_request,
    write_request,
)
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

NOON = datetime(2026, 11, 26, 12, 0, 0, 250_000, tzinfo=UTC)


def reply(body: object, status: int = 200) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(get("/userdata"), "http://h/api/userdata", status, content, "application/json")


TIMES: list[tuple[object, datetime | None]] = [
    (NOON.timestamp(), NOON),
    (round(NOON.timestamp() * 1000), NOON),
    (0, datetime(1970, 1, 1, tzinfo=UTC)),
    (1000, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
    (1.0, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
    (-1.5, datetime(1969, 12, 31, 23, 59, 58, 500_000, tzinfo=UTC)),
    (None, None),
    (True, None),
    ("2026-11-26", None),
    (10**30, None),
    (1e30, None),
    (float("nan"), None),
    (float("inf"), None),
]


@pytest.mark.parametrize(("value", "expected"), TIMES)
def test_times(value: object, expected: datetime | None) -> None:
    assert read_time(value) == expected


ENCODED = {
    "a.json": "a.json",
    "workflows/a b.json": "workflows%2Fa%20b.json",
    "100%.json": "100%2525.json",
    "a%2Fb": "a%25252Fb",
    "a/100%": "a%252F100%2525",
    "{a}": "%257Ba%257D",
    "ü#?": "%C3%BC%23%3F",
}


@pytest.mark.parametrize("path", ENCODED)
def test_paths_in_routes(path: str) -> None:
    assert encode_path(path) == ENCODED[path]
    assert write_request(path, b"", overwrite=True).path == f"/api/userdata/{ENCODED[path]}"
    request = move_request(path, path, overwrite=True)
    assert request.path == f"/api/userdata/{ENCODED[path]}/move/{ENCODED[path]}"


DIRECTORIES = {
    "": (".", ""),
    "a": ("a", "a"),
    "a/": ("a", "a"),
    "a/ü b": ("a/ü b", "a/ü b"),
    "100%/a": ("100%25%2Fa", "100%2525%252Fa"),
}


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_directories_in_queries(directory: str) -> None:
    listed, tree = DIRECTORIES[directory]
    request = list_request(directory, recursive=True, full_info=False)
    assert request.params == (("dir", listed), ("recurse", "true"))
    assert tree_request(directory).params == (("path", tree),)


OUTSIDE = ["..", "../a", "a/..", "a/../b", "/a", "/", "..\\a", "a\\..\\..\\b"]
NONE_AT_ALL = ["", ".", "a//b", "a/", "./a", "a/./b", "a\0b", "\ud800"]


@pytest.mark.parametrize("path", [*OUTSIDE, *NONE_AT_ALL])
async def test_paths_that_are_refused(autojump_clock: MockClock, path: str, comfy: Comfy) -> None:
    message = "would leave the user's directory" if path in OUTSIDE else "is no path of a file"
    data = comfy.file.user_data
    for call in (
        lambda: data.read(path),
        lambda: data.write(path, b""),
        lambda: data.delete(path),
        lambda: data.move(path, "a"),
        lambda: data.move("a", path),
    ):
        with pytest.raises(FileError, match=f"{message}.* Nothing was sent"):
            await call()
    if path not in {"", "a/"}:
        for listing in (data.names, data.files, data.tree):
            with pytest.raises(FileError, match="Nothing was sent"):
                await listing(path)


@pytest.mark.parametrize("path", NAMES)
def test_paths_that_are_not(path: str) -> None:
    assert check_path(path) == path


def test_entries() -> None:
    old = {"path": "b", "size": 3, "modified": NOON.timestamp(), "created": NOON.timestamp()}
    new = {**old, "modified": 1795694400250, "created": 1795694400250, "new": 1}
    for raw in (old, new):
        assert read_files(reply([raw]), "a") == (
            UserDataEntry("a/b", size=3, modified=NOON, created=NOON, raw=raw),
        )
        assert read_written(reply(raw), "b") == read_moved(reply(raw), "x", "b")
        assert read_written(reply(raw), "b").path == "b"
    assert read_files(reply([{"path": "b"}]), "")[0] == UserDataEntry("b", raw={"path": "b"})
    odd = {"path": "b", "size": "3", "modified": "x", "type": "directory", "name": "b"}
    assert read_tree(reply([odd])) == (UserDataEntry("b", is_directory=True, raw=odd),)
    assert read_names(reply(["b", "c/d"]), "a/") == ("a/b", "a/c/d")


READERS: dict[str, Callable[[Reply], object]] = {
    "names": lambda reply: read_names(reply, ""),
    "files": lambda reply: read_files(reply, ""),
    "tree": read_tree,
    "content": lambda reply: read_content(reply, "a"),
    "written": lambda reply: read_written(reply, "a"),
    "moved": lambda reply: read_moved(reply, "a", "b"),
    "deleted": lambda reply: read_deleted(reply, "a"),
}
LISTS = ["names", "files", "tree"]
STORED = ["written", "moved"]
NO_LISTS: list[object] = [b"", b"<html></html>", b'["a', {}, [None]]
NO_ENTRIES: list[object] = [b"", b"<html></html>", b'{"p', [], "a", {}, {"path": 1}]
BAD: list[tuple[str, object]] = [
    *((name, body) for name in LISTS for body in NO_LISTS),
    *((name, body) for name in STORED for body in NO_ENTRIES),
    ("files", ["a"]),
    ("tree", [{"path": 1}]),
    ("names", ["a", 1]),
]


@pytest.mark.parametrize(("name", "body"), BAD)
def test_replies_that_are_something_else(name: str, body: object) -> None:
    with pytest.raises(ResponseError, match="GET http://h/api/userdata should have been answered"):
        READERS[name](reply(body))


STATUSES: list[tuple[str, int, bytes, type[Exception], str]] = [
    *((name, 302, b"", ResponseError, "redirect") for name in READERS),
    *((name, 401, b"", AuthenticationError, "other credentials") for name in READERS),
    *((name, 403, b"no", AuthenticationError, "other credentials") for name in READERS),
    *((name, 405, b"", UnsupportedError, "does not have .*user data") for name in READERS),
    *((name, 500, b"", ResponseError, "HTTP status 500") for name in READERS),
    *((name, 404, b"404: Not Found", UnsupportedError, "user data") for name in LISTS),
    *((name, 400, b"", ResponseError, "HTTP status 400") for name in LISTS),
    *((name, 403, b"", FileError, "gives no access to '[ab]'") for name in READERS.keys() - LISTS),
    *((name, 404, b"", FileError, "no 'a' among") for name in ("content", "moved", "deleted")),
    ("written", 404, b"", UnsupportedError, "user data"),
    ("written", 400, b"", FileError, "cannot write 'a'"),
    ("written", 409, b"", AlreadyExistsError, "'a' already, .* overwrite=True"),
    ("moved", 409, b"", AlreadyExistsError, "'b' already, .* overwrite=True"),
    ("written", 413, b"", RequestTooLargeError, "--max-upload-size"),
]


@pytest.mark.parametrize(("name", "status", "body", "error", "message"), STATUSES)
def test_statuses(
    name: str, status: int, body: bytes, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        READERS[name](reply(body, status))
    assert caught.type is error


@pytest.mark.parametrize("version", ["0.3.64", "0.27.0"])
async def test_files_of_a_user(autojump_clock: MockClock, version: str) -> None:
    before = datetime.now(UTC)
    async with (
        open_embedded_server(version=version) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        data = comfy.file.user_data
        for directory in ("", "no/such"):
            assert await data.names(directory) == ()
            assert await data.files(directory, recursive=True) == ()
            assert await data.tree(directory) == ()

        written = await data.write("w/x/a b.json", '"ü"')
        assert (written.path, written.size) == ("w/x/a b.json", 4)
        assert written.modified is not None
        assert written.created is not None
        assert abs(written.modified - before).total_seconds() < 60
        assert await data.read("w/x/a b.json") == '"ü"'.encode()
        with pytest.raises(AlreadyExistsError):
            await data.write("w/x/a b.json", b"other", overwrite=False)
        await data.write("w/x/a b.json", b"other")
        await data.write("w/.hidden", b"")

        assert await data.names() == await data.names("w") == ()
        assert await data.names("w/x") == ("w/x/a b.json",)
        assert await data.names(recursive=True) == ("w/x/a b.json",)
        (listed,) = await data.files("w/", recursive=True)
        assert (listed.path, listed.size) == ("w/x/a b.json", 5)
        everything = await data.tree()
        directories = [each.path for each in everything if each.is_directory]
        assert directories == ["no", "w", "w/x"]
        assert [each.path for each in everything[3:]] == ["w/.hidden", "w/x/a b.json"]
        assert [each.path for each in await data.tree("w/x")] == ["w/x/a b.json"]
        (in_tree,) = await data.tree("w/x")
        assert (in_tree.size, in_tree.created) == (5, None)
        assert in_tree.modified is not None
        assert listed.modified is not None
        assert abs((in_tree.modified - listed.modified).total_seconds()) < 0.002

        moved = await data.move("w/x/a b.json", "v/100%.json")
        assert (moved.path, moved.size) == ("v/100%.json", 5)
        with pytest.raises(AlreadyExistsError):
            await data.move("w/.hidden", "v/100%.json")
        await data.move("w/.hidden", "v/100%.json", overwrite=True)
        assert await data.read("v/100%.json") == b""
        await data.delete("v/100%.json")
        for call in (
            lambda: data.read("v/100%.json"),
            lambda: data.delete("v/100%.json"),
            lambda: data.move("v/100%.json", "b"),
        ):
            with pytest.raises(FileError, match=r"no 'v/100%\.json' among the user's data"):
                await call()

        with pytest.raises(FileError, match="gives no access to 'v'"):
            await data.read("v")
        with pytest.raises(FileError, match="cannot write 'v'"):
            await data.write("v", b"")
        with pytest.raises(ResponseError, match="HTTP status 500"):
            await data.delete("v")


async def test_a_saved_workflow_can_be_run(autojump_clock: MockClock, comfy: Comfy) -> None:
    data = comfy.file.user_data
    await data.write("workflows/x.json", json.dumps(prompts.image()))
    (path,) = await data.names("workflows", recursive=True)
    result = await comfy.run(await comfy.load(await data.read(path)))
    assert result["9"]["images"]


async def test_a_file_that_is_too_large(autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server(max_upload_size=1000) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        with pytest.raises(RequestTooLargeError):
            await comfy.file.user_data.write("a", bytes(1001))
        assert await comfy.file.user_data.names() == ()


SEGMENTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0")
    | st.sampled_from("%25{}.#?\\ "),
    min_size=1,
    max_size=12,
).filter(lambda text: text not in {".", ".."} and ".." not in text.split("\\"))
PATHS = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join) | st.sampled_from(NAMES)


@settings(max_examples=50)
@given(path=PATHS)
async def test_any_path_comes_back(path: str) -> None:
    async with (
        open_embedded_server() as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        await come_and_go(comfy, path)


@pytest.mark.parametrize("path", NAMES)
async def test_odd_paths_over_tcp(path: str) -> None:
    async with open_embedded_server(base_path="/ü x") as server, server.listen() as url:
        async with open_comfy(url) as comfy:
            await come_and_go(comfy, path)
