"""What the pool costs, beside a dispatcher written by hand: one channel, one task per server.

``nox -s bench -- pool`` runs it over embedded servers in memory.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
import tracemalloc
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
from pools import open_farm, open_pool_of
from prompts import node
from trio.testing import MockClock

from comfy_trio import PickMode, Workflow, open_comfy
from comfy_trio.testing import NodeResult, NodeType

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

    from pools import Farm

    from comfy_trio import Comfy
    from comfy_trio.testing import NodeRun

    from .measuring import Report

JOBS = 10_000
MANY_JOBS = 100_000
RUNS = 300
ROUNDS = 5
HELD = 2_000
NAMES = [f"s{number}" for number in range(64)]

_numbers = itertools.count()


async def nothing(comfy: Comfy) -> None:
    """A job that costs nothing."""
    await trio.lowlevel.checkpoint()


def workflow() -> Workflow:
    """A job that costs as little as one can, and is no other's."""
    return Workflow({"1": node("Tick", number=next(_numbers))})


class Ticks:
    """What each server waits for from the end of a job on: the next POST, and the next job."""

    def __init__(self) -> None:
        self.until_post: list[float] = []
        self.until_next: list[float] = []
        self._ended: dict[str, float] = {}
        self._idle: set[str] = set()

    def nodes(self, name: str) -> list[NodeType]:
        """The class of nodes that take the time, for one server."""

        async def run(node_run: NodeRun, *, number: int) -> NodeResult:
            if name in self._ended:
                self.until_next.append(1000 * (time.perf_counter() - self._ended[name]))
            await trio.lowlevel.checkpoint()
            self._ended[name] = time.perf_counter()
            self._idle.add(name)
            return NodeResult(ui={})

        number: dict[str, list[Any]] = {"number": ["INT", {}]}
        return [NodeType(class_type="Tick", run=run, required=number, output_node=True)]

    def watch(self, farm: Farm) -> None:
        """Take the time of each POST, too."""
        for name, server in farm.servers.items():
            server._engine.submit = self._timed(name, server._engine.submit)  # type: ignore[method-assign]

    def _timed(self, name: str, submit: Callable[..., None]) -> Callable[..., None]:
        def timed(*arguments: Any) -> None:
            if name in self._idle:
                self._idle.discard(name)
                self.until_post.append(1000 * (time.perf_counter() - self._ended[name]))
            submit(*arguments)

        return timed


@asynccontextmanager
async def by_hand(
    farm: Farm, run: Callable[[Comfy, Any], Awaitable[None]]
) -> AsyncGenerator[Callable[[Iterable[Any]], Awaitable[None]], None]:
    """The dispatcher of a program that has no pool."""
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(open_comfy(server.url, transport=server.transport))
            for server in farm.servers.values()
        ]

        async def run_all(works: Iterable[Any]) -> None:
            send, receive = trio.open_memory_channel[Any](float("inf"))
            for work in works:
                send.send_nowait(work)
            send.close()

            async def work_off(comfy: Comfy) -> None:
                async for work in receive:
                    await run(comfy, work)

            async with trio.open_nursery() as nursery:
                for comfy in clients:
                    nursery.start_soon(work_off, comfy)

        yield run_all


# --- Dispatching ----------------------------------------------------------------------------------


async def time_dispatch(report: Report, servers: int) -> None:
    """How long the pool takes over a job that takes no time, with 10,000 of them in its queue."""

    async def call(comfy: Comfy, work: Callable[[Comfy], Awaitable[None]]) -> None:
        await work(comfy)

    jobs = report.scaled(JOBS)
    ours: list[float] = []
    bare: list[float] = []
    async with open_farm(NAMES[:servers]) as farm:
        for _ in range(report.scaled(ROUNDS)):
            async with open_pool_of(farm, mode=PickMode.PICK_ROUTINE) as pool:
                await trio.sleep(1)  # all are connected
                start = time.perf_counter()
                for _ in range(jobs):
                    await pool.submit(nothing)
                await pool._dispatcher.wait_idle()
                ours.append(1e6 * (time.perf_counter() - start) / jobs)
            async with by_hand(farm, call) as run_all:
                start = time.perf_counter()
                await run_all([nothing] * jobs)
                bare.append(1e6 * (time.perf_counter() - start) / jobs)
    report.add(f"dispatching a job, {servers} servers", ours, bare, "us")


async def time_runs(report: Report, servers: int) -> None:
    """How long a workflow takes from the queue to its result, all told."""

    async def run(comfy: Comfy, work: Workflow) -> None:
        await comfy.run(work)

    runs = report.scaled(RUNS)
    ours: list[float] = []
    bare: list[float] = []
    ticks = Ticks()
    async with open_farm(NAMES[:servers], ticks.nodes) as farm:
        for _ in range(report.scaled(ROUNDS)):
            async with open_pool_of(farm) as pool:
                await trio.sleep(1)
                start = time.perf_counter()
                await pool.map([workflow() for _ in range(runs)])
                ours.append(1000 * (time.perf_counter() - start) / runs)
            async with by_hand(farm, run) as run_all:
                start = time.perf_counter()
                await run_all([workflow() for _ in range(runs)])
                bare.append(1000 * (time.perf_counter() - start) / runs)
    report.add(f"a tiny workflow, {servers} servers", ours, bare, "ms")


async def time_gaps(report: Report) -> None:
    """How long a server waits, from the end of a job, for the next POST and for the next job."""

    async def run(comfy: Comfy, work: Workflow) -> None:
        await comfy.run(work)

    runs = report.scaled(RUNS, least=10)
    posts: dict[int, list[float]] = {0: [], 1: [], 2: []}
    begins: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for _ in range(report.scaled(ROUNDS)):
        for concurrency in (0, 1, 2):
            ticks = Ticks()
            async with open_farm("a", ticks.nodes) as farm:
                ticks.watch(farm)
                works = [workflow() for _ in range(runs)]
                if concurrency:
                    mode = PickMode.PICK_ROUTINE
                    async with open_pool_of(farm, concurrency=concurrency, mode=mode) as pool:
                        await pool.map(works)
                else:
                    async with by_hand(farm, run) as run_all:
                        await run_all(works)
            begins[concurrency].append(statistics.median(ticks.until_next))
            if concurrency < 2:  # with two, the next one has been posted before
                posts[concurrency].append(statistics.median(ticks.until_post))
    report.add("from a job's end to the next one's POST", posts[1], posts[0], "ms")
    report.add("from a job's end to the next one's beginning", begins[1], begins[0], "ms")
    report.add("the same, with a second job in its queue", begins[2], begins[0], "ms")


# --- Memory ---------------------------------------------------------------------------------------


def traced() -> int:
    """The bytes that are in use."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def measure_queue(report: Report) -> None:
    """How many bytes a job takes that waits, beside those of its workflow."""
    held = report.scaled(HELD)
    tracemalloc.start()
    async with open_farm(["a"]) as farm:
        farm["a"].stop()
        before = traced()
        copies = [workflow() for _ in range(held)]
        alone = (traced() - before) / held
        del copies
        async with open_pool_of(farm) as pool:
            await trio.sleep(1)
            before = traced()
            async with pool.open_batch(()) as _:
                jobs = [await pool.submit(workflow()) for _ in range(held)]
            queued = (traced() - before) / held
            for job in jobs:
                await job.cancel()
            farm["a"].start()
    tracemalloc.stop()
    report.add("a queued job, beside its workflow", [queued - alone], [alone], "bytes")


async def measure_growth(report: Report) -> None:
    """How many bytes are in use after 100,000 jobs, beside 10,000."""

    async def run(pool: Any, count: int) -> int:
        async with pool.open_batch(itertools.repeat(nothing, count)) as batch:
            async for item in batch:
                item.unwrap()
        return traced()

    jobs, many_jobs = report.scaled(JOBS), report.scaled(MANY_JOBS)
    tracemalloc.start()
    async with open_farm(["a", "b"]) as farm, open_pool_of(farm) as pool:
        few = await run(pool, jobs)
        many = await run(pool, many_jobs - jobs)
    tracemalloc.stop()
    what = f"in use after {many_jobs:,} jobs, and {jobs:,}"
    report.add(what, [many / 1e6], [few / 1e6], "MB", "1.0: no growth")


async def measure_fairness(report: Report) -> None:
    """How many jobs each of eight servers has had, the most beside the fewest."""
    ticks = Ticks()
    async with open_farm(NAMES[:8], ticks.nodes) as farm:
        async with open_pool_of(farm, mode=PickMode.PICK_ROUTINE) as pool:
            await trio.sleep(1)
            await pool.map([workflow() for _ in range(report.scaled(RUNS, least=16))])
        counts = [len(ids) for ids in farm.completed().values()]
    report.add("jobs per server by round robin", [max(counts)], [min(counts)], "jobs", "1.0: fair")


def measure(report: Report) -> None:
    """Time, memory and fairness; in virtual time, in which nothing is waited for."""
    report.title("the pool", "pool", "by hand")

    def run(function: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        trio.run(function, report, *arguments, clock=MockClock(autojump_threshold=0))

    for servers in (1, 8, 64):
        run(time_dispatch, servers)
    for servers in (1, 8, 64):
        run(time_runs, servers)
    for measured in (time_gaps, measure_queue, measure_growth, measure_fairness):
        run(measured)
