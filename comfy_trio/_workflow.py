"""A workflow: an API-format prompt, what to change in it, and which outputs to collect."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast, final, overload

from ._errors import WorkflowError
from ._graph import Graph
from ._prompt import check_prompt, name_node, parse_prompt, require_prompt, unknown_node

if TYPE_CHECKING:
    import os

    from ._typed_node import Node, OutputNode
    from ._util import JSONObject


@final
class Workflow:
    """An API-format prompt that can be changed and run, any number of times.

    It owns a deep copy of what it is made from. The methods that change it return the workflow
    itself, so that they chain. Running it changes nothing: a seed of -1 stays -1, and each run
    draws its own.

    Example::

        workflow = (
            Workflow.from_file("txt2img.json")
            .set("6.inputs.text", "A misty forest")
            .batch_inputs("3", {"steps": 20, "cfg": 4.0, "seed": -1})
            .output("images:9")
        )
    """

    def __init__(self, prompt: Mapping[str, Any]) -> None:
        """Make a workflow of a prompt.

        Args:
            prompt: In API format. Will be copied.

        Raises:
            WorkflowError: it is in another format; the message says which and what to do.
        """
        self._prompt = copy.deepcopy(require_prompt(dict(prompt)))
        self._aliases: dict[str, str] = {}
        self._node_ids: Mapping[Node, str] = {}

    @classmethod
    def from_json(cls, prompt: Mapping[str, Any] | str) -> Self:
        """Make a workflow of a prompt, or of its JSON text.

        Raises:
            WorkflowError: it is no JSON, or in another format than API format.
        """
        return cls(parse_prompt(prompt) if isinstance(prompt, str) else prompt)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Make a workflow of a file in API format (in ComfyUI: Workflow > Export (API)).

        Raises:
            OSError: the file cannot be read.
            WorkflowError: it is no JSON, or in another format than API format.
        """
        return cls(parse_prompt(Path(path).read_bytes(), source=str(path)))

    @classmethod
    def from_graph(cls, graph: Graph) -> Self:
        """Make a workflow of a graph of typed nodes, under the ids that these have in the graph.

        The result of a run knows the nodes themselves too: ``result[save]``.
        """
        workflow = cls(graph.to_prompt())
        workflow._aliases = dict(graph.aliases)
        workflow._node_ids = {node: node_id for node_id, node in graph.nodes.items()}
        return workflow

    def copy(self) -> Workflow:
        """Return a workflow that is equal and shares nothing with this one."""
        twin = Workflow(self._prompt)
        twin._aliases = dict(self._aliases)
        twin._node_ids = self._node_ids
        return twin

    def to_dict(self) -> JSONObject:
        """Return the prompt as it stands, as a copy."""
        return copy.deepcopy(self._prompt)

    @property
    def node_ids(self) -> Mapping[Node, str]:
        """The ids of the typed nodes that it was made of, if it was."""
        return self._node_ids

    @property
    def outputs(self) -> Mapping[str, str]:
        """The outputs to collect: node id by alias (or by itself). Empty: every saving node."""
        return dict(self._aliases)

    def __repr__(self) -> str:
        outputs = ", ".join(self._aliases) or "all outputs"
        return f"<Workflow of {len(self._prompt)} nodes, {outputs}>"

    def set(self, path: str, value: object) -> Self:
        """Set one value by its path: ``"6.inputs.text"``, ``"6.class_type"``, ``"6._meta.title"``.

        All that follows ``.inputs.`` is the input's name, dots included. To link, give the source
        as ``[node id, slot]``.

        Raises:
            WorkflowError: there is no such node, or the path has another form.
        """
        node_id, separator, rest = path.partition(".")
        node = self._node(node_id, f"set({path!r})")
        match rest.partition("."):
            case ("inputs", ".", name) if name:
                node["inputs"][name] = copy.deepcopy(value)
            case ("class_type", "", "") if isinstance(value, str):
                node["class_type"] = value
            case ("_meta", ".", name) if name:
                node.setdefault("_meta", {})[name] = copy.deepcopy(value)
            case _:
                wanted = f'"{node_id}.inputs.<input>"'
                raise WorkflowError(
                    f"set({path!r}): {'nothing' if not separator else rest!r} follows the node;"
                    f" write {wanted}, or the node's class_type (a string) or _meta.title",
                    node_id=node_id,
                )
        return self

    def input(self, node_id: str, name: str, value: object) -> Self:
        """Set one input of one node. To link, give the source as ``[node id, slot]``.

        Raises:
            WorkflowError: there is no such node.
        """
        self._node(node_id, f"input({node_id!r}, {name!r}, ...)")["inputs"][name] = copy.deepcopy(
            value
        )
        return self

    @overload
    def batch_inputs(self, node: str, inputs: Mapping[str, object], /) -> Self: ...
    @overload
    def batch_inputs(self, nodes: Mapping[str, Mapping[str, object]], /) -> Self: ...
    def batch_inputs(
        self,
        nodes: str | Mapping[str, Mapping[str, object]],
        inputs: Mapping[str, object] | None = None,
        /,
    ) -> Self:
        """Set several inputs: of one node, or of several (``{"3": {"steps": 20}, ...}``).

        Either all are set, or none.

        Raises:
            WorkflowError: there is no such node.
        """
        batch = {nodes: inputs or {}} if isinstance(nodes, str) else nodes
        for node_id in batch:
            self._node(node_id, "batch_inputs")
        for node_id, values in batch.items():
            for name, value in values.items():
                self.input(node_id, name, value)
        return self

    def output(self, alias: str, node_id: str | None = None) -> Self:
        """Collect a node's output, under a name or its own id.

        Three forms: ``output("images", "9")``, ``output("images:9")`` and ``output("9")``.
        Once an output is named, the result holds the named ones only under their names; all are
        in its `nodes`. A string that is a node's id as a whole, like ``"12:3"``, means that node.

        Raises:
            WorkflowError: there is no such node, or the alias is another node's already.
        """
        asked_by = f"output({alias!r})" if node_id is None else f"output({alias!r}, {node_id!r})"
        if node_id is None:
            if alias in self._prompt:
                node_id = alias
            else:
                alias, separator, rest = alias.partition(":")
                node_id = rest if separator else alias
        if node_id not in self._prompt:
            error = unknown_node(self._prompt, node_id, asked_by=asked_by)
            if alias in self._prompt and alias != node_id:
                error.add_note(f"The alias comes first: output({node_id!r}, {alias!r})")
            raise error
        if not alias:
            raise WorkflowError(f"{asked_by}: the alias is empty", node_id=node_id)
        taken = self._aliases.get(alias, node_id)
        if taken != node_id:
            raise WorkflowError(
                f"{asked_by}: {alias!r} already stands for {name_node(taken, self._prompt[taken])}",
                node_id=node_id,
            )
        self._aliases[alias] = node_id
        return self

    def check(self) -> Self:
        """Check what can be checked without a server: every link's target exists, no cycles.

        Raises:
            WorkflowError: it names the node and the input.
        """
        check_prompt(self._prompt)
        return self

    def _node(self, node_id: str, asked_by: str) -> JSONObject:
        if node_id not in self._prompt:
            raise unknown_node(self._prompt, node_id, asked_by=asked_by)
        node: JSONObject = self._prompt[node_id]
        return node


def workflow_of(what: Workflow | Graph | Mapping[str, Any] | Node, *more: Node) -> Workflow:
    """Return what is to be run as a workflow.

    Args:
        what: A workflow, a graph, a prompt in API format, or an output node.
        more: More output nodes.

    Raises:
        WorkflowError: it is none of these.
    """
    if isinstance(what, Workflow) and not more:
        return what
    if isinstance(what, Graph) and not more:
        return Workflow.from_graph(what)
    if isinstance(what, Mapping) and not more:
        return Workflow(what)
    return Workflow.from_graph(Graph(*cast("list[OutputNode[Any]]", [what, *more])))
