"""What a job that succeeded gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, final, overload

import attrs

from ._errors import NodeErrors
from ._output_files import output_files
from ._typed_node import UINode

if TYPE_CHECKING:
    from ._typed_node import Node
    from ._util import JSONObject
    from ._wire_types import OutputFile

U = TypeVar("U")


@attrs.frozen
class ReceivedImage:
    """A picture that came over the WebSocket: the encoded bytes, and their format."""

    data: bytes = attrs.field(repr=False)
    media_type: str


@final
@attrs.frozen(kw_only=True, eq=False)
class JobResult(Mapping[str, "JSONObject"]):
    """The outputs of a job, by alias, or by node id where the workflow names no outputs.

    An output is what the server's history holds of the node, such as
    ``{"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}``; empty for a node
    that ran and shows nothing.

    Args:
        prompt_id: The job.
        outputs: What the mapping holds.
        nodes: The outputs of all nodes that have one, by node id.
        aliases: The alias of each named output, by node id; of several the first.
        named: The node of each named output, by alias.
        auto_seeds: The seeds drawn for this run, by node id; see `Workflow`.
        node_errors: The nodes that the server refused while it ran the rest.
        received: The pictures that came over the WebSocket, by node id.
        cached: The nodes that did not run because their results were in the server's cache.
        node_ids: The ids of the typed nodes that were run, if they were such.
        skipped: The nodes that were left out because no target needed them; see `SubmitOptions`.
    """

    prompt_id: str
    outputs: Mapping[str, JSONObject]
    nodes: Mapping[str, JSONObject]
    aliases: Mapping[str, str] = attrs.field(factory=dict[str, str])
    named: Mapping[str, str] = attrs.field(factory=dict[str, str])
    auto_seeds: Mapping[str, int] = attrs.field(factory=dict[str, int])
    node_errors: Mapping[str, NodeErrors] = attrs.field(factory=dict[str, NodeErrors])
    received: Mapping[str, tuple[ReceivedImage, ...]] = attrs.field(
        factory=dict[str, "tuple[ReceivedImage, ...]"]
    )
    cached: frozenset[str] = frozenset()
    node_ids: Mapping[Node, str] = attrs.field(factory=dict["Node", str], repr=False)
    skipped: frozenset[str] = frozenset()

    @overload
    def __getitem__(self, key: str) -> JSONObject: ...
    @overload
    def __getitem__(self, key: UINode[U]) -> U: ...
    def __getitem__(self, key: str | UINode[Any]) -> Any:
        """Return an output by its alias, by its node's id, or by the typed node itself.

        Raises:
            KeyError: there is none; the message says why where that is known.
        """
        if isinstance(key, UINode):
            return self._of_node(key)
        try:
            return self.outputs[key]
        except KeyError:
            raise KeyError(self._why_missing(key)) from None

    def _of_node(self, node: UINode[Any]) -> JSONObject:
        node_id = self.node_ids.get(node)
        if node_id is None:
            raise KeyError(f"this {type(node).__qualname__} is no node of the job")
        if node_id not in self.nodes and (node_id in self.skipped or self._refused(node_id)):
            raise KeyError(self._why_missing(node_id))
        return self.nodes.get(node_id, {})

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)

    def files(self, key: str | UINode[Any] | None = None) -> tuple[OutputFile, ...]:
        """Return the files that an output names, each once, whatever the node calls them.

        Args:
            key: Which output, as for ``result[key]``. Default: all that the mapping holds.

        Raises:
            KeyError: there is no such output.
        """
        outputs = self.outputs if key is None else {"": self[key]}
        return output_files({"": [output_files(output) for output in outputs.values()]})

    def _refused(self, key: str) -> list[NodeErrors]:
        return [
            errors
            for errors in self.node_errors.values()
            if self.named.get(key, key) in errors.dependent_outputs
        ]

    def _why_missing(self, key: str) -> str:
        if refused := self._refused(key):
            return f"{key!r} did not run: the server refused {'; '.join(map(str, refused))}"
        if self.named.get(key, key) in self.skipped:
            return f"{key!r} did not run: none of the targets needs it"
        return f"there is no output {key!r}; there are {', '.join(self.outputs) or 'none'}"
