"""What a server writes, and what goes on at it."""

# No postponed annotations in modules of commands: cyclopts reads them.

from functools import partial
from typing import final

import attrs

from .. import Comfy, QueueState, open_comfy
from .._wire import Status
from ._json_lines import write_json_line
from ._options import Flag, ServerURL
from ._queue import summary
from ._screen import Screen, printable
from ._supervise import supervise


async def logs(*, url: ServerURL | None = None, follow: Flag = False) -> int:
    """Show the last lines of a server's log.

    Args:
        url: A ComfyUI server. Default: $COMFY_HOST, or else http://127.0.0.1:8188.
        follow: Go on with what it writes, until Ctrl-C.
    """
    command = partial(run_logs, url, follow=follow)
    return await supervise(command, Screen(), until_interrupted=follow)


async def run_logs(url: str | None, screen: Screen, *, follow: bool = False) -> None:
    """Run the command `logs`.

    Raises:
        ComfyError: the server cannot be asked, or keeps its log to itself.
    """
    async with open_comfy(url) as comfy:
        if not follow:
            for entry in (await comfy.terminal.logs()).entries:
                screen.line(printable(entry.plain))
            return
        async with comfy.terminal.subscribe() as entries:
            for entry in (await comfy.terminal.logs()).entries:
                screen.line(printable(entry.plain))
            async for entry in entries:
                screen.line(printable(entry.plain))


async def watch(*, url: ServerURL | None = None, json: Flag = False) -> int:
    """Tell of each job that comes, begins and ends, whoever's it is, until Ctrl-C.

    Args:
        url: A ComfyUI server. Default: $COMFY_HOST, or else http://127.0.0.1:8188.
        json: Write one event a line, as JSON, for other programs.
    """
    command = partial(run_watch, url, as_json=json)
    return await supervise(command, Screen(), until_interrupted=True)


async def run_watch(url: str | None, screen: Screen, *, as_json: bool = False) -> None:
    """Run the command `watch`, until cancelled.

    Raises:
        ComfyError: the server cannot be asked.
    """
    async with open_comfy(url) as comfy:
        events = comfy.server_events()
        watcher = Watcher(comfy, screen, as_json)
        await watcher.look()
        async for event in events:
            # ComfyUI tells of others' jobs only that the length of the queue changes.
            if isinstance(event, Status):
                await watcher.look()


@final
@attrs.define(eq=False)
class Watcher:
    """Tells what has changed in a server's queue."""

    comfy: Comfy
    screen: Screen
    as_json: bool
    _seen: QueueState = attrs.field(factory=lambda: QueueState((), ()), init=False)

    async def look(self) -> None:
        """Look at the queue, and tell what is new.

        Raises:
            ComfyError: the server cannot be asked.
        """
        before, now = self._seen, await self.comfy.queue.state()
        self._seen = now
        for entry in (*before.running, *before.pending):
            if entry.prompt_id not in now:
                await self._tell_end(entry.prompt_id)
        for entry in now.running:
            if not before.is_running(entry.prompt_id):
                self._tell("running", entry.prompt_id)
        for entry in now.pending:
            if entry.prompt_id not in before:
                self._tell("waiting", entry.prompt_id)

    async def _tell_end(self, prompt_id: str) -> None:
        entry = await self.comfy.history.entry(prompt_id)
        if entry is None:
            self._tell("gone", prompt_id)
        elif self.as_json:
            self._tell(entry.status, prompt_id)
        else:
            self.screen.line(printable(summary(entry)))

    def _tell(self, status: str, prompt_id: str) -> None:
        if self.as_json:
            write_json_line(self.screen, {"status": status, "prompt_id": prompt_id})
        else:
            self.screen.line(printable(f"{status:<9}  {prompt_id}"))
