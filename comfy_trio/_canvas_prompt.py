"""From a canvas file to the prompt that the browser would send for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import attrs

from ._canvas import read_canvas
from ._canvas_groups import with_groups_as_subgraphs
from ._canvas_ids import with_unique_ids
from ._canvas_links import Layout, Output, Value
from ._errors import WorkflowError, describe_node
from ._prompt import own_value
from ._util import as_object, is_list

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._canvas_links import Place
    from ._util import JSONObject


@final
@attrs.frozen
class ConvertedCanvas:
    """A prompt, and what there is to say of the way to it.

    Args:
        prompt: In API format.
        warnings: What could not be converted as the person who drew it would expect, in words.
    """

    prompt: JSONObject
    warnings: tuple[str, ...] = ()


def convert_canvas(
    canvas: Mapping[str, Any], object_info: Mapping[str, Any], *, source: str = "the workflow"
) -> ConvertedCanvas:
    """Make the prompt that the browser would send for a canvas.

    Nodes in subgraphs have the ids that the frontend gives them (``"12:3"``). Muted and bypassed
    nodes, notes and reroutes are left out, and what depends on them is linked as the frontend links
    it. A node of a class that `object_info` does not have keeps its class type and its links, loses
    its values, and is named in a warning.

    Args:
        canvas: The canvas file, versions 0.4 and 1.
        object_info: The server's reply to ``GET /object_info``: which values a file has follows
            from it.
        source: What to call the canvas in errors.

    Raises:
        WorkflowError: it is no canvas, has no nodes that are run, a subgraph contains itself,
            links form a circle of reroutes or bypassed nodes, or a value is nested too deeply.
    """
    drawn = with_unique_ids(read_canvas(dict(canvas), source=source))
    drawn = with_groups_as_subgraphs(drawn, object_info)
    layout = Layout(drawn, object_info)
    sent = {
        place.id: place
        for place in layout.places.values()
        if place.is_sent and not layout.is_instance(place.node)
    }
    if not sent:
        raise WorkflowError(f"{source} has no nodes to run: it is empty, or all are muted")
    prompt: JSONObject = {}
    warnings: list[str] = []
    for place in sent.values():
        declaration = as_object(object_info.get(place.node.type))
        prompt[place.id] = {
            "inputs": _inputs(place, layout, sent),
            "class_type": place.node.type,
            "_meta": {"title": _title(place, declaration)},
        }
        if not declaration:
            name = describe_node(place.id, place.node.type, place.node.title)
            warnings.append(
                f"{name} is of a class that the server does not have, so the values of its widgets"
                " are not known by name; its links are kept"
            )
    return ConvertedCanvas(prompt, (*warnings, *layout.warnings))


def _title(place: Place, declaration: JSONObject) -> str:
    return place.node.title or str(declaration.get("display_name") or place.node.type)


def _inputs(place: Place, layout: Layout, sent: Mapping[str, Place]) -> JSONObject:
    inputs = {name: _literal(value, name, place) for name, value in layout.values(place).items()}
    for index, slot in enumerate(place.node.inputs):
        match layout.source(place, index):
            case Output(node_id=node_id, slot=output) if node_id in sent:
                inputs[slot.name] = [node_id, output]
            case Value(value=value):
                inputs[slot.name] = _literal(value, slot.name, place)
            case _:  # nothing, or a muted node: the input's own widget counts, if it has one
                pass
    return inputs


def _literal(value: object, input_name: str, place: Place) -> object:
    """Return a value as the prompt has it: a bare list would be read as a link."""
    asked_by = f"input {input_name!r} of node {place.id}"
    copied = own_value(value, asked_by, node_id=place.id, input_name=input_name)
    return {"__value__": copied} if is_list(copied) else copied
