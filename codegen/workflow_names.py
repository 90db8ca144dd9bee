"""Keys for the inputs and outputs of one workflow: short, readable, and all different.

A key is the input's name if only one node has such an input. Where several do, something tells them
apart: the title that a person gave the node, what the canvas calls it, or the input that takes what
it gives (as of two texts one is ``positive_text``); and in the end the node's id.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .identifiers import allocate, keyword_name, output_name, slug

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from .declarations import NodeDeclaration
    from .workflow_inputs import Place, SettableInput

_LONGEST = 24
"""Titles may be whole sentences: of those only the first words count."""


_IN_BODY = frozenset({"dict", "str"})
"""Names that mean something where the keys of outputs are attributes."""


def name_inputs(
    inputs: Sequence[SettableInput],
    classes: Mapping[str, NodeDeclaration],
    taken: AbstractSet[str],
) -> dict[str, SettableInput]:
    """Return the inputs by their keys, in their order.

    Args:
        inputs: All that are to have keys.
        classes: By class type.
        taken: What no key may be.
    """

    def wanted(each: SettableInput) -> list[str]:
        name = keyword_name(each.name)
        words = _words_for(each.place, classes)
        return [name, *(f"{word}_{name}" for word in words), f"{name}_{slug(each.place.node_id)}"]

    keys = _choose({each.path: wanted(each) for each in inputs}, taken)
    return {keys[each.path]: each for each in inputs}


def name_outputs(
    outputs: Sequence[Place], classes: Mapping[str, NodeDeclaration]
) -> dict[str, Place]:
    """Return the output nodes by their keys, in their order."""

    def wanted(place: Place) -> list[str]:
        words = [_short(place.title)] if place.title else []
        return [*words, usual := _usual_name(place, classes), f"{usual}_{slug(place.node_id)}"]

    keys = _choose({place.node_id: wanted(place) for place in outputs}, _IN_BODY)
    return {keys[place.node_id]: place for place in outputs}


def _words_for(place: Place, classes: Mapping[str, NodeDeclaration]) -> list[str]:
    words = [_short(place.title)] if place.title else []
    taker = [output_name(place.takers[0], 0)] if len(place.takers) == 1 else []
    return [*words, _usual_name(place, classes), *taker]


def _usual_name(place: Place, classes: Mapping[str, NodeDeclaration]) -> str:
    declaration = classes.get(place.class_type)
    return _short((declaration.display_name if declaration else "") or place.class_type)


def _short(text: str) -> str:
    name = output_name(text, 0)
    if len(name) <= _LONGEST:
        return name
    return name[: _LONGEST + 1].rpartition("_")[0].rstrip("_") or name[:_LONGEST]


def _choose(wanted: Mapping[str, Sequence[str]], taken: AbstractSet[str]) -> dict[str, str]:
    """Give each thing the first of the names it wants that no other thing wants as much.

    Args:
        wanted: By what the things are called, whatever their order.
        taken: Names that are not to be had.
    """
    given: dict[str, str] = {}
    used = set(taken)
    left = dict(wanted)
    for level in range(max(map(len, left.values()), default=0)):
        names = {each: names[level] for each, names in left.items() if level < len(names)}
        counts = Counter(names.values())
        chosen = {
            each: name for each, name in names.items() if counts[name] == 1 and name not in used
        }
        given |= chosen
        used.update(names.values())
        left = {each: names for each, names in left.items() if each not in given}
    return given | allocate({each: names[-1] for each, names in left.items()}, used)
