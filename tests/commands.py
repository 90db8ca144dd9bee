"""Commands, run in this process: where they write to, and servers on loopback for them."""

from __future__ import annotations

import io
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, final

import trio
from rich.console import Console

from comfy_trio._cli._screen import Screen
from comfy_trio.testing import EmbeddedServer, open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

GENEROUS = 30


@final
class Output(io.StringIO):
    """What a command writes, and a way to wait for a part of it."""

    def __init__(self) -> None:
        super().__init__()
        self._written = trio.Event()

    def write(self, text: str, /) -> int:
        length = super().write(text)
        self._written.set()
        return length

    async def wait_for(self, text: str) -> None:
        with trio.fail_after(GENEROUS):
            while text not in self.getvalue():
                if self._written.is_set():
                    self._written = trio.Event()
                await self._written.wait()


def piped() -> tuple[Screen, Output, Output]:
    out, err = Output(), Output()
    return Screen(Console(file=out, highlight=False), Console(file=err, highlight=False)), out, err


@asynccontextmanager
async def listening(
    *, version: str = "0.27.0", seconds_per_step: float = 0.001, **options: Any
) -> AsyncGenerator[tuple[EmbeddedServer, str], None]:
    with trio.fail_after(GENEROUS):
        async with (
            open_embedded_server(
                version=version, seconds_per_step=seconds_per_step, **options
            ) as server,
            server.listen() as url,
        ):
            yield server, url
