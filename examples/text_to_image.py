"""Text to image: a workflow file, other words, another seed each time, the picture on disk.

    python examples/text_to_image.py "a lighthouse in a storm"

The server is $COMFY_HOST, or else http://127.0.0.1:8188.
"""

import sys
from pathlib import Path

import trio

from comfy_trio import Workflow, open_comfy

WORKFLOW = Path(__file__).parent / "workflows" / "text_to_image.json"


async def main(prompt: str) -> None:
    """Make a picture of a prompt."""
    workflow = Workflow.from_file(WORKFLOW).set("6.inputs.text", prompt).output("picture", "9")
    async with open_comfy() as comfy:
        first, *_ = await comfy.node.checkpoints()
        result = await comfy.run(workflow.set("4.inputs.ckpt_name", first))
        (path,) = await comfy.file.download_all(result.files("picture"), "pictures")
        print(f"{path}, by {first} with seed {result.auto_seeds['3']}")


if __name__ == "__main__":
    trio.run(main, " ".join(sys.argv[1:]) or "a misty mountain lake at dawn")
