"""Where the links of a canvas come from in the end: through subgraphs, reroutes, bypassed nodes.

Each node of the canvas, and of each instance of a subgraph, has one place, named as the frontend
names it: ``"12:7:3"`` is node 3 in the instance 7, which is in the instance 12
(ComfyUI_frontend, ``ExecutableNodeDTO.ts``). All walks are loops: a chain may be long.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from ._canvas import BYPASSED, INPUT_BOUNDARY, MUTED
from ._errors import WorkflowError
from ._slot_types import bypassed_input
from ._util import as_list, is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ._canvas import Canvas, CanvasGraph, CanvasNode, Subgraph

REROUTES: Final = frozenset({"Reroute", "Reroute (rgthree)"})
PRIMITIVE: Final = "PrimitiveNode"
GETTERS: Final = frozenset({"GetNode", "easy getNode"})
SETTERS: Final = frozenset({"SetNode", "easy setNode"})
DECORATIONS: Final = frozenset(
    {
        *("Note", "MarkdownNote", "Label (rgthree)", "Bookmark (rgthree)"),
        *("Fast Groups Muter (rgthree)", "Fast Groups Bypasser (rgthree)"),
        *("Fast Muter (rgthree)", "Fast Bypasser (rgthree)", "Fast Actions Button (rgthree)"),
        *("Mute / Bypass Repeater (rgthree)", "Mute / Bypass Relay (rgthree)"),
        *("Node Collector (rgthree)", "Random Unmuter (rgthree)"),
    }
)
VIRTUAL: Final = REROUTES | {PRIMITIVE} | GETTERS | SETTERS | DECORATIONS
"""Nodes that only the browser knows; where a server declares one, it is a node like others."""

MOST_NODES: Final = 100_000
"""How many nodes a canvas may unfold to. Subgraphs in subgraphs multiply."""


@attrs.frozen(eq=False)
class Place:
    """A node on the canvas, or in one instance of a subgraph.

    Args:
        id: Its id in the prompt.
        node: The node.
        graph: The graph that it is in.
        instance: The node that this graph is an instance's of; None on the canvas itself.
        is_sent: Whether the node is in the prompt: neither it nor an instance around it is muted
            or bypassed, and a server knows such nodes.
    """

    id: str
    node: CanvasNode
    graph: CanvasGraph
    instance: Place | None
    is_sent: bool

    def neighbour_id(self, node_id: str) -> str:
        """Return the id of the place of a node in the same graph."""
        return _place_id(self.instance, node_id)


@attrs.frozen
class Output:
    """An output of a node in the prompt."""

    node_id: str
    slot: int


@attrs.frozen
class Value:
    """A value from a widget that is not the node's own."""

    value: object


Source: TypeAlias = "Output | Value | None"
"""What an input gets. None: nothing, so that its own widget counts, if it has one."""


class Layout:
    """All places of a canvas."""

    def __init__(self, canvas: Canvas, declared: Mapping[str, object]) -> None:
        """Unfold a canvas.

        Args:
            canvas: The canvas.
            declared: The classes that the server has.

        Raises:
            WorkflowError: a subgraph contains itself, or there are more nodes than any canvas has.
        """
        self._subgraphs = canvas.subgraphs
        self._declared = declared
        self.places = {place.id: place for place in self._unfold(canvas)}
        self._promoted: dict[str, dict[str, object]] = {}
        for place in self.places.values():  # outer instances come first
            self._promote(place)

    def _unfold(self, canvas: Canvas) -> Iterator[Place]:
        pending: list[tuple[CanvasGraph, Place | None, tuple[str, ...]]] = [
            (canvas.graph, None, ())
        ]
        count = 0
        while pending:
            graph, instance, inside = pending.pop()
            for node in graph.nodes.values():
                count += 1
                if count > MOST_NODES:
                    raise WorkflowError(f"the subgraphs unfold to more than {MOST_NODES} nodes")
                is_run = node.is_run and (instance is None or instance.is_sent)
                place = Place(
                    _place_id(instance, node.id),
                    node,
                    graph,
                    instance,
                    is_sent=is_run and not self.is_virtual(node),
                )
                yield place
                subgraph = self._subgraphs.get(node.type)
                if subgraph is None:
                    continue
                if node.type in inside:
                    raise WorkflowError(
                        f"the subgraph {subgraph.name!r} contains itself", node_id=place.id
                    )
                pending.append((subgraph.graph, place, (*inside, node.type)))

    def is_virtual(self, node: CanvasNode) -> bool:
        """Tell whether only the browser knows such a node."""
        return node.type in VIRTUAL and node.type not in self._declared

    def is_instance(self, node: CanvasNode) -> bool:
        """Tell whether a node stands for a subgraph."""
        return node.type in self._subgraphs

    def promoted(self, place: Place) -> Mapping[str, object]:
        """Return the values that the instance around a node holds for its widgets, by name."""
        return self._promoted.get(place.id, {})

    def _promote(self, place: Place) -> None:
        """Note what an instance's widgets set, at itself and at the nodes in it."""
        subgraph = self._subgraphs.get(place.node.type)
        if subgraph is None:
            return
        own: dict[str, object] = {}
        for node_id, name, value in self._instance_values(place.node, subgraph):
            if node_id is None:
                own[name] = value
            else:
                inner = self._promoted.setdefault(f"{place.id}:{node_id}", {})
                inner[name] = value
        # What an outer instance says of this one's inputs counts more than its own.
        self._promoted[place.id] = {**own, **self._promoted.get(place.id, {})}

    def _instance_values(
        self, node: CanvasNode, subgraph: Subgraph
    ) -> Iterator[tuple[str | None, str, object]]:
        """Yield the values of an instance's widgets, each with whose input it sets.

        The node is None for an input of the instance itself.
        """
        if is_object(node.values):
            for name, value in node.values.items():
                yield None, name, value
            return
        proxies = node.properties.get("proxyWidgets")
        if isinstance(proxies, str):
            proxies = _parse_list(proxies)
        if is_list(proxies):
            for proxy, value in zip(proxies, node.values, strict=False):
                match proxy:
                    case [node_id, str(name), *_] if value is not None:
                        yield (None if str(node_id) == "-1" else str(node_id)), name, value
                    case _:
                        pass
            return
        with_widgets = (
            name for slot, name in enumerate(subgraph.inputs) if self._has_widget(subgraph, slot)
        )
        for name, value in zip(with_widgets, node.values, strict=False):
            yield None, name, value

    def _has_widget(self, subgraph: Subgraph, slot: int) -> bool:
        """Tell whether an input of a subgraph sets a widget of a node in it."""
        while True:
            link = next(
                (
                    link
                    for link in subgraph.graph.links.values()
                    if link.origin == INPUT_BOUNDARY and link.origin_slot == slot
                ),
                None,
            )
            node = None if link is None else subgraph.graph.nodes.get(link.target)
            if link is None or node is None or not 0 <= link.target_slot < len(node.inputs):
                return False
            if node.inputs[link.target_slot].widget:
                return True
            inner = self._subgraphs.get(node.type)
            name = node.inputs[link.target_slot].name
            if inner is None or name not in inner.inputs:
                return False
            subgraph, slot = inner, inner.inputs.index(name)

    def source(self, place: Place, index: int) -> Source:
        """Return what feeds an input slot of a node.

        Raises:
            WorkflowError: the links go round in a circle without meeting a node that is run.
        """
        wanted = place.node.inputs[index].type
        seen: set[tuple[str, int]] = set()
        while True:
            if (place.id, index) in seen:
                raise WorkflowError(
                    f"the links into node {place.id} ({place.node.type}) form a circle",
                    node_id=place.id,
                    input_name=place.node.inputs[index].name,
                )
            seen.add((place.id, index))
            step = self._step(place, index, wanted)
            if not isinstance(step, tuple):
                return step
            place, index, wanted = step

    def _step(
        self, place: Place, index: int, wanted: str
    ) -> Output | Value | tuple[Place, int, str] | None:
        """Follow one link upstream.

        Returns:
            What feeds the input, or the input of another node that is fed alike, with the type
            that is wanted from it.
        """
        slot = place.node.inputs[index]
        link = place.graph.links.get(slot.link or "")
        if link is None:
            return None
        if link.origin == INPUT_BOUNDARY and place.instance is not None:
            return self._out_of_instance(place.instance, link.origin_slot)
        origin = self.places.get(place.neighbour_id(link.origin))
        return None if origin is None else self._from_output(origin, link.origin_slot, wanted)

    def _from_output(
        self, place: Place, slot: int, wanted: str
    ) -> Output | Value | tuple[Place, int, str] | None:
        while True:
            node = place.node
            if node.type == PRIMITIVE and self.is_virtual(node):
                values = list(node.values.values()) if is_object(node.values) else node.values
                return Value(values[0]) if values else None
            if self.is_virtual(node):
                return self._through_virtual(place, wanted)
            if node.mode == BYPASSED:
                return self._through_bypassed(place, slot, wanted)
            subgraph = self._subgraphs.get(node.type)
            if subgraph is None or node.mode == MUTED:
                return Output(place.id, slot)
            link = subgraph.sources[slot] if 0 <= slot < len(subgraph.sources) else None
            if link is None:
                return None
            if link.origin == INPUT_BOUNDARY:
                return self._out_of_instance(place, link.origin_slot)
            inner = self.places.get(f"{place.id}:{link.origin}")
            if inner is None:
                return None
            place, slot = inner, link.origin_slot

    def _out_of_instance(self, instance: Place, slot: int) -> Value | tuple[Place, int, str] | None:
        """Go from an input of a subgraph to the same input of its instance."""
        names = self._subgraphs[instance.node.type].inputs
        if not 0 <= slot < len(names):
            return None
        found = instance.node.input(names[slot])
        if found is not None and found[1].link is not None:
            return instance, found[0], found[1].type
        promoted = self.promoted(instance)
        return Value(promoted[names[slot]]) if names[slot] in promoted else None

    def _through_bypassed(
        self, place: Place, slot: int, wanted: str
    ) -> tuple[Place, int, str] | None:
        node = place.node
        offered = node.outputs[slot] if 0 <= slot < len(node.outputs) else "*"
        index = bypassed_input([slot.type for slot in node.inputs], slot, offered, wanted)
        return None if index is None else (place, index, node.inputs[index].type)

    def _through_virtual(self, place: Place, wanted: str) -> tuple[Place, int, str] | None:
        if place.node.type in GETTERS:
            setter = self._setter(place)
            return None if setter is None else (setter, 0, wanted)
        return (place, 0, wanted) if place.node.inputs else None

    def _setter(self, getter: Place) -> Place | None:
        """Return the node that sets what a node gets: in its own graph, or in one around it."""
        name = _only_value(getter.node)
        around: Place | None = getter
        while around is not None:
            for node in around.graph.nodes.values():
                if node.type in SETTERS and node.inputs and _only_value(node) == name:
                    return self.places[around.neighbour_id(node.id)]
            around = around.instance
        return None


def _place_id(instance: Place | None, node_id: str) -> str:
    return node_id if instance is None else f"{instance.id}:{node_id}"


def _only_value(node: CanvasNode) -> object:
    values = list(node.values.values()) if is_object(node.values) else node.values
    return values[0] if values else None


def _parse_list(text: str) -> list[object]:
    try:
        return as_list(json.loads(text))
    except (ValueError, RecursionError):
        return []
