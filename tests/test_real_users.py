"""Users, settings and user data on a real server at $COMFY_HOST, in whichever mode it runs."""

from __future__ import annotations

import json
import os
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import prompts
import pytest
import trio
from users import NAMES, ask_all, come_and_go

from comfy_trio import (
    AlreadyExistsError,
    Comfy,
    FileError,
    ResponseError,
    UnknownUserError,
    open_comfy,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.real

DEADLINE = 120


@pytest.fixture
async def comfy() -> AsyncGenerator[Comfy, None]:
    """A client for a user of its own, if the server keeps its users apart."""
    assert "COMFY_HOST" in os.environ, "say where the real server is: COMFY_HOST=http://..."
    with trio.fail_after(DEADLINE):
        async with open_comfy() as anyone:
            users = await anyone.user.users()
            user = await anyone.user.create(str(uuid.uuid4())) if users.multi_user else None
        async with open_comfy(user=user) as comfy:
            yield comfy


@pytest.fixture
def top() -> str:
    """A directory of the user's data that is not there yet. Servers do not delete directories."""
    return f"comfy_trio/{uuid.uuid4()} 100%"


async def test_users(comfy: Comfy) -> None:
    name = f"Zoë {uuid.uuid4()}"
    user = await comfy.user.create(f" {name} ")
    with pytest.raises(AlreadyExistsError, match="already"):
        await comfy.user.create(name)
    users = await comfy.user.users()
    if users.multi_user:
        assert users.names[user] == name
        assert users.has_data is None
        async with open_comfy(user=user) as theirs:
            assert await theirs.user.settings() == {}
            assert await theirs.file.user_data.tree() == ()
        assert (await comfy.user.users()).names.items() >= {user: name}.items()
    else:
        assert users.names == {}
        assert users.has_data is not None


@pytest.mark.parametrize("user", [None, "nobody", "default", "__system"])
async def test_an_unknown_user(comfy: Comfy, user: str | None) -> None:
    async with open_comfy(user=user) as theirs:
        if (await comfy.user.users()).multi_user:
            assert set(await ask_all(theirs)) == {UnknownUserError}
        else:
            assert isinstance(await theirs.user.settings(), dict)


async def test_settings(comfy: Comfy, top: str) -> None:
    for setting_id in (f"{top}.x", f"{top}/a b", f"{top} 100%", f"a%2Fb ü#? {top}", f"{{{top}}}"):
        assert await comfy.user.setting(setting_id) is None
        for value in ([1, {"a": None}], "x", False, None):
            await comfy.user.set_setting(setting_id, value)
            assert await comfy.user.setting(setting_id) == value
            assert (await comfy.user.settings())[setting_id] == value
    await comfy.user.merge_settings({top: 1, f"{top}.x": 2})
    settings = await comfy.user.settings()
    assert (settings[top], settings[f"{top}.x"], settings[f"{top} 100%"]) == (1, 2, None)


@pytest.mark.parametrize("path", NAMES)
async def test_any_path_comes_back(comfy: Comfy, top: str, path: str) -> None:
    await come_and_go(comfy, f"{top}/{path}")
    if (await comfy.user.users()).multi_user:
        await come_and_go(comfy, path)


async def test_files(comfy: Comfy, top: str) -> None:
    data = comfy.file.user_data
    assert await data.names(top) == await data.names(f"{top}/no/such") == ()
    assert await data.tree(f"{top}/no") == ()
    before = datetime.now(UTC) - timedelta(seconds=1)
    written = await data.write(f"{top}/a", b"123")
    assert written.size == 3
    in_tree = [each for each in await data.tree(top) if not each.is_directory]
    assert len(in_tree) == 1
    for entry in (written, *await data.files(top), *in_tree):
        assert entry.path == f"{top}/a"
        assert entry.modified is not None
        assert before <= entry.modified <= datetime.now(UTC)
    with pytest.raises(AlreadyExistsError):
        await data.write(f"{top}/a", b"", overwrite=False)
    await data.write(f"{top}/b", b"")
    with pytest.raises(AlreadyExistsError):
        await data.move(f"{top}/a", f"{top}/b")
    await data.move(f"{top}/a", f"{top}/b", overwrite=True)
    assert await data.read(f"{top}/b") == b"123"
    assert await data.names(top) == (f"{top}/b",)
    with pytest.raises(FileError, match="has no"):
        await data.read(f"{top}/a")
    with pytest.raises(FileError, match="gives no access"):
        await data.read(top)
    with pytest.raises(FileError, match="cannot write"):
        await data.write(top, b"")
    with pytest.raises(FileError, match="cannot write"):
        await data.write("x" * 300, b"")
    with pytest.raises(ResponseError, match="HTTP status 500"):
        await data.delete(top)
    with pytest.raises(ResponseError, match="not a directory"):
        await data.tree(f"{top}/b")
    await data.delete(f"{top}/b")
    with pytest.raises(FileError, match="has no"):
        await data.delete(f"{top}/b")


async def test_a_saved_workflow_can_be_run(comfy: Comfy, top: str) -> None:
    data = comfy.file.user_data
    path = f"workflows/{top}.json"
    await data.write(path, json.dumps(prompts.image()))
    assert path in await data.names("workflows", recursive=True)
    result = await comfy.run(await comfy.load(await data.read(path)))
    assert result["9"]["images"]
    await data.delete(path)
