"""A job that outlives the program: one process submits it, another one fetches what it gave.

python examples/resume.py submit job.json
python examples/resume.py fetch job.json
"""

import json
import sys
from pathlib import Path

import trio

from comfy_trio import JobReference, Workflow, open_comfy

WORKFLOW = Path(__file__).parent / "workflows" / "text_to_image.json"


async def submit(file: trio.Path) -> None:
    """Put a job into the server's queue, write down which it is, and go."""
    async with open_comfy() as comfy:
        submission = await comfy.queue.submit(Workflow.from_file(WORKFLOW).output("picture", "9"))
        await file.write_text(json.dumps(submission.reference.to_dict()))
        print(f"submitted {submission.prompt_id}")


async def fetch(file: trio.Path) -> None:
    """Wait for the job to be over, and save its picture."""
    reference = JobReference.from_dict(json.loads(await file.read_text()))
    async with open_comfy(reference.url, client_id=reference.client_id) as comfy:
        result = await comfy.attach(reference)
        for path in await comfy.file.download_all(result.files("picture"), "pictures"):
            print(path)


if __name__ == "__main__":
    command, name = sys.argv[1:]
    trio.run({"submit": submit, "fetch": fetch}[command], trio.Path(name))
