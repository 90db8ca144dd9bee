"""Graphs of typed nodes, and the prompts that they are on the wire."""

from __future__ import annotations

import itertools
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast, final

from ._errors import WorkflowError
from ._graph_reader import read_nodes
from ._out import Out, Slot, is_out
from ._prompt import unknown_node
from ._typed_node import Node, OutputNode
from ._util import is_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

    from ._util import JSONObject

N = TypeVar("N", bound=Node)


@final
class Graph:
    """What a set of output nodes reaches: every node once, each with an id.

    Ids are numbers in the order in which the graph is walked, so that the same program gives the
    same prompt. There can be no cycle, because a node's inputs exist before it does.

    Example::

        graph = Graph(SaveImage(images=image), mask=PreviewImage(images=mask))
    """

    def __init__(self, *outputs: OutputNode[Any], **aliases: OutputNode[Any]) -> None:
        """Make a graph.

        Args:
            outputs: What it is run for.
            aliases: Likewise, and the names under which the result has their outputs.

        Raises:
            WorkflowError: there are no output nodes, or something else than output nodes is given.
        """
        roots = [*outputs, *aliases.values()]
        if not roots:
            raise WorkflowError("a graph needs an output node, such as SaveImage or PreviewImage")
        for root in roots:
            _require_output_node(root)
        nodes = {str(number): node for number, node in enumerate(walk(roots), 1)}
        ids = {node: node_id for node_id, node in nodes.items()}
        named = {alias: ids[node] for alias, node in aliases.items()}
        if named:
            named |= {ids[node]: ids[node] for node in outputs if node not in aliases.values()}
        # Plain dictionaries, which can be copied and pickled. Sources come before what they feed,
        # so that this, too, needs no deep stack.
        self._nodes = nodes
        self._aliases = named

    @classmethod
    def from_prompt(cls, prompt: Mapping[str, Any], package: ModuleType) -> Graph:
        """Read a prompt in API format into typed nodes.

        The graph has every node of the prompt, under the ids that these have there. A node becomes
        one of its generated class, inputs that the class does not declare included. Where there is
        no class, or where the inputs are not what it takes, it becomes an `UnknownNode`, which
        keeps all as it is. Inputs that the prompt leaves out are left out by the graph, too, though
        the nodes show their defaults; see `Node.without_inputs`.

        Args:
            prompt: In API format.
            package: The generated package, for example ``comfy_nodes``.

        Raises:
            WorkflowError: it is no such prompt, a link leads nowhere, or there is a cycle.
        """
        graph = cls.__new__(cls)
        graph._nodes = read_nodes(prompt, package)
        graph._aliases = {}
        return graph

    @classmethod
    def from_nodes(cls, nodes: Mapping[str, Node]) -> Graph:
        """Make a graph of nodes that have their ids already.

        It has all of them, also those that no output needs. Others that these need come after
        them, with numbers as ids that are free.

        Args:
            nodes: By their ids.

        Raises:
            WorkflowError: there are none, something else than nodes is given, or one node twice.
        """
        ids: dict[Node, str] = {}
        for node_id, node in nodes.items():
            if not isinstance(cast("object", node), Node):
                raise WorkflowError(
                    f"a graph is made of nodes, not of {type(node).__name__}", node_id=node_id
                )
            if node in ids:
                raise WorkflowError(
                    f"nodes {ids[node]} and {node_id} are one and the same {node.class_type}:"
                    " a node has one id",
                    node_id=node_id,
                )
            ids[node] = node_id
        if not ids:
            raise WorkflowError("a graph needs nodes")
        free = (number for number in map(str, itertools.count(1)) if number not in nodes)
        graph = cls.__new__(cls)
        graph._nodes = dict(nodes) | {
            next(free): node for node in walk(list(ids)) if node not in ids
        }
        graph._aliases = {}
        return graph

    @property
    def nodes(self) -> Mapping[str, Node]:
        """Every node by its id."""
        return MappingProxyType(self._nodes)

    @property
    def aliases(self) -> Mapping[str, str]:
        """The ids of the outputs to collect, by their names; empty for all outputs."""
        return MappingProxyType(self._aliases)

    def __repr__(self) -> str:
        return f"<Graph of {len(self.nodes)} nodes>"

    def id_of(self, node: Node) -> str:
        """Return a node's id.

        Raises:
            WorkflowError: it is no node of this graph.
        """
        for node_id, candidate in self.nodes.items():
            if candidate is node:
                return node_id
        raise WorkflowError(f"this {type(node).__qualname__} is no node of the graph")

    def node(self, node_id: str, node_class: type[N]) -> N:
        """Return a node by its id, as what it is known to be.

        Raises:
            WorkflowError: there is no such node, or it is of another class.
        """
        if node_id not in self.nodes:
            raise unknown_node(self.to_prompt(), node_id, asked_by=f"node({node_id!r}, ...)")
        node = self.nodes[node_id]
        if not isinstance(node, node_class):
            raise WorkflowError(
                f"node {node_id} is of class {node.class_type}, not {node_class.__qualname__}",
                node_id=node_id,
            )
        return node

    def to_prompt(self) -> JSONObject:
        """Return the graph as a prompt in API format, a new one with each call."""
        ids = {node: node_id for node_id, node in self.nodes.items()}
        return {
            node_id: {
                **node._extra,
                "class_type": node.class_type,
                "inputs": {name: _encode(value, ids) for name, value in node._wire_inputs()},
            }
            for node_id, node in self.nodes.items()
        }


def _require_output_node(root: object) -> None:
    if not isinstance(root, Node):
        raise WorkflowError(f"a graph is made of output nodes, not of {type(root).__name__}")
    if not isinstance(root, OutputNode):
        raise WorkflowError(
            f"{root.class_type} is no output node: a server runs graphs for the sake of nodes that"
            " save or show something. Give its output to one, such as SaveImage or PreviewImage"
        )


def _source(out: Out[Any]) -> tuple[Node, int]:
    """Return the node that an output belongs to, and which of its outputs it is."""
    if isinstance(out, Slot):
        return out.node, out.index
    if isinstance(out, Node):
        return out, 0
    raise WorkflowError(f"{out!r} is no node's output; only nodes have outputs")


def sources_of(node: Node) -> Iterator[Node]:
    """Yield the nodes that a node takes outputs of, one for each link."""
    return (_source(value)[0] for _, value in node._wire_inputs() if is_out(value))


def walk(roots: Sequence[Node]) -> Iterator[Node]:
    """Yield every node that the roots reach, once, after all those that it needs.

    Without recursion, because a chain of nodes may be long.
    """
    seen: set[Node] = set()
    for root in roots:
        if root in seen:
            continue
        seen.add(root)
        path: list[tuple[Node, Iterator[Node]]] = [(root, sources_of(root))]
        while path:
            node, upstream = path[-1]
            following = next((source for source in upstream if source not in seen), None)
            if following is None:
                yield node
                path.pop()
            else:
                seen.add(following)
                path.append((following, sources_of(following)))


def _encode(value: object, ids: Mapping[Node, str]) -> object:
    if is_out(value):
        node, index = _source(value)
        return [ids[node], index]
    # A bare list would be read as a link (execution.py of ComfyUI, `get_input_data`).
    return {"__value__": value} if is_list(value) else value
