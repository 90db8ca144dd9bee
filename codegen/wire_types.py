"""Types of what goes over the wire: JSON Schemas in, Python source out. Reads and writes nothing.

The schemas are ordinary ones, and two keys of our own tell where what they describe turns up:
``x-nodes``, the classes of nodes that show such an output, and ``x-frame``, the type of the
WebSocket frame that holds such data.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from graphlib import TopologicalSorter
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

from .typed_dicts import LINE_LENGTH, generate_typed_dicts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .typed_dicts import JSONObject

TYPES = "comfy_trio/_wire_types.py"
NAMESPACE = "comfy_trio/types.py"
UI_TYPES = "codegen/ui_types.py"

_TYPES_HEADER = '''\
# Generated from codegen/schemas, do not edit: change those and run `nox -s codegen -- --write`.
# generator: datamodel-code-generator {generator}
# schemas: sha256 {digest}
"""What goes over the wire, as JSON reads it. Servers may add keys; see `comfy_trio.types`."""'''

_NAMESPACE_HEADER = '''\
# Generated from codegen/schemas, do not edit: change those and run `nox -s codegen -- --write`.
# schemas: sha256 {digest}
"""What goes over ComfyUI's wire, as JSON reads it: `TypedDict` classes for annotations.

They hold the keys that ComfyUI's core sends, from 0.3.40 on. A key that not all servers send is
`typing.NotRequired`; servers and custom nodes may add more. Nothing is checked at run time.
"""
'''

_UI_TYPES_HEADER = '''\
# Generated from codegen/schemas, do not edit: change those and run `nox -s codegen -- --write`.
# schemas: sha256 {digest}
"""What nodes show: the name of the type in `comfy_trio.types` by class of nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
'''


def bundle(schemas: Mapping[str, JSONObject]) -> JSONObject:
    """Join schemas that refer to each other into one that refers to itself.

    Definitions keep their order; a schema comes after those that it refers to.

    Args:
        schemas: By file name.

    Raises:
        ValueError: two of them define the same name, or refer to each other in a circle.
    """
    definitions: JSONObject = {}
    for file in TopologicalSorter(
        {file: _references(schema) for file, schema in sorted(schemas.items())}
    ).static_order():
        for name, definition in schemas[file]["$defs"].items():
            if name in definitions:
                raise ValueError(f"{name} is defined in {file}, and in another schema before it")
            definitions[name] = _rewrite(definition, _without_file)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": definitions}


def _references(schema: JSONObject) -> list[str]:
    """Return the names of the files that a schema refers to."""
    files: set[str] = set()

    def note(part: JSONObject) -> JSONObject:
        files.add(part.get("$ref", "").partition("#")[0])
        return part

    _rewrite(schema, note)
    return sorted(files - {""})


def _without_file(part: JSONObject) -> JSONObject:
    return {**part, "$ref": "#" + part["$ref"].partition("#")[2]} if "$ref" in part else part


def _rewrite(value: object, rewrite: Callable[[JSONObject], JSONObject]) -> Any:
    """Return a JSON value with every object in it rewritten, the inner ones first."""
    if isinstance(value, list):
        return [_rewrite(item, rewrite) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        items = cast("JSONObject", value).items()
        return rewrite({key: _rewrite(item, rewrite) for key, item in items})
    return value


def generate_sources(schemas: Mapping[str, JSONObject]) -> dict[str, str]:
    """Return the source of each generated module, by its path in the repository.

    Args:
        schemas: By file name.

    Raises:
        ValueError: see `bundle`.
    """
    bundled = bundle(schemas)
    canonical = json.dumps(bundled, sort_keys=True)
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    # A patch release of the generator may not change its output, and if it does, that shows.
    generator = ".".join(version("datamodel-code-generator").split(".")[:2])
    header = _TYPES_HEADER.format(generator=generator, digest=digest)
    types = generate_typed_dicts(_for_generator(bundled), header=header)
    names = sorted(bundled["$defs"], key=str.lower)
    imports = "".join(f"from ._wire_types import {name} as {name}\n" for name in names)
    return {
        TYPES: types,
        NAMESPACE: f"{_NAMESPACE_HEADER.format(digest=digest)}\n{imports}",
        UI_TYPES: f"{_UI_TYPES_HEADER.format(digest=digest)}\n{_ui_types(bundled)}",
    }


def _ui_types(bundled: JSONObject) -> str:
    shown = {
        node: name
        for name, definition in bundled["$defs"].items()
        for node in definition.get("x-nodes", ())
    }
    items = "".join(f'    "{node}": "{name}",\n' for node, name in sorted(shown.items()))
    return f"UI_TYPES: Final[Mapping[str, str]] = {{\n{items}}}\n"


def _for_generator(bundled: JSONObject) -> JSONObject:
    definitions: JSONObject = {}
    for name, definition in bundled["$defs"].items():
        text = definition["description"]
        if nodes := definition.get("x-nodes"):
            text += f"\n\nShown by {', '.join(nodes)}."
        if frame := definition.get("x-frame"):
            text += f"\n\nThe data of a frame of type ``{frame}``."
        definitions[name] = _rewrite({**definition, "description": text}, _plain)
    return {**bundled, "$defs": definitions}


def _plain(part: JSONObject) -> JSONObject:
    """Return a part of a schema with text that fits its lines, and without tuples.

    What Python reads from a JSON array is a list, but the generator makes a tuple of an array whose
    items are described one by one.
    """
    if "prefixItems" in part:
        part = {key: item for key, item in part.items() if key not in {"prefixItems", "minItems"}}
    text = part.get("description")
    return {**part, "description": _wrap(text)} if isinstance(text, str) else part


def _wrap(text: str) -> str:
    """Break text into lines that fit a docstring in a class."""
    quotes = '"""'
    width = LINE_LENGTH - 4
    if len(text) + 2 * len(quotes) <= width:
        return text
    paragraphs = (quotes + text).split("\n\n")
    lines = "\n\n".join(textwrap.fill(paragraph, width) for paragraph in paragraphs)
    return lines.removeprefix(quotes)
