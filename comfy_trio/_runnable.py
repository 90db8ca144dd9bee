"""What may be run, validated or written as code, all of which becomes a workflow first."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast, runtime_checkable

from ._errors import WorkflowError
from ._graph import Graph
from ._workflow import Workflow

if TYPE_CHECKING:
    from ._typed_node import Node, OutputNode


@runtime_checkable
class WorkflowBuilder(Protocol):
    """What makes a workflow when it is run, such as a `PromptBuilder`."""

    def to_workflow(self) -> Workflow:
        """Return a workflow that is the caller's own."""
        ...


Whole: TypeAlias = "Workflow | WorkflowBuilder | Graph | Mapping[str, Any]"
"""What is a workflow by itself, without more output nodes."""


def workflow_of(what: Whole | Node, *more: Node) -> Workflow:
    """Return what is to be run as a workflow.

    Args:
        what: A workflow, what makes one, a graph, a prompt in API format, or an output node.
        more: More output nodes.

    Raises:
        WorkflowError: it is none of these.
    """
    if isinstance(what, Workflow) and not more:
        return what
    if isinstance(what, WorkflowBuilder) and not more:
        return what.to_workflow()
    if isinstance(what, Graph) and not more:
        return Workflow.from_graph(what)
    if isinstance(what, Mapping) and not more:
        return Workflow(what)
    if isinstance(what, str | bytes | os.PathLike):
        raise WorkflowError(
            f"{what!r:.100} is not a workflow: Workflow.from_file(...) or await comfy.load(...)"
            " reads one from a file"
        )
    return Workflow.from_graph(Graph(*cast("list[OutputNode[Any]]", [what, *more])))
