"""Links between nodes as typed values, and the types that every server has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeGuard, TypeVar, final

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._typed_node import Node

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

JSON: TypeAlias = "str | int | float | bool | Mapping[str, JSON] | Sequence[JSON] | None"
"""What may be given as a literal value where a node does not say what it takes."""


class Out(Generic[T_co]):
    """An output of a node, to be passed as an input of other nodes.

    `T_co` is a marker class of what it gives, such as ``IMAGE``. It is covariant: an output of
    ``Out[IMAGE]`` fits an input of ``Out[IMAGE | MASK]``. A node with one output is an `Out`
    itself; one with several has an attribute for each.
    """


def is_out(value: object) -> TypeGuard[Out[Any]]:
    """Tell whether a value is an output of a node."""
    return isinstance(value, Out)


@final
@attrs.frozen(repr=False)
class Slot(Out[T_co]):
    """One of several outputs of a node.

    Args:
        node: Whose.
        index: Which, from 0.
    """

    node: Node
    index: int

    def __repr__(self) -> str:
        return f"{type(self.node).__qualname__}[{self.index}]"


class INT:
    """Whole numbers."""


class FLOAT:
    """Numbers."""


class STRING:
    """Text."""


class BOOLEAN:
    """Yes or no."""


class COMBO:
    """One of some options, whichever these are."""


class Options(COMBO, Generic[T]):
    """One of just the options `T`, a `typing.Literal`.

    Nodes that declare their options in the old way, as a list, take links only from an output that
    declares the very same list (execution.py of ComfyUI, ``validate_node_input``).
    """
