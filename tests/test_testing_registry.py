from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from comfy_trio._validation import ValidationRules, validate_prompt
from comfy_trio.testing._diffusion_nodes import CHECKPOINTS, LORAS
from comfy_trio.testing._files import FileStore
from comfy_trio.testing._registry import (
    CORE_NODES,
    ObjectInfo,
    core_nodes,
    custom_validations,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

FIXTURES = Path(__file__).parent / "fixtures" / "object_info"
VERSIONS = {"0.3.64": (0, 3, 64), "0.27.0": (0, 27, 0)}

PROSE = {"description", "output_tooltips", "search_aliases", "price_badge"}
"""What was taken out of the captures."""

FILE_LISTS: dict[tuple[str, str], tuple[list[str], list[str]]] = {
    ("CheckpointLoaderSimple", "ckpt_name"): (["sd15.safetensors"], list(CHECKPOINTS)),
    ("LoraLoader", "lora_name"): ([], list(LORAS)),
}
"""Lists of files: the captured server's and ours."""


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    store = FileStore(tmp_path)
    store.upload("example.png", b"x")
    return store


def without_prose(entry: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(entry))
    for section in plain["input"].values():
        for spec in section.values():
            match spec:
                case [_, {"tooltip": _} as options]:
                    del options["tooltip"]
                case _:
                    pass
    return {key: value for key, value in plain.items() if key not in PROSE}


@pytest.mark.parametrize("version", VERSIONS)
def test_as_captured(version: str, files: FileStore) -> None:
    captured = json.loads((FIXTURES / f"core-{version}.json").read_text())
    ours = ObjectInfo(CORE_NODES, files, VERSIONS[version])()
    for (class_type, name), (theirs, own) in FILE_LISTS.items():
        assert captured[class_type]["input"]["required"][name][0] == theirs
        captured[class_type]["input"]["required"][name][0] = own
    for class_type, entry in captured.items():
        assert without_prose(ours[class_type]) == entry


@pytest.mark.parametrize("version", VERSIONS)
def test_is_json_and_says_which_class(version: str, files: FileStore) -> None:
    shown = ObjectInfo(CORE_NODES, files, VERSIONS[version])()
    assert json.loads(json.dumps(shown)) == shown
    assert all(entry["name"] == class_type for class_type, entry in shown.items())
    assert len(shown) == len(CORE_NODES)


def test_lists_of_files_are_of_the_moment(files: FileStore) -> None:
    object_info = ObjectInfo(CORE_NODES, files)

    def listed(class_type: str) -> list[str]:
        entry = object_info()[class_type]
        choices: list[str] = entry["input"]["required"]["image"][0]
        return choices

    files.upload("notes.txt", b"x")
    files.upload("a.jpg", b"x")
    assert listed("LoadImage") == ["a.jpg", "example.png"]
    assert listed("LoadImageMask") == ["a.jpg", "example.png", "notes.txt"]


@pytest.mark.parametrize(
    ("image", "accepted"),
    [
        ("example.png", True),
        ("sub/later.png", True),
        ("shown.png [temp]", True),
        ("missing.png", False),
        ("../example.png", False),
    ],
)
def test_images_to_load_must_exist(files: FileStore, image: str, accepted: bool) -> None:
    files.upload("later.png", b"x", subfolder="sub")
    files.upload("shown.png", b"x", kind="temp")
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": image}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    verdict = validate_prompt(
        prompt,
        ObjectInfo(CORE_NODES, files)(),
        custom=custom_validations(CORE_NODES, files),
    )
    assert verdict.accepted == accepted
    if not accepted:
        errors = verdict.node_errors["1"]["errors"]
        assert [error["details"] for error in errors] == [f"image - Invalid image file: {image}"]


def test_a_link_to_an_image_name_is_not_judged(files: FileStore) -> None:
    prompt = {
        "0": {"class_type": "ProbeText", "inputs": {"text": "x", "repeat": 1, "salt": 0}},
        "1": {"class_type": "LoadImage", "inputs": {"image": ["0", 0]}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    verdict = validate_prompt(
        prompt,
        ObjectInfo(CORE_NODES, files, (0, 3, 64))(),
        custom=custom_validations(CORE_NODES, files, (0, 3, 64)),
        rules=ValidationRules.for_version((0, 3, 64)),
    )
    assert [e["type"] for e in verdict.node_errors["1"]["errors"]] == ["return_type_mismatch"]


def test_pace_is_the_callers() -> None:
    assert [node.class_type for node in core_nodes(1.5)] == [n.class_type for n in CORE_NODES]


def test_revisions_apply_from_their_version() -> None:
    invert = next(node for node in CORE_NODES if node.class_type == "ImageInvert")
    assert invert.at((0, 19, 9)).display_name == "Invert Image"
    assert invert.at((0, 20)).display_name == "Invert Image Colors"
    plain = next(node for node in CORE_NODES if node.class_type == "ProbeText")
    assert plain.at((0, 20)) is plain
