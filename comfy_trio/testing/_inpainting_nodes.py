"""Painting a part of a picture anew: the nodes that say which part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
from PIL import Image, ImageFilter

from ._diffusion_nodes import GREY, encoded
from ._node_type import RETITLED, NodeResult, NodeType
from ._pixels import resized, toned
from ._values import Images, Latent, Masks, Model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._node_type import NodeRun

MOVED: Final[Mapping[tuple[int, ...], Mapping[str, Any]]] = {RETITLED: {"category": "model/latent"}}


async def _set_mask(_run: NodeRun, *, samples: Latent, mask: Masks) -> NodeResult:
    return NodeResult((attrs.evolve(samples, mask=resized(mask.frames[0], samples.pixel_size)),))


async def _encode_for_inpainting(
    _run: NodeRun, *, pixels: Images, vae: Model, mask: Masks, grow_mask_by: int = 6
) -> NodeResult:
    chosen = toned(resized(mask.frames[0], pixels.size), lambda level: 255 * round(level / 255))
    blank = Image.new("RGB", pixels.size, GREY)
    emptied = Images(tuple(Image.composite(blank, frame, chosen) for frame in pixels.frames))
    if grow_mask_by:
        chosen = chosen.filter(ImageFilter.MaxFilter(2 * (grow_mask_by // 2) + 1))
    latent = encoded(emptied)
    (grown,) = encoded(Images((chosen,))).samples
    return NodeResult((attrs.evolve(latent, mask=grown),))


INPAINTING_NODES: Final = (
    NodeType(
        class_type="VAEEncodeForInpaint",
        run=_encode_for_inpainting,
        required={
            "pixels": ["IMAGE"],
            "vae": ["VAE"],
            "mask": ["MASK"],
            "grow_mask_by": ["INT", {"default": 6, "min": 0, "max": 64, "step": 1}],
        },
        outputs=("LATENT",),
        display_name="VAE Encode (for Inpainting)",
        category="latent/inpaint",
        revisions=MOVED,
    ),
    NodeType(
        class_type="SetLatentNoiseMask",
        run=_set_mask,
        required={"samples": ["LATENT"], "mask": ["MASK"]},
        outputs=("LATENT",),
        display_name="Set Latent Noise Mask",
        category="latent/inpaint",
        revisions=MOVED,
    ),
)
"""The nodes of inpainting."""
