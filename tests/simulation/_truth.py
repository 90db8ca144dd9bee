"""What the server truly did with each job, seen from within the server."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import trio

from comfy_trio.testing import NodeResult, NodeType

from ._network import ACTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from comfy_trio.testing import EmbeddedServer, NodeRun
    from comfy_trio.testing._queue import PromptQueue, QueueItem, RunRecord

    from ._history import History

PERSON = "person"
"""Somebody at the server's web page."""
STRANGER = "stranger"
"""Somebody else's client."""


@attrs.define(eq=False)
class Truth:
    """One job, in truth."""

    number: int
    owner: str
    salt: int
    """What it works on, and what its result says. Of equal ones, the second is cached."""
    seconds: float
    fails: bool
    prompt_id: str = ""
    accepted: list[float] = attrs.field(factory=list[float])
    """When the server took it."""
    ended: str = ""
    """``completed``, ``failed`` or ``interrupted``, once its history is written."""
    ended_at: float = math.inf
    lost: set[str] = attrs.field(factory=set[str])
    """Why the server may know nothing of it: ``restart``, ``dequeued``, ``forgotten``."""
    stopped_by: set[str] = attrs.field(factory=set[str])
    """Who interrupted or dequeued it."""
    cancelled_at: float | None = None
    """When its owner first asked for its end."""
    told: str = ""
    """How it ended for its owner, once it was told."""
    stopped_for_good: bool = False
    """Whether nothing of it may be at the server any more, nor come to it."""

    def prompt(self) -> dict[str, Any]:
        """What is sent of it."""
        inputs = {"salt": self.salt, "seconds": self.seconds, "fails": self.fails}
        title = {"title": f"job {self.number}"}
        return {"1": {"class_type": "Work", "inputs": inputs, "_meta": title}}

    def __str__(self) -> str:
        return f"job {self.number} of {self.owner}"


@attrs.define(eq=False)
class Ledger:
    """All jobs, and what the server does with them.

    Args:
        history: Where it is told.
        violate: Called with what must not be.
    """

    history: History
    violate: Callable[[str], None]
    truths: list[Truth] = attrs.field(factory=list[Truth])
    keeps_history: bool = False
    """Whether some restart kept the history, as those of ComfyUI itself do not."""
    _queue: PromptQueue | None = None

    def add(self, owner: str, salt: int, seconds: float, *, fails: bool) -> Truth:
        """Return a new job."""
        truth = Truth(len(self.truths), owner, salt, seconds, fails)
        self.truths.append(truth)
        return truth

    def of(self, items: Iterable[QueueItem]) -> list[Truth]:
        """Return the jobs that are in a part of the queue."""
        return [self._named(item.prompt) for item in items]

    def entries(self, entries: Iterable[dict[str, Any]]) -> list[Truth]:
        """Return the jobs of which entries of the history tell."""
        return [self._named(entry["prompt"][2]) for entry in entries]

    def _named(self, prompt: dict[str, Any]) -> Truth:
        title: str = prompt["1"]["_meta"]["title"]
        return self.truths[int(title.removeprefix("job "))]

    def lose(self, why: str, truths: Iterable[Truth]) -> None:
        """Write down that the server forgets jobs."""
        for truth in truths:
            truth.lost.add(why)

    def lose_all(self, server: EmbeddedServer, *, keep_history: bool) -> None:
        """Write down that the server is restarted.

        What a person removed before is lost in a restart just as well: nobody could tell the two
        apart afterwards.
        """
        kept: list[Truth] = []
        if keep_history:
            self.keeps_history = True
            kept = self.entries(server._engine.queue.history.values())
        self.lose("restart", (each for each in self.truths if each.accepted and each not in kept))

    # --- Within the server ------------------------------------------------------------------------

    @contextmanager
    def watching(self, server: EmbeddedServer) -> Generator[None]:
        """See what the server does."""
        engine = server._engine
        submit, interrupt, reset = engine.submit, engine.interrupt, engine._reset

        def watched_submit(
            number: float,
            prompt_id: str,
            prompt: dict[str, Any],
            extra_data: dict[str, Any],
            outputs: list[str],
        ) -> None:
            truth = self._named(prompt)
            truth.prompt_id = prompt_id
            truth.accepted.append(trio.current_time())
            self.history.note("server", f"accepts {truth}")
            if len(truth.accepted) > 1:
                self.violate(f"{truth} is accepted a second time")
            if truth.stopped_for_good:
                self.violate(f"{truth} comes to the server after it was stopped")
            submit(number, prompt_id, prompt, extra_data, outputs)

        def watched_interrupt() -> None:
            for truth in self.of(engine.queue.running):
                self._stopped(truth, "interrupts")
            interrupt()

        def watched_reset() -> None:
            reset()
            self._watch_queue(engine.queue)

        engine.submit = watched_submit  # type: ignore[method-assign]
        engine.interrupt = watched_interrupt  # type: ignore[method-assign]
        engine._reset = watched_reset  # type: ignore[method-assign]
        self._watch_queue(engine.queue)
        yield

    def _watch_queue(self, queue: PromptQueue) -> None:
        done, delete, clear = queue.done, queue.delete, queue.clear

        def watched_done(record: RunRecord) -> None:
            (truth,) = self.of(queue.running)
            truth.ended, truth.ended_at = _ENDINGS[record.messages[-1][0]], trio.current_time()
            self.history.note("server", f"{truth.ended} {truth}")
            done(record)

        def watched_delete(prompt_id: str) -> bool:
            self._dequeued(item for item in queue.pending if item.prompt_id == prompt_id)
            return delete(prompt_id)

        def watched_clear() -> None:
            self._dequeued(queue.pending)
            clear()

        queue.done = watched_done  # type: ignore[method-assign]
        queue.delete = watched_delete  # type: ignore[method-assign]
        queue.clear = watched_clear  # type: ignore[method-assign]

    def _dequeued(self, items: Iterable[QueueItem]) -> None:
        for truth in self.of(items):
            if "dequeued" not in truth.lost:  # delete() of the last one is a clear(), too
                self._stopped(truth, "dequeues")
                truth.lost.add("dequeued")

    def _stopped(self, truth: Truth, how: str) -> None:
        actor = ACTOR.get()
        self.history.note(actor, f"{how} {truth}")
        truth.stopped_by.add(actor)
        if actor not in {PERSON, truth.owner}:
            self.violate(f"{actor} {how} {truth}")


_ENDINGS = {
    "execution_success": "completed",
    "execution_error": "failed",
    "execution_interrupted": "interrupted",
}


async def _work(node_run: NodeRun, *, salt: int, seconds: float, fails: bool) -> NodeResult:
    await node_run.sleep(seconds / 2)
    await node_run.progress(1, 2)
    await node_run.sleep(seconds / 2)
    if fails:
        raise RuntimeError("of the job's own")
    return NodeResult(ui={"text": [str(salt)]})


WORK = NodeType(
    class_type="Work",
    run=_work,
    required={"salt": ["INT", {}], "seconds": ["FLOAT", {}], "fails": ["BOOLEAN", {}]},
    output_node=True,
)
"""The class of the nodes that all jobs are made of."""
