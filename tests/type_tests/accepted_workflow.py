"""What checkers must accept of a module that was generated for one workflow."""

from __future__ import annotations

from typing import assert_type

from portrait import PortraitInputs, PortraitOutputs, portrait, run_portrait

from comfy_trio import Comfy, Workflow
from comfy_trio.types import ImagesOutput


async def run(comfy: Comfy, given: PortraitInputs) -> None:
    outputs = await run_portrait(
        comfy,
        positive_text="A misty forest",
        seed=-1,
        cfg=4,
        sampler_name="euler",
        ckpt_name="any file, for lists of files are open",
        points=[[1, {"x": None}]],
    )
    assert_type(outputs, PortraitOutputs)
    assert_type(outputs["the_portrait"], ImagesOutput)
    print(outputs["the_portrait"]["images"][0]["filename"])
    assert_type(portrait(**given), Workflow)
    async with comfy.open_job(portrait()) as job:
        await job.wait()
