"""What can be set in one workflow, and what it gives: its literal values and its output nodes.

A workflow is an API-format prompt here. Of each value it is found what the node's class declares of
it, also within dynamic inputs, whose parts the prompt names in one string (``values.a``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from comfy_trio._prompt import as_link, links_of, title_of

from .declarations import Autogrow, DynamicCombo, DynamicSlot, Input

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from comfy_trio._util import JSONObject

    from .declarations import NodeDeclaration


@attrs.frozen
class Place:
    """A node of the workflow.

    Args:
        node_id: The node.
        class_type: Its class.
        title: What a person called it; empty if it is just what the canvas calls its class.
        takers: The inputs of other nodes that take what it gives, each name once, in order.
    """

    node_id: str
    class_type: str
    title: str
    takers: tuple[str, ...]


@attrs.frozen
class SettableInput:
    """An input with a literal value.

    Args:
        place: The node.
        name: The input, as the prompt names it.
        value: What it is unless somebody sets it.
        declared: What the node's class declares of it; None if it does not.
    """

    place: Place
    name: str
    value: object
    declared: Input | None

    @property
    def path(self) -> str:
        """Where it is, for `comfy_trio.PromptBuilder`."""
        return f"{self.place.node_id}.inputs.{self.name}"


def find_outputs(prompt: JSONObject, classes: Mapping[str, NodeDeclaration]) -> tuple[Place, ...]:
    """Return the nodes that the workflow is run for: output nodes, in the prompt's order.

    A node of an unknown class is taken for one if nothing takes what it gives.
    """
    places = _places(prompt, classes)
    return tuple(
        places[node_id]
        for node_id, node in prompt.items()
        if (
            classes[node["class_type"]].is_output_node
            if node["class_type"] in classes
            else not places[node_id].takers
        )
    )


def find_inputs(
    prompt: JSONObject, classes: Mapping[str, NodeDeclaration], outputs: Sequence[Place]
) -> tuple[SettableInput, ...]:
    """Return the literal values of all nodes that the outputs need, in the prompt's order."""
    needed = _needed(prompt, outputs)
    places = _places(prompt, classes)
    return tuple(
        SettableInput(place, name, value, _declaration(place, prompt[node_id], name, classes))
        for node_id, place in places.items()
        # A path could not say where the id ends, or what is set.
        if node_id in needed and "." not in node_id
        for name, value in prompt[node_id]["inputs"].items()
        if name and as_link(value) is None
    )


def _places(prompt: JSONObject, classes: Mapping[str, NodeDeclaration]) -> dict[str, Place]:
    takers: dict[str, dict[str, None]] = {node_id: {} for node_id in prompt}
    for node in prompt.values():
        for name, source, _ in links_of(node):
            takers.get(source, {})[name] = None
    return {
        node_id: Place(
            node_id, node["class_type"], _own_title(node, classes), tuple(takers[node_id])
        )
        for node_id, node in prompt.items()
    }


def _own_title(node: JSONObject, classes: Mapping[str, NodeDeclaration]) -> str:
    title, class_type = title_of(node).strip(), node["class_type"]
    usual = {class_type}
    if class_type in classes:
        usual.add(classes[class_type].display_name.strip())
    return "" if title in usual else title


def _needed(prompt: JSONObject, outputs: Sequence[Place]) -> set[str]:
    needed: set[str] = set()
    waiting = [place.node_id for place in outputs]
    while waiting:
        node_id = waiting.pop()
        if node_id in prompt and node_id not in needed:
            needed.add(node_id)
            waiting += [source for _, source, _ in links_of(prompt[node_id])]
    return needed


def _declaration(
    place: Place, node: JSONObject, name: str, classes: Mapping[str, NodeDeclaration]
) -> Input | None:
    if place.class_type not in classes:
        return None
    inputs = classes[place.class_type].inputs
    return next(_declarations(inputs, "", name, node["inputs"]), None)


def _declarations(
    inputs: Sequence[Input], prefix: str, name: str, values: Mapping[str, object]
) -> Iterator[Input]:
    """Yield what is declared under a name: at most once, unless the declaration is odd.

    Args:
        inputs: Of a node, or of a part of one.
        prefix: What the prompt puts before the names of these inputs.
        name: What is sought.
        values: What the prompt gives the node, which tells the choices that were made.
    """
    for each in inputs:
        full = prefix + each.name
        if full == name:
            yield each
        if not name.startswith(f"{full}."):
            continue
        match each.kind:
            case Autogrow(item=item):
                yield Input(name, item, tooltip=each.tooltip)
            case DynamicCombo(choices=choices):
                for choice in choices:
                    if choice.key == values.get(full):
                        yield from _declarations(choice.inputs, f"{full}.", name, values)
            case DynamicSlot(inputs=children):
                yield from _declarations(children, f"{full}.", name, values)
            case _:
                pass
