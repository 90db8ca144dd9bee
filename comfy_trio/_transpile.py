"""From a prompt to a script; what writes it is in the generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._errors import WorkflowError
from ._generator import find_generator
from ._runnable import workflow_of

if TYPE_CHECKING:
    from types import ModuleType

    from ._runnable import Whole


def transpile(
    workflow: Whole,
    package: ModuleType,
    *,
    name: str = "A workflow",
    renumber: bool = False,
) -> str:
    """Return a workflow as a Python script of typed nodes, which makes the same prompt and runs it.

    Node ids, classes and inputs are the same, and titles where a person gave them. The script is
    the same for the same prompt, and passes mypy and pyright, both strict. Importing it runs
    nothing; the prompt is ``graph.to_prompt()``.

    Nodes for which the package has no class become `UnknownNode`.

    Example::

        import comfy_nodes

        source = transpile(Workflow.from_file("portrait.json"), comfy_nodes, name="portrait.json")

    Args:
        workflow: A workflow, a prompt builder, a graph, or a prompt in API format.
        package: The generated package whose classes the script uses.
        name: What its docstring calls the workflow. Default: "A workflow".
        renumber: Whether nodes get new ids, for which nothing needs to be written. What no output
            needs, and thus no server runs, is left out.

    Raises:
        WorkflowError: nodes are bypassed or files attached, a link leads nowhere, there is a cycle,
            it is no generated package, or no node is an output node though `renumber` asks for one.
    """
    given = workflow_of(workflow)
    if given.bypassed or given._attachments:
        raise WorkflowError(
            "transpile(): nodes are bypassed or files attached, which no typed node says. Transpile"
            " what is sent instead: workflow.resolved_prompt(object_info)"
        )
    prompt = given.to_dict()
    written = find_generator("transpile").transpile(prompt, package, name=name, renumber=renumber)
    source: str = written.source
    return source
