"""What `/object_info` declares, as values: what means what, and what makes no sense."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.declarations import (
    Autogrow,
    Choice,
    Combo,
    DynamicCombo,
    DynamicSlot,
    Flag,
    Input,
    Kind,
    MatchType,
    NodeDeclaration,
    Number,
    Output,
    Socket,
    Text,
)
from codegen.numbers import read_float, read_integer
from codegen.parse import parse_object_info
from codegen.values import is_list, is_object
from comfy_trio._file_choices import are_files

if TYPE_CHECKING:
    from collections.abc import Iterable

FIXTURES = Path(__file__).parent / "fixtures" / "object_info"
ANYTHING = Socket(("*",))


def parsed(entry: object) -> NodeDeclaration:
    (declaration,) = parse_object_info({"N": entry})
    return declaration


def node(*, optional: object = None, required: object = None, **more: object) -> NodeDeclaration:
    return parsed({"input": {"required": required, "optional": optional}, **more})


def kind_of(spec: object, name: str = "x") -> tuple[Kind, tuple[str, ...]]:
    """What an input of such a specification is, and what was odd."""
    declaration = node(required={name: spec})
    (only,) = declaration.inputs
    return only.kind, declaration.oddities


def combo(*options: Any, **settings: Any) -> list[Any]:
    return ["COMBO", {"options": list(options), **settings}]


def autogrow(item: object, section: str = "required", **template: Any) -> list[Any]:
    return ["COMFY_AUTOGROW_V3", {"template": {"input": {section: {"each": item}}, **template}}]


def dynamic(*choices: object) -> list[Any]:
    return ["COMFY_DYNAMICCOMBO_V3", {"options": list(choices)}]


def match(template: object) -> list[Any]:
    return ["COMFY_MATCHTYPE_V3", {"template": template}]


# What makes sense

SENSIBLE: list[tuple[object, Kind]] = [
    (["INT"], Number("INT")),
    (
        ["INT", {"default": 20, "min": 1, "max": 10000, "step": 1}],
        Number("INT", 20, 1, 10000, 1),
    ),
    (["INT", {"default": 1.0, "max": 1.8446744073709552e19}], Number("INT", 1, None, 2**64 - 1)),
    (["INT", {"default": "7"}], Number("INT", 7)),
    (["INT", {"default": None, "min": -math.inf, "max": math.inf}], Number("INT")),
    (["INT", {"step": 0}], Number("INT")),
    (
        ["FLOAT", {"default": 8, "min": 0, "max": 100.0, "step": 0.1}],
        Number("FLOAT", 8.0, 0.0, 100.0, 0.1),
    ),
    (["STRING", {"default": "", "multiline": True}], Text("", multiline=True)),
    (["STRING", {"default": 3}], Text("3")),
    (["STRING", {"forceInput": True}], Text()),
    (["BOOLEAN", {"default": False}], Flag(default=False)),
    (["BOOLEAN", {"default": 1}], Flag(default=True)),
    (["BOOLEAN"], Flag()),
    ([["a", "b"]], Combo(("a", "b"), legacy=True)),
    ([["a", "b"], {"default": "b"}], Combo(("a", "b"), "b", True, legacy=True)),
    ([[True, False], {"default": False}], Combo((True, False), False, True, legacy=True)),
    ([["a", "a", 1, True, None]], Combo(("a", 1, True, None), legacy=True)),
    ([[]], Combo(legacy=True, files=True)),
    ([["a.safetensors"]], Combo(("a.safetensors",), legacy=True, files=True)),
    (combo("a", 2, default=2), Combo(("a", 2), 2, True)),
    (combo("a", default=None), Combo(("a",))),
    ([[0.25, 1, 0.25]], Combo(legacy=True, numbers=(0.25, 1))),
    (combo(0.5, 1.0, default=1), Combo((), 1, True, numbers=(0.5, 1.0))),
    (combo(0.5, 10**400), Combo(numbers=(0.5, 10**400))),
    (combo(2**63 - 1), Combo((2**63 - 1,))),
    (combo(1, 2**63, default=2**63), Combo((), 2**63, True, numbers=(1, 2**63))),
    (
        combo("a", "b", multiselect=True, default=["b"]),
        Combo(("a", "b"), ("b",), True, multiselect=True),
    ),
    (["COMBO", {"remote": {"route": "/x"}, "default": "y"}], Combo((), "y", True, files=True)),
    (
        combo("a", remote={"route": "/x"}, default="a"),
        Combo(("a",), "a", True, files=True),
    ),
    (["COMBO"], Combo(files=True)),
    (["IMAGE"], Socket(("IMAGE",))),
    (["IMAGE", {"tooltip": "An image."}], Socket(("IMAGE",))),
    (["IMAGE, MASK,IMAGE"], Socket(("IMAGE", "MASK"))),
    (["*"], ANYTHING),
    (["IMAGE,*"], ANYTHING),
    (["INT,FLOAT", {"default": 0.5}], Socket(("INT", "FLOAT"), False, 0.5, True)),
    (
        ["STRING,FILE_3D", {"default": "", "widgetType": "STRING"}],
        Socket(("STRING", "FILE_3D"), False, "", True),
    ),
    (["COLOR", {"default": "#fff", "socketless": True}], Socket(("COLOR",), True, "#fff", True)),
    (["CURVE"], Socket(("CURVE",), literal=True)),
    (["MY", {"widgetType": "MY_WIDGET"}], Socket(("MY",), literal=True)),
    (["MY", {"default": {"a": [1]}}], Socket(("MY",), True, {"a": [1]}, True)),
    (["FLOATS", {"default": -1, "forceInput": True}], Socket(("FLOATS",))),
    (match({"template_id": "t", "allowed_types": "*"}), MatchType("t")),
    (match({"template_id": "t", "allowed_types": "A,B"}), MatchType("t", ("A", "B"))),
    (
        autogrow(["IMAGE"], prefix="image", min=2, max=50),
        Autogrow(Socket(("IMAGE",)), prefix="image", minimum=2, maximum=50),
    ),
    (
        autogrow(["IMAGE"], "optional", prefix="image", min=2),
        Autogrow(Socket(("IMAGE",)), prefix="image"),
    ),
    (
        autogrow(["INT"], names=["a", "b"], min=3),
        Autogrow(Number("INT"), names=("a", "b"), minimum=2),
    ),
    (
        dynamic(
            {"key": "none", "inputs": {"required": {}}},
            {"key": "by", "inputs": {"optional": {"width": ["INT"]}}},
        ),
        DynamicCombo((Choice("none"), Choice("by", (Input("width", Number("INT"), False),)))),
    ),
    (
        [
            "COMFY_DYNAMICSLOT_V3",
            {"slotType": "A,B", "inputs": {"required": {"y": ["INT"]}}, "forceInput": True},
        ],
        DynamicSlot(Socket(("A", "B")), (Input("y", Number("INT")),)),
    ),
]


@pytest.mark.parametrize(("spec", "kind"), SENSIBLE, ids=lambda each: json.dumps(each, default=str))
def test_what_makes_sense_is_what_it_says_and_not_odd(spec: object, kind: Kind) -> None:
    found, oddities = kind_of(spec)
    assert repr(found) == repr(kind)  # True is not 1, and 1.0 not 1
    assert not oddities


# What makes none

ODD: list[tuple[object, Kind, str]] = [
    (None, ANYTHING, "no declaration: None; it takes anything"),
    ([], ANYTHING, "no declaration"),
    ({"type": "INT"}, ANYTHING, "no declaration"),
    ("INT", Number("INT"), "the type 'INT' is in no list"),
    (["INT", ["min", 0]], Number("INT"), "the settings are no object"),
    ([None], ANYTHING, "no type: None"),
    ([""], ANYTHING, "no type: ''"),
    ([3, {}], ANYTHING, "no type: 3"),
    (["COMFY_FUTURE_V3", {}], ANYTHING, "an unknown kind of input: 'COMFY_FUTURE_V3'"),
    (["INT", {"default": [1]}], Number("INT"), "the default is no number: [1]"),
    (["INT", {"default": math.nan}], Number("INT"), "the default is no number: nan"),
    (["INT", {"default": "many"}], Number("INT"), "the default is no number: 'many'"),
    (["INT", {"default": 9, "max": 8}], Number("INT", maximum=8), "the default is out of range: 9"),
    (["INT", {"min": 2, "max": 1}], Number("INT"), "an empty range: 2 to 1"),
    (["FLOAT", {"max": math.nan}], Number("FLOAT"), "the max is no number: nan"),
    (["FLOAT", {"max": 10**400}], Number("FLOAT"), "the max is no number: 1000"),
    (["STRING", {"default": ["a"]}], Text(), "the default is no string: ['a']"),
    (["BOOLEAN", {"default": "yes"}], Flag(), "the default is no boolean: 'yes'"),
    (
        [["a"], {"default": "b"}],
        Combo(("a",), legacy=True),
        "the default is none of the options: 'b'",
    ),
    (
        [[1], {"default": True}],
        Combo((1,), legacy=True),
        "the default is none of the options: True",
    ),
    ([["a"], {"default": ["a"]}], Combo(("a",), legacy=True), "the default is of another type"),
    (combo("a", multiselect=True, default="a"), Combo(("a",), multiselect=True), "of another type"),
    ([[{"content": "x"}]], Combo(legacy=True, loose=True), "checkers have no literals of some"),
    ([[[True, False]]], Combo(legacy=True, loose=True), "checkers have no literals of some"),
    (combo("a", 0.5), Combo(loose=True), "checkers have no literals of some"),
    (combo(True, 0.5), Combo(loose=True), "checkers have no literals of some"),
    (combo(0.5, math.inf), Combo(loose=True), "checkers have no literals of some"),
    (combo(math.nan, default=math.nan), Combo(loose=True), "none of the options: nan"),
    (combo(0.5, multiselect=True), Combo(loose=True), "checkers have no literals of some"),
    (
        combo("a", ["b"], default="a"),
        Combo(loose=True, default="a", has_default=True),
        "checkers have no literals of some",
    ),
    (combo("a", ["b"], default=["b"]), Combo(loose=True), "none of the options: ['b']"),
    (combo("a", 2**63), Combo(loose=True), "checkers have no literals of some"),
    (combo(0.5, default=2), Combo(numbers=(0.5,)), "the default is none of the options: 2"),
    (
        ["COMBO", {"remote": {"route": "/x"}, "default": 3}],
        Combo(files=True),
        "the default is none of the options: 3",
    ),
    (
        combo("a", remote={"route": "/x"}, default="b"),
        Combo(("a",), files=True),
        "the default is none of the options: 'b'",
    ),
    (["COMBO", {"options": {"a": 1}}], Combo(loose=True), "the options are no list: {'a': 1}"),
    (["MY", {"default": math.nan}], Socket(("MY",)), "the default cannot be sent: nan"),
    (["MY", {"default": ["a", 1]}], Socket(("MY",)), "the default cannot be sent: ['a', 1]"),
    (match(None), ANYTHING, "a match type without a template"),
    (match({"template_id": 3}), ANYTHING, "a match type without a template"),
    (["COMFY_AUTOGROW_V3", {}], ANYTHING, "an autogrow of nothing"),
    (["COMFY_AUTOGROW_V3"], ANYTHING, "an autogrow of nothing"),
    (autogrow(["A"]), ANYTHING, "an autogrow without names and without a prefix"),
    (autogrow(["A"], names=[]), ANYTHING, "an autogrow with odd names: []"),
    (autogrow(["A"], names=["a", 1]), ANYTHING, "an autogrow with odd names: ['a', 1]"),
    (
        autogrow(autogrow(["A"], prefix="b"), prefix="a"),
        Autogrow(ANYTHING, prefix="a"),
        "an autogrow of inputs that are dynamic themselves",
    ),
    (dynamic(), ANYTHING, "a dynamic combo without choices"),
    (dynamic(3, {"key": 4}), ANYTHING, "a choice without a key: 3"),
    (dynamic({"key": "a"}, {"key": "a"}), DynamicCombo((Choice("a"),)), "two choices with one key"),
    (["COMFY_DYNAMICSLOT_V3", {}], DynamicSlot(ANYTHING), "no type: None"),
    (
        ["COMFY_DYNAMICSLOT_V3", {"slotType": "COMFY_AUTOGROW_V3"}],
        ANYTHING,
        "a dynamic slot of what is dynamic itself",
    ),
]


@pytest.mark.parametrize(
    ("spec", "kind", "oddity"), ODD, ids=lambda each: json.dumps(each, default=str)[:60]
)
def test_what_makes_no_sense_is_looser_and_told(spec: object, kind: Kind, oddity: str) -> None:
    found, oddities = kind_of(spec)
    assert repr(found) == repr(kind)
    assert any(oddity in each and each.startswith("input 'x") for each in oddities), oddities


def test_a_server_s_seed_of_minus_one_is_no_oddity() -> None:
    settings = {"default": -1, "min": 0}
    assert kind_of(["INT", settings], "seed") == (Number("INT", -1, 0), ())
    assert kind_of(["INT", settings], "steps")[0] == Number("INT", None, 0)


def test_a_nested_oddity_says_where_it_is() -> None:
    spec = dynamic({"key": "a", "inputs": {"required": {"y": ["INT", {"default": "z"}]}}})
    _, oddities = kind_of(spec)
    assert oddities == ("input 'x.y': the default is no number: 'z'",)


def test_nesting_ends() -> None:
    spec: object = ["INT"]
    for _ in range(200):
        spec = dynamic({"key": "k", "inputs": {"required": {"deeper": spec}}})
    kind, oddities = kind_of(spec)
    depth = 0
    while isinstance(kind, DynamicCombo):
        ((only,),) = (choice.inputs for choice in kind.choices)
        kind, depth = only.kind, depth + 1
    assert (kind, depth) == (ANYTHING, 8)
    assert "inputs within inputs without end" in oddities[0]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (2**64 - 1, 2**64 - 1),
        (1.8446744073709552e19, 2**64 - 1),
        (18446744073709552000, 2**64 - 1),
        (9.223372036854775807e18, 2**63 - 1),
        (9223372036854776000, 2**63 - 1),
        (-(2.0**63), -(2**63)),
        (5.9, 5),
        (True, 1),
        (" 7 ", 7),
        ("7.5", None),
        (math.inf, None),
        (None, None),
    ],
)
def test_integers_are_what_the_server_makes_of_them(value: object, number: int | None) -> None:
    assert read_integer(value) == number


def test_floats_are_finite() -> None:
    assert read_float("0.5") == 0.5
    assert read_float(math.inf) is None
    assert read_float(math.nan) is None
    assert read_float([]) is None


@pytest.mark.parametrize(
    ("name", "options", "settings", "expected"),
    [
        ("x", [], {}, True),
        ("vae_name", ["pixel_space"], {}, True),
        ("clip_name4", ["none"], {}, True),
        ("lora_name_2", ["None"], {}, True),
        ("existing_lora", ["[None]"], {}, True),
        ("folder", ["3d"], {}, True),
        ("model_path", ["a_diffusers_directory"], {}, True),
        ("file", ["notes.txt"], {}, True),
        ("profile", ["a"], {}, False),
        ("x", ["None", "sub\\Model.SafeTensors"], {}, True),
        ("x", ["a"], {"image_upload": True}, True),
        ("x", ["a"], {"image_upload": False}, False),
        ("x", ["a"], {"image_folder": "input"}, True),
        ("x", ["a"], {"remote": {"route": "/x"}}, True),
        ("x", [".png", "jpg", "gpt-4.1", 1], {}, False),
        ("sampler_name", ["euler"], {}, False),
    ],
)
def test_files_are_told_from_other_choices(
    name: str, options: list[object], settings: dict[str, object], expected: bool
) -> None:
    assert are_files(name, options, settings) is expected


# Nodes


def test_required_inputs_come_first_each_group_in_the_server_s_order() -> None:
    declaration = parsed(
        {
            "input": {
                "optional": {"d": ["A"], "c": ["A"]},
                "hidden": {"prompt": "PROMPT", "unique_id": ["UNIQUE_ID"]},
                "required": {"a": ["A"], "b": ["A"]},
            },
            "input_order": {"required": ["b", 3, "gone", "a"]},
        }
    )
    assert [(each.name, each.required) for each in declaration.inputs] == [
        ("b", True),
        ("a", True),
        ("d", False),
        ("c", False),
    ]
    assert not declaration.oddities


def test_what_is_both_required_and_optional_is_required() -> None:
    declaration = node(required={"a": ["INT"]}, optional={"a": ["FLOAT"]})
    assert declaration.inputs == (Input("a", Number("INT")),)
    assert declaration.oddities == (
        "input 'a': both required and optional; it is taken as required",
    )


@pytest.mark.parametrize("declared", ["x", 3, ["a"], {"required": ["a"]}, {"optional": "b"}])
def test_inputs_that_are_no_objects_are_none(declared: object) -> None:
    declaration = parsed({"input": declared})
    assert declaration.inputs == ()
    assert len(declaration.oddities) == 1


def test_a_node_says_what_it_is() -> None:
    assert parsed(
        {
            "input": {"required": {"x": ["A", {"tooltip": "An A."}]}},
            "output": ["A"],
            "output_name": ["a"],
            "output_is_list": [True],
            "output_tooltips": ["The A."],
            "display_name": "Node",
            "description": "Does it.",
            "python_module": "custom_nodes.pack",
            "category": "a/b",
            "output_node": True,
            "has_intermediate_output": True,
            "is_input_list": True,
            "deprecated": True,
            "experimental": True,
            "api_node": True,
        }
    ) == NodeDeclaration(
        class_type="N",
        display_name="Node",
        description="Does it.",
        module="custom_nodes.pack",
        category="a/b",
        inputs=(Input("x", Socket(("A",)), tooltip="An A."),),
        outputs=(Output("a", ("A",), is_list=True, tooltip="The A."),),
        is_output_node=True,
        shows=True,
        is_input_list=True,
        deprecated=True,
        experimental=True,
        api_node=True,
    )


@pytest.mark.parametrize(
    "entry", [{}, {"display_name": "N"}, {"display_name": None, "input": None}]
)
def test_what_is_missing_is_not_odd(entry: object) -> None:
    assert parsed(entry) == NodeDeclaration(class_type="N")


def test_an_entry_that_is_no_object_declares_nothing() -> None:
    declaration = parsed(["INT"])
    assert not declaration.inputs
    assert not declaration.outputs
    assert declaration.oddities == ("the entry is no object: ['INT']",)


OUTPUTS: list[tuple[dict[str, object], list[Output], int]] = [
    ({"output": ["IMAGE"]}, [Output("IMAGE", ("IMAGE",))], 0),
    ({"output": ["A,B"]}, [Output("A,B", ("A", "B"))], 0),
    (
        {"output": ["A", "B"], "output_name": ["a"], "output_is_list": [True]},
        [Output("a", ("A",), is_list=True), Output("B", ("B",))],
        0,
    ),
    ({"output": ["A"], "output_name": [["odd"]]}, [Output("A", ("A",))], 0),
    ({"output": ["A"], "output_name": "a", "output_is_list": True}, [Output("A", ("A",))], 0),
    ({"output": ["A"], "output_tooltips": [None]}, [Output("A", ("A",))], 0),
    ({"output": [["x", "y"]]}, [Output("COMBO", ("COMBO",), options=("x", "y"))], 0),
    ({"output": [["x.png"], [], [{}]]}, [Output("COMBO", ("COMBO",))] * 3, 0),
    ({"output": ["COMBO"]}, [Output("COMBO", ("COMBO",))], 0),
    ({"output": ["*"]}, [Output("*", ("*",))], 0),
    ({"output": "IMAGE"}, [Output("IMAGE", ("IMAGE",))], 1),
    ({"output": {"a": 1}}, [], 1),
    ({"output": [None, 3]}, [Output("*", ("*",)), Output("*", ("*",))], 2),
    ({"output": ["COMFY_NEW_V3"]}, [Output("COMFY_NEW_V3", ("*",))], 1),
]


@pytest.mark.parametrize(("info", "outputs", "oddities"), OUTPUTS)
def test_outputs(info: dict[str, object], outputs: list[Output], oddities: int) -> None:
    declaration = parsed(info)
    assert list(declaration.outputs) == outputs
    assert len(declaration.oddities) == oddities


def test_an_output_follows_a_template_that_an_input_has() -> None:
    item = match({"template_id": "u", "allowed_types": "A,B"})
    inner = {"key": "k", "inputs": {"required": {"y": match({"template_id": "v"})}}}
    declaration = node(
        required={
            "t": match({"template_id": "t", "allowed_types": "*"}),
            "u": autogrow(item, prefix="u", min=1, max=3),
            "v": dynamic(inner),
        },
        output=["COMFY_MATCHTYPE_V3"] * 4,
        output_matchtypes=["t", "u", "v", None],
    )
    assert [(each.types, each.template) for each in declaration.outputs] == [
        (("*",), "t"),
        (("A", "B"), "u"),
        (("*",), None),
        (("*",), None),
    ]
    assert len(declaration.oddities) == 2


# Whatever it is

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
SAMPLE: dict[str, Any] = {
    "input": {"required": {str(index): spec for index, (spec, _) in enumerate(SENSIBLE)}},
    "input_order": {"required": ["1", "0"]},
    "output": ["IMAGE", ["a"], "COMFY_MATCHTYPE_V3"],
    "output_name": ["a", "b", "c"],
    "output_is_list": [False, True, False],
    "output_matchtypes": [None, None, "t"],
    "output_tooltips": [None, "x", "y"],
    "display_name": "x",
    "python_module": "nodes",
    "category": "x",
}


def places(value: Any, *path: Any) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, as the keys that lead there."""
    items: Iterable[tuple[Any, object]] = ()
    if is_object(value):
        items = value.items()
    elif is_list(value):
        items = enumerate(value)
    return [path, *(place for key, item in items for place in places(item, *path, key))]


def replaced(value: Any, place: tuple[Any, ...], new: object) -> Any:
    if not place:
        return new
    changed = value.copy()
    changed[place[0]] = replaced(value[place[0]], place[1:], new)
    return changed


@given(place=st.sampled_from(places(SAMPLE)), value=json_values)
def test_any_json_in_any_place_is_parsed(place: tuple[Any, ...], value: object) -> None:
    declaration = parsed(replaced(SAMPLE, place, value))
    assert declaration.class_type == "N"
    assert all(isinstance(each, str) for each in declaration.oddities)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_any_object_is_parsed(object_info: dict[str, object]) -> None:
    assert [each.class_type for each in parse_object_info(object_info)] == list(object_info)


def test_parsing_changes_nothing() -> None:
    before = json.dumps(SAMPLE)
    parsed(SAMPLE)
    assert json.dumps(SAMPLE) == before


@pytest.mark.parametrize("path", [*FIXTURES.glob("*.json")], ids=lambda path: path.stem)
def test_what_a_real_server_declares_is_not_odd(path: Path) -> None:
    declarations = parse_object_info(json.loads(path.read_text(encoding="utf-8")))
    assert declarations
    assert not any(each.oddities for each in declarations)
