"""Image to image: a picture of yours is uploaded, and painted over with other words.

python examples/image_to_image.py photo.png "the same in winter"
"""

import sys
from pathlib import Path

import trio

from comfy_trio import Workflow, open_comfy

WORKFLOW = Path(__file__).parent / "workflows" / "text_to_image.json"


def image_to_image(picture: str, prompt: str) -> Workflow:
    """The workflow of text to image, but for where it begins: at a picture, not at noise."""
    prompt_json = Workflow.from_file(WORKFLOW).to_dict()
    prompt_json["1"] = {"class_type": "LoadImage", "inputs": {"image": ""}}
    prompt_json["5"] = {
        "class_type": "VAEEncode",
        "inputs": {"pixels": ["1", 0], "vae": ["4", 2]},
    }
    workflow = Workflow(prompt_json).output("picture", "9")
    workflow.attach_image("1", "image", picture)
    workflow.set("6.inputs.text", prompt)
    return workflow.set("3.inputs.denoise", 0.6)


async def main(picture: str, prompt: str) -> None:
    """Paint a picture over."""
    async with open_comfy() as comfy:
        result = await comfy.run(image_to_image(picture, prompt))
        for path in await comfy.file.download_all(result.files("picture"), "pictures"):
            print(path)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], " ".join(sys.argv[2:]))
