"""Where the time of a job went: in the pool, in the server's queue, and at each node."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import attrs

from ._events import NodeStarted, Progress, Started

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ._events import JobEvent


@attrs.frozen(kw_only=True)
class NodeProfile:
    """How long a node took.

    Args:
        node_id, class_type, title: The node; see `NodeStarted`.
        started: When it began, in seconds after the server began the job.
        seconds: How long it ran: a server runs one node after the other, so until the next one
            began, or the job was over.
        progress: How often it told of its progress.
    """

    node_id: str
    class_type: str
    title: str
    started: float
    seconds: float
    progress: int


@attrs.frozen(kw_only=True)
class JobProfile:
    """Where the time of a job went in its last attempt. All times are in seconds.

    Args:
        job_id: Its number in the pool.
        server_id: Where it was.
        prompt_id: Its id there; None if it was not sent, or is a function.
        attempts: How many attempts there were.
        succeeded: Whether it has a result.
        waited: From when it came into the pool to when a server was given it.
        queued: From then to when the server began it; None if it did not, or nobody knows.
        executed: From then to its end; of a function, all of the call. None if it did not begin.
        nodes: The nodes that ran, in order.
        cached: The nodes whose results came from the server's cache.
    """

    job_id: int
    server_id: str
    prompt_id: str | None
    attempts: int
    succeeded: bool
    waited: float
    queued: float | None
    executed: float | None
    nodes: tuple[NodeProfile, ...] = ()
    cached: tuple[str, ...] = ()

    def slowest(self, count: int = 5) -> Sequence[NodeProfile]:
        """Return the nodes that took longest, the slowest first."""
        return sorted(self.nodes, key=lambda node: node.seconds, reverse=True)[:count]

    def to_record(self) -> dict[str, Any]:
        """Return it as what JSON and tables take: dictionaries, lists, texts and numbers."""
        return {
            **attrs.asdict(self, recurse=False),
            "nodes": [attrs.asdict(node) for node in self.nodes],
            "cached": list(self.cached),
        }


@attrs.frozen(kw_only=True)
class ServerProfile:
    """Where the time of the jobs of one server went, on average. All times are in seconds.

    Args:
        server_id: The server.
        jobs: How many jobs these are.
        succeeded: How many of them have a result.
        queued, executed: See `JobProfile`; the mean of those that have it, or None.
        by_class: How long nodes of each class took, the slowest class first.
    """

    server_id: str
    jobs: int
    succeeded: int
    queued: float | None
    executed: float | None
    by_class: Mapping[str, float]

    def to_record(self) -> dict[str, Any]:
        """Return it as what JSON and tables take: dictionaries, texts and numbers."""
        return {**attrs.asdict(self, recurse=False), "by_class": dict(self.by_class)}


def summarize(profiles: Iterable[JobProfile]) -> Mapping[str, ServerProfile]:
    """Return what profiles of jobs say of each server, by its id."""
    by_server: dict[str, list[JobProfile]] = {}
    for profile in profiles:
        by_server.setdefault(profile.server_id, []).append(profile)
    return {server_id: _summarize(server_id, jobs) for server_id, jobs in by_server.items()}


def _summarize(server_id: str, jobs: Sequence[JobProfile]) -> ServerProfile:
    by_class: dict[str, list[float]] = {}
    for job in jobs:
        for node in job.nodes:
            by_class.setdefault(node.class_type, []).append(node.seconds)
    means = {name: statistics.fmean(seconds) for name, seconds in by_class.items()}
    return ServerProfile(
        server_id=server_id,
        jobs=len(jobs),
        succeeded=sum(job.succeeded for job in jobs),
        queued=_mean(job.queued for job in jobs),
        executed=_mean(job.executed for job in jobs),
        by_class=dict(sorted(means.items(), key=lambda item: item[1], reverse=True)),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


@attrs.define(eq=False)
class Recorder:
    """Takes notes of one attempt at a job.

    Args:
        given: When the server was given it.
    """

    given: float
    started: float | None = None
    _nodes: list[tuple[NodeStarted, float]] = attrs.field(
        factory=list[tuple[NodeStarted, float]], init=False
    )
    _progress: dict[str, int] = attrs.field(factory=dict[str, int], init=False)

    def note(self, event: JobEvent, now: float) -> None:
        """Take note of what a job tells."""
        match event:
            case Started():
                self.started = now
            case NodeStarted():
                self._nodes.append((event, now))
            case Progress():
                self._progress[event.node_id] = self._progress.get(event.node_id, 0) + 1
            case _:
                pass

    def nodes(self, ended: float) -> tuple[NodeProfile, ...]:
        """Return the nodes that ran, if the job ended at that time."""
        begun = ended if self.started is None else self.started
        ends = [*(now for _, now in self._nodes[1:]), ended]
        return tuple(
            NodeProfile(
                node_id=event.node_id,
                class_type=event.class_type,
                title=event.title,
                started=now - begun,
                seconds=end - now,
                progress=self._progress.get(event.node_id, 0),
            )
            for (event, now), end in zip(self._nodes, ends, strict=False)
        )

    def profile(
        self,
        *,
        job_id: int,
        server_id: str,
        prompt_id: str | None,
        attempts: int,
        succeeded: bool,
        added: float,
        ended: float,
        is_function: bool,
        cached: Collection[str],
    ) -> JobProfile:
        """Return the profile of a job that ended."""
        started = self.given if is_function else self.started
        return JobProfile(
            job_id=job_id,
            server_id=server_id,
            prompt_id=prompt_id,
            attempts=attempts,
            succeeded=succeeded,
            waited=self.given - added,
            queued=None if started is None else started - self.given,
            executed=None if started is None else ended - started,
            nodes=self.nodes(ended),
            cached=tuple(sorted(cached)),
        )
