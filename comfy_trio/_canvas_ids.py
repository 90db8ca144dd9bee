"""Ids of nodes that are unique in a whole canvas file, as the frontend makes them.

Graphs of one file may use the same numbers. When the frontend opens such a file it gives new
numbers to nodes in subgraphs, which show in the prompt, in progress and in errors
(ComfyUI_frontend, ``subgraphDeduplication.ts``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from ._canvas import Canvas, CanvasGraph

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._canvas import CanvasNode

LONGEST: Final = 16
"""How many digits a number has at most; the browser's are exact up to about there."""


def with_unique_ids(canvas: Canvas) -> Canvas:
    """Return a canvas in which no two graphs have a number in common."""
    numbers = _Numbers(canvas)
    renamed = {
        subgraph_id: numbers.rename(subgraph.graph.nodes)
        for subgraph_id, subgraph in canvas.subgraphs.items()
    }
    if not any(renamed.values()):
        return canvas
    return attrs.evolve(
        canvas,
        graph=_renamed(canvas.graph, {}, renamed),
        subgraphs={
            subgraph_id: attrs.evolve(
                subgraph, graph=_renamed(subgraph.graph, renamed[subgraph_id], renamed)
            )
            for subgraph_id, subgraph in canvas.subgraphs.items()
        },
    )


class _Numbers:
    """Hands out numbers that no node has."""

    def __init__(self, canvas: Canvas) -> None:
        self._used = set(canvas.graph.nodes)
        self._last = canvas.last_id

    def rename(self, node_ids: Iterable[str]) -> dict[str, str]:
        """Return the new ids of those nodes of one more graph that need one."""
        found: dict[str, str] = {}
        for node_id in node_ids:
            if len(node_id) > LONGEST or not (node_id.isascii() and node_id.isdecimal()):
                continue
            if node_id in self._used:
                found[node_id] = self._next()
            else:
                self._last = max(self._last, int(node_id))
            self._used.add(found.get(node_id, node_id))
        return found

    def _next(self) -> str:
        self._last += 1
        while str(self._last) in self._used:
            self._last += 1
        return str(self._last)


def _renamed(
    graph: CanvasGraph, ids: Mapping[str, str], of_subgraphs: Mapping[str, Mapping[str, str]]
) -> CanvasGraph:
    nodes = (
        _with_proxies(attrs.evolve(node, id=ids.get(node.id, node.id)), of_subgraphs)
        for node in graph.nodes.values()
    )
    return CanvasGraph(
        nodes={node.id: node for node in nodes},
        links={
            link_id: attrs.evolve(
                link,
                origin=ids.get(link.origin, link.origin),
                target=ids.get(link.target, link.target),
            )
            for link_id, link in graph.links.items()
        },
    )


def _with_proxies(node: CanvasNode, of_subgraphs: Mapping[str, Mapping[str, str]]) -> CanvasNode:
    """Rename the nodes that an instance's widgets stand for."""
    ids = of_subgraphs.get(node.type)
    if not ids or not node.proxies:
        return node
    return attrs.evolve(
        node, proxies=tuple((ids.get(inner, inner), name) for inner, name in node.proxies)
    )
