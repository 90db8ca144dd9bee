"""The engine: it takes prompts, runs one after the other, and tells the clients."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

import trio

from ._cache import OutputCache
from ._execution import Execution, Workshop
from ._queue import SECRET_KEYS, PromptQueue, QueueItem
from ._terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comfy_trio._util import JSONObject

    from ._asset_store import AssetStore
    from ._files import FileStore
    from ._hub import Hub
    from ._node_type import NodeType
    from ._versions import PlayedVersion

_log: Final = logging.getLogger("comfy_trio.testing")


class Engine:
    """Queue, worker and history of one server.

    Args:
        hub: The connected clients.
        nodes: Node types by class name.
        files: The server's folders.
        version: What the server can do.
        assets: Where the files of outputs are registered, if they are.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        nodes: Mapping[str, NodeType],
        files: FileStore,
        version: PlayedVersion,
        assets: AssetStore | None = None,
    ) -> None:
        self.hub = hub
        self.version = version
        self._epoch = time.time() - trio.current_time()
        self.terminal: Terminal = Terminal(hub, self._seconds, colored=version.colored_logs)
        self._workshop = Workshop(
            nodes=nodes,
            files=files,
            cache=OutputCache(),
            publisher=hub,
            version=version,
            now=self.now,
            terminal=self.terminal,
            assets=assets,
        )
        self._incarnation = trio.CancelScope()
        self._reset()

    def _reset(self) -> None:
        self.queue: PromptQueue = PromptQueue(self._announce)
        self.worker_alive: bool = True
        """False once a broken prompt has killed the worker, as it does with the real server."""
        self._number = 0
        self._client_id: str | None = None
        self._execution: Execution | None = None
        self._was_success = True
        self._forget = False
        self._wake = trio.Event()
        self._workshop.cache.clear()

    def now(self) -> int:
        """The time in ms since 1970, as the clock of trio has it."""
        return int(self._seconds() * 1000)

    def _seconds(self) -> float:
        return self._epoch + trio.current_time()

    def next_number(self, *, front: bool) -> int:
        """The place in the queue of a prompt that was posted without one."""
        number = -self._number if front else self._number
        self._number += 1
        return number

    def submit(
        self,
        number: float,
        prompt_id: str,
        prompt: JSONObject,
        extra_data: JSONObject,
        outputs: list[str],
    ) -> None:
        """Queue a validated prompt.

        Raises:
            TypeError: A prompt with the same number and id is pending.
        """
        extra_data = dict(extra_data)
        secrets: JSONObject = {}
        if self.version.hides_secrets:
            secrets = {key: extra_data.pop(key) for key in SECRET_KEYS if key in extra_data}
        if self.version.create_time:
            extra_data["create_time"] = self.now()
        self.queue.put(QueueItem(number, prompt_id, prompt, extra_data, outputs, secrets))
        self._wake.set()

    def interrupt(self) -> None:
        """Interrupt whatever runs."""
        if self._execution is not None:
            self._execution.interrupt()

    def cancel(self, prompt_id: str) -> bool:
        """Interrupt or dequeue that prompt; False if it is over or unknown."""
        if self.queue.is_running(prompt_id):
            self.interrupt()
            return True
        return self.queue.delete(prompt_id)

    def free(self, *, memory: bool) -> None:
        """Drop cached outputs once the prompt that runs is over.

        Args:
            memory: Whether outputs go; models are none here.
        """
        if memory:
            self._forget = True
            self._wake.set()

    def cached(self) -> int:
        """How many outputs are kept."""
        return len(self._workshop.cache)

    def queue_info(self) -> JSONObject:
        """The content of ``status`` frames and of ``GET /prompt``."""
        return {"exec_info": {"queue_remaining": self.queue.remaining()}}

    def greeting(self, sid: str) -> list[tuple[str, JSONObject]]:
        """The frames for a client that has just connected."""
        frames: list[tuple[str, JSONObject]] = [
            ("status", {"status": self.queue_info(), "sid": sid})
        ]
        node = self._execution.current_node if self._execution is not None else None
        if node is not None and self._client_id == sid:
            frames.append(("executing", {"node": node}))
        return frames

    def restart(self) -> None:
        """Lose everything that is held in memory, as a server does that is started anew."""
        self._reset()
        self.terminal.restart()
        self._workshop.files.clear("temp")
        self._incarnation.cancel("the embedded server restarts")

    async def run(self) -> None:
        """Execute prompts until cancelled."""
        while True:
            with trio.CancelScope() as self._incarnation:
                await self._work()

    async def _work(self) -> None:
        queue = self.queue  # of this incarnation: what was running at a restart is lost
        while True:
            await trio.lowlevel.checkpoint()
            item = queue.get()
            if item is not None:
                try:
                    await self._execute(queue, item)
                except Exception:
                    _log.exception("The prompt worker died of prompt %s", item.prompt_id)
                    self.worker_alive = False
                    await trio.sleep_forever()
            if self._forget:
                self._workshop.cache.clear()
                self._forget = False
            if not queue.pending:
                self._wake = trio.Event()
                await self._wake.wait()

    async def _execute(self, queue: PromptQueue, item: QueueItem) -> None:
        execution = Execution(self._workshop, item, was_success=self._was_success)
        self._execution, self._client_id = execution, execution.client_id
        began = trio.current_time()
        record = await execution.run()
        self._was_success = record.success
        queue.done(record)
        if execution.client_id is not None:
            over: dict[str, Any] = {"node": None, "prompt_id": item.prompt_id}
            self.hub.publish("executing", over, execution.client_id)
        seconds = trio.current_time() - began
        took = f"{seconds:.2f} seconds" if seconds <= 600 else _hours_and_minutes(seconds)
        self.terminal.info(f"Prompt executed in {took}", green=True)
        self._execution = None

    def _announce(self) -> None:
        self.hub.publish("status", {"status": self.queue_info()}, None)


def _hours_and_minutes(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(seconds))
