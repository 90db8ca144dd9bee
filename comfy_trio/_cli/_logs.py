"""What a server writes, and what goes on at it."""

# No postponed annotations in modules of commands: cyclopts reads them.

import math
from functools import partial
from typing import Final, final

import attrs

from .. import (
    Comfy,
    DisconnectedError,
    HistoryEntry,
    QueueState,
    ReconnectPolicy,
    ResponseError,
    ServerUnreachableError,
    open_comfy,
)
from .._wire import Status
from ._json_lines import write_json_line
from ._options import Flag, ServerURL
from ._queue import summary
from ._screen import Screen, printable
from ._supervise import supervise

FOREVER: Final = ReconnectPolicy(attempts=math.inf)
"""Who watches is not to be sent home by a server that is down for the night."""


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
    if not follow:
        async with open_comfy(url, require_websocket=False) as comfy:
            past = (await comfy.terminal.logs()).entries
        for entry in past:
            screen.line(printable(entry.plain))
        return
    async with (
        open_comfy(url, reconnect=FOREVER) as comfy,
        comfy.terminal.subscribe() as entries,
    ):
        past = (await comfy.terminal.logs()).entries
        for entry in past:
            screen.line(printable(entry.plain))
        async for entry in entries:
            if entry not in past:  # what came between the two is in both
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
    async with open_comfy(url, reconnect=FOREVER) as comfy:
        events = comfy.server_events()
        watcher = Watcher(comfy, screen, as_json)
        await watcher.look()
        async for event in events:
            # ComfyUI tells of others' jobs only that the length of the queue changes. A socket that
            # is brought back tells it first of all.
            if isinstance(event, Status):
                try:
                    await watcher.look()
                except (ServerUnreachableError, DisconnectedError, ResponseError) as error:
                    screen.warning(printable(str(error)))


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
        left = [entry.prompt_id for entry in (*before.running, *before.pending)]
        ends = {each: await self.comfy.history.entry(each) for each in left if each not in now}
        self._seen = now  # from here on nothing fails, so that each is told once
        for prompt_id, end in ends.items():
            self._tell_end(prompt_id, end)
        for entry in now.running:
            if not before.is_running(entry.prompt_id):
                self._tell("running", entry.prompt_id)
        for entry in now.pending:
            if entry.prompt_id not in before:
                self._tell("waiting", entry.prompt_id)

    def _tell_end(self, prompt_id: str, entry: HistoryEntry | None) -> None:
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
