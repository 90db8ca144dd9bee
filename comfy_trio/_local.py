"""A ComfyUI checkout as a child process, for as long as a block lasts."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, final

import attrs

from ._local_command import LocalCommand
from ._local_process import REAP, open_child
from ._nursery import open_breakable_block, open_service_nursery
from ._util import NoPublicConstructor

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from ._local_process import LocalChild
    from ._mailbox import Subscription


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
            then. If the block raised that a connection broke, or that nobody answers, that is its
            cause; any other exception of the block comes out as itself.
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
