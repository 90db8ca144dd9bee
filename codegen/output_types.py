"""Types of what nodes were seen to show."""

from __future__ import annotations

import ast
import re
import unicodedata
from typing import TYPE_CHECKING, Final

from .identifiers import alias_name
from .typed_dicts import generate_typed_dicts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .shapes import Shape
    from .typed_dicts import JSONObject

_FILE: Final = frozenset({"filename", "subfolder", "type"})
_FILE_EXTRAS: Final = frozenset({"id", "preview_id"})
_PLAIN: Final = re.compile(r"(?!__)\w+\Z")


def render_outputs(shapes: Mapping[str, Shape], names: Mapping[str, str], *, header: str) -> str:
    """Return the source of a module with a TypedDict for each of the shapes.

    Args:
        shapes: By class type.
        names: The TypedDict's name, by class type.
        header: What the module begins with.
    """
    definitions: JSONObject = {}
    taken = set(names.values())
    for class_type, shape in sorted(shapes.items(), key=lambda item: names[item[0]]):
        name = names[class_type]
        definitions[name] = _object(shape, name, f"What {class_type!a} shows.", definitions, taken)
    source = generate_typed_dicts({"$defs": definitions}, header=header)
    _require_only_types(source)
    return source


def _object(
    shape: Shape, name: str, description: str, definitions: JSONObject, taken: set[str]
) -> JSONObject:
    """Return the schema of an object, after the definitions of what is in it were added.

    Args:
        shape: Of the object.
        name: What its definition is called.
        description: For its docstring.
        definitions: Is added to.
        taken: The names of all definitions; likewise.
    """
    keys = {key: item for key, item in (shape.keys or {}).items() if _is_harmless(key)}
    properties = {
        key: _schema(item, f"{name}{alias_name(key)}", definitions, taken)
        for key, item in sorted(keys.items())
    }
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": [key for key in properties if key not in shape.optional],
    }


def _is_harmless(key: str) -> bool:
    """Tell whether a key can be written as it is, in quotes or as a name in a class.

    Any other is left untyped.
    """
    if key.isidentifier():
        # Of others Python, or the generator of the types, makes another name.
        return bool(_PLAIN.match(key)) and unicodedata.normalize("NFKC", key) == key
    return key.isprintable() and not set(key) & set("\"'\\")


def _schema(shape: Shape, name: str, definitions: JSONObject, taken: set[str]) -> JSONObject:
    alternatives: list[JSONObject] = [
        {"type": scalar}
        for scalar in sorted(shape.scalars)
        if scalar != "integer" or "number" not in shape.scalars
    ]
    if shape.items is not None:
        items = _schema(shape.items, name, definitions, taken)
        alternatives.append({"type": "array", "items": items})
    if shape.is_table:
        alternatives.append({"type": "object", "additionalProperties": True})
    elif shape.keys is not None and _is_file(shape):
        alternatives.append({"customTypePath": "comfy_trio.types.OutputFile"})
    elif shape.keys is not None:
        while name in taken:
            name += "_"
        taken.add(name)
        definitions[name] = _object(shape, name, "One of these.", definitions, taken)
        alternatives.append({"$ref": f"#/$defs/{name}"})
    if len(alternatives) > 1:
        return {"anyOf": alternatives}
    return alternatives[0] if alternatives else {}


def _is_file(shape: Shape) -> bool:
    keys = (shape.keys or {}).keys()
    return keys >= _FILE and keys <= _FILE | _FILE_EXTRAS and not shape.optional & _FILE


_OF_TYPES: Final = (
    *(ast.Module, ast.ImportFrom, ast.alias, ast.Expr, ast.Constant, ast.ClassDef, ast.AnnAssign),
    *(ast.Assign, ast.Name, ast.Load, ast.Store, ast.Subscript, ast.Tuple, ast.BinOp, ast.BitOr),
    *(ast.Call, ast.Dict, ast.Pass),
)


def _require_only_types(source: str) -> None:
    """Refuse a module that would do anything: what it is made from is a server's word."""
    for part in ast.walk(ast.parse(source)):
        is_known = isinstance(part, _OF_TYPES)
        if isinstance(part, ast.ImportFrom):
            is_known = part.module in {"typing", "comfy_trio.types"}
        elif isinstance(part, ast.Call):
            is_known = isinstance(part.func, ast.Name) and part.func.id == "TypedDict"
        if not is_known:
            raise ValueError(f"the learned types hold more than types: {ast.unparse(part)!a}")
