"""What the server's machine is busy with, where the extension Crystools is installed."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, final

import attrs

from .._routes._monitor import (
    DRIVES,
    GPUS,
    configuration,
    gpu_configuration,
    read_drives,
    read_gpus,
    reading_of,
    require_crystools,
    switch,
)
from .._util import NoPublicConstructor
from ._feed import open_feed
from ._probe import Probe

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from .._mailbox import Mailbox, Subscription
    from .._replies import Request
    from .._routes._monitor import Gpu, MonitorReading
    from .._session import Session
    from .._wire import ServerEvent


@final
@attrs.define(eq=False, slots=False)
class MonitorNamespace(metaclass=NoPublicConstructor):
    """`Comfy.monitor`: load and memory of the server's machine, as Crystools measures them.

    All methods raise `UnsupportedError` on a server without Crystools.
    """

    _session: Session = attrs.field(repr=False)

    @cached_property
    def _probe(self) -> Probe[tuple[Gpu, ...]]:
        return Probe(self._session, self.gpus)

    async def supported(self) -> bool:
        """Tell whether the server has Crystools.

        The server is asked once, with one small request, and again after the connection was lost.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return await self._probe.has_answer()

    async def gpus(self) -> tuple[Gpu, ...]:
        """Return the graphics cards that Crystools can measure; it knows those of NVIDIA.

        Raises:
            UnsupportedError: the server does not have Crystools.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_gpus(await self._session.http.request(GPUS))

    async def drives(self) -> tuple[str, ...]:
        """Return where the server's drives are mounted: the choices for the drive to be watched.

        Raises:
            UnsupportedError: the server does not have Crystools.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_drives(await self._session.http.request(DRIVES))

    async def configure(
        self,
        *,
        interval: float | None = None,
        cpu: bool | None = None,
        ram: bool | None = None,
        drive: bool | None = None,
        watched_drive: str | None = None,
    ) -> None:
        """Change what is measured and how often, for all clients; what is None stays as it is.

        The server does not tell how these are set.

        Args:
            interval: Seconds between two readings; 0 ends them.
            cpu: Whether the processor's load is measured.
            ram: Whether the memory is.
            drive: Whether the space on a drive is.
            watched_drive: On which: one of `drives`.

        Raises:
            UnsupportedError: the server does not have Crystools.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        await self._change(
            configuration(
                rate=interval, switchCPU=cpu, switchRAM=ram, switchHDD=drive, whichHDD=watched_drive
            )
        )

    async def configure_gpu(
        self,
        index: int,
        *,
        utilization: bool | None = None,
        vram: bool | None = None,
        temperature: bool | None = None,
    ) -> None:
        """Change what is measured of a graphics card, for all clients; None leaves it as it is.

        Args:
            index: The card's number, from 0.
            utilization: Whether its load is measured.
            vram: Whether its memory is.
            temperature: Whether its temperature is.

        Raises:
            UnsupportedError: the server does not have Crystools.
            ResponseError: there is no such card, among other things.
            ServerUnreachableError, DisconnectedError: the request failed.
        """
        await self._change(
            gpu_configuration(index, utilization=utilization, vram=vram, temperature=temperature)
        )

    async def start(self) -> None:
        """Let Crystools measure, which it does from the server's start on; for all clients.

        Raises:
            UnsupportedError: the server does not have Crystools.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        await self._change(switch(on=True))

    async def stop(self) -> None:
        """Let Crystools measure no more, for all clients.

        Raises:
            UnsupportedError: the server does not have Crystools.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        await self._change(switch(on=False))

    @asynccontextmanager
    async def subscribe(self) -> AsyncGenerator[Subscription[MonitorReading], None]:
        """Read what is measured from now on, for as long as a block lasts.

        A lost WebSocket means a gap. A reader that falls more than 1000 readings behind misses the
        oldest; `Subscription.missed` counts them. The iteration ends when the client gives up
        reconnecting.

        Raises:
            UnsupportedError: the server does not have Crystools.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        await self._probe.answer()
        async with open_feed(partial(_follow, self._session.subscribe())) as readings:
            yield readings

    async def _change(self, request: Request) -> None:
        require_crystools(await self._session.http.request(request))


async def _follow(events: Mailbox[ServerEvent], readings: Mailbox[MonitorReading]) -> None:
    numbers = itertools.count()
    async for event in events.subscription():
        reading = reading_of(event)
        if reading is not None:
            readings.put_nowait(next(numbers), reading)
