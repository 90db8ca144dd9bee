"""Prompts without their bypassed nodes, as the canvas of ComfyUI sends them (its mode 4).

What a bypassed node fed gets what comes in at the node's matching input instead. Which input that
is depends on the types of its slots, so that the declarations of its class are needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from ._canvas_widgets import as_widget
from ._dynamic_inputs import declared_inputs
from ._errors import WorkflowError
from ._prompt import as_link, links_of, name_node
from ._slot_types import bypassed_input
from ._util import as_list, as_object, is_list

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ._util import JSONObject

Link: TypeAlias = tuple[str, int]


@attrs.frozen
class _Slots:
    """A node's slots as the canvas has them.

    Args:
        inputs: The types of its inputs by name, in the canvas's order.
        outputs: The types of its outputs.
    """

    inputs: dict[str, str]
    outputs: tuple[str, ...]


def bypass(
    prompt: JSONObject, node_ids: Collection[str], declarations: Mapping[str, Any]
) -> JSONObject:
    """Return a prompt without some nodes, with links around them where these can be.

    An input for whose source nothing can stand in is left out, as on the canvas.

    Args:
        prompt: In API format. Stays as it is, and shares its values with what is returned.
        node_ids: The nodes to bypass.
        declarations: What the server declares, by class: of the bypassed nodes and, for inputs
            that take any type, of those that they feed. See `classes_concerned`.

    Raises:
        WorkflowError: a bypassed node feeds another, and its class is not declared.
    """
    rewiring = _Rewiring(prompt, frozenset(node_ids), declarations)
    return {
        node_id: {**node, "inputs": rewiring.inputs_of(node_id)}
        for node_id, node in prompt.items()
        if node_id not in rewiring.bypassed
    }


def classes_concerned(prompt: JSONObject, node_ids: Collection[str]) -> tuple[str, ...]:
    """Return the classes of bypassed nodes and of what they feed: those that `bypass` looks up."""
    bypassed = frozenset(node_ids)
    found: dict[str, None] = {}
    for node_id, node in prompt.items():
        sources = {source for _, source, _ in links_of(node)} & bypassed
        for each in (node_id, *sources) if sources else ():
            found[prompt[each]["class_type"]] = None
    return tuple(found)


class _Rewiring:
    """One prompt being rewired. Every link is followed once, however many share the way."""

    def __init__(
        self, prompt: JSONObject, bypassed: frozenset[str], declarations: Mapping[str, Any]
    ) -> None:
        self.prompt = prompt
        self.bypassed = bypassed & prompt.keys()
        self._declarations = declarations
        self._slots: dict[str, _Slots] = {}
        self._sources: dict[tuple[Link, str], Link | None] = {}

    def inputs_of(self, node_id: str) -> JSONObject:
        """Return a node's inputs, past all bypassed nodes."""
        inputs: JSONObject = {}
        for name, value in self.prompt[node_id]["inputs"].items():
            link = as_link(value)
            if link is None or link[0] not in self.bypassed:
                inputs[name] = value
            elif source := self._source_of(link, self._target_type(node_id, name, link)):
                inputs[name] = list(source)
        return inputs

    def _target_type(self, node_id: str, name: str, link: Link) -> str:
        """Return the type that an input wants; if nobody knows, what it is given."""
        declared = self._slots_of(node_id).inputs.get(name)
        return self._output_type(link, "*") if declared is None else declared

    def _output_type(self, link: Link, unknown: str) -> str:
        outputs = self._slots_of(link[0]).outputs
        return outputs[link[1]] if 0 <= link[1] < len(outputs) else unknown

    def _source_of(self, link: Link, target_type: str) -> Link | None:
        """Follow a link through bypassed nodes to one that is not, or to nothing."""
        way: dict[tuple[Link, str], None] = {}
        found: Link | None = link
        while found is not None and found[0] in self.bypassed:
            step = (found, target_type)
            if step in self._sources:
                found = self._sources[step]
                break
            if step in way:  # in a circle: nothing comes in from anywhere
                found = None
                break
            way[step] = None
            found = self._before(found, target_type)
        self._sources.update(dict.fromkeys(way, found))
        return found

    def _before(self, link: Link, target_type: str) -> Link | None:
        """Return what comes in at the input that stands in for a bypassed node's output."""
        node_id, slot = link
        node = self.prompt[node_id]
        if node["class_type"] not in self._declarations:
            raise WorkflowError(
                f"{name_node(node_id, node)} is bypassed, but the server has no class"
                f" {node['class_type']!r}, so that nobody knows which of the node's inputs stand in"
                " for its outputs. Link what it feeds to something else",
                node_id=node_id,
            )
        slots = self._slots_of(node_id)
        types = list(slots.inputs.values())
        index = bypassed_input(types, slot, self._output_type(link, target_type), target_type)
        return None if index is None else as_link(node["inputs"].get(list(slots.inputs)[index]))

    def _slots_of(self, node_id: str) -> _Slots:
        if node_id not in self._slots:
            node = self.prompt[node_id]
            declaration = as_object(self._declarations.get(node["class_type"]))
            self._slots[node_id] = _slots(declaration, node["inputs"])
        return self._slots[node_id]


def _slots(declaration: JSONObject, given: JSONObject) -> _Slots:
    sections = {
        section: {name: spec for name, spec in as_object(inputs).items() if is_list(spec) and spec}
        for section, inputs in as_object(declaration.get("input")).items()
    }
    try:
        declared = declared_inputs(sections, given, expand=True)
    except (AttributeError, LookupError, StopIteration, TypeError, ValueError):
        declared = declared_inputs(sections, given, expand=False)  # an odd dynamic input
    sockets: dict[str, str] = {}
    widgets: dict[str, str] = {}
    for name, spec, _ in declared:
        options = as_object(spec[1]) if len(spec) > 1 else {}
        if not options.get("socketless"):
            # The canvas has the slots of widgets after all others.
            slots = sockets if as_widget(name, spec) is None else widgets
            slots[name] = _slot_type(spec[0], options)
    return _Slots(sockets | widgets, tuple(_output_types(declaration)))


def _output_types(declaration: JSONObject) -> Iterator[str]:
    for kind in as_list(declaration.get("output")):
        yield _slot_type(kind, {})


def _slot_type(kind: object, options: JSONObject) -> str:
    """Return what the canvas calls a type that `/object_info` declares."""
    if is_list(kind):
        return "COMBO"
    if kind == "COMFY_MATCHTYPE_V3":
        return str(as_object(options.get("template")).get("allowed_types", "*"))
    return str(kind)
