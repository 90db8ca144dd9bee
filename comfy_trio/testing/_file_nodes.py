"""Nodes that load, save and show: what goes between pictures and files."""

from __future__ import annotations

import hashlib
import json
import math
import time
import zlib
from typing import TYPE_CHECKING, Any, Final

from PIL import Image, ImageChops, ImageOps, ImageSequence, PngImagePlugin

from ._node_type import RETITLED, InputFiles, NodeResult, NodeType
from ._values import Images, Masks

if TYPE_CHECKING:
    from ._files import FileStore, StoredFile
    from ._node_type import NodeRun

_NO_MASK: Final = (64, 64)
"""Size of the empty mask that stands for "no alpha channel"."""

_EXIF_MODEL: Final = 0x0110
_EXIF_MAKE: Final = 0x010F
_WEBP_METHODS: Final = {"default": 4, "fastest": 0, "slowest": 6}


def _alpha_mask(frame: Image.Image) -> Image.Image:
    """What is transparent, as the mask selects it."""
    if "A" in frame.getbands():
        return ImageChops.invert(frame.getchannel("A"))
    if frame.mode == "P" and "transparency" in frame.info:
        return ImageChops.invert(frame.convert("RGBA").getchannel("A"))
    return Image.new("L", _NO_MASK, 0)


async def _load_image(run: NodeRun, *, image: str) -> NodeResult:
    frames: list[Image.Image] = []
    masks: list[Image.Image] = []
    with Image.open(run.files.annotated(image)) as source:
        for each in ImageSequence.Iterator(source):
            upright = ImageOps.exif_transpose(each)
            # The further pictures of an MPO are other views, not frames.
            if frames and (upright.size != frames[0].size or source.format == "MPO"):
                continue
            frames.append(upright.convert("RGB"))
            masks.append(_alpha_mask(upright))
    return NodeResult((Images(tuple(frames)), Masks(tuple(masks))))


async def _load_mask(run: NodeRun, *, image: str, channel: str) -> NodeResult:
    with Image.open(run.files.annotated(image)) as source:
        picture = ImageOps.exif_transpose(source).convert("RGBA")
    band = picture.getchannel(channel[0].upper())
    return NodeResult((Masks((ImageChops.invert(band) if channel == "alpha" else band,)),))


def _must_exist(files: FileStore, image: str | None) -> bool | str:
    try:
        is_there = image is None or files.annotated(image).exists()
    except ValueError:
        is_there = False
    return is_there or f"Invalid image file: {image}"


def _file_digest(files: FileStore, *, image: str | None, **_others: object) -> object:
    if image is None:  # a link: nothing is known of the file, so nothing is equal to it
        return math.nan
    return hashlib.sha256(files.annotated(image).read_bytes()).hexdigest()


def _metadata(run: NodeRun) -> dict[str, str]:
    """What saved pictures tell of their origin: the prompt, and the client's own additions."""
    return {"prompt": json.dumps(run.prompt)} | {
        key: json.dumps(value) for key, value in (run.extra_pnginfo or {}).items()
    }


def _save_pngs(
    run: NodeRun, images: Images, prefix: str, kind: str, compress_level: int
) -> NodeResult:
    slot = run.files.save_slot(prefix, kind, width=images.size[0], height=images.size[1])
    chunks = PngImagePlugin.PngInfo()
    for key, text in _metadata(run).items():
        chunks.add_text(key, text)
    saved: list[StoredFile] = []
    for index, frame in enumerate(images.frames):
        file = slot.file(index, ".png")
        frame.save(run.files.path(file), pnginfo=chunks, compress_level=compress_level)
        saved.append(file)
    return NodeResult((images,), {"images": [file.as_ui() for file in saved]})


async def _save_image(
    run: NodeRun, *, images: Images, filename_prefix: str = "ComfyUI", **_hidden: object
) -> NodeResult:
    return _save_pngs(run, images, filename_prefix, "output", 4)


async def _preview_image(run: NodeRun, *, images: Images, **_hidden: object) -> NodeResult:
    # A name of its own for each node, as real servers give at random; here the same every time.
    digits = zlib.crc32(run.node_id.encode())
    letters = "".join(chr(ord("a") + digits // 26**place % 26) for place in range(5))
    return _save_pngs(run, images, f"ComfyUI_temp_{letters}", "temp", 1)


def _animated_result(images: Images, file: StoredFile, *, animated: bool) -> NodeResult:
    return NodeResult((images,), {"images": [file.as_ui()], "animated": [animated]})


async def _save_webp(
    run: NodeRun,
    *,
    images: Images,
    filename_prefix: str,
    fps: float,
    lossless: bool,
    quality: int,
    method: str,
    **_hidden: object,
) -> NodeResult:
    file = run.files.save_slot(filename_prefix).file(0, ".webp")
    exif = Image.Exif()
    metadata = _metadata(run)
    exif[_EXIF_MODEL] = f"prompt:{metadata.pop('prompt')}"
    for place, (key, text) in enumerate(metadata.items()):
        exif[_EXIF_MAKE - place] = f"{key}:{text}"
    first, *others = images.frames
    first.save(
        run.files.path(file),
        save_all=True,
        append_images=others,
        duration=int(1000 / fps),
        exif=exif,
        lossless=lossless,
        quality=quality,
        method=_WEBP_METHODS[method],
    )
    return _animated_result(images, file, animated=bool(others))


async def _save_apng(
    run: NodeRun,
    *,
    images: Images,
    filename_prefix: str,
    fps: float,
    compress_level: int,
    **_hidden: object,
) -> NodeResult:
    file = run.files.save_slot(filename_prefix).file(0, ".png")
    chunks = PngImagePlugin.PngInfo()
    for key, text in _metadata(run).items():
        chunks.add(b"comf", key.encode("latin-1") + b"\0" + text.encode("latin-1"), after_idat=True)
    first, *others = images.frames
    first.save(
        run.files.path(file),
        save_all=True,
        append_images=others,
        duration=int(1000 / fps),
        pnginfo=chunks,
        compress_level=compress_level,
    )
    return _animated_result(images, file, animated=True)


async def _save_webp_v3(run: NodeRun, *, images: Images, **inputs: Any) -> NodeResult:
    return _only_if_moving(images, await _save_webp(run, images=images, **inputs))


async def _save_apng_v3(run: NodeRun, *, images: Images, **inputs: Any) -> NodeResult:
    return _only_if_moving(images, await _save_apng(run, images=images, **inputs))


def _only_if_moving(images: Images, result: NodeResult) -> NodeResult:
    """Newer servers say ``animated`` of more than one frame, and nothing of one."""
    ui = dict(result.ui or {})
    if len(images.frames) == 1:
        del ui["animated"]
    return NodeResult(result.values, ui)


async def _save_websocket(run: NodeRun, *, images: Images) -> NodeResult:
    for index, frame in enumerate(images.frames):
        await run.send_image(frame, index, len(images.frames))
    return NodeResult()


def _never_the_same(_files: FileStore, **_inputs: object) -> float:
    return time.time()


async def _preview_any(_run: NodeRun, *, source: object = None) -> NodeResult:
    if isinstance(source, str):
        text = source
    elif source is None:
        text = "None"
    elif isinstance(source, int | float):
        text = str(source)
    else:
        try:
            text = json.dumps(source, indent=4)
        except (TypeError, ValueError):
            text = str(source)
    return NodeResult((text,), {"text": [text]})


_HIDDEN: Final = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}
_PREFIX: Final = ["STRING", {"default": "ComfyUI"}]
_PREFIX_V3: Final = ["STRING", {"default": "ComfyUI", "multiline": False}]
_FPS: Final = ["FLOAT", {"default": 6.0, "min": 0.01, "max": 1000.0, "step": 0.01}]
_LOSSLESS: Final = ["BOOLEAN", {"default": True}]
_QUALITY: Final = ["INT", {"default": 80, "min": 0, "max": 100}]
_IMAGE_OUT: Final[dict[str, Any]] = {"outputs": ("IMAGE",), "output_names": ("images",)}
_UPLOADABLE: Final = [InputFiles.IMAGES, {"image_upload": True}]

FILE_NODES: Final = (
    NodeType(
        class_type="LoadImage",
        run=_load_image,
        required={"image": _UPLOADABLE},
        outputs=("IMAGE", "MASK"),
        display_name="Load Image",
        category="image",
        validated=("image",),
        validate=_must_exist,
        fingerprint=_file_digest,
        revisions={RETITLED: {"flags": {"essentials_category": "Basics"}}},
    ),
    NodeType(
        class_type="LoadImageMask",
        run=_load_mask,
        required={
            "image": [InputFiles.ALL, {"image_upload": True}],
            "channel": [["alpha", "red", "green", "blue"]],
        },
        outputs=("MASK",),
        display_name="Load Image (as Mask)",
        category="mask",
        validated=("image",),
        validate=_must_exist,
        fingerprint=_file_digest,
        revisions={
            RETITLED: {"category": "image", "flags": {"essentials_category": "Image Tools"}}
        },
    ),
    NodeType(
        class_type="SaveImage",
        run=_save_image,
        required={
            "images": ["IMAGE", {"tooltip": "The images to save."}],
            "filename_prefix": _PREFIX,
        },
        hidden=_HIDDEN,
        output_node=True,
        display_name="Save Image",
        description="Saves pictures as PNG in the output folder.",
        category="image",
        revisions={RETITLED: {**_IMAGE_OUT, "flags": {"essentials_category": "Basics"}}},
    ),
    NodeType(
        class_type="PreviewImage",
        run=_preview_image,
        required={"images": ["IMAGE"]},
        hidden=_HIDDEN,
        output_node=True,
        display_name="Preview Image",
        description="Saves pictures as PNG in the temp folder.",
        category="image",
        revisions={RETITLED: {**_IMAGE_OUT, "flags": {"essentials_category": "Basics"}}},
    ),
    NodeType(
        class_type="SaveAnimatedWEBP",
        run=_save_webp,
        required={
            "images": ["IMAGE"],
            "filename_prefix": _PREFIX,
            "fps": _FPS,
            "lossless": _LOSSLESS,
            "quality": _QUALITY,
            "method": [list(_WEBP_METHODS)],
        },
        hidden=_HIDDEN,
        output_node=True,
        category="image/animation",
        python_module="comfy_extras.nodes_images",
        revisions={
            RETITLED: {
                **_IMAGE_OUT,
                "run": _save_webp_v3,
                "required": {
                    "images": ["IMAGE"],
                    "filename_prefix": _PREFIX_V3,
                    "fps": _FPS,
                    "lossless": _LOSSLESS,
                    "quality": _QUALITY,
                    "method": ["COMBO", {"multiselect": False, "options": list(_WEBP_METHODS)}],
                },
                "display_name": "Save Animated WEBP",
                "category": "image",
                "v3": True,
            }
        },
    ),
    NodeType(
        class_type="SaveAnimatedPNG",
        run=_save_apng,
        required={
            "images": ["IMAGE"],
            "filename_prefix": _PREFIX,
            "fps": _FPS,
            "compress_level": ["INT", {"default": 4, "min": 0, "max": 9}],
        },
        hidden=_HIDDEN,
        output_node=True,
        category="image/animation",
        python_module="comfy_extras.nodes_images",
        revisions={
            RETITLED: {
                **_IMAGE_OUT,
                "run": _save_apng_v3,
                "required": {
                    "images": ["IMAGE"],
                    "filename_prefix": _PREFIX_V3,
                    "fps": _FPS,
                    "compress_level": ["INT", {"default": 4, "min": 0, "max": 9, "advanced": True}],
                },
                "display_name": "Save Animated PNG",
                "category": "image",
                "v3": True,
            }
        },
    ),
    NodeType(
        class_type="SaveImageWebsocket",
        run=_save_websocket,
        required={"images": ["IMAGE"]},
        output_node=True,
        category="api/image",
        python_module="custom_nodes.websocket_image_save",
        fingerprint=_never_the_same,
        revisions={RETITLED: {"display_name": "Save Image (Websocket)", "category": "image"}},
    ),
    NodeType(
        class_type="PreviewAny",
        run=_preview_any,
        required={"source": ["*", {}]},
        output_node=True,
        display_name="Preview Any",
        category="utils",
        python_module="comfy_extras.nodes_preview_any",
        revisions={
            RETITLED: {
                "outputs": ("STRING",),
                "display_name": "Preview as Text",
                "category": "utilities",
            }
        },
    ),
)
"""Nodes that load, save and show."""
