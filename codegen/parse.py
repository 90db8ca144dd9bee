"""Nodes as a server's `/object_info` declares them. Total: whatever the JSON, nothing raises.

Custom nodes declare all sorts of things. What makes no sense is read as something looser, which
takes more than it should rather than less, and is told in the declaration's `oddities`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from comfy_trio._file_choices import are_files

from .declarations import Autogrow, MatchType, NodeDeclaration, Output
from .parse_inputs import ANYTHING, MATCHTYPE, Place, is_dynamic, parse_inputs, parse_types, unique
from .values import as_list, as_object, as_text, is_list, is_object, quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .declarations import Input


def parse_object_info(object_info: Mapping[str, object]) -> tuple[NodeDeclaration, ...]:
    """Return what a server declares, in its order.

    Args:
        object_info: The answer to ``GET /object_info``, by class type. Is not changed.
    """
    return tuple(_parse_node(class_type, entry) for class_type, entry in object_info.items())


def _parse_node(class_type: str, entry: object) -> NodeDeclaration:
    oddities: list[str] = []
    if not is_object(entry):
        oddities.append(f"the entry is no object: {quote(entry)}")
    info = as_object(entry)
    inputs = parse_inputs(info.get("input"), info.get("input_order"), Place(oddities))
    display_name = as_text(info.get("display_name"))
    return NodeDeclaration(
        class_type=class_type,
        display_name="" if display_name == class_type else display_name,
        description=as_text(info.get("description")),
        module=as_text(info.get("python_module")),
        category=as_text(info.get("category")),
        inputs=inputs,
        outputs=_parse_outputs(info, inputs, oddities),
        is_output_node=info.get("output_node") is True,
        shows=info.get("has_intermediate_output") is True,
        is_input_list=info.get("is_input_list") is True,
        deprecated=info.get("deprecated") is True,
        experimental=info.get("experimental") is True,
        api_node=info.get("api_node") is True,
        oddities=tuple(oddities),
    )


def _parse_outputs(
    info: Mapping[str, object], inputs: Sequence[Input], oddities: list[str]
) -> tuple[Output, ...]:
    declared = info.get("output")
    if isinstance(declared, str):
        # A tuple of one whose comma was forgotten.
        oddities.append(f"the outputs are no list: {quote(declared)}")
        declared = [declared]
    elif declared is not None and not is_list(declared):
        oddities.append(f"the outputs are no list: {quote(declared)}")
    templates = _templates(inputs)
    outputs: list[Output] = []
    for slot, type_ in enumerate(as_list(declared)):
        template = _at(info.get("output_matchtypes"), slot)
        if type_ == MATCHTYPE and isinstance(template, str) and template in templates:
            output = Output("", templates[template] or ANYTHING, template=template)
        elif is_list(type_):
            output = _parse_choice(type_)
        else:
            output = Output("", _parse_type(type_, slot, oddities))
        name = _at(info.get("output_name"), slot)
        outputs.append(
            attrs.evolve(
                output,
                name=as_text(name) or (as_text(type_) or ",".join(output.types)),
                is_list=bool(_at(info.get("output_is_list"), slot)),
                tooltip=as_text(_at(info.get("output_tooltips"), slot)),
            )
        )
    return tuple(outputs)


def _templates(inputs: Sequence[Input]) -> dict[str, tuple[str, ...]]:
    """Return the types that each template allows, by its id."""
    templates: dict[str, tuple[str, ...]] = {}
    for each in inputs:
        kind = each.kind.item if isinstance(each.kind, Autogrow) else each.kind
        if isinstance(kind, MatchType):
            templates.setdefault(kind.template, kind.types)
    return templates


def _parse_choice(type_: Sequence[object]) -> Output:
    """Return the output of one of a list of options, which is the list itself as a type."""
    options = unique(type_)
    if options is None or are_files("", type_, {}):
        return Output("", ("COMBO",))
    return Output("", ("COMBO",), options=options)


def _parse_type(type_: object, slot: int, oddities: list[str]) -> tuple[str, ...]:
    types = parse_types(as_text(type_))
    if not types:
        oddities.append(f"output {slot}: no type: {quote(type_)}")
    elif any(map(is_dynamic, types)):
        oddities.append(f"output {slot}: a type that only the server resolves: {quote(type_)}")
    else:
        return types
    return ANYTHING


def _at(values: object, slot: int) -> object:
    """Return an item of a list that may be too short, or no list."""
    items = as_list(values)
    return items[slot] if slot < len(items) else None
