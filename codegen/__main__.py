"""Generate the wire types and the tests' typed nodes, or see whether they are up to date."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .nodes import generate_package
from .package import compare, write
from .wire_types import generate_sources

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parent.parent
GOLDEN = "tests/golden"
"""What the tests hold generated nodes against: `object_info.json`, and `nodes` made from it."""


def main(arguments: Sequence[str] | None = None, *, root: Path = ROOT) -> int:
    """Run the generator.

    Args:
        arguments: Of the command line; those of the process unless given.
        root: The repository: where the schemas are read, and the sources compared or written.

    Returns:
        The exit status: 1 if sources are outdated.
    """
    parser = argparse.ArgumentParser(prog="python -m codegen", description=__doc__)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="compare with disk (the default)")
    mode.add_argument("--write", action="store_true", help="write what is outdated")
    options = parser.parse_args(arguments)

    outdated = [*_wire_types(root, writing=options.write), *_golden(root, writing=options.write)]
    if options.write:
        for path in outdated:
            print(f"Wrote {path}")
        return 0
    if outdated:
        print(
            f"Generated sources are outdated: {', '.join(sorted(outdated))}."
            " To regenerate them, run `nox -s codegen -- --write`",
            file=sys.stderr,
        )
        return 1
    return 0


def _wire_types(root: Path, *, writing: bool) -> list[str]:
    schemas = {
        path.name: json.loads(path.read_text(encoding="utf-8"))
        for path in root.joinpath("codegen", "schemas").glob("*.json")
    }
    outdated = {
        path: source
        for path, source in generate_sources(schemas).items()
        if _read(root / path) != source
    }
    if writing:
        for path, source in outdated.items():
            root.joinpath(path).write_text(source, encoding="utf-8", newline="\n")
    return list(outdated)


def _golden(root: Path, *, writing: bool) -> list[str]:
    text = _read(root / GOLDEN / "object_info.json")
    if text is None:
        return []
    sources = golden_sources(json.loads(text))
    directory = root / GOLDEN / "nodes"
    difference = write(directory, sources) if writing else compare(directory, sources)
    paths = [*difference.changed, *difference.new, *difference.stale]
    return [f"{GOLDEN}/nodes/{path}" for path in paths]


def golden_sources(object_info: Mapping[str, object]) -> Mapping[str, str]:
    """Return the package that the tests compare with, which no version changes."""
    package = generate_package(object_info, generator_version="0", server_version="0")
    return package.sources


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
