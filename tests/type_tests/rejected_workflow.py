"""What checkers must reject of a module that was generated for one workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portrait import portrait, run_portrait

if TYPE_CHECKING:
    from portrait import PortraitInputs

    from comfy_trio import Comfy


async def run(comfy: Comfy) -> None:
    portrait(sede=1)  # error: call-arg reportCallIssue
    portrait(seed="1")  # error: arg-type reportArgumentType
    portrait(steps=2.5)  # error: arg-type reportArgumentType
    portrait(sampler_name="eulr")  # error: arg-type reportArgumentType
    portrait(resize_type="scale")  # error: arg-type reportArgumentType
    portrait(positive_text=None)  # error: arg-type reportArgumentType
    await run_portrait()  # error: call-arg reportCallIssue
    outputs = await run_portrait(comfy, width=64)
    print(outputs["portrait"])  # error: typeddict-item reportGeneralTypeIssues
    print(outputs["the_portrait"]["audio"])  # error: typeddict-item reportGeneralTypeIssues
    given: PortraitInputs = {"batch": 2}  # error: typeddict-unknown-key reportAssignmentType
    print(given)
