"""What the tests of users share, on the embedded server and on real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comfy_trio import FileError, ResponseError

if TYPE_CHECKING:
    from comfy_trio import Comfy

NAMES = (
    "a.json",
    "workflows/a b.json",
    "workflows/deep/er/a.json",
    "100%.json",
    "%",
    "%25",
    "a%2Fb",
    "a%2fb",
    "a%2525",
    "%C3%BC",
    "%FF",
    "100%/%41/ü.json",
    "a#b?c&d=e+f;g,h",
    "ü 日本語 😀 \u2028.json",
    ".hidden",
    "..a",
    "a..",
    "...",
    ".config/a",
    "~x",
    "a\\b",
    "a/move/b",
    "a%2Fmove%2Fb",
    "move",
    "{file}",
    "{%}",
    "'\"<>|*:",
    "[a]*?",
    " a ",
    "\x01\t\n\x7f",
    "+",
)
"""Paths that a route, a query or a decoder too many may take for something else."""


async def ask_all(comfy: Comfy) -> list[type[BaseException]]:
    """What comes of each method that depends on the user."""
    data = comfy.file.user_data
    errors: list[type[BaseException]] = []
    for call in (
        comfy.user.settings,
        lambda: comfy.user.setting("a"),
        lambda: comfy.user.set_setting("a", 1),
        lambda: comfy.user.merge_settings({"a": 1}),
        data.names,
        data.files,
        data.tree,
        lambda: data.read("a"),
        lambda: data.write("a", b""),
        lambda: data.move("a", "b"),
        lambda: data.delete("a"),
    ):
        with pytest.raises(ResponseError) as caught:
            await call()
        errors.append(caught.type)
    return errors


async def come_and_go(comfy: Comfy, path: str) -> None:
    """Write a file, find it, move it, and delete it."""
    data = comfy.file.user_data
    directory = path.rpartition("/")[0]
    hidden = any(part.startswith(".") for part in path.split("/"))
    content = path.encode()
    assert (await data.write(path, content)).path == path
    assert await data.read(path) == content
    assert path in [each.path for each in await data.tree(directory)]
    assert (path in await data.names(recursive=True)) != hidden
    if not path.rpartition("/")[2].startswith("."):
        assert path in await data.names(directory)
        assert path in [each.path for each in await data.files(directory)]
    moved = f"{path}.d/{path.rpartition('/')[2]}"
    assert (await data.move(path, moved)).path == moved
    assert await data.read(moved) == content
    with pytest.raises(FileError):
        await data.read(path)
    await data.delete(moved)
