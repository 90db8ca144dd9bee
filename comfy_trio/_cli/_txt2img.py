"""The workflow that ComfyUI itself opens with: text to image."""

from __future__ import annotations

from .. import Workflow

OUTPUT = "picture"
"""The name under which the workflow's result holds the picture."""
SAMPLER = "3"
"""The node that the seed belongs to."""


def txt2img(*, checkpoint: str, prompt: str, seed: int, steps: int) -> Workflow:
    """Return the workflow, with the node ids and the proportions of ComfyUI's own.

    Args:
        checkpoint: A checkpoint that the server has.
        prompt: What to paint.
        seed: -1 for another one each run.
        steps: How long to work on it.
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
                "inputs": {"text": "text, watermark, blurry", "clip": ["4", 1]},
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
                    "cfg": 7.0,
                    "sampler_name": "euler",
                    "scheduler": "normal",
                    "denoise": 1.0,
                },
                "_meta": {"title": "Sample"},
            },
            "8": {
                "class_type": "VAEDecode",
                "inputs": {"samples": [SAMPLER, 0], "vae": ["4", 2]},
                "_meta": {"title": "Decode"},
            },
            "9": {
                "class_type": "SaveImage",
                "inputs": {"images": ["8", 0], "filename_prefix": "comfy_trio_demo"},
                "_meta": {"title": "Save image"},
            },
        }
    ).output(OUTPUT, "9")
