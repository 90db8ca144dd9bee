"""Typed nodes: what a server declares in, the sources of a Python package out."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, cast, final

import attrs

from .declarations import Combo
from .names import resolve
from .parse import parse_object_info
from .render import render_package

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .declarations import NodeDeclaration


@final
@attrs.frozen
class GeneratedPackage:
    """What came of a server's declarations.

    Args:
        sources: The source of each file, by its path in the package.
        oddities: What made no sense in the declarations, in words, by class type.
    """

    sources: Mapping[str, str]
    oddities: Mapping[str, tuple[str, ...]]


def generate_package(
    object_info: Mapping[str, object],
    *,
    generator_version: str,
    server_version: str,
    strict_files: bool = False,
) -> GeneratedPackage:
    """Return a package of typed nodes: the same for the same declarations, in whatever order.

    Args:
        object_info: The reply to ``GET /object_info``. Whatever it holds, it is data: none of it
            becomes code other than names, literals and docstrings.
        generator_version: For the header of the package.
        server_version: Likewise.
        strict_files: Whether only the files that the server has now pass for one.
    """
    declarations = parse_object_info(object_info)
    sources = render_package(
        resolve(declarations, strict_files=strict_files),
        generator=generator_version,
        server=server_version,
        digest=_digest(declarations, strict_files=strict_files),
        strict_files=strict_files,
    )
    oddities = {each.class_type: each.oddities for each in declarations if each.oddities}
    return GeneratedPackage(sources, dict(sorted(oddities.items())))


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
