"""``python -m comfy_trio``: the command line; its own code is in `comfy_trio._cli`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or say what to install for it."""
    try:
        from ._cli import run_command_line

        run_command_line()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"", __package__}:
            raise
        sys.exit(
            f"The command line needs {missing}, which is not installed:"
            ' run  pip install "comfy-trio[cli]"'
        )


if __name__ == "__main__":
    main()
