"""Canvas files become what the real frontend makes of them: all official templates, and more."""

from __future__ import annotations

from typing import Any

import pytest
import templates
from templates import FIXTURES, canvas, differences, load, object_info, prompts

from comfy_trio._canvas_prompt import convert_canvas

BYPASSED_INSIDE = (
    "The frontend sends what is in a bypassed subgraph if this is in another subgraph. Nothing"
    " uses those nodes, and an output node among them would run although it is bypassed."
)
VALUES_OF_INSTANCE = (
    "The instance of a subgraph holds other values than the nodes in it. It was saved by a newer"
    " frontend than the captured one, which ignores them; newer ones send them, as we do."
)
RENDERED = "The browser renders a 3D scene, uploads the pictures and sends their names."
NO_PROSE = "The declared default is prose, which the stubs' object_info has none of."
UNKNOWN_CLASS = (
    "The frontend sends a node that the server does not have without a class type, for which the"
    " server has but a general error. Ours is named in it."
)
CHANGED_CLASS = (
    "The class has got or lost an input since the file was saved. The frontend gives the values to"
    " the wrong inputs, which the server refuses; ours gives them to those that they fit."
)
OLD_IDS = "Two graphs of the file use the same ids; frontends since 1.40 or so make them differ."

EXCEPTIONS: dict[tuple[str, str], tuple[str, set[tuple[str, str]]]] = {
    ("0.27.0", "flux1_dev_uso_reference_image_gen"): (
        BYPASSED_INSIDE,
        {(node, "node") for node in ("112:55:117", "112:55:118", "112:56:119", "112:56:120")},
    ),
    ("0.27.0", "api_google_gemini_omni_flash_video_edit"): (
        VALUES_OF_INSTANCE,
        {("17:15", "value"), ("17:9", "choice")},
    ),
    ("0.27.0", "api_hunyuan3d_model2uv"): (RENDERED, {("13", "image")}),
    ("0.27.0", "templates-textured_logotype-v2.1"): (
        NO_PROSE,
        {("6", "system_prompt"), ("7", "system_prompt")},
    ),
    ("0.27.0", "templates_mjm_looped_restyler"): (UNKNOWN_CLASS, {("89:87", "class_type")}),
    ("0.27.0", "templates_rob_realistic_2k_images_quick_variations.app"): (
        UNKNOWN_CLASS,
        {("126:96", "class_type"), ("104:107", "class_type")},
    ),
    ("0.3.64", "video_wan2_2_14B_animate"): (
        UNKNOWN_CLASS,
        {(node, "class_type") for node in ("100", "101", "107", "108", "158", "229", "275", "276")},
    ),
    ("0.3.64", "api_rodin_gen2"): (
        CHANGED_CLASS,
        {("67", name) for name in ("TAPose", "Seed", "Material_Type", "Polygon_count")},
    ),
    ("0.3.64", "api_moonvalley_video_to_video_motion_transfer"): (
        CHANGED_CLASS,
        {("38", "steps")},
    ),
    ("0.3.64", "video_wan2_2_14B_s2v"): (
        OLD_IDS,
        {
            *((f"85:{node}", "node") for node in ("76", "77", "78", "182", "183", "184")),
            *(("94", "samples"), ("95", "samples2")),
        },
    ),
}

TEMPLATES = [(version, name) for version in ("0.27.0", "0.3.64") for name in prompts(version)]


@pytest.mark.parametrize(("version", "name"), TEMPLATES)
def test_a_template_becomes_what_the_frontend_makes_of_it(version: str, name: str) -> None:
    declared = object_info(version)
    converted = convert_canvas(canvas(name, version), declared)
    _, expected = EXCEPTIONS.get((version, name), ("", set[tuple[str, str]]()))
    assert differences(prompts(version)[name], converted.prompt, declared) == expected


def test_all_templates_are_there() -> None:
    assert len(prompts("0.27.0")) == 240
    assert len(prompts("0.3.64")) == 172
    assert EXCEPTIONS.keys() <= set(TEMPLATES)


def test_each_class_that_is_unknown_is_named_in_a_warning() -> None:
    name = "templates_rob_realistic_2k_images_quick_variations.app"
    converted = convert_canvas(canvas(name, "0.27.0"), object_info("0.27.0"))
    assert [warning.split(" is ")[0] for warning in converted.warnings] == [
        'node 126:96 (AILab_QwenVL, "Caption Image - QwenVL")',
        "node 104:107 (ImageRemoveAlpha+)",
    ]


def test_a_class_that_changed_is_named_in_a_warning() -> None:
    converted = convert_canvas(canvas("api_rodin_gen2", "0.3.64"), object_info("0.3.64"))
    [warning] = converted.warnings
    assert warning.startswith("node 67 (Rodin3D_Gen2): its class has changed")


CASES: dict[str, Any] = load(FIXTURES / "canvas" / "cases.json")
"""Small canvases drawn for one feature each. `prompt` is what the `frontend` of that version makes
of it on a real server; or, where frontends are wrong, what is right, with the `reason`."""


@pytest.mark.parametrize("name", CASES)
def test_a_feature_becomes_what_the_frontend_makes_of_it(name: str) -> None:
    case = CASES[name]
    converted = convert_canvas(case["canvas"], object_info("0.27.0"))
    prompt = {
        node_id: {key: value for key, value in node.items() if key != "_meta"}
        for node_id, node in converted.prompt.items()
    }
    assert prompt.keys() == case["prompt"].keys()
    assert templates.same(prompt, case["prompt"])
