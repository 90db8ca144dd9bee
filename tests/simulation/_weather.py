"""What goes wrong in a world besides its network: the server, and people."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NoReturn

import attrs
import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._world import World


@attrs.define(eq=False)
class Weather:
    """Lets one thing after the other happen to a world."""

    world: World

    async def torment(self) -> NoReturn:
        """Let something happen now and then."""
        world, chance, server = self.world, self.world.chance, self.world.server
        while True:
            await trio.sleep(chance.expovariate(1 / 6))
            pause = partial(trio.sleep, chance.choice([0.1, 2, 10, 30]) * chance.random())
            match chance.randrange(10):
                case 0 | 1 | 2 | 3 | 4:
                    world.network.storm = chance.choice([0.1, 0.3, 0.7])
                    world.history.note("network", f"a storm of {world.network.storm}")
                    await pause()
                    world.network.storm = 0.0
                    world.history.note("network", "is calm")
                case 5:
                    await self._restart(pause)
                case 6:
                    world.trouble("sockets dropped")
                    server.faults.drop_sockets(noticed=chance.random() < 0.5)
                case 7:
                    world.trouble("deafness")
                    server.faults.drop_sockets(noticed=False)
                    await pause()
                    server.faults.notice_lost_sockets()
                    world.trouble("deafness", "sets in")
                case 8:
                    world.trouble("busy")
                    server.faults.stop_reading()
                    await pause()
                    server.faults.resume_reading()
                    world.trouble("busy", "no more")
                case _:
                    self._meddle()

    async def _restart(self, pause: Callable[[], Awaitable[None]]) -> None:
        """Restart the server; some keep their history over that."""
        world, queue = self.world, self.world.server._engine.queue
        keeps = world.chance.random() < 0.25
        kept = dict(queue.history) if keeps else {}
        lost = world.numbers_in([*queue.pending, *queue.running]) if keeps else None
        world.lose("quiet restart" if keeps else "restart", lost)
        for truth in world.truths.values():
            truth.restarted = truth.restarted or bool(truth.accepted)
        world.trouble("restart with its history" if keeps else "restart")
        world.server.stop()
        world.server._engine.queue.history.update(kept)
        await pause()
        world.server.start()
        world.history.note("server", "is up")

    def _meddle(self) -> None:
        """Do what people do at the web page."""
        world, queue, chance = self.world, self.world.server._engine.queue, self.world.chance
        match chance.randrange(3):
            case 0 if world.running is not None:
                world.history.fault("interrupt by a person", "person", str(world.running))
                world.truths[world.running].meddled = True
                world.server._engine.interrupt()
            case 1 if queue.pending:
                item = chance.choice(sorted(queue.pending, key=lambda item: item.number))
                numbers = world.numbers_in([item])
                world.history.fault("dequeue by a person", "person", str(numbers))
                world.lose("dequeued", numbers)
                queue.delete(item.prompt_id)
            case _:
                world.history.fault("history cleared", "person")
                over = {
                    entry["prompt"][2]["1"]["inputs"]["number"] for entry in queue.history.values()
                }
                world.lose("forgotten", over)
                queue.history.clear()

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        world = self.world
        world.network.storm = 0.0
        world.server.faults.clear()
        world.server.faults.notice_lost_sockets()
        world.server.start()
        if not world.calm:
            world.trouble("healed")
