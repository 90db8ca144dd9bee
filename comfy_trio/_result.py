"""What a job that succeeded gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, final

import attrs

from ._errors import NodeErrors

if TYPE_CHECKING:
    from ._util import JSONObject


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
        aliases: The alias of each named output, by node id.
        auto_seeds: The seeds drawn for this run, by node id; see `Workflow`.
        node_errors: The nodes that the server refused while it ran the rest.
        received: The pictures that came over the WebSocket, by node id.
        cached: The nodes that did not run because their results were in the server's cache.
    """

    prompt_id: str
    outputs: Mapping[str, JSONObject]
    nodes: Mapping[str, JSONObject]
    aliases: Mapping[str, str] = attrs.field(factory=dict[str, str])
    auto_seeds: Mapping[str, int] = attrs.field(factory=dict[str, int])
    node_errors: Mapping[str, NodeErrors] = attrs.field(factory=dict[str, NodeErrors])
    received: Mapping[str, tuple[ReceivedImage, ...]] = attrs.field(
        factory=dict[str, "tuple[ReceivedImage, ...]"]
    )
    cached: frozenset[str] = frozenset()

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return an output by its alias or node id.

        Raises:
            KeyError: there is none; the message says why where that is known.
        """
        try:
            return self.outputs[key]
        except KeyError:
            raise KeyError(self._why_missing(key)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)

    def _why_missing(self, key: str) -> str:
        refused = [
            errors
            for errors in self.node_errors.values()
            if any(key in {output, self.aliases.get(output)} for output in errors.dependent_outputs)
        ]
        if refused:
            return f"{key!r} did not run: the server refused {'; '.join(map(str, refused))}"
        return f"there is no output {key!r}; there are {', '.join(self.outputs) or 'none'}"
