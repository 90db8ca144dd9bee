"""A job as data, which another process can take up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import attrs

from ._routes._history import HistoryEntry
from ._state import JobPlan
from ._targets import nodes_left_out
from ._util import is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._masking import Secrets
    from ._state import SeenPending, SeenRunning


@attrs.frozen(kw_only=True)
class JobReference:
    """A job as data: what `Comfy.attach` needs to take it up later, in another process too.

    There is nothing secret in it.

    Args:
        prompt_id: The job's id at the server.
        url: The server.
        client_id: Who hears of its progress: a client that is opened with it. Two clients that are
            open at once with one id deafen each other.
        outputs: Node id by alias, of the outputs to collect; empty for all.
        auto_seeds: The seeds drawn for it, by node id.
    """

    prompt_id: str
    url: str
    client_id: str
    outputs: Mapping[str, str] = attrs.field(factory=dict[str, str])
    auto_seeds: Mapping[str, int] = attrs.field(factory=dict[str, int])

    @classmethod
    def of(cls, plan: JobPlan, url: str, client_id: str) -> Self:
        """Return the reference to a job."""
        return cls(
            prompt_id=plan.prompt_id,
            url=url,
            client_id=client_id,
            outputs=dict(plan.aliases),
            auto_seeds=dict(plan.auto_seeds),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON takes."""
        return attrs.asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], /) -> Self:
        """Return the reference that `to_dict` was called on. Keys that it does not know are left.

        Raises:
            ValueError: it is none.
        """
        outputs, seeds = value.get("outputs", {}), value.get("auto_seeds", {})
        if not is_object(outputs) or not all(isinstance(each, str) for each in outputs.values()):
            raise ValueError("this is no JobReference: outputs are node ids by their aliases")
        if not is_object(seeds) or not all(isinstance(each, int) for each in seeds.values()):
            raise ValueError("this is no JobReference: auto_seeds are numbers by node ids")
        return cls(
            prompt_id=_text(value, "prompt_id"),
            url=_text(value, "url"),
            client_id=_text(value, "client_id"),
            outputs=outputs,
            auto_seeds=seeds,
        )


def plan_of(
    job: JobReference | str, found: SeenPending | SeenRunning | HistoryEntry, secrets: Secrets
) -> JobPlan:
    """Return what is known of a job that somebody submitted earlier.

    Args:
        job: The job.
        found: What the server tells of it. Hosted servers tell no graph: then nodes have no names.
        secrets: What no error may repeat.
    """
    if isinstance(found, HistoryEntry):
        prompt, targets = found.prompt, found.output_nodes
    elif found.entry is not None:
        prompt, targets = found.entry.prompt, found.entry.outputs
    else:
        prompt, targets = {}, ()
    prompt = {node_id: node for node_id, node in prompt.items() if _is_whole(node)}
    targets = tuple(node_id for node_id in targets if node_id in prompt)
    reference = job if isinstance(job, JobReference) else None
    return JobPlan(
        prompt_id=job.prompt_id if isinstance(job, JobReference) else job,
        prompt=prompt,
        aliases={} if reference is None else reference.outputs,
        auto_seeds={} if reference is None else reference.auto_seeds,
        targets=targets or None,
        skipped=nodes_left_out(prompt, targets) if targets else frozenset(),
        own=False,
        secrets=secrets,
    )


def _text(value: Mapping[str, Any], name: str) -> str:
    text = value.get(name)
    if not isinstance(text, str) or not text:
        raise ValueError(f"this is no JobReference: {name} is {text!r}, no text")
    return text


def _is_whole(node: object) -> bool:
    """Tell whether it is a node; servers let some pass that are not, if no output needs them."""
    return is_object(node) and "class_type" in node and is_object(node.get("inputs"))
