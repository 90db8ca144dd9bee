"""The server itself: its state, its memory, and what it can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import attrs
import trio

from .._asked_once import AskedOnce
from .._replies import QUEUE_LENGTH, raise_for_status, require_comfyui
from .._routes._system import FEATURES, STATS, free_request, read_info, read_stats
from .._util import NoPublicConstructor

if TYPE_CHECKING:
    from .._http import HttpClient
    from .._routes._system import ServerInfo
    from .._session import Session
    from .._wire_types import SystemStats


@final
@attrs.define(eq=False, slots=False)
class SystemNamespace(metaclass=NoPublicConstructor):
    """`Comfy.system`: what the server is, how it is, and what it can do."""

    _session: Session = attrs.field(repr=False)
    _info: AskedOnce[ServerInfo] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._info = AskedOnce(self._session, self._ask_info)

    @property
    def _http(self) -> HttpClient:
        return self._session.http

    async def info(self, *, refresh: bool = False) -> ServerInfo:
        """Return the server's version and what it can do.

        The server is asked once, and again after the connection was lost, since it may have been
        updated meanwhile. Calls at the same time share one asking, and cancelling one of them does
        the others no harm.

        Args:
            refresh: Ask even if the answer is known.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return await self._info.get(refresh=refresh)

    async def _ask_info(self) -> ServerInfo:
        stats = await self._http.request(STATS)
        return read_info(stats, await self._http.request(FEATURES))

    async def stats(self) -> SystemStats:
        """Return the state of the machine, its devices and its memory, as the server tells it.

        The server may have to ask its graphics card; `ping` is cheaper.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_stats(await self._http.request(STATS))

    async def ping(self) -> float:
        """Ask for next to nothing, and return how long the answer took, in seconds.

        Raises:
            NotComfyUIError: something else than ComfyUI answers, such as a proxy.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        asked_at = trio.current_time()
        require_comfyui(await self._http.request(QUEUE_LENGTH))
        return trio.current_time() - asked_at

    async def free_memory(self, *, unload_models: bool = True, free_memory: bool = True) -> None:
        """Let the server free its memory as soon as no job runs.

        When this returns, the server has only taken note: it does so after the job that runs now,
        or within moments if none does.

        Args:
            unload_models: Whether to unload the models.
            free_memory: Whether to forget what nodes made, too, so that they run anew. That
                unloads the models in any case.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        raise_for_status(
            await self._http.request(
                free_request(unload_models=unload_models, free_memory=free_memory)
            )
        )
