"""What happens to a server and to the way there, and what people do at the server's web page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import trio

from ._network import ACTOR, SOCKET_HARM, Network, Outage
from ._truth import PERSON, STRANGER

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from comfy_trio.testing import EmbeddedServer

    from ._history import History
    from ._truth import Ledger


@attrs.define(eq=False)
class Weather:
    """Lets one thing after the other go wrong.

    Args:
        server: Whose weather it is.
        ledger: Where it is written down what the server forgets.
        chance: Where all that is random comes from.
        history: Where it is told.
        outage: While the server answers nobody.
        networks: The ways to the server, one for each client.
    """

    server: EmbeddedServer
    ledger: Ledger
    chance: random.Random
    history: History
    outage: Outage
    networks: Sequence[Network]

    async def rage(self, episodes: int) -> None:
        """Let so many things happen, and end well."""
        for _ in range(episodes):
            await trio.sleep(self.chance.expovariate(1 / 2))
            await self._happen()
        for network in self.networks:
            network.calm()
        await self.outage.wait()
        self.history.note("weather", "clears up for good")

    async def _happen(self) -> None:
        chance = self.chance
        match chance.randrange(14):
            case 0 | 1 | 2 | 3 | 4 | 5:
                network = chance.choice(self.networks)
                network.storm = chance.choice([0.1, 0.3, 0.7])
                self.history.note("weather", f"storm of {network.storm} for {network.client}")
                await trio.sleep(chance.choice([3, 10, 20, 30]) * chance.random())
                network.calm()
                self.history.note("weather", f"calm for {network.client}")
            case 6 | 7:
                await self._restart()
            case 8 | 9:
                chance.choice(self.networks).cut(chance.choice(SOCKET_HARM))
            case 10:
                seconds = chance.choice([2, 10, 70]) * chance.random()
                self.history.fault("busy server", "server", f"for {seconds:.1f} s")
                self.outage.until = trio.current_time() + seconds
                self._harm_all(seconds)
            case 11:
                self._deafen()
            case _:
                self._meddle()
        if chance.random() < 0.3:
            self._disturb()

    def _harm_all(self, seconds: float) -> None:
        for network in self.networks:
            network.harm_until(trio.current_time() + seconds)

    async def _restart(self) -> None:
        """Kill the server, and start it anew at once or after a while."""
        chance, server = self.chance, self.server
        keep = chance.random() < 0.1
        self.history.fault("restart with its history" if keep else "restart", "server")
        self.ledger.lose_all(server, keep_history=keep)
        entries = dict(server._engine.queue.history)
        self._harm_all(1)
        server.stop()
        if keep:
            server._engine.queue.history.update(entries)
        for network in self.networks:
            network.reset()
        if chance.random() < 0.7:
            seconds = chance.choice([0.5, 5, 30]) * chance.random()
            self._harm_all(seconds + 1)
            await trio.sleep(seconds)
        server.start()
        self.history.note("server", "is up")

    def _deafen(self) -> None:
        """Let the server forget a socket that is well, as it does with the newer of two."""
        engine = self.server._engine
        known = sorted(engine.hub._outboxes)
        if known:
            self.history.fault("socket forgotten by the server", "server")
            engine.hub._outboxes.pop(self.chance.choice(known))

    def _meddle(self) -> None:
        """Do what people do at the web page."""
        ACTOR.set(PERSON)
        engine, ledger, chance = self.server._engine, self.ledger, self.chance
        queue = engine.queue
        match chance.randrange(5):
            case 0 if queue.running:
                self.history.fault("interrupt by a person", PERSON)
                engine.interrupt()
            case 1 if queue.pending:
                item = chance.choice(sorted(queue.pending, key=lambda item: item.number))
                self.history.fault("dequeue by a person", PERSON)
                queue.delete(item.prompt_id)
            case 2 if queue.pending:
                self.history.fault("queue cleared by a person", PERSON)
                queue.clear()
            case 3 if queue.history:
                forgotten = chance.choice([*queue.history])
                self.history.fault("history deleted by a person", PERSON)
                ledger.lose("forgotten", ledger.entries([queue.history[forgotten]]))
                del queue.history[forgotten]
            case _:
                self.history.fault("history cleared by a person", PERSON)
                ledger.lose("forgotten", ledger.entries(queue.history.values()))
                queue.history.clear()

    def _disturb(self) -> None:
        """Have somebody else run a job; if they gave no client, all hear of its progress."""
        engine, chance = self.server._engine, self.chance
        truth = self.ledger.add(STRANGER, chance.randrange(10**9), chance.random() * 4, fails=False)
        extra = {"client_id": STRANGER} if chance.random() < 0.5 else {}
        front = chance.random() < 0.5
        number = engine.next_number(front=front)
        engine.submit(number, f"stranger-{truth.number}", truth.prompt(), extra, ["1"])
