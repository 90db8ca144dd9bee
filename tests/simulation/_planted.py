"""Faults that are planted in the client, each of which the simulation must find.

Each is a way in which clients of ComfyUI are known to be wrong.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from unittest.mock import patch

import attrs
import trio

from comfy_trio import Disappearance
from comfy_trio import _client as client_module
from comfy_trio import _connection as connection_module
from comfy_trio import _settler as settler_module
from comfy_trio import _submitter as submitter_module
from comfy_trio._connection import Connection
from comfy_trio._errors import ComfyError
from comfy_trio._http import HttpClient
from comfy_trio._lookup import Lookup
from comfy_trio._mailbox import Mailbox
from comfy_trio._routes._history import history_page, read_history
from comfy_trio._routes._queue import INTERRUPT
from comfy_trio._session import Session
from comfy_trio._settler import JobSettler
from comfy_trio._state import Gone, Phase, Refused
from comfy_trio._stopper import Stopper
from comfy_trio._submitter import Submitter
from comfy_trio._supervisor import JobSupervisor
from comfy_trio._tracker import JobTracker
from comfy_trio._wire import MalformedFrame, decode_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from comfy_trio._replies import Request
    from comfy_trio._routes._hosted import Found
    from comfy_trio._wire import ServerEvent

Plant: TypeAlias = "Callable[[], AbstractContextManager[object]]"
F = TypeVar("F", bound="Callable[..., Any]")

PLANTED: dict[str, Plant] = {}
"""How to plant each, by what it does wrong."""


def planted(what: str, owner: object, name: str) -> Callable[[F], F]:
    """Register a function that takes the place of one of the client's."""

    def register(function: F) -> F:
        PLANTED[what] = lambda: patch.object(owner, name, function)
        return function

    return register


_post = JobSettler.post


@planted("posts a second time if no reply comes", JobSettler, "post")
async def post_again(self: JobSettler, tracker: JobTracker, request: Request) -> None:
    try:
        await self._http.request(request)
    except ComfyError:
        await _post(self, tracker, request)
    else:
        await self._settle_post(tracker, ComfyError("it was sent"))


@planted("takes a lost reply for a refusal", JobSettler, "_settle_post")
async def take_for_refusal(self: JobSettler, tracker: JobTracker, error: ComfyError) -> None:
    await trio.lowlevel.checkpoint()
    tracker.feed(Refused(error))


@planted("trusts the WebSocket alone", JobSupervisor, "watch")
async def trust_the_socket(self: JobSupervisor) -> None:
    await trio.sleep_forever()


@planted("takes the frames for the result", JobSettler, "_settle")
async def take_the_frames(self: JobSettler, tracker: JobTracker) -> None:
    while not tracker.ended.is_set():
        await tracker.wait_for_end_signs()
        if not tracker.ended.is_set():
            tracker.feed(Gone(dequeued=tracker.state.cancelling))


@planted("takes the newest history for the job's", Lookup, "history")
async def take_the_newest(self: Lookup, prompt_id: str, failures: int = 0) -> Found:
    entries = read_history(await self._ask(history_page(), failures))
    return attrs.evolve(entries[-1], prompt_id=prompt_id) if entries else None


@planted("looks in the queue alone", Lookup, "find")
async def look_in_the_queue(self: Lookup, prompt_id: str, failures: int = 0) -> Found:
    from comfy_trio._lookup import place_of

    return place_of(prompt_id, await self.queue(failures))


@planted("does not stop what is cancelled", Submitter, "stop")
async def do_not_stop(self: Submitter, tracker: JobTracker) -> None:
    await trio.lowlevel.checkpoint()


@planted("does not stop what is left behind", Session, "_close")
async def leave_behind(self: Session) -> None:
    self._nursery = None
    self.connection.close()
    await self._hung_up.wait()


@planted("interrupts whatever runs", Stopper, "cancel")
async def interrupt_whatever(self: Stopper, prompt_ids: Sequence[str]) -> bool:
    await self._http.request(INTERRUPT)
    return True


@planted("says that others did what it did itself", JobTracker, "mark_cancelling")
def blame_others(self: JobTracker, *, cancelling: bool = True) -> None:
    self.state = attrs.evolve(self.state, cancelling=False)


@planted("says that it did what others did", JobTracker, "notice_gap")
def blame_itself(self: JobTracker, reason: str) -> None:
    self.state = attrs.evolve(self.state, cancelling=True)


@planted("takes all that is gone for lost by a restart", settler_module, "explain_disappearance")
def always_restarted(**known: object) -> Disappearance:
    return Disappearance.RESTARTED


@planted("never pings", Connection, "keep_alive")
async def never_ping(self: Connection) -> None:
    await trio.sleep_forever()


@planted("keeps a deaf socket", Connection, "exchange")
def keep_it(self: Connection, reason: str) -> None:
    pass


@planted("leaks a place when a request fails", HttpClient, "_request")
async def leak_a_place(self: HttpClient, request: Request) -> Any:
    async with self.stream(request) as stream:
        try:
            return await stream.read()
        finally:
            if stream.status >= 500:
                self._limiter.acquire_on_behalf_of_nowait(object())


_route = JobSupervisor.route


@planted("registers a job when its POST is answered", JobSupervisor, "route")
def hear_nothing_before(self: JobSupervisor, event: ServerEvent) -> None:
    tracker = self.tracker_of(getattr(event, "prompt_id", ""))
    if tracker is None or tracker.state.phase is not Phase.SUBMITTED:
        _route(self, event)


@planted("does not survive a frame that it cannot read", connection_module, "decode_frame")
def read_or_crash(message: str | bytes) -> ServerEvent:
    event = decode_frame(message)
    if isinstance(event, MalformedFrame):
        raise TypeError(str(event))
    return event


@planted("does not tell how much a slow listener missed", Mailbox, "put_nowait")
def drop_in_silence(self: Mailbox[Any], key: object, item: object) -> None:
    if len(self._items) < self._max_items or key in self._items:
        self._items[key] = item
        self._changed.set()


class Unshielded:
    """The trio of those who forget to shield what they clean up."""

    def __getattr__(self, name: str) -> Any:
        return getattr(trio, name)

    def move_on_after(self, seconds: float, *, shield: bool = False) -> trio.CancelScope:
        """Shield nothing."""
        return trio.move_on_after(seconds)


def plant_unshielded() -> ExitStack:
    """Let no stopping of a job be shielded."""
    stack = ExitStack()
    for module in (client_module, submitter_module):
        stack.enter_context(patch.object(module, "trio", Unshielded()))
    return stack


PLANTED["does not shield what stops a job"] = plant_unshielded
