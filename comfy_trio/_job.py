"""A job's handle: listen to it, wait for it, cancel it."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import attrs

from ._reference import JobReference
from ._result import JobResult
from ._settler import STOP_ATTEMPTS
from ._state import Phase
from ._util import NoPublicConstructor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._errors import NodeErrors
    from ._events import JobEvent
    from ._mailbox import Subscription
    from ._session import Session
    from ._tracker import JobTracker


@final
@attrs.define(eq=False, repr=False, slots=False)
class Job(metaclass=NoPublicConstructor):
    """A job that a server has. Made by `Comfy.submit`, `Comfy.open_job` and `Comfy.follow`."""

    _tracker: JobTracker = attrs.field()
    _session: Session = attrs.field()
    _outcome_told: bool = attrs.field(default=False, init=False)

    @property
    def prompt_id(self) -> str:
        """The job's id at the server, which this client chose."""
        return self._tracker.prompt_id

    @property
    def number(self) -> float | None:
        """The job's place in the server's queue; lower runs earlier. None if not told."""
        return self._tracker.state.number

    @property
    def node_errors(self) -> Mapping[str, NodeErrors]:
        """The nodes that the server refused while it took the rest. Usually none."""
        return self._tracker.state.node_errors

    @property
    def auto_seeds(self) -> Mapping[str, int]:
        """The seeds drawn for this run, by node id."""
        return self._tracker.state.plan.auto_seeds

    @property
    def phase(self) -> str:
        """How far the job is: submitted, pending, running, ending, recorded or ended."""
        return self._tracker.state.phase.value

    @property
    def percent(self) -> int:
        """How much of the whole job is done, from 0 to 100."""
        return max(self._tracker.state.percent, 0)

    @property
    def done(self) -> bool:
        """Whether the job is settled, well or not."""
        return self._tracker.state.phase is Phase.ENDED

    @property
    def reference(self) -> JobReference:
        """The job as data, for `Comfy.attach` in another process: write it down, and it can be.

        A job lives as long as the block that it was submitted in, unless the process dies with no
        time to stop it; `QueueNamespace.submit` starts one that outlives its client.
        """
        session = self._session
        plan = self._tracker.state.plan
        return JobReference.of(plan, str(session.address), session.options.client_id)

    def __repr__(self) -> str:
        return f"<Job {self.prompt_id} {self.phase}, {self.percent} %>"

    def events(self) -> Subscription[JobEvent]:
        """Return an iterator over what the job tells, from its beginning to its end.

        Every iterator gets its own copy, in order, also of what was before. It ends after
        `Finished` or `Failed`, which no iterator misses. A reader that falls behind gets the latest
        `Progress`, `Preview` and the like rather than all of them; it slows down nobody.
        """
        return self._tracker.subscribe().subscription()

    async def wait(self) -> JobResult:
        """Wait until the job is settled, and return its result.

        Cancelling the wait leaves the job alone.

        Raises:
            ExecutionFailedError: a node raised.
            ExecutionInterruptedError: the job was cancelled, by whomever.
            WentMissingError: the server does not know it any more.
            JobError: any other end; see the errors of this library.
            DisconnectedError: the server is lost for good, or the client was closed.
        """
        await self._tracker.ended.wait()
        self._outcome_told = True
        outcome = self._tracker.state.outcome
        assert outcome is not None
        if isinstance(outcome, JobResult):
            return outcome
        # The same error may be raised to several tasks: each gets its own traceback.
        raise outcome.with_traceback(None)

    async def cancel(self) -> None:
        """Stop the job at the server, and return when it is over.

        It is taken out of the queue if it waits there, and interrupted by its id if it runs.
        Nobody else's job is touched. A job that is over already is left as it is; one that was only
        given up, because its server was lost, is asked for once more.

        There is no timeout but cancellation; a node that runs is interrupted only where it checks
        for that, which may take it a while.

        Raises:
            ComfyError: the server cannot be asked to.
        """
        await self._session.supervisor.stop(self._tracker, attempts=STOP_ATTEMPTS)
