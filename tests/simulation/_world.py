"""All there is: a server, its weather, and the programs that use it."""

from __future__ import annotations

import atexit
import random
import tempfile
from functools import cache
from unittest.mock import patch

import attrs
import trio

from comfy_trio import _session
from comfy_trio.testing import open_embedded_server

from ._history import History
from ._invariants import SETTLES_WITHIN, SUBSCRIBER_BOUND, Violation, require
from ._network import Network, Outage
from ._program import Program
from ._truth import STRANGER, WORK, Ledger
from ._weather import Weather

VERSIONS = ("0.27.0", "0.27.0", "0.3.64")
"""The versions that a world's server may play: they differ in how jobs are stopped."""
CALM_WORLDS = 0.15
"""How many worlds have no weather at all, so that what holds in fair weather is tried, too."""
LINGERING = 200.0
"""Seconds in which all is gone that is still under way."""


@cache
def _folder() -> str:
    """Where the files of servers would be, if there were any: to make folders takes long."""
    folder = tempfile.TemporaryDirectory(prefix="comfy-trio-worlds-")
    atexit.register(folder.cleanup)
    return folder.name


@attrs.define(eq=False)
class World:
    """One world, and all that is drawn from its seed."""

    seed: int
    history: History = attrs.field(factory=History)
    _violation: str = ""
    _all: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def violate(self, what: str) -> None:
        """End the world, for something does not hold in it."""
        self._violation = self._violation or what
        self.history.note("world", what)
        self._all.cancel(what)

    async def live(self) -> None:
        """Let everything happen.

        Raises:
            Violation: something does not hold.
        """
        try:
            with patch.object(_session, "SUBSCRIBER_BOUND", SUBSCRIBER_BOUND), self._all:
                await self._live()
        finally:
            if self._violation:  # whatever else came of it
                raise Violation(self._violation)

    async def _live(self) -> None:
        chance = random.Random(self.seed)
        ledger = Ledger(self.history, self.violate)
        async with open_embedded_server(
            version=chance.choice(VERSIONS), nodes=[WORK], base_directory=_folder()
        ) as server:
            with ledger.watching(server):
                tasks = trio.lowlevel.current_statistics().tasks_living
                async with trio.open_nursery() as under_way:
                    outage, cleared = Outage(), trio.Event()
                    networks = [
                        Network(
                            f"client {number}",
                            server.transport,
                            chance,
                            self.history,
                            under_way,
                            outage,
                        )
                        for number in range(chance.choice([1, 1, 2]))
                    ]
                    weather = Weather(server, ledger, chance, self.history, outage, networks)
                    episodes = 0 if chance.random() < CALM_WORLDS else chance.randrange(1, 6)
                    async with trio.open_nursery() as programs:
                        for network in networks:
                            program = Program(
                                server,
                                network,
                                ledger,
                                chance,
                                self.history,
                                cleared,
                                fair=not episodes,
                            )
                            programs.start_soon(program.run)
                        await weather.rage(episodes)
                        cleared.set()
                        programs.cancel_scope.deadline = trio.current_time() + SETTLES_WITHIN
                    require(not programs.cancel_scope.cancelled_caught, "it hangs")
                    await trio.sleep(LINGERING)
                    under_way.cancel_scope.cancel("all is over")
                await trio.testing.wait_all_tasks_blocked()
                self._check_end(ledger)
                left = trio.lowlevel.current_statistics().tasks_living - tasks
                require(left == 0, f"{left} tasks are left")
                held = server.statistics()
                require(not held.sockets and not held.connections, f"the server has {held}")

    def _check_end(self, ledger: Ledger) -> None:
        for truth in ledger.truths:
            told = truth.told or truth.owner == STRANGER
            require(bool(told), f"{truth} was wanted, and nobody was told how it ended")
