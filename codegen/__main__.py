"""Generate the wire types, or see whether they are up to date: `python -m codegen --help`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .wire_types import generate_sources

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parent.parent


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

    schemas = {
        path.name: json.loads(path.read_text(encoding="utf-8"))
        for path in root.joinpath("codegen", "schemas").glob("*.json")
    }
    outdated = {
        path: source
        for path, source in generate_sources(schemas).items()
        if _read(root / path) != source
    }
    if options.write:
        for path, source in outdated.items():
            root.joinpath(path).write_text(source, encoding="utf-8", newline="\n")
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


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
