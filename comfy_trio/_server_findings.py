"""The errors of a server's verdict, in words that say what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ._file_choices import are_files
from ._prompt import name_node, title_of
from ._util import as_list, as_object, is_list, shorten
from ._validation_report import Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ._dynamic_inputs import InputSpec
    from ._survey import Survey
    from ._util import JSONObject
    from ._validation import Verdict

CHOICES_SHOWN: Final = 5
LONGEST_WAY: Final = 1000
"""How many characters of a cycle are told."""

EXCEPTIONS: Final = frozenset({"exception_during_inner_validation", "exception_during_validation"})

DEPENDS_ON_THE_MOMENT: Final = frozenset(
    {*EXCEPTIONS, "custom_validation_failed", "invalid_prompt", "missing_node_type"}
    | {"value_not_in_list"}
)
"""Errors that other definitions, as of now, might take back."""

_NO_SPEC: Final[InputSpec] = ["", {}]


def findings_of(verdict: Verdict, survey: Survey, explained: Collection[str]) -> Iterator[Finding]:
    """Yield a finding for each error of a verdict.

    Args:
        verdict: The verdict.
        survey: Of the same prompt.
        explained: Ids of the nodes at which the server's check would raise for a reason that is
            already found, of which the exception says less.
    """
    if survey.unknown:
        yield from _unknown_classes(verdict, survey)
    elif not survey.outputs:
        yield Finding(
            kind="prompt_no_outputs",
            message="none of the nodes is an output node, such as SaveImage or PreviewImage,"
            " so there is nothing to run",
        )
    for node_id, report in verdict.node_errors.items():
        for error in report["errors"]:
            if error["type"] not in EXCEPTIONS or node_id not in explained:
                yield _of_input(error, node_id, survey)


def _unknown_classes(verdict: Verdict, survey: Survey) -> Iterator[Finding]:
    suggestions: dict[str, str | None] = {}
    for node_id in survey.unknown:
        node = survey.prompt[node_id]
        class_type: str = node["class_type"]
        if class_type not in suggestions:
            suggestions[class_type] = survey.suggestions.nearest(class_type, survey.definitions)
        yield Finding(
            kind="missing_node_type" if verdict.error is None else str(verdict.error["type"]),
            message=f"the server has no class {class_type!r}",
            node_id=node_id,
            class_type=class_type,
            title=title_of(node),
            suggestion=suggestions[class_type],
            may_be_stale=True,
        )


def _of_input(error: JSONObject, node_id: str, survey: Survey) -> Finding:
    node = survey.prompt[node_id]
    info = as_object(error["extra_info"])
    name = info.get("input_name")
    # Of an exception, the input named is that of the node downstream.
    own = isinstance(name, str) and error["type"] not in EXCEPTIONS
    spec = _spec(survey, node_id, str(name)) if own else _NO_SPEC
    value = info.get("received_value")
    choices = choices_of(spec) or ()
    wrong_choice = error["type"] == "value_not_in_list"
    if wrong_choice:
        stale = are_files(str(name), choices, as_object(spec[1] if len(spec) > 1 else None))
    else:
        stale = error["type"] in DEPENDS_ON_THE_MOMENT
    return Finding(
        kind=error["type"],
        message=_message(error, info, spec, survey),
        node_id=node_id,
        class_type=node["class_type"],
        title=title_of(node),
        input_name=str(name) if own else None,
        suggestion=survey.suggestions.nearest(value, choices) if wrong_choice else None,
        may_be_stale=stale,
    )


def _spec(survey: Survey, node_id: str, name: str) -> InputSpec:
    return survey.declared.get(node_id, {}).get(name, _NO_SPEC)


def _message(error: JSONObject, info: JSONObject, spec: InputSpec, survey: Survey) -> str:
    value = shorten(info.get("received_value"))
    match error["type"]:
        case "required_input_missing":
            return "is required, and missing"
        case "bad_linked_input":
            return not_a_link(info.get("received_value"))
        case "return_type_mismatch":
            source, slot = info["linked_node"]
            return (
                f"takes {_type(spec[0])}, but output {slot} of"
                f" {name_node(source, survey.prompt[source])} is {_type(info['received_type'])}"
            )
        case "invalid_input_type":
            return f"{value} cannot be read as {spec[0]} ({info['exception_message']})"
        case "value_smaller_than_min":
            return f"{value} is less than the minimum, {spec[1]['min']}"
        case "value_bigger_than_max":
            return f"{value} is more than the maximum, {spec[1]['max']}"
        case "value_not_in_list":
            return f"{value} is not among {list_choices(choices_of(spec) or ())}"
        case "dependency_cycle":
            way: str = error["details"]  # which each of its nodes tells
            more = " ..." if len(way) > LONGEST_WAY else ""
            return f"the nodes form a cycle: {way[:LONGEST_WAY]}{more}"
        case _:  # the check itself raised
            return (
                f"the server would fail to check it: {info.get('exception_type')}"
                f" {shorten(error['details'])}"
            )


def not_a_link(value: object) -> str:
    """Say of a list that it is no link."""
    return (
        f"{shorten(value)} is no link, which is written [node id as a string, output number];"
        f' a list of values is written {{"__value__": [...]}}'
    )


def choices_of(spec: InputSpec) -> Sequence[object] | None:
    """Return what an input lets one choose from; None if it is no choice or leaves it open."""
    match spec:
        case [[*options], *_] | ["COMBO", {"options": [*options]}, *_]:
            return options
        case _:
            return None


def list_choices(choices: Sequence[object]) -> str:
    """List choices for a message, the first few of many."""
    if not choices:
        return "the choices, of which there are none"
    shown = ", ".join(shorten(each) for each in choices[:CHOICES_SHOWN])
    more = len(choices) - CHOICES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _type(declared: Any) -> str:
    if is_list(declared):
        return f"a choice of {list_choices(as_list(declared))}"
    return str(declared)
