"""What checkers must accept, over the nodes of a real server's core."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeAlias, assert_type

import attrs
from comfy_nodes import (
    BatchImagesNode,
    CheckpointLoaderSimple,
    CLIPTextEncode,
    ComfyMathExpression,
    ComfySwitchNode,
    CreateList,
    EmptyLatentImage,
    GetImageSize,
    ImageScale,
    KSampler,
    LoadImage,
    LoraLoader,
    PreviewAny,
    PreviewImage,
    ResizeImageMaskNode,
    SaveAudio,
    SaveImage,
    StringConcatenate,
    VAEDecode,
)
from comfy_nodes.core.choices import SamplerName
from comfy_nodes.types import IMAGE, LATENT, MODEL

from comfy_trio import (
    Comfy,
    Graph,
    PromptBuilder,
    Submission,
    SubmitOptions,
    UnknownNode,
    Workflow,
)
from comfy_trio.graph import INT, Out
from comfy_trio.types import ImagesOutput, TextOutput


def sample(model: Out[MODEL], text: str, *, sampler: SamplerName = "euler") -> Out[LATENT]:
    ckpt = CheckpointLoaderSimple(ckpt_name="sd15.safetensors")
    return KSampler(
        model=model,
        positive=CLIPTextEncode(text=text, clip=ckpt.clip),
        negative=CLIPTextEncode(text="", clip=ckpt.clip),
        latent_image=EmptyLatentImage(width=512, height=512),
        sampler_name=sampler,
        scheduler="karras",
        seed=-1,
    )


def upscale(image: Out[IMAGE]) -> Out[IMAGE]:
    size = GetImageSize(image=image)
    assert_type(size.width, Out[INT])
    return ImageScale(
        image=image, width=size.width, height=size.height, upscale_method="lanczos", crop="center"
    )


async def run(comfy: Comfy) -> None:
    ckpt = CheckpointLoaderSimple(ckpt_name="any file, for lists of files are open")
    lora = LoraLoader(model=ckpt.model, clip=ckpt.clip, lora_name="x.safetensors")
    assert_type(lora.model, Out[MODEL])
    latent = sample(lora.model, "a cat", sampler="dpmpp_2m")
    image = VAEDecode(samples=latent, vae=ckpt.vae)
    save = SaveImage(images=upscale(image))
    preview = PreviewImage(images=image)

    result = await comfy.run(save)
    assert_type(result[save], ImagesOutput)
    filename: str = result[save]["images"][0]["filename"]
    print(filename)
    both = await comfy.run(save, preview)
    print(both[preview]["images"][0]["type"])
    named = await comfy.run(Graph(save, small=preview))
    print(named["small"]["images"])
    async with comfy.open_job(save, preview) as job:
        print((await job.wait())[save])
    await (await comfy.submit(save)).wait()
    await comfy.run(Workflow.from_graph(Graph(save)).set("1.inputs.steps", 3))
    await comfy.run({"1": {"class_type": "X", "inputs": {}}})
    print((await comfy.run(save, preview, front=True, targets=[save]))[save]["images"])
    async with comfy.open_job(save, number=-1, targets=save, preview_method="none") as job:
        print(job.number)
    options: SubmitOptions = {"extra_data": {"a": 1}, "number": None}
    await comfy.submit(save, **options)
    assert_type(await comfy.queue.submit(save, preview, targets=["2"]), Submission)


async def dynamic(comfy: Comfy, image: Out[IMAGE]) -> None:
    loaded = LoadImage(image="x.png")
    batch = BatchImagesNode(images=[image, loaded.image])
    resized = ResizeImageMaskNode(
        input=batch,
        resize_type=ResizeImageMaskNode.ScaleDimensions(width=64, crop="disabled"),
        scale_method="area",
    )
    masked = ResizeImageMaskNode(
        input=loaded.mask,
        resize_type=ResizeImageMaskNode.MatchSize(match=image),
        scale_method="area",
    )
    switch = ComfySwitchNode(switch=True, on_true=resized, on_false=image)
    assert_type(switch, ComfySwitchNode[IMAGE])
    SaveImage(images=switch)
    PreviewImage(images=CreateList(inputs=[image, image]))
    text = PreviewAny(source=StringConcatenate(string_a="a", string_b="b", delimiter=""))
    PreviewAny(source=3)
    PreviewAny(source=masked)
    numbers = ComfyMathExpression(expression="a + b", values={"a": 1, "b": 2.5})
    EmptyLatentImage(width=numbers.int_, height=ComfyMathExpression(values=[1]).int_)
    result = await comfy.run(text)
    assert_type(result[text], TextOutput)
    print(result[text]["text"][0])
    unknown = UnknownNode("Some Node", {"image": image})
    SaveImage(images=unknown.output(1))
    print((await comfy.run(unknown))[unknown]["anything"])


def evolve(first: SaveImage) -> SaveImage:
    second = attrs.evolve(first, filename_prefix="other")
    assert_type(second, SaveImage)
    return second.with_title("A title")


def sounds(unknown: UnknownNode) -> SaveAudio:
    return SaveAudio(audio=unknown, filename_prefix="sound")


Portrait: TypeAlias = PromptBuilder[Literal["positive", "seed"], Literal["images"]]


class Key(StrEnum):
    POSITIVE = "positive"


async def build(comfy: Comfy, text: str) -> None:
    in_brackets = PromptBuilder[Literal["positive", "seed"], Literal["images"]](
        {}, inputs=("positive", "seed"), outputs=("images",)
    )
    annotated: Portrait = PromptBuilder({}, inputs=("positive", "seed"), outputs=("images",))
    for builder in (in_brackets, annotated, Portrait.from_json(text)):
        assert_type(builder, Portrait)
        mapped = builder.set_input_node("seed", "3.inputs.seed").set_output_node("images", "9")
        await comfy.run(mapped.input("seed", -1).input("positive", None, os="nt"))
    enumerated = PromptBuilder({}, inputs=Key, outputs=("images",))
    enumerated.set_input_node(Key.POSITIVE, "6.inputs.text").input(Key.POSITIVE, "")
    unknown = PromptBuilder({}, inputs=tuple(text.split()), outputs=("images",))
    unknown.input(text, 5)
