"""Deadlines: cancellation is the only timeout, and it reaches the server.

    python examples/deadline.py 2.5

When the seconds are over, the job is interrupted at the server, by its id, or taken out of its
queue, before the program goes on.
"""

import sys
from pathlib import Path

import trio

from comfy_trio import Workflow, open_comfy

WORKFLOW = Path(__file__).parent / "workflows" / "text_to_image.json"


async def main(seconds: float) -> None:
    """Make a picture, if there is time for it."""
    workflow = Workflow.from_file(WORKFLOW).set("3.inputs.steps", 1000)
    async with open_comfy() as comfy:
        with trio.move_on_after(seconds) as deadline:
            await comfy.run(workflow)
        left = await comfy.queue.state()
        print("cancelled" if deadline.cancelled_caught else "done", end=", ")
        print(f"{len(left.running)} running, {len(left.pending)} waiting")


if __name__ == "__main__":
    trio.run(main, float(sys.argv[1]))
