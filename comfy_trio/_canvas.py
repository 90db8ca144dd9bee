"""Canvas files: what the browser saves and pictures carry, read into values.

ComfyUI calls the format "workflow", here it is "canvas", beside the prompt that a server runs. A
canvas has nodes, links between their slots, and definitions of subgraphs, whose instances are
nodes too. Versions 0.4 (links as rows) and 1 (links as objects) are read alike (ComfyUI_frontend,
``comfyWorkflowSchema.ts``). Reading is lenient: files outlive the programs that wrote them.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Final

import attrs

from ._errors import WorkflowError
from ._util import as_list, as_object, is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ._util import JSONObject

MUTED: Final = 2
"""The mode of a node that is not run, nor what needs it."""

BYPASSED: Final = 4
"""The mode of a node that is not run, whose inputs go straight to what it feeds."""

INPUT_BOUNDARY: Final = "-10"
"""As the origin of a link in a subgraph: one of its inputs."""

OUTPUT_BOUNDARY: Final = "-20"
"""As the target of a link in a subgraph: one of its outputs."""

OWN_INPUT: Final = "-1"
"""In place of a node: the instance of a subgraph itself."""


@attrs.frozen
class InputSlot:
    """Where a link may end at a node.

    Args:
        name: The input's name.
        type: What it takes.
        link: The id of the link that ends here; None for none.
        widget: The name of the widget that a link here overrides; empty for none.
        label: What a person called it; empty if nobody did.
    """

    name: str
    type: str
    link: str | None = None
    widget: str = ""
    label: str = ""


@attrs.frozen
class Link:
    """A link between two nodes of one graph, or between a node and its subgraph's boundary."""

    origin: str
    origin_slot: int
    target: str
    target_slot: int


@attrs.frozen(eq=False)
class CanvasNode:
    """A node as it is drawn.

    Args:
        id: Its id in its graph.
        type: A class type, a kind of the frontend's own, or the id of a subgraph.
        title: What a person called it; empty if nobody did.
        mode: `MUTED`, `BYPASSED`, or another for a node that is run.
        inputs: Its inputs that have a slot.
        outputs: The types of its outputs.
        values: The values of its widgets, in order or by name.
        proxies: Of an instance of a subgraph, what its widgets stand for: the id of a node in the
            subgraph, or `OWN_INPUT`, and the widget's name. None if the file does not say.
    """

    id: str
    type: str
    title: str = ""
    mode: int = 0
    inputs: tuple[InputSlot, ...] = ()
    outputs: tuple[str, ...] = ()
    values: list[object] | JSONObject = attrs.field(factory=list[object])
    proxies: tuple[tuple[str, str], ...] | None = None

    @cached_property
    def _slots(self) -> Mapping[str, tuple[int, InputSlot]]:
        return {slot.name: (index, slot) for index, slot in reversed([*enumerate(self.inputs)])}

    @property
    def is_run(self) -> bool:
        """Whether it is neither muted nor bypassed."""
        return self.mode not in {MUTED, BYPASSED}

    def input(self, name: str) -> tuple[int, InputSlot] | None:
        """Return an input slot and its index by its name."""
        return self._slots.get(name)


@attrs.frozen(eq=False)
class CanvasGraph:
    """Nodes and links by their ids, in the order of the file."""

    nodes: Mapping[str, CanvasNode]
    links: Mapping[str, Link]


@attrs.frozen
class BoundarySlot:
    """An input or an output of a subgraph.

    Args:
        name: Its name.
        links: The ids of the links in the subgraph that start or end here.
        type: What it takes or gives; empty if that is not known.
    """

    name: str
    links: tuple[str, ...]
    type: str = ""


@attrs.frozen(eq=False)
class Subgraph:
    """What a node stands for that is an instance of it.

    Args:
        name: What a person called it.
        inputs: What its instances take.
        outputs: What they give.
        graph: What is in it.
    """

    name: str
    inputs: tuple[BoundarySlot, ...]
    outputs: tuple[BoundarySlot, ...]
    graph: CanvasGraph

    def slot_of(self, input_name: str) -> int | None:
        """Return which input has a name."""
        return self._slots.get(input_name)

    @cached_property
    def _slots(self) -> Mapping[str, int]:
        return {slot.name: index for index, slot in reversed([*enumerate(self.inputs)])}

    def source(self, slot: int) -> Link | None:
        """Return the link that feeds one of the outputs."""
        links = self.outputs[slot].links if 0 <= slot < len(self.outputs) else ()
        return next((self.graph.links[link] for link in links if link in self.graph.links), None)

    def fed(self, slot: int) -> Iterator[tuple[CanvasNode, InputSlot]]:
        """Yield the inputs of nodes in it that one of its own inputs feeds."""
        for link_id in self.inputs[slot].links:
            link = self.graph.links.get(link_id)
            node = None if link is None else self.graph.nodes.get(link.target)
            if link is not None and node is not None and 0 <= link.target_slot < len(node.inputs):
                yield node, node.inputs[link.target_slot]


@attrs.frozen(eq=False)
class Group:
    """What a group node stands for.

    Args:
        nodes: What is in it; their ids are their places in this row.
        links: The links between them.
        external: Outputs that are linked to outside of the group, too: node and slot.
        config: By node, what a person has set for its inputs and outputs.
    """

    nodes: tuple[CanvasNode, ...]
    links: tuple[Link, ...]
    external: frozenset[tuple[str, int]]
    config: JSONObject


@attrs.frozen(eq=False)
class Canvas:
    """A canvas file.

    Args:
        graph: What is on the canvas itself.
        subgraphs: All definitions, by the type of the nodes that are instances.
        groups: All definitions of group nodes, by their names.
        last_id: The highest number that the frontend has given to a node.
    """

    graph: CanvasGraph
    subgraphs: Mapping[str, Subgraph]
    groups: Mapping[str, Group]
    last_id: int


def is_canvas(value: object) -> bool:
    """Tell whether a JSON value has the shape of a canvas file."""
    return is_object(value) and is_list(value.get("nodes"))


def read_canvas(value: object, *, source: str = "the workflow") -> Canvas:
    """Read a canvas file.

    Raises:
        WorkflowError: it is none.
    """
    if not is_object(value) or not is_canvas(value):
        raise WorkflowError(f"{source} is no canvas file: it has no list of nodes")
    state = as_object(value.get("state"))
    return Canvas(
        graph=_read_graph(value),
        subgraphs=dict(_read_subgraphs(value)),
        groups={
            name: _read_group(as_object(group))
            for name, group in as_object(as_object(value.get("extra")).get("groupNodes")).items()
        },
        last_id=_number(value.get("last_node_id", state.get("lastNodeId", 0))),
    )


def _read_subgraphs(canvas: JSONObject) -> Iterator[tuple[str, Subgraph]]:
    """Yield every definition; one may hold those of the subgraphs inside it."""
    pending = [canvas]
    while pending:
        definitions = as_object(pending.pop().get("definitions"))
        for definition in filter(is_object, as_list(definitions.get("subgraphs"))):
            pending.append(definition)
            if (subgraph_id := definition.get("id")) is not None:
                yield str(subgraph_id), _read_subgraph(definition)


def _read_subgraph(definition: JSONObject) -> Subgraph:
    return Subgraph(
        name=_text(definition.get("name")),
        inputs=_read_boundary(definition.get("inputs")),
        outputs=_read_boundary(definition.get("outputs")),
        graph=_read_graph(definition),
    )


def _read_boundary(value: object) -> tuple[BoundarySlot, ...]:
    return tuple(
        BoundarySlot(
            name=_text(slot.get("name")),
            links=tuple(map(str, as_list(slot.get("linkIds")))),
            type=_type_name(slot.get("type")),
        )
        for slot in map(as_object, as_list(value))
    )


def _read_group(value: JSONObject) -> Group:
    nodes = (as_object(node) for node in as_list(value.get("nodes")))
    links = [
        Link(str(row[0]), _number(row[1]), str(row[2]), _number(row[3]))
        for row in map(as_list, as_list(value.get("links")))
        if len(row) >= 4 and row[0] is not None  # or else it comes from outside of the group
    ]
    return Group(
        nodes=tuple(
            read_node({**node, "id": index, "type": node.get("type")})
            for index, node in enumerate(nodes)
        ),
        links=tuple(links),
        external=frozenset(
            (str(row[0]), _number(row[1]))
            for row in map(as_list, as_list(value.get("external")))
            if len(row) > 1
        ),
        config=as_object(value.get("config")),
    )


def _read_graph(value: JSONObject) -> CanvasGraph:
    nodes = [read_node(node) for node in as_list(value.get("nodes")) if _is_node(node)]
    links = dict(filter(None, map(_read_link, as_list(value.get("links")))))
    return CanvasGraph({node.id: node for node in nodes}, links)


def _is_node(value: object) -> bool:
    return is_object(value) and value.get("id") is not None and isinstance(value.get("type"), str)


def read_node(value: JSONObject) -> CanvasNode:
    """Read a node that has at least an id and a type."""
    mode = value.get("mode")
    values = value.get("widgets_values_named")
    if not is_object(values):
        values = value.get("widgets_values")
    return CanvasNode(
        id=str(value["id"]),
        type=_text(value["type"]),
        title=_text(value.get("title")),
        mode=mode if isinstance(mode, int) else 0,
        inputs=tuple(_read_input(as_object(slot)) for slot in as_list(value.get("inputs"))),
        outputs=tuple(
            _type_name(as_object(slot).get("type")) for slot in as_list(value.get("outputs"))
        ),
        values=values if is_object(values) else as_list(values),
        proxies=_read_proxies(as_object(value.get("properties")).get("proxyWidgets")),
    )


def _read_proxies(value: object) -> tuple[tuple[str, str], ...] | None:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not is_list(value):
        return None
    pairs = ((*proxy, None, None) if is_list(proxy) else (None, None) for proxy in value)
    return tuple((str(node_id), _text(name)) for node_id, name, *_ in pairs)


def _read_input(slot: JSONObject) -> InputSlot:
    link = slot.get("link")
    return InputSlot(
        name=_text(slot.get("name")),
        type=_type_name(slot.get("type")),
        link=None if link is None else str(link),
        widget=_text(as_object(slot.get("widget")).get("name")),
        label=_text(slot.get("label")),
    )


def _type_name(value: object) -> str:
    """Return a slot's type; one that is a list of choices is a COMBO."""
    return "COMBO" if is_list(value) else _text(value)


LINK_KEYS: Final = ("id", "origin_id", "origin_slot", "target_id", "target_slot")


def _read_link(value: object) -> tuple[str, Link] | None:
    parts = [value.get(key) for key in LINK_KEYS] if is_object(value) else as_list(value)
    if len(parts) < len(LINK_KEYS):
        return None
    link_id, origin, origin_slot, target, target_slot, *_ = parts
    return str(link_id), Link(str(origin), _number(origin_slot), str(target), _number(target_slot))


def _number(value: object) -> int:
    """Return a slot's number, which some files write as a string; -1 if it is none."""
    if not isinstance(value, int | float | str):
        return -1
    try:
        return int(value)
    except (ValueError, OverflowError):
        return -1


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
