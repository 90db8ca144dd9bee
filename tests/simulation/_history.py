"""What happened in a world, line by line."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import attrs
import trio

if TYPE_CHECKING:
    from collections.abc import Callable


@attrs.define(eq=False)
class History:
    """Written while a world lives, and read when something did not hold in it."""

    moments: list[tuple[float, str, str]] = attrs.field(factory=list[tuple[float, str, str]])
    faults: Counter[str] = attrs.field(factory=Counter[str])
    """What was harmed, how often."""
    outcomes: Counter[str] = attrs.field(factory=Counter[str])
    """How jobs ended, as their owners were told, how often."""
    _alarms: dict[int, list[Callable[[], None]]] = attrs.field(
        factory=dict[int, "list[Callable[[], None]]"]
    )

    def note(self, actor: str, what: str) -> None:
        """Write a line."""
        self.moments.append((trio.current_time(), actor, what))
        if self._alarms:
            for ring in self._alarms.pop(len(self.moments), ()):
                ring()

    def fault(self, kind: str, actor: str, what: str = "") -> None:
        """Write down, and count, what was harmed."""
        self.faults[kind] += 1
        self.note(actor, f"! {kind} {what}".rstrip())

    def after(self, lines: int, ring: Callable[[], None]) -> None:
        """Have something called when so many more lines are written: in the midst of whatever."""
        self._alarms.setdefault(len(self.moments) + lines, []).append(ring)

    def lines(self) -> list[str]:
        """What happened, legibly: seconds, who, and what; harm is marked with ``!``."""
        return [f"{time:9.3f}  {actor:<9} {what}" for time, actor, what in self.moments]
