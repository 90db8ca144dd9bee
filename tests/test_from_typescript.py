"""The page for those who come from the TypeScript SDK names what there is."""

from __future__ import annotations

import re
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import comfy_trio
from comfy_trio import open_comfy
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from trio.testing import MockClock

PAGE = Path(__file__).parent.parent / "docs" / "from-typescript.md"


def ours() -> list[str]:
    """What stands in code in the right columns, and below the tables."""
    rows = [line.rsplit("|", 2)[1] for line in PAGE.read_text().splitlines() if "|" in line]
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row)]


async def test_every_name_is_there(autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server() as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        checked = 0
        for code in ours():
            name = re.match(r"comfy\.([a-z_.]+)", code)
            if name is not None:
                attrgetter(name[1].rstrip("."))(comfy)
                checked += 1
            elif re.fullmatch(r"[A-Z]\w+(\.\w+)?", code):
                holder, _, member = code.partition(".")
                found = getattr(comfy_trio, holder)
                known = {*dir(found), *getattr(found, "__annotations__", ())}
                assert not member or member in known, code
                checked += 1
    assert checked > 80
