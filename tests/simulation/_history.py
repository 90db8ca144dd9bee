"""What happened in a world, line by line."""

from __future__ import annotations

from collections import Counter

import attrs
import trio


@attrs.define(eq=False)
class History:
    """Written while a world lives, and read when it failed."""

    lines: list[str] = attrs.field(factory=list[str])
    faults: Counter[str] = attrs.field(factory=Counter[str])

    def note(self, actor: str, what: str) -> None:
        """Write a line."""
        self.lines.append(f"{trio.current_time():9.3f}  {actor:<10} {what}")

    def fault(self, kind: str, actor: str, what: str = "") -> None:
        """Write down that something was broken on purpose."""
        self.faults[kind] += 1
        self.note(actor, f"! {kind} {what}".rstrip())
