"""What checkers must reject: each marked line, with the mypy code and the pyright rule it names."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal

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

from comfy_trio import Graph, PromptBuilder

if TYPE_CHECKING:
    from comfy_nodes.types import CONDITIONING, IMAGE, LATENT, MASK, MODEL, VAE

    from comfy_trio import Comfy
    from comfy_trio.graph import FLOAT, INT, Out


def links(
    model: Out[MODEL],
    vae: Out[VAE],
    latent: Out[LATENT],
    image: Out[IMAGE],
    text: Out[CONDITIONING],
    ckpt: CheckpointLoaderSimple,
) -> None:
    VAEDecode(samples=image, vae=vae)  # error: arg-type reportArgumentType
    VAEDecode(samples=latent, vae=ckpt.clip)  # error: arg-type reportArgumentType
    VAEDecode(samples=latent, vae=ckpt)  # error: arg-type reportArgumentType
    VAEDecode(samples=latent)  # error: call-arg reportCallIssue
    VAEDecode(samples=latent, vae=vae, tiled=True)  # error: call-arg reportCallIssue
    KSampler(
        model=model,
        positive=text,
        negative=text,
        latent_image=latent,
        sampler_name="eulr",  # error: arg-type reportArgumentType
        scheduler="normal",
    )
    KSampler(
        model=model,
        positive=text,
        negative=text,
        latent_image=latent,
        sampler_name="euler",
        scheduler="euler",  # error: arg-type reportArgumentType
    )
    SaveImage(image)  # error: call-arg,misc reportCallIssue
    print(ckpt.image)  # error: attr-defined reportAttributeAccessIssue


def literals(image: Out[IMAGE], count: Out[INT], ratio: Out[FLOAT]) -> None:
    clip = CheckpointLoaderSimple(ckpt_name="x").clip
    CLIPTextEncode(text=count, clip=clip)  # error: arg-type reportArgumentType
    CLIPTextEncode(text=GetImageSize(image=image).width, clip=clip)  # error: arg-type reportArgumentType
    SaveImage(images=image, filename_prefix=3)  # error: arg-type reportArgumentType
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
    PreviewImage(images=ComfySwitchNode(switch=True, on_true=mask, on_false=mask))  # error: arg-type reportArgumentType
    PreviewImage(images=ComfySwitchNode(switch=True, on_true=image, on_false=mask))  # error: arg-type reportArgumentType
    wide = ResizeImageMaskNode.ScaleWidth(width=3)
    ResizeImageMaskNode(input=latent, resize_type=wide)  # error: type-var reportArgumentType
    ResizeImageMaskNode.ScaleWidth(height=3)  # error: call-arg reportCallIssue
    ResizeImageMaskNode(input=image, resize_type="scale width")  # error: arg-type reportArgumentType
    PreviewAny(source=CheckpointLoaderSimple(ckpt_name="x"))  # error: arg-type reportArgumentType


async def results(comfy: Comfy, image: Out[IMAGE]) -> None:
    save = SaveImage(images=image)
    result = await comfy.run(save)
    print(result[save]["audio"])  # error: typeddict-item reportGeneralTypeIssues
    print(result[save]["images"][0]["name"])  # error: typeddict-item reportGeneralTypeIssues
    print(result[image])  # error: call-overload reportCallIssue,reportArgumentType
    print(result[3])  # error: call-overload reportCallIssue,reportArgumentType
    await comfy.run(ImageInvert(image=image))  # error: call-overload reportCallIssue,reportArgumentType
    await comfy.run(save, LoadImage(image="x"))  # error: call-overload reportCallIssue,reportArgumentType
    Graph(save, image=image)  # error: arg-type reportArgumentType
    await comfy.run(save, frnt=True)  # error: call-overload reportCallIssue
    await comfy.submit(save, number="first")  # error: call-overload reportCallIssue,reportArgumentType
    await comfy.queue.submit(save, targets=[image])  # error: list-item reportCallIssue,reportArgumentType
    await comfy.jobs.page(status="canceled")  # error: arg-type reportArgumentType


class Key(StrEnum):
    POSITIVE = "positive"


def build(text: str) -> None:
    builder = PromptBuilder[Literal["positive", "seed"], Literal["images"]](
        {},
        inputs=("positive", "sede"),  # error: arg-type reportArgumentType
        outputs=("images",),
    )
    builder.input("sede", -1)  # error: arg-type reportArgumentType
    builder.set_input_node("images", "6.inputs.text")  # error: arg-type reportArgumentType
    builder.set_output_node("seed", "9")  # error: arg-type reportArgumentType
    builder.append_raw_input_node(text, "9")  # error: arg-type reportArgumentType
    builder.input("seed", -1, os="windows")  # error: arg-type reportArgumentType
    inferred = PromptBuilder({}, inputs=("seed",), outputs=("images",))
    inferred.input("sede", -1)  # error: - reportArgumentType
    enumerated = PromptBuilder({}, inputs=Key, outputs=("images",))
    enumerated.input("positive", "")  # error: arg-type reportArgumentType
    enumerated.input(Key.NEGATIVE, "")  # error: attr-defined reportAttributeAccessIssue
