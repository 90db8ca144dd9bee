"""Which of a list of values belongs to which widget, when the list was written for other widgets.

A canvas file has values without names. If a node's class has got an input, or lost one, since the
file was saved, reading them in order gives texts to numbers. The browser does that; here, values
are moved to where they fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._util import as_list, is_list

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._canvas_widgets import Widget

CONTROLS: Final = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})
"""What the widget after a seed may say of the next run."""

COST_OF_GUESS: Final = 1
"""Of a choice that is not among the options: a file that another server has, or no choice."""
COST_OF_GAP: Final = 2
"""Of a widget without a value, or a value without a widget."""
NEVER: Final = 10**9


def is_control(value: object) -> bool:
    """Tell whether a value is of the widget after a seed."""
    return isinstance(value, str) and value in CONTROLS


def fits(widget: Widget, value: object) -> bool:
    """Tell whether a value may be one of a widget's."""
    return value is None or _cost(widget, value) < NEVER


def align(
    widgets: Sequence[Widget], controlled: Sequence[bool], values: Sequence[object]
) -> Mapping[str, object]:
    """Give values to widgets, both in order, so that as many as possible fit.

    Args:
        widgets: The widgets.
        controlled: Which of them are followed by one that says what to do with the value later.
        values: The values.

    Returns:
        The values that have a widget, by its name.
    """
    # The least cost of the values from one place on, for the widgets from one place on.
    ends = [COST_OF_GAP * (len(values) - place) for place in range(len(values) + 1)]
    costs = [ends]
    for widget, has_control in zip(reversed(widgets), reversed(controlled), strict=True):
        costs.append(_row(widget, values, costs[-1], has_control=has_control))
    costs.reverse()
    found: dict[str, object] = {}
    place = 0
    for number, widget in enumerate(widgets):
        following = costs[number + 1]
        while (
            place < len(values) and costs[number][place] == COST_OF_GAP + costs[number][place + 1]
        ):
            place += 1  # a value without a widget
        if costs[number][place] == COST_OF_GAP + following[place]:
            continue
        found[widget.name] = values[place]
        place = _next(place + 1, values, following, has_control=controlled[number])
    return found


def _row(
    widget: Widget, values: Sequence[object], following: list[int], *, has_control: bool
) -> list[int]:
    """Return the costs from one widget on, for each place among the values."""
    row = [0] * (len(values) + 1)
    row[-1] = COST_OF_GAP + following[-1]
    for place in reversed(range(len(values))):
        then = following[_next(place + 1, values, following, has_control=has_control)]
        row[place] = min(
            _cost(widget, values[place]) + then,
            COST_OF_GAP + following[place],
            COST_OF_GAP + row[place + 1],
        )
    return row


def _next(place: int, values: Sequence[object], following: list[int], *, has_control: bool) -> int:
    """Return where the next widget's value may be, after what controls the last one."""
    if has_control and place < len(values) and is_control(values[place]):
        return min(place, place + 1, key=lambda start: (following[start], -start))
    return place


def _cost(widget: Widget, value: object) -> int:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match widget.type:
        case "INT":
            is_whole = is_number and not (isinstance(value, float) and not value.is_integer())
            return 0 if is_whole else NEVER
        case "FLOAT":
            return 0 if is_number else NEVER
        case "STRING":
            return 0 if isinstance(value, str) else NEVER
        case "BOOLEAN":
            return 0 if isinstance(value, bool) or widget.is_label(value) else NEVER
        case "COMBO":
            options = as_list(widget.options.get("options"))
            if value in options or (is_list(value) and widget.options.get("multiselect")):
                return 0
            is_alike = any(type(option) is type(value) for option in options or [""])
            return COST_OF_GUESS if is_alike else NEVER
        case _:
            return 0
