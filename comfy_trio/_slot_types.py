"""Which outputs fit which inputs, as the canvas of ComfyUI sees it.

A type is a name, several with commas between them, or ``*`` for any. The rules are those of the
frontend's LiteGraph (``isValidConnection``) and of its bypassed nodes (``ExecutableNodeDTO.ts``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ANY_TYPES = frozenset({"", "*", "0"})


def types_connect(output: str, target: str) -> bool:
    """Tell whether an output of one type may be linked to an input of another."""
    if output in ANY_TYPES or target in ANY_TYPES:
        return True
    return not _names(output).isdisjoint(_names(target))


def bypassed_input(
    input_types: Sequence[str], slot: int, output_type: str, target_type: str
) -> int | None:
    """Return the input that stands in for an output of a bypassed node.

    Args:
        input_types: The types of the node's inputs, in order.
        slot: Which output.
        output_type: Its type.
        target_type: The type of the input that the output feeds.

    Returns:
        The index of the input; None if none fits.
    """
    if not input_types:
        return None
    if target_type in ANY_TYPES:
        return slot if 0 <= slot < len(input_types) else 0

    def fits(index: int) -> bool:
        offered = input_types[index]
        return types_connect(offered, output_type) and types_connect(offered, target_type)

    if 0 <= slot < len(input_types) and fits(slot):
        return slot
    if target_type in input_types:
        return input_types.index(target_type)
    return next((index for index in range(len(input_types)) if fits(index)), None)


def _names(types: str) -> frozenset[str]:
    return frozenset(name.strip() for name in types.lower().split(","))
