"""The commands, and how they are told apart."""

from __future__ import annotations

import io
import sys

from cyclopts import App

from .._version import __version__

app = App(
    name="comfy_trio",
    help="Drive ComfyUI from Trio.",
    version=__version__,
    backend="trio",
)


def _examples(*lines: str) -> str:
    """Return what the help of a command ends with."""
    return "\n\n".join(["Examples:", *(f"comfy-trio {line}" for line in lines)])


# Named, not imported: a command loads only what it needs itself.
app.command(
    "comfy_trio._cli._demo:demo",
    name="demo",
    help="Make a picture from words, and watch the server at it.",
    help_epilogue=_examples(
        "demo",
        'demo --prompt "a lighthouse in a storm" --seed 7',
        "demo --url http://127.0.0.1:8188 --checkpoint sd15.safetensors",
    ),
)
app.command(
    "comfy_trio._cli._run:run",
    name="run",
    help="Run a workflow, on one server or on several, and save what it gives. Ctrl-C cancels what"
    " runs at the server.",
    help_epilogue=_examples(
        'run portrait.png --set "6.inputs.text=a cat" --seed 7',
        "run edit.json --input 5.image=photo.jpg --out results",
        "run video.json --repeat 20 --url http://a:8188 --url http://b:8188",
    ),
)
app.command(
    "comfy_trio._cli._info:info",
    name="info",
    help="Tell what a server is, has and does: version, devices, queue, models.",
    help_epilogue=_examples("info", "info --url http://gpu-a:8188 --json"),
)
app.command(
    "comfy_trio._cli._queue:queue",
    name="queue",
    help="List what runs and what waits at a server.",
    help_epilogue=_examples("queue", "queue --json"),
)
app.command(
    "comfy_trio._cli._queue:cancel",
    name="cancel",
    help="Stop jobs at a server, whoever's they are.",
    help_epilogue=_examples("cancel 1f0e9a52-3c1b-4b8e-9a55-6c0a86d1a3f7", "cancel --all"),
)
app.command(
    "comfy_trio._cli._queue:history",
    name="history",
    help="List the jobs that are over, or tell of one.",
    help_epilogue=_examples("history --max 5", "history 1f0e9a52-3c1b-4b8e-9a55-6c0a86d1a3f7"),
)
app.command(
    "comfy_trio._cli._files:download",
    name="download",
    help="Fetch what a job gave, or one file.",
    help_epilogue=_examples(
        "download 1f0e9a52-3c1b-4b8e-9a55-6c0a86d1a3f7 --out results", "download ComfyUI_00001_.png"
    ),
)
app.command(
    "comfy_trio._cli._files:upload",
    name="upload",
    help="Send files to a server.",
    help_epilogue=_examples("upload photo.jpg mask.png", "upload scene.mp4 --subfolder clips"),
)
app.command(
    "comfy_trio._cli._logs:logs",
    name="logs",
    help="Show the last lines of a server's log, or follow it.",
    help_epilogue=_examples("logs", "logs --follow --url http://gpu-a:8188"),
)
app.command(
    "comfy_trio._cli._logs:watch",
    name="watch",
    help="Tell of each job that comes, begins and ends at a server.",
    help_epilogue=_examples("watch", "watch --json"),
)
app.command(
    "comfy_trio._cli._codegen:codegen",
    name="codegen",
    help="Write a server's nodes as a Python package of typed classes, or a module for a workflow.",
    help_epilogue=_examples(
        "codegen --url http://127.0.0.1:8188 --out comfy_nodes",
        "codegen --url http://127.0.0.1:8188 --out comfy_nodes --check",
        "codegen --workflow portrait.json --url http://127.0.0.1:8188 --out portrait.py",
    ),
)
app.command(
    "comfy_trio._cli._validate:validate",
    name="validate",
    help="Tell what a server would say of a workflow, and what it would overlook.",
    help_epilogue=_examples(
        "validate portrait.json --url http://127.0.0.1:8188",
        "validate portrait.png --object-info object_info.json",
    ),
)
app.command(
    "comfy_trio._cli._transpile:transpile",
    name="transpile",
    help="Write a workflow as a Python script of typed nodes.",
    help_epilogue=_examples(
        "transpile portrait.json --url http://127.0.0.1:8188 --out portrait_graph.py"
    ),
)
app.command(
    "comfy_trio._cli._convert:convert",
    name="convert",
    help="Make the prompts that a server runs of canvas files and pictures.",
    help_epilogue=_examples("convert one.json two.png --url http://127.0.0.1:8188 --out prompts"),
)
app.command(
    "comfy_trio._cli._smoke:smoke",
    name="smoke",
    help="Make a picture at a server, and tell how that goes: a check of all that is between.",
    help_epilogue="Exit codes: 0 all went well, 1 the command line is not installed, 2 it took too"
    " long, or an argument is wrong, 3 the server refused the workflow, 4 anything else, 5 no"
    " readings came.",
)
# Its own --version is the version of ComfyUI to play.
app.command(
    "comfy_trio._cli._serve:serve",
    name="serve",
    help="Run the embedded server until Ctrl-C. It speaks as ComfyUI does, and holds no model.",
    version_flags=(),
    help_epilogue=_examples("serve", "serve --port 8189 --version 0.3.64"),
)


def run_command_line() -> None:
    """Run the command that the arguments of this process name, and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        # What a pipe's encoding lacks (a prompt may hold anything) is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    app(sys.argv[1:])
