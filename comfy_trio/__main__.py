"""``python -m comfy_trio``: the command line; its own code is in `comfy_trio._cli`."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command line, or say what to install for it."""
    try:
        from ._cli import run_command_line

        run_command_line()
    except KeyboardInterrupt:  # before a command runs, which looks after that itself
        sys.exit(128 + signal.SIGINT)
    except ImportError as error:
        missing = _missing_package(error)
        if missing in {None, __package__}:
            raise
        sys.exit(
            f"The command line needs {missing}, which is not installed:"
            ' run  pip install "comfy-trio[cli]"'
        )


def _missing_package(error: ImportError) -> str | None:
    """Return the package that could not be found, if that is the trouble."""
    # cyclopts imports the commands' modules, and wraps what that raises.
    cause = error if isinstance(error, ModuleNotFoundError) else error.__cause__
    if isinstance(cause, ModuleNotFoundError) and cause.name is not None:
        return cause.name.partition(".")[0]
    return None


if __name__ == "__main__":
    main()
