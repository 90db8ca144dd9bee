"""A job whose events are shown, and what it gave, saved."""

from __future__ import annotations

import mimetypes
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Unpack

import trio

from .._local_names import local_name
from ._supervise import CommandError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from .. import Comfy, Job, JobEvent, JobResult, SubmitOptions, Workflow
    from ._screen import Screen


@asynccontextmanager
async def open_watched_job(
    comfy: Comfy,
    workflow: Workflow,
    screen: Screen,
    show: Callable[[JobEvent], object],
    **options: Unpack[SubmitOptions],
) -> AsyncGenerator[Job, None]:
    """Run a job to its end, and tell if it was cancelled before.

    The block is entered when the server has the job; when it is left, the job is over.

    Args:
        comfy: At which server.
        workflow: What to run.
        screen: Where a cancellation is told.
        show: Called with each of the job's events.
        options: See `SubmitOptions`.

    Raises:
        ComfyError, OSError: see `Comfy.open_job`.
    """
    job: Job | None = None
    try:
        async with comfy.open_job(workflow, **options) as job:
            yield job
            async for event in job.events():
                show(event)
            await job.wait()
    except trio.Cancelled:
        if job is not None:
            screen.prose(
                "The job was cancelled at the server."
                if job.done
                else "The job was not seen to stop at the server; it may still run there."
            )
        raise


async def make_directory(name: str) -> trio.Path:
    """Make a directory if there is none.

    Raises:
        CommandError: it cannot be made.
    """
    directory = trio.Path(name)
    try:
        await directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(
            f"cannot make the directory {name!r} ({error.strerror}): choose another with --out"
        ) from error
    return directory


async def save_result(comfy: Comfy, result: JobResult, directory: trio.Path) -> list[trio.Path]:
    """Write all that a job gave into a directory, and return where.

    Raises:
        ComfyError: the server does not have a file any more.
        OSError: one cannot be written.
    """
    files = result.files()
    paths = await comfy.file.download_all(files, directory) if files else []
    for node_id, pictures in result.received.items():
        for number, picture in enumerate(pictures, 1):
            suffix = mimetypes.guess_extension(picture.media_type) or ".bin"
            path = directory / local_name(f"node_{node_id}_{number:05}{suffix}")
            await directory.mkdir(parents=True, exist_ok=True)
            await path.write_bytes(picture.data)
            paths.append(path)
    return paths
