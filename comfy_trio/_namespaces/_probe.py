"""What is found out of a server once, and again after the connection was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import trio

from .._errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .._session import Session

T = TypeVar("T")


class Probe(Generic[T]):
    """Asks a server for something that changes only when the server is started anew.

    That a server does not have it is remembered, too; a request that fails otherwise is not.

    Args:
        session: Who asks.
        ask: Asks. Raises `UnsupportedError` if the server does not have it.
    """

    def __init__(self, session: Session, ask: Callable[[], Awaitable[T]]) -> None:
        self._session = session
        self._ask = ask
        self._lock = trio.Lock()
        self._at = -1
        self._answer: T | UnsupportedError | None = None

    async def answer(self) -> T:
        """Return what was found out, or find it out.

        Raises:
            UnsupportedError: the server does not have it.
            ComfyError: the request failed.
        """
        async with self._lock:
            if self._answer is None or self._at != self._session.reconnections:
                at = self._session.reconnections
                try:
                    self._answer = await self._ask()
                except UnsupportedError as error:
                    self._answer = error
                self._at = at
        if isinstance(self._answer, UnsupportedError):
            raise UnsupportedError(str(self._answer), self._answer.reply)
        return self._answer

    async def has_answer(self) -> bool:
        """Tell whether the server has it.

        Raises:
            ComfyError: the request failed.
        """
        try:
            await self.answer()
        except UnsupportedError:
            return False
        return True
