"""Files that go to a server, and files that come from it."""

# No postponed annotations in modules of commands: cyclopts reads them.

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

import trio
from cyclopts import Parameter

from .. import Comfy, open_comfy
from ._options import Flag, ServerURL
from ._queue import entry_of, files_of
from ._screen import Screen, printable
from ._supervise import CommandError, supervise
from ._watched_job import make_directory

FOLDERS = ("output", "input", "temp")


async def download(what: str, *, url: ServerURL | None = None, out: str = ".") -> int:
    """Fetch what a job gave, or one file.

    Args:
        what: A job, as `history` lists it; or a file, such as output/2026/ComfyUI_00001_.png.
        url: A ComfyUI server. Default: $COMFY_HOST, or else http://127.0.0.1:8188.
        out: The directory to save in; it is made if need be.
    """
    return await supervise(partial(run_download, url, what, out=out), Screen())


async def run_download(url: str | None, what: str, screen: Screen, *, out: str) -> None:
    """Run the command `download`.

    Raises:
        CommandError: the server knows no such job, or the job gave no file.
        ComfyError: the server cannot be asked, or does not have the file.
        OSError: a file cannot be written.
    """
    async with open_comfy(url, require_websocket=False) as comfy:
        files = await _wanted(comfy, what)
        directory = await make_directory(out)
        for path in await comfy.file.download_all(files, directory):
            screen.fact("Saved", path)


async def _wanted(comfy: Comfy, what: str) -> list[Mapping[str, Any]]:
    folder, separator, path = what.partition("/")
    if separator and folder in FOLDERS:
        subfolder, _, filename = path.rpartition("/")
        return [{"filename": filename, "subfolder": subfolder, "type": folder}]
    if separator:
        raise CommandError(f"{what!r} is no job, and no file in one of {', '.join(FOLDERS)}")
    files = files_of(await entry_of(comfy, what))
    if not files:
        raise CommandError(f"job {what} gave no files")
    return files


async def upload(
    *files: str,
    url: ServerURL | None = None,
    subfolder: str = "",
    folder: Annotated[Literal["input", "output", "temp"], Parameter(name="--type")] = "input",
    overwrite: Flag = False,
) -> int:
    """Send files to a server, and tell by which names nodes find them.

    Args:
        files: The files.
        url: A ComfyUI server. Default: $COMFY_HOST, or else http://127.0.0.1:8188.
        subfolder: Where in the server's folder.
        folder: Which of the server's folders; nodes look in input.
        overwrite: Take the place of other files of these names. Default: the server finds other
            names.
    """
    command = partial(
        run_upload, url, files, subfolder=subfolder, folder=folder, overwrite=overwrite
    )
    return await supervise(command, Screen())


async def run_upload(
    url: str | None,
    files: tuple[str, ...],
    screen: Screen,
    *,
    subfolder: str = "",
    folder: Literal["input", "output", "temp"] = "input",
    overwrite: bool = False,
) -> None:
    """Run the command `upload`.

    Raises:
        CommandError: no file is named.
        ComfyError: the server cannot be asked, or refuses a file.
        OSError: a file cannot be read.
    """
    if not files:
        raise CommandError("name the files to send")
    async with open_comfy(url, require_websocket=False) as comfy:
        for file in files:
            stored = await comfy.file.upload(
                trio.Path(file), subfolder=subfolder, type=folder, overwrite=overwrite
            )
            screen.fact("Stored", printable(stored.reference))
