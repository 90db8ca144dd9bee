"""A program that runs jobs at a server, in all the ways in which one can."""

from __future__ import annotations

import math
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import trio

from comfy_trio import (
    Comfy,
    ComfyError,
    ConnectionState,
    ExecutionInterruptedError,
    JobError,
    ReconnectPolicy,
    open_comfy,
)

from ._invariants import (
    REACH,
    EventChecker,
    check_left,
    check_outcome,
    check_promptness,
    check_sockets,
    check_tracker,
    require,
)

if TYPE_CHECKING:
    import random

    from comfy_trio import ConnectionChanged, Job, Subscription
    from comfy_trio.testing import EmbeddedServer

    from ._history import History
    from ._network import Network
    from ._truth import Ledger, Truth

CLOSE_TIMEOUT = 5.0
"""Seconds that a client takes at most to stop a job that is abandoned."""
NOTICED = 60.0
"""Seconds in which everybody finds out that a connection is broken, who finds it out by itself."""
HEARD = 30.0
"""Seconds in which a client finds out by a job that its socket is deaf."""


class LeftByAnError(Exception):
    """What some programs leave their blocks by."""


@attrs.define(eq=False)
class Program:
    """One client and its jobs.

    Args:
        server: Where its jobs run.
        network: The way there.
        ledger: What is true.
        chance: Where all that is random comes from.
        history: Where it is told.
        cleared: Set when nothing goes wrong any more.
        fair: Whether nothing goes wrong at all.
    """

    server: EmbeddedServer
    network: Network
    ledger: Ledger
    chance: random.Random
    history: History
    cleared: trio.Event
    fair: bool
    comfy: Comfy = attrs.field(init=False)
    _changes: Subscription[ConnectionChanged] = attrs.field(init=False)
    _finite: bool = attrs.field(init=False)
    _leaving: bool = False
    _cancelled_at: float = math.inf
    _handles: list[tuple[Job, Truth]] = attrs.field(factory=list["tuple[Job, Truth]"])
    _subscribers: list[Any] = attrs.field(factory=list[Any])

    @property
    def name(self) -> str:
        """Who it is."""
        return self.network.client

    async def run(self) -> None:
        """Be run to the end, and leave nothing behind.

        Raises:
            Violation: something does not hold.
        """
        chance = self.chance
        self._finite = chance.random() < 0.2
        policy = ReconnectPolicy(attempts=3 if self._finite else math.inf, base=0.5, cap=4)
        entered = False
        scope = trio.CancelScope()
        if chance.random() < 0.2:
            self.history.after(chance.randrange(5, 120), partial(self._cancel_all, scope))
        try:
            with scope:
                async with open_comfy(
                    self.server.url,
                    transport=self.network,
                    reconnect=policy,
                    connect_timeout=10,
                    heartbeat=15,
                    close_timeout=CLOSE_TIMEOUT,
                ) as self.comfy:
                    entered = True
                    self._changes = self.comfy.connection_changes()
                    try:
                        await self._work()
                    finally:
                        self._leave()
        except LeftByAnError:
            pass
        except ComfyError as error:
            if entered:
                raise
            self.history.note(self.name, f"does not get in: {_brief(error)}")
        check_sockets(self.network)
        if entered:
            self._check_left()

    def _cancel_all(self, scope: trio.CancelScope) -> None:
        if not self._leaving:
            self._cancelled_at = trio.current_time()
            self.history.note(self.name, "is cancelled")
            scope.cancel()

    def _leave(self) -> None:
        self._leaving = True
        self.history.note(self.name, "leaves")
        for _, truth in self._handles:
            self._mark_cancelled(truth)

    def _check_left(self) -> None:
        check_left(self.comfy, self.name, [len(each._mailbox) for each in self._subscribers])
        for job, truth in self._handles:
            check_tracker(job._tracker, truth)
            if not truth.told:
                outcome = job._tracker.state.outcome
                self._tell(truth, outcome)
                self._check_stopped(truth)
        self.history.note(self.name, "is closed")

    async def _work(self) -> None:
        chance = self.chance
        if chance.random() < 0.3:
            self._subscribers.append(self.comfy.server_events())  # and reads none
        badly = chance.random() < 0.2
        async with trio.open_nursery() as nursery:
            for _ in range(chance.randrange(1, 4)):
                nursery.start_soon(self._run_job)
                await trio.sleep(chance.expovariate(1 / 3))
        if badly:
            await self._leave_behind(self._new_job())
            raise LeftByAnError
        await self._come_right()

    async def _leave_behind(self, truth: Truth) -> None:
        self.history.note(self.name, f"wants {truth.number}, and is about to leave")
        try:
            job = await self.comfy.submit(truth.prompt())
        except ComfyError as error:
            self._tell(truth, error)
        except trio.Cancelled:
            self._mark_cancelled(truth)
            self._end_cancelled(truth)
            raise
        else:
            self._handles.append((job, truth))
            await trio.sleep(self.chance.random() * 3)

    async def _come_right(self) -> None:
        """Wait until all is well again; then the client must hear."""
        await self.cleared.wait()
        await trio.sleep(NOTICED)
        require(not self.network.holds_a_dead_socket, f"{self.name} holds on to a dead socket")
        await self._run_job(plainly=True)
        await trio.sleep(HEARD)
        heard = self.server._engine.hub.is_connected(self.comfy.client_id)
        require(heard, f"{self.name} is deaf, and does not know")

    # --- One job ----------------------------------------------------------------------------------

    def _new_job(self) -> Truth:
        chance, truths = self.chance, self.ledger.truths
        seconds = chance.choice([0.01, 0.5, 2, 6, 15]) * chance.random()
        own = [each.salt for each in truths if not each.fails]
        salt = chance.choice(own) if own and chance.random() < 0.15 else chance.randrange(10**9)
        return self.ledger.add(self.name, salt, seconds, fails=chance.random() < 0.15)

    async def _run_job(self, *, plainly: bool = False) -> None:
        truth, chance = self._new_job(), self.chance
        ways = [
            self._run,
            self._open_job,
            self._open_job_and_read,
            self._submit,
            self._have_taken_up,
            self._cancel_by_handle,
            self._cancel_by_id,
            self._fail_in_block,
        ]
        way = self._open_job_and_read if plainly else chance.choice(ways)
        self.history.note(self.name, f"wants {truth.number}: {way.__name__.strip('_')}")
        scope = trio.CancelScope()
        if not plainly and chance.random() < 0.35:
            self._cancel_some_time(scope, truth)
        told: object = None
        try:
            with scope:
                told = await way(truth)
        except ComfyError as error:
            told = error
        except LeftByAnError:
            pass
        except trio.Cancelled:
            if not self._has_handle(truth):
                self._mark_cancelled(truth)
                self._end_cancelled(truth)
            raise
        if told is not None:
            self._tell(truth, told)
            if self.fair and way in {self._run, self._open_job, self._submit}:
                check_promptness(truth)
        elif self._has_handle(truth):
            pass  # cancelling a wait leaves a job alone: it is told of when the client is closed
        else:
            self._mark_cancelled(truth)
            self._end_cancelled(truth)

    def _has_handle(self, truth: Truth) -> bool:
        return any(truth is each for _, each in self._handles)

    def _cancel_some_time(self, scope: trio.CancelScope, truth: Truth) -> None:
        """Cancel in the midst of whatever, or after some time."""

        def cancel() -> None:
            if not truth.told:
                truth.cancelled_at = trio.current_time()
                self.history.note(self.name, f"cancels {truth.number}")
                scope.cancel()

        if self.chance.random() < 0.6:
            self.history.after(self.chance.randrange(1, 40), cancel)
        else:
            scope.deadline = truth.cancelled_at = trio.current_time() + self.chance.uniform(0, 10)

    def _mark_cancelled(self, truth: Truth) -> None:
        now = min(trio.current_time(), self._cancelled_at)
        truth.cancelled_at = now if truth.cancelled_at is None else min(truth.cancelled_at, now)

    def _end_cancelled(self, truth: Truth) -> None:
        """Take note that a job was cancelled."""
        self.history.note(self.name, f"has cancelled {truth.number}")
        truth.told = "cancelled"
        self.history.outcomes[truth.told] += 1
        self._check_stopped(truth)

    def _tell(self, truth: Truth, told: object) -> None:
        self.history.note(self.name, f"is told of {truth.number}: {_brief(told)}")
        require(not truth.told, f"{truth} ends a second time: {truth.told}, and then {told!r}")
        truth.told = _brief(told)
        self.history.outcomes[truth.told.partition(":")[0]] += 1
        check_outcome(
            truth,
            told,
            by_owner=True,
            keeps_history=self.ledger.keeps_history,
            gave_up=self._leaving or (self._finite and self._ever_failed()),
        )

    def _ever_failed(self) -> bool:
        changes = self._changes._mailbox._items.values()  # of which none is read
        return any(change.state is ConnectionState.FAILED for change in changes)

    def _check_stopped(self, truth: Truth) -> None:
        """Refuse a job at the server whose cancellation is over, now or when it had to be."""
        assert truth.cancelled_at is not None
        if self.network.harmed_until < truth.cancelled_at:
            truth.stopped_for_good = True
            self._require_stopped(truth)
        else:
            self.network.nursery.start_soon(self._check_stopped_in_time, truth)

    async def _check_stopped_in_time(self, truth: Truth) -> None:
        assert truth.cancelled_at is not None
        await trio.sleep_until(truth.cancelled_at + CLOSE_TIMEOUT)
        if self.network.harmed_until < trio.current_time() - REACH:
            self._require_stopped(truth)

    def _require_stopped(self, truth: Truth) -> None:
        queue = self.server._engine.queue
        there = self.ledger.of([*queue.pending, *queue.running])
        require(truth not in there, f"{truth} is cancelled, and still at the server")

    # --- The ways ---------------------------------------------------------------------------------

    async def _run(self, truth: Truth) -> object:
        return await self.comfy.run(truth.prompt())

    async def _open_job(self, truth: Truth) -> object:
        async with self.comfy.open_job(truth.prompt()) as job:
            return await job.wait()

    async def _open_job_and_read(self, truth: Truth) -> object:
        """Read what a job tells: all of it, slowly or fast, or only how it begins."""
        slow = self.chance.choice([0.0, 0.0, 0.5, 3.0])
        gives_up = self.chance.random() < 0.2
        checker = EventChecker(truth)
        told: object = None
        try:
            async with self.comfy.open_job(truth.prompt()) as job:
                async for event in job.events():
                    checker.hear(event)
                    if gives_up:
                        break
                    if slow:
                        await trio.sleep(self.chance.random() * slow)
                told = await job.wait()
        except ComfyError as error:
            told = error
        if not gives_up and "Pending" in checker.heard:
            checker.end(told)
        return told

    async def _submit(self, truth: Truth) -> object:
        job = await self.comfy.submit(truth.prompt())
        self._handles.append((job, truth))
        return await job.wait()

    async def _have_taken_up(self, truth: Truth) -> object:
        """Submit, and have another client wait for the job, whose network is good."""
        job = await self.comfy.submit(truth.prompt())
        self._handles.append((job, truth))
        told: object = None
        with suppress(ComfyError):  # the server may be down
            async with open_comfy(self.server.url, transport=self.server.transport) as other:
                try:
                    told = await other.attach(job.prompt_id)
                except JobError as error:
                    told = error
                self.history.note("another", f"is told of {truth.number}: {_brief(told)}")
                check_outcome(
                    truth,
                    told,
                    by_owner=False,
                    keeps_history=self.ledger.keeps_history,
                    gave_up=False,
                )
        return await job.wait()

    async def _cancel_by_handle(self, truth: Truth) -> object:
        """Submit, cancel after a while, and see how it ended."""
        job = await self.comfy.submit(truth.prompt())
        self._handles.append((job, truth))
        await trio.sleep(self.chance.choice([0.01, 1, 5]) * self.chance.random())
        self._mark_cancelled(truth)
        self.history.note(self.name, f"cancels {truth.number} by its handle")
        with suppress(ComfyError):  # it may be that the server cannot be asked to
            await job.cancel()
            self._check_stopped(truth)
        return await job.wait()

    async def _cancel_by_id(self, truth: Truth) -> object:
        """The same, by the id, which the server may or may not have got."""
        job = await self.comfy.submit(truth.prompt())
        self._handles.append((job, truth))
        await trio.sleep(self.chance.choice([0.01, 1, 5]) * self.chance.random())
        self._mark_cancelled(truth)
        self.history.note(self.name, f"cancels {truth.number} by its id")
        with suppress(ComfyError), trio.move_on_after(60):
            await self.comfy.queue.cancel(job.prompt_id)
        return await job.wait()

    async def _fail_in_block(self, truth: Truth) -> object:
        """Leave a job's block by an exception."""
        async with self.comfy.open_job(truth.prompt()):
            await trio.sleep(self.chance.choice([0.01, 1, 5]) * self.chance.random())
            self._mark_cancelled(truth)
            self.history.note(self.name, f"fails in the block of {truth.number}")
            raise LeftByAnError


def _brief(told: object) -> str:
    if isinstance(told, ExecutionInterruptedError):
        return "stopped by itself" if told.by_us else "stopped by others"
    if isinstance(told, BaseException):
        return f"{type(told).__name__}: {str(told).splitlines()[0] if str(told) else ''}"
    return "result"
