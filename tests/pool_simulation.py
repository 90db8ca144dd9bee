"""A pool in a hard world, in virtual time: servers die and come back, networks fail, people meddle.

All that happens is drawn from a seed. What must hold whatever happens is stated once, in `World`:

1. each job ends exactly once;
2. no two servers complete one job (a result that died with its server, before anybody could read
   it, does not count);
3. a job that nobody stopped and that does not fail by itself succeeds;
4. a server is given the first of the jobs that it may have, by weight and arrival;
5. no server that could be given a waiting job is without one;
6. statistics add up;
7. nothing is left at any server when the block is left (see `pools.open_pool_of`).
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import pytest
import trio
from pools import Farm, open_farm, open_pool_of
from prompts import node
from trio.testing import wait_all_tasks_blocked

from comfy_trio import (
    BreakerPolicy,
    ExecutionFailedError,
    ExecutionInterruptedError,
    PickMode,
)
from comfy_trio._pick import pick
from comfy_trio.pool import JobFailed, JobInterrupted, JobSucceeded
from comfy_trio.testing import NodeResult, NodeType

if TYPE_CHECKING:
    from comfy_trio import JobResult, Pool, PoolJob, Subscription
    from comfy_trio._pool_job import Ticket
    from comfy_trio._seat import Seat
    from comfy_trio.pool import PoolEvent
    from comfy_trio.testing import NodeRun

Job: TypeAlias = "PoolJob[JobResult]"

NEVER_ENDS = 100_000
"""Seconds of virtual time after which something hangs."""


def prompt(number: int, seconds: float, outcome: str) -> dict[str, Any]:
    return {"1": node("Work", number=number, seconds=seconds, outcome=outcome)}


@attrs.define(eq=False)
class World:
    """What happened so far, and what must hold."""

    seed: int
    chance: random.Random = attrs.field(init=False)
    farm: Farm = attrs.field(init=False)
    pool: Pool = attrs.field(init=False)
    jobs: dict[int, Job] = attrs.field(factory=dict[int, "Job"])
    outcomes: dict[int, str] = attrs.field(factory=dict[int, str])
    completed: dict[int, list[str]] = attrs.field(factory=lambda: defaultdict(list))
    running: dict[str, int] = attrs.field(factory=dict[str, int])
    stopped: set[int] = attrs.field(factory=set[int])
    """Jobs that their owner or another person stopped, or tried to."""
    ends: Counter[int] = attrs.field(factory=Counter[int])

    def __attrs_post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def work(self, name: str) -> NodeType:
        """The class of nodes that does the work of the jobs at one server."""

        async def run(
            node_run: NodeRun, *, number: int, seconds: float, outcome: str
        ) -> NodeResult:
            self.running[name] = number
            try:
                await node_run.sleep(seconds)
            finally:
                del self.running[name]
            if outcome == "raise":
                raise RuntimeError("of the workflow's own")
            if outcome == "memory" and self.chance.random() < 0.7:
                raise MemoryError("not enough, this time")
            self.completed[number].append(name)
            return NodeResult(ui={"text": [name]})

        inputs: dict[str, list[Any]] = {
            "number": ["INT", {}],
            "seconds": ["FLOAT", {}],
            "outcome": ["STRING", {}],
        }
        return NodeType(class_type="Work", run=run, required=inputs, output_node=True)

    def die(self, name: str) -> None:
        """Forget the results that die with a server."""
        for number, names in self.completed.items():
            if name in names and not self.jobs[number].done:
                names.remove(name)

    # --- What must hold ---------------------------------------------------------------------------

    def check_claim(self, ticket: Ticket, seat: Seat) -> None:
        dispatcher = self.pool._dispatcher
        place = ticket.weight, ticket.job_id
        assert dispatcher.accepts(seat, ticket.requirements)
        for other in dispatcher.tickets.values():
            if other.status == "waiting" and (other.weight, other.job_id) < place:
                assert not dispatcher.accepts(seat, other.requirements), (seat, other, ticket)

    def check_nobody_is_idle(self) -> None:
        dispatcher = self.pool._dispatcher
        for ticket in dispatcher.tickets.values():
            if ticket.status != "waiting":
                continue
            seats = [
                seat
                for seat in dispatcher.seats.values()
                if dispatcher.accepts(seat, ticket.requirements)
            ]
            if seats:
                loads = [seat.load() for seat in seats]
                assert pick(dispatcher.mode, ticket.work, loads) is None, (ticket, seats)

    def check_statistics(self) -> None:
        told = self.pool.statistics()
        settled = told.succeeded + told.failed + told.cancelled
        assert told.added == told.waiting + told.pausing + told.running + settled
        assert told.running == sum(each.running for each in told.servers.values())
        assert all(each.running <= each.concurrency for each in told.servers.values())
        assert told.added == len(self.jobs)

    def check_ends(self, *, cut_short: bool) -> None:
        for number, job in self.jobs.items():
            told = (self.seed, number, job, job.attempts)
            assert job.done, told
            assert self.ends[job.job_id] == 1, told
            assert len(self.completed[number]) <= 1, (told, self.completed[number])
            if job.status == "succeeded":
                assert len(self.completed[number]) == 1, told
            error = job._ticket.error
            if number in self.stopped or cut_short:
                continue
            if self.outcomes[number] == "raise":
                assert isinstance(error, ExecutionFailedError), told
            else:
                assert job.status == "succeeded", told
        for number in self.stopped:
            error = self.jobs[number]._ticket.error
            if isinstance(error, ExecutionInterruptedError):
                assert not self.completed[number], (self.seed, number)

    # --- What happens -----------------------------------------------------------------------------

    async def listen(self, events: Subscription[PoolEvent]) -> None:
        async for event in events:
            match event:
                case JobSucceeded() | JobFailed(will_retry=False) | JobInterrupted():
                    self.ends[event.job_id] += 1
                case _:
                    pass
        assert events.missed == 0

    async def submit(self, count: int) -> None:
        for number in range(count):
            outcome = self.chance.choices(["good", "raise", "memory"], [16, 1, 1])[0]
            options: dict[str, Any] = {"weight": self.chance.choice([0, 0, 0, 1, -1])}
            names = sorted(self.farm.servers)
            if self.chance.random() < 0.2:
                options["exclude"] = self.chance.choice(names)
            self.outcomes[number] = outcome
            work = prompt(number, self.chance.uniform(0.5, 20), outcome)
            self.jobs[number] = await self.pool.submit(work, **options)
            if self.chance.random() < 0.5:
                await trio.sleep(self.chance.expovariate(1))

    async def watch(self) -> None:
        while True:
            await trio.sleep(self.chance.uniform(0, 5))
            await wait_all_tasks_blocked()
            self.check_nobody_is_idle()
            self.check_statistics()

    async def torment(self, name: str) -> None:
        server, chance = self.farm[name], self.chance
        while True:
            await trio.sleep(chance.expovariate(1 / 60))
            pause = partial(trio.sleep, chance.choice([0.1, 3, 20, 60]) * chance.random())
            match chance.randrange(9):
                case 0:
                    self.die(name)
                    server.stop()
                    await pause()
                    server.start()
                case 1:
                    self.die(name)
                    server.restart()
                case 2:
                    server.faults.break_connection("*", times=10**9)
                    server.faults.drop_sockets()
                    await pause()
                    server.faults.clear()
                case 3:
                    server.faults.hang("*", times=10**9)
                    server.faults.stop_reading()
                    await pause()
                    server.faults.clear()
                    server.faults._break_all()  # as of a host that was switched off
                case 4:
                    server.faults.drop_sockets(noticed=chance.random() < 0.5)
                case 5:
                    server.faults.answer("POST /prompt", 503, times=chance.randrange(1, 5))
                case 6:
                    server.faults.break_connection("POST /prompt", after=True)
                case 7:
                    server.faults.answer("POST /prompt", 502, after=True)
                case _:
                    server.faults.deaf = True
                    await pause()
                    server.faults.deaf = False

    async def meddle(self) -> None:
        chance = self.chance
        while True:
            await trio.sleep(chance.expovariate(1 / 30))
            match chance.randrange(5):
                case 0:
                    number = chance.choice([*self.jobs, -1])
                    if number >= 0 and not self.jobs[number].done:
                        self.stopped.add(number)
                        await self.jobs[number].cancel()
                case 1:
                    name = chance.choice(sorted(self.farm.servers))
                    if name in self.running:
                        self.stopped.add(self.running[name])
                        self.farm[name]._engine.interrupt()
                case 2:
                    self.pool.mode = chance.choice(list(PickMode))
                case 3:
                    names = sorted(self.pool.server_ids)
                    if len(names) > 2:
                        await self.pool.remove(chance.choice(names), drain=chance.random() < 0.5)
                case _:
                    for name in set(self.farm.servers) - set(self.pool.server_ids):
                        await self.pool.add(self.farm.member(name))

    def heal(self) -> None:
        for server in self.farm.servers.values():
            server.faults.clear()
            server.faults.notice_lost_sockets()
            server.start()


class LeftByAnError(Exception):
    """What the block is left by in some of the worlds."""


async def simulate(seed: int) -> None:
    """Run a world to its end, and check that what must hold did."""
    world = World(seed)
    chance = world.chance
    names = "abcd"[: chance.randrange(2, 5)]
    cut_short = chance.random() < 0.2
    with trio.fail_after(NEVER_ENDS):
        async with (
            open_farm(names, lambda name: [world.work(name)]) as world.farm,
            trio.open_nursery() as nursery,
        ):
            with pytest.raises(LeftByAnError) if cut_short else nullcontext():
                await run_pool(world, nursery, cut_short=cut_short)
            world.check_statistics()
    world.check_ends(cut_short=cut_short)


async def run_pool(world: World, nursery: trio.Nursery, *, cut_short: bool) -> None:
    chance = world.chance
    async with open_pool_of(
        world.farm,
        concurrency=chance.choice([1, 1, 2, 3]),
        mode=chance.choice(list(PickMode)),
        breaker=BreakerPolicy(cooldown=chance.choice([0, 5, 30])),
        retry_delay=chance.choice([0, 1]),
        max_retries=10**6,
        patience=10**6,
    ) as world.pool:
        claim = world.pool._dispatcher._claim

        def checked_claim(ticket: Ticket, seat: Seat) -> None:
            world.check_claim(ticket, seat)
            claim(ticket, seat)

        world.pool._dispatcher._claim = checked_claim  # type: ignore[method-assign]
        nursery.start_soon(world.listen, world.pool.events())
        async with trio.open_nursery() as chaos:
            chaos.start_soon(world.watch)
            chaos.start_soon(world.meddle)
            for name in world.farm.servers:
                chaos.start_soon(world.torment, name)
            await world.submit(chance.randrange(10, 60))
            await trio.sleep(chance.uniform(0, 120))
            chaos.cancel_scope.cancel()
        world.heal()
        if cut_short:
            raise LeftByAnError
