"""One job while it lives: its state, the tasks that wait for it, and those who listen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, final
from weakref import WeakSet

import attrs
import trio

from ._events import JobEvent, Preview, kind_of
from ._machine import advance
from ._mailbox import Mailbox
from ._outcomes import sends_pictures
from ._state import Gap, JobPlan, JobState, Phase, StateEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

UNBOUNDED = float("inf")
LAST_PHASES = (Phase.ENDING, Phase.RECORDED, Phase.ENDED)
MOST_KINDS = 20_000
"""Kinds of events that are kept: more than a workflow has nodes, but a server may make some up."""
RECORD_GRACE = 1.0
"""Seconds for the history to be written after the server said how a job ends."""


@final
class JobTracker:
    """Feeds events to a job's state, and wakes whom it concerns. Never waits itself.

    Args:
        plan: The job.
    """

    def __init__(self, plan: JobPlan) -> None:
        self.state: JobState = JobState(plan)
        self.accepted: trio.Event = trio.Event()
        """Set when the server has the job, or the job ended before."""
        self.posted: trio.Event = trio.Event()
        """Set when it is settled, too, what the server said to it."""
        self.posting: trio.CancelScope = trio.CancelScope()
        """Around the POST, whose reply is not waited for much longer than the job's end."""
        self.ended: trio.Event = trio.Event()
        """Set when the job is settled: `state.outcome` is there."""
        self.suspect: bool = False
        """Whether the server should be asked where the job is."""
        self.began: float = trio.current_time()
        self.accepted_at: float = math.inf
        """When it was known that the server has the job."""
        self.over_at: float = math.inf
        """When the server said that it is over, or that was found out."""
        self.last_heard: float = self.began
        self.witness: str | None = None
        """A job that the history held before this one was sent; no restart leaves it there."""
        self.listeners: list[Callable[[JobEvent, float], None]] = []
        """Called with what the job tells, and when. None may raise."""
        self._turn = trio.Event()
        self._latest: dict[Hashable, JobEvent] = {}
        self._mailboxes: WeakSet[Mailbox[JobEvent]] = WeakSet()

    @property
    def prompt_id(self) -> str:
        """The job's id."""
        return self.state.plan.prompt_id

    def feed(self, event: StateEvent) -> None:
        """Let the job know of an event, and everybody of what it makes known."""
        self.last_heard = trio.current_time()
        before = self.state.phase
        self.state = advance(self.state, event)
        for news in self.state.news:
            kind = kind_of(news)
            self._latest.pop(kind, None)
            self._latest[kind] = news
            if len(self._latest) > MOST_KINDS:
                del self._latest[next(iter(self._latest))]
            for mailbox in self._mailboxes:
                mailbox.put_nowait(kind, news)
            for listener in self.listeners:
                listener(news, self.last_heard)
        if self.state.phase is not before:
            self._phase_changed()

    def _phase_changed(self) -> None:
        if self.state.phase is not Phase.SUBMITTED:
            self.accepted.set()
        if self.state.phase not in (Phase.SUBMITTED, Phase.ENDED):
            self.accepted_at = min(self.accepted_at, trio.current_time())
        if self.state.phase is Phase.ENDED:
            self.ended.set()
            # Who comes late wants to know what happened, not what it once looked like.
            for kind in [*self._latest]:
                if isinstance(self._latest[kind], Preview):
                    del self._latest[kind]
            for mailbox in self._mailboxes:
                mailbox.close()
        if self.state.phase in LAST_PHASES:
            self.over_at = min(self.over_at, trio.current_time())
            self._turn.set()
            self._wait_no_longer_for_the_post()

    def _wait_no_longer_for_the_post(self) -> None:
        if not self.posted.is_set():
            deadline = trio.current_time() + RECORD_GRACE
            self.posting.deadline = min(deadline, self.posting.deadline)

    def notice_gap(self, reason: str) -> None:
        """Let the job know that frames may have been lost. Nothing was heard of it by that."""
        self.state = advance(self.state, Gap(reason))

    def suspect_end(self) -> None:
        """Have the server asked where the job is, because its frames may have been missed."""
        self.suspect = True
        self._turn.set()
        if self.state.phase is not Phase.SUBMITTED:
            self._wait_no_longer_for_the_post()

    def mark_cancelling(self, *, cancelling: bool = True) -> None:
        """Remember whether this client asked the server to stop the job."""
        self.state = attrs.evolve(self.state, cancelling=cancelling)

    async def wait_for_end_signs(self) -> None:
        """Wait until there is reason to ask the server how the job ended."""
        while True:
            phase = self.state.phase
            if self.suspect or phase in (Phase.RECORDED, Phase.ENDED):
                await trio.lowlevel.checkpoint()
                return
            self._turn = trio.Event()
            with trio.move_on_after(RECORD_GRACE if phase is Phase.ENDING else UNBOUNDED) as wait:
                await self._turn.wait()
            if wait.cancelled_caught:
                return

    @property
    def awaits_pictures(self) -> bool:
        """Whether pictures may be on their way that come over the WebSocket alone."""
        return sends_pictures(self.state.plan) and self.state.phase not in LAST_PHASES

    async def wait_for_last_frames(self) -> None:
        """Wait until the server has said on the WebSocket how the job ended."""
        while self.state.phase not in LAST_PHASES:
            self._turn = trio.Event()
            await self._turn.wait()

    def told(self) -> Iterator[JobEvent]:
        """Yield the latest of each kind of event so far."""
        yield from self._latest.values()

    def subscribe(self) -> Mailbox[JobEvent]:
        """Return a mailbox with the latest of each kind of event so far, and all to come."""
        mailbox = Mailbox(MOST_KINDS, self._latest.items())
        if self.ended.is_set():
            mailbox.close()
        else:
            self._mailboxes.add(mailbox)
        return mailbox
