from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from comfy_trio._validation import (
    CustomValidation,
    ValidationRules,
    Verdict,
    validate_prompt,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = {"0.3.64": (0, 3, 64), "0.27.0": (0, 27, 0)}
OLD = ValidationRules.for_version((0, 3, 64))
NEW = ValidationRules.for_version((0, 27, 0))


def info(
    required: dict[str, list[Any]] | None = None,
    optional: dict[str, list[Any]] | None = None,
    outputs: tuple[Any, ...] = ("IMAGE",),
    *,
    output_node: bool = False,
    **more: Any,
) -> dict[str, Any]:
    sections = {"required": required or {}, "optional": optional or {}}
    return {"input": sections, "output": list(outputs), "output_node": output_node, **more}


ERRORS_OF_THE_ROUTE = {"no_prompt", "invalid_prompt_id"}
NO_CHOICES: list[str] = []
END = info({"value": ["*"]}, output_node=True)


def judged(
    spec: list[Any], *value: Any, rules: ValidationRules = NEW, **more: Any
) -> tuple[Verdict, list[dict[str, Any]]]:
    """The verdict on one input `x` of an output node, and the node's errors."""
    inputs = {"x": value[0]} if value else {}
    classes = {"T": info({"x": spec}, output_node=True), "Source": info(), **more}
    prompt: dict[str, Any] = {"1": {"class_type": "T", "inputs": inputs}}
    if any(isinstance(each, list) for each in value):
        prompt["s"] = {"class_type": "Source", "inputs": {}}
    verdict = validate_prompt(prompt, classes, rules=rules)
    return verdict, verdict.node_errors.get("1", {}).get("errors", [])


# What real servers answered


def exchanges(name: str) -> Iterator[Any]:
    for version in VERSIONS:
        lines = (FIXTURES / "traces" / version / f"{name}.jsonl").read_text().splitlines()
        request: dict[str, Any] | None = None
        for line in map(json.loads, lines):
            if line.get("http") == "POST /prompt":
                request = line["body"]
            elif request is not None and "status" in line:
                label = line["body"].get("error", {}).get("type", "accepted")
                if label not in ERRORS_OF_THE_ROUTE:
                    yield pytest.param(version, request, line, id=f"{version}-{label}")
                request = None


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def comparable(node_errors: dict[str, Any]) -> dict[str, Any]:
    """Without what depends on a server's source lines or on the order of a set."""
    found: dict[str, Any] = json.loads(json.dumps(node_errors))
    for report in found.values():
        for error in report["errors"]:
            error["extra_info"].pop("traceback", None)
        report["errors"].sort(key=canonical)
    return found


def captured_object_info(version: str) -> dict[str, Any]:
    classes: dict[str, Any] = json.loads(
        (FIXTURES / "object_info" / f"core-{version}.json").read_text()
    )
    # The capture has its tooltips taken out; error bodies had this one in them.
    classes["SaveImage"]["input"]["required"]["images"][1]["tooltip"] = "The images to save."
    for class_info in classes.values():
        for spec in class_info["input"]["required"].values():
            if len(spec) == 1:
                spec.append({})
    return classes


def refuse_missing(image: str) -> str:
    return f"Invalid image file: {image}"


@pytest.mark.parametrize(
    ("version", "request_", "reply"),
    [*exchanges("rejected"), *exchanges("one-output-invalid")],
)
def test_as_the_real_server(version: str, request_: dict[str, Any], reply: dict[str, Any]) -> None:
    expected = reply["body"]
    verdict = validate_prompt(
        request_["prompt"],
        captured_object_info(version),
        partial_execution_targets=request_.get("partial_execution_targets"),
        custom={"LoadImage": CustomValidation(frozenset({"image"}), refuse_missing)},
        rules=ValidationRules.for_version(VERSIONS[version]),
    )

    assert verdict.accepted == (reply["status"] == 200)
    assert comparable(verdict.node_errors) == comparable(expected["node_errors"])
    assert verdict.error == expected.get("error")


# The prompt as a whole


def test_good_prompt() -> None:
    prompt: dict[str, Any] = {
        "1": {"class_type": "Source", "inputs": {}},
        "2": {"class_type": "End", "inputs": {"value": ["1", 0]}},
        "3": {"class_type": "End", "inputs": {"value": 3}},
    }
    verdict = validate_prompt(prompt, {"Source": info(), "End": END})
    assert verdict == Verdict(None, {}, ("2", "3"), prompt)
    assert verdict.accepted


def test_output_upstream_of_an_output() -> None:
    both = info({"value": ["*"]}, output_node=True)
    prompt: dict[str, Any] = {
        "1": {"class_type": "Both", "inputs": {"value": ["2", 0]}},
        "2": {"class_type": "Both", "inputs": {"value": 1}},
    }
    assert validate_prompt(prompt, {"Both": both}).outputs == ("1", "2")
    del prompt["2"]["inputs"]["value"]
    verdict = validate_prompt(prompt, {"Both": both})
    assert verdict.node_errors["2"]["dependent_outputs"] == ["1", "2"]


def test_partial_targets() -> None:
    prompt: dict[str, Any] = {key: {"class_type": "End", "inputs": {"value": 1}} for key in "123"}
    classes = {"End": END}
    assert validate_prompt(prompt, classes, partial_execution_targets=["3", "x"]).outputs == ("3",)
    nothing = validate_prompt(prompt, classes, partial_execution_targets=[])
    assert nothing.error is not None
    assert nothing.error["type"] == "prompt_no_outputs"


def test_title_of_an_unknown_node_is_shown() -> None:
    prompt: dict[str, Any] = {
        "1": {"class_type": "Gone", "inputs": {}, "_meta": {"title": "My node"}}
    }
    error = validate_prompt(prompt, {}).error
    assert error is not None
    assert error["message"].startswith("Node 'My node' not found.")
    assert error["extra_info"]["node_title"] == "My node"
    del prompt["1"]["class_type"]
    error = validate_prompt(prompt, {}).error
    assert error is not None
    assert error["message"].startswith("Node 'My node' has no class_type.")


def test_what_no_output_needs_is_not_looked_at() -> None:
    prompt: dict[str, Any] = {
        "1": {"class_type": "Needy", "inputs": {}},
        "2": {"class_type": "End", "inputs": {"value": 1, "undeclared": ["nowhere", 0]}},
    }
    classes = {"Needy": info({"x": ["INT"]}), "End": END}
    assert validate_prompt(prompt, classes).accepted


def test_prompt_is_left_alone_and_converted_values_are_returned() -> None:
    spec = {name: [name] for name in ("INT", "FLOAT", "STRING", "BOOLEAN", "OTHER")}
    inputs = {"INT": 5.9, "FLOAT": "2", "STRING": None, "BOOLEAN": "false", "OTHER": "3"}
    prompt: dict[str, Any] = {"1": {"class_type": "T", "inputs": inputs.copy()}}
    verdict = validate_prompt(prompt, {"T": info(spec, output_node=True)})
    assert prompt["1"]["inputs"] == inputs
    assert verdict.prompt["1"]["inputs"] == {
        "INT": 5,
        "FLOAT": 2.0,
        "STRING": "None",
        "BOOLEAN": True,
        "OTHER": "3",
    }


def test_failures_found_so_far_are_laid_at_every_failing_output() -> None:
    prompt: dict[str, Any] = {
        "bad": {"class_type": "Needy", "inputs": {}},
        "1": {"class_type": "End", "inputs": {"value": ["bad", 0]}},
        "2": {"class_type": "End", "inputs": {}},
    }
    verdict = validate_prompt(prompt, {"Needy": info({"x": ["INT"]}), "End": END})
    assert verdict.node_errors["bad"]["dependent_outputs"] == ["1", "2"]
    assert verdict.node_errors["2"]["dependent_outputs"] == ["2"]
    assert verdict.error is not None
    assert verdict.error["details"] == "Required input is missing: value"


@pytest.mark.parametrize("prompt", [{"1": None}, {"1": 3}, {"1": {"class_type": []}}])
def test_what_is_no_graph_at_all_raises(prompt: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        validate_prompt(prompt, {})


# One input


@pytest.mark.parametrize(
    ("spec", "value", "kind", "details"),
    [
        (["INT"], "5.7", "invalid_input_type", "x, 5.7, invalid literal"),
        (["INT"], None, "invalid_input_type", "x, None, int() argument"),
        (["FLOAT"], None, "invalid_input_type", "x, None, float() argument"),
        (["INT", {"min": 0}], -1, "value_smaller_than_min", "x"),
        (["FLOAT", {"max": 1.0}], 1.5, "value_bigger_than_max", "x"),
        (["OTHER", {"max": 1}], 2, "value_bigger_than_max", "x"),
        (["OTHER", {"max": 1}], "a", "exception_during_validation", "'>' not supported"),
        ([["a", "b"]], "c", "value_not_in_list", "x: 'c' not in ['a', 'b']"),
        ([NO_CHOICES], 3, "value_not_in_list", "x: 3 not in []"),
        (["COMBO", {"options": ["a"]}], "c", "value_not_in_list", "x: 'c' not in ['a']"),
        (["COMBO"], "c", "value_not_in_list", "x: 'c' not in []"),
        (["IMAGE"], ["s"], "bad_linked_input", "x"),
        (["IMAGE"], ["s", 0, 1], "bad_linked_input", "x"),
        (["IMAGE"], ["nowhere", 0], "exception_during_validation", "'nowhere'"),
        (["IMAGE"], [5, 0], "exception_during_validation", "5"),
        (["IMAGE"], ["s", 7], "exception_during_validation", "tuple index out of range"),
        (["IMAGE"], ["s", "0"], "exception_during_validation", "tuple indices must be"),
        (["MASK"], ["s", 0], "return_type_mismatch", "x, received_type(IMAGE) mismatch"),
    ],
)
def test_refused_value(spec: list[Any], value: Any, kind: str, details: str) -> None:
    verdict, errors = judged(spec, value)
    assert not verdict.accepted
    assert [error["type"] for error in errors] == [kind]
    assert errors[0]["details"].startswith(details)


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        (["INT", {"min": 0, "max": 9}], "7"),
        (["FLOAT", {"max": 1}], float("nan")),
        (["INT,FLOAT"], "whatever"),
        (["IMAGE"], 3),
        ([[1, 2]], True),
        (["STRING"], {"__value__": ["a", "b"]}),
        (["INT,IMAGE"], ["s", 0]),
        (["*"], ["s", 0]),
        (["COMFY_MATCHTYPE_V3"], ["s", 0]),
        (["MASK,*"], ["s", 0]),
        (["COMBO", {"options": ["a", "b"], "multiselect": True}], {"__value__": ["b", "a"]}),
    ],
)
def test_accepted_value(spec: list[Any], value: Any) -> None:
    verdict, errors = judged(spec, value)
    assert errors == []
    assert verdict.accepted


def test_long_lists_are_not_repeated() -> None:
    _, errors = judged([[str(number) for number in range(21)]], "x")
    assert errors[0]["details"] == "x: 'x' not in (list of length 21)"
    assert errors[0]["extra_info"]["input_config"] is None


def test_input_config_of_a_bare_declaration_has_empty_options() -> None:
    _, errors = judged(["INT"], "a")
    assert errors[0]["extra_info"]["input_config"] == ["INT", {}]


def test_list_of_choices_checks_each() -> None:
    spec = ["COMBO", {"options": ["a"], "multiselect": True}]
    _, errors = judged(spec, {"__value__": ["b", "a", 3]})
    assert errors[0]["details"] == "x: 'b', 3 not in ['a']"


@pytest.mark.parametrize(
    ("received", "wanted", "old", "new"),
    [
        ("IMAGE", "IMAGE", True, True),
        ("IMAGE,MASK", "MASK, LATENT", True, True),
        ("*", "IMAGE", True, True),
        ("IMAGE,*", "MASK", False, True),
        ("COMFY_MATCHTYPE_V3", "MASK", False, True),
        (["a", "b"], "COMBO", False, True),
        (["a", "b"], ["a", "b"], True, True),
        (["a", "b"], ["a"], False, False),
        ("COMBO", ["a"], False, False),
    ],
)
def test_link_types(received: Any, wanted: Any, old: bool, new: bool) -> None:
    source = info(outputs=(received,))
    for rules, fits in ((OLD, old), (NEW, new)):
        verdict, _ = judged([wanted], ["s", 0], rules=rules, Source=source)
        assert verdict.accepted == fits


def test_index_errors_tell_the_api_of_the_class() -> None:
    newer = info(deprecated=False, experimental=False, api_node=False)
    _, errors = judged(["IMAGE"], ["s", 7], Source=newer)
    assert errors[0]["details"] == "list index out of range"


def test_absent_inputs() -> None:
    classes = {"T": info({"a": ["INT"]}, {"b": ["INT"], "a": ["STRING"]}, output_node=True)}
    verdict = validate_prompt({"1": {"class_type": "T", "inputs": {}}}, classes)
    assert [e["details"] for e in verdict.node_errors["1"]["errors"]] == ["a"]


def test_missing_inputs_key_of_an_output_and_of_a_node_upstream() -> None:
    prompt: dict[str, Any] = {"1": {"class_type": "End"}}
    classes = {"End": END, "Source": info()}
    report = validate_prompt(prompt, classes).node_errors["1"]
    assert report["errors"][0]["type"] == "exception_during_validation"
    assert report["errors"][0]["details"] == "'inputs'"

    prompt = {
        "0": {"class_type": "Source"},
        "1": {"class_type": "End", "inputs": {"value": ["0", 0]}},
    }
    report = validate_prompt(prompt, classes).node_errors
    assert list(report) == ["0"]
    error = report["0"]["errors"][0]
    assert error["type"] == "exception_during_inner_validation"
    extra = error["extra_info"]
    assert extra["exception_type"] == "KeyError"
    assert extra["linked_node"] == ["0", 0]
    assert all(isinstance(line, str) for line in extra["traceback"])


# Versions


def test_old_servers_do_not_check_combo_options() -> None:
    assert judged(["COMBO", {"options": ["a"]}], "c", rules=OLD)[0].accepted
    spec = ["COMBO", {"options": ["a"], "multiselect": True}]
    before = ValidationRules.for_version((0, 20))
    _, errors = judged(spec, {"__value__": ["a"]}, rules=before)
    assert errors[0]["details"] == "x: '['a']' not in ['a']"


@pytest.mark.parametrize(
    ("version", "changes"),
    [
        ((0, 7, 9), 0),
        ((0, 8), 3),
        ((0, 12, 0), 4),
        ((0, 20, 1), 5),
        ((0, 21), 6),
        ((1, 0), 6),
    ],
)
def test_rules_by_version(version: tuple[int, ...], changes: int) -> None:
    rules = ValidationRules.for_version(version)
    assert sum(attrs.asdict(rules).values()) == changes
    assert (rules == NEW) == (changes == 6)


# Custom validation


def custom_judged(custom: CustomValidation, inputs: dict[str, Any]) -> list[dict[str, Any]]:
    spec: dict[str, list[Any]] = {"a": ["INT", {"max": 1}], "b": ["IMAGE"]}
    prompt: dict[str, Any] = {
        "s": {"class_type": "Source", "inputs": {}},
        "1": {"class_type": "T", "inputs": inputs},
    }
    classes = {"T": info({}, spec, output_node=True), "Source": info()}
    verdict = validate_prompt(prompt, classes, custom={"T": custom})
    errors: list[dict[str, Any]] = verdict.node_errors.get("1", {}).get("errors", [])
    return errors


def refusing(reason: object) -> Callable[..., object]:
    def check(**_inputs: object) -> object:
        return reason

    return check


def test_custom_validation_takes_over_its_inputs() -> None:
    seen: list[dict[str, Any]] = []

    def check(**inputs: Any) -> bool:
        seen.append(inputs)
        return True

    inputs = {"a": 5, "b": ["s", 0], "undeclared": 1}
    assert custom_judged(CustomValidation(frozenset({"a", "b"}), check), inputs) == []
    assert custom_judged(CustomValidation(frozenset(), check, takes_all=True), inputs) == []
    assert seen == [{"a": 5, "b": None}] * 2


def test_custom_validation_reports_once_for_each_input_it_took() -> None:
    taking = frozenset({"a", "b"})
    errors = custom_judged(CustomValidation(taking, refusing("no")), {"a": 5, "b": ["s", 0]})
    assert [error["details"] for error in errors] == ["a - no", "b - no"]
    errors = custom_judged(CustomValidation(taking, refusing(False)), {"a": 5})
    assert [error["details"] for error in errors] == ["a"]


def test_custom_validation_of_types() -> None:
    def check(input_types: dict[str, str]) -> str:
        return str(input_types)

    spec: dict[str, list[Any]] = {"b": ["MASK"]}
    prompt: dict[str, Any] = {
        "s": {"class_type": "Source", "inputs": {}},
        "1": {"class_type": "T", "inputs": {"b": ["s", 0]}},
    }
    verdict = validate_prompt(
        prompt,
        {"T": info(spec, output_node=True), "Source": info()},
        custom={"T": CustomValidation(frozenset({"input_types"}), check)},
    )
    assert [e["details"] for e in verdict.node_errors["1"]["errors"]] == [
        "input_types - {'b': 'IMAGE'}"
    ]


# Deep graphs and cycles


INVERT = info({"image": ["IMAGE"]})


def chain(length: int) -> dict[str, Any]:
    prompt: dict[str, Any] = {"0": {"class_type": "Source", "inputs": {}}}
    for number in range(1, length):
        inputs = {"image": [str(number - 1), 0]}
        prompt[str(number)] = {"class_type": "Invert", "inputs": inputs}
    prompt["end"] = {"class_type": "End", "inputs": {"value": [str(length - 1), 0]}}
    return prompt


@pytest.mark.parametrize("rules", [OLD, NEW])
def test_long_chain(rules: ValidationRules) -> None:
    classes = {"Source": info(), "Invert": INVERT, "End": END}
    prompt = chain(5000)
    assert validate_prompt(prompt, classes, rules=rules).accepted
    del prompt["0"]["class_type"]
    prompt["0"] = {"class_type": "Invert", "inputs": {}}
    verdict = validate_prompt(prompt, classes, rules=rules)
    assert list(verdict.node_errors) == ["0"]


def test_cycle_behind_a_cycle_and_own_errors() -> None:
    classes = {"Two": info({"a": ["IMAGE"], "b": ["IMAGE"], "n": ["INT"]}), "End": END}
    prompt: dict[str, Any] = {
        "1": {"class_type": "Two", "inputs": {"a": ["2", 0], "b": ["1", 0], "n": "x"}},
        "2": {"class_type": "Two", "inputs": {"a": ["1", 0], "b": ["1", 0], "n": 1}},
        "9": {"class_type": "End", "inputs": {"value": ["1", 0]}},
    }
    new = validate_prompt(prompt, classes, rules=NEW).node_errors
    assert {node_id: [e["type"] for e in new[node_id]["errors"]] for node_id in new} == {
        "1": ["dependency_cycle", "invalid_input_type"],
        "2": ["dependency_cycle"],
    }
    old = validate_prompt(prompt, classes, rules=OLD).node_errors
    assert {node_id: [e["type"] for e in old[node_id]["errors"]] for node_id in old} == {
        "1": ["invalid_input_type"]
    }


def test_node_that_feeds_itself() -> None:
    prompt: dict[str, Any] = {"1": {"class_type": "End", "inputs": {"value": ["1", 0]}}}
    verdict = validate_prompt(prompt, {"End": END})
    assert verdict.node_errors["1"]["errors"][0]["details"] == "1 (End) -> 1 (End)"
    assert validate_prompt(prompt, {"End": END}, rules=OLD).node_errors == {}


# Dynamic inputs


def dynamic(class_type: str, inputs: dict[str, Any], rules: ValidationRules = NEW) -> list[Any]:
    text = (FIXTURES / "object_info" / "dynamic-0.27.0.json").read_text()
    classes = json.loads(text) | {"Source": info(outputs=("IMAGE", "LATENT")), "End": END}
    prompt: dict[str, Any] = {
        "s": {"class_type": "Source", "inputs": {}},
        "1": {"class_type": class_type, "inputs": inputs},
        "9": {"class_type": "End", "inputs": {"value": ["1", 0]}},
    }
    verdict = validate_prompt(prompt, classes, rules=rules)
    errors = verdict.node_errors.get("1", {}).get("errors", [])
    return [(error["type"], error["extra_info"]["input_name"]) for error in errors]


def test_autogrow() -> None:
    assert dynamic("BatchImagesNode", {"images.image0": ["s", 0], "images.image7": ["s", 0]}) == []
    assert dynamic("BatchImagesNode", {}) == [("required_input_missing", "images.image0")]
    assert dynamic("BatchImagesNode", {"images.image0": ["s", 1]}) == [
        ("return_type_mismatch", "images.image0")
    ]
    assert dynamic("StringFormat", {"f_string": "{a}"}) == []
    assert dynamic("StringFormat", {"f_string": "{a}", "values.a": 3}) == []


def test_dynamic_combo() -> None:
    common: dict[str, Any] = {"input": ["s", 0], "scale_method": "area"}
    chosen = {**common, "resize_type": "scale width"}
    assert dynamic("ResizeImageMaskNode", {**chosen, "resize_type.width": 64}) == []
    assert dynamic("ResizeImageMaskNode", {**chosen, "resize_type.width": -1}) == [
        ("value_smaller_than_min", "resize_type.width")
    ]
    assert dynamic("ResizeImageMaskNode", chosen) == [
        ("required_input_missing", "resize_type.width")
    ]
    assert dynamic("ResizeImageMaskNode", common) == []
    # A key that is no option makes the server forget the input.
    assert dynamic("ResizeImageMaskNode", {**common, "resize_type": "nope"}) == []


def test_missing_dynamic_input_is_called_by_its_last_name() -> None:
    classes = {"T": info({"g": _autogrow()}, output_node=True)}
    verdict = validate_prompt({"1": {"class_type": "T", "inputs": {}}}, classes)
    assert [e["details"] for e in verdict.node_errors["1"]["errors"]] == ["n0"]


def _autogrow() -> list[Any]:
    template: dict[str, Any] = {
        "input": {"required": {"n": ["INT", {}]}},
        "prefix": "n",
        "min": 1,
        "max": 3,
    }
    return ["COMFY_AUTOGROW_V3", {"template": template}]


def test_dynamic_slot() -> None:
    inner: dict[str, Any] = {"required": {"n": ["INT", {}]}}
    spec = ["COMFY_DYNAMICSLOT_V3", {"slotType": "IMAGE", "inputs": inner}]
    classes = {"T": info({}, {"slot": spec}, output_node=True), "Source": info()}
    source: dict[str, Any] = {"class_type": "Source", "inputs": {}}
    for inputs, missing in (
        ({}, []),
        ({"slot": 1}, ["slot.n"]),
        ({"slot": 1, "slot.n": 3}, []),
    ):
        prompt: dict[str, Any] = {"s": source, "1": {"class_type": "T", "inputs": inputs}}
        report = validate_prompt(prompt, classes).node_errors
        names = [e["extra_info"]["input_name"] for e in report.get("1", {}).get("errors", [])]
        assert names == missing


def test_dynamic_inputs_within_an_autogrow() -> None:
    combo = [
        "COMFY_DYNAMICCOMBO_V3",
        {"options": [{"key": "k", "inputs": {"required": {"n": ["INT"]}}}]},
    ]
    template: dict[str, Any] = {"input": {"required": {"c": combo}}, "names": ["a", "b"], "min": 0}
    classes = {"T": info({"g": ["COMFY_AUTOGROW_V3", {"template": template}]}, output_node=True)}
    prompt: dict[str, Any] = {"1": {"class_type": "T", "inputs": {"g.a": "k"}}}
    report = validate_prompt(prompt, classes).node_errors["1"]
    assert [e["extra_info"]["input_name"] for e in report["errors"]] == ["g.a.n"]


def test_old_servers_take_dynamic_inputs_as_they_are() -> None:
    assert dynamic("BatchImagesNode", {"images.image0": ["s", 0]}, OLD) == [
        ("required_input_missing", "images")
    ]
