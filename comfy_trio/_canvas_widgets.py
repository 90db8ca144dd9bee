"""What the widgets of a node on a canvas hold, by the names of the inputs that they set.

A canvas file has the values of a node's widgets as a bare list, so their names follow from the
node's declaration: its inputs in order, those without a widget left out, with widgets of the
frontend's own in between, which set no input (ComfyUI_frontend, ``widgets.ts``,
``litegraphService.ts``, ``dynamicWidgets.ts``).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

from ._canvas_alignment import align, fits, is_control
from ._prompt import SEED_INPUTS
from ._util import as_list, as_object, is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ._canvas import CanvasNode
    from ._util import JSONObject

WIDGET_TYPES: Final = frozenset(
    {
        *("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3", "COLOR"),
        *("BOUNDING_BOX", "BOUNDING_BOXES", "COLORS", "CURVE", "RANGE", "CHART", "GALLERIA"),
        *("MARKDOWN", "TEXTAREA", "PAINTER", "COMPOSITOR", "VIDEO_EDIT", "RESOLUTION_PREVIEW"),
        *("IMAGECOMPARE", "LOAD_3D", "LOAD_3D_ANIMATION", "WEBCAM", "AUDIO_RECORD"),
    }
)
"""The types of inputs that the frontend has a widget for."""

BUTTONS_OF_LOAD_3D: Final = ("upload3dmodel", "uploadExtraResources", "clear")


@attrs.frozen
class Widget:
    """A widget that sets an input.

    Args:
        name: The input's.
        type: The input's, or the one that the widget is to be of.
        options: As the declaration has them, with a list of choices under "options".
    """

    name: str
    type: str
    options: JSONObject

    @property
    def default(self) -> object:
        """What the widget holds until somebody sets it."""
        if "default" in self.options:
            return self.options["default"]
        match self.type:
            case "COMBO":
                return next(iter(as_list(self.options.get("options"))), None)
            case "COMFY_DYNAMICCOMBO_V3":
                return next((key for key, _ in self._choices()), None)
            case "INT" | "FLOAT":
                return self.options.get("min", 0) if self._is_above_zero() else 0
            case "BOOLEAN":
                return False
            case "COLOR":
                return "#000000"
            case "IMAGECOMPARE":
                return ["", ""]
            case _:
                return ""

    def meaning(self, value: object) -> object:
        """Return the value that a held one stands for.

        Switches were choices once, of what are labels now (Impact Pack: "enabled", "disabled").
        What a comparison holds is only what the last run showed.
        """
        if self.type == "IMAGECOMPARE":
            return self.default
        if self.type == "BOOLEAN" and self.is_label(value):
            return value == self.options.get("label_on")
        return value

    def is_label(self, value: object) -> bool:
        """Tell whether a value is what one of the two positions of a switch is called."""
        labels = (self.options.get("label_on"), self.options.get("label_off"))
        return isinstance(value, str) and value in labels

    def children(self, value: object) -> list[Widget]:
        """Return the widgets that come with a choice; only a dynamic combo has any."""
        for key, inputs in self._choices():
            if key == value:
                return [
                    attrs.evolve(widget, name=f"{self.name}.{widget.name}")
                    for widget in _widgets_of(declared_inputs({"input": inputs}))
                ]
        return []

    def _choices(self) -> Iterator[tuple[object, JSONObject]]:
        if self.type == "COMFY_DYNAMICCOMBO_V3":
            for option in map(as_object, as_list(self.options.get("options"))):
                yield option.get("key"), as_object(option.get("inputs"))

    def _is_above_zero(self) -> bool:
        lowest = self.options.get("min")
        return isinstance(lowest, int | float) and lowest > 0


def _widgets_of(inputs: Mapping[str, object]) -> list[Widget]:
    found = (as_widget(name, spec) for name, spec in inputs.items())
    return [widget for widget in found if widget is not None]


def slots_of_widgets(declaration: JSONObject) -> list[Widget]:
    """Return the widgets of a class whose inputs have a slot, too."""
    widgets = _widgets_of(declared_inputs(declaration))
    return [widget for widget in widgets if not widget.options.get("socketless")]


def as_widget(name: str, spec: object, *, forced: bool = False) -> Widget | None:
    """Return the widget of a declared input; None for an input without one.

    Args:
        name: The input's name.
        spec: Its declaration, ``[type, options]``.
        forced: Whether to return one also for an input that is declared to have only a slot.
    """
    kind = next(iter(as_list(spec)), None)
    options = as_object(next(iter(as_list(spec)[1:]), None))
    if is_list(kind):
        kind, options = "COMBO", {**options, "options": kind}
    kind = options.get("widgetType", kind)
    if not isinstance(kind, str) or kind not in WIDGET_TYPES:
        return None
    if options.get("forceInput") and not forced:
        return None
    return Widget(name, kind, options)


@attrs.frozen
class Held:
    """What the widgets of a node hold.

    Args:
        values: By the names of the inputs that they set.
        misfits: The inputs whose values cannot be theirs: the class has changed since.
        is_realigned: Whether values were moved to where they fit, for the same reason.
    """

    values: dict[str, object]
    misfits: tuple[str, ...] = ()
    is_realigned: bool = False


def read_widgets(node: CanvasNode, declaration: JSONObject) -> Held:
    """Return what a node's widgets set its inputs to.

    Where the file ends before the widgets do, they hold their defaults.

    Args:
        node: The node.
        declaration: Its class's entry in `/object_info`.
    """
    inputs = declared_inputs(declaration)
    widgets = _widgets_of(inputs)
    held = node.values
    if is_object(held):
        return Held(_read_named(widgets, held))
    values = _without_forced(as_list(held), inputs, widgets)
    reader = _Reader(values)
    found = reader.read(widgets)
    if node.type == "CustomCombo":
        return Held(found | _custom_choices(reader.rest()))
    misfits = tuple(
        widget.name
        for widget in reader.seen
        if widget.name in found and not fits(widget, found[widget.name])
    )
    has_dynamic = len(reader.seen) > len(widgets)
    if not misfits or has_dynamic:
        return Held(found, misfits)
    moved = align(widgets, [_has_control(widget) for widget in widgets], values)
    return Held(_meant(widgets, moved), is_realigned=True)


def _meant(widgets: list[Widget], held: Mapping[str, object]) -> dict[str, object]:
    """Return what widgets say: what they hold, or their defaults, where they have one."""
    said = {
        widget.name: widget.meaning(held.get(widget.name, widget.default)) for widget in widgets
    }
    return {name: value for name, value in said.items() if name in held or value is not None}


def declared_inputs(declaration: JSONObject) -> dict[str, object]:
    """Return the inputs of a class, required ones first, in the order that the server gives."""
    order = as_object(declaration.get("input_order"))
    sections = as_object(declaration.get("input"))
    inputs: dict[str, object] = {}
    for section in ("required", "optional"):
        declared = as_object(sections.get(section))
        first = [name for name in map(str, as_list(order.get(section))) if name in declared]
        for name in [*first, *declared]:
            inputs.setdefault(name, declared[name])
    return inputs


def _without_forced(
    values: list[object], inputs: Mapping[str, object], widgets: list[Widget]
) -> list[object]:
    """Leave out what inputs held that have become mere slots since the file was written."""
    names = {widget.name for widget in widgets}
    row: list[bool] = []
    for name, spec in inputs.items():
        widget = as_widget(name, spec, forced=True)
        if widget is not None:
            is_forced = name not in names
            row += [is_forced, False] if _has_control(widget) else [is_forced]
    if not any(row) or len(row) != len(values):
        return values
    return [value for value, is_forced in zip(values, row, strict=True) if not is_forced]


def _has_control(widget: Widget) -> bool:
    asked = bool(widget.options.get("control_after_generate"))
    return asked or (widget.type == "INT" and widget.name in SEED_INPUTS)


def _read_named(widgets: list[Widget], named: JSONObject) -> dict[str, object]:
    values: dict[str, object] = {}
    pending = deque(widgets)
    while pending:
        widget = pending.popleft()
        values |= _meant([widget], named)
        pending.extendleft(reversed(widget.children(values.get(widget.name))))
    return values


class _Reader:
    """Reads a list of values, widget by widget."""

    def __init__(self, values: list[object]) -> None:
        self._values = deque(values)
        self.seen: list[Widget] = []
        """The widgets that were read, those that came with a choice included."""

    def rest(self) -> list[object]:
        return list(self._values)

    def read(self, widgets: list[Widget]) -> dict[str, object]:
        values: dict[str, object] = {}
        pending = deque(widgets)
        while pending:
            widget = pending.popleft()
            if widget.type == "LOAD_3D":
                self._skip_any_of(*BUTTONS_OF_LOAD_3D)
            held = {widget.name: self._values.popleft()} if self._values else {}
            values |= _meant([widget], held)
            self.seen.append(widget)
            pending.extendleft(reversed(widget.children(values.get(widget.name))))
            if _has_control(widget):
                self._skip_control(widget, pending)
        return values

    def _skip_control(self, widget: Widget, following: deque[Widget]) -> None:
        """Skip what is to happen to a value after each run, and the filter of a choice."""
        if not self._values or not _controls(self._values[0], following):
            return
        self._values.popleft()
        if widget.type == "COMBO" and len(self._values) > len(following):
            self._skip_any_of("")

    def _skip_any_of(self, *words: str) -> None:
        for word in words:
            if self._values and self._values[0] == word:
                self._values.popleft()


def _controls(value: object, following: deque[Widget]) -> bool:
    """Tell whether a value is of the widget that controls a seed; once it was just on or off."""
    if isinstance(value, bool) or value is None:
        return not following or following[0].type != "BOOLEAN"
    return is_control(value)


def _custom_choices(values: list[object]) -> dict[str, object]:
    """Return what a CustomCombo sends beside its choice: its index, and all the choices."""
    if not values:
        return {}
    index, *options = values
    return {"index": index} | {f"option{number}": text for number, text in enumerate(options, 1)}
