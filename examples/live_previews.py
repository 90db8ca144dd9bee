"""Live previews: what a job tells while it runs, and its picture as it comes into being.

    python examples/live_previews.py

Writes each preview to ``previews``; a program with a window would show it instead.
"""

from pathlib import Path

import trio

from comfy_trio import (
    Finished,
    NodeStarted,
    Preview,
    Progress,
    ProgressPercent,
    Workflow,
    open_comfy,
)

WORKFLOW = Path(__file__).parent / "workflows" / "text_to_image.json"


async def main() -> None:
    """Run a workflow, and tell all that it tells."""
    directory = trio.Path("previews")
    await directory.mkdir(exist_ok=True)
    count = 0
    async with open_comfy() as comfy, comfy.open_job(Workflow.from_file(WORKFLOW)) as job:
        # A reader that is slow gets the latest preview, and holds up nobody.
        async for event in job.events():
            match event:
                case NodeStarted(title=title):
                    print(title)
                case Progress(value=value, max=maximum):
                    print(f"  {value:g} of {maximum:g}")
                case ProgressPercent(percent=percent):
                    print(f"  {percent} % of the whole job")
                case Preview(data=data, media_type=media_type):
                    count += 1
                    suffix = media_type.rpartition("/")[2]
                    await (directory / f"{count:03}.{suffix}").write_bytes(data)
                case Finished(result=result):
                    print(f"{count} previews, {len(result.files())} picture")
                case _:
                    pass


if __name__ == "__main__":
    trio.run(main)
