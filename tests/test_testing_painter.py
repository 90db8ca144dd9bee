from __future__ import annotations

import random

import pytest
from PIL import Image, ImageStat

from comfy_trio.testing._painter import Brief, paint
from comfy_trio.testing._painter_palettes import (
    DAY,
    FOREST,
    NIGHT,
    THEMES,
    read_prompt,
    words_of,
)
from comfy_trio.testing._pixels import fade, gradient, shrunk, toned

SMALL = (96, 64)


def brightness(picture: Image.Image) -> float:
    return ImageStat.Stat(picture.convert("L")).mean[0]


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.words.split()[0])
def test_every_theme_can_be_painted(theme: object) -> None:
    for word in getattr(theme, "words", "").split()[:2]:
        for seed in range(2):
            picture = paint(Brief(f"a {word}", seed=seed, size=SMALL))
            assert picture.mode == "RGB"
            # A picture, not a plain: it has darks and lights.
            low, high = ImageStat.Stat(picture.convert("L")).extrema[0]
            assert high - low > 60


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (8, 600), (1200, 16), (1100, 700)])
def test_every_size_is_met(size: tuple[int, int]) -> None:
    assert paint(Brief("a castle by the sea", size=size)).size == size


def test_same_brief_same_picture() -> None:
    brief = Brief("a cat in the forest", seed=2**64 - 1, size=SMALL)
    assert paint(brief).tobytes() == paint(brief).tobytes()


def test_words_decide_the_light() -> None:
    night = paint(Brief("a starry night", size=SMALL))
    snow = paint(Brief("a snowy morning", size=SMALL))
    assert brightness(night) < brightness(snow) - 40


def test_unwanted_words_are_heeded() -> None:
    rng = random.Random(0)
    _, features = read_prompt("a cat in a forest", "cats", rng)
    assert features == {"trees"}


def test_plurals_count_and_letters_of_all_scripts_are_words() -> None:
    assert words_of("Two FORESTS, été!") == ("two", "forests", "été")
    _, features = read_prompt("forests", "", random.Random(0))
    assert "trees" in features


def test_unknown_words_still_get_a_palette() -> None:
    palette, features = read_prompt("qwerty", "", random.Random(0))
    assert features == frozenset()
    assert palette.sky


def test_palettes_mix() -> None:
    assert DAY.blended(NIGHT, 0.0) == DAY
    assert DAY.blended(NIGHT, 1.0).land == NIGHT.land
    assert len(FOREST.shifted(0.5).sky) == len(FOREST.sky)


def test_gradient_runs_from_top_to_bottom() -> None:
    picture = gradient((3, 100), [(0, 0, 0), (255, 0, 0)])
    top, bottom = picture.getpixel((1, 0)), picture.getpixel((1, 99))
    assert (top, bottom) == ((0, 0, 0), (255, 0, 0))
    assert fade((1, 10), [9, 9]).getextrema() == (9, 9)


def test_shrunk_never_enlarges() -> None:
    picture = Image.new("RGB", (100, 50))
    assert shrunk(picture, 512) is picture
    assert shrunk(picture, 10).size == (10, 5)
    assert shrunk(picture, 1).size == (1, 1)


def test_toned_stays_in_range() -> None:
    assert toned(Image.new("L", (1, 1), 7), lambda _: 999).getpixel((0, 0)) == 255
    assert toned(Image.new("L", (1, 1), 7), lambda _: -5).getpixel((0, 0)) == 0
