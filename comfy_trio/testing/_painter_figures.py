"""Silhouettes that the painter sets into a landscape.

Each draws into a mask of mode L, standing with its feet at a point, in units of its height.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import random

    from PIL import ImageDraw

Point: TypeAlias = tuple[float, float]


class Stencil:
    """Draws shapes given in units of a figure's height, upwards from its feet."""

    def __init__(self, draw: ImageDraw.ImageDraw, feet: Point, height: float) -> None:
        self.draw = draw
        self.feet = feet
        self.height = height

    def _at(self, x: float, y: float) -> Point:
        return self.feet[0] + x * self.height, self.feet[1] - y * self.height

    def polygon(self, *points: Point, fill: int = 255) -> None:
        """A filled shape."""
        self.draw.polygon([self._at(*point) for point in points], fill=fill)

    def oval(self, x: float, y: float, width: float, height: float, fill: int = 255) -> None:
        """A filled ellipse around a centre."""
        left, top = self._at(x - width / 2, y + height / 2)
        right, bottom = self._at(x + width / 2, y - height / 2)
        self.draw.ellipse((left, top, right, bottom), fill=fill)

    def box(self, x: float, y: float, width: float, height: float, fill: int = 255) -> None:
        """A filled rectangle, by its lower left corner."""
        left, bottom = self._at(x, y)
        right, top = self._at(x + width, y + height)
        self.draw.rectangle((left, top, right, bottom), fill=fill)

    def line(self, *points: Point, width: float) -> None:
        """A stroke with round joints."""
        pixels = max(1, round(width * self.height))
        self.draw.line([self._at(*point) for point in points], 255, pixels, joint="curve")


def conifer(stencil: Stencil, rng: random.Random) -> None:
    """A fir: layers of branches, each a little ragged."""
    layers = 6
    left: list[Point] = []
    right: list[Point] = []
    for layer in range(layers):
        top = 1 - layer / layers * 0.92
        spread = 0.05 + 0.17 * (layer + 1) / layers
        low = top - 1.25 / layers
        left += [(-spread * 0.35, top), (-spread * rng.uniform(0.8, 1.15), low)]
        right += [(spread * 0.35, top), (spread * rng.uniform(0.8, 1.15), low)]
    stencil.polygon((0, 1.05), *right, (0.02, 0.05), (-0.02, 0.05), *reversed(left))
    stencil.box(-0.02, -0.1, 0.04, 0.25)


def cat(stencil: Stencil) -> None:
    """A cat that sits with its back to us and looks at the view."""
    stencil.oval(0, 0.27, 0.5, 0.58)
    stencil.oval(0, 0.12, 0.58, 0.28)
    stencil.polygon((-0.19, 0.4), (-0.11, 0.68), (0.11, 0.68), (0.19, 0.4))
    stencil.oval(0, 0.74, 0.34, 0.3)
    stencil.polygon((-0.165, 0.76), (-0.15, 1.0), (-0.02, 0.86))
    stencil.polygon((0.165, 0.76), (0.15, 1.0), (0.02, 0.86))
    tail = [(0.24 + 0.2 * math.sin(step / 12 * 2.9), 0.05 + 0.3 * step / 12) for step in range(13)]
    stencil.line((0.1, 0.04), *tail, width=0.075)
    stencil.oval(*tail[-1], 0.075, 0.075)


def house(stencil: Stencil) -> None:
    """A cabin with a chimney."""
    stencil.box(-0.5, -0.2, 1.0, 0.7)
    stencil.polygon((-0.64, 0.46), (0, 0.98), (0.64, 0.46))
    stencil.box(0.26, 0.55, 0.13, 0.45)


def house_lights(stencil: Stencil) -> None:
    """The cabin's windows."""
    stencil.box(-0.3, 0.16, 0.18, 0.2)
    stencil.box(0.12, 0.16, 0.18, 0.2)


def castle(stencil: Stencil) -> None:
    """Towers with pointed roofs around a keep, on a rock of their own."""
    stencil.polygon((-1.5, -0.9), (-0.62, -0.14), (-0.4, 0), (0.4, 0), (0.66, -0.2), (1.3, -0.9))
    stencil.box(-0.42, -0.2, 0.84, 0.55)
    for x, wide, high in ((-0.46, 0.16, 0.6), (0.34, 0.16, 0.55), (-0.1, 0.22, 0.78)):
        stencil.box(x, -0.2, wide, high + 0.2)
        stencil.polygon((x - 0.04, high), (x + wide / 2, high + 0.26), (x + wide + 0.04, high))
    for battlement in range(7):
        stencil.box(-0.4 + battlement * 0.12, 0.35, 0.06, 0.06)


def castle_lights(stencil: Stencil) -> None:
    """The castle's windows."""
    for x, y in (
        (-0.4, 0.45),
        (0.4, 0.4),
        (-0.01, 0.6),
        (-0.01, 0.42),
        (-0.24, 0.16),
        (0.22, 0.16),
    ):
        stencil.box(x, y, 0.035, 0.07)


def boat(stencil: Stencil) -> None:
    """A sailing boat."""
    stencil.polygon((-0.42, 0.14), (0.46, 0.14), (0.3, 0), (-0.3, 0))
    stencil.box(-0.01, 0.1, 0.02, 0.9)
    stencil.polygon((0.03, 0.18), (0.03, 0.97), (0.4, 0.18))
    stencil.polygon((-0.04, 0.22), (-0.04, 0.9), (-0.32, 0.22))


def balloon(stencil: Stencil) -> None:
    """A hot-air balloon."""
    stencil.oval(0, 0.66, 0.62, 0.66)
    stencil.polygon((-0.26, 0.5), (0.26, 0.5), (0.07, 0.2), (-0.07, 0.2))
    stencil.box(-0.06, 0, 0.12, 0.11)
    stencil.line((-0.06, 0.2), (-0.05, 0.1), width=0.012)
    stencil.line((0.06, 0.2), (0.05, 0.1), width=0.012)


def bird(stencil: Stencil, bend: float) -> None:
    """A bird far away: two strokes."""
    stencil.line((-1, 0.5 + bend), (-0.45, 0.75), (0, 0.3), (0.45, 0.75), (1, 0.5), width=0.16)
