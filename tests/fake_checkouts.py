"""What looks like a checkout of ComfyUI, and is the embedded server in a process of its own."""

from __future__ import annotations

from pathlib import Path

OPTIONS = "--listen --port --temp-directory --database-url --disable-auto-launch --cpu"

MAIN = '''\
"""Behaves as $FAKE says: several words, each of which is something that goes wrong."""

import os
import signal
import socket
import subprocess
import sys
from functools import partial

import trio

from comfy_trio.testing import open_embedded_server

FAKE = os.environ.get("FAKE", "").split()
PORT = int(sys.argv[sys.argv.index("--port") + 1])


async def main():
    print("\\x1b[32m[INFO]\\x1b[0m Starting server", flush=True)
    print("GPU", os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
    if "crash" in FAKE:
        raise RuntimeError("no module named torch")
    if "crash-once" in FAKE and not os.path.exists("crashed"):
        open("crashed", "w").close()
        raise RuntimeError("a driver that was busy")
    if "hang" in FAKE:
        await trio.sleep_forever()
    if "deaf" in FAKE:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if "child" in FAKE:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        print("child", child.pid, flush=True)
    if "taken" in FAKE and not os.path.exists("taken"):
        open("taken", "w").close()
        print(f"Port {PORT} is already in use on address 127.0.0.1. Please", flush=True)
        raise SystemExit(1)
    if "chatty" in FAKE:
        for number in range(5000):
            print("line", number)
        print("x" * 100_000, end="\\r", flush=True)
    arguments = sys.argv[1:]
    if "stranger" in FAKE:
        arguments = ["--cpu"]
    async with open_embedded_server(arguments=arguments) as server:
        async with server.listen(port=PORT) as url:
            print("To see the GUI go to:", url, flush=True)
            await trio.sleep_forever()


trio.run(main)
'''


def make_checkout(path: Path) -> Path:
    """Make one, and return its path."""
    (path / "comfy").mkdir(parents=True)
    (path / "main.py").write_text(MAIN, encoding="utf-8")
    (path / "comfy" / "cli_args.py").write_text(f"# {OPTIONS}\n", encoding="utf-8")
    return path


def children_of(parent: int) -> list[int]:
    """The processes that one started, and that run."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
