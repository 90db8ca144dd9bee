"""The documentation's pages as tests read them: what is code in them, and what is to come of it.

- A block with a title (```` ```python title="first.py" ````) is a file of that name, in a directory
  of the page's own.
- A block of ``sh`` is run there, as it stands, at embedded servers in the places of
  http://127.0.0.1:8188 and :8189; ``$COMFY_HOST`` is the first. It must succeed, unless
  ``<!-- exit: 1 -->`` stands before it.
- A block of ``text`` right after one of ``sh`` is what that prints; ``...`` stands for anything.
- A block of ``python`` without a title is a piece of an async function, which mypy checks: it has
  what `PARAMETERS` lists, and what ``<!-- given: path: str -->`` adds.
- ``<!-- needs: mypy -->`` has it run only where that is installed, with the tests marked ``types``.
- ``<!-- not run: why -->`` leaves out what cannot be run here, and ``<!-- not checked: why -->``
  what is checked elsewhere.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import attrs

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for path in (ROOT / "docs").rglob("*.md")
    if not path.is_relative_to(ROOT / "docs/reference")
)
PARAMETERS = {
    "comfy": "comfy_trio.Comfy",
    "pool": "comfy_trio.Pool",
    "server": "comfy_trio.testing.EmbeddedServer",
    "workflow": "comfy_trio.Workflow",
}
PREAMBLE = (
    "import json, logging, ssl, trio, comfy_trio, comfy_trio.testing, trio.testing",
    "from typing import Any, Literal",
    "from comfy_trio import *",
    "from comfy_trio.telemetry import OpenTelemetry",
    "from comfy_trio.testing import open_embedded_server",
)
"""What a reader of a piece takes for imported."""
BLOCK = re.compile(
    r"^(?P<remarks>(?:<!-- [^\n]+ -->\n)*)"
    r"```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
REMARK = re.compile(r"<!-- ([a-z ]+): (.*) -->")


@attrs.frozen
class Block:
    """A fenced block of a page.

    Args:
        page: The page's path in the repository.
        line: Where it begins, from 1.
        language: Empty if it names none.
        title: The name of the file that it is, if it is one.
        text: What it holds.
        remarks: What is said of it, for tests alone.
        told: What it prints, if the page tells.
    """

    page: str
    line: int
    language: str
    title: str
    text: str
    remarks: dict[str, str]
    told: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def is_run(self, *, checkers: bool) -> bool:
        """Tell whether it is to be run, or to be written."""
        left_out = "not run" in self.remarks or ("needs" in self.remarks and not checkers)
        return not left_out and (self.language == "sh" or bool(self.title))

    @property
    def is_checked(self) -> bool:
        """Whether mypy is to read it."""
        return "not checked" not in self.remarks and self.language == "python"

    def line_of(self, line: int) -> int:
        """Return where on the page a line of `as_module` is."""
        return self.line + line - (0 if self.title else len(PREAMBLE) + 1)

    def as_module(self) -> str:
        """Return it as a program for mypy: the file that it is, or a function around it."""
        if self.title:
            return self.text
        given = [f"{name}: {annotation}" for name, annotation in PARAMETERS.items()]
        given += filter(None, [self.remarks.get("given")])
        head = f"async def page({', '.join(given)}) -> None:"
        return "\n".join([*PREAMBLE, head, textwrap.indent(self.text, "    ")])


def blocks_of(page: str, text: str) -> list[Block]:
    """Take a page's blocks out of it."""
    blocks: list[Block] = []
    end = 0
    for found in BLOCK.finditer(text):
        follows = not text[end : found.start()].strip()
        end = found.end()
        if found["language"] == "text" and follows and blocks and blocks[-1].language == "sh":
            blocks[-1] = attrs.evolve(blocks[-1], told=found["text"])
            continue
        blocks.append(
            Block(
                page=page,
                line=text.count("\n", 0, found.start("language")) + 1,
                language=found["language"],
                title=found["title"] or "",
                text=found["text"],
                remarks=dict(REMARK.findall(found["remarks"])),
            )
        )
    return blocks


def read_page(path: Path) -> list[Block]:
    """Take the blocks out of a file of the repository."""
    return blocks_of(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))


def agrees(told: str, printed: str) -> bool:
    """Tell whether something printed is what a page tells, in which dots stand for anything."""
    pieces = (re.escape(piece) for piece in _stripped(told).split("..."))
    return re.fullmatch(".*?".join(pieces), _stripped(printed), re.DOTALL) is not None


def _stripped(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
