"""For each row of ``docs/routes.md``: a call of the method, which makes it ask for the route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import (
    _assets,
    _feature_flags,
    _file,
    _history,
    _jobs,
    _manager,
    _misc,
    _model,
    _monitor,
    _node,
    _queue,
    _system,
    _terminal,
    _user,
)

if TYPE_CHECKING:
    from ._row import Row

ROWS: tuple[Row, ...] = (
    *_assets.ROWS,
    *_feature_flags.ROWS,
    *_file.ROWS,
    *_history.ROWS,
    *_jobs.ROWS,
    *_manager.ROWS,
    *_misc.ROWS,
    *_model.ROWS,
    *_monitor.ROWS,
    *_node.ROWS,
    *_queue.ROWS,
    *_system.ROWS,
    *_terminal.ROWS,
    *_user.ROWS,
)
