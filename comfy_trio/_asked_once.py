"""What a client asks its server once, however many of its tasks want to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, final

import attrs
import trio

from ._util import raise_saving_context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._session import Session

T = TypeVar("T")


@attrs.define(eq=False)
class _Asking(Generic[T]):
    """One time of asking. While there are neither answers nor an error, it was cancelled."""

    connection: int
    over: trio.Event = attrs.field(factory=trio.Event, init=False)
    answers: list[T] = attrs.field(factory=list["T"], init=False)
    error: Exception | None = attrs.field(default=None, init=False)


@final
class AskedOnce(Generic[T]):
    """An answer that is kept until the connection was lost: the server may be another one then.

    Tasks that ask at the same time share one asking, and its error. If the task that asks is
    cancelled, one of those that wait asks in its place.

    Args:
        session: The server.
        ask: Asks it.
    """

    def __init__(self, session: Session, ask: Callable[[], Awaitable[T]]) -> None:
        self._session = session
        self._ask = ask
        self._latest: _Asking[T] | None = None

    async def get(self, *, refresh: bool = False) -> T:
        """Return the answer.

        Args:
            refresh: Ask even if the answer is known.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        while True:
            asking = self._latest
            if refresh or asking is None or asking.connection != self._session.reconnections:
                return await self._lead()
            await asking.over.wait()
            if asking.answers:
                return asking.answers[0]
            if asking.error is not None:
                raise_saving_context(asking.error)

    async def _lead(self) -> T:
        asking = self._latest = _Asking[T](self._session.reconnections)
        try:
            answer = await self._ask()
            asking.answers.append(answer)
        except Exception as error:
            asking.error = error
            raise
        finally:
            if not asking.answers and self._latest is asking:
                self._latest = None
            asking.over.set()
        return answer
