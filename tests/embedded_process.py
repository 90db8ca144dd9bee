"""An embedded server in a process of its own: prints its URL, and serves until it is killed."""

from __future__ import annotations

import trio

from comfy_trio.testing import open_embedded_server


async def main() -> None:
    async with open_embedded_server() as server, server.listen() as url:
        print(url, flush=True)  # noqa: T201  # that is how its parent learns of it
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main)
