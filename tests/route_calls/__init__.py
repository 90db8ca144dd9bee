"""For each row of ``docs/routes.md``: a call of the method, which makes it ask for the route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _file, _history, _jobs, _node, _queue

if TYPE_CHECKING:
    from ._row import Row

ROWS: tuple[Row, ...] = (
    *_file.ROWS,
    *_history.ROWS,
    *_jobs.ROWS,
    *_node.ROWS,
    *_queue.ROWS,
)
