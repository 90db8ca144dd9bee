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
# Named, not imported: a command loads only what it needs itself.
app.command(
    "comfy_trio._cli._demo:demo",
    name="demo",
    help="Make a picture from words, and watch the server at it.",
)
app.command(
    "comfy_trio._cli._run:run",
    name="run",
    help="Run a workflow, on one server or on several, and save what it gives. Ctrl-C cancels what"
    " runs at the server.",
    help_epilogue=(
        "Examples:\n\n"
        'comfy-trio run portrait.png --set "6.inputs.text=a cat" --seed 7\n\n'
        "comfy-trio run edit.json --input 5.image=photo.jpg --out results\n\n"
        "comfy-trio run video.json --repeat 20 --url http://a:8188 --url http://b:8188"
    ),
)
app.command(
    "comfy_trio._cli._info:info",
    name="info",
    help="Tell what a server is, has and does: version, devices, queue, models.",
)
app.command(
    "comfy_trio._cli._queue:queue",
    name="queue",
    help="List what runs and what waits at a server.",
)
app.command(
    "comfy_trio._cli._queue:cancel",
    name="cancel",
    help="Stop jobs at a server, whoever's they are.",
)
app.command(
    "comfy_trio._cli._queue:history",
    name="history",
    help="List the jobs that are over, or tell of one.",
)
app.command(
    "comfy_trio._cli._files:download",
    name="download",
    help="Fetch what a job gave, or one file.",
)
app.command(
    "comfy_trio._cli._files:upload",
    name="upload",
    help="Send files to a server.",
)
app.command(
    "comfy_trio._cli._logs:logs",
    name="logs",
    help="Show the last lines of a server's log, or follow it.",
)
app.command(
    "comfy_trio._cli._logs:watch",
    name="watch",
    help="Tell of each job that comes, begins and ends at a server.",
)
app.command(
    "comfy_trio._cli._codegen:codegen",
    name="codegen",
    help="Write a server's nodes as a Python package of typed classes, or a module for a workflow.",
)
app.command(
    "comfy_trio._cli._validate:validate",
    name="validate",
    help="Tell what a server would say of a workflow, and what it would overlook.",
)
app.command(
    "comfy_trio._cli._transpile:transpile",
    name="transpile",
    help="Write a workflow as a Python script of typed nodes.",
)
app.command(
    "comfy_trio._cli._convert:convert",
    name="convert",
    help="Make the prompts that a server runs of canvas files and pictures.",
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
)


def run_command_line() -> None:
    """Run the command that the arguments of this process name, and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        # What a pipe's encoding lacks (a prompt may hold anything) is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    app(sys.argv[1:])
