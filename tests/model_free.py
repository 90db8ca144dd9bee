"""What of a prompt a server runs that has no models, no keys, and no files but one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from comfy_trio._prompt import as_link
from comfy_trio._util import as_list, as_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOADERS_OF_PICTURES: Final = frozenset({"LoadImage", "LoadImageMask"})
UPLOADS: Final = ("audio_upload", "file_upload", "image_upload", "video_upload")
OUT_OF_REACH: Final = ("api node", "partner", "image/shader")
"""Categories of nodes that ask paid services, or need a graphics card."""
MADE_BY_MODELS: Final = frozenset(
    {
        *("AUDIO_ENCODER", "AUDIO_ENCODER_OUTPUT", "CLIP", "CLIP_VISION", "CLIP_VISION_OUTPUT"),
        *("CONDITIONING", "CONTROL_NET", "GLIGEN", "GUIDER", "LATENT_UPSCALE_MODEL", "MODEL"),
        *("MODEL_PATCH", "PHOTOMAKER", "STYLE_MODEL", "UPSCALE_MODEL", "VAE"),
    }
)
PREVIEWS: Final = {"IMAGE": ("PreviewImage", "images"), "MASK": ("MaskPreview", "mask")}


def model_free_part(prompt: Mapping[str, Any], object_info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nodes of a prompt that can be run, with a preview of what they gave to others.

    It is empty if none can, or there is nothing to show for it.
    """
    free = {key for key, node in prompt.items() if _is_free(node, object_info)}
    while starved := {key for key in free if not free.issuperset(_sources(prompt[key]))}:
        free -= starved
    part: dict[str, Any] = {key: prompt[key] for key in prompt if key in free}
    for key in prompt.keys() - free:
        for source, slot in filter(None, map(as_link, prompt[key]["inputs"].values())):
            if source in free:
                output = object_info[prompt[source]["class_type"]]["output"][slot]
                class_type, name = PREVIEWS.get(str(output), ("PreviewAny", "source"))
                preview = {"class_type": class_type, "inputs": {name: [source, slot]}}
                part[f"preview:{source}:{slot}"] = preview
    shown = (object_info[node["class_type"]].get("output_node") for node in part.values())
    return part if any(shown) else {}


def load_only(prompt: dict[str, Any], name: str) -> dict[str, Any]:
    """Have all nodes of a prompt that load a picture load the one of this name."""
    for node in prompt.values():
        if node["class_type"] in LOADERS_OF_PICTURES:
            node["inputs"]["image"] = name
    return prompt


def _is_free(node: Mapping[str, Any], object_info: Mapping[str, Any]) -> bool:
    class_type = node["class_type"]
    if class_type in LOADERS_OF_PICTURES:
        return True
    declared = as_object(object_info.get(class_type))
    category = str(declared.get("category"))
    if not declared or category.startswith(OUT_OF_REACH) or "loaders" in category.split("/"):
        return False
    sections = as_object(declared["input"])
    specs = [
        as_list(spec)
        for section in ("required", "optional")
        for spec in as_object(sections.get(section)).values()
    ]
    asks_for_files = any(as_object(spec[-1]).get(flag) for spec in specs for flag in UPLOADS)
    types = {*map(str, as_list(declared["output"])), *(str(spec[0]) for spec in specs)}
    return not asks_for_files and types.isdisjoint(MADE_BY_MODELS)


def _sources(node: Mapping[str, Any]) -> Iterator[str]:
    for source, _ in filter(None, map(as_link, node["inputs"].values())):
        yield source
