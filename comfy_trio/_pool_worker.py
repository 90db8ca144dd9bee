"""The workers of one server of a pool: each brings one attempt after the other to its end."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast, final

import trio

from ._disappearance import Disappearance
from ._errors import DisconnectedError, ExecutionInterruptedError, WentMissingError
from ._failover import Verdict, judge
from ._pool_job import Stop
from ._result import JobResult
from ._state import Gone, ServerLost
from ._workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._client import Comfy
    from ._dispatcher import Dispatcher
    from ._pool_job import Attempt, Ticket
    from ._seat import Seat
    from ._tracker import JobTracker
    from ._weighted_channel import WeightedReceiveChannel
    from .telemetry._pool import PoolTelemetry


@final
class PoolWorker:
    """Runs jobs at a server, one at a time.

    Args:
        seat: The server.
        comfy: Its client.
        jobs: Where jobs come from, until it is closed.
        dispatcher: Told how each attempt ended.
        close_timeout: Seconds for stopping a job at the server.
        telemetry: Who is told of the pool, if anybody.
    """

    def __init__(
        self,
        seat: Seat,
        comfy: Comfy,
        jobs: WeightedReceiveChannel[Ticket],
        dispatcher: Dispatcher,
        *,
        close_timeout: float,
        telemetry: PoolTelemetry | None,
    ) -> None:
        self._seat = seat
        self._comfy = comfy
        self._jobs = jobs
        self._dispatcher = dispatcher
        self._close_timeout = close_timeout
        self._telemetry = telemetry

    @trio.lowlevel.enable_ki_protection
    async def work(self) -> None:
        """Run one job after the other, until the server is to leave."""
        while True:
            try:
                ticket = await self._jobs.receive(self._accepts, name=self._seat)
            except trio.ClosedResourceError:
                return
            attempt = ticket.attempt
            assert attempt is not None
            telemetry = self._telemetry
            with nullcontext() if telemetry is None else telemetry.attempt(ticket.job_id):
                if isinstance(ticket.work, Workflow):
                    await self._run(attempt, ticket.work)
                else:
                    await self._call(attempt, ticket.work)

    def _accepts(self, lane: object) -> bool:
        return self._dispatcher.accepts(self._seat, lane)

    async def _run(self, attempt: Attempt, workflow: Workflow) -> None:
        losses = self._seat.losses
        tracker: JobTracker | None = None
        try:
            with attempt.scope:
                tracker = await self._comfy._submitter.start(
                    workflow, attempt.ticket.options, follow=True, asked_by="run"
                )
                attempt.tracker = tracker
                tracker.listeners.append(attempt.note)
                await tracker.ended.wait()
        except Exception as error:
            # Nothing was sent: `start` raised, the wait never does.
            self._dispatcher.fail(attempt, error, judge(error, sent=False))
            return
        if tracker is None:
            self._dispatcher.give_back(attempt)
            return
        while not tracker.ended.is_set():
            await self._break_off(attempt, tracker)
            if not tracker.ended.is_set():
                with attempt.scope:
                    await tracker.ended.wait()
        outcome = tracker.state.outcome
        assert outcome is not None
        restarted = self._seat.losses != losses
        if isinstance(outcome, WentMissingError) and not restarted:
            # The host may have been switched off and on, of which the WebSocket does not know.
            restarted = not await self._comfy._session.connection.probe()
        if isinstance(outcome, JobResult):
            for errors in outcome.node_errors.values():
                self._comfy._submitter.warn(tracker, f"runs without {errors}")
            self._dispatcher.succeed(attempt, outcome)
        elif isinstance(outcome, ExecutionInterruptedError) and attempt.removed and outcome.by_us:
            self._dispatcher.give_back(attempt)
        else:
            verdict = judge(
                outcome,
                unsettled=tracker.state.unsettled,
                restarted=restarted,
            )
            self._dispatcher.fail(attempt, outcome, verdict)

    async def _break_off(self, attempt: Attempt, tracker: JobTracker) -> None:
        """Bring a job that was sent to its end here, if possible there too."""
        assert attempt.why is not None
        if attempt.why in {Stop.CANCELLED, Stop.REMOVED}:
            with trio.move_on_after(self._close_timeout, shield=True):
                await self._comfy._submitter.stop(tracker)
        if tracker.ended.is_set():
            return
        self._seat.given_up.append(tracker.prompt_id)
        # What frames told of the end holds, even if there is nobody to confirm it.
        told = tracker.state.succeeded or tracker.state.failure is not None
        if told or attempt.why is Stop.GONE:
            tracker.feed(Gone(how=Disappearance.RESTARTED))
        elif attempt.why is Stop.REMOVED:
            attempt.resume()  # it may run elsewhere only when it is over here
        else:
            tracker.feed(ServerLost(attempt.why.value))

    async def _call(self, attempt: Attempt, function: Callable[[Comfy], Awaitable[Any]]) -> None:
        losses = self._seat.losses
        value: Any = None
        try:
            with attempt.scope:
                value = await function(self._comfy)
        except trio.Cancelled:
            raise
        except Exception as error:
            verdict = _judge_function(error, restarted=self._seat.losses != losses)
            self._dispatcher.fail(attempt, error, verdict)
        except BaseException as error:
            # Of the program's own: it is raised where the result is waited for.
            self._dispatcher.fail(attempt, error, Verdict.WORKFLOW)
            if isinstance(error, BaseExceptionGroup):
                group = cast("BaseExceptionGroup[BaseException]", error)
                cancelled = group.subgroup(trio.Cancelled)
                if cancelled is not None:
                    raise cancelled from None
        else:
            if not attempt.scope.cancelled_caught:
                self._dispatcher.succeed(attempt, value)
            elif attempt.why in {Stop.CANCELLED, Stop.REMOVED}:
                self._dispatcher.give_back(attempt)
            else:
                assert attempt.why is not None
                lost = DisconnectedError(f"{self._seat.server_id}: {attempt.why.value}")
                gone = attempt.why is Stop.GONE
                verdict = Verdict.SERVER if gone else Verdict.UNSETTLED
                self._dispatcher.fail(attempt, lost, verdict)


def _judge_function(error: Exception, *, restarted: bool) -> Verdict:
    """Tell why a function of the user's failed, which may have run any number of jobs."""
    if isinstance(error, trio.TooSlowError):
        return Verdict.OVERTAXED  # its deadline stopped what it ran there
    verdict = judge(error, unsettled=isinstance(error, DisconnectedError), restarted=restarted)
    return Verdict.SERVER if verdict is Verdict.UNSENT else verdict
