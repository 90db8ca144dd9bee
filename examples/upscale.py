"""Upscaling: every picture of a directory, twice as large, four at a time.

    python examples/upscale.py photos

It needs no model: `ImageScaleBy` calculates. With one, put `UpscaleModelLoader` and
`ImageUpscaleWithModel` in its place.
"""

import sys
from pathlib import Path

import trio

from comfy_trio import Comfy, Workflow, open_comfy


def upscale(picture: Path) -> Workflow:
    """A workflow that uploads a picture and enlarges it."""
    workflow = Workflow(
        {
            "1": {"class_type": "LoadImage", "inputs": {"image": ""}},
            "2": {
                "class_type": "ImageScaleBy",
                "inputs": {"image": ["1", 0], "upscale_method": "lanczos", "scale_by": 2.0},
            },
            "3": {
                "class_type": "SaveImage",
                "inputs": {"images": ["2", 0], "filename_prefix": picture.stem},
            },
        }
    )
    return workflow.attach_image("1", "image", picture)


async def enlarge(comfy: Comfy, picture: Path, limiter: trio.CapacityLimiter) -> None:
    """Enlarge one picture."""
    async with limiter:
        result = await comfy.run(upscale(picture))
    for path in await comfy.file.download_all(result.files(), "large"):
        print(f"{picture} -> {path}")


async def main(directory: str) -> None:
    """Enlarge all pictures of a directory."""
    limiter = trio.CapacityLimiter(4)
    async with open_comfy() as comfy, trio.open_nursery() as nursery:
        for picture in sorted(await trio.Path(directory).glob("*.png")):
            nursery.start_soon(enlarge, comfy, Path(picture), limiter)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
