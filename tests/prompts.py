"""Small prompts that both the embedded and a real server run without a model.

The probe nodes are those of the embedded server; real servers have them where the tests marked
``real`` run.
"""

from __future__ import annotations

import itertools
from typing import Any

Prompt = dict[str, Any]

_colors = itertools.count(1)


def image(color: int | None = None, *, prefix: str = "test") -> Prompt:
    """EmptyImage, ImageInvert, SaveImage. Of a new color unless told: nothing is cached."""
    color = next(_colors) if color is None else color
    return {
        "1": node("EmptyImage", width=64, height=64, batch_size=1, color=color),
        "2": node("ImageInvert", image=["1", 0]),
        "9": node("SaveImage", "Save it", images=["2", 0], filename_prefix=prefix),
    }


def slow(steps: int = 50, *, delay: float = 0.1, preview: int = 64) -> Prompt:
    """An image that takes its time, with progress and previews."""
    progress = node(
        "ProbeProgress", "Wait", image=["2", 0], steps=steps, delay=delay, preview_px=preview
    )
    progress["inputs"]["salt"] = next(_colors)
    return {
        **image(),
        "3": progress,
        "9": node("SaveImage", images=["3", 0], filename_prefix="slow"),
    }


def failing(message: str = "boom") -> Prompt:
    """An image that fails."""
    fail = node("ProbeFail", "Boom", image=["2", 0], message=message, salt=next(_colors))
    save = node("SaveImage", images=["3", 0], filename_prefix="fail")
    return {**image(), "3": fail, "9": save}


def node(class_type: str, title: str | None = None, /, **inputs: Any) -> Prompt:
    """One node."""
    meta = {} if title is None else {"_meta": {"title": title}}
    return {"class_type": class_type, "inputs": inputs, **meta}
