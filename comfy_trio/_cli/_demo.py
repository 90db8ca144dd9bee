"""The first thing to try: a picture from words, with the whole client at work."""

# No postponed annotations in modules of commands: cyclopts reads them.

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, final

import attrs
import trio
from cyclopts import Parameter, validators

from .. import Comfy, JobResult, open_comfy
from ..testing import open_embedded_server
from ._job_display import open_job_display
from ._options import ServerURL
from ._screen import Screen
from ._supervise import CommandError, supervise
from ._txt2img import OUTPUT, SAMPLER, txt2img
from ._watched_job import make_directory, open_watched_job

PROMPT = "a misty mountain lake at dawn, with a small boat"
STEPS = 20
DIRECTORY = "comfy_trio_demo"


@final
@attrs.frozen(kw_only=True)
class DemoOptions:
    """What `demo` was asked for; see there."""

    url: str | None = None
    prompt: str = PROMPT
    seed: int = -1
    steps: int = STEPS
    checkpoint: str | None = None
    out: str = DIRECTORY


async def demo(
    *,
    url: ServerURL | None = None,
    prompt: str = PROMPT,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=-1, lt=2**64))] = -1,
    steps: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=10_000))] = STEPS,
    checkpoint: str | None = None,
    out: str = DIRECTORY,
) -> int:
    """Make a picture from words, and watch the server at it.

    Args:
        url: A ComfyUI server. Default: one that is started for the occasion, in this process; it
            holds no model, and paints.
        prompt: What to make a picture of.
        seed: The same seed gives the same picture again; -1 draws one.
        steps: How many steps the sampler takes.
        checkpoint: The model to use. Default: the first that the server has.
        out: The directory to save the picture in; it is made if need be.
    """
    options = DemoOptions(
        url=url, prompt=prompt, seed=seed, steps=steps, checkpoint=checkpoint, out=out
    )
    return await supervise(partial(run_demo, options), Screen())


async def run_demo(options: DemoOptions, screen: Screen) -> None:
    """Run the command `demo`.

    Raises:
        CommandError: the server has no checkpoint, or not the one that was asked for; or there
            can be no such directory.
        ComfyError: the server cannot be reached, or the job failed.
        OSError: the picture cannot be saved.
    """
    async with _open_server(options.url) as url, open_comfy(url) as comfy:
        embedded = options.url is None
        screen.fact("Server", comfy.url + (" (embedded: no model, it paints)" if embedded else ""))
        checkpoint = await _choose_checkpoint(comfy, options.checkpoint)
        screen.fact("Checkpoint", checkpoint)
        screen.fact("Prompt", options.prompt)
        directory = await make_directory(options.out)  # fails before the work, not after it
        result = await _run_txt2img(comfy, checkpoint, options, screen)
        seed = result.auto_seeds.get(SAMPLER, options.seed)
        path = await comfy.file.download(
            result[OUTPUT]["images"][0], await _unused_path(directory, f"seed_{seed}")
        )
    screen.fact("Saved", path)
    _tell_next_steps(screen, embedded=embedded)


@asynccontextmanager
async def _open_server(url: str | None) -> AsyncGenerator[str, None]:
    """Provide a server's address: `url`, or else that of an embedded one."""
    if url is not None:
        yield url
    else:
        # Over TCP, though memory would do: so it is what a real server is like.
        async with open_embedded_server() as server, server.listen() as embedded_url:
            yield embedded_url


async def _choose_checkpoint(comfy: Comfy, wanted: str | None) -> str:
    names = await comfy.node.checkpoints()
    if not names:
        raise CommandError(
            f"{comfy.url} has no checkpoint to make pictures with. Put one into the directory"
            " models/checkpoints of ComfyUI, and try again"
        )
    if wanted is not None and wanted not in names:
        raise CommandError(f"{comfy.url} has no checkpoint {wanted!r}, but: {', '.join(names)}")
    return wanted or names[0]


async def _run_txt2img(
    comfy: Comfy, checkpoint: str, options: DemoOptions, screen: Screen
) -> JobResult:
    workflow = txt2img(
        checkpoint=checkpoint, prompt=options.prompt, seed=options.seed, steps=options.steps
    )
    with open_job_display(screen) as display:
        async with open_watched_job(comfy, workflow, screen, display.feed) as job:
            drawn = job.auto_seeds.get(SAMPLER)
            screen.fact("Seed", options.seed if drawn is None else f"{drawn} (drawn for this run)")
        return await job.wait()


async def _unused_path(directory: trio.Path, stem: str) -> trio.Path:
    """Return the path for a picture that takes the place of no other."""
    path = directory / f"{stem}.png"
    number = 1
    while await path.exists():
        number += 1
        path = directory / f"{stem}_{number}.png"
    return path


def _tell_next_steps(screen: Screen, *, embedded: bool) -> None:
    screen.line()
    if embedded:
        screen.prose("The same on a real ComfyUI server, with a model:")
        screen.line("  python -m comfy_trio demo --url http://127.0.0.1:8188", style="cyan")
    screen.prose("In a program of your own, with a workflow of your own:")
    screen.line("  async with open_comfy(url) as comfy:", style="cyan")
    screen.line('      result = await comfy.run(Workflow.from_file("txt2img.json"))', style="cyan")
    screen.prose("Documentation: README.md of comfy_trio, and help(comfy_trio.open_comfy).")
