"""Run a command: what it raises becomes a message, Ctrl-C a cancellation, and both an exit code."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import trio

from .. import ComfyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._screen import Screen

FAILED = 1
SIGNALLED = 128
"""Exit code of a process that a signal ended, less the signal's number, as shells have it."""


class CommandError(Exception):
    """What a command was asked for cannot be done; the message says why and what to do."""


async def supervise(
    command: Callable[[Screen], Awaitable[None]], screen: Screen, *, until_interrupted: bool = False
) -> int:
    """Run a command to its end, and return the exit code.

    The first Ctrl-C (or SIGTERM) cancels the command, which thus can clean up at the server. A
    second one is an ordinary `KeyboardInterrupt`, for who cannot wait for that.

    Args:
        command: Will be called with `screen`. Raises `CommandError` for what is not the fault of
            the library.
        screen: Where to write to.
        until_interrupted: Whether Ctrl-C is how the command is meant to end, which is no failure.
    """
    code = 0
    interrupted_by: int | None = None

    async def watch(  # noqa: ASYNC114  # not started in a context manager
        *, task_status: trio.TaskStatus[None]
    ) -> None:
        nonlocal interrupted_by
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            interrupted_by = await anext(signals)
        screen.line("Interrupted: stopping. Once more quits at once.")
        nursery.cancel_scope.cancel("interrupted from outside")

    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(watch)
            code = await _run(command, screen)
            nursery.cancel_scope.cancel("the command is over")
    except* KeyboardInterrupt:
        code = SIGNALLED + signal.SIGINT
    except* SystemExit:  # rich's way to say that nobody reads the pipe any more
        code = FAILED
    else:
        if interrupted_by is not None:
            code = 0 if until_interrupted else SIGNALLED + interrupted_by
    return code


async def _run(command: Callable[[Screen], Awaitable[None]], screen: Screen) -> int:
    try:
        await command(screen)
    except (ComfyError, CommandError) as error:
        screen.error(str(error))
        return FAILED
    except OSError as error:
        about = "" if error.filename is None else f"{error.filename}: "
        screen.error(f"{about}{error.strerror or error}")
        return FAILED
    return 0
