"""Operations on Pillow pictures that nodes and the painter share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PIL import Image, ImageOps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._painter_palettes import Color

RESAMPLING: Final = {
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""Upscale methods by the names that nodes give them."""


def resized(
    frame: Image.Image, size: tuple[int, int], method: str = "bilinear", *, crop: bool = False
) -> Image.Image:
    """`frame` at another size.

    Args:
        frame: The picture.
        size: Width and height to reach.
        method: A key of `RESAMPLING`.
        crop: Keep the proportions and cut off what is too much, equally on both sides.
    """
    if crop:
        return ImageOps.fit(frame, size, RESAMPLING[method])
    # Pillow's own annotation names a numpy type, which is not installed here.
    return frame.resize(size, RESAMPLING[method])  # pyright: ignore[reportUnknownMemberType]


def shrunk(frame: Image.Image, longest: int) -> Image.Image:
    """`frame` with no side longer than `longest` pixels, in its proportions."""
    scale = longest / max(frame.size)
    if scale >= 1:
        return frame
    width, height = frame.size
    return resized(frame, (max(1, round(width * scale)), max(1, round(height * scale))))


def gradient(size: tuple[int, int], colors: Sequence[Color]) -> Image.Image:
    """Bands of `colors` from the top to the bottom, melting into each other."""
    column = Image.new("RGB", (1, len(colors)))
    for row, color in enumerate(colors):
        column.putpixel((0, row), color)
    # Through an intermediate size: bicubic over a few pixels stretched very far shows its steps.
    smooth = resized(column, (1, max(2, size[1])), "bilinear")
    return resized(smooth, size, "bilinear")


def fade(size: tuple[int, int], levels: Sequence[int]) -> Image.Image:
    """As `gradient`, in mode L: how strong something is from the top to the bottom."""
    return gradient(size, [(level, level, level) for level in levels]).convert("L")


def toned(mask: Image.Image, curve: Callable[[int], float]) -> Image.Image:
    """`mask` with each level replaced by what `curve` makes of it, kept within 0 and 255."""
    table = [min(255, max(0, round(curve(level)))) for level in range(256)]
    # As above: the annotation names a numpy type.
    return mask.point(table)  # pyright: ignore[reportUnknownMemberType]
