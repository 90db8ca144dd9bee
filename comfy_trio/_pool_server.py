"""One server of a pool: its connection, kept for as long as it is in the pool."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, final

import attrs
import trio

from ._address import parse_address
from ._client import caller_headers, open_comfy
from ._connection_state import ConnectionState, ReconnectPolicy
from ._errors import (
    ComfyError,
    DisconnectedError,
    ResponseError,
)
from ._failover import is_refused
from ._local_server import keep_process
from ._logging import ids, logger
from ._pool_events import (
    ServerConnected,
    ServerDisconnected,
    ServerLogged,
    ServerReconnected,
    ServerUnreachable,
    SystemMonitored,
)
from ._pool_job import Stop
from ._pool_worker import PoolWorker
from ._replies import raise_for_status
from ._routes._terminal import subscription_to_logs
from ._wire import Logs, RawEvent, Status

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from ._client import Comfy
    from ._credentials import Credentials
    from ._dispatcher import Dispatcher
    from ._errors import ServerCrashedError
    from ._local_server import LocalServer, ProcessKeeper
    from ._pool_events import PoolEvent
    from ._seat import Seat
    from ._transport import Transport
    from ._wire import ServerEvent
    from .telemetry._pool import PoolTelemetry


def _default_id(server: PoolServer) -> str:
    address, _ = parse_address(server.url)
    return f"{address.authority}{address.base_path}"


@attrs.frozen
class PoolServer:
    """A server of a pool.

    Args:
        url: Its address; see `open_comfy`.
        server_id: Its name in the pool. Default: host and port, and path if it has one, such as
            ``gpu-a:8188``.
        concurrency: How many jobs of the pool it has at once, of which it runs one and keeps the
            others in its queue. Two spare it the time in which it is told of the next one; more
            only keep jobs from other servers. Default: 1.
        behind_proxy: Whether the address is that of a proxy or a tunnel. A connection that is
            refused there proves nothing of ComfyUI; elsewhere it proves that the process that had
            the jobs is gone, and they are run elsewhere at once.
        credentials, headers, user, ssl_context, comfy_org_api_key, transport: See `open_comfy`.

    Raises:
        ValueError: `url`, `user` or `headers` are none, or `concurrency` is less than 1.
    """

    url: str
    server_id: str = attrs.field(kw_only=True, default=attrs.Factory(_default_id, takes_self=True))
    concurrency: int = attrs.field(kw_only=True, default=1, validator=attrs.validators.ge(1))
    behind_proxy: bool = attrs.field(kw_only=True, default=False)
    credentials: Credentials | None = attrs.field(kw_only=True, default=None, repr=False)
    headers: Mapping[str, str] | None = attrs.field(kw_only=True, default=None, repr=False)
    user: str | None = attrs.field(kw_only=True, default=None)
    ssl_context: ssl.SSLContext | None = attrs.field(kw_only=True, default=None, repr=False)
    comfy_org_api_key: str | None = attrs.field(kw_only=True, default=None, repr=False)
    transport: Transport | None = attrs.field(kw_only=True, default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        parse_address(self.url)
        caller_headers(self.user, self.headers)


@attrs.frozen(kw_only=True)
class KeeperOptions:
    """What holds for all servers of a pool; see `open_pool`."""

    connect_timeout: float
    heartbeat: float
    close_timeout: float
    patience: float
    reconnect: ReconnectPolicy
    match_nodes: bool
    terminal: bool
    telemetry: PoolTelemetry | None


@final
class ServerKeeper:
    """Keeps a server connected for as long as it is in the pool, with workers at it.

    Args:
        server: The server.
        seat: The same as decisions see it.
        dispatcher: Where jobs come from.
        emit: Told of what happens. Must not raise.
        options: What holds for all servers.
    """

    def __init__(
        self,
        server: PoolServer,
        seat: Seat,
        dispatcher: Dispatcher,
        emit: Callable[[PoolEvent], None],
        options: KeeperOptions,
    ) -> None:
        self.server = server
        self.seat = seat
        self.gone = trio.Event()
        """Set when nothing of the pool is at the server any more."""
        self._dispatcher = dispatcher
        self._emit = emit
        self._options = options
        self._jobs = dispatcher.jobs.clone()
        self._connecting = trio.CancelScope()
        self._leaving = trio.Event()
        self._lost = trio.Event()
        self._back = trio.Event()

    def leave(self, *, drain: bool) -> None:
        """Begin to take the server out of the pool.

        Args:
            drain: Whether jobs that are there may end there. Otherwise they are stopped, and run
                elsewhere.
        """
        self.seat.leaving = True
        self._jobs.close()
        self._leaving.set()
        self._connecting.cancel("the server is removed from the pool")
        if not drain:
            for attempt in list(self.seat.attempts):
                attempt.stop(Stop.REMOVED)

    def bury(self, reason: str) -> None:
        """Have the jobs that are there run elsewhere: the process is gone."""
        self._go_away(reason, refused=True)

    @trio.lowlevel.enable_ki_protection
    async def keep(
        self,
        local: LocalServer | None,
        on_crash: Callable[[ServerCrashedError, float | None], None],
    ) -> None:
        """Connect, as often as it takes, and run jobs until the server is to leave.

        Args:
            local: How to start the server, if the pool is to.
            on_crash: See `ProcessKeeper`.
        """
        try:
            if local is None:
                await self._keep_connected(None)
            else:
                async with keep_process(local, on_crash) as process:
                    await self._keep_connected(process)
        finally:
            self._jobs.close()
            self._dispatcher.remove(self.seat)
            self.gone.set()

    async def _keep_connected(self, process: ProcessKeeper | None) -> None:
        for attempt in itertools.count(2):
            try:
                await self._connect_and_serve(process)
            except ComfyError as error:
                self._log(logging.WARNING, f"not in the pool yet: {error}")
                self._emit(ServerUnreachable(self.seat.server_id, error))
            if self._leaving.is_set():
                break
            with trio.move_on_after(self._options.reconnect.pause(attempt)):
                await self._leaving.wait()

    async def _connect_and_serve(self, process: ProcessKeeper | None) -> None:
        server, options = self.server, self._options
        self._connecting = trio.CancelScope()
        if self._leaving.is_set():
            return
        with self._connecting:
            url = server.url if process is None else await process.wait_ready()
            async with open_comfy(
                url,
                credentials=server.credentials,
                headers=server.headers,
                user=server.user,
                ssl_context=server.ssl_context,
                comfy_org_api_key=server.comfy_org_api_key,
                connect_timeout=options.connect_timeout,
                heartbeat=options.heartbeat,
                close_timeout=options.close_timeout,
                reconnect=options.reconnect,
                transport=server.transport,
                telemetry=None if options.telemetry is None else options.telemetry.telemetry,
            ) as comfy:
                await self._learn(comfy)
                await self._serve(comfy)

    async def _learn(self, comfy: Comfy) -> None:
        """Ask for what the pool wants to know of a server, which may have changed meanwhile."""
        if self._options.match_nodes:
            self.seat.learn(await comfy.node.definitions())
        if self._options.terminal:
            request = subscription_to_logs(comfy.client_id, enabled=True)
            try:
                raise_for_status(await comfy._session.http.request(request))
            except ResponseError as error:
                self._log(logging.WARNING, f"tells nothing of its terminal: {error}")

    async def _serve(self, comfy: Comfy) -> None:
        # From here on, leaving waits for the workers rather than cancelling them.
        self._connecting = trio.CancelScope()
        session = comfy._session
        session.observe(self)
        self.seat.queue_remaining = session.queue_remaining or 0
        if session.connection.state is not ConnectionState.CONNECTED:
            self.lost(DisconnectedError("the WebSocket was lost at once"))
        self._emit(ServerConnected(self.seat.server_id))
        async with trio.open_nursery() as watchers:
            watchers.start_soon(self._watch, comfy)
            async with trio.open_nursery() as workers:
                for _ in range(self.server.concurrency):
                    worker = PoolWorker(
                        self.seat,
                        comfy,
                        self._jobs,
                        self._dispatcher,
                        close_timeout=self._options.close_timeout,
                        telemetry=self._options.telemetry,
                    )
                    workers.start_soon(worker.work)
                if not self._lost.is_set():
                    self._dispatcher.welcome(self.seat)
                await self._leaving.wait()
            watchers.cancel_scope.cancel("the server leaves the pool")
        self.seat.connected = False

    def _log(self, level: int, message: str) -> None:
        server_id = self.seat.server_id
        logger.log(level, "%s: %s", server_id, message, extra=ids(server=server_id))

    # --- The connection ---------------------------------------------------------------------------

    def heard(self, event: ServerEvent) -> None:
        """See `SessionObserver`."""
        match event:
            case Status(queue_remaining=int(remaining)):
                self._note_queue(remaining)
            case Logs(entries=entries):
                self._emit(ServerLogged(self.seat.server_id, tuple(entries)))
            case RawEvent(type="crystools.monitor", data=dict(data)):
                self._emit(SystemMonitored(self.seat.server_id, data))
            case _:
                pass

    def lost(self, error: Exception) -> None:
        """See `SessionObserver`."""
        self.seat.losses += 1
        if not self._lost.is_set():
            self._lost.set()
            self._back = trio.Event()
        self._go_away(str(error), refused=is_refused(error) and not self.server.behind_proxy)

    def reconnected(self) -> None:
        """See `SessionObserver`."""
        self._lost = trio.Event()
        self._back.set()

    def _go_away(self, reason: str, *, refused: bool) -> None:
        """Give the server no more jobs for now; if it is gone, those it had are over."""
        if self.seat.connected or (refused and self.seat.attempts):
            self._emit(ServerDisconnected(self.seat.server_id, reason, refused))
        self.seat.connected = False
        if refused:
            self.seat.queue_remaining = 0
            for attempt in list(self.seat.attempts):
                attempt.stop(Stop.GONE)
        self._dispatcher.reconsider()

    def _note_queue(self, remaining: int) -> None:
        if remaining != self.seat.queue_remaining:
            self.seat.queue_remaining = remaining
            self._dispatcher.reconsider()

    @trio.lowlevel.enable_ki_protection
    async def _watch(self, comfy: Comfy) -> None:
        """Notice when a server goes away, sit out its absence, and welcome it when it is back."""
        while True:
            if self.seat.connected:
                with trio.move_on_after(self._options.heartbeat):
                    await self._lost.wait()
                has_work = self.seat.attempts or self._dispatcher.has_waiting()
                here = not self._lost.is_set() and (not has_work or await self._answers(comfy))
                if here and not self._lost.is_set():
                    continue
                if not self._lost.is_set():
                    self._go_away("it does not answer", refused=False)
            await self._sit_out(comfy)
            await self._welcome_back(comfy)

    async def _sit_out(self, comfy: Comfy) -> None:
        """Wait until the server is back; meanwhile, give up the jobs of which nobody hears."""
        answered = trio.current_time()
        while True:
            with trio.move_on_after(self._options.heartbeat):
                await (self._back if self._lost.is_set() else trio.Event()).wait()
            if await self._answers(comfy):
                answered = trio.current_time()
                if not self._lost.is_set():
                    return
            elif trio.current_time() - answered >= self._options.patience:
                for attempt in list(self.seat.attempts):
                    attempt.stop(Stop.LOST)

    async def _answers(self, comfy: Comfy) -> bool:
        """Tell whether the server answers over HTTP, and see to it that the WebSocket is not dead.

        What is asked for is the length of the queue, because frames that told it may be missed.
        """
        with trio.move_on_after(self._options.connect_timeout):
            try:
                remaining = await comfy.queue.remaining()
            except ComfyError as error:
                self._log(logging.DEBUG, f"no answer: {error}")
                return False
            self._note_queue(remaining)
            await comfy._session.connection.probe()
            return True
        return False

    async def _welcome_back(self, comfy: Comfy) -> None:
        """Let a server that was away have jobs again, unless it is away again."""
        try:
            await self._stop_given_up(comfy)
            await self._learn(comfy)
        except ComfyError as error:
            self._go_away(str(error), refused=False)
            return
        if not self._lost.is_set():
            self._emit(ServerReconnected(self.seat.server_id))
            self._dispatcher.welcome(self.seat)

    async def _stop_given_up(self, comfy: Comfy) -> None:
        """Stop what was given up there, in case that the server, or a proxy, was only away."""
        if self.seat.given_up:
            await comfy._session.supervisor.cancel(list(self.seat.given_up))
            self.seat.given_up.clear()
