"""Prompts that are wrong in ways in which people's are: valid ones, changed at random by a seed."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from prompts import node

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

Prompt = dict[str, Any]

LITERALS: tuple[Any, ...] = (
    *(0, 1, 65, 3.7, -5, 10**9, True, False, None, "7", "5.7", "false", "", "nonsense", {}),
    *({"a": 1}, {"__value__": 3}, {"__value__": ["a"]}, "lanczos", "disabled"),
)


def valid_prompts() -> dict[str, Prompt]:
    """Prompts of core nodes that need no model."""
    size = {"width": 64, "height": 64}
    empty = node("EmptyImage", **size, batch_size=1, color=0)
    scale = {"upscale_method": "lanczos", "crop": "disabled", **size}
    pictures = {
        "1": empty,
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("ImageScale", "Smaller", image=["2", 0], **scale),
        "4": node("ImageBatch", image1=["3", 0], image2=["2", 0]),
        "8": node("PreviewImage", images=["2", 0]),
        "9": node("SaveImage", "Save it", images=["4", 0], filename_prefix="mutated"),
    }
    masks = {
        "1": node("SolidMask", value=0.5, **size),
        "2": node("MaskToImage", mask=["1", 0]),
        "3": node("LoadImage", image="example.png"),
        "4": node(
            "ImageCompositeMasked",
            destination=["2", 0],
            source=["3", 0],
            mask=["1", 0],
            x=0,
            y=0,
            resize_source=False,
        ),
        "9": node("SaveImage", images=["4", 0], filename_prefix="mutated"),
        "10": node("PreviewAny", source=["1", 0]),
    }
    latents = {
        "1": node("EmptyLatentImage", **size, batch_size=1),
        "2": node("LatentFlip", samples=["1", 0], flip_method="x-axis: vertically"),
        "9": node("SaveLatent", samples=["2", 0], filename_prefix="mutated"),
        "10": node("PreviewAny", source=["2", 0]),
    }
    return {"pictures": pictures, "masks": masks, "latents": latents}


def dynamic_prompts() -> dict[str, Prompt]:
    """Likewise, of nodes whose inputs depend on what they are given; not of servers before 0.8."""
    empty = node("EmptyImage", width=64, height=64, batch_size=1, color=0)
    resize = {
        "resize_type": "scale dimensions",
        "resize_type.width": 32,
        "resize_type.height": 32,
        "resize_type.crop": "disabled",
        "scale_method": "area",
    }
    return {
        "dynamic": {
            "1": empty,
            "2": node("ResizeImageMaskNode", input=["1", 0], **resize),
            "3": node("BatchImagesNode", **{"images.image0": ["2", 0], "images.image1": ["1", 0]}),
            "9": node("SaveImage", images=["3", 0], filename_prefix="mutated"),
        }
    }


def mutate(prompt: Prompt, rng: random.Random) -> Prompt:
    """Change one to three things. No link to nowhere gets into an input that is not declared."""
    changed = copy.deepcopy(prompt)
    for _ in range(rng.randint(1, 3)):
        rng.choice(_MUTATIONS)(changed, rng)
    return changed


def _pick(prompt: Prompt, rng: random.Random) -> tuple[Prompt, str | None]:
    picked = prompt[rng.choice(list(prompt))]
    names = list(picked["inputs"])
    return picked["inputs"], rng.choice(names) if names else None


def _drop(prompt: Prompt, rng: random.Random) -> None:
    inputs, name = _pick(prompt, rng)
    if name is not None:
        del inputs[name]


def _give_literal(prompt: Prompt, rng: random.Random) -> None:
    inputs, name = _pick(prompt, rng)
    if name is not None:
        inputs[name] = copy.deepcopy(rng.choice(LITERALS))


def _relink(prompt: Prompt, rng: random.Random) -> None:
    inputs, name = _pick(prompt, rng)
    if name is not None and name != "stray":
        inputs[name] = [rng.choice(list(prompt)), rng.choice((0, 0, 0, 1, 5, -1))]


def _break_link(prompt: Prompt, rng: random.Random) -> None:
    inputs, name = _pick(prompt, rng)
    if name is not None and name != "stray":
        inputs[name] = copy.deepcopy(
            rng.choice((["99", 0], [1, 0], ["1"], ["1", 0, 0], [], ["1", "0"], [None, 0]))
        )


def _rename_class(prompt: Prompt, rng: random.Random) -> None:
    if rng.random() < 0.2:
        prompt[rng.choice(list(prompt))]["class_type"] = "ImageInvrt"


def _add_stray_literal(prompt: Prompt, rng: random.Random) -> None:
    inputs, _ = _pick(prompt, rng)
    inputs["stray"] = rng.choice((1, "text", None))


def _add_stray_node(prompt: Prompt, _rng: random.Random) -> None:
    prompt["30"] = node("ImageScale", width="wide")


_MUTATIONS: tuple[Callable[[Prompt, random.Random], None], ...] = (
    *(_drop, _give_literal, _give_literal, _give_literal, _relink, _relink, _break_link),
    *(_rename_class, _add_stray_literal, _add_stray_node),
)
