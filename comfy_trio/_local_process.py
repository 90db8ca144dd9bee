"""The process of a ComfyUI checkout, from its start to its end, and what it writes."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, final
from weakref import WeakSet

import trio

from ._address import parse_address
from ._door import Door
from ._errors import ComfyError, ServerCrashedError
from ._http import HttpClient
from ._logging import ids, logger
from ._mailbox import Mailbox
from ._network import NetworkTransport
from ._routes._system import STATS, read_stats
from ._util import as_list

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from ._local_command import LocalCommand

KEPT_LINES: Final = 1000
SHOWN_LINES: Final = 20
LONGEST_LINE: Final = 4000
COLORS: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
"""Sequences with which 0.27 colours its lines, in pipes too."""
POLL: Final = 0.2
"""Seconds between two questions to a server whether it is ready."""
PORT_ATTEMPTS: Final = 5
"""How many ports are tried, as any may be taken between the choice and the use of it."""
LONGEST_REPLY: Final = 10.0
"""Seconds for an answer to that: a server that loads its extensions may take a while."""
REAP: Final = 1.0
"""Seconds for a process that broke a connection to be seen to end."""
KILL: Final = 5.0
"""Seconds for a process to be gone that was killed. One that hangs in a driver may never be."""


@asynccontextmanager
async def open_child(
    command: LocalCommand, nursery: trio.Nursery, port: int | None = None
) -> AsyncGenerator[LocalChild, None]:
    """Start the process, wait until it is ready, and end it in the end.

    Args:
        command: How to start it.
        nursery: For the task that reads what it writes. Must outlive the block.
        port: Where it is to listen. Default: any that is free.

    Raises:
        OSError: it cannot be started.
        ServerCrashedError: it ended before it was ready. If it does later, nothing happens.
    """
    for attempt in itertools.count(1):
        with _scratch_directory() as scratch:
            child = LocalChild(command, port or _free_port(), scratch)
            await nursery.start(child.run)
            try:
                ready = await child.wait_ready()
                if ready:
                    yield child
                    return
                if port or attempt == PORT_ATTEMPTS or not child.lost_its_port():
                    raise child.crash()
            finally:
                with trio.move_on_after(command.stop_timeout + KILL, shield=True) as stopping:
                    await child.stop()
                if stopping.cancelled_caught:
                    pid = child.process.pid
                    logger.error("process %d was killed, and does not end", pid, extra=ids())


@contextmanager
def _scratch_directory() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="comfy-trio-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@final
class LocalLog:
    """What a process wrote."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._rest = b""
        self._count = itertools.count()
        self._closed = False
        self._mailboxes: WeakSet[Mailbox[str]] = WeakSet()

    def feed(self, data: bytes) -> None:
        """Take in what came next. Bars that draw themselves anew are lines, too."""
        *whole, self._rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            whole, self._rest = [*whole, self._rest], b""
        for raw in whole:
            text = raw[:LONGEST_LINE].decode("utf-8", "replace")
            line = COLORS.sub("", text).rstrip()
            if line:
                self.lines.append(line)
                for mailbox in self._mailboxes:
                    mailbox.put_nowait(next(self._count), line)

    def close(self) -> None:
        """No more comes."""
        self.feed(b"\n")
        self._closed = True
        for mailbox in self._mailboxes:
            mailbox.close()

    def subscribe(self) -> Mailbox[str]:
        mailbox: Mailbox[str] = Mailbox(KEPT_LINES)
        if self._closed:
            mailbox.close()
        else:
            self._mailboxes.add(mailbox)
        return mailbox


@final
class LocalChild:
    """A process, from its start to its end."""

    process: trio.Process

    def __init__(self, command: LocalCommand, port: int, scratch: Path) -> None:
        self.url: str = f"http://127.0.0.1:{port}"
        self.log: LocalLog = LocalLog()
        self.ended: trio.Event = trio.Event()
        self._command = command
        self.port = port
        self._scratch = scratch

    @trio.lowlevel.enable_ki_protection
    async def run(  # noqa: ASYNC114  # the call that starts it waits for it
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Start it, and read what it writes until it is over."""
        command = self._command
        self.process = await trio.lowlevel.open_process(
            command.argv(self.port, self._scratch),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=command.checkout,
            env=command.env(),
            start_new_session=True,  # Ctrl-C is this program's; and its children end with it
        )
        try:
            task_status.started()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read)
                await self.process.wait()
                # Its children may hold the pipe open.
                nursery.cancel_scope.deadline = trio.current_time() + REAP
        finally:
            if self.process.returncode is None:
                with trio.move_on_after(KILL, shield=True):
                    await self._kill_unwanted()
            self.log.close()
            self.ended.set()

    async def _kill_unwanted(self) -> None:
        """End it at once: who waited for it to start was cancelled, and nobody else will."""
        self._kill_all()
        await self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            await stream.aclose()

    async def _read(self) -> None:
        output = self.process.stdout
        assert output is not None
        with suppress(trio.ClosedResourceError):  # by `stop`, which waits no longer
            async for data in output:
                self.log.feed(bytes(data))

    async def wait_ready(self) -> bool:
        """Wait until it answers, or is over; tell which."""
        address, _ = parse_address(self.url)
        network = NetworkTransport.to(address, None)
        http = HttpClient(address, door=Door(None), transport=network, max_requests=1)
        try:
            while not self.ended.is_set():
                with trio.move_on_after(LONGEST_REPLY):
                    if await self._answers(http):
                        return True
                with trio.move_on_after(POLL):
                    await self.ended.wait()
        finally:
            with trio.move_on_after(REAP, shield=True):
                await http.aclose()
        return False

    async def _answers(self, http: HttpClient) -> bool:
        """Tell whether it is this process that answers: anybody may have taken the port."""
        try:
            stats = read_stats(await http.request(STATS))
        except ComfyError:
            return False
        return str(self._scratch) in as_list(stats["system"].get("argv"))

    def lost_its_port(self) -> bool:
        """Tell whether it ended because somebody else has the port."""
        return any(f"Port {self.port} is already in use" in line for line in self.log.lines)

    def crash(self) -> ServerCrashedError:
        """Return the error for its end."""
        code = self.process.returncode
        assert code is not None
        how = f"exit code {code}"
        if code < 0:
            with suppress(ValueError):
                how = f"signal {signal.Signals(-code).name}"
        lines = [*self.log.lines][-SHOWN_LINES:]
        said = "\n".join(f"  {line}" for line in lines) or "  nothing"
        return ServerCrashedError(
            f"ComfyUI in {self._command.checkout} ended by itself ({how}). It wrote last:\n{said}",
            returncode=code,
            log=lines,
        )

    async def stop(self) -> None:
        """Have it end, and what it started. The caller sets a bound."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        async with self.process.stdout:
            await self.process.stdin.aclose()  # see BOOTSTRAP
            with trio.move_on_after(self._command.stop_timeout):
                await self.ended.wait()
            if not self.ended.is_set():
                logger.warning(
                    "%s did not end when it was interrupted, and is killed",
                    self.url,
                    extra=ids(server=self.url),
                )
            self._kill_all()
            await self.ended.wait()

    def _kill_all(self) -> None:
        if sys.platform == "win32":
            self.process.kill()
        else:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
