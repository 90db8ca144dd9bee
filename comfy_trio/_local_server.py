"""A server of a pool that the pool starts itself, and again when it crashes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, final

import attrs
import trio

from ._backoff import backoff
from ._errors import ServerCrashedError
from ._local_command import LocalCommand
from ._local_process import open_child
from ._nursery import open_service_nursery

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

MAX_FAILED_STARTS: Final = 3
"""How often in a row a process may end before it is ready, before it is given up."""
RESTART_PAUSE: Final = 1.0
"""Seconds before a process is started again that ended before it was ready; twice as long each
time. One that had been ready is started again at once."""


def _default_id(server: LocalServer) -> str:
    return "local" if server.gpu is None else f"gpu{server.gpu}"


@attrs.frozen
class LocalServer:
    """A server of a pool that the pool starts from a checkout of ComfyUI.

    It is started again when it ends by itself, on the same port; its jobs run elsewhere then. A
    pool of four GPUs is ``open_pool(LocalServer(path, gpu=number) for number in range(4))``.

    Args:
        path, gpu, python, arguments, environment, stop_timeout: See `open_local_comfy`.
        server_id: Its name in the pool. Default: ``gpu0`` if it is pinned to that, or ``local``.
        concurrency: See `PoolServer`.

    Raises:
        ValueError: see `open_local_comfy`; or `concurrency` is less than 1.
    """

    path: str | os.PathLike[str]
    gpu: int | str | None = attrs.field(kw_only=True, default=None)
    server_id: str = attrs.field(kw_only=True, default=attrs.Factory(_default_id, takes_self=True))
    concurrency: int = attrs.field(kw_only=True, default=1, validator=attrs.validators.ge(1))
    python: str | os.PathLike[str] | None = attrs.field(kw_only=True, default=None)
    arguments: Sequence[str] = attrs.field(kw_only=True, default=())
    environment: Mapping[str, str] | None = attrs.field(kw_only=True, default=None, repr=False)
    stop_timeout: float = attrs.field(kw_only=True, default=10.0)

    def __attrs_post_init__(self) -> None:
        self._command()

    def _command(self) -> LocalCommand:
        """Return how it is started."""
        return LocalCommand.of(
            self.path,
            python=self.python,
            gpu=self.gpu,
            arguments=self.arguments,
            environment=self.environment,
            stop_timeout=self.stop_timeout,
        )


@final
class ProcessKeeper:
    """Keeps the process of a server running.

    Args:
        command: How to start it.
        on_crash: Called each time that the process ended by itself, with how and with the seconds
            until it is started again; None if it is given up. Must not raise.
    """

    def __init__(
        self, command: LocalCommand, on_crash: Callable[[ServerCrashedError, float | None], None]
    ) -> None:
        self._command = command
        self._on_crash = on_crash
        self._port: int | None = None
        self._ready = trio.Event()

    async def wait_ready(self) -> str:
        """Wait until the process answers, and return its address."""
        await self._ready.wait()
        return f"http://127.0.0.1:{self._port}"

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Start the process, and again when it ends, until cancelled or it is given up."""
        failures = 0
        while True:
            try:
                async with (
                    open_service_nursery() as nursery,
                    open_child(self._command, nursery, self._port) as child,
                ):
                    failures = 0
                    self._port = child.port
                    self._ready.set()
                    await child.ended.wait()
                    crash = child.crash()
            except ServerCrashedError as error:
                failures += 1
                crash = error
            except OSError as error:
                failures += 1
                crash = self._command.not_started(error)
            if self._ready.is_set():  # whoever waits goes on to wait for the same one
                self._ready = trio.Event()
            if failures >= MAX_FAILED_STARTS:
                self._on_crash(crash, None)
                return
            pause = backoff(RESTART_PAUSE, failures) if failures else 0.0
            self._on_crash(crash, pause)
            await trio.sleep(pause)


@asynccontextmanager
async def keep_process(
    server: LocalServer, on_crash: Callable[[ServerCrashedError, float | None], None]
) -> AsyncGenerator[ProcessKeeper, None]:
    """Keep the process of a server running for as long as a block lasts; see `ProcessKeeper`."""
    async with open_service_nursery() as nursery:
        keeper = ProcessKeeper(server._command(), on_crash)
        nursery.start_soon(keeper.run)
        yield keeper
