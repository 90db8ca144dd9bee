"""Inputs as `/object_info` declares them: ``{"required": {name: [type, settings]}, ...}``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeGuard

import attrs

from comfy_trio._file_choices import are_files
from comfy_trio._prompt import is_link_to_servers

from .declarations import (
    Autogrow,
    Choice,
    Combo,
    DynamicCombo,
    DynamicSlot,
    Flag,
    Input,
    MatchType,
    Number,
    Socket,
    Text,
)
from .numbers import parse_number
from .values import as_list, as_object, as_text, is_list, is_object, is_plain, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .declarations import Kind, Option

    Settings = Mapping[str, object]

ANYTHING: Final = ("*",)
MATCHTYPE: Final = "COMFY_MATCHTYPE_V3"
AUTOGROW: Final = "COMFY_AUTOGROW_V3"
DYNAMIC_COMBO: Final = "COMFY_DYNAMICCOMBO_V3"
DYNAMIC_SLOT: Final = "COMFY_DYNAMICSLOT_V3"

# What core's own canvas has widgets for that make values of other types than the four plain ones.
WIDGETS: Final = frozenset(
    {
        *("AUDIO_RECORD", "BOUNDING_BOX", "BOUNDING_BOXES", "COLOR", "COLORS", "CURVE"),
        *("HISTOGRAM", "IMAGECOMPARE", "LOAD_3D", "LOAD_3D_ANIMATION", "RANGE", "WEBCAM"),
    }
)
PLAIN: Final[Mapping[str, tuple[type, ...]]] = {
    "INT": (int,),
    "FLOAT": (int, float),
    "STRING": (str,),
    "BOOLEAN": (bool,),
}

# Core's own go three deep; a declaration that nests deeper is taken for one without end.
_MAX_DEPTH = 8
_LARGEST_LITERAL = 2**63 - 1
"""Mypy takes no ``Literal`` beyond it."""


@attrs.frozen
class Place:
    """Where in a node's declaration the parser is, and what it noticed so far.

    Args:
        oddities: Is added to.
        path: The input, with those that it is part of.
        depth: How many of them.
    """

    oddities: list[str]
    path: str = ""
    depth: int = 0

    def inside(self, name: str) -> Place:
        """Return the place of an input at this place."""
        path = f"{self.path}.{name}" if self.path else name
        return attrs.evolve(self, path=path, depth=self.depth + 1)

    def note(self, oddity: str) -> None:
        """Tell what makes no sense here."""
        self.oddities.append(f"input {quote(self.path)}: {oddity}" if self.depth else oddity)

    def loose(self, oddity: str) -> Socket:
        """Tell what makes no sense here, and return what takes anything."""
        self.note(f"{oddity}; it takes anything")
        return Socket(ANYTHING)


def parse_inputs(declared: object, order: object, place: Place) -> tuple[Input, ...]:
    """Return the inputs of a node, or of a part of one: the required ones first.

    Args:
        declared: By section. Hidden inputs are the server's own business and left out.
        order: The names by section, as far as the server says.
        place: Where the node or its part is.
    """
    if declared is not None and not is_object(declared):
        place.note(f"the inputs are no object: {quote(declared)}")
    inputs: dict[str, Input] = {}
    for section in ("required", "optional"):
        specs = as_object(declared).get(section)
        if specs is not None and not is_object(specs):
            place.note(f"the {section} inputs are no object: {quote(specs)}")
        specs = as_object(specs)
        first = (name for name in as_list(as_object(order).get(section)) if isinstance(name, str))
        for name in dict.fromkeys((*(name for name in first if name in specs), *specs)):
            if name in inputs:
                place.inside(name).note("both required and optional; it is taken as required")
                continue
            inputs[name] = _parse_input(
                name, specs[name], place.inside(name), required=section == "required"
            )
    return tuple(inputs.values())


def _parse_input(name: str, spec: object, place: Place, *, required: bool) -> Input:
    settings = as_object(spec[1] if is_list(spec) and len(spec) > 1 else None)
    kind = parse_kind(name, spec, place)
    return Input(name, kind, required=required, tooltip=as_text(settings.get("tooltip")))


def parse_kind(name: str, spec: object, place: Place) -> Kind:
    """Return what an input is.

    Args:
        name: Of the input.
        spec: ``[type]`` or ``[type, settings]``.
        place: Where the input is.
    """
    if isinstance(spec, str):
        place.note(f"the type {quote(spec)} is in no list")
        spec = [spec]
    if not is_list(spec) or not spec:
        return place.loose(f"no declaration: {quote(spec)}")
    type_, declared = spec[0], spec[1] if len(spec) > 1 else None
    if declared is not None and not is_object(declared):
        place.note(f"the settings are no object: {quote(declared)}")
    settings = as_object(declared)
    if is_list(type_):
        return _parse_combo(name, type_, settings, place, legacy=True)
    if type_ == "COMBO":
        return _parse_combo(name, settings.get("options"), settings, place, legacy=False)
    if not isinstance(type_, str) or type_ not in _PARSERS:
        return _parse_socket(type_, settings, place)
    if place.depth > _MAX_DEPTH and type_ in _NESTING:
        return place.loose("inputs within inputs without end")
    return _PARSERS[type_](name, settings, place)


def _parse_integer(name: str, settings: Settings, place: Place) -> Number:
    return parse_number(name, "INT", settings, place.note)


def _parse_float(name: str, settings: Settings, place: Place) -> Number:
    return parse_number(name, "FLOAT", settings, place.note)


def _parse_text(_name: str, settings: Settings, place: Place) -> Text:
    default = settings.get("default")
    if isinstance(default, int | float):
        default = str(default)  # as the server does with what it is given
    elif default is not None and not isinstance(default, str):
        place.note(f"the default is no string: {quote(default)}")
        default = None
    return Text(default, multiline=settings.get("multiline") is True)


def _parse_flag(_name: str, settings: Settings, place: Place) -> Flag:
    match settings.get("default"):
        case bool() | None as default:
            return Flag(default)
        case 0 | 1 as default:
            return Flag(bool(default))
        case default:
            place.note(f"the default is no boolean: {quote(default)}")
            return Flag()


def unique(options: Sequence[object]) -> tuple[Option, ...] | None:
    """Return the options without repetitions, or None if checkers have no ``Literal`` of some."""
    found: dict[tuple[type, Option], Option] = {}
    for option in options:
        if isinstance(option, int):
            if abs(option) > _LARGEST_LITERAL:
                return None
        elif option is not None and not isinstance(option, str):
            return None
        found[type(option), option] = option
    return tuple(found.values())


def _is_option(value: object, options: Sequence[Option], settings: Settings) -> bool:
    if settings.get("remote") and not options:
        # The canvas fetches the options, so that nobody knows them yet: any string may be one.
        return isinstance(value, str)
    return any(type(value) is type(option) and value == option for option in options)


def _parse_combo(
    name: str, declared: object, settings: Settings, place: Place, *, legacy: bool
) -> Combo:
    if declared is not None and not is_list(declared):
        place.note(f"the options are no list: {quote(declared)}")
        return Combo(legacy=legacy, loose=True)
    options = unique(as_list(declared))
    if options is None:
        return _parse_odd_combo(as_list(declared), settings, place, legacy=legacy)
    multiselect = not legacy and settings.get("multiselect") is True
    combo = Combo(
        options,
        multiselect=multiselect,
        legacy=legacy,
        files=are_files(name, options, settings),
    )
    default = settings.get("default")
    if default is None:
        return combo
    defaults = unique(as_list(default) if multiselect else (default,))
    if defaults is None or (multiselect and not is_list(default)):
        place.note(f"the default is of another type than the options: {quote(default)}")
    elif not all(_is_option(each, options, settings) for each in defaults):
        place.note(f"the default is none of the options: {quote(default)}")
    else:
        return attrs.evolve(
            combo, default=defaults if multiselect else defaults[0], has_default=True
        )
    return combo


def _is_number(value: object) -> TypeGuard[float]:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _parse_odd_combo(
    options: Sequence[object], settings: Settings, place: Place, *, legacy: bool
) -> Combo:
    """Return a choice among options of which checkers have no ``Literal``."""
    numbers = [each for each in options if _is_number(each)]
    if len(numbers) == len(options) and settings.get("multiselect") is not True:
        combo = Combo(legacy=legacy, numbers=tuple(dict.fromkeys(numbers)))
    else:
        place.note("checkers have no literals of some options")
        combo = Combo(legacy=legacy, loose=True)
    default = settings.get("default")
    # As the server compares them: 1 is among 0.5 and 1.0.
    if (isinstance(default, str | bool) or _is_number(default)) and default in options:
        return attrs.evolve(combo, default=default, has_default=True)
    if default is not None:
        place.note(f"the default is none of the options: {quote(default)}")
    return combo


def parse_types(declared: str) -> tuple[str, ...]:
    """Return the types of a union, or the one; empty if there is none."""
    names = [name.strip() for name in declared.split(",")]
    return ANYTHING if "*" in names else tuple(dict.fromkeys(name for name in names if name))


def is_dynamic(type_: str) -> bool:
    """Tell whether a type is one of those that only the server can make something of."""
    return type_.startswith("COMFY_") and type_.endswith("_V3")


def _parse_socket(type_: object, settings: Settings, place: Place) -> Socket:
    types = parse_types(as_text(type_))
    if not types:
        return place.loose(f"no type: {quote(type_)}")
    if any(map(is_dynamic, types)):
        return place.loose(f"an unknown kind of input: {quote(type_)}")
    widget = settings.get("widgetType")
    literal = (
        settings.get("socketless") is True
        or (isinstance(widget, str) and widget not in PLAIN)
        or not WIDGETS.isdisjoint(types)
    )
    default = settings.get("default")
    # With forceInput there is no widget, so what it would begin with is never sent.
    if default is None or settings.get("forceInput") is True:
        return Socket(types, literal=literal)
    if not is_plain(default, depth=_MAX_DEPTH) or is_link_to_servers(default):
        place.note(f"the default cannot be sent: {quote(default)}")
        return Socket(types, literal=literal)
    fits = any(type(default) in PLAIN.get(each, ()) for each in types)
    return Socket(types, literal=literal or not fits, default=default, has_default=True)


def _parse_match_type(_name: str, settings: Settings, place: Place) -> Kind:
    template = as_object(settings.get("template"))
    match template.get("template_id"):
        case str() as name:
            types = parse_types(as_text(template.get("allowed_types")))
            return MatchType(name, () if types == ANYTHING else types)
        case _:
            return place.loose("a match type without a template")


def _parse_autogrow(_name: str, settings: Settings, place: Place) -> Kind:
    template = as_object(settings.get("template"))
    sections = as_object(template.get("input")).items()
    item = next(
        (
            (section, name, spec)
            for section, specs in sections
            for name, spec in as_object(specs).items()
        ),
        None,
    )
    if item is None:
        return place.loose("an autogrow of nothing")
    section, name, spec = item
    kind = parse_kind(name, spec, place.inside(name))
    if isinstance(kind, Autogrow | DynamicCombo | DynamicSlot):
        kind = place.loose("an autogrow of inputs that are dynamic themselves")
    # The server, too, looks for names first, and takes a minimum only for required ones.
    minimum = _count(template.get("min")) if section == "required" else 0
    if "names" in template:
        names = tuple(dict.fromkeys(as_text(each) for each in as_list(template["names"])))
        if not names or not all(names):
            return place.loose(f"an autogrow with odd names: {quote(template['names'])}")
        return Autogrow(kind, names=names, minimum=min(minimum, len(names)))
    prefix = template.get("prefix")
    if not isinstance(prefix, str):
        return place.loose("an autogrow without names and without a prefix")
    maximum = _count(template.get("max"))
    return Autogrow(
        kind,
        prefix=prefix,
        minimum=minimum,
        maximum=maximum if maximum >= max(minimum, 1) else None,
    )


def _count(value: object) -> int:
    return max(value, 0) if isinstance(value, int) else 0


def _parse_dynamic_combo(_name: str, settings: Settings, place: Place) -> Kind:
    choices: dict[str, Choice] = {}
    for option in as_list(settings.get("options")):
        key = as_object(option).get("key")
        if not isinstance(key, str):
            place.note(f"a choice without a key: {quote(option)}")
        elif key in choices:
            place.note(f"two choices with one key: {quote(key)}")
        else:
            choices[key] = Choice(key, parse_inputs(as_object(option).get("inputs"), None, place))
    if not choices:
        return place.loose("a dynamic combo without choices")
    return DynamicCombo(tuple(choices.values()))


def _parse_dynamic_slot(name: str, settings: Settings, place: Place) -> Kind:
    slot = settings.get("slotType")
    if isinstance(slot, str) and is_dynamic(slot):
        return place.loose(f"a dynamic slot of what is dynamic itself: {quote(slot)}")
    kind = parse_kind(name, [slot, {"forceInput": True}], place)
    return DynamicSlot(kind, parse_inputs(settings.get("inputs"), None, place))


_PARSERS: Final[Mapping[str, Callable[[str, Settings, Place], Kind]]] = {
    "INT": _parse_integer,
    "FLOAT": _parse_float,
    "STRING": _parse_text,
    "BOOLEAN": _parse_flag,
    MATCHTYPE: _parse_match_type,
    AUTOGROW: _parse_autogrow,
    DYNAMIC_COMBO: _parse_dynamic_combo,
    DYNAMIC_SLOT: _parse_dynamic_slot,
}
_NESTING: Final = frozenset({AUTOGROW, DYNAMIC_COMBO, DYNAMIC_SLOT})
