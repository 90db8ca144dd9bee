"""One server, its clients, and what truly happens between them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import attrs
import trio

from comfy_trio import open_comfy
from comfy_trio.testing import NodeResult, NodeType, open_embedded_server

from ._history import History
from ._invariants import NEVER_ENDS, Truth, Violation, check
from ._network import Network
from ._program import CALM, Program, brief
from ._weather import Weather

if TYPE_CHECKING:
    from comfy_trio.testing import EmbeddedServer, NodeRun

FAIR_AFTER = 25.0
"""Seconds without harm after which nothing harmed is on its way any more."""


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
                truth.over_at = trio.current_time()
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

    def new_job(self, *, stranger: bool = False) -> tuple[Truth, dict[str, Any]]:
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

    def require_stopped(self, numbers: set[int]) -> None:
        """Refuse that jobs that were stopped in fair weather are still at the server."""
        queue = self.server._engine.queue
        left = numbers & (self.numbers_in(queue.pending) | self.numbers_in(queue.running))
        if left:
            raise Violation(f"cancelled in fair weather, and still there: {left}")

    async def _stranger(self) -> None:
        """Somebody else, whose network is good."""
        try:
            async with open_comfy(self.server.url, transport=self.server.transport) as comfy:
                while True:
                    await trio.sleep(self.chance.expovariate(1 / 20))
                    _, prompt = self.new_job(stranger=True)
                    try:
                        await comfy.queue.submit(prompt)
                    except Exception as error:
                        self.history.note("stranger", f"gives up: {brief(error)}")
        except Exception as error:
            self.history.note("stranger", f"is thrown out: {brief(error)}")

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
                            clients.start_soon(Program(self, f"client {number}").live)
                        weather = Weather(self)
                        async with trio.open_nursery() as others:
                            others.start_soon(self._stranger)
                            if not self.calm:
                                others.start_soon(weather.torment)
                            await trio.sleep(self.chance.uniform(20, 100))
                            others.cancel_scope.cancel()
                        weather.heal()
                        self.healed.set()
                    nursery.cancel_scope.cancel()
                await trio.sleep(CALM)
                check(self.truths.values(), calm=self.calm, disorder=self.network.disorder)
                here = self.server.statistics()
                if here.sockets:
                    raise Violation(f"sockets are left: {here}")
                left = trio.lowlevel.current_statistics().tasks_living - tasks
                if left > 0:
                    raise Violation(f"{left} tasks are left")
        if bound.cancelled_caught:
            raise Violation("it hangs")
