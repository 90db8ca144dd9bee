"""Workflows judged without a server."""

from __future__ import annotations

import copy
import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompts import image, node

from comfy_trio import (
    Conversion,
    EnqueueFailedError,
    Finding,
    FindingKind,
    MissingNodeError,
    Validation,
    Workflow,
    WorkflowError,
    validate,
)
from comfy_trio._check import judge, rules_of
from comfy_trio._util import as_object
from comfy_trio._validation import NEWEST_RULES, ValidationRules

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "tests" / "fixtures"
Prompt = dict[str, Any]


def load(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


STUBS = load(ROOT / "stubs" / "object_info-0.27.0.json")
OLD = load(FIXTURES / "servers" / "object_info-0.3.64.json")
TEMPLATES = load(FIXTURES / "canvas" / "prompts-0.27.0.json")
OLD_TEMPLATES = load(FIXTURES / "canvas" / "prompts-0.3.64.json")

SAMPLER = {
    "seed": ["INT", {"min": 0, "max": 2**64 - 1}],
    "steps": ["INT", {"default": 20, "min": 1, "max": 100}],
    "cfg": ["FLOAT", {"min": 0.0}],
    "sampler_name": [["euler", "heun", "dpmpp_2m", "lcm", "ddim", "uni_pc"]],
    "latent": ["LATENT"],
}
CLASSES: dict[str, Any] = {
    "Sampler": {
        "input": {"required": SAMPLER, "optional": {"mask": ["MASK"], "tiled": ["BOOLEAN"]}},
        "output": ["LATENT"],
        "output_node": False,
    },
    "Latent": {"input": {"required": {"width": ["INT"]}}, "output": ["LATENT"]},
    "Load": {
        "input": {
            "required": {"ckpt_name": [["sd15.safetensors"]]},
            "optional": {"picture": [["a.png"], {"image_upload": True}]},
        },
        "output": ["MODEL"],
    },
    "Save": {
        "input": {
            "required": {"value": ["*"]},
            "optional": {"prefix": ["STRING"]},
            "hidden": {"unique_id": "UNIQUE_ID"},
        },
        "output": [],
        "output_node": True,
    },
}


def workflow() -> Prompt:
    return {
        "1": node("Latent", width=64),
        "2": node(
            "Sampler", "Draw", seed=5, steps=20, cfg=4.0, sampler_name="euler", latent=["1", 0]
        ),
        "9": node("Save", value=["2", 0]),
    }


def judged(
    changes: Prompt, more: Prompt | None = None, *, version: str | None = None
) -> Validation:
    """The verdict on a good workflow with more nodes, whose sampler has other inputs."""
    prompt = {**workflow(), **(more or {})}
    prompt["2"]["inputs"] |= changes
    return validate(prompt, CLASSES, version=version)


def kinds(findings: tuple[Finding, ...]) -> list[tuple[str | None, str, str | None]]:
    return [(each.node_id, each.kind, each.input_name) for each in findings]


# The verdict


def test_a_good_workflow() -> None:
    prompt = workflow()
    validation = validate(prompt, CLASSES)
    assert validation.accepted
    assert validation.outputs == ("9",)
    assert validation.reason == ""
    assert str(validation) == "accepted"
    assert validation.node_errors == {}
    validation.raise_if_refused()


def test_what_is_judged_is_left_alone() -> None:
    prompt = workflow()
    prompt["2"]["inputs"] |= {"steps": "7", "seed": -1, "tiled": "false"}
    before = copy.deepcopy(prompt)
    definitions = copy.deepcopy(CLASSES)
    made = Workflow(prompt)
    validate(made, CLASSES)
    validate(prompt, CLASSES)
    assert made.to_dict() == prompt == before
    assert definitions == CLASSES


def test_the_server_s_errors_come_by_node_and_input() -> None:
    validation = judged({"steps": 0, "sampler_name": "eulr", "latent": ["2"], "cfg": "much"})
    assert not validation.accepted
    assert validation.certain
    assert validation.outputs == ()
    assert validation.left_out == ("9",)
    assert validation.reason == "prompt_outputs_failed_validation"
    assert str(validation).splitlines() == [
        "refused (prompt_outputs_failed_validation)",
        "  error: node 2 (Sampler, \"Draw\"), input 'steps': 0 is less than the minimum, 1",
        "  error: node 2 (Sampler, \"Draw\"), input 'cfg': 'much' cannot be read as FLOAT (could"
        " not convert string to float: 'much')",
        "  error: node 2 (Sampler, \"Draw\"), input 'sampler_name': 'eulr' is not among 'euler',"
        " 'heun', 'dpmpp_2m', 'lcm', 'ddim' and 1 more. Did you mean 'euler'?",
        "  error: node 2 (Sampler, \"Draw\"), input 'latent': ['2'] is no link, which is written"
        " [node id as a string, output number]; a list of values is written"
        ' {"__value__": [...]}',
        "  warning: node 1 (Latent): no output needs it, so that it does not run",
    ]
    [errors] = validation.node_errors.values()
    assert [error.type for error in errors.errors] == [
        "value_smaller_than_min",
        "invalid_input_type",
        "value_not_in_list",
        "bad_linked_input",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 101}, "input 'steps': 101 is more than the maximum, 100"),
        ({"latent": ["4", 0]}, "input 'latent': takes LATENT, but output 0 of node 4 (Load) is"),
        ({"seed": None}, "input 'seed': None cannot be read as INT"),
    ],
)
def test_messages(changes: Prompt, message: str) -> None:
    [error] = judged(changes, {"4": node("Load", ckpt_name="sd15.safetensors")}).errors
    assert str(error).startswith(f'node 2 (Sampler, "Draw"), {message}')


def test_what_is_missing() -> None:
    validation = validate({"9": node("Save")}, CLASSES)
    assert [*map(str, validation.errors)] == [
        "node 9 (Save), input 'value': is required, and missing"
    ]


def test_an_output_that_is_left_out() -> None:
    validation = judged({}, {"10": node("Save", "Second")})
    assert validation.accepted
    assert validation.outputs == ("9",)
    assert validation.left_out == ("10",)
    assert str(validation).splitlines() == [
        "accepted, but not all of it would run",
        "  error: node 10 (Save, \"Second\"), input 'value': is required, and missing",
        '  left out: node 10 (Save, "Second")',
    ]
    validation.raise_if_refused()


def test_every_unknown_class_is_named_and_what_it_may_be() -> None:
    validation = judged({}, {"3": node("Sampeler"), "4": node("Nothing like it")})
    assert kinds(validation.errors) == [
        ("3", "missing_node_type", None),
        ("4", "missing_node_type", None),
    ]
    assert [error.suggestion for error in validation.errors] == ["Sampler", None]
    assert all(error.may_be_stale for error in validation.errors)
    assert not validation.certain
    assert validation.warnings == ()


def test_a_workflow_without_outputs() -> None:
    prompt = workflow()
    del prompt["9"]
    validation = validate(prompt, CLASSES)
    assert kinds(validation.errors) == [(None, "prompt_no_outputs", None)]
    assert validation.certain
    assert "nothing to run" in str(validation)


def test_findings_are_in_the_order_of_the_nodes() -> None:
    prompt = {"9": node("Save", value=["7", 0]), **workflow(), "7": node("Latent")}
    prompt["2"]["inputs"]["steps"] = "no"
    prompt["10"] = node("Save", value=["2", 0], typo=1)
    validation = validate({**prompt, "9": node("Save", value=["7", 0])}, CLASSES)
    assert [each.node_id for each in validation.errors] == ["2", "7"]


# What may be stale, or is the server's own to say


def test_files_may_be_there_by_now() -> None:
    load_node = node("Load", ckpt_name="sd15.safetensor")
    validation = judged({}, {"4": load_node, "9": node("Save", value=["4", 0])})
    [error] = validation.errors
    assert error.kind == "value_not_in_list"
    assert error.may_be_stale
    assert error.suggestion == "sd15.safetensors"
    assert not validation.certain


def test_choices_that_are_no_files_are_not_stale() -> None:
    [error] = judged({"sampler_name": "eulr"}).errors
    assert not error.may_be_stale


def test_files_with_an_upload_button_are_the_server_s_to_find() -> None:
    load_node = node("Load", ckpt_name="sd15.safetensors", picture="b.png")
    validation = judged({}, {"4": load_node, "9": node("Save", value=["4", 0])})
    assert validation.accepted
    warning = validation.warnings[-1]
    assert (warning.kind, warning.may_be_stale) == ("unlisted_file", True)
    assert "the server looks for the file" in str(warning)


def test_core_classes_with_checks_of_their_own_pass() -> None:
    custom = node("CustomCombo", choice="mine", index=7, option1="mine")
    prompt = {"1": custom, "9": node("PreviewAny", source=["1", 0])}
    assert str(validate(prompt, STUBS)) == "accepted"


def test_a_refusal_is_certain_only_if_it_is_for_every_output() -> None:
    broken = {"3": node("Latent"), "10": node("Save", value=["3", 0])}
    assert not judged({"sampler_name": "eulr"}, broken).certain
    assert judged({"sampler_name": "eulr", "steps": 0}, broken).certain
    assert judged({"sampler_name": "eulr", "latent": ["3", 0]}, broken).certain


# What servers overlook


def test_misspelt_inputs() -> None:
    validation = judged({"tiledd": True, "masq": ["1", 0], "xyz": 1})
    assert validation.accepted
    assert kinds(validation.warnings) == [
        ("2", FindingKind.UNDECLARED_INPUT, "tiledd"),
        ("2", FindingKind.UNDECLARED_LINK, "masq"),
        ("2", FindingKind.UNDECLARED_INPUT, "xyz"),
    ]
    assert [each.suggestion for each in validation.warnings] == ["tiled", "mask", None]
    assert "node 1 (Latent) would run, and then this node would fail" in str(validation)


def test_hidden_inputs_and_those_of_the_canvas_are_no_misspellings() -> None:
    extra = {"unique_id": "5", "upload": "image", "audioUI": "", "image": ""}
    prompt = {**workflow(), "9": node("Save", value=["2", 0], **extra)}
    assert validate(prompt, CLASSES).warnings == ()


def test_dangling_links_are_never_sent() -> None:
    for name, stray in (("latent", {}), ("mask", {}), ("other", {}), ("x", {"5": node("Latent")})):
        validation = judged({name: ["22", 0]}, stray)
        found = next(each for each in validation.errors if each.node_id == "2")
        assert (found.kind, found.input_name) == (FindingKind.DANGLING_LINK, name)
        assert found.suggestion == "2"
        assert len(validation.errors) == 1
        assert not validation.accepted
        assert validation.certain
        with pytest.raises(WorkflowError, match="links to node '22'") as caught:
            validation.raise_if_refused()
        assert not isinstance(caught.value, EnqueueFailedError)


def test_dangling_links_of_what_does_not_run() -> None:
    validation = judged({}, {"5": node("Latent", width=["nowhere", 0])})
    assert kinds(validation.errors) == [("5", FindingKind.DANGLING_LINK, "width")]
    assert kinds(validation.warnings) == [("5", FindingKind.UNUSED_NODE, None)]
    assert str(validation).startswith("not to be sent\n")


def test_slots_that_do_not_exist() -> None:
    [error] = judged({"latent": ["1", 3]}).errors
    assert error.kind == FindingKind.SLOT_OUT_OF_RANGE
    assert error.message == "links to output 3 of node 1 (Latent), which has only outputs 0 to 0"
    [error] = judged({"latent": ["9", 0]}).errors[:1]
    assert error.message.endswith("node 9 (Save), which has no outputs")
    undeclared = judged({"other": ["1", 3]})
    assert undeclared.accepted
    assert kinds(undeclared.warnings)[0] == ("2", FindingKind.SLOT_OUT_OF_RANGE, "other")


def test_links_of_a_wrong_form() -> None:
    by_number = judged({"latent": [1, 0]})
    assert kinds(by_number.errors) == [("2", FindingKind.MALFORMED_LINK, "latent")]
    assert 'write ["1", 0]' in str(by_number)
    assert kinds(judged({"latent": ["1", "0"]}).errors) == [
        ("2", FindingKind.MALFORMED_LINK, "latent")
    ]
    assert kinds(judged({"latent": ["1", 0, 0]}).errors) == [("2", "bad_linked_input", "latent")]
    unused = judged({}, {"5": node("Latent", width=[1, 2, 3])})
    assert unused.accepted
    assert unused.warnings[0].kind == FindingKind.MALFORMED_LINK


@pytest.mark.parametrize("version", ["0.3.64", "0.27.0"])
def test_cycles(version: str) -> None:
    looped = workflow()
    looped["2"]["inputs"]["latent"] = ["3", 0]
    looped["3"] = {**looped["2"], "inputs": {**looped["2"]["inputs"], "latent": ["2", 0]}}
    validation = validate(looped, CLASSES, version=version)
    assert {each.kind for each in validation.errors} == {FindingKind.CYCLE}
    assert "->" in str(validation)
    assert not validation.accepted
    with pytest.raises(WorkflowError, match="cycle"):
        validation.raise_if_refused()


def test_nodes_that_nothing_uses_are_not_looked_at_further() -> None:
    validation = judged({}, {"5": node("Latent", wdth=3), "6": node("Sampler", seed="x")})
    assert validation.accepted
    assert kinds(validation.warnings) == [
        ("5", FindingKind.UNUSED_NODE, None),
        ("6", FindingKind.UNUSED_NODE, None),
    ]


def test_values_where_only_a_node_can_give_one() -> None:
    validation = judged({"latent": 3, "mask": None})
    assert validation.accepted
    assert kinds(validation.warnings) == [
        ("1", FindingKind.UNUSED_NODE, None),
        ("2", FindingKind.LITERAL_FOR_SOCKET, "latent"),
        ("2", FindingKind.NULL_INPUT, "mask"),
    ]
    required_null = judged({"latent": None})
    assert required_null.warnings[-1].kind == FindingKind.LITERAL_FOR_SOCKET


def test_choices_that_bring_inputs() -> None:
    prompt = {
        "1": node("EmptyImage", width=64, height=64, batch_size=1, color=0),
        "2": node("ResizeImageMaskNode", input=["1", 0], scale_method="area"),
        "9": node("SaveImage", images=["2", 0], filename_prefix="x"),
    }
    [warning] = validate(prompt, STUBS).warnings
    assert (warning.kind, warning.input_name) == (FindingKind.MISSING_CHOICE, "resize_type")
    prompt["2"]["inputs"] |= {"resize_type": "scale dimension", "resize_type.width": 3}
    [warning] = validate(prompt, STUBS).warnings
    assert (warning.kind, warning.suggestion) == (FindingKind.UNKNOWN_CHOICE, "scale dimensions")
    prompt["2"]["inputs"] |= {"resize_type": "scale dimensions", "resize_type.heigth": 3}
    validation = validate(prompt, STUBS)
    assert [(each.kind, each.input_name) for each in validation.errors] == [
        ("required_input_missing", "resize_type.height"),
        ("required_input_missing", "resize_type.crop"),
    ]
    [warning] = validation.warnings
    assert warning.suggestion == "resize_type.height"


# What servers convert


def test_conversions() -> None:
    changes = {"steps": 5.9, "seed": "7", "tiled": "false", "cfg": 4}
    validation = judged(changes)
    assert validation.accepted
    assert validation.conversions == (
        Conversion("2", "Sampler", "Draw", "seed", "7", 7),
        Conversion("2", "Sampler", "Draw", "steps", 5.9, 5),
        Conversion("2", "Sampler", "Draw", "tiled", "false", True),
    )
    assert "input 'tiled': 'false' would become True" in str(validation)


def test_what_is_no_conversion() -> None:
    prompt = workflow()
    wrapped = {"__value__": "a"}
    prompt["9"]["inputs"]["prefix"] = wrapped
    prompt["2"]["inputs"]["cfg"] = float("nan")
    assert validate(prompt, CLASSES).conversions == ()


def test_seeds_to_be_drawn_are_good_seeds() -> None:
    assert str(judged({"seed": -1})) == "accepted"


# Raising


def test_a_refusal_is_raised_as_running_it_would_raise_it() -> None:
    validation = judged({"steps": 0})
    with pytest.raises(EnqueueFailedError) as caught:
        validation.raise_if_refused()
    assert caught.value.reason == "prompt_outputs_failed_validation"
    assert caught.value.status == 400
    assert caught.value.node_errors == validation.node_errors
    first, second = str(caught.value).splitlines()
    assert first.startswith("the workflow was not sent, because the server would refuse it (prompt")
    assert "'steps'" in second


@pytest.mark.parametrize("version", ["0.3.64", "0.27.0"])
def test_an_unknown_class_is_raised_likewise(version: str) -> None:
    validation = judged({}, {"3": node("Sampeler")}, version=version)
    with pytest.raises(MissingNodeError) as caught:
        validation.raise_if_refused()
    assert (caught.value.node_id, caught.value.class_type) == ("3", "Sampeler")


# Versions


def test_rules_of_versions() -> None:
    assert rules_of(None) is rules_of("unknown") is NEWEST_RULES
    assert rules_of("v0.3.64-2-gabc") == ValidationRules.for_version((0, 3, 64))
    assert rules_of("0.27.0") == NEWEST_RULES


def posted(version: str) -> list[Any]:
    """The prompts that a real server refused or ran in part, with its replies."""
    found: list[Any] = []
    for name in ("rejected", "one-output-invalid"):
        text = (FIXTURES / "traces" / version / f"{name}.jsonl").read_text(encoding="utf-8")
        request: dict[str, Any] | None = None
        for line in map(json.loads, text.splitlines()):
            if line.get("http") == "POST /prompt":
                request = line["body"]
            elif request is not None and "status" in line:
                found.append((request, line["body"]))
                request = None
    return found


@pytest.mark.parametrize(("version", "definitions"), [("0.3.64", OLD), ("0.27.0", STUBS)])
def test_as_the_real_server(version: str, definitions: dict[str, Any]) -> None:
    compared = 0
    for request, reply in posted(version):
        prompt = as_object(request.get("prompt"))
        if "partial_execution_targets" in request or not all(
            "class_type" in each and "inputs" in each for each in prompt.values()
        ):
            continue
        if not prompt or as_object(reply.get("error")).get("type") == "invalid_prompt_id":
            continue
        validation = validate(prompt, definitions, version=version)
        own = {
            (node_id, error["type"])
            for node_id, report in reply["node_errors"].items()
            for error in report["errors"]
            if error["type"] == "custom_validation_failed"
        }
        if own:
            assert validation.warnings[0].kind == FindingKind.UNLISTED_FILE
            continue
        assert validation.reason == as_object(reply.get("error")).get("type", "")
        assert {
            node_id: sorted((error.type, error.input_name or "") for error in errors.errors)
            for node_id, errors in validation.node_errors.items()
        } == {
            node_id: sorted(
                (error["type"], error["extra_info"].get("input_name", ""))
                for error in report["errors"]
            )
            for node_id, report in reply["node_errors"].items()
        }
        compared += 1
    assert compared >= 8


# Real prompts, and any


@pytest.mark.parametrize(
    ("version", "templates", "definitions", "outdated"),
    [
        ("0.27.0", TEMPLATES, STUBS, {"gsl_starter_1_2"}),
        # Their values are from before these classes had the inputs that they have now.
        (
            "0.3.64",
            OLD_TEMPLATES,
            OLD,
            {
                "api_moonvalley_video_to_video_motion_transfer",
                "api_moonvalley_video_to_video_pose_control",
                "api_rodin_gen2",
            },
        ),
    ],
)
def test_templates_of_the_real_frontend(
    version: str, templates: Prompt, definitions: Prompt, outdated: set[str]
) -> None:
    found: set[str] = set()
    for name, prompt in templates.items():
        if not all("class_type" in each for each in prompt.values()):
            continue  # of a custom node that the frontend did not have
        validation = validate(prompt, definitions, version=version)
        # The models are not there, and neither are the pictures; all else is right.
        if not all(each.may_be_stale for each in validation.errors):
            found.add(name)
        kinds_found = {each.kind for each in validation.warnings}
        assert kinds_found <= {FindingKind.UNLISTED_FILE, FindingKind.UNUSED_NODE}, name
        assert validation.conversions == (), name
    assert found == outdated


def test_long_chains() -> None:
    prompt = image()
    source = "2"
    for number in range(100, 2100):
        prompt[str(number)] = node("ImageInvert", image=[source, 0], imge=[source, 0])
        source = str(number)
    prompt["9"]["inputs"]["images"] = [source, 0]
    validation = validate(prompt, STUBS)
    assert validation.accepted
    assert len(validation.warnings) == 2000


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)
ids = st.sampled_from(string.digits[:4])
links: st.SearchStrategy[Any] = st.lists(ids | st.integers(-2, 3), max_size=3)
names = st.sampled_from(["a", "b", "b.c", "b.c0", "seed"])
types = st.sampled_from(
    [
        *("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "IMAGE", "*", "COMFY_AUTOGROW_V3"),
        *("COMFY_DYNAMICCOMBO_V3", "COMFY_DYNAMICSLOT_V3"),
    ]
)
options: st.SearchStrategy[Any] = json_values | st.fixed_dictionaries(
    {},
    optional={
        "min": json_values,
        "max": json_values,
        "options": json_values,
        "image_upload": json_values,
        "template": json_values,
    },
)
specs: st.SearchStrategy[Any] = st.one_of(
    json_values, st.lists(types, min_size=1), st.tuples(types, options).map(list)
)
definitions: st.SearchStrategy[Any] = st.dictionaries(
    st.sampled_from("TU"),
    json_values
    | st.fixed_dictionaries(
        {
            "input": json_values
            | st.dictionaries(
                st.sampled_from(["required", "optional", "hidden"]),
                json_values | st.dictionaries(names, specs, max_size=3),
            )
        },
        optional={"output": json_values | st.lists(types), "output_node": st.booleans()},
    ),
)
prompts: st.SearchStrategy[Any] = st.dictionaries(
    ids,
    st.fixed_dictionaries(
        {
            "class_type": st.sampled_from("TUV"),
            "inputs": st.dictionaries(names, links | json_values, max_size=4),
        },
        optional={"_meta": json_values},
    ),
    max_size=4,
)


@given(prompts | st.dictionaries(ids, json_values), definitions, st.sampled_from(["0.3.64", "1"]))
def test_whatever_the_json(prompt: Prompt, object_info: dict[str, Any], version: str) -> None:
    try:
        validation = validate(prompt, object_info, version=version)
    except WorkflowError:
        return
    assert str(validation)
    assert validation.accepted == (not _refused(validation))


@pytest.mark.parametrize("value", [[0, 0], [0, False], {"__value__": ["x", 1]}, ["zz", 0]])
@pytest.mark.parametrize("needed", [True, False])
def test_what_is_sent_nowhere_is_not_accepted(value: Any, needed: bool) -> None:
    prompt = {"0": node("T"), "2": node("U"), "3": node("T", a=value)}
    validation = validate(prompt, {"T": {"output_node": needed}, "U": {"output_node": True}})
    assert not validation.accepted
    assert [(each.node_id, each.input_name) for each in validation.errors] == [("3", "a")]
    with pytest.raises(WorkflowError, match="input 'a' of node 3"):
        validation.raise_if_refused()


def _refused(validation: Validation) -> bool:
    try:
        validation.raise_if_refused()
    except (WorkflowError, EnqueueFailedError):
        return True
    return False


def test_judging_again_says_the_same() -> None:
    prompt = workflow()
    assert judge(prompt, CLASSES, NEWEST_RULES) == judge(prompt, CLASSES, NEWEST_RULES)
