"""The command line.

``_app`` lists the commands, of which each has a module; ``_screen`` is where they write to,
``_supervise`` what runs them and turns errors and Ctrl-C into messages and exit codes.
"""

from ._app import run_command_line as run_command_line
