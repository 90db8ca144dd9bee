"""Workflows judged before they are sent: the server's verdict, and what it overlooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._capabilities import parse_release
from ._overlooked import look_over
from ._prompt import find_cycle, is_unsendable, name_node, title_of
from ._runnable import workflow_of
from ._seeds import SeedRange, fill_seeds, seed_range, wants_seeds
from ._server_findings import DEPENDS_ON_THE_MOMENT, findings_of
from ._survey import survey
from ._util import is_list, is_object
from ._validation import NEWEST_RULES, ValidationRules, validate_prompt
from ._validation_report import Conversion, Finding, FindingKind, Validation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ._runnable import Whole
    from ._survey import Survey
    from ._typed_node import OutputNode
    from ._util import JSONObject
    from ._validation import Verdict


def validate(
    what: Whole | OutputNode[Any],
    object_info: Mapping[str, Any],
    *,
    version: str | None = None,
) -> Validation:
    """Judge a workflow as a server would, without one, and tell what a server overlooks.

    The verdict and its errors are those of the server with these definitions. What it does not
    publish, the checks that some classes have of their own, is taken to pass. Seeds of -1 are
    drawn before a workflow is sent, and so pass too. Nothing is changed.

    Args:
        what: A workflow, a prompt builder, a graph, a prompt in API format, or an output node.
        object_info: A server's reply to GET /object_info; see `NodeNamespace.definitions`.
        version: The server's version, such as ``"0.3.64"``: servers differ in what they check.
            Default: the newest known.

    Raises:
        WorkflowError: it is no workflow at all, or a bypassed node of an unknown class feeds
            another.
    """
    definitions = {name: each for name, each in object_info.items() if is_object(each)}
    workflow = workflow_of(what)
    prompt = workflow.resolved_prompt(definitions)
    return judge(prompt, definitions, rules_of(version), attached=workflow._attachments.inputs)


def rules_of(version: str | None) -> ValidationRules:
    """Return how a server of a version validates; the newest known if it is no version."""
    release = parse_release(version)
    return NEWEST_RULES if release is None else ValidationRules.for_version(release)


def judge(
    prompt: JSONObject,
    definitions: Mapping[str, JSONObject],
    rules: ValidationRules,
    *,
    attached: Collection[tuple[str, str]] = (),
) -> Validation:
    """Judge a prompt.

    Args:
        prompt: In API format, of the right shape. Seeds of -1 are drawn in it.
        definitions: What the server declares, by class.
        rules: The server's.
        attached: Inputs, by node id and name, whose files the server gets before it looks for them.
    """
    ranges = {
        node_id: seed_range(definitions.get(prompt[node_id]["class_type"], {}), names)
        for node_id, names in wants_seeds(prompt).items()
    }
    fill_seeds(prompt, ranges, _lowest)
    seen = survey(prompt, definitions, rules)
    plain = {node_id: _with_title_or_none(node) for node_id, node in prompt.items()}
    verdict = validate_prompt(plain, definitions, custom=seen.own_checks, rules=rules)
    overlooked = look_over(seen)
    errors = [*overlooked.errors, *findings_of(verdict, seen, overlooked.explained)]
    cycle = find_cycle(prompt)
    if cycle is not None and all(each.kind != FindingKind.CYCLE for each in errors):
        errors.append(_cycle(prompt, cycle))
    values = (value for node in prompt.values() for value in node["inputs"].values())
    sendable = cycle is None and not any(is_unsendable(prompt, value) for value in values)
    running = frozenset(verdict.outputs)
    place = {node_id: number for number, node_id in enumerate(prompt)}

    def in_order(findings: Collection[Finding]) -> tuple[Finding, ...]:
        return tuple(sorted(findings, key=lambda each: place.get(each.node_id or "", -1)))

    return Validation(
        accepted=verdict.accepted and sendable,
        errors=in_order(errors),
        warnings=in_order(
            [
                each
                for each in overlooked.warnings
                if each.kind != FindingKind.UNLISTED_FILE
                or (each.node_id, each.input_name) not in attached
            ]
        ),
        conversions=tuple(_conversions(prompt, verdict)),
        outputs=verdict.outputs,
        left_out=tuple(each for each in seen.outputs if each not in running),
        reply={"error": verdict.error, "node_errors": verdict.node_errors},
        certain=not sendable or _is_certain(verdict, seen, overlooked.explained),
        prompt=prompt,
    )


def _with_title_or_none(node: JSONObject) -> JSONObject:
    """Return a node without what is no ``_meta``, over which a server fails (HTTP status 500)."""
    if is_object(node.get("_meta", {})):
        return node
    return {key: value for key, value in node.items() if key != "_meta"}


def _lowest(limits: SeedRange) -> int:
    return limits.min


def _cycle(prompt: JSONObject, cycle: list[str]) -> Finding:
    node = prompt[cycle[0]]
    path = " -> ".join(name_node(node_id, prompt[node_id]) for node_id in cycle)
    message = f"the nodes form a cycle: {path}"
    return Finding(FindingKind.CYCLE, message, cycle[0], node["class_type"], title_of(node))


def _conversions(prompt: JSONObject, verdict: Verdict) -> Iterator[Conversion]:
    for node_id, node in prompt.items():
        judged = verdict.prompt[node_id]["inputs"]
        for name, before in node["inputs"].items():
            after = judged[name]
            if is_object(before) and "__value__" in before:
                before = before["__value__"]
            # Of equal values, such as 1 and 1.0, no node sees the difference. NaN is itself.
            if after is before or after == before or is_list(before):
                continue
            yield Conversion(node_id, node["class_type"], title_of(node), name, before, after)


def _is_certain(verdict: Verdict, seen: Survey, explained: Collection[str]) -> bool:
    """Whether a prompt is refused for reasons that no newer definitions would take back."""
    if verdict.accepted or seen.unknown:
        return False
    if not seen.outputs:
        return True
    wrong = [
        node_id
        for node_id, report in verdict.node_errors.items()
        if node_id in explained
        or any(error["type"] not in DEPENDS_ON_THE_MOMENT for error in report["errors"])
    ]
    return seen.downstream_of(wrong).issuperset(seen.outputs)
