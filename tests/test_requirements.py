"""What a server must have to be given a job."""

from __future__ import annotations

from typing import Any

import pytest
from prompts import node

from comfy_trio import Workflow
from comfy_trio._requirements import Needs, Requirements, find_lack, needs_of

PROMPT = {
    "1": node("CheckpointLoaderSimple", ckpt_name="sd15.safetensors"),
    "2": node("LoadImage", image="cat.png"),
    "3": node("CLIPTextEncode", text="a cat.", clip=["1", 1]),
    "4": node("SaveImage", images=["2", 0], filename_prefix="x"),
}


def definition(**inputs: Any) -> dict[str, Any]:
    return {"input": {"required": inputs}}


DEFINITIONS = {
    "CheckpointLoaderSimple": definition(ckpt_name=[["sd15.safetensors"]]),
    "LoadImage": definition(image=["COMBO", {"options": ["cat.png"]}]),
    "CLIPTextEncode": definition(text=["STRING", {}], clip=["CLIP"]),
    "SaveImage": definition(images=["IMAGE"]),
}


@pytest.mark.parametrize(
    ("requirements", "admitted"),
    [
        (Requirements(), "abc"),
        (Requirements(include=frozenset("ab")), "ab"),
        (Requirements(exclude=frozenset("ab")), "c"),
        (Requirements(include=frozenset("ab"), exclude=frozenset("b")), "a"),
        (Requirements(include=frozenset()), ""),
        (Requirements(avoid=frozenset("a"), prefer=frozenset("b")), "abc"),
    ],
)
def test_names(requirements: Requirements, admitted: str) -> None:
    assert [each for each in "abc" if requirements.admits(each)] == list(admitted)


def test_equal_requirements_are_one() -> None:
    assert len({Requirements(avoid=frozenset("ab")), Requirements(avoid=frozenset("ba"))}) == 1


def test_needs() -> None:
    assert needs_of(Workflow(PROMPT)) == Needs(
        frozenset(DEFINITIONS),
        frozenset(
            {
                ("CheckpointLoaderSimple", "ckpt_name", "sd15.safetensors"),
                ("LoadImage", "image", "cat.png"),
            }
        ),
    )


def test_what_is_bypassed_or_attached_is_not_needed() -> None:
    workflow = (
        Workflow(PROMPT).bypass("1").attach_image("2", "image", b"pixels", filename="cat.png")
    )
    assert needs_of(workflow) == Needs(frozenset(DEFINITIONS) - {"CheckpointLoaderSimple"})


@pytest.mark.parametrize(
    ("changes", "lack"),
    [
        ({}, None),
        ({"SaveImage": None}, "it has no class SaveImage"),
        (
            {"CheckpointLoaderSimple": definition(ckpt_name=[["flux.safetensors"]])},
            "it has no sd15.safetensors for ckpt_name of CheckpointLoaderSimple",
        ),
        ({"LoadImage": definition(image=["STRING", {}])}, None),
        ({"LoadImage": {}}, None),
    ],
)
def test_lacks(changes: dict[str, Any], lack: str | None) -> None:
    definitions = {
        key: value for key, value in (DEFINITIONS | changes).items() if value is not None
    }
    assert find_lack(needs_of(Workflow(PROMPT)), definitions) == lack
