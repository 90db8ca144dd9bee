"""Seeds of -1, which mean: another random one for each run.

A server takes no -1 (KSampler's seed begins at 0), so the client draws the number, within the range
that the node's class declares in `/object_info`, and tells which it drew.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, TypeAlias

import attrs

from ._prompt import SEED_INPUTS
from ._util import as_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._util import JSONObject

FALLBACK_MAX = 2**32 - 1
"""The largest seed drawn for a node whose range nobody knows; every generator takes it."""


@attrs.frozen
class SeedRange:
    """The seeds that a node takes, both ends included."""

    min: int = 0
    max: int = FALLBACK_MAX


Draw: TypeAlias = "Callable[[SeedRange], int]"


def draw_seed(limits: SeedRange) -> int:
    """Draw a seed, each of the range as likely as any other."""
    return limits.min + secrets.randbelow(limits.max - limits.min + 1)


def wants_seeds(prompt: JSONObject) -> dict[str, tuple[str, ...]]:
    """Return the inputs to fill in, by node id."""
    wanted: dict[str, tuple[str, ...]] = {}
    for node_id, node in prompt.items():
        names = tuple(name for name in SEED_INPUTS if _is_auto(node["inputs"].get(name)))
        if names:
            wanted[node_id] = names
    return wanted


def _is_auto(value: object) -> bool:
    return value == -1 and not isinstance(value, bool)


def seed_range(declaration: JSONObject, names: tuple[str, ...]) -> SeedRange:
    """Return the range that a class declares for all of the inputs `names`.

    Args:
        declaration: The class's entry in `/object_info`. May be odd or empty.
        names: The inputs that are to get the same seed.
    """
    low, high = 0, 2**64 - 1
    known = False
    for section in as_object(declaration.get("input")).values():
        for name in names:
            match as_object(section).get(name):
                case [_, {"max": int() | float() as maximum, **options}]:
                    # JSON that went through JavaScript has 2**64 - 1 as a float, rounded up; and
                    # some classes declare infinities, which are no integers.
                    high = int(max(-1, min(high, maximum)))
                    minimum = options.get("min")
                    minimum = minimum if isinstance(minimum, int | float) else 0
                    low = int(min(2**64, max(low, minimum)))
                    known = True
                case _:
                    pass
    return SeedRange(low, high) if known and low <= high else SeedRange()


def fill_seeds(
    prompt: JSONObject, ranges: Mapping[str, SeedRange], draw: Draw = draw_seed
) -> dict[str, int]:
    """Put a seed in the place of each -1, in `prompt` itself.

    Args:
        prompt: Will be changed.
        ranges: What each node takes; see `seed_range`. Nodes that are missing get the fallback.
        draw: Draws one seed.

    Returns:
        The seeds drawn, by node id.
    """
    drawn: dict[str, int] = {}
    for node_id, names in wants_seeds(prompt).items():
        seed = drawn[node_id] = draw(ranges.get(node_id, SeedRange()))
        for name in names:
            prompt[node_id]["inputs"][name] = seed
    return drawn
