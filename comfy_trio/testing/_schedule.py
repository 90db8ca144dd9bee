"""The order in which the nodes of a prompt run.

Nodes are dissolved from the graph as they become ready. Among the ready ones an output node goes
first, then a node that feeds one, then one at two removes, then the one that was added first: the
choice of the real server, so that frames come in its order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from comfy_trio._util import is_list

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from comfy_trio._util import JSONObject


class NodeNotFound(Exception):
    """A link that validation does not look at leads to a node that is not there."""


def is_link(value: object) -> TypeGuard[list[Any]]:
    """Whether an input's value is ``[node id, slot]``."""
    if not is_list(value) or len(value) != 2:
        return False
    node_id, slot = value
    return isinstance(node_id, str) and isinstance(slot, (int, float))


class Schedule:
    """The nodes of one prompt that still have to run.

    Args:
        prompt: The graph.
        is_output: Whether a node of the prompt is an output node.
        is_cached: Whether the output of a node of the prompt is at hand already.
    """

    def __init__(
        self,
        prompt: JSONObject,
        *,
        is_output: Callable[[str], bool],
        is_cached: Callable[[str], bool],
    ) -> None:
        self._prompt = prompt
        self._is_output = is_output
        self._is_cached = is_cached
        self._blockers: dict[str, int] = {}
        """Pending nodes in the order of adding, and how many nodes each of them waits for."""
        self._blocking: dict[str, dict[str, None]] = {}
        """By pending node, the nodes that wait for it."""

    def __bool__(self) -> bool:
        return bool(self._blockers)

    def add(self, node_id: str) -> None:
        """Add a node, cached or not, and all that it needs and that is not cached.

        Raises:
            NodeNotFound: A link of one of them leads nowhere.
        """
        todo = [node_id]
        links: list[tuple[str, str]] = []
        while todo:
            current = todo.pop()
            if current in self._blockers:
                continue
            self._blockers[current] = 0
            self._blocking[current] = {}
            for upstream in self._upstream(current):
                if not self._is_cached(upstream):
                    todo.append(upstream)
                    links.append((upstream, current))
        for upstream, current in links:
            if current not in self._blocking[upstream]:
                self._blocking[upstream][current] = None
                self._blockers[current] += 1

    def pick(self) -> str | None:
        """The node to run next; None if those left wait for each other in a circle."""
        ready = [node_id for node_id, count in self._blockers.items() if count == 0]
        if not ready:
            return None
        for node_id in ready:
            if self._is_output(node_id):
                return node_id
        for node_id in ready:
            if self._feeds_output(self._blocking[node_id]):
                return node_id
        for node_id in ready:
            if any(self._feeds_output(self._blocking[below]) for below in self._blocking[node_id]):
                return node_id
        return ready[0]

    def complete(self, node_id: str) -> None:
        """Remove a node that has run."""
        del self._blockers[node_id]
        for below in self._blocking.pop(node_id):
            self._blockers[below] -= 1

    def first(self) -> str:
        """The node that was added first: the one to blame when `pick` finds none."""
        return next(iter(self._blockers))

    def _feeds_output(self, below: Collection[str]) -> bool:
        return any(self._is_output(node_id) for node_id in below)

    def _upstream(self, node_id: str) -> Iterator[str]:
        try:
            inputs = self._prompt[node_id]["inputs"]
        except KeyError:
            raise NodeNotFound(f"Node {node_id} not found") from None
        for value in inputs.values():
            if is_link(value):
                yield value[0]
