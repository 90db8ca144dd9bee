"""Nodes that exist to try clients: they take time, fail, block, and say odd things.

``salt`` changes nothing but the node's identity, so that a run is not answered from the cache.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from PIL import Image

from ._node_type import ExecutionBlocked, NodeResult, NodeType
from ._pixels import resized, shrunk

if TYPE_CHECKING:
    from ._node_type import NodeRun
    from ._values import Images


async def _progress(
    run: NodeRun, *, image: Images, steps: int, delay: float, preview_px: int, salt: int = 0
) -> NodeResult:
    preview = None
    if preview_px:
        preview = resized(image.frames[0], (preview_px, preview_px))
    for step in range(1, steps + 1):
        await run.sleep(delay)
        await run.progress(step, steps, preview)
    return NodeResult((image,))


async def _fail(_run: NodeRun, *, image: Images, message: str, salt: int = 0) -> NodeResult:
    raise RuntimeError(message)


async def _text(_run: NodeRun, *, text: str, repeat: int, salt: int = 0) -> NodeResult:
    return NodeResult((text,), {"text": [text * repeat]})


async def _odd_names(_run: NodeRun, **inputs: object) -> NodeResult:
    return NodeResult((inputs["from"], inputs["time embed."]), {"text": [str(inputs["choice"])]})


async def _big_preview(
    run: NodeRun, *, image: Images, side: int, count: int, salt: int = 0
) -> NodeResult:
    # Previews proper are kept small by the server; only whole pictures make large frames, and
    # noise does not compress.
    grain = random.Random(salt).randbytes(side * side * 3)
    noise = Image.frombytes("RGB", (side, side), grain)
    for index in range(1, count + 1):
        await run.send_image(noise, index, count)
    return NodeResult((image,))


async def _block(_run: NodeRun, *, image: Images, message: str, salt: int = 0) -> NodeResult:
    return NodeResult((ExecutionBlocked(message or None),))


async def _no_output(run: NodeRun, *, image: Images, salt: int = 0) -> NodeResult:
    await run.send_text(f"{shrunk(image.frames[0], 1).size} pixel")
    return NodeResult()


_SALT: Final = ["INT", {"default": 0}]
_MODULE: Final = "custom_nodes.probe_nodes"

PROBE_NODES: Final = (
    NodeType(
        class_type="ProbeProgress",
        run=_progress,
        required={
            "image": ["IMAGE"],
            "steps": ["INT", {"default": 5, "min": 1, "max": 100000}],
            "delay": ["FLOAT", {"default": 0.05, "min": 0.0, "max": 60.0}],
            "preview_px": ["INT", {"default": 64, "min": 0, "max": 8192}],
            "salt": ["INT", {"default": 0, "min": 0, "max": 2**63}],
        },
        outputs=("IMAGE",),
        category="probe",
        description="Takes its time, in steps with previews.",
        python_module=_MODULE,
    ),
    NodeType(
        class_type="ProbeFail",
        run=_fail,
        required={"image": ["IMAGE"], "message": ["STRING", {"default": "boom"}], "salt": _SALT},
        outputs=("IMAGE",),
        category="probe",
        description="Raises a RuntimeError.",
        python_module=_MODULE,
    ),
    NodeType(
        class_type="ProbeText",
        run=_text,
        required={
            "text": ["STRING", {"default": "hi"}],
            "repeat": ["INT", {"default": 1, "min": 1, "max": 10000000}],
            "salt": _SALT,
        },
        outputs=("STRING",),
        output_node=True,
        category="probe",
        description="Shows a text of any length.",
        python_module=_MODULE,
    ),
    NodeType(
        class_type="Probe Odd|Names (x)",
        run=_odd_names,
        required={
            "from": ["INT", {"default": 1}],
            "time embed.": ["FLOAT", {"default": 0.5}],
            "class": ["STRING", {"default": "x"}],
            "choice": [["a b", "c/d", 'e"f']],
            "1st": ["BOOLEAN", {"default": True}],
        },
        optional={"any": ["*"]},
        outputs=("INT", "FLOAT"),
        output_names=("the int", "the float"),
        output_node=True,
        category="probe/odd names",
        description="Has no name that a Python identifier could be.",
        python_module=_MODULE,
    ),
    NodeType(
        class_type="ProbeBigPreview",
        run=_big_preview,
        required={
            "image": ["IMAGE"],
            "side": ["INT", {"default": 1024, "min": 1, "max": 8192}],
            "count": ["INT", {"default": 1, "min": 1, "max": 1000}],
            "salt": _SALT,
        },
        outputs=("IMAGE",),
        category="probe",
        description="Sends pictures of noise, in frames of three bytes to each pixel.",
        python_module=_MODULE,
    ),
    NodeType(
        class_type="ProbeBlock",
        run=_block,
        required={"image": ["IMAGE"], "message": ["STRING", {"default": ""}], "salt": _SALT},
        outputs=("IMAGE",),
        category="probe",
        description="Blocks what is below it; with a message, aloud.",
        python_module=_MODULE,
    ),
    NodeType(
        class_type="ProbeNoOutput",
        run=_no_output,
        required={"image": ["IMAGE"], "salt": _SALT},
        output_node=True,
        category="probe",
        description="Ends a prompt and shows nothing in its history.",
        python_module=_MODULE,
    ),
)
"""Nodes that exist to try clients."""
