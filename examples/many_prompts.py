"""A batch over prompts: one workflow, one picture for each line of a file, several servers.

    python examples/many_prompts.py prompts.txt http://gpu-a:8188 http://gpu-b:8188

Results are saved as they come; a server that fails costs none of them.
"""

import sys
from functools import partial
from pathlib import Path

import trio

from comfy_trio import Comfy, Workflow, open_pool

WORKFLOW = Path(__file__).parent / "workflows" / "text_to_image.json"


async def make(comfy: Comfy, *, prompt: str) -> str:
    """Make the picture of a prompt at one server, and save it while that still has it."""
    workflow = Workflow.from_file(WORKFLOW).set("6.inputs.text", prompt)
    result = await comfy.run(workflow)
    name = "".join(letter if letter.isalnum() else "_" for letter in prompt)[:60]
    (path,) = await comfy.file.download_all(result.files(), f"pictures/{name}")
    return f"{prompt}: {path}"


async def main(file: str, urls: list[str]) -> None:
    """Make the pictures of all prompts in a file."""
    lines = (await trio.Path(file).read_text(encoding="utf-8")).splitlines()
    works = [partial(make, prompt=line) for line in lines if line.strip()]
    async with open_pool(urls) as pool, pool.open_batch(works) as batch:
        async for item in batch:
            print(item.unwrap())


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2:])
