"""Clients that run jobs at one server, while it restarts, people meddle and the network fails."""

from __future__ import annotations

import random
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import trio

from comfy_trio import (
    Comfy,
    DisconnectedError,
    JobResult,
    ReconnectPolicy,
    ResponseError,
    ServerUnreachableError,
    open_comfy,
)
from comfy_trio.testing import NodeResult, NodeType, open_embedded_server

from ._history import History
from ._invariants import NEVER_ENDS, Truth, Violation, check
from ._network import Network

if TYPE_CHECKING:
    from comfy_trio import Job
    from comfy_trio.testing import EmbeddedServer, NodeRun

UNASKED = (ServerUnreachableError, DisconnectedError, ResponseError)
"""What a server that cannot be asked to stop a job comes to."""
FAIR_AFTER = 25.0
"""Seconds without harm after which nothing harmed is on its way any more."""
CALM = 60.0
"""Seconds in which everything comes right again, when nothing is harmed any more."""


class LeftByAnError(Exception):
    """What some clients leave their blocks by."""


@attrs.define(eq=False)
class World:
    """All there is, and what truly happens in it."""

    seed: int
    history: History = attrs.field(factory=History)
    chance: random.Random = attrs.field(init=False)
    calm: bool = attrs.field(init=False)
    """Whether nothing goes wrong at all, so that what must hold in fair weather is tried, too."""
    server: EmbeddedServer = attrs.field(init=False)
    network: Network = attrs.field(init=False)
    truths: dict[int, Truth] = attrs.field(factory=dict[int, Truth])
    running: int | None = None
    last_trouble: float = float("-inf")
    healed: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.calm = self.chance.random() < 0.2

    # --- The server -------------------------------------------------------------------------------

    def work(self) -> NodeType:
        """The class of nodes that all jobs are made of."""

        async def run(node_run: NodeRun, *, number: int, seconds: float, fails: bool) -> NodeResult:
            truth = self.truths[number]
            self.running = number
            self.history.note("server", f"begins {number}")
            try:
                steps = max(1, min(int(seconds), 3))
                for step in range(steps):
                    await node_run.sleep(seconds / steps)
                    await node_run.progress(step + 1, steps)
            except BaseException:
                truth.interrupted += 1
                self.history.note("server", f"breaks off {number}")
                raise
            finally:
                self.running = None
            if fails:
                truth.raised += 1
                self.history.note("server", f"fails {number}")
                raise RuntimeError("of the job's own")
            truth.completed += 1
            self.history.note("server", f"completes {number}")
            return NodeResult(ui={"text": [str(number)]})

        required: dict[str, list[Any]] = {
            "number": ["INT", {}],
            "seconds": ["FLOAT", {}],
            "fails": ["BOOLEAN", {}],
        }
        return NodeType(class_type="Work", run=run, required=required, output_node=True)

    def watch_submissions(self) -> None:
        """Count what the server accepts."""
        engine = self.server._engine
        submit = engine.submit

        def counted(
            number: float, prompt_id: str, prompt: dict[str, Any], *rest: Any, **more: Any
        ) -> None:
            job = prompt["1"]["inputs"]["number"]
            self.truths[job].accepted += 1
            self.history.note("server", f"accepts {job}")
            submit(number, prompt_id, prompt, *rest, **more)

        engine.submit = counted  # type: ignore[method-assign]

    def trouble(self, kind: str, what: str = "") -> None:
        """Write down that something happens to the server."""
        self.last_trouble = trio.current_time()
        self.history.fault(kind, "server", what)

    def lose(self, why: str, numbers: set[int] | None = None) -> None:
        """Write down that the server forgets jobs."""
        for truth in self.truths.values():
            if truth.accepted and (numbers is None or truth.number in numbers):
                truth.lost.add(why)

    def is_fair(self) -> bool:
        """Tell whether nothing was harmed for so long that nothing harmed is on its way."""
        harm = max(self.last_trouble, self.network.last_harm)
        return trio.current_time() - harm > FAIR_AFTER and not self.network.storm

    def numbers_in(self, items: list[Any]) -> set[int]:
        """Return the jobs in a part of the server's queue."""
        return {item.prompt["1"]["inputs"]["number"] for item in items}

    # --- The weather ------------------------------------------------------------------------------

    async def torment(self) -> None:
        """Let one thing after the other go wrong."""
        chance, server = self.chance, self.server
        while True:
            await trio.sleep(chance.expovariate(1 / 6))
            pause = partial(trio.sleep, chance.choice([0.1, 2, 10, 30]) * chance.random())
            match chance.randrange(10):
                case 0 | 1 | 2 | 3 | 4:
                    self.network.storm = chance.choice([0.1, 0.3, 0.7])
                    self.history.note("network", f"a storm of {self.network.storm}")
                    await pause()
                    self.network.storm = 0.0
                    self.history.note("network", "is calm")
                case 5:
                    self.lose("restart")
                    self.trouble("restart")
                    server.stop()
                    await pause()
                    server.start()
                    self.history.note("server", "is up")
                case 6:
                    self.trouble("sockets dropped")
                    server.faults.drop_sockets(noticed=chance.random() < 0.5)
                case 7:
                    self.trouble("deafness")
                    server.faults.drop_sockets(noticed=False)
                    await pause()
                    server.faults.notice_lost_sockets()
                    self.trouble("deafness", "sets in")
                case 8:
                    self.trouble("busy")
                    server.faults.stop_reading()
                    await pause()
                    server.faults.resume_reading()
                    self.trouble("busy", "no more")
                case _:
                    self.meddle()

    def meddle(self) -> None:
        """Do what people do at the web page."""
        engine, chance = self.server._engine, self.chance
        match chance.randrange(3):
            case 0 if self.running is not None:
                self.history.fault("interrupt by a person", "person", str(self.running))
                self.truths[self.running].meddled = True
                engine.interrupt()
            case 1 if engine.queue.pending:
                item = chance.choice(sorted(engine.queue.pending, key=lambda item: item.number))
                numbers = self.numbers_in([item])
                self.history.fault("dequeue by a person", "person", str(numbers))
                self.lose("dequeued", numbers)
                engine.queue.delete(item.prompt_id)
            case _:
                self.history.fault("history cleared", "person")
                over = {
                    entry["prompt"][2]["1"]["inputs"]["number"]
                    for entry in engine.queue.history.values()
                }
                self.lose("forgotten", over)
                engine.queue.history.clear()

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        self.network.storm = 0.0
        self.server.faults.clear()
        self.server.faults.notice_lost_sockets()
        self.server.start()
        if not self.calm:
            self.trouble("healed")

    # --- The clients ------------------------------------------------------------------------------

    def prompt(self, *, stranger: bool = False) -> tuple[Truth, dict[str, Any]]:
        """Return a new job, and what is sent of it."""
        chance = self.chance
        truth = Truth(len(self.truths), fails=chance.random() < 0.15, stranger=stranger)
        self.truths[truth.number] = truth
        inputs = {
            "number": truth.number,
            "seconds": chance.choice([0.01, 0.5, 3, 15]) * chance.random(),
            "fails": truth.fails,
        }
        return truth, {"1": {"class_type": "Work", "inputs": inputs}}

    async def run_job(self, comfy: Comfy, actor: str) -> None:
        """Run one job in one of the ways in which one can, and write down how it ended."""
        truth, prompt = self.prompt()
        ways = [self._run, self._open_job, self._submit, self._cancel_by_handle]
        run = self.chance.choice(ways)
        patience = self.chance.choice([float("inf")] * 3 + [self.chance.uniform(0, 30)])
        if run == self._cancel_by_handle:
            patience = float("inf")  # cancelling this would leave the job alone
        self.history.note(actor, f"wants {truth.number} by {run.__name__}")
        told: object = "cancelled"
        try:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    if patience < float("inf"):
                        nursery.start_soon(self._cancel_later, scope, patience, truth)
                    told = await run(comfy, truth, prompt)
                    nursery.cancel_scope.cancel()
        except* Exception as group:
            (told,) = group.exceptions
        truth.told.append(told)
        self.history.note(actor, f"is told of {truth.number}: {_brief(told)}")
        if told == "cancelled" and truth.cancelled and self.is_fair():
            self.require_stopped({truth.number})

    async def _cancel_later(self, scope: trio.CancelScope, after: float, truth: Truth) -> None:
        await trio.sleep(after)
        truth.cancelled = True
        self.history.note("client", f"cancels {truth.number}")
        scope.cancel()

    async def _run(self, comfy: Comfy, truth: Truth, prompt: dict[str, Any]) -> JobResult:
        return await comfy.run(prompt)

    async def _open_job(self, comfy: Comfy, truth: Truth, prompt: dict[str, Any]) -> JobResult:
        async with comfy.open_job(prompt) as job:
            async for _ in job.events():
                if self.chance.random() < 0.3:
                    await trio.sleep(self.chance.random())
            return await job.wait()

    async def _cancel_by_handle(
        self, comfy: Comfy, truth: Truth, prompt: dict[str, Any]
    ) -> JobResult:
        job = await comfy.submit(prompt)
        await trio.sleep(self.chance.random() * 10)
        if not job.done:
            truth.cancelled = True
            self.history.note("client", f"cancels {truth.number} by its handle")
            with trio.move_on_after(60), suppress(*UNASKED):
                await job.cancel()
        return await job.wait()

    async def _submit(self, comfy: Comfy, truth: Truth, prompt: dict[str, Any]) -> JobResult:
        job: Job = await comfy.submit(prompt)
        try:
            return await job.wait()
        except trio.Cancelled:
            # It may be that the server cannot be asked to; that it was cancelled counts.
            with trio.move_on_after(5, shield=True), suppress(*UNASKED):
                await job.cancel()
            raise

    def require_stopped(self, numbers: set[int]) -> None:
        """Refuse that jobs that were stopped in fair weather are still at the server."""
        queue = self.server._engine.queue
        left = numbers & (self.numbers_in(queue.pending) | self.numbers_in(queue.running))
        if left:
            raise Violation(f"cancelled in fair weather, and still there: {left}")

    async def client(self, actor: str) -> None:
        """A program that runs some jobs, and ends well or badly."""
        chance = self.chance
        await trio.sleep(chance.random() * 10)
        jobs = chance.randrange(2, 8)
        badly = chance.random() < 0.25
        mine: set[int] = set()
        options: dict[str, Any] = {
            "transport": self.network,
            "reconnect": ReconnectPolicy(attempts=float("inf"), cap=5),
            "connect_timeout": 10,
            "heartbeat": 10,
        }
        fair = False
        comfy: Comfy | None = None
        try:
            async with open_comfy(self.server.url, **options) as comfy:
                async with trio.open_nursery() as nursery:
                    for _ in range(jobs):
                        nursery.start_soon(self.run_job, comfy, actor)
                        await trio.sleep(chance.expovariate(1 / 5))
                if badly:
                    truth, prompt = self.prompt()
                    truth.cancelled = True
                    truth.told.append("cancelled")
                    mine.add(truth.number)
                    await comfy.queue.remaining()
                    await comfy.submit(prompt)
                    await trio.sleep(chance.random() * 5)
                    fair = self.is_fair()
                    self.history.note(actor, f"leaves {truth.number} behind")
                    raise LeftByAnError  # noqa: TRY301  # that is what it is about
                await self._come_right(comfy)
        except LeftByAnError:
            pass
        except Exception as error:  # it did not get in, or was thrown out while it tried to
            if isinstance(error, Violation) or (comfy is not None and not badly):
                raise
            self.history.note(actor, f"gives up: {_brief(error)}")
        if fair and self.is_fair():
            self.require_stopped(mine)
        if comfy is not None:
            held = comfy._session.http.statistics().borrowed_tokens
            if held:
                raise Violation(f"{actor} is closed, and holds {held} requests")

    async def _come_right(self, comfy: Comfy) -> None:
        """Wait until all is well again; then the client must hear, and be heard."""
        await self.healed.wait()
        await trio.sleep(CALM)
        if any(socket.dead for socket in self.network.sockets):
            raise Violation("a half-open socket is still taken for a good one")
        await self.run_job(comfy, "last")
        await trio.sleep(CALM)
        if not self.server._engine.hub.is_connected(comfy.client_id):
            raise Violation("a deaf socket is still taken for a good one")

    async def stranger(self) -> None:
        """Somebody else, whose network is good."""
        async with open_comfy(self.server.url, transport=self.server.transport) as comfy:
            while True:
                await trio.sleep(self.chance.expovariate(1 / 20))
                _, prompt = self.prompt(stranger=True)
                try:
                    await comfy.queue.submit(prompt)
                except Exception as error:
                    self.history.note("stranger", f"gives up: {_brief(error)}")

    # --- All of it --------------------------------------------------------------------------------

    async def live(self) -> None:
        """Let everything happen, and check what must hold.

        Raises:
            Violation: it did not.
        """
        with trio.move_on_after(NEVER_ENDS) as bound:
            async with open_embedded_server(nodes=[self.work()]) as self.server:
                self.watch_submissions()
                self.network = Network(self.server.transport, self.chance, self.history)
                tasks = trio.lowlevel.current_statistics().tasks_living
                async with trio.open_nursery() as nursery:
                    async with trio.open_nursery() as clients:
                        for number in range(self.chance.randrange(1, 3)):
                            clients.start_soon(self.client, f"client {number}")
                        async with trio.open_nursery() as weather:
                            weather.start_soon(self._stranger)
                            if not self.calm:
                                weather.start_soon(self.torment)
                            await trio.sleep(self.chance.uniform(20, 100))
                            weather.cancel_scope.cancel()
                        self.heal()
                        self.healed.set()
                    nursery.cancel_scope.cancel()
                await trio.sleep(CALM)
                check(self.truths.values())
                here = self.server.statistics()
                if here.sockets:
                    raise Violation(f"sockets are left: {here}")
                left = trio.lowlevel.current_statistics().tasks_living - tasks
                if left > 0:
                    raise Violation(f"{left} tasks are left")
        if bound.cancelled_caught:
            raise Violation("it hangs")

    async def _stranger(self) -> None:
        try:
            await self.stranger()
        except Exception as error:
            self.history.note("stranger", f"is thrown out: {_brief(error)}")


def _brief(told: object) -> str:
    if isinstance(told, JobResult):
        return "its result"
    if isinstance(told, BaseException):
        return f"{type(told).__name__}: {str(told).splitlines()[0] if str(told) else ''}"
    return str(told)
