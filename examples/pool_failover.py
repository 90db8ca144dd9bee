"""200 workflows over three servers, of which one is killed halfway: 200 distinct results.

The servers are embedded ones in processes of their own, so that this runs anywhere:

    python examples/pool_failover.py

Or give it real ones; then nothing is killed but what you name:

    python examples/pool_failover.py --url http://gpu-a:8188 --url http://gpu-b:8188 --kill PID
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import trio

from comfy_trio import JobResult, PickMode, Workflow, open_pool

JOBS = 200


def workflow(number: int) -> Workflow:
    """A picture in a color that no other job has, so that no server has it in its cache."""
    return Workflow(
        {
            "1": {
                "class_type": "EmptyImage",
                "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": number},
            },
            "2": {
                "class_type": "SaveImage",
                "inputs": {"images": ["1", 0], "filename_prefix": f"failover-{number}"},
            },
        }
    )


@asynccontextmanager
async def embedded_server() -> AsyncGenerator[tuple[str, int]]:
    """Run an embedded server as a process, and return its address and its pid."""
    command = [sys.executable, "-m", "comfy_trio", "serve", "--port", "0"]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        told = b""
        async for data in process.stdout:
            told += data
            if b"\n" in told:  # "Listening   http://127.0.0.1:..."
                break
        else:
            raise SystemExit("the embedded server did not start")
        yield told.split()[1].decode(), process.pid
    finally:
        process.kill()
        with trio.move_on_after(5, shield=True):
            await process.wait()


async def run_all(urls: Sequence[str], victim: int | None) -> list[JobResult]:
    """Run all jobs, and kill one server halfway."""
    results: list[JobResult] = []
    async with open_pool(urls, mode=PickMode.PICK_LOWEST) as pool:
        async with pool.open_batch([workflow(number) for number in range(JOBS)]) as batch:
            async for item in batch:
                results.append(item.unwrap())
                if len(results) == JOBS // 2 and victim is not None:
                    print(f"killing process {victim} after {len(results)} jobs")
                    os.kill(victim, signal.SIGKILL)
        for server_id, server in pool.statistics().servers.items():
            print(f"{server_id}: {server.succeeded} jobs, {server.failed} attempts failed")
    return results


async def main(urls: Sequence[str], victim: int | None) -> None:
    """Run the jobs on these servers, or on embedded ones if there are none."""
    async with AsyncExitStack() as stack:
        if not urls:
            servers = [await stack.enter_async_context(embedded_server()) for _ in range(3)]
            urls = [url for url, _ in servers]
            victim = servers[0][1]
        results = await run_all(urls, victim)
    distinct = {result["2"]["images"][0]["filename"] for result in results}
    print(f"{len(results)} results, {len(distinct)} of them distinct")
    if len(distinct) != JOBS:
        raise SystemExit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run 200 workflows over several servers.")
    parser.add_argument("--url", action="append", default=[], help="a server; may be repeated")
    parser.add_argument("--kill", type=int, metavar="PID", help="the process to kill halfway")
    options = parser.parse_args()
    trio.run(main, options.url, options.kill)
