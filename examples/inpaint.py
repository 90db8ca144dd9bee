"""Inpainting: a part of a picture is painted anew, after words, and the rest is kept.

    python examples/inpaint.py photo.png mask.png "a hot-air balloon"

The mask is a picture, too: white where to paint.
"""

import sys
from pathlib import Path

import trio

from comfy_trio import Workflow, open_comfy

WORKFLOW = Path(__file__).parent / "workflows" / "text_to_image.json"


def inpaint(picture: str, mask: str, prompt: str) -> Workflow:
    """The workflow of text to image, but that it begins at a picture of which a part is empty."""
    prompt_json = Workflow.from_file(WORKFLOW).to_dict()
    prompt_json["1"] = {"class_type": "LoadImage", "inputs": {"image": ""}}
    prompt_json["2"] = {"class_type": "LoadImageMask", "inputs": {"image": "", "channel": "red"}}
    prompt_json["5"] = {
        "class_type": "VAEEncodeForInpaint",
        "inputs": {"pixels": ["1", 0], "mask": ["2", 0], "vae": ["4", 2], "grow_mask_by": 6},
    }
    workflow = Workflow(prompt_json).set("6.inputs.text", prompt).output("picture", "9")
    return workflow.attach_image("1", "image", picture).attach_image("2", "image", mask)


async def main(picture: str, mask: str, prompt: str) -> None:
    """Paint a part of a picture anew."""
    async with open_comfy() as comfy:
        result = await comfy.run(inpaint(picture, mask, prompt))
        for path in await comfy.file.download_all(result.files("picture"), "pictures"):
            print(path)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2], " ".join(sys.argv[3:]))
