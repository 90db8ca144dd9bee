"""The layers of a painted landscape: sky, light, clouds, ridges, water, and what falls.

Every function takes the picture so far and gives the next one, or changes it in place where the
name says so. Per-pixel work is Pillow's; loops run over rows, columns and things.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from ._painter_palettes import mixed
from ._pixels import fade, gradient, resized, toned

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from ._painter_palettes import Color, Palette

_SMOOTHING = 2
"""Masks are drawn this many times larger and shrunk, for soft edges."""


def noise(
    size: tuple[int, int], rng: random.Random, cells: tuple[int, int], octaves: int = 4
) -> Image.Image:
    """Cloudy grey of full contrast; `cells` is the number of its largest lumps each way."""
    result = Image.new("L", size, 128)
    for octave in range(octaves):
        columns, rows = (max(2, cell << octave) for cell in cells)
        grain = Image.frombytes("L", (columns, rows), rng.randbytes(columns * rows))
        layer = resized(grain, size, "bicubic")
        result = layer if octave == 0 else Image.blend(result, layer, 0.62 / (octave + 1))
    return ImageOps.autocontrast(result)


def ridge(
    width: int, rng: random.Random, *, bumps: float, octaves: int, sharp: bool
) -> list[float]:
    """Heights from 0 to 1 along a skyline."""
    heights = [0.0] * width
    weight = 1.0
    for _ in range(octaves):
        count = max(2, math.ceil(bumps) + 1)
        knots = [rng.random() for _ in range(count + 1)]
        for x in range(width):
            place = x / width * (count - 1)
            share = (1 - math.cos(place % 1 * math.pi)) / 2
            value = knots[int(place)] * (1 - share) + knots[int(place) + 1] * share
            heights[x] += weight * (1 - abs(2 * value - 1) if sharp else value)
        bumps *= 2.1
        weight *= 0.48
    low, high = min(heights), max(heights)
    return [(height - low) / max(high - low, 1e-9) for height in heights]


def drawn_mask(
    size: tuple[int, int], draw: Callable[[ImageDraw.ImageDraw, int], None]
) -> Image.Image:
    """A mask with soft edges: `draw` is given the canvas and its scale."""
    large = Image.new("L", (size[0] * _SMOOTHING, size[1] * _SMOOTHING), 0)
    draw(ImageDraw.Draw(large), _SMOOTHING)
    return large.reduce(_SMOOTHING)


def lightened(picture: Image.Image, color: Color, mask: Image.Image) -> Image.Image:
    """`picture` with light of `color` added where `mask` is bright."""
    light = Image.composite(
        Image.new("RGB", picture.size, color), Image.new("RGB", picture.size), mask
    )
    return ImageChops.screen(picture, light)


def glow(
    picture: Image.Image,
    center: tuple[float, float],
    radius: float,
    color: Color,
    strength: float,
) -> Image.Image:
    """A halo that fades outwards."""
    across = max(2, round(radius * 2))
    halo = toned(
        Image.radial_gradient("L"),
        lambda level: 255 * strength * max(0.0, 1 - level / 181) ** 2.2,
    )
    halo = resized(halo, (across, across))
    mask = Image.new("L", picture.size, 0)
    mask.paste(halo, (round(center[0] - radius), round(center[1] - radius)))
    return lightened(picture, color, mask)


def disc(
    picture: Image.Image, center: tuple[float, float], radius: float, color: Color
) -> Image.Image:
    """The sun or the moon itself."""

    def draw(canvas: ImageDraw.ImageDraw, scale: int) -> None:
        x, y, r = center[0] * scale, center[1] * scale, radius * scale
        canvas.ellipse((x - r, y - r, x + r, y + r), fill=255)

    return Image.composite(
        Image.new("RGB", picture.size, color), picture, drawn_mask(picture.size, draw)
    )


def craters(
    picture: Image.Image, center: tuple[float, float], radius: float, rng: random.Random
) -> Image.Image:
    """The grey seas of the moon."""

    def draw(canvas: ImageDraw.ImageDraw, scale: int) -> None:
        for _ in range(7):
            turn, far = rng.uniform(0, math.tau), rng.uniform(0, 0.62) * radius
            r = radius * rng.uniform(0.08, 0.24)
            x = (center[0] + far * math.cos(turn)) * scale
            y = (center[1] + far * math.sin(turn)) * scale
            canvas.ellipse((x - r * scale, y - r * scale, x + r * scale, y + r * scale), fill=38)

    mask = drawn_mask(picture.size, draw).filter(ImageFilter.GaussianBlur(radius * 0.06))
    return Image.composite(Image.new("RGB", picture.size, (90, 96, 118)), picture, mask)


def stars(picture: Image.Image, rng: random.Random, horizon: float) -> Image.Image:
    """A starry sky, denser at the top."""
    width, height = picture.size

    def draw(canvas: ImageDraw.ImageDraw, scale: int) -> None:
        for _ in range(width * height // 900):
            x = rng.uniform(0, width)
            y = horizon * rng.random() ** 1.5
            size = rng.choice((0.5, 0.5, 0.7, 0.9, 1.3)) * max(1, height / 512) * scale
            shine = round(rng.uniform(60, 255) * (1 - y / horizon * 0.75))
            canvas.ellipse(
                (x * scale - size, y * scale - size, x * scale + size, y * scale + size),
                fill=shine,
            )

    mask = drawn_mask(picture.size, draw)
    soft = mask.filter(ImageFilter.GaussianBlur(height / 250))
    return lightened(lightened(picture, (170, 190, 255), soft), (255, 250, 240), mask)


def clouds(
    picture: Image.Image, rng: random.Random, palette: Palette, horizon: float, cover: float
) -> Image.Image:
    """Long clouds lit from below; `cover` from 0 to 1 says how many."""
    width, height = picture.size
    lumps = noise(picture.size, rng, (3, 9), 5)
    threshold = 205 - 95 * cover
    wisps = toned(lumps, lambda level: min(215, (level - threshold) * 3))
    band = Image.new("L", picture.size, 0)
    band.paste(fade((width, max(2, round(horizon))), (60, 235, 150, 0)), (0, 0))
    mask = ImageChops.multiply(wisps, band)
    bright = mixed(palette.sky[-1], palette.light, 0.6)
    shade = mixed(palette.sky[len(palette.sky) // 2], palette.haze, 0.5)
    picture = Image.composite(Image.new("RGB", picture.size, bright), picture, mask)
    # The same lumps a little higher are the clouds' dark bellies.
    belly = ImageChops.multiply(ImageChops.offset(mask, 0, -max(1, height // 90)), mask)
    dimmed = toned(belly, lambda level: level / 2)
    return Image.composite(Image.new("RGB", picture.size, shade), picture, dimmed)


def nebula(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Glowing gas across the sky."""
    for color in ((150, 40, 160), (30, 90, 190), (220, 90, 110)):
        lumps = noise(picture.size, rng, (2, 2), 5)
        gas = toned(lumps, lambda level: (level - 120) * 1.1)
        picture = lightened(picture, color, gas)
    return picture


def aurora(picture: Image.Image, rng: random.Random, horizon: float) -> Image.Image:
    """Curtains of northern light."""
    width, _ = picture.size
    for color, top in (((40, 240, 150), 0.12), ((150, 80, 230), 0.02)):
        rays = noise((width, 4), rng, (22, 1), 3)
        tall = max(4, round(horizon * 0.75))
        fringe = fade((width, tall), (0, 110, 255, 0))
        curtain = ImageChops.multiply(resized(rays, (width, tall)), fringe)
        mask = Image.new("L", picture.size, 0)
        phase, waves = rng.uniform(0, 6), rng.uniform(1.2, 2.2)
        for x in range(width):
            swing = math.sin(x / width * math.tau * waves + phase) * 0.5 + math.sin(x / 37) * 0.08
            y = round(horizon * (top + 0.12 * swing))
            mask.paste(curtain.crop((x, 0, x + 1, tall)), (x, y))
        blurred = mask.filter(ImageFilter.GaussianBlur(width / 180))
        picture = lightened(picture, color, blurred)
    return picture


def land(
    picture: Image.Image, skyline: Sequence[float], colors: tuple[Color, Color]
) -> tuple[Image.Image, Image.Image]:
    """Ground below a skyline (y by x), from its own colour into haze; and the ground's mask."""
    width, height = picture.size

    def draw(canvas: ImageDraw.ImageDraw, scale: int) -> None:
        points = [(x * scale, y * scale) for x, y in enumerate(skyline)]
        points.append((width * scale, skyline[-1] * scale))
        canvas.polygon([*points, (width * scale, height * scale), (0, height * scale)], fill=255)

    mask = drawn_mask(picture.size, draw)
    return shaded(picture, mask, round(min(skyline)), colors), mask


def shaded(
    picture: Image.Image, mask: Image.Image, top: int, colors: tuple[Color, Color]
) -> Image.Image:
    """Fill `mask` with a gradient that starts at the row `top`."""
    width, height = picture.size
    fill = Image.new("RGB", picture.size, colors[0])
    top = min(max(top, 0), height - 2)
    fill.paste(gradient((width, height - top), colors), (0, top))
    return Image.composite(fill, picture, mask)


def mist(
    picture: Image.Image, rng: random.Random, color: Color, level: float, depth: float
) -> Image.Image:
    """A bank of mist around the row `level`, `depth` pixels to either side."""
    width, height = picture.size
    top, bottom = max(0, round(level - depth)), min(height, round(level + depth))
    if bottom - top < 2:
        return picture
    lumps = toned(noise((width, bottom - top), rng, (3, 2), 3), lambda level: 80 + level * 2 / 3)
    band = ImageChops.multiply(fade((width, bottom - top), (0, 190, 0)), lumps)
    mask = Image.new("L", picture.size, 0)
    mask.paste(band, (0, top))
    return Image.composite(Image.new("RGB", picture.size, color), picture, mask)


def water(
    picture: Image.Image, rng: random.Random, palette: Palette, shore: int, light_x: float
) -> Image.Image:
    """Everything below the row `shore` becomes a mirror of what is above, with ripples."""
    width, height = picture.size
    deep = height - shore
    above = picture.crop((0, max(0, shore - round(deep * 1.6)), width, shore))
    mirror = resized(ImageOps.flip(above), (width, deep))
    tint = gradient((width, deep), (mixed(palette.haze, palette.sky[-1], 0.5), palette.land))
    mirror = Image.blend(mirror, tint, 0.34)
    result = picture.copy()
    phase = rng.uniform(0, 6)
    for row in range(deep):
        near = row / deep
        wave = math.sin(row / (1.2 + 5.5 * near) + phase) * math.sin(row / 17 + phase * 2)
        shift = round(wave * (0.6 + 9 * near) * width / 512)
        strip = mirror.crop((0, row, width, row + 1))
        result.paste(ImageChops.offset(strip, shift, 0), (0, shore + row))
    return _glitter(result, rng, palette.light, shore, light_x)


def _glitter(
    picture: Image.Image, rng: random.Random, color: Color, shore: int, light_x: float
) -> Image.Image:
    width, height = picture.size

    def draw(canvas: ImageDraw.ImageDraw, scale: int) -> None:
        for _ in range(260):
            near = rng.random() ** 1.3
            y = shore + near * (height - shore)
            x = rng.gauss(light_x, width * (0.012 + 0.075 * near))
            half = width * rng.uniform(0.002, 0.006 + 0.022 * near)
            thick = max(1, round(scale * (0.5 + 1.6 * near) * height / 512))
            shine = round(rng.uniform(50, 215) * (1 - 0.45 * near))
            canvas.line(
                ((x - half) * scale, y * scale, (x + half) * scale, y * scale), shine, thick
            )

    return lightened(picture, color, drawn_mask(picture.size, draw))


def scattered(
    picture: Image.Image,
    rng: random.Random,
    colors: Sequence[Color],
    *,
    count: int,
    biggest: float,
    flat: float = 1.0,
) -> Image.Image:
    """Flakes, petals or embers in the air: many small and far, some large and out of focus."""
    width, height = picture.size
    for depth, blur in ((0.35, 0.0), (0.6, 0.4), (1.0, 1.6)):

        def draw(canvas: ImageDraw.ImageDraw, scale: int, depth: float = depth) -> None:
            for _ in range(round(count * (1.15 - depth))):
                x, y = rng.uniform(0, width) * scale, rng.uniform(0, height) * scale
                r = biggest * depth * rng.uniform(0.4, 1) * scale * height / 512
                canvas.ellipse(
                    (x - r, y - r * flat, x + r, y + r * flat), fill=round(rng.uniform(120, 235))
                )

        mask = drawn_mask(picture.size, draw)
        if blur:
            mask = mask.filter(ImageFilter.GaussianBlur(blur * height / 512))
        layer = Image.new("RGB", picture.size, rng.choice(colors))
        picture = Image.composite(layer, picture, mask)
    return picture
