"""A ComfyUI checkout as a child process, for as long as a block lasts."""

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

import attrs
import httpx
import trio

from ._errors import ServerCrashedError
from ._local_command import LocalCommand
from ._logging import logger
from ._mailbox import Mailbox
from ._nursery import open_breakable_block, open_service_nursery
from ._util import NoPublicConstructor, as_list, as_object

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping, Sequence

    from ._mailbox import Subscription

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


@final
@attrs.define(eq=False, repr=False, init=False, slots=False)
class LocalComfy(metaclass=NoPublicConstructor):
    """A ComfyUI process of this program; made by `open_local_comfy`."""

    def __init__(self, child: LocalChild) -> None:
        self._child = child

    @property
    def url(self) -> str:
        """Where it is, for `open_comfy`."""
        return self._child.url

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._child.process.pid

    @property
    def log(self) -> tuple[str, ...]:
        """The last 1000 lines that it wrote to its terminal."""
        return tuple(self._child.log.lines)

    def log_lines(self) -> Subscription[str]:
        """Return an iterator over the lines that it writes from now on, until it ends.

        A reader that falls more than 1000 lines behind misses the oldest.
        """
        return self._child.log.subscribe().subscription()

    def __repr__(self) -> str:
        return f"<LocalComfy {self.url}, process {self.pid}>"


@asynccontextmanager
async def open_local_comfy(
    path: str | os.PathLike[str],
    *,
    python: str | os.PathLike[str] | None = None,
    gpu: int | str | None = None,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    stop_timeout: float = 10.0,
) -> AsyncGenerator[LocalComfy, None]:
    """Run a ComfyUI checkout as a child process for as long as a block lasts.

    The block is entered when the server answers, on a free port of 127.0.0.1. A cold start may take
    minutes; who does not want to wait puts the whole into a `trio.fail_after`. When the block is
    left, the process is over, and all that it started: it is interrupted as by Ctrl-C, and killed
    if that does not help within ``stop_timeout``. If this program is killed, it ends by itself.

    It has a directory for temporary files and a database of its own, both gone in the end, so that
    several processes may run from one checkout. Models, input, output and users' files are those of
    the checkout; ``--base-directory`` and the like in `arguments` place them elsewhere, and
    ``--database-url`` keeps the database.

    Args:
        path: The checkout: the directory that holds main.py.
        python: The interpreter. Default: that of ``venv`` or ``.venv`` in the checkout, or else the
            one that runs this program.
        gpu: The only GPU that it sees: a number as ``nvidia-smi -L`` shows them, an id, several
            with commas between them. Default: as the environment has it.
        arguments: More command line arguments, such as ``["--cpu"]`` or ``["--lowvram"]``.
        environment: More environment variables, over those of this program.
        stop_timeout: Seconds for the process to end in when it is interrupted. Default: 10.

    Raises:
        ValueError: `path` is no checkout, `python` is not there, or an argument is not yours.
        OSError: the process cannot be started.
        ServerCrashedError: it ended by itself, on entering or in the block, which is cancelled
            then. A `ComfyError` of the block, as of a client whose connection broke, is its cause.
    """
    command = LocalCommand.of(
        path,
        python=python,
        gpu=gpu,
        arguments=arguments,
        environment=environment,
        stop_timeout=stop_timeout,
    )
    async with (
        open_service_nursery() as nursery,
        open_child(command, nursery) as child,
        open_breakable_block(REAP) as block,
    ):
        block.break_off_when(child.ended, child.crash)
        yield LocalComfy._create(child)


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
                with trio.CancelScope(shield=True):  # bounded by stop_timeout
                    await child.stop()


@contextmanager
def _scratch_directory() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="comfy-trio-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@final
class _Log:
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
        self.log: _Log = _Log()
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
                self._kill_all()  # who waited for it to start was cancelled
            self.log.close()
            self.ended.set()

    async def _read(self) -> None:
        output = self.process.stdout
        assert output is not None
        async for data in output:
            self.log.feed(bytes(data))

    async def wait_ready(self) -> bool:
        """Wait until it answers, or is over; tell which."""
        async with httpx.AsyncClient(trust_env=False, timeout=None) as client:
            while not self.ended.is_set():
                with trio.move_on_after(LONGEST_REPLY):
                    if await self._answers(client):
                        return True
                with trio.move_on_after(POLL):
                    await self.ended.wait()
        return False

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        """Tell whether it is this process that answers: anybody may have taken the port."""
        try:
            reply = await client.get(f"{self.url}/system_stats")
            system = as_object(as_object(reply.json()).get("system"))
        except (httpx.HTTPError, ValueError):
            return False
        return str(self._scratch) in as_list(system.get("argv"))

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
        """Have it end, and what it started."""
        if not self.ended.is_set():
            self._interrupt()
            with trio.move_on_after(self._command.stop_timeout):
                await self.ended.wait()
        if not self.ended.is_set():
            logger.warning("%s did not end when it was interrupted, and is killed", self.url)
        self._kill_all()
        await self.ended.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            await stream.aclose()

    def _interrupt(self) -> None:
        if sys.platform == "win32":
            self.process.terminate()
        else:
            self.process.send_signal(signal.SIGINT)

    def _kill_all(self) -> None:
        if sys.platform == "win32":
            self.process.kill()
        else:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
