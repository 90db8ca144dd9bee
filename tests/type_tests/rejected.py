"""What checkers must reject: each marked line, with the mypy code and the pyright rule it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_nodes import (
    BatchImagesNode,
    CheckpointLoaderSimple,
    CLIPTextEncode,
    ComfyMathExpression,
    ComfySwitchNode,
    EmptyLatentImage,
    GetImageSize,
    ImageInvert,
    KSampler,
    LoadImage,
    PreviewAny,
    PreviewImage,
    ResizeImageMaskNode,
    SaveImage,
    VAEDecode,
)

from comfy_trio import Graph

if TYPE_CHECKING:
    from comfy_nodes.types import CONDITIONING, IMAGE, LATENT, MASK, MODEL, VAE

    from comfy_trio import Comfy
    from comfy_trio.graph import FLOAT, INT, Out


def links(
    model: Out[MODEL],
    vae: Out[VAE],
    latent: Out[LATENT],
    image: Out[IMAGE],
    positive: Out[CONDITIONING],
    ckpt: CheckpointLoaderSimple,
) -> None:
    VAEDecode(
        samples=image,  # error: arg-type reportArgumentType
        vae=vae,
    )
    VAEDecode(
        samples=latent,
        vae=ckpt.clip,  # error: arg-type reportArgumentType
    )
    KSampler(
        model=ckpt,  # error: arg-type reportArgumentType
        positive=positive,
        negative=positive,
        latent_image=latent,
        sampler_name="euler",
        scheduler="normal",
    )
    KSampler(
        model=model,
        positive=positive,
        negative=positive,
        latent_image=latent,
        sampler_name="eulr",  # error: arg-type reportArgumentType
        scheduler="normal",
    )
    KSampler(
        model=model,
        positive=positive,
        negative=positive,
        latent_image=latent,
        sampler_name="euler",
        scheduler="normal",
        cgf=3.0,  # error: call-arg reportCallIssue
    )
    KSampler(  # error: call-arg reportCallIssue
        model=model,
        positive=positive,
        negative=positive,
        sampler_name="euler",
        scheduler="normal",
    )
    SaveImage(latent)  # error: call-arg,misc reportCallIssue
    ckpt.image  # error: attr-defined reportAttributeAccessIssue


def literals(image: Out[IMAGE], count: Out[INT], ratio: Out[FLOAT]) -> None:
    CLIPTextEncode(
        text=count,  # error: arg-type reportArgumentType
        clip=CheckpointLoaderSimple(ckpt_name="x").clip,
    )
    SaveImage(images=image, filename_prefix=GetImageSize(image=image).width)  # error: arg-type reportArgumentType
    EmptyLatentImage(width="512")  # error: arg-type reportArgumentType
    EmptyLatentImage(width=ratio)  # error: arg-type reportArgumentType
    EmptyLatentImage(width=512.5)  # error: arg-type reportArgumentType
    ImageInvert(image=3)  # error: arg-type reportArgumentType
    EmptyLatentImage(width=512).width = 3  # error: misc reportAttributeAccessIssue


def dynamic(image: Out[IMAGE], mask: Out[MASK], latent: Out[LATENT]) -> None:
    BatchImagesNode(images=image)  # error: arg-type reportArgumentType
    BatchImagesNode(images=[mask])  # error: list-item reportArgumentType
    ComfyMathExpression(values={"one": 1})  # error: dict-item reportArgumentType
    ComfyMathExpression(values=[image])  # error: list-item reportArgumentType
    PreviewImage(
        images=ComfySwitchNode(switch=True, on_true=mask, on_false=mask)  # error: arg-type reportArgumentType
    )
    ResizeImageMaskNode(
        input=latent,  # error: - reportArgumentType
        resize_type=ResizeImageMaskNode.ScaleWidth(),
        scale_method="area",
    )
    ResizeImageMaskNode.ScaleWidth(height=3)  # error: call-arg reportCallIssue
    ResizeImageMaskNode(
        input=image,
        resize_type="scale width",  # error: arg-type reportArgumentType
        scale_method="area",
    )
    PreviewAny(source=SaveImage(images=image))  # error: arg-type reportArgumentType


async def results(comfy: Comfy, image: Out[IMAGE], preview: PreviewImage) -> None:
    save = SaveImage(images=image)
    result = await comfy.run(save)
    print(result[save]["audio"])  # error: typeddict-item reportGeneralTypeIssues
    print(result[save]["images"][0]["name"])  # error: typeddict-item reportGeneralTypeIssues
    print(result[image])  # error: call-overload reportCallIssue,reportArgumentType
    print(result[3])  # error: call-overload reportCallIssue,reportArgumentType
    await comfy.run(ImageInvert(image=image))  # error: call-overload reportCallIssue,reportArgumentType
    await comfy.run(save, LoadImage(image="x"))  # error: call-overload reportCallIssue,reportArgumentType
    Graph(save, image=image)  # error: arg-type reportArgumentType
