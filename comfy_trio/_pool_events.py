"""What a pool tells while it lives, in the order in which it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import attrs

if TYPE_CHECKING:
    from ._errors import ServerCrashedError
    from ._events import JobEvent
    from ._pick import PickMode, PickStrategy
    from ._util import JSONObject
    from ._wire import LogEntry


@attrs.frozen
class PoolOpened:
    """The pool takes jobs. Once, first; no server need have been reached."""

    server_ids: tuple[str, ...]


@attrs.frozen
class ServerAdded:
    """A server was added while the pool was open."""

    server_id: str
    url: str


@attrs.frozen
class ServerRemoved:
    """A server was removed, and nothing of the pool is there any more."""

    server_id: str


@attrs.frozen
class ServerConnected:
    """A server was reached for the first time."""

    server_id: str


@attrs.frozen
class ServerUnreachable:
    """A server could not be reached yet. It is tried again, with growing pauses.

    Args:
        error: Why: nobody answers, it wants other credentials, or it is no ComfyUI.
    """

    server_id: str
    error: Exception


@attrs.frozen
class ServerDisconnected:
    """The connection to a server was lost.

    Args:
        refused: Whether nobody listens there any more, so that the jobs there are gone.
    """

    server_id: str
    reason: str
    refused: bool


@attrs.frozen
class ServerReconnected:
    """The connection to a server is back."""

    server_id: str


@attrs.frozen
class LocalServerCrashed:
    """A server that the pool had started ended by itself. Its jobs are run elsewhere.

    Args:
        restart_in: Seconds until it is started again; None if it is given up, because it did not
            get ready for too often.
    """

    server_id: str
    error: ServerCrashedError
    restart_in: float | None


@attrs.frozen
class ServerReady:
    """A server is given jobs from now on: it is connected, and not left alone."""

    server_id: str


@attrs.frozen
class ServerCooling:
    """A server failed several jobs in a row, and is left alone for so many seconds."""

    server_id: str
    seconds: float


@attrs.frozen
class ServerLogged:
    """A server wrote lines to its terminal."""

    server_id: str
    entries: tuple[LogEntry, ...]


@attrs.frozen
class SystemMonitored:
    """A server told how busy its machine is; only with the Crystools extension."""

    server_id: str
    data: JSONObject = attrs.field(repr=False)


@attrs.frozen
class ModeChanged:
    """The pool chooses servers in another way from now on."""

    mode: PickMode | PickStrategy


@attrs.frozen
class JobAdded:
    """A job came into the pool."""

    job_id: int
    weight: float


@attrs.frozen
class JobsWaiting:
    """No server could take a job at once: after none did, one waits now."""


@attrs.frozen
class JobStarted:
    """A job was given to a server.

    Args:
        attempt: For the so-manieth time, from 1.
    """

    job_id: int
    server_id: str
    attempt: int


@attrs.frozen
class JobReturned:
    """An attempt at a job was broken off, because its server is removed: the job waits again.

    It is over there, or never came to be.

    Args:
        attempt: Which attempt, from 1.
    """

    job_id: int
    server_id: str
    attempt: int


@attrs.frozen
class JobSucceeded:
    """A job has its result."""

    job_id: int
    server_id: str
    attempt: int


@attrs.frozen
class JobFailed:
    """An attempt at a job failed, or there was no server for one.

    Args:
        server_id: Where; None if no server can have it.
        attempt: Which attempt, from 1; of a job that no server can have, how many there were.
        error: How.
        will_retry: Whether there will be another one, or this was the end.
    """

    job_id: int
    server_id: str | None
    attempt: int
    error: BaseException
    will_retry: bool


@attrs.frozen
class JobInterrupted:
    """A job was stopped: by its owner, or by somebody at the server.

    Args:
        server_id: Where it was; None if nowhere yet.
        by_us: Whether this program stopped it.
    """

    job_id: int
    server_id: str | None
    by_us: bool


@attrs.frozen
class PoolIdle:
    """No job is left in the pool."""


PoolEvent: TypeAlias = (
    PoolOpened
    | ServerAdded
    | ServerRemoved
    | ServerConnected
    | ServerUnreachable
    | ServerDisconnected
    | ServerReconnected
    | LocalServerCrashed
    | ServerReady
    | ServerCooling
    | ServerLogged
    | SystemMonitored
    | ModeChanged
    | JobAdded
    | JobsWaiting
    | JobStarted
    | JobReturned
    | JobSucceeded
    | JobFailed
    | JobInterrupted
    | PoolIdle
)
"""Everything that `Pool.events` yields."""

JobMilestone: TypeAlias = JobStarted | JobReturned | JobSucceeded | JobFailed | JobInterrupted
"""What the pool itself tells of a job that it has taken in."""
PoolJobEvent: TypeAlias = "JobEvent | JobMilestone"
"""Everything that `PoolJob.events` yields."""
