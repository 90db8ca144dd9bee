from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from PIL import Image, ImageStat

from comfy_trio.testing._files import FileStore
from comfy_trio.testing._node_type import ExecutionBlocked, NodeResult
from comfy_trio.testing._registry import CORE_NODES, core_nodes
from comfy_trio.testing._values import Conditioning, Images, Latent, Masks, Model

if TYPE_CHECKING:
    from pathlib import Path

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)
OLD, NEW = (0, 3, 64), (0, 27, 0)


@attrs.define
class FakeRun:
    """What the engine gives a node, recording what the node does with it."""

    files: FileStore
    node_id: str = "7"
    prompt: dict[str, Any] = attrs.field(factory=lambda: {"7": {"class_type": "X"}})
    extra_pnginfo: dict[str, Any] | None = None
    steps: list[tuple[float, float]] = attrs.field(factory=list["tuple[float, float]"])
    previews: list[Image.Image | None] = attrs.field(factory=list["Image.Image | None"])
    slept: list[float] = attrs.field(factory=list[float])
    sent: list[Image.Image] = attrs.field(factory=list[Image.Image])
    texts: list[str] = attrs.field(factory=list[str])

    async def progress(
        self, value: float, maximum: float, preview: Image.Image | None = None
    ) -> None:
        self.steps.append((value, maximum))
        self.previews.append(preview)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def send_image(self, image: Image.Image, value: float, maximum: float) -> None:
        self.steps.append((value, maximum))
        self.sent.append(image)

    async def send_text(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    return FakeRun(FileStore(tmp_path))


async def ran(
    run: FakeRun, class_type: str, *, version: tuple[int, ...] = NEW, **inputs: Any
) -> NodeResult:
    node = next(node for node in CORE_NODES if node.class_type == class_type).at(version)
    return await node.run(run, **inputs)


async def value(run: FakeRun, class_type: str, **inputs: Any) -> Any:
    return (await ran(run, class_type, **inputs)).values[0]


def picture(color: tuple[int, int, int] = RED, size: tuple[int, int] = (8, 6)) -> Image.Image:
    return Image.new("RGB", size, color)


def images(*colors: tuple[int, int, int], size: tuple[int, int] = (8, 6)) -> Images:
    return Images(tuple(picture(color, size) for color in colors or (RED,)))


def colors_of(batch: Images) -> list[Any]:
    return [frame.getpixel((0, 0)) for frame in batch.frames]


def ui(result: NodeResult) -> dict[str, Any]:
    assert result.ui is not None
    assert json.loads(json.dumps(result.ui)) == result.ui
    return result.ui


# All of them


@pytest.mark.parametrize("version", [OLD, NEW])
@pytest.mark.parametrize("node", CORE_NODES, ids=lambda node: node.class_type)
def test_nodes_take_what_they_declare(node: Any, version: tuple[int, ...]) -> None:
    node = node.at(version)
    parameters = inspect.signature(node.run).parameters
    takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    for name in (*node.required, *node.optional, *node.hidden):
        assert takes_all or name in parameters
    assert inspect.iscoroutinefunction(inspect.unwrap(getattr(node.run, "func", node.run)))


# Pictures


async def test_empty_image(run: FakeRun) -> None:
    made = await value(run, "EmptyImage", width=5, height=4, batch_size=3, color=0x102030)
    assert made.size == (5, 4)
    assert colors_of(made) == [(16, 32, 48)] * 3


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(16, 16, (16, 16)), (0, 12, (16, 12)), (16, 0, (16, 12)), (0, 0, (8, 6))],
)
@pytest.mark.parametrize("crop", ["disabled", "center"])
@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"])
async def test_scale(
    run: FakeRun, width: int, height: int, expected: tuple[int, int], crop: str, method: str
) -> None:
    inputs: dict[str, Any] = {"image": images(), "upscale_method": method}
    made = await value(run, "ImageScale", width=width, height=height, crop=crop, **inputs)
    assert made.size == expected
    assert colors_of(made) == [RED]


async def test_scale_by(run: FakeRun) -> None:
    made = await value(run, "ImageScaleBy", image=images(), upscale_method="area", scale_by=1.5)
    assert made.size == (12, 9)


async def test_crop_stays_within_the_picture(run: FakeRun) -> None:
    made = await value(run, "ImageCrop", image=images(), width=4, height=3, x=2, y=1)
    assert made.size == (4, 3)
    made = await value(run, "ImageCrop", image=images(), width=4, height=3, x=100, y=5)
    assert made.size == (1, 1)


async def test_invert(run: FakeRun) -> None:
    assert colors_of(await value(run, "ImageInvert", image=images(RED, BLUE))) == [
        (0, 255, 255),
        (255, 255, 0),
    ]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("normal", (128, 0, 128)),
        ("multiply", (128, 0, 0)),
        ("screen", (255, 0, 128)),
        ("overlay", (255, 0, 0)),
        ("soft_light", (255, 0, 0)),
        ("difference", (255, 0, 0)),
    ],
)
async def test_blend(run: FakeRun, mode: str, expected: tuple[int, int, int]) -> None:
    below, above = images(RED), images(BLUE, BLUE, size=(4, 4))
    made = await value(
        run, "ImageBlend", image1=below, image2=above, blend_factor=0.5, blend_mode=mode
    )
    assert len(made.frames) == 2
    same = await value(
        run, "ImageBlend", image1=below, image2=below, blend_factor=0.0, blend_mode=mode
    )
    assert colors_of(same) == [RED]
    for mine, theirs in zip(colors_of(made)[0], expected, strict=True):
        assert abs(mine - theirs) <= 1


async def test_batch(run: FakeRun) -> None:
    made = await value(run, "ImageBatch", image1=images(RED), image2=images(BLUE, size=(3, 3)))
    assert {frame.size for frame in made.frames} == {(8, 6)}
    assert colors_of(made) == [RED, BLUE]


async def test_composite(run: FakeRun) -> None:
    common: dict[str, Any] = {"destination": images(RED, RED), "x": 2, "y": 1}
    small = images(BLUE, size=(2, 2))
    made = await value(run, "ImageCompositeMasked", source=small, resize_source=False, **common)
    assert [f.getpixel((2, 1)) for f in made.frames] == [BLUE, BLUE]
    assert made.frames[0].getpixel((4, 1)) == RED

    mask = Masks((Image.new("L", (1, 1), 0),))
    made = await value(
        run, "ImageCompositeMasked", source=small, resize_source=True, mask=mask, **common
    )
    assert made.frames[0].getpixel((2, 1)) == RED
    made = await value(run, "ImageCompositeMasked", source=small, resize_source=True, **common)
    assert made.frames[0].getpixel((7, 5)) == BLUE


async def test_pad_for_outpainting(run: FakeRun) -> None:
    sides: dict[str, Any] = {"left": 8, "top": 0, "right": 16, "bottom": 8}
    source = images(size=(40, 40))
    result = await ran(run, "ImagePadForOutpaint", image=source, feathering=10, **sides)
    padded, mask = result.values
    assert isinstance(padded, Images)
    assert isinstance(mask, Masks)
    assert padded.size == mask.size == (64, 48)
    assert padded.frames[0].getpixel((0, 0)) == (128, 128, 128)
    assert padded.frames[0].getpixel((8, 0)) == RED
    levels = [mask.frames[0].getpixel((x, 20)) for x in (0, 8, 12, 28, 40, 47, 60)]
    assert levels == [255, 255, 92, 0, 10, 207, 255]
    assert mask.frames[0].getpixel((28, 0)) == 0
    assert mask.frames[0].getpixel((28, 39)) == 207

    result = await ran(run, "ImagePadForOutpaint", image=source, feathering=20, **sides)
    hard = result.values[1]
    assert isinstance(hard, Masks)
    assert hard.frames[0].getpixel((8, 20)) == 0


# Files


async def test_load_image(run: FakeRun) -> None:
    Image.new("RGBA", (5, 4), (1, 2, 3, 100)).save(run.files.annotated("a.png"))
    loaded, mask = (await ran(run, "LoadImage", image="a.png")).values
    assert isinstance(loaded, Images)
    assert isinstance(mask, Masks)
    assert colors_of(loaded) == [(1, 2, 3)]
    assert mask.frames[0].getpixel((0, 0)) == 155


async def test_load_image_without_alpha_and_by_annotation(run: FakeRun) -> None:
    picture().save(run.files.annotated("a.jpg [temp]"))
    mask = (await ran(run, "LoadImage", image="a.jpg [temp]")).values[1]
    assert isinstance(mask, Masks)
    assert mask.size == (64, 64)
    assert mask.frames[0].getbbox() is None


async def test_load_image_with_a_transparent_palette_colour(run: FakeRun) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.putpixel((1, 0), 1)
    image.save(run.files.annotated("p.png"), transparency=0)
    mask = (await ran(run, "LoadImage", image="p.png")).values[1]
    assert isinstance(mask, Masks)
    assert [mask.frames[0].getpixel((x, 0)) for x in (0, 1)] == [255, 0]


async def test_load_animation(run: FakeRun) -> None:
    path = run.files.annotated("a.gif")
    picture(RED).save(path, save_all=True, append_images=[picture(BLUE)])
    assert len((await value(run, "LoadImage", image="a.gif")).frames) == 2


async def test_load_image_skips_frames_of_other_sizes(run: FakeRun) -> None:
    path = run.files.annotated("a.tiff")
    others = [picture(BLUE, (3, 3)), picture(WHITE)]
    picture(RED).save(path, save_all=True, append_images=others)
    assert colors_of(await value(run, "LoadImage", image="a.tiff")) == [RED, WHITE]


@pytest.mark.parametrize(
    ("channel", "level"), [("alpha", 155), ("red", 1), ("green", 2), ("blue", 3)]
)
async def test_load_mask(run: FakeRun, channel: str, level: int) -> None:
    Image.new("RGBA", (5, 4), (1, 2, 3, 100)).save(run.files.annotated("a.png"))
    mask = await value(run, "LoadImageMask", image="a.png", channel=channel)
    assert mask.frames[0].getpixel((0, 0)) == level


def test_loading_nodes_run_again_when_the_file_changes(run: FakeRun) -> None:
    load = next(node for node in CORE_NODES if node.class_type == "LoadImage")
    assert load.fingerprint is not None
    run.files.upload("a.png", b"1")
    before = load.fingerprint(run.files, image="a.png")
    assert load.fingerprint(run.files, image="a.png") == before
    run.files.upload("a.png", b"2", overwrite=True)
    assert load.fingerprint(run.files, image="a.png") != before
    linked = load.fingerprint(run.files, image=None)
    assert linked != linked


async def test_save_image(run: FakeRun) -> None:
    run.extra_pnginfo = {"workflow": {"id": "é"}}
    batch = images(RED, BLUE)
    result = await ran(run, "SaveImage", images=batch, filename_prefix="sub/%width%")
    assert result.values == (batch,)
    assert ui(result) == {
        "images": [
            {"filename": f"8_0000{number}_.png", "subfolder": "sub", "type": "output"}
            for number in (1, 2)
        ]
    }
    with Image.open(run.files.folder("output") / "sub" / "8_00002_.png") as saved:
        assert saved.convert("RGB").getpixel((0, 0)) == BLUE
        assert json.loads(saved.info["prompt"]) == run.prompt
        assert json.loads(saved.info["workflow"]) == {"id": "é"}


async def test_preview_image_goes_to_temp_under_a_name_of_the_node(run: FakeRun) -> None:
    file = ui(await ran(run, "PreviewImage", images=images()))["images"][0]
    assert file["type"] == "temp"
    assert file["filename"].startswith("ComfyUI_temp_")
    assert file["filename"].endswith("_00001_.png")
    run.node_id = "8"
    other = ui(await ran(run, "PreviewImage", images=images()))["images"][0]
    assert other["filename"][:18] != file["filename"][:18]


WEBP: dict[str, Any] = {
    "filename_prefix": "w",
    "fps": 10.0,
    "lossless": True,
    "quality": 80,
    "method": "fastest",
}
APNG: dict[str, Any] = {"filename_prefix": "p", "fps": 10.0, "compress_level": 4}


async def test_save_animated_webp(run: FakeRun) -> None:
    run.extra_pnginfo = {"workflow": {"a": 1}}
    result = await ran(run, "SaveAnimatedWEBP", images=images(RED, BLUE), **WEBP)
    assert ui(result)["animated"] == [True]
    with Image.open(run.files.folder("output") / "w_00001_.webp") as saved:
        assert getattr(saved, "n_frames", 1) == 2
        exif = saved.getexif()
    assert exif[0x0110] == f"prompt:{json.dumps(run.prompt)}"
    assert exif[0x010F] == 'workflow:{"a": 1}'


async def test_save_animated_png(run: FakeRun) -> None:
    result = await ran(run, "SaveAnimatedPNG", images=images(RED, BLUE), **APNG)
    assert ui(result)["animated"] == [True]
    path = run.files.folder("output") / "p_00001_.png"
    with Image.open(path) as saved:
        assert getattr(saved, "n_frames", 1) == 2
    assert b"comfprompt\0{" in path.read_bytes()


@pytest.mark.parametrize(
    ("class_type", "inputs", "before"),
    [("SaveAnimatedWEBP", WEBP, [False]), ("SaveAnimatedPNG", APNG, [True])],
)
async def test_animation_of_one_frame(
    run: FakeRun, class_type: str, inputs: dict[str, Any], before: list[bool]
) -> None:
    old = ui(await ran(run, class_type, version=OLD, images=images(), **inputs))
    assert old["animated"] == before
    assert "animated" not in ui(await ran(run, class_type, images=images(), **inputs))


async def test_save_to_websocket(run: FakeRun) -> None:
    result = await ran(run, "SaveImageWebsocket", images=images(RED, BLUE))
    assert result == NodeResult()
    assert [image.getpixel((0, 0)) for image in run.sent] == [RED, BLUE]
    assert run.steps == [(0, 2), (1, 2)]
    node = next(node for node in CORE_NODES if node.class_type == "SaveImageWebsocket")
    assert node.fingerprint is not None
    assert node.fingerprint(run.files) != 0


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("words", "words"),
        (None, "None"),
        (2.5, "2.5"),
        (True, "True"),
        ([1], "[\n    1\n]"),
        (Model("m"), "Model(name='m', loras=())"),
    ],
)
async def test_preview_any(run: FakeRun, source: object, text: str) -> None:
    result = await ran(run, "PreviewAny", source=source)
    assert result == NodeResult((text,), {"text": [text]})


# Text to image


async def sampled(run: FakeRun, latent: Latent, **changes: Any) -> Latent:
    inputs: dict[str, Any] = {
        "model": Model("sd15.safetensors"),
        "seed": 1,
        "steps": 3,
        "cfg": 8.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "positive": Conditioning("a quiet lake"),
        "negative": Conditioning(""),
        "latent_image": latent,
        "denoise": 1.0,
    }
    result: Latent = await value(run, "KSampler", **(inputs | changes))
    return result


async def test_text_to_image(run: FakeRun) -> None:
    model, clip, vae = (await ran(run, "CheckpointLoaderSimple", ckpt_name="a")).values
    model, clip = (
        await ran(
            run,
            "LoraLoader",
            model=model,
            clip=clip,
            lora_name="l",
            strength_model=0.5,
            strength_clip=1.0,
        )
    ).values
    assert model == Model("a", (("l", 0.5),))
    words = await value(run, "CLIPTextEncode", text="hills", clip=clip)
    latent = await value(run, "EmptyLatentImage", width=70, height=48, batch_size=2)
    assert (latent.width, latent.height) == (8, 6)
    grey = await value(run, "VAEDecode", samples=latent, vae=vae)
    assert colors_of(grey) == [(128, 128, 128)] * 2
    painted = await sampled(run, latent, model=model, positive=words)
    decoded = await value(run, "VAEDecode", samples=painted, vae=vae)
    assert decoded.size == (64, 48)
    first, second = (frame.tobytes() for frame in decoded.frames)
    assert first != second


async def test_sampler_reports_steps_with_previews(run: FakeRun) -> None:
    result = await sampled(run, Latent(96, 64, (None,)), steps=2)
    assert run.steps == [(1, 2), (2, 2)]
    assert run.slept == [0.05, 0.05]
    assert [each.size for each in run.previews if each] == [(512, 341)] * 2
    assert run.previews[0] != run.previews[1]
    assert result.samples[0] is not None
    assert result.samples[0].size == (768, 512)


async def test_pace_of_the_sampler(run: FakeRun) -> None:
    sampler = next(node for node in core_nodes(2.0) if node.class_type == "KSampler")
    await sampler.run(
        run,
        model=Model("m"),
        seed=0,
        steps=1,
        cfg=1.0,
        sampler_name="euler",
        scheduler="normal",
        positive=Conditioning(""),
        negative=Conditioning(""),
        latent_image=Latent(2, 2, (None,)),
    )
    assert run.slept == [2.0]


async def test_sampler_is_deterministic_and_heeds_its_inputs(run: FakeRun) -> None:
    latent = Latent(8, 8, (None,))
    base = (await sampled(run, latent)).samples
    assert (await sampled(run, latent)).samples == base
    for change in (
        {"seed": 2},
        {"cfg": 3.0},
        {"steps": 20},
        {"sampler_name": "heun"},
        {"positive": Conditioning("a forest")},
        {"negative": Conditioning("lake")},
        {"model": Model("other")},
    ):
        assert (await sampled(run, latent, **change)).samples != base


async def test_image_to_image(run: FakeRun) -> None:
    source = images(RED, size=(67, 64))
    latent = await value(run, "VAEEncode", pixels=source, vae=Model("v"))
    assert (latent.width, latent.height) == (8, 8)
    assert (await sampled(run, latent, denoise=0.0)) is latent
    assert run.steps == []
    light = (await sampled(run, latent, denoise=0.2)).samples[0]
    assert light is not None
    assert ImageStat.Stat(light).mean[0] > 200
    assert run.previews[-1] is not None


def half_mask(size: tuple[int, int]) -> Masks:
    """The right half."""
    mask = Image.new("L", size, 0)
    mask.paste(255, (size[0] // 2, 0, *size))
    return Masks((mask,))


@pytest.mark.parametrize("class_type", ["VAEEncodeForInpaint", "SetLatentNoiseMask"])
async def test_inpainting(run: FakeRun, class_type: str) -> None:
    source, mask, vae = images(RED, size=(64, 64)), half_mask((32, 32)), Model("v")
    if class_type == "SetLatentNoiseMask":
        plain = await value(run, "VAEEncode", pixels=source, vae=vae)
        latent = await value(run, class_type, samples=plain, mask=mask)
    else:
        latent = await value(run, class_type, pixels=source, vae=vae, mask=mask, grow_mask_by=6)
    painted = (await sampled(run, latent)).samples[0]
    assert painted is not None
    kept = painted.crop((0, 0, 24, 64))
    assert kept.getcolors() == [(24 * 64, RED)]
    anew = painted.crop((40, 0, 64, 64)).getcolors()
    assert anew is None or RED not in [color for _, color in anew]
    preview = run.previews[-1]
    assert preview is not None
    assert preview.getpixel((2, 2)) == RED


async def test_a_mask_where_nothing_is_drawn_yet(run: FakeRun) -> None:
    empty = await value(run, "EmptyLatentImage", width=64, height=64)
    latent = await value(run, "SetLatentNoiseMask", samples=empty, mask=half_mask((64, 64)))
    painted = (await sampled(run, latent)).samples[0]
    assert painted is not None
    assert painted.crop((0, 0, 32, 64)).getcolors() == [(32 * 64, (128, 128, 128))]
    assert painted.crop((32, 0, 64, 64)).getcolors() is None


async def test_what_is_to_be_inpainted_is_grown_and_forgotten(run: FakeRun) -> None:
    source, mask = images(RED, size=(64, 64)), half_mask((64, 64))
    inputs: dict[str, Any] = {"pixels": source, "vae": Model("v"), "mask": mask}
    for grown in (0, 6):
        latent = await value(run, "VAEEncodeForInpaint", grow_mask_by=grown, **inputs)
        assert latent.samples[0].getpixel((31, 9)) == RED
        assert latent.samples[0].getpixel((32, 9)) == (128, 128, 128)
        assert latent.mask.getpixel((32 - grown // 2, 9)) == 255
        assert latent.mask.getpixel((31 - grown // 2, 9)) == 0


# Probes


async def test_probe_progress(run: FakeRun) -> None:
    source = images()
    inputs: dict[str, Any] = {"image": source, "steps": 3, "delay": 0.5}
    assert await value(run, "ProbeProgress", preview_px=9, salt=1, **inputs) is source
    assert run.steps == [(1, 3), (2, 3), (3, 3)]
    assert run.slept == [0.5] * 3
    assert [each.size for each in run.previews if each] == [(9, 9)] * 3
    await value(run, "ProbeProgress", preview_px=0, **inputs)
    assert run.previews[3:] == [None] * 3


async def test_probe_fail(run: FakeRun) -> None:
    with pytest.raises(RuntimeError, match=r"^boom$"):
        await ran(run, "ProbeFail", image=images(), message="boom")


async def test_probe_text(run: FakeRun) -> None:
    result = await ran(run, "ProbeText", text="ab", repeat=3)
    assert result.ui == {"text": ["ababab"]}


async def test_probe_with_odd_names(run: FakeRun) -> None:
    inputs: dict[str, Any] = {
        "from": 1,
        "time embed.": 0.5,
        "class": "x",
        "choice": "c/d",
        "1st": True,
    }
    result = await ran(run, "Probe Odd|Names (x)", **inputs)
    assert result.values == (1, 0.5)


async def test_probe_big_preview(run: FakeRun) -> None:
    await ran(run, "ProbeBigPreview", image=images(), side=32, count=2)
    assert [each.size for each in run.sent] == [(32, 32)] * 2
    assert run.steps == [(1, 2), (2, 2)]


async def test_probe_block(run: FakeRun) -> None:
    assert await value(run, "ProbeBlock", image=images(), message="no") == ExecutionBlocked("no")
    assert await value(run, "ProbeBlock", image=images(), message="") == ExecutionBlocked()


async def test_probe_without_output(run: FakeRun) -> None:
    assert await ran(run, "ProbeNoOutput", image=images()) == NodeResult()
    assert run.texts == ["(1, 1) pixel"]
