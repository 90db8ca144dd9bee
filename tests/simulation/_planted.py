"""Faults that are planted in the client, each of which the simulation must find.

Each is a way in which clients of ComfyUI are known to be wrong, or this one once was.
"""

from __future__ import annotations

from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from unittest.mock import patch

import attrs
import trio

from comfy_trio import Disappearance
from comfy_trio import _client as client_module
from comfy_trio import _settler as settler_module
from comfy_trio import _submitter as submitter_module
from comfy_trio._connection import Connection
from comfy_trio._connection_state import ReconnectPolicy
from comfy_trio._errors import ComfyError, DisconnectedError
from comfy_trio._http import HttpClient
from comfy_trio._lookup import Lookup, place_of
from comfy_trio._mailbox import Mailbox
from comfy_trio._routes._history import history_page, read_history
from comfy_trio._routes._queue import INTERRUPT
from comfy_trio._session import Session
from comfy_trio._settler import JobSettler
from comfy_trio._state import Gone, Refused
from comfy_trio._stopper import Stopper
from comfy_trio._submitter import Submitter
from comfy_trio._supervisor import JobSupervisor
from comfy_trio._tracker import JobTracker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from comfy_trio import WebSocket
    from comfy_trio._replies import Reply, Request
    from comfy_trio._routes._hosted import Found
    from comfy_trio._wire import ServerEvent

Plant: TypeAlias = "Callable[[], AbstractContextManager[object]]"
F = TypeVar("F", bound="Callable[..., Any]")

PLANTED: dict[str, Plant] = {}
"""How to plant each, by what it does wrong."""


def planted(what: str, owner: object, name: str) -> Callable[[F], F]:
    """Register a function that takes the place of one of the client's."""

    def register(function: F) -> F:
        PLANTED[what] = partial(patch.object, owner, name, function)
        return function

    return register


# --- Giving a job to the server -------------------------------------------------------------------

_request = HttpClient.request
_route = JobSupervisor.route


@planted("sends everything a second time if no reply comes", HttpClient, "request")
async def send_again(self: HttpClient, request: Request) -> Reply:
    try:
        return await _request(self, request)
    except DisconnectedError:
        return await _request(self, request)


@planted("takes a lost reply for a refusal", JobSettler, "_settle_post")
async def take_for_refusal(self: JobSettler, tracker: JobTracker, error: ComfyError) -> None:
    await trio.lowlevel.checkpoint()
    tracker.feed(Refused(error))


@planted("looks once for a job whose POST was not answered", JobSettler, "_settle_post")
async def look_once(self: JobSettler, tracker: JobTracker, error: ComfyError) -> None:
    try:
        found = await self._lookup.find(tracker.prompt_id)
    except ComfyError:
        found = None
    tracker.feed(Refused(error) if found is None else found)


@planted("listens for a job only when its POST is answered", JobSupervisor, "route")
def listen_late(self: JobSupervisor, event: ServerEvent) -> None:
    tracker = self.tracker_of(getattr(event, "prompt_id", None) or "")
    if tracker is None or tracker.posted.is_set():
        _route(self, event)


# --- Finding out how it ended ---------------------------------------------------------------------


@planted("trusts the WebSocket alone", JobSupervisor, "watch")
async def trust_the_socket(self: JobSupervisor) -> None:
    await trio.sleep_forever()


@planted("takes the frames for the result", JobSettler, "_settle")
async def take_the_frames(self: JobSettler, tracker: JobTracker) -> None:
    while not tracker.ended.is_set():
        await tracker.wait_for_end_signs()
        if not tracker.ended.is_set():
            tracker.feed(Gone(dequeued=tracker.state.cancelling))


@planted("takes all frames for the job's own", JobSupervisor, "route")
def take_all_frames(self: JobSupervisor, event: ServerEvent) -> None:
    for tracker in self.live:
        if getattr(event, "prompt_id", None) is not None:
            changes: dict[str, Any] = {"prompt_id": tracker.prompt_id}
            event = attrs.evolve(event, **changes)
        tracker.feed(event)


@planted("takes the newest history for the job's", Lookup, "history")
async def take_the_newest(self: Lookup, prompt_id: str) -> Found:
    entries = read_history(await self._ask(history_page()))
    return attrs.evolve(entries[-1], prompt_id=prompt_id) if entries else None


@planted("looks in the queue alone", Lookup, "find")
async def look_in_the_queue(self: Lookup, prompt_id: str) -> Found:
    return place_of(prompt_id, await self.queue())


@planted("takes all that is gone for lost by a restart", settler_module, "explain_disappearance")
def always_restarted(**known: object) -> Disappearance:
    return Disappearance.RESTARTED


@planted("says that others did what it did itself", JobTracker, "mark_cancelling")
def blame_others(self: JobTracker, *, cancelling: bool = True) -> None:
    self.state = attrs.evolve(self.state, cancelling=False)


@planted("says that it did what others did", JobTracker, "notice_gap")
def blame_itself(self: JobTracker, reason: str) -> None:
    self.state = attrs.evolve(self.state, cancelling=True)


# --- Stopping it ----------------------------------------------------------------------------------


@planted("does not stop what is cancelled", Submitter, "stop")
async def do_not_stop(self: Submitter, tracker: JobTracker) -> None:
    await trio.lowlevel.checkpoint()


class _Unshielded:
    """Trio, with no shields."""

    def __getattr__(self, name: str) -> Any:
        return getattr(trio, name)

    def move_on_after(self, seconds: float, *, shield: bool = False) -> trio.CancelScope:
        return trio.move_on_after(seconds)


@contextmanager
def _clean_up_unshielded() -> Generator[None]:
    with ExitStack() as stack:
        for module in (client_module, submitter_module):
            stack.enter_context(patch.object(module, "trio", _Unshielded()))
        yield


PLANTED["cleans up with no shield"] = _clean_up_unshielded


@planted("does not stop what is left behind", Session, "_close")
async def leave_behind(self: Session) -> None:
    self._nursery = None
    self.connection.close()
    await self._hung_up.wait()


@planted("interrupts whatever runs", Stopper, "cancel")
async def interrupt_whatever(self: Stopper, prompt_ids: Sequence[str]) -> bool:
    await self._http.request(INTERRUPT)
    return True


# --- The socket -----------------------------------------------------------------------------------


@planted("never pings", Connection, "keep_alive")
async def never_ping(self: Connection) -> None:
    await trio.sleep_forever()


@planted("keeps a deaf socket", Connection, "exchange")
def keep_it(self: Connection, reason: str) -> None:
    pass


@planted("does not connect again", ReconnectPolicy, "pause")
def never(self: ReconnectPolicy, attempt: int) -> float:
    return float("inf")


@attrs.define(eq=False)
class _Lingering:
    """A transport that closes a socket only when there is another one."""

    inner: Any
    connection: Connection
    old: AbstractAsyncContextManager[WebSocket] | None = None

    @asynccontextmanager
    async def open_websocket(self, url: str, **how: Any) -> AsyncGenerator[WebSocket, None]:
        new = self.inner.open_websocket(url, **how)
        websocket = await new.__aenter__()
        old, self.old = self.old, new
        if old is not None:
            await old.__aexit__(None, None, None)
        try:
            yield websocket
        finally:
            if self.connection._closing:
                await new.__aexit__(None, None, None)


_converse_as = Connection._converse_as


@planted("opens another socket before it closes the old one", Connection, "_converse_as")
async def linger(self: Connection, *details: Any) -> None:
    if not isinstance(self._transport, _Lingering):
        transport: Any = _Lingering(self._transport, self)
        self._transport = transport
    await _converse_as(self, *details)


# --- What it holds --------------------------------------------------------------------------------


@planted("leaks a place when a request fails", HttpClient, "_request")
async def leak_a_place(self: HttpClient, request: Request) -> Reply:
    async with self.stream(request) as stream:
        try:
            return await stream.read()
        finally:
            if stream.status >= 500:
                self._limiter.acquire_on_behalf_of_nowait(object())


@planted("leaks a place when a request is cancelled", HttpClient, "_request")
async def leak_a_cancelled_place(self: HttpClient, request: Request) -> Reply:
    try:
        async with self.stream(request) as stream:
            return await stream.read()
    except trio.Cancelled:
        self._limiter.acquire_on_behalf_of_nowait(object())
        raise


@planted("lets waiters wait when the client is closed", Session, "_end")
def let_them_wait(self: Session) -> None:
    pass


@planted("keeps every event for slow readers", Mailbox, "put_nowait")
def keep_every_event(self: Mailbox[Any], key: object, item: Any) -> None:
    self._items[object()] = item
    self._changed.set()
