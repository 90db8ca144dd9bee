"""Where commands write to: a person's terminal, or a pipe."""

from __future__ import annotations

from typing import final

import attrs
from rich.console import Console
from rich.text import Text


def _stdout() -> Console:
    return Console(highlight=False)


def _stderr() -> Console:
    return Console(stderr=True, highlight=False)


@final
@attrs.frozen
class Screen:
    """Where a command writes to. Text is taken as it is: brackets are no markup.

    Args:
        out: For what was asked for.
        err: For errors.
    """

    out: Console = attrs.field(factory=_stdout)
    err: Console = attrs.field(factory=_stderr)

    def line(self, text: str = "", *, style: str = "") -> None:
        """Write a line as long as it is: a path that is broken in two is of no use."""
        self.out.print(Text(text, style), soft_wrap=True)

    def prose(self, text: str) -> None:
        """Write a paragraph, broken between words where a person reads it."""
        self.out.print(Text(text), soft_wrap=not self.out.is_terminal)

    def fact(self, name: str, value: object) -> None:
        """Write a line that states one thing."""
        self.out.print(Text.assemble((f"{name:<12}", "bold"), str(value)), soft_wrap=True)

    def error(self, message: str) -> None:
        """Write an error's message."""
        self.err.print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)

    def warning(self, message: str) -> None:
        """Write a warning's message."""
        # Where both are one terminal, only the one that draws the progress bar can write around it.
        console = self.out if self.out.is_terminal and self.err.is_terminal else self.err
        console.print(Text.assemble(("warning: ", "bold yellow"), message), soft_wrap=True)


def printable(text: str) -> str:
    """Return a text of somebody else's without what would do something to a terminal."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
