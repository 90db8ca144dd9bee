"""Nodes that make and change pictures, on Pillow."""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, Final

from PIL import Image, ImageChops, ImageOps

from ._node_type import RETITLED, NodeResult, NodeType
from ._pixels import RESAMPLING, resized
from ._values import Images, Masks

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._node_type import NodeRun

_UPSCALE_METHODS: Final = list(RESAMPLING)


def _pixels(name: str, default: int, least: int, step: int = 1) -> dict[str, list[Any]]:
    return {name: ["INT", {"default": default, "min": least, "max": 16384, "step": step}]}


async def _empty_image(
    _run: NodeRun, *, width: int, height: int, batch_size: int = 1, color: int = 0
) -> NodeResult:
    rgb = (color >> 16 & 0xFF, color >> 8 & 0xFF, color & 0xFF)
    return NodeResult((Images((Image.new("RGB", (width, height), rgb),) * batch_size),))


async def _scale(
    _run: NodeRun, *, image: Images, upscale_method: str, width: int, height: int, crop: str
) -> NodeResult:
    old_width, old_height = image.size
    if width == 0 and height == 0:
        return NodeResult((image,))
    size = (
        width or max(1, round(old_width * height / old_height)),
        height or max(1, round(old_height * width / old_width)),
    )
    frames = (resized(f, size, upscale_method, crop=crop == "center") for f in image.frames)
    return NodeResult((Images(tuple(frames)),))


async def _scale_by(
    _run: NodeRun, *, image: Images, upscale_method: str, scale_by: float
) -> NodeResult:
    size = (round(image.size[0] * scale_by), round(image.size[1] * scale_by))
    return NodeResult((Images(tuple(resized(f, size, upscale_method) for f in image.frames)),))


async def _crop(
    _run: NodeRun, *, image: Images, width: int, height: int, x: int, y: int
) -> NodeResult:
    full_width, full_height = image.size
    left, top = min(x, full_width - 1), min(y, full_height - 1)
    box = (left, top, min(left + width, full_width), min(top + height, full_height))
    return NodeResult((Images(tuple(frame.crop(box) for frame in image.frames)),))


async def _invert(_run: NodeRun, *, image: Images) -> NodeResult:
    return NodeResult((Images(tuple(ImageChops.invert(frame) for frame in image.frames)),))


_BLEND_MODES: Final[dict[str, Callable[[Image.Image, Image.Image], Image.Image]]] = {
    "normal": lambda _below, above: above,
    "multiply": ImageChops.multiply,
    "screen": ImageChops.screen,
    "overlay": ImageChops.overlay,
    "soft_light": ImageChops.soft_light,
    "difference": ImageChops.subtract,
}


async def _blend(
    _run: NodeRun, *, image1: Images, image2: Images, blend_factor: float, blend_mode: str
) -> NodeResult:
    def blended(below: Image.Image, above: Image.Image) -> Image.Image:
        if above.size != below.size:
            above = resized(above, below.size, "bicubic", crop=True)
        return Image.blend(below, _BLEND_MODES[blend_mode](below, above), blend_factor)

    count = max(len(image1.frames), len(image2.frames))
    pairs = islice(zip(cycle(image1.frames), cycle(image2.frames)), count)
    return NodeResult((Images(tuple(blended(below, above) for below, above in pairs)),))


async def _batch(_run: NodeRun, *, image1: Images, image2: Images) -> NodeResult:
    size = image1.size
    fitting = (f if f.size == size else resized(f, size, crop=True) for f in image2.frames)
    return NodeResult((Images((*image1.frames, *fitting)),))


async def _composite(
    _run: NodeRun,
    *,
    destination: Images,
    source: Images,
    x: int,
    y: int,
    resize_source: bool,
    mask: Masks | None = None,
) -> NodeResult:
    frames: list[Image.Image] = []
    for index, below in enumerate(destination.frames):
        above = source.frames[index % len(source.frames)]
        if resize_source:
            above = resized(above, below.size)
        stencil = None
        if mask is not None:
            stencil = resized(mask.frames[index % len(mask.frames)], above.size)
        result = below.copy()
        result.paste(above, (x, y), stencil)
        frames.append(result)
    return NodeResult((Images(tuple(frames)),))


async def _pad(
    _run: NodeRun,
    *,
    image: Images,
    left: int,
    top: int,
    right: int,
    bottom: int,
    feathering: int,
) -> NodeResult:
    width, height = image.size
    size = (width + left + right, height + top + bottom)
    frames: list[Image.Image] = []
    for frame in image.frames:
        canvas = Image.new("RGB", size, (128, 128, 128))
        canvas.paste(frame, (left, top))
        frames.append(canvas)
    mask = Image.new("L", size, 255)
    mask.paste(_feathered((width, height), (left, top, right, bottom), feathering), (left, top))
    return NodeResult((Images(tuple(frames)), Masks((mask,))))


def _ramp(feathering: int, start: int) -> Image.Image:
    """One row that fades out quadratically, from a distance of `start` pixels."""
    levels = (((feathering - start - x) / feathering) ** 2 for x in range(feathering))
    return Image.frombytes("L", (feathering, 1), bytes(round(255 * level) for level in levels))


def _feathered(
    size: tuple[int, int], padding: tuple[int, int, int, int], feathering: int
) -> Image.Image:
    """The mask of the kept part: it fades in towards those sides that were padded."""
    mask = Image.new("L", size, 0)
    if feathering <= 0 or feathering * 2 >= min(size):
        return mask
    near = _ramp(feathering, 0)
    far = ImageOps.mirror(_ramp(feathering, 1))
    width, height = size
    left, top, right, bottom = padding
    turned = Image.Transpose.ROTATE_270
    strips = (
        (left, near, (feathering, height), (0, 0)),
        (top, near.transpose(turned), (width, feathering), (0, 0)),
        (right, far, (feathering, height), (width - feathering, 0)),
        (bottom, far.transpose(turned), (width, feathering), (0, height - feathering)),
    )
    for padded, strip, extent, place in strips:
        if padded:
            layer = Image.new("L", size, 0)
            layer.paste(resized(strip, extent), place)
            mask = ImageChops.lighter(mask, layer)
    return mask


IMAGE_NODES: Final = (
    NodeType(
        class_type="EmptyImage",
        run=_empty_image,
        required={
            **_pixels("width", 512, 1),
            **_pixels("height", 512, 1),
            "batch_size": ["INT", {"default": 1, "min": 1, "max": 4096}],
            "color": [
                "INT",
                {"default": 0, "min": 0, "max": 0xFFFFFF, "step": 1, "display": "color"},
            ],
        },
        outputs=("IMAGE",),
        category="image",
        revisions={RETITLED: {"display_name": "Empty Image"}},
    ),
    NodeType(
        class_type="ImageScale",
        run=_scale,
        required={
            "image": ["IMAGE"],
            "upscale_method": [_UPSCALE_METHODS],
            **_pixels("width", 512, 0),
            **_pixels("height", 512, 0),
            "crop": [["disabled", "center"]],
        },
        outputs=("IMAGE",),
        display_name="Upscale Image",
        category="image/upscaling",
        revisions={RETITLED: {"flags": {"essentials_category": "Image Tools"}}},
    ),
    NodeType(
        class_type="ImageScaleBy",
        run=_scale_by,
        required={
            "image": ["IMAGE"],
            "upscale_method": [_UPSCALE_METHODS],
            "scale_by": ["FLOAT", {"default": 1.0, "min": 0.01, "max": 8.0, "step": 0.01}],
        },
        outputs=("IMAGE",),
        display_name="Upscale Image By",
        category="image/upscaling",
        revisions={RETITLED: {"flags": {"essentials_category": "Image Tools"}}},
    ),
    NodeType(
        class_type="ImageCrop",
        run=_crop,
        required={
            "image": ["IMAGE"],
            **_pixels("width", 512, 1),
            **_pixels("height", 512, 1),
            **_pixels("x", 0, 0),
            **_pixels("y", 0, 0),
        },
        outputs=("IMAGE",),
        display_name="Image Crop",
        category="image/transform",
        python_module="comfy_extras.nodes_images",
        revisions={
            RETITLED: {
                "display_name": "Crop Image (DEPRECATED)",
                "v3": True,
                "flags": {"deprecated": True, "essentials_category": "Image Tools"},
            }
        },
    ),
    NodeType(
        class_type="ImageInvert",
        run=_invert,
        required={"image": ["IMAGE"]},
        outputs=("IMAGE",),
        display_name="Invert Image",
        category="image",
        revisions={
            RETITLED: {
                "display_name": "Invert Image Colors",
                "category": "image/color",
                "flags": {"essentials_category": "Image Tools"},
            }
        },
    ),
    NodeType(
        class_type="ImageBlend",
        run=_blend,
        required={
            "image1": ["IMAGE"],
            "image2": ["IMAGE"],
            "blend_factor": ["FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.01}],
            "blend_mode": ["COMBO", {"multiselect": False, "options": list(_BLEND_MODES)}],
        },
        outputs=("IMAGE",),
        display_name=None,
        category="image/postprocessing",
        python_module="comfy_extras.nodes_post_processing",
        v3=True,
        revisions={
            RETITLED: {
                "display_name": "Blend Images",
                "category": "image/filters",
                "flags": {"essentials_category": "Image Tools"},
            }
        },
    ),
    NodeType(
        class_type="ImageBatch",
        run=_batch,
        required={"image1": ["IMAGE"], "image2": ["IMAGE"]},
        outputs=("IMAGE",),
        display_name="Batch Images",
        category="image",
        revisions={
            RETITLED: {
                "display_name": "Batch Images (DEPRECATED)",
                "category": "image/batch",
                "flags": {"deprecated": True},
            }
        },
    ),
    NodeType(
        class_type="ImageCompositeMasked",
        run=_composite,
        required={
            "destination": ["IMAGE"],
            "source": ["IMAGE"],
            **_pixels("x", 0, 0),
            **_pixels("y", 0, 0),
            "resize_source": ["BOOLEAN", {"default": False}],
        },
        optional={"mask": ["MASK"]},
        outputs=("IMAGE",),
        category="image",
        python_module="comfy_extras.nodes_mask",
        revisions={
            RETITLED: {
                "display_name": "Image Composite Masked",
                "category": "image/compositing",
                "v3": True,
            }
        },
    ),
    NodeType(
        class_type="ImagePadForOutpaint",
        run=_pad,
        required={
            "image": ["IMAGE"],
            **_pixels("left", 0, 0, 8),
            **_pixels("top", 0, 0, 8),
            **_pixels("right", 0, 0, 8),
            **_pixels("bottom", 0, 0, 8),
            **_pixels("feathering", 40, 0),
        },
        outputs=("IMAGE", "MASK"),
        display_name="Pad Image for Outpainting",
        category="image",
        revisions={
            RETITLED: {
                "category": "image/transform",
                "required": {
                    "image": ["IMAGE"],
                    **_pixels("left", 0, 0, 8),
                    **_pixels("top", 0, 0, 8),
                    **_pixels("right", 0, 0, 8),
                    **_pixels("bottom", 0, 0, 8),
                    "feathering": [
                        "INT",
                        {"default": 40, "min": 0, "max": 16384, "step": 1, "advanced": True},
                    ],
                },
            }
        },
    ),
)
"""Nodes that make and change pictures."""
