"""The painter that stands in for a diffusion model: words and a seed in, a landscape out.

It knows no pictures. It composes a scene of layers from the words it understands, and from a
random generator seeded with everything it is told: the same brief gives the same picture.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import attrs
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from . import _painter_figures as figures
from . import _painter_layers as layers
from ._painter_palettes import mixed, read_prompt
from ._pixels import gradient, resized, toned

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import ImageDraw


_SMALLEST_CANVAS: Final = 256
_LARGEST_CANVAS: Final = 1024
"""Longest side of what is painted; other sizes are scaled from it."""


@attrs.frozen
class Brief:
    """What to paint.

    Args:
        text: The positive prompt.
        negative: What not to paint.
        seed: Any integer.
        size: Width and height in pixels.
        cfg: How strong the colours are; 8 is plain.
        steps: Few leave the picture soft.
        style: Anything else that makes it a different picture: the sampler, the checkpoint.
    """

    text: str
    negative: str = ""
    seed: int = 0
    size: tuple[int, int] = (512, 512)
    cfg: float = 8.0
    steps: int = 20
    style: str = ""


def paint(brief: Brief) -> Image.Image:
    """Paint it, in mode RGB and exactly of the size asked for."""
    longest = max(brief.size)
    scale = min(max(longest, _SMALLEST_CANVAS), _LARGEST_CANVAS) / longest
    canvas = (max(8, round(brief.size[0] * scale)), max(8, round(brief.size[1] * scale)))
    picture = _Scene(brief, canvas).painted()
    return picture if picture.size == brief.size else resized(picture, brief.size, "lanczos")


class _Scene:
    def __init__(self, brief: Brief, size: tuple[int, int]) -> None:
        self.brief = brief
        self.width, self.height = size
        words = random.Random(f"{brief.text}\0{brief.negative}\0{brief.style}")
        self.rng = random.Random(f"{brief.seed}\0{words.random()}")
        self.palette, self.features = read_prompt(brief.text, brief.negative, words)
        self.horizon = self.height * self.rng.uniform(0.56, 0.66)
        self.is_dark = sum(self.palette.sky[0]) < 160
        self.light_at = self._place_light()

    def _place_light(self) -> tuple[float, float]:
        x = self.width * self.rng.choice((self.rng.uniform(0.2, 0.42), self.rng.uniform(0.58, 0.8)))
        high = (
            self.rng.uniform(0.2, 0.42) if "moon" in self.features else self.rng.uniform(0.5, 0.85)
        )
        return x, self.horizon * high

    def painted(self) -> Image.Image:
        picture = self._sky()
        picture = self._distance(picture)
        if "water" in self.features:
            shore = round(self.horizon + self.height * 0.05)
            picture = layers.water(picture, self.rng, self.palette, shore, self.light_at[0])
            if "boat" in self.features:
                spot = (self.width * self.rng.uniform(0.3, 0.7), shore + self.height * 0.1)
                picture = self._silhouette(picture, figures.boat, spot, 0.2, reflected=True)
        picture = self._foreground(picture)
        picture = self._air(picture)
        return self._finished(picture)

    def _sky(self) -> Image.Image:
        rng, palette, size = self.rng, self.palette, (self.width, self.height)
        picture = Image.new("RGB", size, palette.sky[-1])
        picture.paste(gradient((self.width, round(self.horizon) + 2), palette.sky), (0, 0))
        if "nebula" in self.features:
            picture = layers.nebula(picture, rng)
        if "stars" in self.features:
            picture = layers.stars(picture, rng, self.horizon)
        if "aurora" in self.features:
            picture = layers.aurora(picture, rng, self.horizon)
        short = min(size)
        is_moon = "moon" in self.features
        radius = short * (rng.uniform(0.055, 0.085) if is_moon else rng.uniform(0.045, 0.08))
        picture = layers.glow(picture, self.light_at, short * 0.75, palette.light, 0.42)
        picture = layers.glow(picture, self.light_at, radius * 3.4, palette.light, 0.75)
        picture = layers.disc(
            picture, self.light_at, radius, mixed(palette.light, (255, 255, 255), 0.4)
        )
        if is_moon:
            picture = layers.craters(picture, self.light_at, radius, rng)
        cover = rng.uniform(0.1, 0.35) if self.is_dark else rng.uniform(0.35, 0.9)
        return layers.clouds(picture, rng, palette, self.horizon, cover)

    def _distance(self, picture: Image.Image) -> Image.Image:
        """Mountains or dunes, fading with distance, and a city if there is one."""
        dunes = "dunes" in self.features
        count = self.rng.choice((3, 4))
        for index in range(count):
            near = index / count
            profile = layers.ridge(
                self.width,
                self.rng,
                bumps=self.rng.uniform(2.0, 3.6) + (0 if dunes else index),
                octaves=2 if dunes else 6,
                sharp=not dunes and index < 2,
            )
            rise = self.height * (0.30 - 0.16 * near) * (0.5 if dunes else 1.0)
            base = self.horizon + self.height * 0.05 * index
            skyline = [base - rise * h for h in profile]
            color = mixed(self.palette.haze, self.palette.land, 0.16 + 0.5 * near)
            foot = mixed(self.palette.haze, color, 0.25)
            picture, _ = layers.land(picture, skyline, (color, foot))
            depth = self.height * (0.1 if "mist" in self.features else 0.05)
            picture = layers.mist(picture, self.rng, self.palette.haze, base, depth)
        if "city" in self.features:
            for near in (0.35, 0.6, 0.85):
                picture = self._city(picture, near)
        if "castle" in self.features:
            spot = (self.width * self.rng.uniform(0.35, 0.65), self.horizon + self.height * 0.03)
            picture = self._silhouette(
                picture, figures.castle, spot, 0.3, figures.castle_lights, 0.6
            )
        return picture

    def _city(self, picture: Image.Image, near: float) -> Image.Image:
        rng, width, height = self.rng, self.width, self.height
        ground = self.horizon + height * 0.09 * near
        towers: list[tuple[float, float, float]] = []
        x = -width * 0.02
        while x < width:
            wide = width * rng.uniform(0.035, 0.085)
            towers.append((x, wide, height * rng.uniform(0.08, 0.4) * (0.55 + 0.45 * near)))
            x += wide * rng.uniform(0.75, 1.1)

        def walls(canvas: ImageDraw.ImageDraw, scale: int) -> None:
            for left, wide, tall in towers:
                box = (left, ground - tall, left + wide, height)
                canvas.rectangle([edge * scale for edge in box], fill=255)
                mast = (left + wide / 2, ground - tall * 1.12, left + wide / 2, ground - tall)
                canvas.line([edge * scale for edge in mast], fill=255, width=scale)

        def windows(canvas: ImageDraw.ImageDraw, scale: int) -> None:
            cell = max(2.0, height / 110)
            for left, wide, tall in towers:
                for column in range(1, int(wide / cell)):
                    for row in range(1, int(tall / cell / 1.4)):
                        if rng.random() < 0.24:
                            wx, wy = left + column * cell, ground - tall + row * cell * 1.4
                            box = (wx, wy, wx + cell * 0.5, wy + cell * 0.75)
                            shine = round(rng.uniform(90, 255) * (0.35 + 0.65 * near))
                            canvas.rectangle([edge * scale for edge in box], fill=shine)

        color = mixed(self.palette.haze, self.palette.land, 0.3 + 0.65 * near)
        mask = layers.drawn_mask(picture.size, walls)
        foot = mixed(self.palette.haze, color, 0.45)
        picture = layers.shaded(picture, mask, round(ground - height * 0.3), (color, foot))
        lit = layers.drawn_mask(picture.size, windows)
        picture = layers.lightened(picture, self.palette.light, lit)
        return layers.lightened(
            picture, self.palette.sky[-2], lit.filter(ImageFilter.GaussianBlur(height / 90))
        )

    def _foreground(self, picture: Image.Image) -> Image.Image:
        rng = self.rng
        nearest = 1 if self.features & {"water", "city"} else 2
        skyline: list[float] = []
        for index in range(nearest):
            near = (index + 1) / nearest
            profile = layers.ridge(self.width, rng, bumps=1.6 + index, octaves=4, sharp=False)
            base = self.height * (0.86 + 0.1 * near)
            skyline = [base - self.height * 0.13 * h for h in profile]
            color = mixed(self.palette.haze, self.palette.land, 0.72 + 0.28 * near)
            foot = mixed(color, self.palette.land, 0.7)
            treeless = self.features & {"water", "city", "dunes"}
            if "trees" in self.features or (not treeless and rng.random() < 0.45):
                picture = self._trees(picture, skyline, color, near)
            picture, _ = layers.land(picture, skyline, (color, foot))
            if index + 1 < nearest:
                picture = layers.mist(picture, rng, self.palette.haze, base, self.height * 0.06)
        return self._inhabitants(picture, skyline)

    def _trees(
        self, picture: Image.Image, skyline: list[float], color: tuple[int, int, int], near: float
    ) -> Image.Image:
        rng = self.rng

        def draw(canvas: ImageDraw.ImageDraw, scale: int) -> None:
            for _ in range(round(46 - 22 * near)):
                # Thick towards the sides, so that the middle stays open to the view.
                side = rng.choice((rng.betavariate(1, 2.6), 1 - rng.betavariate(1, 2.6)))
                x = min(self.width - 1, int(side * self.width))
                tall = self.height * rng.uniform(0.07, 0.15) * (0.7 + 0.9 * near)
                feet = (x * scale, (skyline[x] + tall * 0.06) * scale)
                figures.conifer(figures.Stencil(canvas, feet, tall * scale), rng)

        mask = layers.drawn_mask(picture.size, draw)
        top = round(min(skyline) - self.height * 0.15)
        return layers.shaded(picture, mask, top, (color, mixed(color, self.palette.haze, 0.2)))

    def _inhabitants(self, picture: Image.Image, skyline: list[float]) -> Image.Image:
        if "house" in self.features:
            spot = self._hilltop(skyline, 0.16, 0.36)
            picture = self._silhouette(picture, figures.house, spot, 0.15, figures.house_lights)
        if "cat" in self.features:
            spot = self._hilltop(skyline, 0.46, 0.72)
            picture = self._silhouette(picture, figures.cat, spot, 0.26)
        return picture

    def _hilltop(self, skyline: list[float], start: float, end: float) -> tuple[float, float]:
        """The highest ground between two shares of the width, and a little into it."""
        x = min(range(int(start * self.width), int(end * self.width)), key=skyline.__getitem__)
        return x, skyline[x] + self.height * 0.015

    def _silhouette(
        self,
        picture: Image.Image,
        figure: Callable[[figures.Stencil], None],
        feet: tuple[float, float],
        tall: float,
        lights: Callable[[figures.Stencil], None] | None = None,
        near: float = 1.0,
        *,
        reflected: bool = False,
    ) -> Image.Image:
        size = tall * min(self.width, self.height)

        def drawn(shape: Callable[[figures.Stencil], None]) -> Image.Image:
            def draw(canvas: ImageDraw.ImageDraw, scale: int) -> None:
                at = (feet[0] * scale, feet[1] * scale)
                shape(figures.Stencil(canvas, at, size * scale))

            return layers.drawn_mask(picture.size, draw)

        color = mixed(self.palette.haze, mixed(self.palette.land, (0, 0, 0), 0.45), near)
        fill = Image.new("RGB", picture.size, color)
        mask = drawn(figure)
        if reflected:
            mirrored = Image.new("L", picture.size, 0)
            mirrored.paste(ImageOps.flip(mask), (0, round(2 * feet[1]) - self.height))
            mirrored = mirrored.filter(ImageFilter.GaussianBlur(self.height / 200))
            faint = toned(mirrored, lambda level: level * 0.4)
            picture = Image.composite(fill, picture, faint)
        picture = Image.composite(fill, picture, mask)
        if lights is not None:
            mask = drawn(lights)
            soft = mask.filter(ImageFilter.GaussianBlur(self.height / 60))
            picture = layers.lightened(picture, (255, 170, 70), soft)
            picture = Image.composite(
                Image.new("RGB", picture.size, (255, 214, 130)), picture, mask
            )
        return picture

    def _air(self, picture: Image.Image) -> Image.Image:
        """What is between us and the land: birds, snow, petals, embers."""
        rng = self.rng
        if "birds" in self.features or (not self.is_dark and rng.random() < 0.5):
            picture = self._birds(picture)
        if "balloon" in self.features:
            away = self.width - self.light_at[0]
            spot = (away + self.width * rng.uniform(-0.06, 0.06), self.horizon * 0.68)
            picture = self._silhouette(picture, figures.balloon, spot, 0.22, near=0.8)
        if "snow" in self.features:
            picture = layers.scattered(picture, rng, [(250, 252, 255)], count=150, biggest=4.2)
        if "petals" in self.features:
            tones = [mixed(self.palette.haze, (255, 120, 120), 0.35), self.palette.sky[-1]]
            picture = layers.scattered(picture, rng, tones, count=60, biggest=5.5, flat=0.6)
        if "embers" in self.features:
            tones = [(255, 170, 60), (255, 110, 30)]
            picture = layers.scattered(picture, rng, tones, count=110, biggest=2.6)
        return picture

    def _birds(self, picture: Image.Image) -> Image.Image:
        rng, width = self.rng, self.width
        flock = (width * rng.uniform(0.25, 0.75), self.horizon * rng.uniform(0.3, 0.6))

        def draw(canvas: ImageDraw.ImageDraw, scale: int) -> None:
            for _ in range(rng.randint(4, 9)):
                x, y = rng.gauss(flock[0], width * 0.08), rng.gauss(flock[1], self.height * 0.035)
                tall = width * rng.uniform(0.007, 0.014)
                stencil = figures.Stencil(canvas, (x * scale, y * scale), tall * scale)
                figures.bird(stencil, rng.uniform(-0.4, 0.4))

        mask = layers.drawn_mask(picture.size, draw)
        fill = Image.new("RGB", picture.size, mixed(self.palette.haze, self.palette.land, 0.75))
        return Image.composite(fill, picture, mask)

    def _finished(self, picture: Image.Image) -> Image.Image:
        size = picture.size
        strength = min(self.brief.cfg, 30.0) / 8.0 - 1
        picture = ImageEnhance.Color(picture).enhance(max(0.2, 1.08 + 0.22 * strength))
        picture = ImageEnhance.Contrast(picture).enhance(max(0.5, 1.04 + 0.08 * strength))
        corners = toned(Image.radial_gradient("L"), lambda level: (level - 120) * 0.75)
        vignette = resized(corners, size)
        dark = mixed(self.palette.land, (0, 0, 0), 0.6)
        picture = Image.composite(Image.new("RGB", size, dark), picture, vignette)
        softness = max(0, 8 - self.brief.steps) / 3
        if softness:
            picture = picture.filter(ImageFilter.GaussianBlur(softness * self.height / 512))
        grain = Image.frombytes("L", size, self.rng.randbytes(size[0] * size[1])).convert("RGB")
        return Image.blend(picture, grain, 0.025)
