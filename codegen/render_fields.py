"""Inputs as fields of classes: type, default, range, and what to tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .declarations import Autogrow, Combo, DynamicCombo, DynamicSlot, Flag, Number, Socket, Text
from .imports import ATTRS, TYPING
from .layout import (
    INDENT,
    LINE_LENGTH,
    Bracket,
    Keyword,
    assignment,
    call,
    docstring,
    flat,
    literal,
    number,
    option,
    quote,
    union,
    width,
)
from .numbers import SEEDS
from .render_types import input_type

if TYPE_CHECKING:
    from comfy_trio.graph import JSON

    from .declarations import Input, Kind
    from .layout import Doc
    from .named import NamedInput
    from .render_types import Scope

_NOTHING = "()"
_ENDS = frozenset(".!?:;\u2026\u3002\uff01\uff1f")
_LARGEST_TOLD = 2**53
"""Limits of floats beyond this mean that there is none."""


def render_field(scope: Scope, named: NamedInput, *, indent: int) -> str:
    """Return the source of a field, with its docstring if there is something to tell."""
    declared = named.input
    annotation = input_type(scope, declared.name, declared.kind, named.nested)
    default = _default(declared)
    if default is None and not _must_be_given(declared):
        default = "None"
        annotation = union([annotation, "None"])
    validator = _range(declared.kind, scope)
    metadata = _metadata(scope, named)
    options: list[Doc] = []
    if isinstance(default, Bracket) and default.opening != "(":
        scope.graph("JSON")
        cast = scope.imports.add(TYPING, "cast", running=True)
        options.append(Keyword("factory=lambda: ", call(cast, quote("JSON"), default)))
    elif default is not None:
        options.append(Keyword("default=", default))
    if validator is not None:
        options.append(Keyword("validator=", validator))
    if metadata is not None:
        options.append(Keyword("metadata=", metadata))
    if named.attribute != named.keyword:
        options.append(Keyword("alias=", quote(named.keyword)))
    value: Doc | None = default
    if options and (options != [Keyword("default=", default or "")] or _is_wide(default, indent)):
        value = call(scope.imports.add(ATTRS, "field", running=True), *options)
    return _with_text(
        assignment(named.attribute, annotation, value, indent=indent), tell(declared), indent
    )


def render_slot(scope: Scope, input_name: str, slot: Kind, *, indent: int) -> str:
    """Return the source of the field for what is given to a dynamic slot itself."""
    return " " * indent + assignment("slot", input_type(scope, input_name, slot), indent=indent)


def _with_text(source: str, text: str, indent: int) -> str:
    margin = " " * indent
    if not text:
        return margin + source
    return f"{margin}{source}\n{margin}{docstring(text, indent=indent)}"


def _is_wide(default: Doc | None, indent: int) -> bool:
    """Tell whether a default has no room on a line of its own: in a call nothing moves it."""
    return isinstance(default, str) and indent + INDENT + width(default) > LINE_LENGTH


def _must_be_given(declared: Input) -> bool:
    if isinstance(declared.kind, Autogrow):
        return True  # the server wants its first inputs, in whatever section it is declared
    return declared.required and not isinstance(declared.kind, DynamicSlot)


# --- defaults -------------------------------------------------------------------------------------


def _default(declared: Input) -> Doc | None:
    """Return what an input is if nobody gives it; None if somebody has to, or there is nothing."""
    match declared.kind:
        case Number(type=type_, default=int() | float() as value):
            return number(value, floating=type_ == "FLOAT")
        case Text(default=str() as value) | Flag(default=bool() as value):
            return literal(value)
        case Combo(has_default=True, default=value):
            return _tuple(value) if isinstance(value, tuple) else option(value)
        case Socket(has_default=True, default=value):
            return _json(value)
        case Autogrow(minimum=0):
            return _NOTHING
        case _:
            return None


def _tuple(values: tuple[str | int | bool | None, ...]) -> Doc:
    items = tuple(item for value in values if (item := option(value)) is not None)
    return f"({flat(items[0])},)" if len(items) == 1 else Bracket("(", items)


def _json(value: JSON) -> Doc:
    if isinstance(value, str) or value is None or isinstance(value, int | float):
        return literal(value) or "None"
    if isinstance(value, dict):
        return Bracket(
            "{", tuple(Keyword(f"{quote(key)}: ", _json(item)) for key, item in value.items())
        )
    items = tuple(_json(item) for item in value)
    return Bracket("[", items) if items else _NOTHING


# --- ranges and names -----------------------------------------------------------------------------


def _range(kind: Kind, scope: Scope) -> Doc | None:
    if isinstance(kind, Autogrow):
        kind = kind.item
    if not isinstance(kind, Number):
        return None
    floating = kind.type == "FLOAT"
    minimum, maximum = (
        None if limit is None else number(limit, floating=floating)
        for limit in (kind.minimum, kind.maximum)
    )
    if minimum is None and maximum is None:
        return None
    within = scope.graph("within", running=True)
    if minimum is not None and maximum is not None:
        return call(within, minimum, maximum)
    if minimum is not None:
        return call(within, Keyword("min=", minimum))
    return call(within, Keyword("max=", maximum or ""))


def _metadata(scope: Scope, named: NamedInput) -> Doc | None:
    """Return what the runtime must know to send an input, where its type does not tell."""
    name = named.input.name
    kind = named.input.kind
    renamed = [] if named.keyword == name else [Keyword("name=", quote(name))]
    match kind:
        case Autogrow():
            return call(scope.graph("autogrow", running=True), *_autogrow_options(kind), *renamed)
        case DynamicCombo() | DynamicSlot() if named.nested:
            classes = [choice.class_name for choice in named.nested]
            return call(scope.graph("dynamic", running=True), *classes, *renamed)
        case _:
            return call(scope.graph("wire", running=True), quote(name)) if renamed else None


def _autogrow_options(kind: Autogrow) -> list[Doc]:
    options: list[Doc] = []
    if kind.names:
        names = Bracket("(", tuple(quote(name) for name in kind.names))
        single = len(kind.names) == 1
        options.append(Keyword("names=", f"({quote(kind.names[0])},)" if single else names))
    else:
        options.append(Keyword("prefix=", quote(kind.prefix or "")))
    if kind.minimum:
        options.append(Keyword("min=", number(kind.minimum)))
    if kind.maximum is not None:
        options.append(Keyword("max=", number(kind.maximum)))
    return options


# --- words ----------------------------------------------------------------------------------------


def sentence(text: str) -> str:
    """Return a text with a full stop, unless it has an end."""
    text = text.strip()
    return f"{text}." if text and text[-1] not in _ENDS else text


def tell(declared: Input) -> str:
    """Return what there is to tell of an input: what it is for, and its range."""
    notes: list[str] = []
    match declared.kind:
        case Number():
            notes.append(_range_in_words(declared.kind))
            if declared.kind.type == "INT" and declared.name in SEEDS:
                notes.append("-1 draws one for each run.")
        case Combo(numbers=numbers) if numbers:
            notes.append(f"One of {', '.join(map(repr, numbers))}.")
        case Autogrow(minimum=minimum, maximum=maximum) if maximum is not None:
            notes.append(f"{minimum} to {maximum} of them.")
        case Autogrow(minimum=minimum) if minimum:
            notes.append(f"At least {minimum} of them.")
        case _:
            pass
    told = " ".join(note for note in notes if note)
    tooltip = sentence(declared.tooltip)
    if "\n" in tooltip and told:
        return f"{tooltip}\n\n{told}"
    return f"{tooltip} {told}".strip()


def _range_in_words(kind: Number) -> str:
    minimum, maximum, step = (
        None
        if value is None or (kind.type == "FLOAT" and abs(value) >= _LARGEST_TOLD)
        else repr(float(value) if kind.type == "FLOAT" else int(value))
        for value in (kind.minimum, kind.maximum, kind.step)
    )
    if kind.type == "INT" and step == "1":
        step = None
    if minimum is not None and maximum is not None:
        limits = f"{minimum} to {maximum}"
    elif minimum is not None:
        limits = f"At least {minimum}"
    elif maximum is not None:
        limits = f"At most {maximum}"
    else:
        return f"In steps of {step}." if step is not None else ""
    return f"{limits} in steps of {step}." if step is not None else f"{limits}."
