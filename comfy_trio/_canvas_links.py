"""Where the links of a canvas come from in the end: through subgraphs, reroutes, bypassed nodes.

Each node of the canvas, and of each instance of a subgraph, has one place, named as the frontend
names it: ``"12:7:3"`` is node 3 in the instance 7, which is in the instance 12
(ComfyUI_frontend, ``ExecutableNodeDTO.ts``). All walks are loops: a chain may be long.
"""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from ._canvas import BYPASSED, INPUT_BOUNDARY, MUTED, OWN_INPUT
from ._canvas_widgets import read_widgets, slots_of_widgets
from ._errors import WorkflowError, describe_node
from ._slot_types import bypassed_input
from ._util import as_object, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ._canvas import Canvas, CanvasGraph, CanvasNode, Subgraph
    from ._canvas_widgets import Held

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

DEEPEST_NESTING: Final = 100
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


@attrs.frozen
class _Step:
    """An input on the way upstream.

    Args:
        place: The node.
        index: Which of its input slots.
        wanted: The type that is to come out of it.
        is_first: Whether nothing but the boundaries of subgraphs was passed on the way here.
    """

    place: Place
    index: int
    wanted: str
    is_first: bool = True


class Layout:
    """All places of a canvas."""

    def __init__(self, canvas: Canvas, object_info: Mapping[str, object]) -> None:
        """Unfold a canvas.

        Args:
            canvas: The canvas.
            object_info: What the server declares.

        Raises:
            WorkflowError: a subgraph contains itself, or there are more nodes than any canvas has.
        """
        self._subgraphs = canvas.subgraphs
        self._object_info = object_info
        self._values: dict[str, Mapping[str, object]] = {}
        self._proxied: dict[str, dict[str, dict[str, object]]] = {}
        self._sources: dict[_Step, Source] = {}
        self._input_values: dict[tuple[str, int], Value | None] = {}
        self._setters: dict[CanvasGraph, Mapping[str, CanvasNode]] = {}
        self.places = {place.id: place for place in self._unfold(canvas)}
        self.warnings: list[str] = []
        """What of the values was odd, in words."""

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
                if len(inside) >= DEEPEST_NESTING:
                    raise WorkflowError(
                        f"subgraphs are nested more than {DEEPEST_NESTING} deep", node_id=place.id
                    )
                pending.append((subgraph.graph, place, (*inside, node.type)))

    def is_virtual(self, node: CanvasNode) -> bool:
        """Tell whether only the browser knows such a node."""
        return node.type in VIRTUAL and node.type not in self._object_info

    def is_instance(self, node: CanvasNode) -> bool:
        """Tell whether a node stands for a subgraph."""
        return node.type in self._subgraphs

    def values(self, place: Place) -> Mapping[str, object]:
        """Return what the widgets of a node set, by the names of its inputs.

        What an instance around it says of them counts more than what the node holds itself.
        """
        if place.id not in self._values:
            node = place.node
            subgraph = self._subgraphs.get(node.type)
            if subgraph is not None:
                own = dict(self._held_values(node, subgraph))
            elif declaration := as_object(self._object_info.get(node.type)):
                held = read_widgets(node, declaration)
                own = held.values
                self._note(place, held)
            else:
                own = {}
            self._values[place.id] = {**own, **self._promoted(place)}
        return self._values[place.id]

    def _note(self, place: Place, held: Held) -> None:
        name = describe_node(place.id, place.node.type, place.node.title)
        if held.is_realigned:
            self.warnings.append(
                f"{name}: its class has changed since the file was saved, so its values were given"
                " to the inputs that they fit: look them through"
            )
        for misfit in held.misfits:
            self.warnings.append(
                f"{name}: input {misfit!r} has the value {held.values[misfit]!r}, which it cannot"
                " take: its class has changed since the file was saved"
            )

    def _promoted(self, place: Place) -> Mapping[str, object]:
        """Return what the instances around a node say of its widgets, the outermost first."""
        instance = place.instance
        if instance is None or instance.node.proxies is None or is_object(instance.node.values):
            return {}
        if instance.id not in self._proxied:
            around = self._promoted(instance)
            proxied: dict[str, dict[str, object]] = {}
            values = chain(instance.node.values, repeat(None))
            for (node_id, name), held in zip(instance.node.proxies, values, strict=False):
                value = around.get(name, held)
                if value is not None and node_id != OWN_INPUT:
                    proxied.setdefault(node_id, {})[name] = value
            self._proxied[instance.id] = proxied
        return self._proxied[instance.id].get(place.node.id, {})

    def _held_values(self, node: CanvasNode, subgraph: Subgraph) -> Iterator[tuple[str, object]]:
        """Yield what an instance says of its own inputs."""
        if is_object(node.values):
            yield from node.values.items()
        elif node.proxies is not None:
            for (node_id, name), value in zip(node.proxies, node.values, strict=False):
                if node_id == OWN_INPUT and value is not None:
                    yield name, value
        else:  # since 1.46 or so, widgets follow from what the inputs feed
            names = (
                boundary.name
                for slot, boundary in enumerate(subgraph.inputs)
                if self._feeds_widget(subgraph, slot)
            )
            yield from zip(names, node.values, strict=False)

    def _feeds_widget(self, subgraph: Subgraph, slot: int) -> bool:
        """Tell whether the first node that an input of a subgraph feeds has a widget for it."""
        while (fed := next(subgraph.fed(slot), None)) is not None:
            node, target = fed
            if target.widget:
                return True
            inner = self._subgraphs.get(node.type)
            inner_slot = None if inner is None else inner.slot_of(target.name)
            if inner is None or inner_slot is None:
                return False
            subgraph, slot = inner, inner_slot
        return False

    def _input_value(self, instance: Place, slot: int) -> Value | None:
        """Return the value of an instance's input that nothing is linked to.

        If the instance does not hold one, it is that of the first widget that the input feeds:
        for all others that it feeds, too.
        """
        asked = (instance.id, slot)
        if asked not in self._input_values:
            self._input_values[asked] = self._find_input_value(instance, slot)
        return self._input_values[asked]

    def _find_input_value(self, instance: Place, slot: int) -> Value | None:
        while True:
            subgraph = self._subgraphs[instance.node.type]
            name = subgraph.inputs[slot].name
            values = self.values(instance)
            if name in values:
                return Value(values[name])
            for node, target in subgraph.fed(slot):
                inner = self.places[f"{instance.id}:{node.id}"]
                values = self.values(inner)
                if target.widget and target.widget in values:
                    return Value(values[target.widget])
                within = self._subgraphs.get(node.type)
                inner_slot = None if within is None else within.slot_of(target.name)
                if inner_slot is not None:
                    instance, slot = inner, inner_slot
                    break
            else:
                return None

    def source(self, place: Place, index: int) -> Source:
        """Return what feeds an input slot of a node.

        Raises:
            WorkflowError: the links go round in a circle without meeting a node that is run.
        """
        step: _Step | Source = _Step(place, index, place.node.inputs[index].type)
        seen: set[tuple[str, int]] = set()
        way: list[_Step] = []
        while isinstance(step, _Step):
            if step in self._sources:  # where many ways meet
                step = self._sources[step]
                break
            if (step.place.id, step.index) in seen:
                raise WorkflowError(
                    f"the links into node {place.id} ({place.node.type}) form a circle",
                    node_id=place.id,
                    input_name=place.node.inputs[index].name,
                )
            seen.add((step.place.id, step.index))
            way.append(step)
            step = self._follow(step)
        self._sources.update(dict.fromkeys(way[1:], step))
        return step

    def _follow(self, step: _Step) -> _Step | Source:
        """Follow the link that ends at an input."""
        place = step.place
        link = place.graph.links.get(place.node.inputs[step.index].link or "")
        if link is None:
            return None
        if link.origin == INPUT_BOUNDARY and place.instance is not None:
            return self._out_of_instance(place.instance, link.origin_slot)
        origin = self.places.get(place.neighbour_id(link.origin))
        return None if origin is None else self._through_output(origin, link.origin_slot, step)

    def _through_output(self, place: Place, slot: int, step: _Step) -> _Step | Source:
        while True:
            node = place.node
            if node.mode == MUTED and node.type != PRIMITIVE:  # whose value is copied all the same
                return None
            if self.is_virtual(node):
                return self._through_virtual(place, step)
            if node.mode == BYPASSED:
                return self._through_bypassed(place, slot, step.wanted)
            subgraph = self._subgraphs.get(node.type)
            if subgraph is None:
                return Output(place.id, slot)
            link = subgraph.source(slot)
            if link is None:
                return None
            if link.origin == INPUT_BOUNDARY:
                return self._out_of_instance(place, link.origin_slot)
            inner = self.places.get(f"{place.id}:{link.origin}")
            if inner is None:
                return None
            place, slot = inner, link.origin_slot

    def _out_of_instance(self, instance: Place, slot: int) -> _Step | Value | None:
        """Go from an input of a subgraph to the same input of its instance."""
        inputs = self._subgraphs[instance.node.type].inputs
        if not 0 <= slot < len(inputs):
            return None
        found = instance.node.input(inputs[slot].name)
        if found is None or found[1].link is None:
            return self._input_value(instance, slot)
        return _Step(instance, found[0], found[1].type)

    def _through_bypassed(self, place: Place, slot: int, wanted: str) -> _Step | None:
        node = place.node
        offered = node.outputs[slot] if 0 <= slot < len(node.outputs) else "*"
        slots = self._all_slots(node)
        found = bypassed_input([kind for kind, _ in slots], slot, offered, wanted)
        index = None if found is None else slots[found][1]
        if index is None:
            return None
        return _Step(place, index, node.inputs[index].type, is_first=False)

    def _all_slots(self, node: CanvasNode) -> list[tuple[str, int | None]]:
        """Return a node's inputs as the browser has them: types, and places in the file.

        Files since 1.45 or so, and those before 1.16, do not list the slots of widgets that nothing
        is linked to. The browser has them, and what is bypassed may lead to one.
        """
        subgraph = self._subgraphs.get(node.type)
        if subgraph is None:
            declaration = as_object(self._object_info.get(node.type))
            known = {widget.name: widget.type for widget in slots_of_widgets(declaration)}
        else:
            known = {slot.name: slot.type for slot in subgraph.inputs if slot.type}
        listed = {slot.name: index for index, slot in enumerate(node.inputs)}
        others: list[tuple[str, int | None]] = [
            (slot.type, index) for index, slot in enumerate(node.inputs) if slot.name not in known
        ]
        known_slots = [(kind, listed.get(name)) for name, kind in known.items()]
        # The slots of widgets come after all others.
        return known_slots + others if subgraph else others + known_slots

    def _through_virtual(self, place: Place, step: _Step) -> _Step | Value | None:
        node = place.node
        if node.type == PRIMITIVE:
            # The frontend copies its value to the widgets right behind its links, and no further.
            if not step.is_first or not node.values:
                return None
            return Value(self._promoted(place).get("value", _first_value(node)))
        if node.type in GETTERS:
            setter = self._setter(place)
            return None if setter is None else _Step(setter, 0, step.wanted, is_first=False)
        return _Step(place, 0, step.wanted, is_first=False) if node.inputs else None

    def _setter(self, getter: Place) -> Place | None:
        """Return the node that sets what a node gets: in its own graph, or in one around it."""
        name = repr(_first_value(getter.node))
        around: Place | None = getter
        while around is not None:
            if around.graph not in self._setters:
                self._setters[around.graph] = _setters(around.graph)
            if (setter := self._setters[around.graph].get(name)) is not None:
                return self.places[around.neighbour_id(setter.id)]
            around = around.instance
        return None


def _place_id(instance: Place | None, node_id: str) -> str:
    return node_id if instance is None else f"{instance.id}:{node_id}"


def _setters(graph: CanvasGraph) -> Mapping[str, CanvasNode]:
    """Return the nodes that set something, by the names of what they set; of equal ones the first.

    The names are as `repr` has them: a file may hold anything in their place.
    """
    setters: dict[str, CanvasNode] = {}
    for node in graph.nodes.values():
        if node.type in SETTERS and node.inputs:
            setters.setdefault(repr(_first_value(node)), node)
    return setters


def _first_value(node: CanvasNode) -> object:
    held = node.values
    return next(iter(held.values() if is_object(held) else held), None)
