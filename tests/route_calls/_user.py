from __future__ import annotations

from typing import TYPE_CHECKING

from ._row import Row

if TYPE_CHECKING:
    from comfy_trio import Comfy
    from comfy_trio.testing import EmbeddedServer


async def users(comfy: Comfy, server: EmbeddedServer) -> None:
    assert not (await comfy.user.users()).multi_user


async def create(comfy: Comfy, server: EmbeddedServer) -> None:
    assert (await comfy.user.create("Ann")).startswith("Ann_")


async def settings(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.user.settings() == {}


async def merge_settings(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.user.merge_settings({"a": 1})
    assert await comfy.user.settings() == {"a": 1}


async def setting(comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.user.setting("a") is None


async def set_setting(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.user.set_setting("a", 2)
    assert await comfy.user.settings() == {"a": 2}


async def names(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.file.user_data.write("a/b", b"...")
    assert await comfy.file.user_data.names("a") == ("a/b",)


async def files(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.file.user_data.write("a/b", b"...")
    assert [each.size for each in await comfy.file.user_data.files("a")] == [3]


async def tree(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.file.user_data.write("a/b", b"...")
    assert [each.path for each in await comfy.file.user_data.tree()] == ["a", "a/b"]


async def read(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.file.user_data.write("a/b", b"...")
    assert await comfy.file.user_data.read("a/b") == b"..."


async def write(comfy: Comfy, server: EmbeddedServer) -> None:
    assert (await comfy.file.user_data.write("a/b", b"...")).path == "a/b"


async def move(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.file.user_data.write("a/b", b"...")
    assert (await comfy.file.user_data.move("a/b", "c/d")).path == "c/d"


async def delete(comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.file.user_data.write("a/b", b"...")
    await comfy.file.user_data.delete("a/b")
    assert await comfy.file.user_data.names("a") == ()


ROWS = (
    Row("GET /users", "user.users", users),
    Row("POST /users", "user.create", create),
    Row("GET /settings", "user.settings", settings),
    Row("POST /settings", "user.merge_settings", merge_settings),
    Row("GET /settings/{id}", "user.setting", setting),
    Row("POST /settings/{id}", "user.set_setting", set_setting),
    Row("GET /userdata", "file.user_data.names", names),
    Row("GET /userdata", "file.user_data.files", files),
    Row("GET /v2/userdata", "file.user_data.tree", tree),
    Row("GET /userdata/{file}", "file.user_data.read", read),
    Row("POST /userdata/{file}", "file.user_data.write", write),
    Row("POST /userdata/{file}/move/{dest}", "file.user_data.move", move),
    Row("DELETE /userdata/{file}", "file.user_data.delete", delete),
)
