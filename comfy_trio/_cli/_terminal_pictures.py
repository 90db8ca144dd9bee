"""Pictures in a terminal: by its graphics, if it has any, or else of coloured half cells."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image, UnidentifiedImageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from ._screen import Screen

    Draw: TypeAlias = Callable[[bytes], RenderableType | None]
    """Makes of an encoded picture what rich can print; None if it is no picture."""

HEIGHT = 12
"""Lines of the terminal that a picture takes: the rest is for the words."""


def drawing_for(screen: Screen, *, wanted: bool | None) -> Draw | None:
    """Return how to draw pictures on a screen; None if that is not wanted, or it is no terminal.

    The terminal is asked what it can draw, and answers on standard input: to be called before
    anything else is drawn.

    Args:
        screen: Where.
        wanted: True for pictures in any terminal, in coloured half cells if it has no graphics;
            None for pictures in those that have.
    """
    if wanted is False or not screen.out.is_interactive:
        return None
    if sys.__stdin__ is None or not sys.__stdin__.isatty():
        return _in_half_cells if wanted else None
    from textual_image import renderable  # asks the terminal when it is imported

    graphical = renderable.Image in {renderable.TGPImage, renderable.SixelImage}
    if not graphical:
        return _in_half_cells if wanted else None
    return lambda data: _draw(data, renderable.Image)


def _in_half_cells(data: bytes) -> RenderableType | None:
    from textual_image.renderable.halfcell import Image as HalfCells

    return _draw(data, HalfCells)


def _draw(data: bytes, renderer: Callable[..., RenderableType]) -> RenderableType | None:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return renderer(picture.convert("RGB"), height=HEIGHT, width="auto")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None  # a server may send anything
