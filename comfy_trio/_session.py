"""One client's line to one server: the tasks behind it, and how they end with its block."""

from __future__ import annotations

import itertools
import logging
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Protocol, final
from weakref import WeakSet

import attrs
import trio

from ._connection import Connection
from ._connection_state import ConnectionState
from ._door import Door
from ._errors import ComfyError, ServerUnreachableError
from ._handshake import feature_flags_frame
from ._http import HttpClient
from ._job_log import JobLog
from ._logging import logger
from ._mailbox import Mailbox
from ._nursery import open_service_nursery
from ._replies import QUEUE_LENGTH, require_comfyui
from ._stopper import Stopper
from ._supervisor import JobSupervisor
from ._wire import Status

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from contextlib import AbstractContextManager

    from ._address import ServerAddress
    from ._connection_state import ReconnectPolicy
    from ._credentials import Credentials
    from ._masking import Secrets
    from ._replies import Request
    from ._routes._history import HistoryEntry
    from ._state import JobPlan, SeenPending, SeenRunning
    from ._tracker import JobTracker
    from ._transport import Transport
    from ._util import JSONObject
    from ._wire import ServerEvent
    from .telemetry import OpenTelemetry


CLEANUP_REQUESTS = 4
HTTP_CLOSE_TIMEOUT = 1.0
SUBSCRIBER_BOUND = 1000
"""Unread events that a subscriber may have; older ones are dropped for newer ones."""


@attrs.frozen(kw_only=True)
class SessionOptions:
    """How to talk to a server.

    Args:
        client_id: Whose events to hear. Two sessions with one id deafen each other.
        credentials: Shown with every request and with the upgrade.
        headers: Sent beside them.
        secrets: What no message may hold, and grows by what is shown.
        feature_flags: Announced on the WebSocket.
        transport: How to connect.
        max_requests: How many HTTP requests may be under way at once.
        max_message_size: Of the WebSocket, in bytes.
        max_reply_size: Of an HTTP reply that is read whole, in bytes.
        reconnect: What to do when the WebSocket is lost.
        connect_timeout: Seconds for the server to answer.
        heartbeat: Seconds between pings.
        require_websocket: Whether to fail if there is no WebSocket at the start.
        close_timeout: Seconds for stopping what still runs.
        telemetry: Who is told what happens, if anybody.
    """

    client_id: str
    credentials: Credentials | None
    headers: Sequence[tuple[str, str]] = attrs.field(repr=False)
    secrets: Secrets
    feature_flags: JSONObject
    transport: Transport
    max_requests: int
    max_message_size: int
    max_reply_size: int
    reconnect: ReconnectPolicy
    connect_timeout: float
    heartbeat: float
    require_websocket: bool
    close_timeout: float
    telemetry: OpenTelemetry | None


class SessionObserver(Protocol):
    """Somebody who must know at once what happens to a session. No method may raise."""

    def heard(self, event: ServerEvent) -> None:
        """An event of the server has come."""
        ...

    def lost(self, error: Exception) -> None:
        """The WebSocket is lost, or once more not brought back."""
        ...

    def reconnected(self) -> None:
        """The WebSocket is back."""
        ...


@final
class Session:
    """A server, its WebSocket, and the jobs of this client; made by `open_session`."""

    def __init__(self, address: ServerAddress, options: SessionOptions) -> None:
        self.address = address
        self.options = options
        self.door = Door(options.credentials, options.headers, options.secrets)
        self._transport = options.transport
        self._telemetry = None
        self._observers: list[SessionObserver] = []
        if options.telemetry is not None:
            self._telemetry = options.telemetry._of_client(
                address, options.client_id, self.door.secrets.mask
            )
            self._transport = self._telemetry.traced(options.transport)
            self.observe(self._telemetry)
        self.http = self._new_http(options.max_requests)
        self.cleanup_http = self._new_http(CLEANUP_REQUESTS)
        self.connection = Connection(
            address,
            options.client_id,
            door=self.door,
            handshake=feature_flags_frame(options.feature_flags),
            transport=self._transport,
            max_message_size=options.max_message_size,
            reconnect=options.reconnect,
            connect_timeout=options.connect_timeout,
            heartbeat=options.heartbeat,
            required=options.require_websocket,
            on_event=self._on_event,
            on_lost=self._on_lost,
            on_reconnected=self._on_reconnected,
            on_given_up=self._on_given_up,
        )
        self.reconnections = 0
        self.queue_remaining: int | None = None
        """What the server last said of the length of its queue."""
        stopper = Stopper(self.cleanup_http, lambda: self.reconnections)
        self.supervisor = JobSupervisor(self.http, stopper, self.connection)
        self._reconnected = trio.Event()
        self._subscribers: WeakSet[Mailbox[ServerEvent]] = WeakSet()
        self._event_numbers = itertools.count()
        self._nursery: trio.Nursery | None = None
        self._hung_up = trio.Event()

    def _new_http(self, max_requests: int) -> HttpClient:
        return HttpClient(
            self.address,
            door=self.door,
            transport=self._transport,
            max_requests=max_requests,
            max_reply_size=self.options.max_reply_size,
        )

    def observe(self, observer: SessionObserver) -> None:
        """Let somebody know at once, for as long as the session lasts, what happens to it."""
        self._observers.append(observer)

    def _on_event(self, event: ServerEvent) -> None:
        self.supervisor.route(event)
        if isinstance(event, Status):
            self.queue_remaining = event.queue_remaining
        for observer in self._observers:
            observer.heard(event)
        if self._subscribers:
            number = next(self._event_numbers)
            for mailbox in self._subscribers:
                mailbox.put_nowait(number, event)

    def _on_lost(self, error: Exception, reason: str | None) -> None:
        if reason is not None:
            self.supervisor.notice_gap(reason)
        for observer in self._observers:
            observer.lost(error)

    def _on_reconnected(self) -> None:
        logger.info("%s: the WebSocket is back", self.address, extra=self.connection.ids())
        self.reconnections += 1
        self._reconnected.set()
        self._reconnected = trio.Event()
        self.supervisor.doubt_all()
        for observer in self._observers:
            observer.reconnected()

    def _on_given_up(self) -> None:
        self._end_subscriptions()
        self.supervisor.doubt_all()

    async def wait_reconnected(self, after: int) -> int:
        """Wait until the WebSocket was brought back more than so many times; return how many."""
        await trio.lowlevel.checkpoint()
        while self.reconnections <= after:
            await self._reconnected.wait()
        return self.reconnections

    def subscribe(self) -> Mailbox[ServerEvent]:
        """Return a mailbox that hears every event of the server from now on.

        It is closed when no more can come: the session ends, or gives up reconnecting.
        """
        mailbox: Mailbox[ServerEvent] = Mailbox(SUBSCRIBER_BOUND)
        if self.connection.state in {ConnectionState.FAILED, ConnectionState.DISCONNECTED}:
            mailbox.close()
        else:
            self._subscribers.add(mailbox)
        return mailbox

    def start_job(self, plan: JobPlan, request: Request, *, follow: bool = True) -> JobTracker:
        """Start a job in the background, and return its tracker.

        Args:
            plan: The job.
            request: The POST of it.
            follow: Whether the job is this client's until it ends, or only until the server has it.

        Raises:
            trio.ClosedResourceError: the session is over.
        """
        if self._nursery is None:
            raise trio.ClosedResourceError("this client's block is over")
        tracker = self.supervisor.register(plan)
        if self.connection.state is not ConnectionState.CONNECTED:
            tracker.notice_gap("the WebSocket was away when it was sent")
        run_job = partial(self.supervisor.run_job, tracker, request, follow=follow)
        with self._told(tracker, follow=follow):
            self._nursery.start_soon(run_job)
        return tracker

    def follow_job(
        self, plan: JobPlan, found: SeenPending | SeenRunning | HistoryEntry
    ) -> JobTracker:
        """Follow a job that somebody submitted earlier, and return its tracker.

        Args:
            plan: The job.
            found: Where it was a moment ago.

        Raises:
            trio.ClosedResourceError: the session is over.
        """
        if self._nursery is None:
            raise trio.ClosedResourceError("this client's block is over")
        tracker = self.supervisor.register(plan)
        with self._told(tracker, follow=True):
            tracker.feed(found)
            self._nursery.start_soon(self.supervisor.follow_job, tracker)
        return tracker

    def _told(self, tracker: JobTracker, *, follow: bool) -> AbstractContextManager[None]:
        """Return the block in which a job is begun, of which the log and telemetry tell."""
        if logger.isEnabledFor(logging.INFO):
            about = self.connection.ids(tracker.prompt_id)
            tracker.listeners.append(JobLog(tracker.began, about).note)
        if self._telemetry is None:
            return nullcontext()
        return self._telemetry.job(tracker, follow=follow)

    def follow_to_its_end(self, tracker: JobTracker) -> None:
        """Follow a job that nobody was to follow any more, because it is to be stopped now."""
        known = self.supervisor.tracker_of(tracker.prompt_id) is not None
        if self._nursery is not None and not known and not tracker.ended.is_set():
            self.supervisor.take_back(tracker)
            self._nursery.start_soon(self.supervisor.follow_job, tracker)

    async def _connect(self, nursery: trio.Nursery) -> None:
        """Reach the server over both of its channels, and start the tasks behind the session."""
        try:
            with trio.fail_after(self.options.connect_timeout):
                require_comfyui(await self.http.request(QUEUE_LENGTH))
                if self.options.require_websocket:
                    await nursery.start(self._read)
        except trio.TooSlowError:
            raise ServerUnreachableError(
                f"{self.address} did not answer within {self.options.connect_timeout} s."
                " Is it ComfyUI, and not busy? A longer connect_timeout may help",
                url=str(self.address),
            ) from None
        if not self.options.require_websocket:
            await nursery.start(self._read)  # goes on when its own first attempt is over
        nursery.start_soon(self.supervisor.watch)
        nursery.start_soon(self.connection.keep_alive)
        self._nursery = nursery

    @trio.lowlevel.enable_ki_protection
    async def _read(  # noqa: ASYNC114, ASYNC128  # the connection calls started()
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        try:
            await self.connection.run(task_status.started)
        finally:
            self._hung_up.set()
            self._end_subscriptions()

    def _end_subscriptions(self) -> None:
        """Tell those who listen that no more is to come."""
        for mailbox in self._subscribers:
            mailbox.close()
        self._subscribers.clear()

    async def _close(self) -> None:
        """Stop this client's jobs at the server, and say goodbye. The caller sets a bound."""
        self._nursery = None
        try:
            await self.supervisor.stop_all()
        except ComfyError as error:
            about = self.connection.ids()
            logger.warning("%s: jobs may still run there: %s", self.address, error, extra=about)
        if self.connection.state is ConnectionState.CONNECTED:
            self.connection.close()
            await self._hung_up.wait()

    def _end(self) -> None:
        """Let everybody who still waits here know that the client is closed."""
        self.supervisor.abandon_all("this client was closed")
        if self.connection.state is not ConnectionState.DISCONNECTED:
            self.connection.progress.enter(ConnectionState.DISCONNECTED, "this client was closed")
        if self._telemetry is not None:
            self._telemetry.close()

    async def _close_http(self) -> None:
        await self.http.aclose()
        await self.cleanup_http.aclose()


@asynccontextmanager
async def open_session(
    address: ServerAddress, options: SessionOptions
) -> AsyncGenerator[Session, None]:
    """Reach a server on entering; on leaving, stop this client's jobs there and hang up.

    An exception of the block comes out as itself. The tasks behind the session outlive a
    cancellation from outside for as long as the goodbye takes, at most ``close_timeout``, because
    the WebSocket tells that the jobs really stopped.

    Raises:
        ServerUnreachableError, AuthenticationError, NotComfyUIError, DisconnectedError: on
            entering.
        InternalError: a task of the session crashed.
    """
    session = Session(address, options)
    try:
        async with open_service_nursery() as nursery:
            try:
                await session._connect(nursery)
                yield session
            finally:
                with trio.move_on_after(options.close_timeout, shield=True):
                    await session._close()
                session._end()
    finally:
        with trio.move_on_after(HTTP_CLOSE_TIMEOUT, shield=True):
            await session._close_http()
