"""For each row of ``docs/routes.md``: a call of the method, which makes it ask for the route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _assets, _file, _node

if TYPE_CHECKING:
    from ._row import Row

ROWS: tuple[Row, ...] = (*_assets.ROWS, *_file.ROWS, *_node.ROWS)
