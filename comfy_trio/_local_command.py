"""How a ComfyUI checkout is started: the interpreter, the arguments, the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from ._errors import ServerCrashedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OURS: Final = frozenset({"--listen", "--port", "--auto-launch", "--tls-keyfile", "--tls-certfile"})
"""Arguments that decide how the server is reached, and are not the caller's."""
OPTIONS: Final = "comfy/cli_args.py"
"""Where a checkout declares its arguments, which grew more with time."""
GPU_VARIABLES: Final = (
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ASCEND_RT_VISIBLE_DEVICES",
)
"""What ``--cuda-device`` sets (main.py of ComfyUI). In the environment, it also holds for what is
imported before that."""
INTERPRETERS: Final = tuple(
    f"{directory}/{name}"
    for directory in ("venv", ".venv")
    for name in ("bin/python", "Scripts/python.exe")
)

BOOTSTRAP: Final = """\
import os, runpy, signal, sys, threading, time

def end_with_parent(pipe=os.dup(0)):
    while os.read(pipe, 1024):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(float(os.environ.pop("COMFY_TRIO_STOP_TIMEOUT")))
    os._exit(1)

signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Thread(target=end_with_parent, daemon=True).start()
del sys.argv[0]
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs main.py, and ends the process when its standard input does: its parent may be killed, and
then has no time to stop it. (Linux can signal a child whose parent dies, but means the thread that
started it.) A signal from outside might come before there is anybody to handle it, and a program
that runs in the background of a shell has its children ignore SIGINT."""


@attrs.frozen(kw_only=True)
class LocalCommand:
    """A checkout, and how to start it; see `open_local_comfy`."""

    checkout: Path
    python: str
    gpu: str | None
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    stop_timeout: float

    @classmethod
    def of(
        cls,
        path: str | os.PathLike[str],
        *,
        python: str | os.PathLike[str] | None,
        gpu: int | str | None,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None,
        stop_timeout: float,
    ) -> LocalCommand:
        """Check what the caller wants.

        Raises:
            ValueError: the path is no checkout, the interpreter is not there, or an argument is not
                the caller's.
        """
        checkout = Path(path).absolute()
        for name in ("main.py", OPTIONS):
            if not (checkout / name).is_file():
                raise ValueError(f"{checkout} is no checkout of ComfyUI: it has no {name}")
        for argument in arguments:
            if (name := argument.partition("=")[0]) in OURS:
                raise ValueError(f"arguments: {name} is decided by how the server is reached here")
        return cls(
            checkout=checkout,
            python=_interpreter(checkout, python),
            gpu=None if gpu is None else str(gpu),
            arguments=tuple(map(str, arguments)),
            environment=dict(environment or {}),
            stop_timeout=stop_timeout,
        )

    def argv(self, port: int, scratch: Path) -> list[str]:
        """Return the command.

        Args:
            port: Where to listen.
            scratch: An empty directory of this process alone. Two processes in one directory for
                temporary files delete each other's, and a database is locked by one of them.
        """
        options = (self.checkout / OPTIONS).read_text(encoding="utf-8")
        own: dict[str, str] = {"--temp-directory": str(scratch)}
        if "--database-url" in options:
            own["--database-url"] = f"sqlite:///{scratch / 'comfyui.db'}"
        given = {argument.partition("=")[0] for argument in self.arguments}
        return [
            *(self.python, "-c", BOOTSTRAP, str(self.checkout / "main.py")),
            *("--listen", "127.0.0.1", "--port", str(port), "--disable-auto-launch"),
            *(part for name, value in own.items() if name not in given for part in (name, value)),
            *self.arguments,
        ]

    def not_started(self, error: OSError) -> ServerCrashedError:
        """Return the error for a process that there never was."""
        return ServerCrashedError(
            f"ComfyUI in {self.checkout} cannot be started: {error}", returncode=None, log=()
        )

    def env(self) -> dict[str, str]:
        """Return the environment."""
        gpus = {} if self.gpu is None else dict.fromkeys(GPU_VARIABLES, self.gpu)
        ours = {"PYTHONUNBUFFERED": "1", "COMFY_TRIO_STOP_TIMEOUT": str(self.stop_timeout)}
        return {**os.environ, **gpus, **ours, **self.environment}


def _interpreter(checkout: Path, python: str | os.PathLike[str] | None) -> str:
    if python is not None:
        if not Path(python).is_file():
            raise ValueError(f"python: there is no {os.fspath(python)}")
        return os.fspath(python)
    found = [checkout / each for each in INTERPRETERS if (checkout / each).is_file()]
    return str(found[0]) if found else sys.executable
