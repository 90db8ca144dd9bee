"""The workflow that ComfyUI itself opens with: text to image."""

from __future__ import annotations

from .. import Workflow

OUTPUT = "picture"
"""The name under which the workflow's result holds the picture."""
SAMPLER = "3"
"""The node that the seed belongs to."""
DECODER = "8"
"""The node that gives the picture."""


def txt2img(
    *,
    checkpoint: str,
    prompt: str,
    negative_prompt: str = "text, watermark, blurry",
    seed: int,
    steps: int,
    cfg: float = 7.0,
    sampler: str = "euler",
    scheduler: str = "normal",
) -> Workflow:
    """Return the workflow, with the node ids and the proportions of ComfyUI's own.

    Args:
        checkpoint: A checkpoint that the server has.
        prompt: What to paint.
        negative_prompt: What not to.
        seed: -1 for another one each run.
        steps: How long to work on it.
        cfg: How closely to keep to the prompt.
        sampler: How to work on it.
        scheduler: In which steps.
    """
    return Workflow(
        {
            "4": {
                "class_type": "CheckpointLoaderSimple",
                "inputs": {"ckpt_name": checkpoint},
                "_meta": {"title": "Load checkpoint"},
            },
            "5": {
                "class_type": "EmptyLatentImage",
                "inputs": {"width": 512, "height": 512, "batch_size": 1},
                "_meta": {"title": "Empty latent image"},
            },
            "6": {
                "class_type": "CLIPTextEncode",
                "inputs": {"text": prompt, "clip": ["4", 1]},
                "_meta": {"title": "Encode prompt"},
            },
            "7": {
                "class_type": "CLIPTextEncode",
                "inputs": {"text": negative_prompt, "clip": ["4", 1]},
                "_meta": {"title": "Encode negative prompt"},
            },
            SAMPLER: {
                "class_type": "KSampler",
                "inputs": {
                    "model": ["4", 0],
                    "positive": ["6", 0],
                    "negative": ["7", 0],
                    "latent_image": ["5", 0],
                    "seed": seed,
                    "steps": steps,
                    "cfg": cfg,
                    "sampler_name": sampler,
                    "scheduler": scheduler,
                    "denoise": 1.0,
                },
                "_meta": {"title": "Sample"},
            },
            DECODER: {
                "class_type": "VAEDecode",
                "inputs": {"samples": [SAMPLER, 0], "vae": ["4", 2]},
                "_meta": {"title": "Decode"},
            },
            "9": {
                "class_type": "SaveImage",
                "inputs": {"images": [DECODER, 0], "filename_prefix": "comfy_trio_demo"},
                "_meta": {"title": "Save image"},
            },
        }
    ).output(OUTPUT, "9")
