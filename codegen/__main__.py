"""Generate the wire types, the stubs and the tests' nodes, or see whether they are up to date."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from comfy_trio import __version__

from .nodes import generate_package
from .package import compare, replace_file, write
from .wire_types import generate_sources
from .workflow_module import generate_workflow_module

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from comfy_trio._util import JSONObject

ROOT = Path(__file__).parent.parent
STUBS_VERSION = "0.27.0"
"""The version of ComfyUI whose core nodes the stubs are."""
STUBS = f"stubs/object_info-{STUBS_VERSION}.json"
GOLDEN = "tests/golden/object_info.json"
"""What the tests hold the generator against."""
WORKFLOW = "tests/golden/portrait"
"""Likewise for the module of a workflow: the prompt and the module, without their suffixes."""
PROBES = "custom_nodes.probe_nodes"
"""A pack that the captured server had for tests of the protocol."""


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

    outdated = _wire_types(root, writing=options.write)
    for package, make, source in (
        ("stubs/comfy_nodes", make_stubs, STUBS),
        ("tests/golden/nodes", make_golden, GOLDEN),
    ):
        if (text := _read(root / source)) is not None:
            outdated += _package(root, package, make(json.loads(text)), writing=options.write)
    if (info := _read(root / STUBS)) and (prompt := _read(root / f"{WORKFLOW}.json")):
        source = make_workflow_module(json.loads(prompt), json.loads(info))
        outdated += _file(root, f"{WORKFLOW}.py", source, writing=options.write)
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


def _package(root: Path, package: str, sources: Mapping[str, str], *, writing: bool) -> list[str]:
    difference = write(root / package, sources) if writing else compare(root / package, sources)
    paths = [*difference.changed, *difference.new, *difference.stale]
    return [f"{package}/{path}" for path in paths]


def _file(root: Path, path: str, source: str, *, writing: bool) -> list[str]:
    if _read(root / path) == source:
        return []
    if writing:
        replace_file(root / path, source)
    return [path]


def make_stubs(object_info: Mapping[str, Mapping[str, object]]) -> Mapping[str, str]:
    """Return the package of what a plain server has."""
    core = {
        class_type: declaration
        for class_type, declaration in object_info.items()
        if declaration.get("python_module") != PROBES
    }
    return generate_package(
        core, generator_version=__version__, server_version=STUBS_VERSION
    ).sources


def make_golden(object_info: Mapping[str, object]) -> Mapping[str, str]:
    """Return the package that the tests compare with, which no version changes."""
    return generate_package(object_info, generator_version="0", server_version="0").sources


def make_workflow_module(prompt: JSONObject, object_info: Mapping[str, object]) -> str:
    """Return the module of the workflow that the tests compare with, which no version changes."""
    return generate_workflow_module(
        prompt,
        object_info,
        name=Path(WORKFLOW).name,
        generator_version="0",
        server_version=STUBS_VERSION,
    ).source


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
