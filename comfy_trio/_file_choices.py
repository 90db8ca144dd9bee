"""Which choices are among files at the server: those that change without the server changing."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SUFFIXES: Final = frozenset(
    f".{suffix}"
    for suffix in (
        *("bin", "ckpt", "gguf", "npz", "onnx", "pkl", "pt", "pt2", "pth", "safetensors", "sft"),
        "vae",
        *("latent", "yaml", "yml"),
        *("avif", "bmp", "exr", "gif", "hdr", "jpeg", "jpg", "png", "svg", "tga", "tif", "tiff"),
        "webp",
        *("aac", "flac", "m4a", "mp3", "ogg", "opus", "wav"),
        *("avi", "m4v", "mkv", "mov", "mp4", "webm"),
        *("fbx", "glb", "gltf", "ksplat", "obj", "ply", "splat", "spz", "stl", "usdz"),
    )
)

# Of the inputs by which core picks a file of one of its folders, without the numbers after them. A
# list may be without any of the suffixes and yet be one of files: that of `vae_name` begins with
# "pixel_space", `existing_lora` has "[None]", and `folder` and `model_path` are of directories.
NAMES: Final = frozenset(
    {
        *("audio_encoder_name", "bg_removal_name", "ckpt_name", "clip_name", "clip_vision_name"),
        *("config_name", "control_net_name", "existing_lora", "file", "folder", "gligen_name"),
        *("hypernetwork_name", "lora_name", "model_path", "photomaker_model_name"),
        *("style_model_name", "unet_name", "vae_name"),
    }
)
_NUMBER: Final = re.compile(r"_?\d+$")


def are_files(name: str, options: Sequence[object], settings: Mapping[str, object]) -> bool:
    """Tell whether what a choice offers are files, or comes and goes like those.

    Args:
        name: Of the input.
        options: What it offers now.
        settings: What else the server declares of the input.
    """
    return (
        not options
        or _NUMBER.sub("", name) in NAMES
        or bool(settings.get("remote") or settings.get("image_folder"))
        or any(key.endswith("_upload") and value for key, value in settings.items())
        or any(isinstance(option, str) and is_file(option) for option in options)
    )


def is_file(option: str) -> bool:
    """Tell whether a name is that of a file, by how it ends."""
    # A name that is a suffix and nothing else, like ".png", is a format to choose.
    return PurePosixPath(option.replace("\\", "/")).suffix.lower() in SUFFIXES
