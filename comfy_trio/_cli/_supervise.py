"""Run a command: what it raises becomes a message, Ctrl-C a cancellation, and both an exit code."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, final

import trio

from .. import ComfyError
from ._screen import printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from ._screen import Screen

FAILED = 1
SIGNALLED = 128
"""Exit code of a process that a signal ended, less the signal's number, as shells have it."""
INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM)


class CommandError(Exception):
    """What a command was asked for cannot be done; the message says why and what to do."""

    def __init__(self, message: str, *, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


async def supervise(
    command: Callable[[Screen], Awaitable[None]], screen: Screen, *, until_interrupted: bool = False
) -> int:
    """Run a command to its end, and return the exit code.

    The first Ctrl-C (or SIGTERM) cancels the command, which thus can clean up at the server. A
    second one ends the process on the spot, for who cannot wait for that.

    Args:
        command: Will be called with `screen`. Raises `CommandError` for what is not the fault of
            the library.
        screen: Where to write to.
        until_interrupted: Whether Ctrl-C is how the command is meant to end, which is no failure.
    """
    code = 0
    with (
        _warnings_shown(screen),
        trio.CancelScope() as scope,
        _cancelled_by_signals(scope, screen) as signals,
    ):
        code = await _run(command, screen)
    if scope.cancelled_caught:
        return 0 if until_interrupted else SIGNALLED + signals[0]
    return code


@final
class _Warnings(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.WARNING)
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        self._screen.warning(printable(record.getMessage()))


@contextmanager
def _warnings_shown(screen: Screen) -> Generator[None]:
    """Show the library's warnings, such as that it connects again: it is silent by itself."""
    logger = logging.getLogger("comfy_trio")
    handler = _Warnings(screen)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def _cancelled_by_signals(scope: trio.CancelScope, screen: Screen) -> Generator[list[int]]:
    """Have signals cancel `scope`, instead of raising `KeyboardInterrupt` wherever they hit."""
    signals: list[int] = []
    trio_token = trio.lowlevel.current_trio_token()

    def cancel() -> None:
        screen.line("Interrupted: stopping. Once more quits at once.")
        scope.cancel("interrupted from outside")

    def handle(signum: int, _frame: object) -> None:
        signals.append(signum)
        if len(signals) == 1:
            trio_token.run_sync_soon(cancel)
        else:
            screen.out.show_cursor()  # which a progress bar hides
            os._exit(SIGNALLED + signum)

    previous = {signum: signal.signal(signum, handle) for signum in INTERRUPTIONS}
    try:
        yield signals
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


async def _run(command: Callable[[Screen], Awaitable[None]], screen: Screen) -> int:
    try:
        await command(screen)
    except CommandError as error:
        screen.error(str(error))
        return error.exit_code
    except ComfyError as error:
        screen.error(str(error))
        return FAILED
    except OSError as error:
        about = "" if error.filename is None else f"{error.filename}: "
        screen.error(f"{about}{error.strerror or error}")
        return FAILED
    return 0
