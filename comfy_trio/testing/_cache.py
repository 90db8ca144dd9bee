"""Outputs of nodes, kept for the next prompt that asks for the same."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import TYPE_CHECKING

import attrs

from ._schedule import is_link

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfy_trio._util import JSONObject

_unique = itertools.count()


@attrs.frozen
class CacheEntry:
    """What one node gave.

    Args:
        outputs: Per slot, its values: one per item that the node was mapped over.
        ui: What it showed, if anything.
    """

    outputs: list[list[object]]
    ui: JSONObject | None


class OutputCache:
    """Outputs by what made them: class, literal inputs, and the same of everything upstream.

    It holds what the latest prompt made or used, as a real server with its classic cache does.
    """

    def __init__(self) -> None:
        self._entries: dict[str, CacheEntry] = {}
        self._keys: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def set_prompt(self, prompt: JSONObject, fingerprint: Callable[[str], object]) -> None:
        """Take up a new prompt: forget what it has no use for.

        Args:
            prompt: The graph.
            fingerprint: By node id, a value that must be equal for the cached output to count.
        """
        self._keys = _signatures(prompt, fingerprint)
        wanted = set(self._keys.values())
        self._entries = {key: entry for key, entry in self._entries.items() if key in wanted}

    def node_ids(self) -> list[str]:
        """The nodes of the current prompt."""
        return list(self._keys)

    def get(self, node_id: str) -> CacheEntry | None:
        """The output of a node of the current prompt; None if it is not at hand."""
        key = self._keys.get(node_id)
        return None if key is None else self._entries.get(key)

    def put(self, node_id: str, entry: CacheEntry) -> None:
        """Keep the output of a node of the current prompt."""
        self._entries[self._keys[node_id]] = entry

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()


def _signatures(prompt: JSONObject, fingerprint: Callable[[str], object]) -> dict[str, str]:
    """A digest per node, equal for equal nodes with equal ancestors."""
    done: dict[str, str] = {}
    for start in prompt:
        # Depth first without recursion: chains of thousands of nodes occur.
        path: dict[str, None] = {}
        todo = [start]
        while todo:
            node_id = todo[-1]
            if node_id in done:
                todo.pop()
                continue
            path[node_id] = None
            waiting = [
                value[0]
                for value in prompt[node_id]["inputs"].values()
                if is_link(value)
                and value[0] in prompt
                and value[0] not in done
                and value[0] not in path  # a circle: such a node has no run to be cached from
            ]
            if waiting:
                todo.extend(waiting)
                continue
            done[node_id] = _digest(prompt[node_id], fingerprint(node_id), done)
            todo.pop()
            path.pop(node_id, None)
    return done


def _digest(node: JSONObject, fingerprint: object, done: dict[str, str]) -> str:
    inputs = {
        name: ["link", done.get(value[0], ""), value[1]] if is_link(value) else ["value", value]
        for name, value in node["inputs"].items()
    }
    if fingerprint != fingerprint:  # NaN: run it always
        fingerprint = ("never the same", next(_unique))
    facts = [node["class_type"], repr(fingerprint), inputs]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=repr).encode()).hexdigest()
