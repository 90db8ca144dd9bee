"""The programs in a world: clients that run jobs in all the ways in which one can."""

from __future__ import annotations

import math
from contextlib import nullcontext, suppress
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

from ._invariants import AT_ONCE, WHEN_ASKED, Violation
from ._step import CancelAtStep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from comfy_trio import Subscription
    from comfy_trio.wire import ServerEvent

    from ._invariants import Truth
    from ._world import World

UNASKED = (ServerUnreachableError, DisconnectedError, ResponseError)
"""What a server that cannot be asked comes to."""
CALM = 60.0
"""Seconds in which everything comes right again, when nothing is harmed any more."""


class LeftByAnError(Exception):
    """What some clients leave their blocks by."""


@attrs.define(eq=False)
class Listener:
    """Counts a client's events, at its own pace."""

    events: Subscription[ServerEvent]
    pause: float
    heard: int = 0

    async def listen(self) -> None:
        """Listen for as long as the client lives."""
        async for _ in self.events:
            self.heard += 1
            await trio.sleep(self.pause)

    async def finish(self) -> int:
        """Read what is left; return how many events there were, missed ones included."""
        self.pause = 0
        await self.listen()
        return self.heard + self.events.missed


@attrs.define(eq=False)
class Program:
    """One client of a world."""

    world: World
    actor: str

    def _open(self) -> AbstractAsyncContextManager[Comfy]:
        return open_comfy(
            self.world.server.url,
            transport=self.world.network,
            reconnect=ReconnectPolicy(attempts=math.inf, cap=5),
            connect_timeout=10,
            heartbeat=10,
        )

    def _note(self, what: str) -> None:
        self.world.history.note(self.actor, what)

    async def live(self) -> None:
        """Run some jobs, and end well or badly."""
        world, chance = self.world, self.world.chance
        await trio.sleep(chance.random() * 10)
        jobs = chance.randrange(2, 8)
        badly = chance.random() < 0.25
        mine: set[int] = set()
        listeners: list[Listener] = []
        fair = False
        comfy: Comfy | None = None
        try:
            async with self._open() as comfy:
                listeners = [Listener(comfy.server_events(), pause) for pause in (0.0, 3.0)]
                async with trio.open_nursery() as listening:
                    for listener in listeners:
                        listening.start_soon(listener.listen)
                    async with trio.open_nursery() as nursery:
                        for _ in range(jobs):
                            nursery.start_soon(self.run_job, comfy)
                            await trio.sleep(chance.expovariate(1 / 5))
                    listening.cancel_scope.cancel()
                if badly:
                    truth, prompt = world.new_job()
                    truth.cancelled = True
                    truth.told.append("cancelled")
                    mine.add(truth.number)
                    await comfy.queue.remaining()
                    await comfy.submit(prompt)
                    await trio.sleep(chance.random() * 5)
                    fair = world.is_fair()
                    self._note(f"leaves {truth.number} behind")
                    raise LeftByAnError  # noqa: TRY301  # that is what it is about
                await self._come_right(comfy)
        except LeftByAnError:
            pass
        except Exception as error:  # it did not get in, or was thrown out while it tried to
            if isinstance(error, Violation) or (comfy is not None and not badly):
                raise
            self._note(f"gives up: {brief(error)}")
        if fair and world.is_fair():
            world.require_stopped(mine)
        if comfy is not None:
            await self._check_closed(comfy, listeners)

    async def _check_closed(self, comfy: Comfy, listeners: Sequence[Listener]) -> None:
        held = comfy._session.http.statistics().borrowed_tokens
        if held:
            raise Violation(f"{self.actor} is closed, and holds {held} requests")
        totals = [await listener.finish() for listener in listeners]
        if len(set(totals)) > 1:
            raise Violation(f"{self.actor} lost events on their way to who listens: {totals}")

    async def _come_right(self, comfy: Comfy) -> None:
        """Wait until all is well again; then the client must hear, and be heard."""
        await self.world.healed.wait()
        await trio.sleep(CALM)
        if any(socket.dead for socket in self.world.network.sockets):
            raise Violation("a half-open socket is still taken for a good one")
        await self.run_job(comfy)
        await trio.sleep(CALM)
        if not self.world.server._engine.hub.is_connected(comfy.client_id):
            raise Violation("a deaf socket is still taken for a good one")

    # --- One job ----------------------------------------------------------------------------------

    async def run_job(self, comfy: Comfy) -> None:
        """Run one job in one of the ways in which one can, and write down how it ended."""
        world, chance = self.world, self.world.chance
        truth, prompt = world.new_job()
        ways = [self._run, self._open_job, self._submit, self._take_up, self._cancel_by_handle]
        run = chance.choice(ways)
        after, step = chance.choice(
            [(math.inf, 0)] * 3 + [(chance.uniform(0, 30), 0), (math.inf, chance.randrange(1, 60))]
        )
        if run == self._cancel_by_handle:
            after, step = math.inf, 0  # cancelling this would leave the job alone
        self._note(f"wants {truth.number} by {run.__name__}")
        told: object = "cancelled"

        def note_cancel() -> None:
            truth.cancelled = True
            self._note(f"cancels {truth.number}")

        try:
            with trio.CancelScope() as scope:
                task = trio.lowlevel.current_task()
                with CancelAtStep(scope, step, task, note_cancel) if step else nullcontext():
                    async with trio.open_nursery() as nursery:
                        if after < math.inf:
                            nursery.start_soon(_cancel_later, scope, after, note_cancel)
                        told = await run(comfy, truth, prompt)
                        nursery.cancel_scope.cancel()
        except* Exception as group:
            (told,) = _leaves(group)
        truth.told.append(told)
        truth.told_at = trio.current_time()
        self._note(f"is told of {truth.number}: {brief(told)}")
        if told == "cancelled" and truth.cancelled and world.is_fair():
            world.require_stopped({truth.number})

    async def _run(self, comfy: Comfy, truth: Truth, prompt: dict[str, Any]) -> JobResult:
        truth.told_within = AT_ONCE
        return await comfy.run(prompt)

    async def _open_job(self, comfy: Comfy, truth: Truth, prompt: dict[str, Any]) -> JobResult:
        chance = self.world.chance
        async with comfy.open_job(prompt) as job:
            async for _ in job.events():
                if chance.random() < 0.3:
                    await trio.sleep(chance.random())
            return await job.wait()

    async def _cancel_by_handle(
        self, comfy: Comfy, truth: Truth, prompt: dict[str, Any]
    ) -> JobResult:
        job = await comfy.submit(prompt)
        await trio.sleep(self.world.chance.random() * 10)
        if not job.done:
            truth.cancelled = True
            self._note(f"cancels {truth.number} by its handle")
            with trio.move_on_after(60), suppress(*UNASKED):
                await job.cancel()
        return await job.wait()

    async def _submit(self, comfy: Comfy, truth: Truth, prompt: dict[str, Any]) -> JobResult:
        truth.told_within = AT_ONCE
        job = await comfy.submit(prompt)
        try:
            return await job.wait()
        except trio.Cancelled:
            # It may be that the server cannot be asked to; that it was cancelled counts.
            with trio.move_on_after(5, shield=True), suppress(*UNASKED):
                await job.cancel()
            raise

    async def _take_up(self, comfy: Comfy, truth: Truth, prompt: dict[str, Any]) -> JobResult:
        """Have another client, as of another process, wait for a job of this one."""
        job = await comfy.submit(prompt)
        truth.told_within = WHEN_ASKED
        try:
            while True:
                await trio.sleep(self.world.chance.random())
                with suppress(*UNASKED):
                    async with self._open() as other:
                        self._note(f"takes {truth.number} up as another")
                        return await other.attach(job.reference)
        except trio.Cancelled:
            with trio.move_on_after(5, shield=True), suppress(*UNASKED):
                await job.cancel()
            raise


async def _cancel_later(
    scope: trio.CancelScope, after: float, on_cancel: Callable[[], None]
) -> None:
    await trio.sleep(after)
    on_cancel()
    scope.cancel()


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def brief(told: object) -> str:
    """Return in one line what somebody was told."""
    if isinstance(told, JobResult):
        return "its result"
    if isinstance(told, BaseException):
        return f"{type(told).__name__}: {str(told).splitlines()[0] if str(told) else ''}"
    return str(told)
