"""How a pool is opened and closed: many servers, one queue, nothing run twice."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import trio

from ._breaker import BreakerPolicy
from ._connection_state import ReconnectPolicy
from ._nursery import open_breakable_block, open_service_nursery
from ._pick import PickMode
from ._pool import Pool
from ._pool_server import KeeperOptions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

    from ._local_server import LocalServer
    from ._pick import PickStrategy
    from ._pool_server import PoolServer
    from .telemetry import OpenTelemetry


@asynccontextmanager
async def open_pool(
    servers: Iterable[str | PoolServer | LocalServer] = (),
    *,
    mode: PickMode | PickStrategy = PickMode.PICK_ZERO,
    max_retries: int = 3,
    retry_delay: float = 1.0,
    breaker: BreakerPolicy | None = None,
    reconnect: ReconnectPolicy | None = None,
    patience: float = 300.0,
    rerun_lost: bool = False,
    match_nodes: bool = False,
    affinity: Mapping[str, Iterable[str]] | None = None,
    terminal: bool = False,
    profiles: int = 0,
    max_queued: float = 10_000,
    connect_timeout: float = 30.0,
    heartbeat: float = 10.0,
    close_timeout: float = 5.0,
    telemetry: OpenTelemetry | None = None,
) -> AsyncGenerator[Pool, None]:
    """Run jobs on many servers, each on one of them, for as long as a block lasts.

    The block is entered at once. Servers are connected to in parallel, and each has jobs from when
    it is; one that is down delays nobody, and joins when it comes up.

    Leaving the block normally finishes what is in the pool. An exception or a cancellation cancels
    all of it, at the servers too, within ``close_timeout``; connections that do not close have one
    second more, and servers that the pool started their ``stop_timeout``. Nothing stays behind: no
    task, no socket, no process, no job of the pool at any server.

    No job is run twice to completion. One that failed because of its server is run again only when
    that attempt is over for certain: the server said so, or never had it, or is gone with its
    queue. Of a server that does not answer nobody knows, and its jobs wait for it to come back; see
    ``patience``.

    Args:
        servers: Their addresses, `PoolServer` where there is more to say of one, `LocalServer` for
            one that the pool is to start.
        mode: How to choose among servers; see `Pool.mode`.
        max_retries: See `PoolJobOptions`. Default: 3.
        retry_delay: Seconds before a job is run again that failed because of its server; twice as
            long each time, up to 30 s. Default: 1.
        breaker: When a server that fails is left alone. Default: for 5 s after 3 failures in a row.
        reconnect: The pauses before a server that is away is tried again. It is never given up,
            whatever ``attempts`` says.
        patience: Seconds that jobs wait for a server that does not answer. Then they fail with
            `DisconnectedError`. Default: 300.
        rerun_lost: Whether they are run again instead, elsewhere: such a job may run twice.
        match_nodes: Whether to ask each server for its classes of nodes, which may be megabytes,
            and to give it no workflow of which it lacks a class or a file. Without that, a server
            that refuses a workflow for such a reason is passed over then.
        affinity: Ids of the servers that a workflow goes to first if they are free, by its
            `Workflow.structure_hash`.
        terminal: Whether servers are to send what they write to their terminals; see `Pool.events`.
        profiles: Of how many of the jobs that ended last to keep where their time went; see
            `Pool.profiles`. Default: none.
        max_queued: How many jobs may wait before `Pool.submit` and `Pool.run` wait for room.
        connect_timeout: Seconds for a server to answer. Default: 30.
        heartbeat: Seconds between questions to each server whether it is there. Default: 10.
        close_timeout: Seconds for stopping jobs at servers. Default: 5.
        telemetry: Who is told of the pool's jobs and decisions, and of what its clients do: an
            `OpenTelemetry` of `comfy_trio.telemetry`. Default: nobody, which costs nothing.

    Raises:
        ServerCrashedError: all servers are such that the pool starts, and none of them can be; the
            block is cancelled then.
        ValueError: an address is none, two servers have one id, or a number makes no sense.
    """
    for name, value in [("max_retries", max_retries), ("retry_delay", retry_delay)]:
        if not value >= 0:
            raise ValueError(f"{name} must not be negative, and is {value!r}")
    if profiles < 0:
        raise ValueError(f"profiles must not be negative, and is {profiles!r}")
    if not heartbeat > 0:
        raise ValueError(f"heartbeat must be positive, and is {heartbeat!r}")
    if not max_queued >= 1:
        raise ValueError(f"max_queued must be 1 at least, and is {max_queued!r}")
    pool: Pool | None = None
    try:
        async with open_service_nursery() as nursery, open_breakable_block(0.0) as block:
            pool = Pool._create(
                nursery,
                block,
                mode=mode,
                breaker=breaker or BreakerPolicy(),
                retry_delay=retry_delay,
                max_retries=max_retries,
                max_queued=max_queued,
                rerun_lost=rerun_lost,
                profiles=profiles,
                affinity={key: frozenset(value) for key, value in (affinity or {}).items()},
                keeper_options=KeeperOptions(
                    connect_timeout=connect_timeout,
                    heartbeat=heartbeat,
                    # The pool stops jobs, and then the clients stop what is left.
                    close_timeout=close_timeout / 2,
                    patience=patience,
                    reconnect=attrs.evolve(reconnect or ReconnectPolicy(), attempts=math.inf),
                    match_nodes=match_nodes,
                    terminal=terminal,
                    telemetry=None if telemetry is None else telemetry._of_pool(),
                ),
            )
            pool._open(servers)
            try:
                yield pool
                await pool._dispatcher.wait_idle()
            finally:
                with trio.move_on_after(close_timeout / 2, shield=True):
                    await pool._close()
    finally:
        if pool is not None:
            pool._end()
