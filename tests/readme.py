"""The README's examples, for tests that hold it to its word."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def readme_blocks(language: str) -> list[str]:
    """The fenced blocks of a language; the empty one for those without."""
    fenced = README.read_text(encoding="utf-8").split("\n```")[1::2]
    blocks = (block.partition("\n") for block in fenced)
    return [f"{text}\n" for tag, _, text in blocks if tag == language]


def readme_examples(holding: str) -> list[str]:
    """The Python blocks that hold a text."""
    return [block for block in readme_blocks("python") if holding in block]
