"""A whole round with a server, as the environment says: for a first look, and for CI."""

# No postponed annotations in modules of commands: cyclopts reads them.

import secrets
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Annotated, final

import attrs
import trio
from cyclopts import Parameter, validators

from .. import (
    Comfy,
    ComfyError,
    EnqueueFailedError,
    MonitorReading,
    NodeStarted,
    Preview,
    Progress,
    ProgressPercent,
    Subscription,
    UnsupportedError,
    Workflow,
    open_comfy,
)
from .._address import DEFAULT_URL
from .._nursery import open_service_nursery
from ._options import ServerURL
from ._screen import Screen, printable
from ._supervise import CommandError, supervise
from ._txt2img import DECODER, OUTPUT, txt2img
from ._watched_job import open_watched_job

TIMED_OUT, REFUSED, FAILED, UNMONITORED = 2, 3, 4, 5
"""Exit codes. 0 is that all went well, and 1 that the command line is not installed."""
LARGE = "large"
"""The name of the larger picture in the result."""
MODEL = "SDXL/sd_xl_base_1.0.safetensors"
NOT_WANTED = "text, watermark"
SCENERY = "a scenic mountain valley at golden hour, a river, highly detailed"


@final
@attrs.frozen(kw_only=True)
class SmokeOptions:
    """What `smoke` was asked for; see there."""

    host: str
    model: str = MODEL
    positive_prompt: str = SCENERY
    negative_prompt: str = NOT_WANTED
    seed: int | None = None
    steps: int = 8
    cfg: float = 2.0
    sampler: str = "dpmpp_sde"
    scheduler: str = "sgm_uniform"
    timeout_ms: float = 120_000
    upscale: str = ""
    monitor: bool = False
    monitor_strict: bool = False
    monitor_force: bool = False
    progress_verbose: bool = False


def _variable(name: str) -> Parameter:
    return Parameter(env_var=f"COMFY_{name}", negative=())


async def smoke(
    *,
    host: Annotated[ServerURL, _variable("HOST")] = DEFAULT_URL,
    model: Annotated[str, _variable("MODEL")] = MODEL,
    positive_prompt: Annotated[str, _variable("POSITIVE_PROMPT")] = SCENERY,
    negative_prompt: Annotated[str, _variable("NEGATIVE_PROMPT")] = NOT_WANTED,
    seed: Annotated[
        int | None, _variable("SEED"), Parameter(validator=validators.Number(gte=0, lt=2**64))
    ] = None,
    steps: Annotated[
        int, _variable("STEPS"), Parameter(validator=validators.Number(gte=1, lte=10_000))
    ] = 8,
    cfg: Annotated[float, _variable("CFG")] = 2.0,
    sampler: Annotated[str, _variable("SAMPLER")] = "dpmpp_sde",
    scheduler: Annotated[str, _variable("SCHEDULER")] = "sgm_uniform",
    timeout_ms: Annotated[
        float, _variable("TIMEOUT_MS"), Parameter(validator=validators.Number(gt=0))
    ] = 120_000,
    upscale: Annotated[str, _variable("UPSCALE")] = "",
    monitor: Annotated[bool, _variable("MONITOR")] = False,
    monitor_strict: Annotated[bool, _variable("MONITOR_STRICT")] = False,
    monitor_force: Annotated[bool, _variable("MONITOR_FORCE")] = False,
    progress_verbose: Annotated[bool, _variable("PROGRESS_VERBOSE")] = False,
) -> int:
    """Make a picture at a server, and tell how that goes: a check of all that is between.

    Args:
        host: A ComfyUI server.
        model: The checkpoint.
        positive_prompt: What to paint.
        negative_prompt: What not to.
        seed: Default: another one each time.
        steps: How many steps the sampler takes.
        cfg: How closely to keep to the prompt.
        sampler: Which sampler.
        scheduler: Which scheduler.
        timeout_ms: Milliseconds for all of it.
        upscale: 1 for a picture of twice the size, too; or the name of an upscale model.
        monitor: Count the readings of Crystools meanwhile.
        monitor_strict: Fail if there are none.
        monitor_force: Switch them on first.
        progress_verbose: Tell every step of the sampler.
    """
    options = SmokeOptions(
        host=host,
        model=model,
        positive_prompt=positive_prompt,
        negative_prompt=negative_prompt,
        seed=seed,
        steps=steps,
        cfg=cfg,
        sampler=sampler,
        scheduler=scheduler,
        timeout_ms=timeout_ms,
        upscale=upscale,
        monitor=monitor,
        monitor_strict=monitor_strict,
        monitor_force=monitor_force,
        progress_verbose=progress_verbose,
    )
    return await supervise(partial(run_smoke, options), Screen())


async def run_smoke(options: SmokeOptions, screen: Screen) -> None:
    """Run the command `smoke`.

    Raises:
        CommandError: anything went wrong; it has the exit code.
    """
    try:
        with trio.fail_after(options.timeout_ms / 1000):
            await _round(options, screen)
    except trio.TooSlowError:
        raise CommandError(
            f"it took more than {options.timeout_ms:g} ms; COMFY_TIMEOUT_MS allows for more",
            exit_code=TIMED_OUT,
        ) from None
    except EnqueueFailedError as error:
        raise CommandError(str(error), exit_code=REFUSED) from error
    except (ComfyError, OSError) as error:
        raise CommandError(str(error), exit_code=FAILED) from error


async def _round(options: SmokeOptions, screen: Screen) -> None:
    async with open_comfy(options.host) as comfy:
        info = await comfy.system.info()
        screen.fact("Server", f"{comfy.url}, ComfyUI {printable(info.version or 'unknown')}")
        screen.fact("Model", options.model)
        seed = secrets.randbelow(2**32) if options.seed is None else options.seed
        screen.fact("Seed", seed)
        readings = Readings()
        async with open_service_nursery() as nursery, AsyncExitStack() as stack:
            if options.monitor or options.monitor_strict:
                try:
                    if options.monitor_force:
                        await comfy.monitor.start()
                    measured = await stack.enter_async_context(comfy.monitor.subscribe())
                    nursery.start_soon(readings.follow, measured)
                except UnsupportedError as error:
                    screen.warning(printable(str(error)))
            await _make_picture(comfy, options, seed, screen)
    if options.monitor or options.monitor_strict:
        screen.fact("Monitor", f"{readings.count} readings")
    if options.monitor_strict and not readings.count:
        raise CommandError("no readings of the monitor came", exit_code=UNMONITORED)


@final
@attrs.define
class Readings:
    """How many readings of the monitor came."""

    count: int = 0

    async def follow(self, measured: Subscription[MonitorReading]) -> None:
        """Count them for as long as they come."""
        with suppress(ComfyError):  # the job tells what is wrong with the server
            async for _ in measured:
                self.count += 1


async def _make_picture(comfy: Comfy, options: SmokeOptions, seed: int, screen: Screen) -> None:
    began = trio.current_time()
    steps = previews = percent = 0

    def show(event: object) -> None:
        nonlocal steps, previews, percent
        match event:
            case NodeStarted():
                screen.line(printable(f"{percent:3} %  {event.title}"))
            case Progress():
                steps += 1
                if options.progress_verbose:
                    screen.line(f"       {event.value:g} of {event.max:g}")
            case ProgressPercent():
                percent = event.percent
            case Preview():
                previews += 1
            case _:
                pass

    async with open_watched_job(comfy, _workflow(options, seed), screen, show) as job:
        screen.fact("Job", job.prompt_id)
    result = await job.wait()
    took = trio.current_time() - began
    screen.fact("Took", f"{took:.1f} s, {steps} steps of progress, {previews} previews")
    for file in result.files():
        screen.fact("Picture", comfy.file.url(file))


def _workflow(options: SmokeOptions, seed: int) -> Workflow:
    workflow = txt2img(
        checkpoint=options.model,
        prompt=options.positive_prompt,
        negative_prompt=options.negative_prompt,
        seed=seed,
        steps=options.steps,
        cfg=options.cfg,
        sampler=options.sampler,
        scheduler=options.scheduler,
    )
    if not options.upscale:
        return workflow
    prompt = workflow.to_dict()
    decoded = [DECODER, 0]
    if options.upscale in ("1", "true"):
        inputs = {"image": decoded, "upscale_method": "lanczos", "scale_by": 2.0}
        prompt["10"] = {"class_type": "ImageScaleBy", "inputs": inputs}
    else:
        loader = {"model_name": options.upscale}
        prompt["11"] = {"class_type": "UpscaleModelLoader", "inputs": loader}
        inputs = {"upscale_model": ["11", 0], "image": decoded}
        prompt["10"] = {"class_type": "ImageUpscaleWithModel", "inputs": inputs}
    saving = {"images": ["10", 0], "filename_prefix": "comfy_trio_large"}
    prompt["12"] = {"class_type": "SaveImage", "inputs": saving}
    return Workflow(prompt).output(OUTPUT, "9").output(LARGE, "12")
