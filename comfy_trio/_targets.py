"""The output nodes that one run is for, where it is not for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._errors import WorkflowError
from ._find import find_node
from ._prompt import links_of, name_node
from ._typed_node import Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._util import JSONObject
    from ._workflow import Workflow


def find_targets(targets: Iterable[str | Node] | Node, workflow: Workflow) -> tuple[str, ...]:
    """Return the ids of the nodes that are meant, each once.

    Args:
        targets: Each an id, an alias, a title, a class, or a typed node.
        workflow: Whose.

    Raises:
        WorkflowError: there is no such node, or more than one, or it is bypassed; or no target.
    """
    asked = [targets] if isinstance(targets, str | Node) else targets
    found = tuple(dict.fromkeys(_find(target, workflow) for target in asked))
    if not found:
        raise WorkflowError("targets: there is none, and so nothing to run; leave them out for all")
    for node_id in found:
        if node_id in workflow.bypassed:
            raise WorkflowError(
                f"targets: {name_node(node_id, workflow._prompt[node_id])} is bypassed:"
                f" reinstate({node_id!r}), or choose another",
                node_id=node_id,
            )
    return found


def _find(target: str | Node, workflow: Workflow) -> str:
    if not isinstance(target, Node):
        node_id = workflow.outputs.get(target, target) if target not in workflow._prompt else target
        return find_node(workflow._prompt, node_id, asked_by=f"targets: {target!r}")
    if target not in workflow.node_ids:
        raise WorkflowError(
            f"targets: this {type(target).__qualname__} is no node of the workflow. A node is"
            " itself only; one that looks the same is another"
        )
    return workflow.node_ids[target]


def require_output_node(prompt: JSONObject, node_id: str, declaration: Mapping[str, Any]) -> None:
    """Refuse a target that servers would ignore without a word.

    Args:
        prompt: The prompt.
        node_id: The target.
        declaration: What the server declares of its class; empty if it has none to give.

    Raises:
        WorkflowError: it is no output node.
    """
    if declaration and declaration.get("output_node") is not True:
        raise WorkflowError(
            f"targets: {name_node(node_id, prompt[node_id])} is no output node, and a server runs"
            " only for these. Have a PreviewAny or the like show what it gives",
            node_id=node_id,
        )


def nodes_left_out(prompt: JSONObject, targets: Iterable[str]) -> frozenset[str]:
    """Return the nodes that no target needs."""
    needed = set(targets)
    waiting = list(needed)
    while waiting:
        for _, source, _ in links_of(prompt[waiting.pop()]):
            if source in prompt and source not in needed:
                needed.add(source)
                waiting.append(source)
    return frozenset(prompt.keys() - needed)
