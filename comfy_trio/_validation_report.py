"""What is found in a workflow before it is sent, as values that read well."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs

from ._errors import ReplySummary, describe_node
from ._prompt import check_prompt, name_node
from ._routes._prompt import read_node_errors, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ._errors import NodeErrors
    from ._util import JSONObject

REFUSED = 400
"""The HTTP status of a refusal."""


class FindingKind(StrEnum):
    """What a server does not say of a workflow. What it does say has its own names."""

    CYCLE = "dependency_cycle"
    """The nodes need each other. The client does not send that."""
    DANGLING_LINK = "dangling_link"
    """A link to a node that does not exist. The client does not send that."""
    LITERAL_FOR_SOCKET = "literal_for_socket"
    """A value where only another node can give one: a server accepts it, and the node fails."""
    MALFORMED_LINK = "malformed_link"
    """A list that is neither a link nor marked as a list."""
    MISSING_CHOICE = "missing_choice"
    """A choice that decides on further inputs is not made: a server accepts it."""
    NULL_INPUT = "null_input"
    """A null for an optional input, which is left out in other workflows."""
    SLOT_OUT_OF_RANGE = "slot_out_of_range"
    """A link to an output that the node does not have."""
    UNDECLARED_INPUT = "undeclared_input"
    """A value for an input that the class does not declare: a server drops it silently."""
    UNDECLARED_LINK = "undeclared_link"
    """A link to such an input: the node fails, unless its class takes any inputs."""
    UNKNOWN_CHOICE = "unknown_choice"
    """A choice that decides on further inputs is none of those declared: a server drops it."""
    UNLISTED_FILE = "unlisted_file"
    """A file that the definitions do not list. The server looks for it when the job is sent."""
    UNUSED_NODE = "unused_node"
    """No output needs the node, so that it does not run."""


@attrs.frozen
class Finding:
    """One thing that is wrong with a workflow, or looks wrong.

    Args:
        kind: For an error the server's own name, such as ``value_not_in_list``, or else a
            `FindingKind`.
        message: What is wrong, without saying where.
        node_id: The node; None for the workflow as a whole.
        class_type: Its class.
        title: Its title on the canvas; empty if it has none.
        input_name: Its input, if it is one.
        suggestion: The name that may have been meant, if one is near.
        may_be_stale: Whether newer definitions could say otherwise, because files and classes
            come and go, or because the server checks this in a way that it does not publish.
    """

    kind: str
    message: str
    node_id: str | None = None
    class_type: str = ""
    title: str = ""
    input_name: str | None = None
    suggestion: str | None = None
    may_be_stale: bool = False

    def __str__(self) -> str:
        hint = "" if self.suggestion is None else f". Did you mean {self.suggestion!r}?"
        if self.node_id is None:
            return f"{self.message}{hint}"
        name = describe_node(self.node_id, self.class_type, self.title)
        place = name if self.input_name is None else f"{name}, input {self.input_name!r}"
        return f"{place}: {self.message}{hint}"


@attrs.frozen
class Conversion:
    """A value that a server converts without a word.

    Args:
        node_id: The node.
        class_type: Its class.
        title: Its title on the canvas; empty if it has none.
        input_name: Its input.
        before: The value in the workflow.
        after: The value that the node would get.
    """

    node_id: str
    class_type: str
    title: str
    input_name: str
    before: object
    after: object

    def __str__(self) -> str:
        name = describe_node(self.node_id, self.class_type, self.title)
        return f"{name}, input {self.input_name!r}: {self.before!r} would become {self.after!r}"


@attrs.frozen
class Validation:
    """What would become of a workflow at a server; made by `validate` and `Comfy.validate`.

    Everything is in the order of the workflow's nodes. `str` of it is a report, a line a finding.

    Args:
        accepted: Whether it would be sent and anything of it would run.
        errors: Why it would not, or why an output of it would not.
        warnings: What no server minds, and yet looks wrong.
        conversions: The values that the server would convert silently.
        outputs: Ids of the output nodes that would run.
        left_out: Ids of the output nodes that would not.
        reply: What the server would answer: the ``error`` and ``node_errors`` of its reply.
        certain: For a refusal, whether it does not depend on what may be stale: classes that the
            server lacks, what it lets one choose from, and checks that it does not publish.
        prompt: What was judged.
    """

    accepted: bool
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    conversions: tuple[Conversion, ...]
    outputs: tuple[str, ...]
    left_out: tuple[str, ...]
    reply: JSONObject = attrs.field(repr=False)
    certain: bool = attrs.field(repr=False)
    prompt: JSONObject = attrs.field(repr=False)

    @property
    def reason(self) -> str:
        """The server's name for its refusal; empty if it would not refuse."""
        error: Mapping[str, Any] = self.reply["error"] or {}
        return str(error.get("type", ""))

    @property
    def node_errors(self) -> Mapping[str, NodeErrors]:
        """What the server would say of which node, word for word, by node id."""
        return read_node_errors(self.reply["node_errors"], self.prompt)

    def raise_if_refused(self, *, url: str = "") -> None:
        """Raise what running the workflow would raise; return if it would be accepted.

        Args:
            url: What the error is to give as the address of the server.

        Raises:
            WorkflowError: no client would send it.
            MissingNodeError: the server lacks a class of nodes.
            EnqueueFailedError: the server would refuse it for another reason.
        """
        check_prompt(self.prompt)
        if self.reply["error"] is not None:
            summary = ReplySummary("POST", url, REFUSED, self.reply)
            raise refusal(summary, self.prompt, foreseen=True)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if not self.accepted:
            yield f"refused ({self.reason})" if self.reason else "not to be sent"
        elif self.left_out:
            yield "accepted, but not all of it would run"
        else:
            yield "accepted"
        for finding in self.errors:
            yield f"  error: {finding}"
        if self.accepted:
            for node_id in self.left_out:
                yield f"  left out: {name_node(node_id, self.prompt[node_id])}"
        for finding in self.warnings:
            yield f"  warning: {finding}"
        for conversion in self.conversions:
            yield f"  converted: {conversion}"
