"""Group nodes, which came before subgraphs, read as subgraphs.

A group node is of type ``workflow>Name`` (once ``workflow/Name``), and ``extra.groupNodes`` of the
file holds what is in it. Its inputs, outputs and widgets follow from the declarations of the nodes
in it (ComfyUI_frontend, ``groupNode.ts``). Made into a subgraph, everything that holds for those
holds for it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from ._canvas import (
    INPUT_BOUNDARY,
    OUTPUT_BOUNDARY,
    BoundarySlot,
    Canvas,
    CanvasGraph,
    InputSlot,
    Link,
    Subgraph,
)
from ._canvas_widgets import as_widget, declared_inputs, read_widgets
from ._errors import WorkflowError
from ._prompt import SEED_INPUTS
from ._util import as_list, as_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ._canvas import CanvasNode, Group
    from ._util import JSONObject

PREFIXES: Final = ("workflow>", "workflow/")
MOST_SLOTS: Final = 20_000
"""How many widgets and inputs the groups of a file may have. Groups in groups multiply."""
PRIMITIVE: Final = "PrimitiveNode"
REROUTE: Final = "Reroute"


def with_groups_as_subgraphs(canvas: Canvas, object_info: Mapping[str, object]) -> Canvas:
    """Return a canvas in which group nodes are instances of subgraphs.

    Raises:
        WorkflowError: the groups have more widgets and inputs than those of any file.
    """
    if not canvas.groups:
        return canvas
    made: dict[str, _GroupDefinition] = {}
    room = MOST_SLOTS
    # A group may hold groups that were made before it, and files keep that order.
    for name, group in canvas.groups.items():
        definition = _GroupDefinition(name, group, object_info, made, room)
        room -= definition.size
        made |= {f"{prefix}{name}": definition for prefix in PREFIXES}
    return attrs.evolve(
        canvas,
        graph=_with_instances(canvas.graph, made),
        subgraphs={
            **{
                subgraph_id: attrs.evolve(subgraph, graph=_with_instances(subgraph.graph, made))
                for subgraph_id, subgraph in canvas.subgraphs.items()
            },
            **{group_type: definition.subgraph() for group_type, definition in made.items()},
        },
    )


def _with_instances(graph: CanvasGraph, definitions: Mapping[str, _GroupDefinition]) -> CanvasGraph:
    nodes = (
        definitions[node.type].instance(node) if node.type in definitions else node
        for node in graph.nodes.values()
    )
    return attrs.evolve(graph, nodes={node.id: node for node in nodes})


@attrs.frozen
class _GroupWidget:
    """A widget of a group node: an input of a node in it."""

    node_id: str
    input_name: str
    spec: object


class _GroupDefinition:
    """What follows from the nodes in a group: its slots and its widgets, by their names."""

    def __init__(
        self,
        name: str,
        group: Group,
        object_info: Mapping[str, object],
        definitions: Mapping[str, _GroupDefinition],
        room: int,
    ) -> None:
        self._name = name
        self._room = room
        self._group = group
        self._object_info = object_info
        self._definitions = definitions
        self._widgets: dict[str, _GroupWidget] = {}
        self._inputs: list[tuple[str, str, str]] = []  # name, node, input
        self._outputs: list[tuple[str, int]] = []  # node, slot
        self._seen: dict[str, int] = {}
        self._nodes = {node.id: node for node in group.nodes}
        self._first_targets: dict[str, Link] = {}
        for link in group.links:
            if link.target in self._nodes:
                self._first_targets.setdefault(link.origin, link)
        self._linked = {(link.target, link.target_slot) for link in group.links}
        self._linking = {(link.origin, link.origin_slot) for link in group.links}
        converted = [
            (node, input_name, spec)
            for node in group.nodes
            for input_name, spec in self._add_node(node)
        ]
        for node, input_name, spec in converted:  # after all others
            name = self._unique_name(node, input_name)
            self._inputs.append((name, node.id, input_name))
            self._widgets[name] = _GroupWidget(node.id, input_name, spec)

    def _add_node(self, node: CanvasNode) -> Iterator[tuple[str, object]]:
        """Take up a node, and yield its widgets that were converted to slots."""
        inputs, output_count = self._declared(node)
        if self.size + len(inputs) > self._room:
            raise WorkflowError(
                f"with {self._name!r}, the group nodes come to more than {MOST_SLOTS} widgets and"
                " inputs"
            )
        slots: list[str] = []
        for input_name, spec in inputs.items():
            if as_widget(input_name, spec) is None:
                slots.append(input_name)
                continue
            found = node.input(input_name)
            if found is None or not found[1].widget:
                name = self._unique_name(node, input_name)
                self._widgets[name] = _GroupWidget(
                    node.id, input_name, _controlled(input_name, spec)
                )
            elif (node.id, found[0]) not in self._linked:
                yield input_name, spec
        for input_name in slots:
            found = node.input(input_name)
            if found is not None and (node.id, found[0]) in self._linked:
                continue
            name = self._unique_name(node, input_name)
            if self._config(node, "input", input_name).get("visible") is not False:
                self._inputs.append((name, node.id, input_name))
        for slot in range(output_count):
            is_inside = (node.id, slot) in self._linking
            is_hidden = is_inside and (node.id, slot) not in self._group.external
            visible = self._config(node, "output", str(slot)).get("visible")
            if not is_hidden if visible is None else visible:
                self._outputs.append((node.id, slot))

    def _declared(self, node: CanvasNode) -> tuple[Mapping[str, object], int]:
        """Return the inputs that a node in the group declares, and how many outputs it has."""
        if node.type in self._definitions:
            inner = self._definitions[node.type]
            sockets = {name: ["*"] for name, _, _ in inner._inputs}
            return sockets | inner._specs(), len(inner._outputs)
        if node.type in self._object_info:
            declaration = as_object(self._object_info[node.type])
            return declared_inputs(declaration), len(as_list(declaration.get("output")))
        if node.type == PRIMITIVE:
            return self._declared_primitive(node), 1
        is_passed_through = (node.id, 0) in self._linked and (node.id, 0) in self._linking
        if node.type == REROUTE and not (
            is_passed_through and (node.id, 0) not in self._group.external
        ):
            return {slot.name: ["*"] for slot in node.inputs}, 1
        return {}, 0

    def _declared_primitive(self, node: CanvasNode) -> Mapping[str, object]:
        """Return its value, which is declared as what it is linked to first."""
        link = self._first_targets.get(node.id)
        if link is None:
            return {}
        target = self._nodes[link.target]
        slot = target.inputs[link.target_slot : link.target_slot + 1]
        takes = slot and target.type != PRIMITIVE  # which only gives, and might go round in circles
        spec = self._declared(target)[0].get(slot[0].name) if takes else None
        kind, options = (*as_list(spec), None, None)[:2]
        return {"value": [kind, {**as_object(options), "control_after_generate": True}]}

    def _config(self, node: CanvasNode, side: str, name: str) -> JSONObject:
        """Return what a person has set for an input or output of a node in the group."""
        of_node = as_object(self._group.config.get(node.id))
        return as_object(as_object(of_node.get(side)).get(name))

    def _unique_name(self, node: CanvasNode, input_name: str) -> str:
        name = self._config(node, "input", input_name).get("name")
        if not isinstance(name, str):
            found = node.input(input_name)
            name = (found[1].label if found is not None else "") or input_name
        key = name
        if name in self._seen or (node.type == PRIMITIVE and node.title):
            prefix = f"{node.title or node.type} "
            key = name = f"{prefix}{input_name}"
            if name in self._seen:
                name = f"{prefix}{self._seen[name]} {input_name}"
        self._seen[key] = self._seen.get(key, 1) + 1
        return name

    @property
    def size(self) -> int:
        """How many widgets and inputs it has."""
        return len(self._widgets) + len(self._inputs)

    def _specs(self) -> dict[str, object]:
        return {name: widget.spec for name, widget in self._widgets.items()}

    def instance(self, node: CanvasNode) -> CanvasNode:
        """Return a group node with the widgets and slots of an instance of a subgraph."""
        values = read_widgets(node, {"input": {"required": self._specs()}}).values
        names = [name for name, _, _ in self._inputs]
        inputs = node.inputs
        if not {slot.name for slot in inputs} <= {*names}:  # renamed since: the order counts
            inputs = tuple(
                attrs.evolve(slot, name=names[index]) if index < len(names) else slot
                for index, slot in enumerate(inputs)
            )
        return attrs.evolve(
            node,
            inputs=inputs,
            values=list(values.values()),
            proxies=tuple(
                (self._widgets[name].node_id, self._widgets[name].input_name) for name in values
            ),
        )

    def subgraph(self) -> Subgraph:
        """Return the subgraph that the group is."""
        # Without the links that the nodes had where the group was made.
        slots = {
            node.id: [attrs.evolve(slot, link=None) for slot in node.inputs]
            for node in self._group.nodes
        }
        links: dict[str, Link] = {}
        for link in self._group.links:
            if link.target in slots and link.origin in slots:
                _add_link(links, link, slots[link.target])
        inputs: list[BoundarySlot] = []
        for number, (name, node_id, input_name) in enumerate(self._inputs):
            found = self._nodes[node_id].input(input_name)
            index = len(slots[node_id]) if found is None else found[0]
            if found is None:
                slots[node_id].append(InputSlot(input_name, "*"))
            link = Link(INPUT_BOUNDARY, number, node_id, index)
            inputs.append(BoundarySlot(name, (_add_link(links, link, slots[node_id]),)))
        outputs: list[BoundarySlot] = []
        for slot, (node_id, output) in enumerate(self._outputs):
            link_id = str(len(links))
            links[link_id] = Link(node_id, output, OUTPUT_BOUNDARY, slot)
            outputs.append(BoundarySlot("", (link_id,)))
        nodes = {
            node.id: attrs.evolve(node, inputs=tuple(slots[node.id])) for node in self._group.nodes
        }
        return Subgraph(
            self._name,
            tuple(inputs),
            tuple(outputs),
            _with_instances(CanvasGraph(nodes, links), self._definitions),
        )


def _controlled(input_name: str, spec: object) -> object:
    """Return the declaration of an input that may have another name in the group."""
    if input_name not in SEED_INPUTS:
        return spec
    kind, options = (*as_list(spec), None, None)[:2]
    return [kind, {**as_object(options), "control_after_generate": True}]


def _add_link(links: dict[str, Link], link: Link, slots: list[InputSlot]) -> str:
    """Add a link to those of a graph, and to the slots of the node where it ends.

    Returns:
        Its id.
    """
    link_id = str(len(links))
    links[link_id] = link
    if 0 <= link.target_slot < len(slots):
        slots[link.target_slot] = attrs.evolve(slots[link.target_slot], link=link_id)
    return link_id
