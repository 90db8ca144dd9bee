"""A typed graph: a workflow as Python, which editors complete and checkers check.

    python -m comfy_trio codegen --url http://127.0.0.1:8188 --out comfy_nodes
    PYTHONPATH=. python examples/typed_graph.py "a lighthouse in a storm"

The first command writes the classes of your server's nodes, once.
"""

import sys

import trio
from comfy_nodes import (
    CheckpointLoaderSimple,
    CLIPTextEncode,
    EmptyLatentImage,
    ImageScale,
    KSampler,
    PreviewImage,
    SaveImage,
    VAEDecode,
)

from comfy_trio import Graph, open_comfy


async def main(prompt: str) -> None:
    """Make a picture, and a small one of it."""
    ckpt = CheckpointLoaderSimple(ckpt_name="sd15.safetensors")
    latent = KSampler(
        model=ckpt.model,
        positive=CLIPTextEncode(text=prompt, clip=ckpt.clip),
        negative=CLIPTextEncode(text="text, watermark", clip=ckpt.clip),
        latent_image=EmptyLatentImage(width=512, height=512),
        sampler_name="euler",
        scheduler="normal",
        seed=-1,
    )
    image = VAEDecode(samples=latent, vae=ckpt.vae)
    small = ImageScale(
        image=image, upscale_method="lanczos", width=128, height=128, crop="disabled"
    )
    save = SaveImage(images=image, filename_prefix="typed")
    preview = PreviewImage(images=small)
    async with open_comfy() as comfy:
        result = await comfy.run(Graph(save, small=preview))
        for output in (result[save], result[preview]):  # a wrong key is an error of mypy's
            for path in await comfy.file.download_all(output["images"], "pictures"):
                print(path)


if __name__ == "__main__":
    trio.run(main, " ".join(sys.argv[1:]))
