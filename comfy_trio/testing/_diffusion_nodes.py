"""Text-to-image without a model: the usual nodes, over the painter.

Whoever builds a graph for them builds the one a real server takes. Checkpoints and LoRAs are
names that give the picture another style.
"""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
from PIL import Image, ImageFilter

from ._node_type import RETITLED, NodeResult, NodeType
from ._painter import Brief, paint
from ._pixels import resized, shrunk
from ._values import LATENT_SCALE, Conditioning, Images, Latent, Model

if TYPE_CHECKING:
    from ._node_type import NodeRun

CHECKPOINTS: Final = (
    "sd15.safetensors",
    "dreamscape_v2.safetensors",
    "xl/landscape_xl.safetensors",
)
"""The checkpoints that the server offers."""

LORAS: Final = ("ink_wash.safetensors", "styles/golden_hour.safetensors")
"""The LoRAs that the server offers."""

LONGEST_PREVIEW: Final = 512
"""No side of a preview has more pixels, as on real servers."""

DEFAULT_SECONDS_PER_STEP: Final = 0.05

GREY: Final = (128, 128, 128)
"""What is seen where nothing is drawn."""

_SAMPLERS_0_3: Final = [
    "euler",
    "euler_cfg_pp",
    "euler_ancestral",
    "euler_ancestral_cfg_pp",
    "heun",
    "heunpp2",
    "dpm_2",
    "dpm_2_ancestral",
    "lms",
    "dpm_fast",
    "dpm_adaptive",
    "dpmpp_2s_ancestral",
    "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde",
    "dpmpp_sde_gpu",
    "dpmpp_2m",
    "dpmpp_2m_cfg_pp",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_gpu",
    "dpmpp_2m_sde_heun",
    "dpmpp_2m_sde_heun_gpu",
    "dpmpp_3m_sde",
    "dpmpp_3m_sde_gpu",
    "ddpm",
    "lcm",
    "ipndm",
    "ipndm_v",
    "deis",
    "res_multistep",
    "res_multistep_cfg_pp",
    "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp",
    "gradient_estimation",
    "gradient_estimation_cfg_pp",
    "er_sde",
    "seeds_2",
    "seeds_3",
    "sa_solver",
    "sa_solver_pece",
    "ddim",
    "uni_pc",
    "uni_pc_bh2",
]
_AFTER_HEUNPP2: Final = _SAMPLERS_0_3.index("heunpp2") + 1
_SAMPLERS: Final = [
    *_SAMPLERS_0_3[:_AFTER_HEUNPP2],
    "exp_heun_2_x0",
    "exp_heun_2_x0_sde",
    *_SAMPLERS_0_3[_AFTER_HEUNPP2:],
]
_SCHEDULERS: Final = [
    "simple",
    "sgm_uniform",
    "karras",
    "exponential",
    "ddim_uniform",
    "beta",
    "normal",
    "linear_quadratic",
    "kl_optimal",
]


async def _load_checkpoint(_run: NodeRun, *, ckpt_name: str) -> NodeResult:
    return NodeResult((Model(ckpt_name), Model(ckpt_name), Model(ckpt_name)))


async def _load_lora(
    _run: NodeRun,
    *,
    model: Model,
    clip: Model,
    lora_name: str,
    strength_model: float,
    strength_clip: float,
) -> NodeResult:
    return NodeResult(
        (
            Model(model.name, (*model.loras, (lora_name, strength_model))),
            Model(clip.name, (*clip.loras, (lora_name, strength_clip))),
        )
    )


async def _encode_text(_run: NodeRun, *, text: str, clip: Model) -> NodeResult:
    return NodeResult((Conditioning(text),))


async def _empty_latent(
    _run: NodeRun, *, width: int, height: int, batch_size: int = 1
) -> NodeResult:
    return NodeResult(
        (Latent(width // LATENT_SCALE, height // LATENT_SCALE, (None,) * batch_size),)
    )


async def _sample(
    run: NodeRun,
    *,
    seconds_per_step: float,
    model: Model,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: float = 1.0,
) -> NodeResult:
    if denoise <= 0:
        return NodeResult((latent_image,))
    style = f"{model.name} {model.loras} {sampler_name} {scheduler}"
    pictures: list[Image.Image] = []
    for index, source in enumerate(latent_image.samples):
        brief = Brief(
            text=positive.text,
            negative=negative.text,
            seed=seed + index,
            size=latent_image.pixel_size,
            cfg=cfg,
            steps=steps,
            style=style,
        )
        painted = paint(brief)
        if source is not None:
            painted = Image.blend(source, painted, denoise)
        pictures.append(_where_masked(latent_image, painted, source))
    await _show_steps(run, latent_image, pictures[0], seed, steps, denoise, seconds_per_step)
    return NodeResult((attrs.evolve(latent_image, samples=tuple(pictures)),))


def _where_masked(latent: Latent, painted: Image.Image, before: Image.Image | None) -> Image.Image:
    """Return what was painted, but what was there before outside of the latent's mask."""
    if latent.mask is None:
        return painted
    before = before or Image.new("RGB", painted.size, GREY)
    return Image.composite(painted, before, resized(latent.mask, painted.size))


async def _show_steps(
    run: NodeRun,
    latent: Latent,
    result: Image.Image,
    seed: int,
    steps: int,
    denoise: float,
    seconds_per_step: float,
) -> None:
    """Go from noise to the result in previews, each a little sharper than the one before."""
    target = shrunk(result, LONGEST_PREVIEW)
    cells = latent.width * latent.height * 3
    grain = Image.frombytes(
        "RGB", (latent.width, latent.height), random.Random(seed).randbytes(cells)
    )
    start = resized(grain, target.size)
    source = latent.samples[0]
    before = source and shrunk(source, LONGEST_PREVIEW)
    if before is not None:
        start = Image.blend(before, start, denoise)
    start = _where_masked(latent, start, before)
    for step in range(1, steps + 1):
        await run.sleep(seconds_per_step)
        done = step / steps
        sharp = target.filter(ImageFilter.GaussianBlur((1 - done) * max(target.size) / 40))
        await run.progress(step, steps, Image.blend(start, sharp, done**0.7))


async def _decode(_run: NodeRun, *, samples: Latent, vae: Model) -> NodeResult:
    grey = Image.new("RGB", samples.pixel_size, GREY)
    return NodeResult((Images(tuple(sample or grey for sample in samples.samples)),))


async def _encode(_run: NodeRun, *, pixels: Images, vae: Model) -> NodeResult:
    return NodeResult((encoded(pixels),))


def encoded(pixels: Images) -> Latent:
    """Return pictures as a latent, whose cells cut off what is too much, as on real servers."""
    width, height = (side // LATENT_SCALE for side in pixels.size)
    left = pixels.size[0] % LATENT_SCALE // 2
    top = pixels.size[1] % LATENT_SCALE // 2
    box = (left, top, left + width * LATENT_SCALE, top + height * LATENT_SCALE)
    return Latent(width, height, tuple(frame.crop(box) for frame in pixels.frames))


def _sampler_inputs(samplers: list[str]) -> dict[str, list[Any]]:
    return {
        "model": ["MODEL", {}],
        "seed": ["INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}],
        "steps": ["INT", {"default": 20, "min": 1, "max": 10000}],
        "cfg": ["FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0, "step": 0.1, "round": 0.01}],
        "sampler_name": [samplers, {}],
        "scheduler": [_SCHEDULERS, {}],
        "positive": ["CONDITIONING", {}],
        "negative": ["CONDITIONING", {}],
        "latent_image": ["LATENT", {}],
        "denoise": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}],
    }


def diffusion_nodes(seconds_per_step: float = DEFAULT_SECONDS_PER_STEP) -> tuple[NodeType, ...]:
    """The nodes of text-to-image.

    Args:
        seconds_per_step: How long each step of the sampler takes.
    """
    size: list[Any] = ["INT", {"default": 512, "min": 16, "max": 16384, "step": 8}]
    strength: list[Any] = ["FLOAT", {"default": 1.0, "min": -100.0, "max": 100.0, "step": 0.01}]
    return (
        NodeType(
            class_type="CheckpointLoaderSimple",
            run=_load_checkpoint,
            required={"ckpt_name": [list(CHECKPOINTS), {}]},
            outputs=("MODEL", "CLIP", "VAE"),
            display_name="Load Checkpoint",
            category="loaders",
            revisions={RETITLED: {"category": "model/loaders"}},
        ),
        NodeType(
            class_type="LoraLoader",
            run=_load_lora,
            required={
                "model": ["MODEL", {}],
                "clip": ["CLIP", {}],
                "lora_name": [list(LORAS), {}],
                "strength_model": strength,
                "strength_clip": strength,
            },
            outputs=("MODEL", "CLIP"),
            display_name="Load LoRA",
            category="loaders",
            revisions={
                RETITLED: {
                    "display_name": "Load LoRA (Model and CLIP)",
                    "category": "model/loaders",
                    "flags": {"essentials_category": "Image Generation"},
                }
            },
        ),
        NodeType(
            class_type="CLIPTextEncode",
            run=_encode_text,
            required={
                "text": ["STRING", {"multiline": True, "dynamicPrompts": True}],
                "clip": ["CLIP", {}],
            },
            outputs=("CONDITIONING",),
            display_name="CLIP Text Encode (Prompt)",
            category="conditioning",
            revisions={RETITLED: {"category": "model/conditioning"}},
        ),
        NodeType(
            class_type="EmptyLatentImage",
            run=_empty_latent,
            required={
                "width": size,
                "height": size,
                "batch_size": ["INT", {"default": 1, "min": 1, "max": 4096}],
            },
            outputs=("LATENT",),
            display_name="Empty Latent Image",
            category="latent",
            revisions={RETITLED: {"category": "model/latent"}},
        ),
        NodeType(
            class_type="KSampler",
            run=partial(_sample, seconds_per_step=seconds_per_step),
            required=_sampler_inputs(_SAMPLERS_0_3),
            outputs=("LATENT",),
            description="Paints a landscape after the words of the prompt; there is no model.",
            category="sampling",
            revisions={
                RETITLED: {"category": "model/sampling", "required": _sampler_inputs(_SAMPLERS)}
            },
        ),
        NodeType(
            class_type="VAEDecode",
            run=_decode,
            required={"samples": ["LATENT", {}], "vae": ["VAE", {}]},
            outputs=("IMAGE",),
            display_name="VAE Decode",
            category="latent",
            revisions={RETITLED: {"category": "model/latent"}},
        ),
        NodeType(
            class_type="VAEEncode",
            run=_encode,
            required={"pixels": ["IMAGE"], "vae": ["VAE"]},
            outputs=("LATENT",),
            display_name="VAE Encode",
            category="latent",
            revisions={RETITLED: {"category": "model/latent"}},
        ),
    )
