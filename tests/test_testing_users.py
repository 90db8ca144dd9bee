"""Users of the embedded server, by raw requests; the answers are those of real servers."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from comfy_trio._util import is_object
from comfy_trio.testing import EmbeddedServer, open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from trio.testing import MockClock

NOT_TOLD = "500 Internal Server Error\n\nServer got itself in trouble"


@asynccontextmanager
async def open_client(
    **options: Any,
) -> AsyncGenerator[tuple[EmbeddedServer, httpx.AsyncClient], None]:
    async with (
        open_embedded_server(**options) as server,
        httpx.AsyncClient(transport=server.transport.http_transport(), base_url=server.url) as http,
    ):
        yield server, http


async def ask(http: httpx.AsyncClient, line: str, body: bytes | None = None) -> tuple[int, Any]:
    """Send ``"GET /path"``; the status, and the body as JSON or else as text."""
    method, _, path = line.partition(" ")
    reply = await http.request(method, path, content=body)
    try:
        return reply.status_code, reply.json()
    except ValueError:
        return reply.status_code, reply.text


# On a server of one user, whose data has the file dir/f, in order.
EXCHANGES: list[tuple[str, bytes | None, int, Any]] = [
    ("GET /users", None, 200, {"storage": "server", "migrated": True}),
    ("POST /users", b"x", 500, NOT_TOLD),
    ("POST /users", b"{}", 500, NOT_TOLD),
    ("POST /users", b'{"username": 5}', 500, NOT_TOLD),
    ("POST /users", b'{"username": "default"}', 400, {"error": "Duplicate username."}),
    ("GET /settings", None, 200, {}),
    ("GET /settings/x.y", None, 200, None),
    ("POST /settings", b"[1]", 500, NOT_TOLD),
    ("POST /settings", b'{"a.b": 1}', 200, ""),
    ("POST /settings/a%2Fb", b"null", 200, ""),
    ("POST /settings/100%25", b"", 500, NOT_TOLD),
    ("GET /settings", None, 200, {"a.b": 1, "a/b": None}),
    ("GET /userdata", None, 400, "Directory not provided"),
    ("GET /userdata?dir=.", None, 200, ["comfy.settings.json"]),
    ("GET /userdata?dir=nope", None, 404, "Directory not found"),
    ("GET /userdata?dir=../..", None, 403, "Invalid directory"),
    ("GET /userdata?dir=dir/f", None, 200, []),
    ("GET /userdata?dir=.&recurse=TRUE&split=true", None, 200, [["dir/f", "dir", "f"]]),
    ("GET /v2/userdata?path=nope", None, 404, "Requested path not found"),
    ("GET /v2/userdata?path=../..", None, 400, "Invalid path requested"),
    ("GET /v2/userdata?path=dir/f", None, 400, "Requested path is not a directory"),
    ("GET /userdata/dir", None, 403, ""),
    ("GET /userdata/nope", None, 404, ""),
    ("GET /userdata/%2E%2E%2Fx", None, 403, ""),
    ("GET /userdata/dir%2Ff%2Fg", None, 404, ""),
    ("POST /userdata/dir", b"x", 400, ""),
    ("POST /userdata/dir%2Ff%2Fg", b"x", 400, ""),
    ("POST /userdata/a%00b", b"x", 500, NOT_TOLD),
    ("POST /userdata/%252E%252E%252Fx", b"x", 403, ""),
    ("DELETE /userdata/dir", None, 500, NOT_TOLD),
    ("DELETE /userdata/nope", None, 404, ""),
    ("POST /userdata/dir%2Ff?overwrite=false", b"y", 409, "File already exists"),
    ("POST /userdata/s", b"y", 200, "s"),
    ("POST /userdata/s/move/dir%2Ff?overwrite=false", None, 409, "File already exists"),
    ("POST /userdata/nope/move/%2E%2E%2Fx", None, 404, ""),
    ("POST /userdata/s/move/s", None, 200, "s"),
    ("POST /userdata/s/move/dir", None, 200, "dir"),
    ("GET /userdata/dir%2Fs", None, 200, "y"),
    ("DELETE /userdata/dir%2Fs", None, 204, ""),
]


@pytest.mark.parametrize("version", ["0.3.64", "0.27.0"])
async def test_exchanges(autojump_clock: MockClock, version: str) -> None:
    async with open_client(version=version) as (_, http):
        fresh = await ask(http, "GET /users")
        assert fresh == (200, {"storage": "server", "migrated": False})
        assert await ask(http, "GET /v2/userdata") == (200, [])
        await ask(http, "POST /userdata/dir%2Ff", b"x")
        for line, body, status, expected in EXCHANGES:
            got = await ask(http, line, body)
            if "recurse" in line:
                got = got[0], [item for item in got[1] if item[0].startswith("dir")]
            assert got == (status, expected), line


BY_VERSION: list[tuple[str, bytes | None, tuple[int, Any], tuple[int, Any]]] = [
    ("POST /users", b'{"username": " "}', (500, NOT_TOLD), (400, "username not provided")),
    ("POST /users", b'{"username": "__x"}', (200, "__x_"), (400, "System User prefix not allowed")),
    ("POST /users", b'{"username": "\\u00e9_"}', (200, "-_"), (200, "-_")),
    ("POST /userdata/f/move/%2E%2E%2Fx", None, (500, NOT_TOLD), (403, "")),
]


@pytest.mark.parametrize(("line", "body", "old", "new"), BY_VERSION)
async def test_where_versions_differ(
    autojump_clock: MockClock,
    line: str,
    body: bytes | None,
    old: tuple[int, Any],
    new: tuple[int, Any],
) -> None:
    for version, (status, expected) in (("0.3.64", old), ("0.27.0", new)):
        async with open_client(version=version) as (_, http):
            await ask(http, "POST /userdata/f", b"x")
            told_status, told = await ask(http, line, body)
            text = told["error"] if is_object(told) else str(told)
            assert (told_status, text[: len(expected)]) == (status, expected)


async def test_paths_are_parted_before_they_are_decoded(autojump_clock: MockClock) -> None:
    for base_path in ("", "/ü"):
        async with open_client(base_path=base_path) as (server, http):
            await http.post("/userdata/a%2Fmove%2Fb%252Fc", content=b"x")
            _, names = await ask(http, "GET /userdata?dir=.&recurse=true")
            assert names == ["a/move/b/c"]
            # aiohttp takes no braces in what a route leaves open.
            await http.post("/api/userdata/%7Bfile%7D", content=b"x")
            await http.post("/api/userdata/%257Bfile%257D", content=b"x")
            requests = server.statistics().requests
            assert requests["unknown"] == 1
            assert requests["POST /userdata/{file}"] == 2


async def test_times_and_bad_names_by_version(autojump_clock: MockClock) -> None:
    told: dict[str, dict[str, type]] = {}
    for version in ("0.3.48", "0.3.64", "0.21.0"):
        async with open_client(version=version) as (_, http):
            _, info = await ask(http, "POST /userdata/f?full_info=true", b"x")
            _, listed = await ask(http, "GET /userdata?dir=.&full_info=true")
            assert listed == [info]
            told[version] = {name: type(value) for name, value in info.items()}
            status, _ = await ask(http, f"POST /userdata/{'x' * 300}", b"x")
            assert status == (500 if version == "0.3.48" else 400)
            _, (entry,) = await ask(http, "GET /v2/userdata")
            assert isinstance(entry["modified"], float)
    same = {"path": str, "size": int}
    assert told["0.3.48"] == {**same, "modified": float}
    assert told["0.3.64"] == {**same, "modified": float, "created": float}
    assert told["0.21.0"] == {**same, "modified": int, "created": int}


async def test_users_are_kept(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with open_client(multi_user=True, base_directory=tmp_path) as (server, http):
        _, user = await ask(http, "POST /users", b'{"username": "Ann B."}')
        assert user.startswith("Ann-B-_")
        await http.post("/userdata/a", content=b"x", headers={"comfy-user": user})
        server.restart()
        users = {"storage": "server", "users": {user: "Ann B."}}
        assert await ask(http, "GET /users") == (200, users)
    assert json.loads((tmp_path / "user" / "users.json").read_bytes()) == {user: "Ann B."}
    assert (tmp_path / "user" / user / "a").read_bytes() == b"x"
    async with open_client(multi_user=True, base_directory=tmp_path) as (_, http):
        assert await ask(http, "GET /users") == (200, users)
    (tmp_path / "user" / "default").mkdir()
    (tmp_path / "user" / "default" / "comfy.settings.json").write_text("{", "utf-8")
    async with open_client(base_directory=tmp_path) as (server, http):
        assert await ask(http, "GET /settings") == (200, {})
        # A server of one user takes down names, until it is started anew.
        assert (await ask(http, "POST /users", b'{"username": "Ann B."}'))[0] == 200
        assert (await ask(http, "POST /users", b'{"username": "Ann B."}'))[0] == 400
        server.restart()
        assert (await ask(http, "POST /users", b'{"username": "Ann B."}'))[0] == 200
