"""Nodes of classes that were not generated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import attrs

from ._errors import WorkflowError
from ._node_fields import InputField, Plain
from ._out import Out, Slot
from ._typed_node import OutputNode, take_input
from ._util import JSONObject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def _own(inputs: Mapping[str, object]) -> Mapping[str, object]:
    return dict(inputs)


@final
@attrs.frozen(eq=False, repr=False, slots=False)
class UnknownNode(OutputNode[JSONObject], Out[Any]):
    """A node of any class, its inputs by their names on the wire; nothing about it is checked.

    Its first output is the node itself; `output` gives the others.

    Args:
        class_type: What the server calls the class.
        inputs: Literal values (JSON), and outputs of other nodes.
    """

    _class: str = attrs.field(alias="class_type")
    inputs: Mapping[str, object] = attrs.field(factory=dict[str, object], converter=_own)

    def __attrs_post_init__(self) -> None:
        taken: dict[str, object] = {}
        for name, value in self.inputs.items():
            field = InputField(name, name, name, Plain(), is_optional=False)
            taken[name] = take_input(value, field, f"{self._class}.{name}")
        object.__setattr__(self, "inputs", taken)

    def __repr__(self) -> str:
        return f"UnknownNode({self._class!r}, {sorted(self.inputs)})"

    @property
    def class_type(self) -> str:
        """What the server calls the class."""
        return self._class

    def output(self, index: int) -> Out[Any]:
        """Return one of its outputs, which may be linked to any input.

        Args:
            index: From 0. Not checked.
        """
        if index < 0:
            raise WorkflowError(f"{self._class}: outputs are numbered from 0, not {index}")
        return Slot(self, index)

    def _declared_inputs(self) -> Iterator[tuple[str, object]]:
        return iter(self.inputs.items())
