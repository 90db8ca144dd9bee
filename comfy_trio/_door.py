"""What one client shows at the door of its server: asked for once, shown until it is refused."""

from __future__ import annotations

import math
from collections.abc import Awaitable
from typing import TYPE_CHECKING, final

import attrs
import trio

from ._credentials import AuthHeaders, read_headers
from ._errors import CredentialsError
from ._masking import Secrets

if TYPE_CHECKING:
    from ._credentials import Credentials, Headers


@attrs.define(eq=False)
class _Asking:
    """One question to the credentials, for all who need the answer."""

    over: trio.Event = attrs.field(factory=trio.Event)
    answer: AuthHeaders | None = None
    failure: Exception | None = None


@final
class Door:
    """Holds the headers that credentials gave, for all channels of one client.

    Args:
        credentials: Who is asked for headers.
        headers: Sent beside them; checked already.
        secrets: What is secret besides.
    """

    def __init__(
        self,
        credentials: Credentials | None,
        headers: Headers = (),
        secrets: Secrets | None = None,
    ) -> None:
        self.secrets: Secrets = secrets or Secrets()
        """Whatever was shown so far, which no message may hold."""
        self.headers: Headers = tuple(headers)
        """What is always sent."""
        self._credentials = credentials
        self._held = AuthHeaders(self.headers) if credentials is None else None
        self._good_until = math.inf
        self._asking: _Asking | None = None
        self.secrets.add_headers(headers)

    async def show(self) -> AuthHeaders:
        """Return the headers to send; ask for them if none are held that are good.

        Who asks is the task that needs them first. If it is cancelled, another one that waits asks
        again; if the question fails, it fails for all who waited.

        Raises:
            CredentialsError: there are none to be had.
        """
        if self._held is not None and trio.current_time() < self._good_until:
            return self._held
        while self._asking is not None:
            asking = self._asking
            await asking.over.wait()
            if asking.failure is not None:
                raise self._explain(asking.failure) from self.secrets.harmless(asking.failure)
            if asking.answer is not None:
                return asking.answer
        return await self._ask()

    async def renew(self, refused: AuthHeaders) -> AuthHeaders | None:
        """Return other headers than those to which the server answered 401; None if there are none.

        Raises:
            CredentialsError: see `show`.
        """
        if self._credentials is None:
            return None
        if self._held is refused:
            self._held = None
        shown = await self.show()
        return None if shown.is_like(refused) else shown

    async def _ask(self) -> AuthHeaders:
        assert self._credentials is not None
        asking = self._asking = _Asking()
        asked_at = trio.current_time()
        try:
            answer = self._credentials.headers()
            if isinstance(answer, Awaitable):
                answer = await answer
            asking.answer = self._hold(read_headers(answer), asked_at)
        except Exception as error:
            # In a task that nobody waits for, anything but an error of ours would be a crash.
            asking.failure = error
        finally:
            self._asking = None
            asking.over.set()
        if asking.answer is None:
            assert asking.failure is not None
            raise self._explain(asking.failure) from self.secrets.harmless(asking.failure)
        return asking.answer

    def _hold(self, shown: AuthHeaders, asked_at: float) -> AuthHeaders:
        self.secrets.add_headers(shown.headers, passing=True)
        self.secrets.add(*(value for _, value in shown.websocket_params), passing=True)
        self._good_until = math.inf if shown.lifetime is None else asked_at + shown.lifetime
        self._held = attrs.evolve(shown, headers=(*shown.headers, *self.headers))
        return self._held

    def _explain(self, error: Exception) -> CredentialsError:
        return CredentialsError(
            f"the credentials for the server could not be had: {type(self._credentials).__name__}"
            f" raised {type(error).__name__}. Nothing was sent"
        )
