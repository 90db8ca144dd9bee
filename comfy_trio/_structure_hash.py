"""A hash of what a prompt is apart from its settings: classes, links, and the files it loads.

Nodes have no order and their ids mean nothing, so each is told by what it is, by what feeds it, and
by what it feeds. Hashes of these are passed along the links, up and down, until they tell no more
nodes apart (the refinement of Weisfeiler and Leman). That alone takes one node that feeds two for
two alike that feed one each, where nothing else differs; what an output node needs is therefore
also walked as a whole, in the order of the inputs' names, which tells it exactly.
"""

from __future__ import annotations

import hashlib
import json
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, Final

from ._prompt import as_link
from ._util import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Collection

    from ._util import JSONObject

FILE_SUFFIXES: Final = (
    ".safetensors",
    ".sft",
    ".ckpt",
    ".pt",
    ".pth",
    ".bin",
    ".gguf",
    ".onnx",
    ".pkl",
    ".npz",
    ".vae",
    ".yaml",
    ".yml",
)
"""How the names of files end that a workflow needs: models, and what describes them."""

MAX_SWEEPS: Final = 8
"""How often hashes are passed along all links; real workflows take two or three times."""
MAX_STEPS: Final = 200_000
"""How many links may be walked for the output nodes together. Beyond, none is walked."""


def structure_hash(prompt: JSONObject, bypassed: Collection[str] = ()) -> str:
    """Return the SHA-256 of a prompt's structure, in hexadecimal.

    It is the same whatever the numbers, texts, seeds and titles, the nodes' ids, and the order of
    nodes and inputs. It differs where a class, a link, the presence of an input, the name of a
    model file, or which nodes are bypassed does.

    Args:
        prompt: In API format.
        bypassed: The nodes that are bypassed.
    """
    return _Coloring(prompt, frozenset(bypassed)).digest()


class _Coloring:
    """The nodes' hashes, more telling with each sweep."""

    def __init__(self, prompt: JSONObject, bypassed: frozenset[str]) -> None:
        self._links: dict[str, list[tuple[str, str, int]]] = {}
        self._readers: dict[str, list[tuple[str, str, int]]] = {node_id: [] for node_id in prompt}
        self._colors: dict[str, str] = {}
        for node_id, node in prompt.items():
            links: list[tuple[str, str, int]] = []
            literals: list[tuple[str, Any]] = []
            for name, value in sorted(node["inputs"].items()):
                link = as_link(value)
                if link is not None and link[0] in prompt:
                    links.append((name, *link))
                    self._readers[link[0]].append((name, node_id, link[1]))
                else:
                    literals.append((name, _kind(value)))
            self._links[node_id] = links
            self._colors[node_id] = _hash(node["class_type"], node_id in bypassed, literals)
        self._order = self._sources_first()

    def digest(self) -> str:
        """Return the hash of the whole."""
        self._walk_outputs()
        told_apart = 0
        for _ in range(MAX_SWEEPS):
            self._sweep()
            if (now := len(set(self._colors.values()))) == told_apart:
                break
            told_apart = now
        return _hash(sorted(self._colors.values()))

    def _sources_first(self) -> list[str]:
        """Return the nodes in an order in which hashes travel the whole way in one sweep."""
        sorter = TopologicalSorter(
            {node_id: [source for _, source, _ in links] for node_id, links in self._links.items()}
        )
        try:
            return list(sorter.static_order())
        except CycleError:  # no server runs it
            return []

    def _sweep(self) -> None:
        """Mix into each hash those of the node's neighbours: first upstream, then downstream."""
        for nodes, neighbours in (
            (self._order, self._links),
            (self._order[::-1], self._readers),
        ):
            before = dict(self._colors)
            # Where there is an order, neighbours are up to date; in a circle, of the last sweep.
            current = self._colors if nodes else before
            for node_id in nodes or before:
                told = sorted(
                    (name, current[other], slot) for name, other, slot in neighbours[node_id]
                )
                self._colors[node_id] = _hash(before[node_id], told)

    def _walk_outputs(self) -> None:
        """Mix into the hash of each node that feeds none the exact shape of what it needs."""
        outputs = [node_id for node_id, readers in self._readers.items() if not readers]
        links = sum(len(links) + 1 for links in self._links.values())
        if len(outputs) * links <= MAX_STEPS:
            shapes = {node_id: self._shape(node_id) for node_id in outputs}
            for node_id, shape in shapes.items():
                self._colors[node_id] = _hash(self._colors[node_id], shape)

    def _shape(self, output: str) -> list[Any]:
        """Return all that a node needs, numbered as it is met: equal for equal shapes alone."""
        numbers = {output: 0}
        shape: list[Any] = []
        waiting = [output]
        for node_id in waiting:  # which grows meanwhile
            for _, source, _ in self._links[node_id]:
                if source not in numbers:
                    numbers[source] = len(numbers)
                    waiting.append(source)
            shape.append(
                (
                    self._colors[node_id],
                    [(name, numbers[source], slot) for name, source, slot in self._links[node_id]],
                )
            )
        return shape


def _kind(value: object) -> list[str]:
    """Return what of a literal belongs to the structure: its type, and the files it names."""
    files: list[str] = []
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            if each.lower().endswith(FILE_SUFFIXES):
                files.append(each)
        elif is_list(each):
            waiting.extend(each)
        elif is_object(each):
            waiting.extend(each.values())
    return [_type_name(value), *sorted(files)]


def _type_name(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else type(value).__name__


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
