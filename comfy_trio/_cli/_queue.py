"""The jobs of a server: those in its queue, those that are over, and how to stop one."""

# No postponed annotations in modules of commands: cyclopts reads them.

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from cyclopts import Parameter, validators

from .. import Comfy, HistoryEntry, open_comfy, output_files
from .._util import as_object
from ._json_lines import write_json_line
from ._options import Flag, ServerURL
from ._screen import Screen, printable
from ._supervise import CommandError, supervise


async def queue(*, url: ServerURL | None = None, json: Flag = False) -> int:
    """List what runs and what waits, in the order in which it will run.

    Args:
        url: A ComfyUI server. Default: $COMFY_HOST, or else http://127.0.0.1:8188.
        json: Write one job a line, as JSON.
    """
    return await supervise(partial(run_queue, url, as_json=json), Screen())


async def run_queue(url: str | None, screen: Screen, *, as_json: bool = False) -> None:
    """Run the command `queue`.

    Raises:
        ComfyError: the server cannot be asked.
    """
    async with open_comfy(url, require_websocket=False) as comfy:
        state = await comfy.queue.state()
    jobs = [("running", entry) for entry in state.running]
    jobs += [("waiting", entry) for entry in state.pending]
    for status, entry in jobs:
        if as_json:
            told = {"status": status, "prompt_id": entry.prompt_id, "number": entry.number}
            write_json_line(screen, {**told, "nodes": len(entry.prompt)})
        else:
            screen.line(printable(f"{status}  {entry.prompt_id}  {_nodes(entry.prompt)}"))
    if not jobs and not as_json:
        screen.line("Nothing runs, and nothing waits.")


async def cancel(
    *prompt_ids: str,
    url: ServerURL | None = None,
    everything: Annotated[bool, Parameter(name="--all", negative=())] = False,
) -> int:
    """Stop jobs: take them out of the queue, or interrupt them if they run. Whoever's they are.

    Args:
        prompt_ids: The jobs, as `queue` lists them.
        url: A ComfyUI server. Default: $COMFY_HOST, or else http://127.0.0.1:8188.
        everything: Stop all that runs and all that waits.
    """
    command = partial(run_cancel, url, prompt_ids, everything=everything)
    return await supervise(command, Screen())


async def run_cancel(
    url: str | None, prompt_ids: tuple[str, ...], screen: Screen, *, everything: bool = False
) -> None:
    """Run the command `cancel`.

    Raises:
        CommandError: none is named, or one neither runs nor waits.
        ComfyError: the server cannot be asked.
    """
    if bool(prompt_ids) is everything:
        raise CommandError("name the jobs to stop, as `queue` lists them, or say --all")
    async with open_comfy(url, require_websocket=False) as comfy:
        state = await comfy.queue.state()
        there = [entry.prompt_id for entry in (*state.pending, *state.running)]
        wanted = there if everything else [each for each in prompt_ids if each in there]
        if wanted:
            await comfy.jobs.cancel(*wanted)
    for prompt_id in wanted:
        screen.line(printable(f"Stopped {prompt_id}"))
    unknown = [each for each in prompt_ids if each not in there]
    if unknown:
        raise CommandError(f"neither running nor waiting at {comfy.url}: {', '.join(unknown)}")


async def history(
    prompt_id: str | None = None,
    *,
    url: ServerURL | None = None,
    most: Annotated[int, Parameter(name="--max", validator=validators.Number(gte=1))] = 20,
    json: Flag = False,
) -> int:
    """List the jobs that are over, the latest last; or tell of one, with its files.

    Args:
        prompt_id: The job to tell of.
        url: A ComfyUI server. Default: $COMFY_HOST, or else http://127.0.0.1:8188.
        most: How many to list.
        json: Write one job a line, as JSON.
    """
    return await supervise(partial(run_history, url, prompt_id, most=most, as_json=json), Screen())


async def run_history(
    url: str | None, prompt_id: str | None, screen: Screen, *, most: int, as_json: bool = False
) -> None:
    """Run the command `history`.

    Raises:
        CommandError: the server knows no such job.
        ComfyError: the server cannot be asked.
    """
    async with open_comfy(url, require_websocket=False) as comfy:
        entries = (
            await comfy.history.page(most)
            if prompt_id is None
            else (await entry_of(comfy, prompt_id),)
        )
    for entry in entries:
        if as_json:
            write_json_line(screen, _as_json(entry))
        else:
            screen.line(printable(summary(entry)))
            if prompt_id is not None:
                _tell_details(entry, screen)
    if not entries and not as_json:
        screen.line("No job is over, or the history was cleared.")


async def entry_of(comfy: Comfy, prompt_id: str) -> HistoryEntry:
    """Return what a server's history holds of a job.

    Raises:
        CommandError: nothing.
        ComfyError: the server cannot be asked.
    """
    entry = await comfy.history.entry(prompt_id)
    if entry is None:
        raise CommandError(
            f"{comfy.url} has no job {prompt_id} in its history: it is not over, it was deleted, or"
            " the server was restarted since"
        )
    return entry


def files_of(entry: HistoryEntry) -> list[Mapping[str, Any]]:
    """Return the files that a job gave."""
    return [*output_files({"": [output_files(output) for output in entry.outputs.values()]})]


def summary(entry: HistoryEntry) -> str:
    """Return in one line how a job ended."""
    ended = "" if entry.ended is None else f"  {entry.ended.astimezone():%Y-%m-%d %H:%M:%S}"
    took = "" if entry.duration is None else f"  {entry.duration:.1f} s"
    count = len(files_of(entry))
    files = "1 file" if count == 1 else f"{count} files"
    return f"{entry.status:<9}  {entry.prompt_id}{ended}{took}  {files}"


def _tell_details(entry: HistoryEntry, screen: Screen) -> None:
    screen.line(printable(f"  {_nodes(entry.prompt)}"))
    if entry.failure is not None:
        said = getattr(entry.failure, "exception_message", "") or "interrupted"
        screen.line(printable(f"  node {entry.failure.node_id}: {said.strip()}"))
    for file in files_of(entry):
        parts = (file.get("type", "output"), file.get("subfolder", ""), file["filename"])
        screen.line(printable("  " + "/".join(filter(None, parts))))


def _as_json(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "prompt_id": entry.prompt_id,
        "status": entry.status,
        "started": entry.started,
        "ended": entry.ended,
        "duration": entry.duration,
        "outputs": dict(entry.outputs),
    }


def _nodes(prompt: Mapping[str, Any]) -> str:
    classes = [str(as_object(node).get("class_type")) for node in prompt.values()]
    shown = ", ".join(dict.fromkeys(classes))
    return f"{len(classes)} nodes: {shown[:100]}{'...' if len(shown) > 100 else ''}"
