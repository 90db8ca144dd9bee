"""Typed nodes: what a server declares in, the sources of a Python package out."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, cast, final

import attrs

from .declarations import Combo
from .learned import LEARNED, dump_learned
from .names import resolve
from .output_types import render_outputs
from .parse import parse_object_info
from .render import HEADER, OUTPUTS, render_package
from .ui_types import UI_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .declarations import NodeDeclaration
    from .named import NamedPackage
    from .shapes import Shape


@final
@attrs.frozen
class GeneratedPackage:
    """What came of a server's declarations.

    Args:
        sources: The source of each file, by its path in the package.
        oddities: What made no sense in the declarations, in words, by class type.
        learned: The class types of which it was learned what they show.
    """

    sources: Mapping[str, str]
    oddities: Mapping[str, tuple[str, ...]]
    learned: tuple[str, ...] = ()


def generate_package(
    object_info: Mapping[str, object],
    *,
    generator_version: str,
    server_version: str,
    strict_files: bool = False,
    learned: Mapping[str, Shape] | None = None,
) -> GeneratedPackage:
    """Return a package of typed nodes: the same for the same declarations, in whatever order.

    Args:
        object_info: The reply to ``GET /object_info``. Whatever it holds, it is data: none of it
            becomes code other than names, literals and docstrings.
        generator_version: For the header of the package.
        server_version: Likewise.
        strict_files: Whether only the files that the server has now pass for one.
        learned: What nodes were seen to show, by class type. Kept in the package.
    """
    declarations = parse_object_info(object_info)
    package = resolve(declarations, strict_files=strict_files)
    outputs: dict[str, str] = {}
    if learned:
        package, outputs = _with_outputs(package, learned)
    sources = render_package(
        package,
        generator=generator_version,
        server=server_version,
        digest=_digest(declarations, strict_files=strict_files),
        strict_files=strict_files,
    )
    sources |= outputs
    oddities = {each.class_type: each.oddities for each in declarations if each.oddities}
    return GeneratedPackage(sources, dict(sorted(oddities.items())), tuple(package.shown))


def _with_outputs(
    package: NamedPackage, learned: Mapping[str, Shape]
) -> tuple[NamedPackage, dict[str, str]]:
    """Return the names of a package with those of learned types, and the sources of the types."""
    sources = {LEARNED: dump_learned(learned)}
    shown: dict[str, str] = {}
    for pack in package.packs:
        names = {
            node.declaration.class_type: f"{node.class_name}Output"
            for module in pack.modules
            for node in module.nodes
            if node.declaration.class_type in learned.keys() - UI_TYPES.keys()
        }
        if names:
            shapes = {class_type: learned[class_type] for class_type in names}
            header = f'{HEADER}\n"""What nodes of the pack `{pack.name}` were seen to show."""'
            sources[f"{pack.name}/{OUTPUTS}"] = render_outputs(shapes, names, header=header)
            shown |= names
    return attrs.evolve(package, shown=shown), sources


def _digest(declarations: Sequence[NodeDeclaration], *, strict_files: bool) -> str:
    """Return what is the same as long as a package would be, whatever files come and go."""
    canonical = [
        _canonical(attrs.evolve(each, oddities=()), strict_files=strict_files)
        for each in sorted(declarations, key=lambda each: each.class_type)
    ]
    return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()[:16]


def _canonical(value: object, *, strict_files: bool) -> object:
    if isinstance(value, Combo) and value.files and not strict_files:
        value = attrs.evolve(value, options=())
    if attrs.has(type(value)):
        fields = attrs.asdict(cast("attrs.AttrsInstance", value), recurse=False)
        parts = {name: _canonical(part, strict_files=strict_files) for name, part in fields.items()}
        return {"": type(value).__name__, **parts}
    if isinstance(value, tuple):
        return [
            _canonical(item, strict_files=strict_files) for item in cast("Sequence[object]", value)
        ]
    return value
