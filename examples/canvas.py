"""A canvas that the browser saved, or a picture that ComfyUI made: changed by title, and run.

    python examples/canvas.py examples/workflows/canvas.json "Prompt=a lighthouse"

Without a change it lists the titles and the values that there are.
"""

import sys
from collections.abc import Sequence

import trio

from comfy_trio import Workflow, open_comfy


def describe(workflow: Workflow) -> None:
    """Tell which values there are, by title."""
    for node_id, node in workflow.to_dict().items():
        title = node.get("_meta", {}).get("title") or node["class_type"]
        for name, value in node["inputs"].items():
            if not isinstance(value, list):  # a list is a link
                print(f"{node_id:>4} {title}: {name} = {value!r:.60}")


async def main(file: str, changes: Sequence[str]) -> None:
    """Read a canvas, change it, and run it."""
    async with open_comfy() as comfy:
        workflow = await comfy.load(file)  # the server knows what its nodes are
        if not changes:
            describe(workflow)
            return
        for change in changes:
            title, _, text = change.partition("=")
            workflow.input(workflow.find(title), "text", text)
        result = await comfy.run(workflow)
        for path in await comfy.file.download_all(result.files(), "pictures"):
            print(path)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2:])
