"""A workflow of any form, run at one server or at several, and what it gave, saved."""

# No postponed annotations in modules of commands: cyclopts reads them.

import json as json_module
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Annotated, Any, final

import attrs
import trio
from cyclopts import Parameter, validators

from .. import Comfy, ComfyError, JobEvent, Workflow, WorkflowError, open_comfy, open_pool
from .._nursery import map_concurrently
from .._prompt import SEED_INPUTS
from ._job_display import JobDisplay, open_job_displays
from ._json_lines import event_as_json, write_json_line
from ._options import Flag, ServerURL
from ._screen import Screen
from ._supervise import CommandError, supervise
from ._terminal_pictures import drawing_for
from ._watched_job import make_directory, open_watched_job, save_result

DIRECTORY = "comfy_trio_output"
MANY = Parameter(negative=(), show_default=False)
AT_ONCE = 2
"""Jobs of one server: one runs, and the next one waits there."""


@final
@attrs.frozen(kw_only=True)
class RunOptions:
    """What `run` was asked for; see there."""

    file: str
    urls: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    seed: int | None = None
    repeat: int = 1
    out: str = DIRECTORY
    previews: bool | None = None
    json: bool = False


async def run(
    file: str,
    *,
    url: Annotated[tuple[ServerURL, ...], MANY] = (),
    changes: Annotated[
        tuple[str, ...], Parameter(name="--set", negative=(), show_default=False)
    ] = (),
    inputs: Annotated[
        tuple[str, ...], Parameter(name="--input", negative=(), show_default=False)
    ] = (),
    outputs: Annotated[
        tuple[str, ...], Parameter(name="--output", negative=(), show_default=False)
    ] = (),
    seed: Annotated[int | None, Parameter(validator=validators.Number(gte=-1, lt=2**64))] = None,
    repeat: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 1,
    out: str = DIRECTORY,
    previews: Annotated[bool | None, Parameter(show_default=False)] = None,
    json: Flag = False,
) -> int:
    """Run a workflow, show how it goes, and save what it gives.

    Ctrl-C cancels what runs at the server. The exit code is 1 if a job failed.

    Args:
        file: The workflow: API JSON, a canvas file, or a picture that holds one.
        url: A ComfyUI server; several share the runs. Default: $COMFY_HOST, or else
            http://127.0.0.1:8188.
        changes: PATH=VALUE, such as 6.inputs.text=a cat: a number, true, false or JSON is taken for
            that, the rest for text. Any number of them.
        inputs: NODE.INPUT=FILE, such as 5.image=photo.jpg: a file that is uploaded with the run.
        outputs: A node's id, title or class: only what it needs is run, and what it gives is saved.
            Default: all.
        seed: For all nodes that take one; -1 draws them. With --repeat, each run gets the next one.
        repeat: How often to run it.
        out: The directory to save in; it is made if need be. With --repeat, each run gets one in
            it.
        previews: Draw the pictures in the terminal as they come into being. Default: where it has
            graphics (Kitty's, or Sixel). In others, --previews draws them of coloured blocks.
        json: Write one event a line, as JSON, for other programs.
    """
    options = RunOptions(
        file=file,
        urls=url,
        changes=changes,
        inputs=inputs,
        outputs=outputs,
        seed=seed,
        repeat=repeat,
        out=out,
        previews=previews,
        json=json,
    )
    return await supervise(partial(run_run, options), Screen())


async def run_run(options: RunOptions, screen: Screen) -> None:
    """Run the command `run`.

    Raises:
        CommandError: an option makes no sense, or some of several runs failed.
        ComfyError: no server can be reached, the file holds no workflow, or the one run failed.
        OSError: a file cannot be read or written.
    """
    urls: tuple[str | None, ...] = options.urls or (None,)
    workflow = await _load(options, urls)
    directory = await make_directory(options.out)
    draw = None if options.json else drawing_for(screen, wanted=options.previews)
    shows = nullcontext(None) if options.json else open_job_displays(screen, draw)
    with shows as display_of:
        runs = Runs(options, workflow, directory, screen, display_of)
        numbers = range(1, options.repeat + 1)
        if len(urls) == 1:
            async with open_comfy(urls[0]) as comfy:
                await map_concurrently(partial(runs.attempt, comfy), numbers, AT_ONCE)
        else:
            works = [partial(runs.run, number=number) for number in numbers]
            async with open_pool(filter(None, urls)) as pool, pool.open_batch(works) as batch:
                async for item in batch:
                    runs.take(item.index + 1, item.error)
    runs.tell_end()


@final
@attrs.define(eq=False)
class Runs:
    """The runs of one workflow.

    Args:
        options: What was asked for.
        workflow: What to run.
        directory: Where to save.
        screen: Where to write to.
        display_of: Gives each run its display; None to write JSON.
    """

    options: RunOptions
    workflow: Workflow
    directory: trio.Path
    screen: Screen
    display_of: Callable[[str], JobDisplay] | None
    _failed: int = attrs.field(default=0, init=False)

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return self.options.repeat > 1

    async def attempt(self, comfy: Comfy, number: int) -> None:
        """Run it for the n-th time, and take note of how it ends."""
        try:
            await self.run(comfy, number=number)
        except ComfyError as error:
            self.take(number, error)

    def take(self, number: int, error: BaseException | None) -> None:
        """Take note of how a run ended: of several, one that fails is no matter of the others.

        Raises:
            BaseException: it is no failure of the run's, or the only run's.
        """
        if error is None:
            return
        if not self.several or not isinstance(error, ComfyError):
            raise error
        self._failed += 1
        self.screen.error(f"run {number}: {error}")

    async def run(self, comfy: Comfy, *, number: int) -> None:
        """Run it for the n-th time, counted from 1, and save what it gives.

        Raises:
            ComfyError: it failed. A pool runs it elsewhere, if that was the server's fault.
            OSError: a file cannot be read or written.
        """
        directory = self.directory / f"{number:03}" if self.several else self.directory
        with self._shown(number) as show:
            async with open_watched_job(
                comfy,
                self._with_seed(number),
                self.screen,
                show,
                targets=self.options.outputs or None,
            ) as job:
                pass
        for path in await save_result(comfy, await job.wait(), directory):
            if self.display_of is None:
                write_json_line(self.screen, {"event": "saved", "job": number, "path": str(path)})
            else:
                self.screen.fact("Saved", path)

    @contextmanager
    def _shown(self, number: int) -> Generator[Callable[[JobEvent], object]]:
        """Show the events of a run; in the block is what takes each."""
        if self.display_of is None:
            yield lambda event: write_json_line(self.screen, event_as_json(event, number))
            return
        display = self.display_of(f"{number}/{self.options.repeat}" if self.several else "")
        try:
            yield display.feed
        finally:
            if self.several:
                display.close()

    def tell_end(self) -> None:
        """Say how many failed.

        Raises:
            CommandError: some did.
        """
        if self._failed:
            raise CommandError(f"{self._failed} of {self.options.repeat} runs failed")

    def _with_seed(self, number: int) -> Workflow:
        workflow = self.workflow.copy()
        seed = self.options.seed
        if seed is None:
            return workflow
        for node_id, name in _seeds(workflow):
            workflow.input(node_id, name, seed if seed == -1 else seed + number - 1)
        return workflow


async def _load(options: RunOptions, urls: tuple[str | None, ...]) -> Workflow:
    """Read the workflow with all that is changed in it, by the first server that answers."""
    failure: ComfyError | None = None
    for url in urls:
        try:
            async with open_comfy(url) as comfy:
                return _changed(await comfy.load(options.file), options)
        except WorkflowError:
            raise
        except ComfyError as error:
            failure = error
    assert failure is not None
    raise failure


def _changed(workflow: Workflow, options: RunOptions) -> Workflow:
    for change in options.changes:
        path, value = _parted(change, "--set", "6.inputs.text=a cat")
        workflow.set(path, _value(value))
    for attached in options.inputs:
        place, path = _parted(attached, "--input", "5.image=photo.jpg")
        node_id, _, name = place.partition(".")
        workflow.attach_image(node_id, name.removeprefix("inputs."), path, overwrite=True)
    if options.seed is not None and not _seeds(workflow):
        raise CommandError(f"no node of {options.file} has a seed of its own: --seed changes none")
    return workflow


def _parted(text: str, option: str, example: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or "." not in name:
        raise CommandError(f"{option} {text!r} should look like {example!r}")
    return name, value


def _value(text: str) -> Any:
    try:
        return json_module.loads(text)
    except (ValueError, RecursionError):
        return text


def _seeds(workflow: Workflow) -> list[tuple[str, str]]:
    """Return the inputs that are seeds, and not links."""
    return [
        (node_id, name)
        for node_id, node in workflow.to_dict().items()
        for name in SEED_INPUTS
        if type(node["inputs"].get(name)) is int
    ]
