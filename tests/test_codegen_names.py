"""What everything that a server declares is called, and that nothing else changes that."""

from __future__ import annotations

import json
import keyword
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_declarations import core_and_packs, names, object_infos, strings

from codegen.declarations import (
    Autogrow,
    Choice,
    Combo,
    DynamicCombo,
    DynamicSlot,
    Input,
    NodeDeclaration,
    Number,
    Output,
    Socket,
)
from codegen.identifiers import (
    TAKEN_IN_BODY,
    alias_name,
    allocate,
    allocate_attributes,
    allocate_nested,
    allocate_outputs,
    class_name,
    keyword_name,
    marker_name,
    module_name,
    pack_name,
)
from codegen.names import resolve
from codegen.parse import parse_object_info
from codegen.values import is_list, is_object

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

    from codegen.declarations import Kind, Option
    from codegen.named import NamedInput, NamedNode, NamedPackage

FIXTURES = Path(__file__).parent / "fixtures" / "object_info"
INT = Number("INT")
NO_NAMES = frozenset[str]()


# From a string to an identifier


@pytest.mark.parametrize(
    ("function", "text", "name"),
    [
        (class_name, "KSampler", "KSampler"),
        (class_name, "pulid_loader", "pulid_loader"),
        (class_name, "图像缩放", "图像缩放"),
        (class_name, "ImageResize+", "ImageResizePlus"),
        (class_name, "a+b c", "APlusBC"),
        (class_name, "LoraLoader|pysssss", "LoraLoaderPysssss"),
        (class_name, "Image Save (WAS)", "ImageSaveWAS"),
        (class_name, "TextEncodeAceStepAudio1.5", "TextEncodeAceStepAudio15"),
        (class_name, "3D Loader", "Node3DLoader"),
        (class_name, "_Private", "Private"),
        (class_name, "\ufb01x", "Fix"),
        (class_name, "int", "Int"),
        (class_name, "Out", "Out_9a3c"),
        (class_name, "None", "None_dc93"),
        (class_name, "T", "T_e632"),
        (class_name, "🎨", "Node_dbb0"),
        (class_name, "🛠\ufe0f Utils", "Utils"),
        (class_name, "A\ufe0f", "A"),
        (class_name, "\u3164A", "A"),
        (class_name, "", "Node_e3b0"),
        (marker_name, "IMAGE", "IMAGE"),
        (marker_name, "upscaleModel", "upscaleModel"),
        (marker_name, "FILE 3D", "FILE_3D_0302"),
        (marker_name, "list", "list_a330"),
        (marker_name, "3D", "TYPE_3D_fcff"),
        (marker_name, "slot", "slot_6558"),
        (marker_name, "🎨", "TYPE_dbb0"),
        (alias_name, "sampler_name", "SamplerName"),
        (alias_name, "ckpt name.0", "CkptName0"),
        (alias_name, "choice", "ChoiceValue"),
        (alias_name, "3d", "Value3d"),
        (alias_name, "🎨", "Value_dbb0"),
        (keyword_name, "steps", "steps"),
        (keyword_name, "Steps", "Steps"),
        (keyword_name, "步数", "步数"),
        (keyword_name, "match", "match"),
        (keyword_name, "from", "from_"),
        (keyword_name, "self", "self_"),
        (keyword_name, "_a", "a"),
        (keyword_name, "time embed.", "time_embed"),
        (keyword_name, "blocks.0.", "blocks_0"),
        (keyword_name, "1st input", "input_1st_input"),
        (keyword_name, "%", "input_bbf3"),
        (keyword_name, ".if.", "if_"),
        (keyword_name, "a\ufe0f", "a"),
        (keyword_name, "Positive +", "Positive_plus"),
        (keyword_name, "0-1", "input_0_1"),
        (keyword_name, "if-", "if_minus"),
        (keyword_name, "🎨-", "input_704d"),
        (module_name, "model/sampling", "model_sampling"),
        (module_name, "", "uncategorized"),
        (module_name, " ", "uncategorized"),
        (module_name, "🎨", "category_dbb0"),
        (module_name, "🎨 Pack/Image", "pack_image"),
        (module_name, "3d", "category_3d"),
        (module_name, "Studio/⚙\ufe0f Tools", "studio_tools"),
        (module_name, "import", "category_import"),
        (module_name, "Choices", "category_choices"),
        (module_name, "aux", "category_aux"),
        (pack_name, "nodes", "core"),
        (pack_name, "", "core"),
        (pack_name, "comfy_extras.nodes_audio", "core"),
        (pack_name, "somewhere.else", "core"),
        (pack_name, "custom_nodes", "core"),
        (pack_name, "comfy_api_nodes.nodes_kling", "api_nodes"),
        (pack_name, "custom_nodes.ComfyUI-Impact-Pack", "comfyui_impact_pack"),
        (pack_name, "custom_nodes.ComfyUI-0.2", "comfyui_0_2"),
        (pack_name, "custom_nodes.core", "pack_core"),
        (pack_name, "custom_nodes.types", "pack_types"),
        (pack_name, "custom_nodes.3d", "pack_3d"),
        (pack_name, "custom_nodes.class", "pack_class"),
    ],
)
def test_what_a_string_becomes(function: Callable[[str], str], text: str, name: str) -> None:
    assert function(text) == name


def is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


@given(strings)
def test_any_string_becomes_an_identifier(text: str) -> None:
    for function in (class_name, marker_name, alias_name, keyword_name, module_name):
        assert is_name(function(text)), function
        assert not function(text).startswith("_"), function
    assert is_name(pack_name(f"custom_nodes.{text}"))
    assert len(pack_name(f"custom_nodes.{text * 100}").encode()) < 250
    assert len(module_name(text * 100).encode()) < 250


# Names of one's own


def test_who_is_called_so_keeps_the_name_and_others_get_a_hash() -> None:
    wanted = {"a": "a", "a.": "a", ".b": "b", "b.": "b", "c.": "c"}
    assert allocate(wanted) == {"a": "a", "a.": "a_5ab6", ".b": "b_868d", "b.": "b_1910", "c.": "c"}
    assert allocate({"slot": "slot"}, {"slot"}) == {"slot": "slot_6558"}


def test_a_hash_that_is_taken_gets_longer() -> None:
    assert allocate({"a": "a", "a.": "a"}, {"a_5ab6"})["a."].startswith("a_5ab6")


@given(st.dictionaries(names, names, max_size=8), st.frozensets(names, max_size=3))
def test_allocated_names_are_unique(wanted: dict[str, str], taken: frozenset[str]) -> None:
    given_names = allocate(wanted, taken)
    assert given_names.keys() == wanted.keys()
    assert len({*given_names.values()}) == len(wanted)
    assert taken.isdisjoint(given_names.values())
    assert all(given_names[each] == each for each in wanted if wanted[each] == each not in taken)


def test_attributes_make_way_with_underscores() -> None:
    assert allocate_attributes(["clip", "clip_", "model"], {"clip", "model"}) == {
        "clip": "clip__",
        "clip_": "clip_",
        "model": "model_",
    }


def test_outputs_are_numbered_where_they_repeat() -> None:
    assert allocate_outputs(
        ["IMAGE", "image", "Image 2", "image_2", "", "if", "3D", "INT", "int"], {"int"}
    ) == (
        "image",
        "image_2",
        "image_2_2",
        "image_2_3",
        "output_4",
        "if_",
        "output_3d",
        "int_",
        "int_2",
    )
    names = ["CONDITIONING+", "CONDITIONING-", "if", "if", "+"]
    assert allocate_outputs(names, NO_NAMES) == (
        "conditioning_plus",
        "conditioning_minus",
        "if_",
        "if_2",
        "output_4",
    )


def test_choices_are_called_after_their_keys_or_else_with_the_input_in_front() -> None:
    choices = [
        ("resize", "scale by"),
        ("resize", "1080p"),
        ("resize", "crop"),
        ("fit", "crop"),
        ("fit", "IMAGE"),
        ("fit", "🎨"),
        ("fit", ""),
        ("out", ""),
    ]
    assert allocate_nested(choices, {"IMAGE"}) == {
        ("resize", "scale by"): "ScaleBy",
        ("resize", "1080p"): "Resize1080p",
        ("resize", "crop"): "ResizeCrop",
        ("fit", "crop"): "FitCrop",
        ("fit", "IMAGE"): "FitIMAGE",
        ("fit", "🎨"): "Fit_4631",
        ("fit", ""): "Fit_2c03",
        ("out", ""): "OutChoice",
    }


# Lists of options


def node(
    class_type: str,
    *inputs: Input,
    module: str = "nodes",
    outputs: Sequence[Output] = (),
    category: str = "",
) -> NodeDeclaration:
    return NodeDeclaration(
        class_type=class_type,
        module=module,
        category=category,
        inputs=inputs,
        outputs=tuple(outputs),
    )


def choices_of(package: NamedPackage, pack: str = "core") -> dict[str, tuple[Option, ...]]:
    (found,) = (each for each in package.packs if each.name == pack)
    return {choices.name: choices.options for choices in found.choices}


LONG = ("a", "b", "c", "d")
OTHER = ("e", "f", "g", "h")


@pytest.mark.parametrize(
    ("kinds", "hoisted"),
    [
        ([Combo(LONG)], True),
        ([Combo(LONG[:3])], False),
        ([Combo(LONG[:3]), Combo(LONG[:3], legacy=True)], True),
        ([Combo(("a" * 60, "b"))], True),
        ([Combo(("a",)), Combo(("a",))], False),
        ([Combo((True, False)), Combo((1, 0))], False),
        ([Combo(LONG, files=True)], False),
        ([Combo(loose=True)] * 5, False),
        ([Autogrow(INT, names=LONG)], True),
        ([DynamicCombo((Choice("k", (Input("y", Combo(LONG)),)),))], True),
        ([DynamicSlot(Combo(LONG), (Input("y", INT),))], True),
    ],
)
def test_lists_that_are_long_or_shared_get_an_alias(kinds: list[Kind], hoisted: bool) -> None:
    package = resolve([node("N", *(Input(f"x{n}", kind) for n, kind in enumerate(kinds)))])
    assert bool(choices_of(package)) is hoisted


def test_the_list_with_most_uses_has_the_plain_name() -> None:
    package = resolve(
        [
            node("A", Input("mode", Combo(LONG))),
            node("B", Input("mode", Combo(OTHER))),
            node("C", Input("mode", Combo(OTHER)), Input("more", Combo(OTHER))),
        ]
    )
    assert choices_of(package) == {"AMode": LONG, "Mode": OTHER}
    assert package.choices_for("core", LONG) == ("core.choices", "AMode")
    assert package.choices_for("core", OTHER) == ("core.choices", "Mode")
    assert package.choices_for("core", OTHER[:2]) is None


def test_of_equally_used_lists_the_smallest_class_type_has_the_plain_name() -> None:
    nodes = [node("B", Input("mode", Combo(OTHER))), node("A", Input("mode", Combo(LONG)))]
    assert choices_of(resolve(nodes)) == {"BMode": OTHER, "Mode": LONG}


def test_lists_of_one_name_in_one_class_are_called_after_the_choices_they_are_part_of() -> None:
    inner = (Choice("2x", (Input("mode", Combo(OTHER)),)),)
    choices = (
        Choice("k (1)", (Input("mode", Combo(LONG)),)),
        Choice("l", (Input("y", DynamicCombo(inner)),)),
        Choice("m", (Input("mode", Combo(LONG)),)),
    )
    others = [node(name, Input("mode", Combo((*LONG, "z")))) for name in "BCD"]
    nodes = [node("A", Input("x", DynamicCombo(choices))), *others]
    named = choices_of(resolve(nodes))
    assert named == {"AK1Mode": LONG, "AL2xMode": OTHER, "Mode": (*LONG, "z")}


def test_lists_that_are_still_called_alike_get_a_hash() -> None:
    choices = (
        Choice("k", (Input("mode", Combo(LONG)),)),
        Choice("K", (Input("mode", Combo(OTHER)),)),
    )
    nodes = [
        node("A", Input("x", DynamicCombo(choices))),
        node("0", Input("mode", Combo((*LONG, "z")))),
    ]
    named = choices_of(resolve(nodes))
    assert sorted(map(len, named)) == [len("Mode"), len("AKMode_0000"), len("AKMode_0000")]


def test_one_list_under_two_names_has_one_alias() -> None:
    inputs = [Input("b", Combo(LONG)), Input("a", Combo(LONG))]
    assert choices_of(resolve([node("N", *inputs)])) == {"A": LONG}
    assert choices_of(resolve([node("N", *inputs), node("M", inputs[0])])) == {"B": LONG}


def test_an_alias_makes_way_for_classes_types_and_files() -> None:
    nodes = [
        node("Mode", Input("mode", Combo(LONG)), Input("IMAGE", Combo(OTHER))),
        node("N", Input("x", Socket(("IMAGE",))), Input("model", Combo(files=True))),
        node("O", Input("model", Combo(("i", *OTHER)))),
    ]
    assert choices_of(resolve(nodes)).keys() == {"ModeMode", "ModeIMAGE", "OModel"}


def test_an_output_of_options_shares_the_alias_of_the_inputs() -> None:
    output = Output("sampler", ("COMBO",), options=LONG)
    nodes = [node(name, Input("sampler_name", Combo(LONG))) for name in "NM"]
    package = resolve([*nodes, node("O", outputs=[output])])
    assert choices_of(package) == {"SamplerName": LONG}


def test_packs_use_the_aliases_of_core_and_else_their_own() -> None:
    inputs = [Input("mode", Combo(LONG)), Input("kind", Combo(OTHER))]
    package = resolve(
        [
            node("A", inputs[0]),
            node("B", *inputs, module="custom_nodes.one"),
            node("C", *inputs, module="custom_nodes.two"),
        ]
    )
    assert choices_of(package, "one") == choices_of(package, "two") == {"Kind": OTHER}
    assert package.choices_for("one", LONG) == ("core.choices", "Mode")
    assert package.choices_for("one", OTHER) == ("one.choices", "Kind")
    assert package.choices_for("core", OTHER) is None


# Files


def files(*options: str) -> Combo:
    return Combo(options, files=True)


FILES = [
    node("A", Input("ckpt_name", files("b", "a"))),
    node("B", Input("ckpt name", files("c", "a")), module="custom_nodes.pack"),
    node("C", Input("ckpt_name", files("b", "a")), Input("lora_name", files())),
]


def test_files_are_merged_by_name() -> None:
    package = resolve(FILES)
    assert package.files == {"CkptName": ("a", "b", "c"), "LoraName": ()}
    assert package.file_alias("core", "ckpt_name", ("b", "a")) == "CkptName"
    assert not any(pack.choices for pack in package.packs)


NUMBERED = ("lora_name_1", "lora_name02", "lora_3_name", "lora_name", "lora2x_name", "2")


def test_files_of_numbered_inputs_are_those_of_one() -> None:
    inputs = [Input(name, files(name)) for name in NUMBERED]
    for strict in (False, True):
        package = resolve([node("N", *inputs)], strict_files=strict)
        names = {package.file_alias("core", each.name, (each.name,)) for each in inputs}
        assert {"LoraName", "Lora2xName", "Value2"} <= names
        assert strict or len(names) == 3
        for each in inputs:
            assert each.name in package.files[package.file_alias("core", each.name, (each.name,))]


def test_strictly_files_that_differ_stay_apart() -> None:
    package = resolve(FILES, strict_files=True)
    assert package.files == {"PackCkptName": ("c", "a"), "CkptName": ("b", "a"), "LoraName": ()}
    assert package.file_alias("core", "ckpt_name", ("b", "a")) == "CkptName"
    assert package.file_alias("pack", "ckpt name", ("c", "a")) == "PackCkptName"
    assert package.file_alias("pack", "ckpt name", ("b", "a")) == "CkptName"
    assert package.file_alias("core", "lora_name", ()) == "LoraName"


# Types


def test_types_and_unions_have_markers() -> None:
    package = resolve(
        [
            node(
                "N",
                Input("x", Socket(("VAE", "INT", "my type"))),
                Input("y", DynamicSlot(Socket(("CLIP",)), (Input("z", Autogrow(Socket(("A",)))),))),
                outputs=[
                    Output("o", ("IMAGE", "INT")),
                    Output("p", ("*",)),
                    Output("q", ("B", "C"), template="t"),
                ],
            )
        ]
    )
    assert list(package.types) == ["A", "B", "C", "CLIP", "IMAGE", "VAE", "my type"]
    assert package.types["my type"] == marker_name("my type")
    assert package.unions == {("IMAGE", "INT"): "IMAGE_OR_INT"}


def test_a_type_makes_way_for_the_marker_of_a_union() -> None:
    outputs = [Output("o", ("A", "B")), Output("p", ("A_OR_B",))]
    package = resolve([node("N", outputs=outputs)])
    assert package.types["A_OR_B"].startswith("A_OR_B_")
    assert package.unions["A", "B"] == "A_OR_B"


# Classes and what is in them


def only(package: NamedPackage) -> NamedNode:
    ((found,),) = (module.nodes for pack in package.packs for module in pack.modules)
    return found


def attributes(inputs: Sequence[NamedInput]) -> dict[str, str]:
    return {each.keyword: each.attribute for each in inputs}


def test_an_attribute_makes_way_for_all_else_in_the_body() -> None:
    inputs = ["clip", "title", "int", "property", "IMAGE", "Mode", "Scale", "fine"]
    nested = DynamicCombo((Choice("scale", (Input("title", INT),)), Choice("none")))
    named = only(
        resolve(
            [
                node(
                    "N",
                    *(Input(name, INT) for name in inputs),
                    Input("mode", Combo(LONG)),
                    Input("x", nested),
                    Input("y", Socket(("IMAGE",))),
                    outputs=[Output("CLIP", ("CLIP",)), Output("class_type", ("VAE",))],
                )
            ]
        )
    )
    assert attributes(named.inputs) == {
        **{name: f"{name}_" for name in inputs},
        "fine": "fine",
        "mode": "mode",
        "x": "x",
        "y": "y",
    }
    assert [each.attribute for each in named.outputs] == ["clip", "class_type_"]
    (choice,) = (choice for each in named.inputs for choice in each.nested)
    assert (choice.key, choice.class_name, choice.slot) == ("scale", "Scale", None)
    assert attributes(choice.inputs) == {"title": "title_"}


def test_the_only_output_is_the_node_and_takes_no_attribute() -> None:
    inputs = Input("image", Socket(("IMAGE",)))
    named = only(resolve([node("N", inputs, outputs=[Output("IMAGE", ("IMAGE",))])]))
    assert attributes(named.inputs) == {"image": "image"}


def test_a_dynamic_slot_has_a_field_for_what_is_given_to_it() -> None:
    slot = DynamicSlot(Socket(("slot_",)), (Input("slot", INT), Input("slot_", INT)))
    named = only(resolve([node("N", Input("extra", slot))]))
    ((choice,),) = (each.nested for each in named.inputs)
    assert (choice.key, choice.class_name, choice.slot) == ("", "Extra", slot.slot)
    assert attributes(choice.inputs) == {"slot_6558": "slot_6558", "slot_": "slot__"}


def test_categories_are_modules() -> None:
    package = resolve(
        [
            node("B", category="image/Scale"),
            node("A", category="image scale"),
            node("C"),
            node("D", module="custom_nodes.x"),
        ]
    )
    assert [
        (pack.name, module.name, [each.class_name for each in module.nodes])
        for pack in package.packs
        for module in pack.modules
    ] == [
        ("core", "image_scale", ["A", "B"]),
        ("core", "uncategorized", ["C"]),
        ("x", "uncategorized", ["D"]),
    ]


def test_nothing_is_a_package_too() -> None:
    assert resolve([]).packs == ()


# Whatever they are called


def used_types(kind: Kind) -> Iterator[str]:
    match kind:
        case Socket(types=types):
            yield from types
        case Autogrow(item=item):
            yield from used_types(item)
        case _:
            pass


def check_body(
    package: NamedPackage, inputs: Sequence[NamedInput], outputs: Sequence[str], *, slot: bool
) -> None:
    """What is in the body of a class is told apart, and from all that its annotations use."""
    keywords = [each.keyword for each in inputs]
    assert all(map(is_name, keywords))
    assert len({*keywords}) == len(keywords)
    members = [each.attribute for each in inputs] + list(outputs)
    members += [choice.class_name for each in inputs for choice in each.nested]
    assert all(map(is_name, members))
    assert len({*members}) == len(members)
    used = {
        package.types.get(type_, type_) for each in inputs for type_ in used_types(each.input.kind)
    }
    assert (used | TAKEN_IN_BODY).isdisjoint(members)
    for each in inputs:
        name = each.input.name
        if keyword_name(name) == name and not (slot and name == "slot"):
            assert each.keyword == name
        for choice in each.nested:
            check_body(package, choice.inputs, [], slot=choice.slot is not None)


@given(core_and_packs, st.booleans())
def test_all_names_can_be_written_and_are_told_apart(info: dict[str, Any], strict: bool) -> None:
    package = resolve(parse_object_info(info), strict_files=strict)
    markers = [*package.types.values(), *package.unions.values()]
    assert len({*markers}) == len(markers)
    assert all(map(is_name, [*markers, *package.files]))
    found: set[str] = set()
    for pack in package.packs:
        classes = [each for module in pack.modules for each in module.nodes]
        aliases = [choices.name for choices in pack.choices]
        top = [each.class_name for each in classes] + aliases
        assert all(map(is_name, [pack.name, *top, *(module.name for module in pack.modules)]))
        assert len({*top}) == len(top)
        for each in classes:
            declaration = each.declaration
            found.add(declaration.class_type)
            if class_name(declaration.class_type) == declaration.class_type:
                assert each.class_name == declaration.class_type
            several = [output.attribute for output in each.outputs] if len(each.outputs) > 1 else []
            check_body(package, each.inputs, several, slot=False)
            assert [named.input for named in each.inputs] == list(declaration.inputs)
            assert [named.output for named in each.outputs] == list(declaration.outputs)
    assert found == info.keys()


def shuffled(value: Any, rng: random.Random) -> Any:
    """A JSON value with the same meaning, its objects in another order."""
    if is_object(value):
        items = [(key, shuffled(item, rng)) for key, item in value.items()]
        rng.shuffle(items)
        return dict(items)
    if is_list(value):
        return [shuffled(item, rng) for item in value]
    return value


def in_order(inputs: Sequence[NamedInput]) -> list[tuple[Any, ...]]:
    return sorted(
        (
            each.input.name,
            each.keyword,
            each.attribute,
            [(choice.key, choice.class_name, in_order(choice.inputs)) for choice in each.nested],
        )
        for each in inputs
    )


def summary(package: NamedPackage) -> object:
    """All names, such that the order of inputs makes no difference."""
    return (
        [
            (
                pack.name,
                pack.choices,
                [
                    (module.name, each.class_name, in_order(each.inputs), each.outputs)
                    for module in pack.modules
                    for each in module.nodes
                ],
            )
            for pack in package.packs
        ],
        list(package.types.items()),
        list(package.unions.items()),
        list(package.files.items()),
    )


@given(core_and_packs, st.randoms(use_true_random=False), st.booleans())
def test_order_makes_no_difference(info: dict[str, Any], rng: random.Random, strict: bool) -> None:
    packages = [
        resolve(parse_object_info(each), strict_files=strict)
        for each in (info, shuffled(info, rng))
    ]
    assert summary(packages[0]) == summary(packages[1])


@given(core_and_packs, object_infos(st.just("custom_nodes.other")), st.booleans())
def test_another_pack_makes_no_difference(
    info: dict[str, Any], more: dict[str, Any], strict: bool
) -> None:
    alone = resolve(parse_object_info(info), strict_files=strict)
    together = resolve(parse_object_info({**more, **info}), strict_files=strict)
    assert [pack for pack in together.packs if pack.name != "other"] == list(alone.packs)
    assert alone.files_apart.items() <= together.files_apart.items()
    assert alone.types.items() <= together.types.items()
    assert alone.unions.items() <= together.unions.items()


@pytest.mark.parametrize("path", [*FIXTURES.glob("*.json")], ids=lambda path: path.stem)
def test_the_names_of_core_are_its_own(path: Path) -> None:
    package = resolve(parse_object_info(json.loads(path.read_text(encoding="utf-8"))))
    core = next(pack for pack in package.packs if pack.name == "core")
    classes = [each for module in core.modules for each in module.nodes]
    assert all(each.class_name == each.declaration.class_type for each in classes)
    assert all(named.keyword == named.input.name for each in classes for named in each.inputs)
    assert all(name == type_ for type_, name in package.types.items())
