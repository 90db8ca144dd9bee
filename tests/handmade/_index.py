from typing import Final

NODES: Final[dict[str, str]] = {
    "CheckpointLoaderSimple": "nodes:CheckpointLoaderSimple",
    "ComfySwitchNode": "nodes:Switch",
    "EmptyImage": "nodes:EmptyImage",
    "ImageInvert": "nodes:ImageInvert",
    "ImageStitch": "nodes:ImageStitch",
    "KSampler": "nodes:KSampler",
    "LoraLoader": "nodes:LoraLoader",
    "Odd|Names (x)": "nodes:OddNames",
    "PreviewImage": "nodes:PreviewImage",
    "ResizeImage": "nodes:ResizeImage",
    "SaveImage": "nodes:SaveImage",
    "StringFormat": "nodes:StringFormat",
}
