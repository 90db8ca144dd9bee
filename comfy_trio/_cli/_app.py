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
