"""What the words of a prompt mean to the painter: colours, weather, and things to put in."""

from __future__ import annotations

import colorsys
import re
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

if TYPE_CHECKING:
    import random
    from collections.abc import Collection

Color: TypeAlias = tuple[int, int, int]


def mixed(one: Color, other: Color, share: float) -> Color:
    """`one` with a `share` (0 to 1) of `other`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


@attrs.frozen
class Palette:
    """The light of a scene.

    Args:
        sky: From the zenith down to the horizon.
        haze: What distance fades into.
        land: The nearest ground.
        light: The sun or the moon.
    """

    sky: tuple[Color, ...]
    haze: Color
    land: Color
    light: Color

    def shifted(self, turn: float) -> Palette:
        """The same with all hues turned by a part of the colour circle."""
        return Palette(
            tuple(_turned(color, turn) for color in self.sky),
            _turned(self.haze, turn),
            _turned(self.land, turn),
            _turned(self.light, turn),
        )

    def blended(self, other: Palette, share: float) -> Palette:
        """Half-way, or any `share` of the way, to another one."""
        count = max(len(self.sky), len(other.sky))
        mine, theirs = _stretched(self.sky, count), _stretched(other.sky, count)
        sky = (mixed(a, b, share) for a, b in zip(mine, theirs, strict=True))
        return Palette(
            tuple(sky),
            mixed(self.haze, other.haze, share),
            mixed(self.land, other.land, share),
            mixed(self.light, other.light, share),
        )


@attrs.frozen
class Theme:
    """Words that belong together, and what they call for.

    Args:
        words: Any of them, or its plural, calls for it.
        palette: None for themes that only add things.
        features: Names of things the painter can do: ``stars``, ``water``, ``cat``, …
    """

    words: str
    palette: Palette | None = None
    features: str = ""


DAY: Final = Palette(
    ((62, 122, 190), (120, 174, 219), (196, 222, 232), (250, 236, 214)),
    (206, 220, 226),
    (30, 60, 58),
    (255, 246, 214),
)
SUNSET: Final = Palette(
    ((52, 38, 92), (128, 62, 122), (224, 106, 98), (252, 172, 98), (255, 222, 150)),
    (240, 164, 128),
    (38, 22, 48),
    (255, 232, 176),
)
DAWN: Final = Palette(
    ((98, 120, 178), (170, 160, 200), (240, 188, 190), (255, 222, 190)),
    (234, 206, 206),
    (52, 56, 86),
    (255, 242, 216),
)
NIGHT: Final = Palette(
    ((6, 10, 32), (14, 26, 64), (32, 56, 104), (78, 104, 146)),
    (66, 88, 130),
    (6, 10, 22),
    (238, 240, 226),
)
FOREST: Final = Palette(
    ((132, 168, 168), (176, 202, 190), (220, 230, 208), (242, 240, 214)),
    (198, 216, 200),
    (14, 40, 34),
    (255, 250, 220),
)
SEA: Final = Palette(
    ((24, 84, 140), (58, 140, 182), (138, 204, 214), (232, 236, 214)),
    (160, 206, 212),
    (10, 46, 66),
    (255, 248, 218),
)
DESERT: Final = Palette(
    ((70, 120, 168), (158, 178, 186), (236, 206, 160), (250, 224, 178)),
    (236, 196, 150),
    (120, 56, 34),
    (255, 244, 208),
)
WINTER: Final = Palette(
    ((104, 136, 178), (158, 184, 212), (212, 222, 234), (244, 236, 236)),
    (226, 232, 242),
    (70, 92, 124),
    (255, 252, 240),
)
SPRING: Final = Palette(
    ((134, 176, 216), (196, 204, 230), (246, 208, 220), (255, 228, 224)),
    (246, 212, 220),
    (92, 54, 88),
    (255, 246, 232),
)
AUTUMN: Final = Palette(
    ((98, 128, 156), (188, 180, 164), (240, 198, 134), (252, 216, 156)),
    (238, 186, 126),
    (84, 32, 20),
    (255, 238, 190),
)
NEON: Final = Palette(
    ((12, 6, 38), (52, 14, 88), (142, 26, 128), (244, 74, 146), (255, 152, 134)),
    (150, 44, 140),
    (10, 6, 28),
    (255, 190, 128),
)
STORM: Final = Palette(
    ((38, 44, 56), (70, 78, 92), (120, 126, 132), (176, 174, 164)),
    (126, 132, 138),
    (18, 22, 28),
    (226, 222, 204),
)
FIRE: Final = Palette(
    ((24, 8, 14), (84, 18, 18), (178, 46, 20), (246, 120, 32), (255, 196, 84)),
    (190, 72, 34),
    (14, 4, 6),
    (255, 224, 140),
)

THEMES: Final = (
    Theme("night midnight dark moon moonlit moonlight star starry", NIGHT, "stars moon"),
    Theme("space galaxy cosmic nebula universe planet astronaut", NIGHT, "stars nebula moon"),
    Theme("aurora northern borealis", NIGHT, "stars aurora"),
    Theme("sunset dusk evening twilight golden orange warm", SUNSET),
    Theme("dawn sunrise morning pastel dreamy", DAWN, "mist"),
    Theme("forest wood tree pine jungle green", FOREST, "trees"),
    Theme("mist misty fog foggy haze hazy", FOREST, "mist"),
    Theme("sea ocean beach wave island coast blue", SEA, "water"),
    Theme("lake river water pond reflection bottle glass", None, "water"),
    Theme("desert sand dune mars canyon", DESERT, "dunes"),
    Theme("snow snowy winter ice icy frozen christmas cold", WINTER, "snow"),
    Theme("spring flower cherry blossom sakura pink rose garden", SPRING, "petals"),
    Theme("autumn fall leaf leaves october brown", AUTUMN, "petals"),
    Theme("city cyberpunk neon skyline street tokyo futuristic", NEON, "city water"),
    Theme("purple violet synthwave retro vaporwave", NEON),
    Theme("storm stormy rain rainy thunder grey gray gloomy", STORM, "mist"),
    Theme("fire lava volcano flame dragon hell red", FIRE, "embers"),
    Theme("cat kitten kitty feline", None, "cat"),
    Theme("house cabin cottage home hut village", None, "house"),
    Theme("castle tower palace fortress kingdom", None, "castle"),
    Theme("boat ship sail sailing", None, "boat water"),
    Theme("balloon flying adventure", None, "balloon"),
    Theme("bird birds crow gull", None, "birds"),
)

_WITHOUT_WORDS: Final = (DAY, SUNSET, DAWN, FOREST, SEA, AUTUMN)


def words_of(text: str) -> tuple[str, ...]:
    """The words of a prompt, in lower case."""
    return tuple(re.findall(r"[^\W\d_]+", text.lower()))


def _called_for(theme: Theme, words: Collection[str]) -> bool:
    return any(word in words or f"{word}s" in words for word in theme.words.split())


def read_prompt(text: str, negative: str, rng: random.Random) -> tuple[Palette, frozenset[str]]:
    """The palette and the features that a prompt calls for.

    A theme named in the negative prompt is left out. Without any word it knows, the palette is
    one of a few that always look well.
    """
    words, unwanted = words_of(text), words_of(negative)
    wanted = [
        each for each in THEMES if _called_for(each, words) and not _called_for(each, unwanted)
    ]
    palettes = [theme.palette for theme in wanted if theme.palette is not None]
    features = {feature for theme in wanted for feature in theme.features.split()}
    if not palettes:
        palettes = [rng.choice(_WITHOUT_WORDS)]
    palette = palettes[0]
    for other in palettes[1:]:
        palette = palette.blended(other, 0.4)
    return palette.shifted(rng.uniform(-0.025, 0.025)), frozenset(features)


def _turned(color: Color, turn: float) -> Color:
    hue, light, saturation = colorsys.rgb_to_hls(*(part / 255 for part in color))
    red, green, blue = colorsys.hls_to_rgb((hue + turn) % 1, light, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def _stretched(colors: tuple[Color, ...], count: int) -> tuple[Color, ...]:
    """`colors` as `count` of them, evenly spaced along the same gradient."""
    last = len(colors) - 1
    places = (last * index / max(1, count - 1) for index in range(count))
    return tuple(
        mixed(colors[int(place)], colors[min(int(place) + 1, last)], place % 1) for place in places
    )
