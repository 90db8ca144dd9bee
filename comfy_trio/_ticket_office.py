"""From what a program wants run to a ticket of a pool."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Final, TypeGuard, final

from ._pool_job import Ticket
from ._requirements import Needs, Requirements, needs_of
from ._runnable import workflow_of
from ._submission import SubmitOptions, check_options
from ._targets import find_targets
from ._typed_node import Node

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from typing import Unpack

    from ._client import Comfy
    from ._workflow import Workflow


class PoolJobOptions(SubmitOptions, total=False):
    """What may be said of one job of a pool; all of it as keywords.

    What is said beside it, as `SubmitOptions`, is sent with each attempt at a workflow. A function
    says it itself when it runs one.
    """

    weight: float
    """The lightest job goes first; of equal ones, the one that came first. Default: 0."""
    include: str | Iterable[str]
    """The ids of the only servers that may have it. Default: all."""
    exclude: str | Iterable[str]
    """The ids of servers that may not."""
    max_retries: int
    """How often it is run again after a server failed at it. Attempts that never got to a server,
    and servers that lack what it needs, do not count. Default: that of the pool."""


NO_OPTIONS: Final = SubmitOptions()
"""One for all: many jobs may wait."""


@final
class TicketOffice:
    """Writes the tickets of a pool.

    Args:
        server_ids: The ids of the servers, as they change.
        max_retries: For jobs that do not say.
        affinity: Ids of the servers that a workflow goes to first, by its structure hash.
        match_nodes: Whether to write down what a workflow needs of a server.
    """

    def __init__(
        self,
        server_ids: Mapping[str, object],
        *,
        max_retries: int,
        affinity: Mapping[str, frozenset[str]],
        match_nodes: bool,
    ) -> None:
        self._server_ids = server_ids
        self._max_retries = max_retries
        self._affinity = affinity
        self._match_nodes = match_nodes
        self._job_ids = itertools.count(1)

    def write(self, what: Any, /, *more: Any, **options: Unpack[PoolJobOptions]) -> Ticket:
        """Return a ticket for a job; see `Pool.run`.

        Raises:
            WorkflowError, TypeError, ValueError: the job or its options make no sense.
        """
        return self._write(what, *more, **options)

    def _write(
        self,
        what: Any,
        *more: Any,
        weight: float = 0.0,
        include: str | Iterable[str] | None = None,
        exclude: str | Iterable[str] = (),
        max_retries: int | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Ticket:
        if math.isnan(weight):
            raise ValueError("weight must be a number that can be compared, not nan")
        if max_retries is None:
            max_retries = self._max_retries
        elif max_retries < 0:
            raise ValueError(f"max_retries must not be negative, and is {max_retries!r}")
        included = None if include is None else _ids(include)
        if included is not None and not included & self._server_ids.keys():
            known = ", ".join(self._server_ids) or "none"
            raise ValueError(
                f"include: none of {', '.join(sorted(included)) or 'no servers'} is in the pool;"
                f" there are {known}"
            )
        checked = check_options(options, "run")
        prefer: frozenset[str] = frozenset()
        needs = Needs()
        work: Workflow | Callable[[Comfy], Awaitable[Any]]
        if _is_function(what):
            if checked:
                raise TypeError(
                    f"{', '.join(checked)}: for workflows; a function says so itself to `comfy.run`"
                )
            work = what
        else:
            # The caller's may change while this waits, or be run by another call.
            work = workflow = workflow_of(what, *more).copy()
            if "targets" in checked:
                checked["targets"] = find_targets(checked["targets"] or (), workflow)
            if self._affinity:
                prefer = self._affinity.get(workflow.structure_hash, prefer)
            if self._match_nodes:
                needs = needs_of(workflow)
        requirements = Requirements(
            include=included, exclude=_ids(exclude), prefer=prefer, needs=needs
        )
        return Ticket(
            next(self._job_ids), work, weight, requirements, max_retries, checked or NO_OPTIONS
        )


def _ids(given: str | Iterable[str]) -> frozenset[str]:
    return frozenset([given] if isinstance(given, str) else given)


def _is_function(what: Any) -> TypeGuard[Callable[[Comfy], Awaitable[Any]]]:
    return callable(what) and not isinstance(what, Node)
