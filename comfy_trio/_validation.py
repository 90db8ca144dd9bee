"""The verdict a ComfyUI server gives on a prompt, down to its error bodies.

Pure: a prompt and the server's `/object_info` in, a `Verdict` out. What `/object_info` does not
show, the ``VALIDATE_INPUTS`` of some classes, may be passed in as `CustomValidation`.

Two things differ from a real server on purpose. Order is the prompt's, where a server's is that
of a Python set. And a chain of nodes may be of any length, where a server's recursion ends near
a thousand.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import attrs

from ._dynamic_inputs import declared_inputs
from ._validation_errors import (
    class_missing,
    class_unknown,
    custom_failed,
    cycle,
    failed_outputs,
    inner_exception,
    link_malformed,
    not_convertible,
    not_in_list,
    outer_exception,
    prompt_without_outputs,
    required_missing,
    too_big,
    too_small,
    type_mismatch,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping

    from ._dynamic_inputs import InputSpec
    from ._util import JSONObject

_CONVERSIONS: Final[dict[object, Callable[[Any], object]]] = {
    "INT": int,
    "FLOAT": float,
    "STRING": str,
    "BOOLEAN": bool,
}


@attrs.frozen
class ValidationRules:
    """What servers of different versions do differently.

    Args:
        open_types: ``*`` and match types fit everything, lists of choices fit ``COMBO``.
        check_combo_options: The choice of a ``["COMBO", {"options": …}]`` must be an option.
        expand_dynamic: Dynamic inputs are unfolded and checked.
        missing_node_type: The error type for unknown classes; ``invalid_prompt`` before.
        detect_cycles: A cycle is reported; before, its nodes are invalid without a reason.
        check_multiselect: The values of a list of choices are checked one by one.
    """

    open_types: bool = True
    check_combo_options: bool = True
    expand_dynamic: bool = True
    missing_node_type: bool = True
    detect_cycles: bool = True
    check_multiselect: bool = True

    @classmethod
    def for_version(cls, version: tuple[int, ...]) -> ValidationRules:
        """The rules of the server that calls itself `version`."""
        return cls(
            open_types=version >= (0, 8),
            check_combo_options=version >= (0, 8),
            expand_dynamic=version >= (0, 8),
            missing_node_type=version >= (0, 12),
            detect_cycles=version >= (0, 20),
            check_multiselect=version >= (0, 21),
        )


NEWEST_RULES: Final = ValidationRules()


@attrs.frozen
class CustomValidation:
    """``VALIDATE_INPUTS`` of one class of nodes.

    Args:
        takes: Names of the inputs it is given; the built-in range and list checks skip these.
            ``input_types`` among them does away with the check of link types.
        check: Called as ``check(**inputs)`` with those inputs that the prompt has (None for
            links), and ``input_types={name: type}`` if it takes that. True, or else the reason.
        takes_all: Whether it takes every input (``**kwargs``).
    """

    takes: frozenset[str]
    check: Callable[..., object]
    takes_all: bool = False

    def wants(self, name: str) -> bool:
        """Whether the input `name` is its own to judge."""
        return self.takes_all or name in self.takes


@attrs.frozen
class Verdict:
    """What a server makes of a prompt.

    Args:
        error: The ``error`` of the 400 reply; None if the prompt is accepted.
        node_errors: The ``node_errors`` of the reply, which an accepted prompt can have too:
            its other outputs run.
        outputs: Ids of the output nodes that will run, in the prompt's order.
        prompt: The prompt as it will run: literals converted to the declared types,
            ``{"__value__": …}`` unwrapped.
    """

    error: JSONObject | None
    node_errors: JSONObject
    outputs: tuple[str, ...]
    prompt: JSONObject

    @property
    def accepted(self) -> bool:
        """Whether anything of the prompt will run."""
        return self.error is None


def validate_prompt(
    prompt: JSONObject,
    object_info: Mapping[str, Any],
    *,
    partial_execution_targets: Collection[str] | None = None,
    custom: Mapping[str, CustomValidation] | None = None,
    rules: ValidationRules = NEWEST_RULES,
) -> Verdict:
    """Judge `prompt` as a server with these classes would.

    `prompt` itself is left alone. Nodes that no output needs are not looked at, and neither are
    inputs that their class does not declare.

    Args:
        prompt: The graph in API form.
        object_info: The server's `/object_info`.
        partial_execution_targets: The output nodes to run; None for all.
        custom: ``VALIDATE_INPUTS`` by class type, for classes that have it.
        rules: See `ValidationRules.for_version`.

    Raises:
        TypeError, AttributeError: The prompt is not of the shape of a graph at all; a server
            answers 500.
    """
    own = {node_id: _own_copy(node) for node_id, node in prompt.items()}
    outputs: list[str] = []
    for node_id, node in own.items():
        if "class_type" not in node:
            error = class_missing(node_id, node, modern=rules.missing_node_type)
            return Verdict(error, {}, (), own)
        info = object_info.get(node["class_type"])
        if info is None:
            error = class_unknown(node_id, node, modern=rules.missing_node_type)
            return Verdict(error, {}, (), own)
        wanted = partial_execution_targets is None or node_id in partial_execution_targets
        if info.get("output_node") is True and wanted:
            outputs.append(node_id)
    if not outputs:
        return Verdict(prompt_without_outputs(), {}, (), own)

    walk = _Walk(own, object_info, custom or {}, rules)
    good: list[str] = []
    reasons: list[JSONObject] = []
    node_errors: JSONObject = {}
    for output in outputs:
        finding = walk.judge_output(output)
        if finding.valid:
            good.append(output)
            continue
        reasons += finding.errors
        # All that has failed so far is laid at this output's door, its own or not: so do servers.
        for node_id in walk.failed:
            if node_id not in node_errors:
                node_errors[node_id] = {
                    "errors": walk.findings[node_id].errors,
                    "dependent_outputs": [],
                    "class_type": own[node_id]["class_type"],
                }
            node_errors[node_id]["dependent_outputs"].append(output)
    return Verdict(None if good else failed_outputs(reasons), node_errors, tuple(good), own)


def _own_copy(node: Any) -> Any:
    """A copy of as much of a node as validation writes to."""
    if not isinstance(node, dict):
        return node
    copied = dict(cast("JSONObject", node))
    if isinstance(copied.get("inputs"), dict):
        copied["inputs"] = dict(copied["inputs"])
    return copied


@attrs.frozen
class _Finding:
    """What is known of one node. Invalid without errors: the trouble is upstream."""

    valid: bool
    errors: list[JSONObject] = attrs.field(factory=list["JSONObject"])


_FAILED_UPSTREAM: Final = _Finding(valid=False)

_NodeCheck: TypeAlias = "Generator[str, _Finding, _Finding]"
"""The check of one node: yields the ids of nodes upstream, is sent what was found there."""


class _Walk:
    """Validates upstream of outputs, each node once, on a stack of its own."""

    def __init__(
        self,
        prompt: JSONObject,
        object_info: Mapping[str, Any],
        custom: Mapping[str, CustomValidation],
        rules: ValidationRules,
    ) -> None:
        self.prompt = prompt
        self.object_info = object_info
        self.custom = custom
        self.rules = rules
        self.findings: dict[str, _Finding] = {}
        self.failed: dict[str, None] = {}
        """The nodes that have errors of their own, in the order in which that was found."""

    def judge_output(self, output: str) -> _Finding:
        try:
            return self._judge(output)
        except Exception as exc:
            trace = traceback.format_tb(exc.__traceback__)
            return self._keep(output, [outer_exception(exc, trace)])

    def _keep(self, node_id: str, errors: list[JSONObject], *, valid: bool = False) -> _Finding:
        """Keep what was found at a node."""
        if errors:
            self.failed[node_id] = None
        self.findings[node_id] = _Finding(valid and not errors, errors)
        return self.findings[node_id]

    def _judge(self, start: str) -> _Finding:
        if start in self.findings:
            return self.findings[start]
        path: dict[str, _NodeCheck] = {start: self._check_node(start)}
        answer: _Finding | None = None
        trouble: Exception | None = None
        while path:
            check = next(reversed(path.values()))
            try:
                if trouble is not None:
                    upstream = check.throw(trouble)
                elif answer is not None:
                    upstream = check.send(answer)
                else:
                    upstream = next(check)
            except StopIteration as done:
                answer, trouble = done.value, None
                path.popitem()  # unlike del, leaves no hole that the next look would cross
            except Exception as exc:
                answer, trouble = None, exc
                path.popitem()
            else:
                answer, trouble = self._known(upstream, path), None
                if answer is None:
                    path[upstream] = self._check_node(upstream)
        if answer is None:
            assert trouble is not None
            raise trouble
        return answer

    def _known(self, node_id: str, path: Mapping[str, _NodeCheck]) -> _Finding | None:
        """What can be said of a node at once; None if it is to be checked."""
        if node_id in self.findings:
            return self.findings[node_id]
        if node_id not in path:
            return None
        if not self.rules.detect_cycles:
            # The recursion of those servers overflows; all that remains of it in the end is
            # that the nodes of the cycle are invalid.
            return _FAILED_UPSTREAM
        ids = list(path)
        members = ids[ids.index(node_id) :]
        named = [f"{each} ({self.prompt[each]['class_type']})" for each in [*members, node_id]]
        way = " -> ".join(named)
        for member in members:
            self._keep(member, [cycle(way, member, members)])
        return self.findings[node_id]

    def _check_node(self, node_id: str) -> _NodeCheck:
        inputs = self.prompt[node_id]["inputs"]
        class_type = self.prompt[node_id]["class_type"]
        custom = self.custom.get(class_type)
        declared = declared_inputs(
            self.object_info[class_type].get("input", {}),
            inputs,
            expand=self.rules.expand_dynamic,
        )
        errors: list[JSONObject] = []
        linked_types: dict[str, object] = {}
        valid = True
        for name, spec, required in declared:
            if name not in inputs:
                if required:
                    shown = name.rpartition(".")[2] if declared.dynamic else name
                    errors.append(required_missing(name, shown))
                continue
            if not isinstance(inputs[name], list):
                errors += self._check_literal(name, spec, inputs, custom)
                continue
            found = yield from self._check_link(name, spec, inputs[name], custom, linked_types)
            errors += found.errors
            valid = valid and found.valid
        if custom is not None:
            names = {name for name, _, _ in declared}
            errors += _run_custom(custom, inputs, names, linked_types)

        before = self.findings.get(node_id) if self.rules.detect_cycles else None
        if before is not None:  # a cycle through this node came to light meanwhile
            valid = valid and before.valid
            errors = before.errors + [error for error in errors if error not in before.errors]
        return self._keep(node_id, errors, valid=valid)

    def _check_link(
        self,
        name: str,
        spec: InputSpec,
        link: list[Any],
        custom: CustomValidation | None,
        linked_types: dict[str, object],
    ) -> _NodeCheck:
        """Check one link and what is behind it; the finding's errors are the linking node's."""
        wanted, options = _type_and_options(spec)
        if len(link) != 2:
            return _Finding(False, [link_malformed(name, (wanted, options), link)])
        source, slot = link
        # Errors of a wrong id or slot are Python's own, as they are on the server.
        info = self.object_info[self.prompt[source]["class_type"]]
        received = _output_types(info)[slot]
        linked_types[name] = received
        skip = custom is not None and "input_types" in custom.takes
        if not skip and not self._fits(received, wanted):
            return _Finding(False, [type_mismatch(name, (wanted, options), received, link)])
        try:
            found = yield source
        except Exception as exc:
            trace = traceback.format_tb(exc.__traceback__)
            error = inner_exception(name, (wanted, options), link, exc, trace)
            self._keep(source, [error])
            return _FAILED_UPSTREAM
        return _Finding(found.valid)

    def _check_literal(
        self,
        name: str,
        spec: InputSpec,
        inputs: JSONObject,
        custom: CustomValidation | None,
    ) -> list[JSONObject]:
        """Convert and check one literal; the converted value goes into `inputs`."""
        config = _type_and_options(spec)
        kind, options = config
        value: Any = inputs[name]
        if isinstance(value, dict) and "__value__" in value:
            value = inputs[name] = cast("JSONObject", value)["__value__"]
        convert = _CONVERSIONS.get(kind) if isinstance(kind, str) else None
        if convert is not None:
            try:
                value = inputs[name] = convert(value)
            except Exception as exc:
                return [not_convertible(name, config, value, exc)]
        if custom is not None and custom.wants(name):
            return []
        if "min" in options and value < options["min"]:
            return [too_small(name, config, value)]
        if "max" in options and value > options["max"]:
            return [too_big(name, config, value)]
        if isinstance(kind, list):
            return self._check_choice(name, config, value, config[0])
        if kind == "COMBO" and self.rules.check_combo_options:
            return self._check_choice(name, config, value, options.get("options", []))
        return []

    def _check_choice(
        self, name: str, config: tuple[Any, Any], value: Any, choices: list[Any]
    ) -> list[JSONObject]:
        if not self.rules.check_multiselect:
            shown = f"'{value}'"
            wrong = value not in choices
        else:
            several = config[1].get("multiselect", False) and _is_list(value)
            chosen: list[Any] = value if several else [value]
            strangers = [each for each in chosen if each not in choices]
            shown = ", ".join(repr(each) for each in strangers)
            wrong = bool(strangers)
        return [not_in_list(name, config, value, choices, shown)] if wrong else []

    def _fits(self, received: Any, wanted: Any) -> bool:
        """Whether an output of type `received` may go to an input of type `wanted`."""
        wild = {"*", "COMFY_MATCHTYPE_V3"} if self.rules.open_types else {"*"}
        both = (received, wanted)
        if received == wanted or any(isinstance(each, str) and each in wild for each in both):
            return True
        if self.rules.open_types and isinstance(received, list) and wanted == "COMBO":
            return True
        if not isinstance(received, str) or not isinstance(wanted, str):
            return False
        offered = {part.strip() for part in received.split(",")}
        accepted = {part.strip() for part in wanted.split(",")}
        if self.rules.open_types and "*" in offered | accepted:
            return True
        return bool(offered & accepted)


def _type_and_options(spec: InputSpec) -> tuple[Any, Any]:
    return spec[0], spec[1] if len(spec) > 1 else {}


def _output_types(info: Mapping[str, Any]) -> tuple[Any, ...] | list[Any]:
    """Output types in the container the class holds them in: errors of the index tell which."""
    newer_api = all(key in info for key in ("deprecated", "experimental", "api_node"))
    return list(info["output"]) if newer_api else tuple(info["output"])


def _run_custom(
    custom: CustomValidation,
    inputs: JSONObject,
    declared: Collection[str],
    linked_types: dict[str, object],
) -> list[JSONObject]:
    judged: dict[str, Any] = {
        name: None if _is_link(value) else value
        for name, value in inputs.items()
        if custom.wants(name) and (name in declared or _is_link(value))
    }
    if "input_types" in custom.takes:
        judged["input_types"] = linked_types
    reason = custom.check(**judged)
    return [] if reason is True else [custom_failed(name, reason) for name in judged]


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _is_link(value: Any) -> bool:
    match value:
        case [str(), int() | float()]:
            return True
        case _:
            return False
