"""Values that a node's declaration allows, for every kind of input, as programs would give them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import attrs

from codegen.declarations import (
    Autogrow,
    Combo,
    DynamicCombo,
    DynamicSlot,
    Flag,
    MatchType,
    Number,
    Socket,
    Text,
)
from comfy_trio import UnknownNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codegen.declarations import Kind
    from codegen.named import NamedInput, NamedNode
    from comfy_trio.graph import Node

FILE = "a file.safetensors"
SOURCE = "Source of "
"""With a type after it, the class of a node that gives just this."""


def source(type_: str) -> UnknownNode:
    return UnknownNode(SOURCE + type_)


def variants(node_class: type[Node], named: NamedNode) -> Iterator[Node]:
    """Yield nodes of a class: with defaults, with all inputs, and with each dynamic choice."""
    inputs = named.inputs
    fields = attrs.fields(cast("type[attrs.AttrsInstance]", node_class))
    needed = {field.alias for field in fields if field.default is attrs.NOTHING}
    yield make(node_class, [each for each in inputs if each.keyword in needed])
    yield make(node_class, inputs)
    for each in inputs:
        for value in choices(node_class, each):
            yield make(node_class, inputs, **{each.keyword: value})


def make(kind: Any, inputs: Any, /, **given: object) -> Any:
    values = {each.keyword: value_of(kind, each) for each in inputs if each.keyword not in given}
    return kind(**values, **given)


def choices(owner: Any, named: NamedInput) -> Iterator[object]:
    if isinstance(named.input.kind, DynamicCombo):
        classes = {choice.key: choice for choice in named.nested}
        for choice in named.input.kind.choices:
            if choice.key not in classes:
                yield choice.key
                continue
            nested = getattr(owner, classes[choice.key].class_name)
            parts = classes[choice.key].inputs
            yield make(nested, parts)
            for part in parts:
                for value in choices(nested, part):
                    yield make(nested, parts, **{part.keyword: value})


def value_of(owner: Any, named: NamedInput) -> object:
    kind = named.input.kind
    if isinstance(kind, DynamicCombo):
        return next(choices(owner, named))
    if isinstance(kind, DynamicSlot):
        [slot] = named.nested
        return make(getattr(owner, slot.class_name), slot.inputs, slot=literal(kind.slot))
    return literal(kind)


def literal(kind: Kind) -> object:
    match kind:
        case Number():
            low = -math.inf if kind.minimum is None else kind.minimum
            high = math.inf if kind.maximum is None else kind.maximum
            number = next(each for each in (1, 0, low, high) if low <= each <= high)
            return int(number) if kind.type == "INT" else float(number)
        case Text():
            return "some text"
        case Flag():
            return True
        case Combo(numbers=(number, *_)):
            return number
        case Combo():
            option = kind.options[0] if kind.options else FILE
            return [option] if kind.multiselect else option
        case Socket(types=("*",)):
            return {"any": ["thing"]}
        case Socket():
            return source(kind.types[-1])
        case MatchType():
            return source(kind.types[0] if kind.types else "IMAGE")
        case Autogrow():
            return [literal(kind.item)] * max(kind.minimum, 1)
        case _:
            raise AssertionError(kind)


def source_classes(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """What `/object_info` would say of the classes of the sources in a prompt."""
    types = {node["class_type"].removeprefix(SOURCE) for node in prompt.values()}
    return {
        SOURCE + type_: {"input": {}, "output": [type_], "output_node": False} for type_ in types
    }
