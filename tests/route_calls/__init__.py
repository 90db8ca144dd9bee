"""For each row of ``docs/routes.md``: a call of the method, which makes it ask for the route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _file, _node, _user

if TYPE_CHECKING:
    from ._row import Row

ROWS: tuple[Row, ...] = (*_file.ROWS, *_node.ROWS, *_user.ROWS)
