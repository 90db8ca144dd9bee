"""What checkers will say of a node: the types of its class's fields and outputs, and of values.

A generated module imports most of what its annotations name for checkers only. Where something is
not understood the answer is that it fits.
"""

from __future__ import annotations

import ast
import inspect
import sys
import types
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import resolve_name
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, cast, get_args, get_origin
from weakref import WeakKeyDictionary

import attrs

from comfy_trio._out import is_out
from comfy_trio.graph import COMBO, Choice, Node, Options, Out, Slot

if TYPE_CHECKING:
    from comfy_trio._typed_node import Inputs

Given = Mapping[Node, Mapping[Any, object]]
"""What the type variables of each node's class stand for."""

_TYPES = (types.UnionType, Union)
_NUMBERS: Mapping[object, tuple[type, ...]] = {
    str: (str,),
    bool: (bool,),
    int: (int,),
    float: (int, float),
    type(None): (type(None),),
}


def field_types(kind: type[Inputs]) -> Mapping[str, Any]:
    """Return the type of each field of a class by its attribute."""
    fields = attrs.fields(cast("type[attrs.AttrsInstance]", kind))
    return {field.name: _evaluate(field.type, kind) for field in fields}


def outputs_of(node: Node) -> dict[int, str]:
    """Return the attributes of a node that has several outputs, by their slots."""
    names = [name for name, item in vars(type(node)).items() if isinstance(item, property)]
    slots = {name: getattr(node, name) for name in names}
    return {slot.index: name for name, slot in slots.items() if isinstance(slot, Slot)}


def output_type(out: Out[Any], given: Given) -> object:
    """Return what a checker takes an output to be of: what is in the brackets of its ``Out``."""
    if isinstance(out, Slot):
        node = out.node
        name = outputs_of(node).get(out.index)
        found = Any if name is None else _return_type(type(node), name)
    else:
        node = cast("Node", out)
        found = next((base for base in _bases(type(node)) if get_origin(base) is Out), Any)
    types_given = given.get(node, {})
    inside = get_args(found)[0] if get_origin(found) is Out else Any
    return types_given.get(inside, inside) if isinstance(inside, TypeVar) else inside


def solve(node: Node, given: Given) -> tuple[dict[Any, object], bool]:
    """Return what the type variables of a node's class stand for.

    Returns:
        The type for each; and whether checkers find that out alone, or are to be told.
    """
    variables: tuple[Any, ...] = getattr(type(node), "__parameters__", ())
    if not variables:
        return {}, True
    found: dict[Any, list[object]] = {variable: [] for variable in variables}
    for name, declared in field_types(type(node)).items():
        _collect(getattr(node, name), declared, found, given)
    if all(_agree(links) for links in found.values()):
        return {variable: links[0] for variable, links in found.items()}, True
    return dict.fromkeys(variables, Any), False


def _agree(links: Sequence[object]) -> bool:
    return len(links) > 0 and links[0] is not Any and all(link == links[0] for link in links)


def _collect(value: object, declared: object, found: dict[Any, list[object]], given: Given) -> None:
    link = value if is_out(value) else None
    for part in _parts(declared):
        arguments = get_args(part)
        if get_origin(part) is Out and link is not None and arguments[0] in found:
            found[arguments[0]].append(output_type(link, given))
        elif get_origin(part) is Sequence and isinstance(value, tuple | list):
            for item in cast("Sequence[object]", value):
                _collect(item, arguments[0], found, given)
        elif get_origin(part) is Mapping and isinstance(value, Mapping):
            for item in cast("Mapping[str, object]", value).values():
                _collect(item, arguments[1], found, given)


def fits(value: object, declared: object, given: Given) -> bool:
    """Tell whether checkers take a value for a type.

    Args:
        value: Of an input of a node.
        declared: As `field_types` returns it.
        given: Of the nodes that the value comes from.
    """
    if declared is Any or declared is object:
        return True
    origin, arguments = get_origin(declared), get_args(declared)
    if origin in _TYPES:
        return any(fits(value, part, given) for part in arguments)
    if origin is Out:
        is_link = isinstance(value, Out)
        return is_link and _link_fits(output_type(cast("Out[Any]", value), given), arguments[0])
    if isinstance(value, Out):
        return False
    if origin is Literal:
        return any(value == one and type(value) is type(one) for one in arguments)
    if origin is Sequence:
        row = cast("Sequence[object]", value)
        return isinstance(value, list | tuple) and all(
            fits(item, arguments[0], given) for item in row
        )
    if origin is Mapping:
        items = cast("Mapping[str, object]", value)
        return isinstance(value, Mapping) and all(
            fits(key, arguments[0], given) and fits(item, arguments[1], given)
            for key, item in items.items()
        )
    if declared in _NUMBERS:
        return isinstance(value, _NUMBERS[declared])
    if inspect.isclass(declared):
        return isinstance(value, declared)
    return True


def _link_fits(given: object, wanted: object) -> bool:
    if given is Any or wanted is Any or wanted is object:
        return True
    if isinstance(wanted, TypeVar):
        return wanted.__bound__ is None or _link_fits(given, wanted.__bound__)
    wanted_parts = _parts(wanted)
    return all(any(_part_fits(part, each) for each in wanted_parts) for part in _parts(given))


def _parts(union: object) -> tuple[object, ...]:
    return get_args(union) if get_origin(union) in _TYPES else (union,)


def _part_fits(given: object, wanted: object) -> bool:
    if given == wanted:
        return True
    if get_origin(given) is Options:
        return wanted is COMBO
    return inspect.isclass(given) and inspect.isclass(wanted) and issubclass(given, wanted)


# --- reading annotations --------------------------------------------------------------------------


def _bases(node_class: type[Node]) -> tuple[object, ...]:
    bases: tuple[object, ...] = getattr(node_class, "__orig_bases__", ())
    return bases


def _return_type(node_class: type[Node], name: str) -> object:
    getter = vars(node_class)[name].fget
    return _evaluate(getter.__annotations__.get("return", Any), node_class)


def _evaluate(annotation: object, kind: type[Inputs]) -> object:
    if not isinstance(annotation, str):
        return annotation
    try:
        # As `typing.get_type_hints` does; the module has been run already.
        return eval(annotation, _names_for(kind))
    except (NameError, TypeError):
        return Any


_names: WeakKeyDictionary[type[Inputs], dict[str, Any]] = WeakKeyDictionary()


def _names_for(kind: type[Inputs]) -> dict[str, Any]:
    """Return what names mean in the annotations of a class."""
    if kind not in _names:
        nested = {
            name: item
            for name, item in vars(kind).items()
            if inspect.isclass(item) and issubclass(item, Choice)
        }
        _names[kind] = {**_names_in(sys.modules[kind.__module__]), **nested}
    return _names[kind]


@cache
def _names_in(module: types.ModuleType) -> dict[str, object]:
    """Return what names mean in the annotations of a module."""
    names = dict(vars(module))
    package = names["__package__"]
    for block in ast.parse(inspect.getsource(module)).body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for statement in block.body:
                if isinstance(statement, ast.ImportFrom):
                    relative = "." * statement.level + (statement.module or "")
                    source = import_module(resolve_name(relative, cast("str", package)))
                    for alias in statement.names:
                        names[alias.asname or alias.name] = getattr(source, alias.name)
    return {**names, "JSON": Any}
