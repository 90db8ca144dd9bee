"""For each row of ``docs/routes.md``: a call of the method, which makes it ask for the route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _file, _manager, _monitor, _node, _terminal

if TYPE_CHECKING:
    from ._row import Row

ROWS: tuple[Row, ...] = (*_file.ROWS, *_manager.ROWS, *_monitor.ROWS, *_node.ROWS, *_terminal.ROWS)
