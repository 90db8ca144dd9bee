"""Which outputs fit which inputs."""

from __future__ import annotations

import pytest

from comfy_trio._slot_types import bypassed_input, types_connect


@pytest.mark.parametrize(
    ("output", "target", "expected"),
    [
        ("IMAGE", "IMAGE", True),
        ("IMAGE", "MASK", False),
        ("IMAGE", "IMAGE,MASK", True),
        ("INT,FLOAT", "float", True),
        ("*", "MASK", True),
        ("MODEL", "", True),
    ],
)
def test_types_connect(output: str, target: str, *, expected: bool) -> None:
    assert types_connect(output, target) is expected
    assert types_connect(target, output) is expected


@pytest.mark.parametrize(
    ("inputs", "slot", "output", "target", "expected"),
    [
        (["MODEL", "CLIP"], 0, "MODEL", "MODEL", 0),
        (["MODEL", "CLIP"], 1, "CLIP", "CLIP", 1),
        (["CLIP", "MODEL"], 0, "MODEL", "MODEL", 1),
        (["STRING", "IMAGE,MASK"], 0, "IMAGE", "IMAGE", 1),
        (["IMAGE,MASK", "IMAGE"], 1, "IMAGE", "IMAGE", 1),
        (["IMAGE,MASK", "MASK", "IMAGE"], 3, "IMAGE", "IMAGE", 2),
        (["LATENT"], 0, "IMAGE", "IMAGE", None),
        (["LATENT"], 3, "IMAGE", "*", 0),
        (["LATENT", "VAE"], 1, "IMAGE", "*", 1),
        (["LATENT"], -7, "IMAGE", "*", 0),
        (["IMAGE"], -7, "IMAGE", "IMAGE", 0),
        ([], 0, "IMAGE", "IMAGE", None),
    ],
)
def test_bypassed_input(
    inputs: list[str], slot: int, output: str, target: str, expected: int | None
) -> None:
    assert bypassed_input(inputs, slot, output, target) == expected
