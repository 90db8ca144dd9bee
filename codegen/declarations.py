"""What a server declares of its nodes, as `/object_info` tells it: parsed, and nothing decided.

A declaration is as typed as the server's JSON allows; what makes no sense in it has become looser
(see `parse`), so that whoever reads these values need not doubt them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

if TYPE_CHECKING:
    from comfy_trio.graph import JSON

Option: TypeAlias = "str | int | bool | None"


@attrs.frozen
class Number:
    """``INT`` or ``FLOAT``."""

    type: Literal["INT", "FLOAT"]
    default: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None


@attrs.frozen
class Text:
    """``STRING``."""

    default: str | None = None
    multiline: bool = False


@attrs.frozen
class Flag:
    """``BOOLEAN``."""

    default: bool | None = None


@attrs.frozen
class Combo:
    """A choice among options: a list as a type, or ``COMBO`` with options.

    Args:
        options: In the server's order. Empty where the server has none (yet).
        default: One of the options, or with `multiselect` some of them, where `has_default`.
        legacy: Declared as a list. Such an input takes links from an output of the same list only.
        files: The options are files at the server, or come and go like those.
        numbers: The options where all are numbers and checkers have no ``Literal`` of some, which
            are not whole or too large; `options` is then empty.
        loose: Checkers have no ``Literal`` of some options, such as lists; `options` is then empty.
    """

    options: tuple[Option, ...] = ()
    default: Option | float | tuple[Option, ...] = None
    has_default: bool = False
    multiselect: bool = False
    legacy: bool = False
    files: bool = False
    numbers: tuple[float, ...] = ()
    loose: bool = False


@attrs.frozen
class Socket:
    """Types of the server's own: links, and for some widgets a literal.

    Args:
        types: One, or several of a union, as the server names them. ``("*",)`` takes anything.
            May hold INT, FLOAT, STRING and BOOLEAN, as part of a union.
        literal: A widget of the canvas makes such values, so JSON may be given.
        default: What the widget begins with, where `has_default`.
    """

    types: tuple[str, ...]
    literal: bool = False
    default: JSON = None
    has_default: bool = False


@attrs.frozen
class MatchType:
    """``COMFY_MATCHTYPE_V3``: inputs and outputs of one template have one type.

    Args:
        template: The id of the template within the node.
        types: What is allowed; empty for anything.
    """

    template: str
    types: tuple[str, ...] = ()


@attrs.frozen
class Autogrow:
    """``COMFY_AUTOGROW_V3``: one input, many times.

    Args:
        item: What each is.
        prefix: Inputs are named so, with a number from 0. None if they have `names`.
        names: The names of the inputs, in order.
        minimum: How many there must be.
        maximum: How many there may be; None if the server does not say.
    """

    item: Kind
    prefix: str | None = None
    names: tuple[str, ...] = ()
    minimum: int = 0
    maximum: int | None = None


@attrs.frozen
class Choice:
    """One choice of a dynamic combo, and the inputs that come with it."""

    key: str
    inputs: tuple[Input, ...] = ()


@attrs.frozen
class DynamicCombo:
    """``COMFY_DYNAMICCOMBO_V3``: each choice brings inputs of its own."""

    choices: tuple[Choice, ...]


@attrs.frozen
class DynamicSlot:
    """``COMFY_DYNAMICSLOT_V3``: an optional input that brings more inputs when it is given."""

    slot: Kind
    inputs: tuple[Input, ...] = ()


Kind: TypeAlias = (
    "Number | Text | Flag | Combo | Socket | MatchType | Autogrow | DynamicCombo | DynamicSlot"
)


@attrs.frozen
class Input:
    """An input of a node, or of a part of one.

    Args:
        name: As the server knows it: any string.
    """

    name: str
    kind: Kind
    required: bool = True
    tooltip: str = ""


@attrs.frozen
class Output:
    """An output that others can link to.

    Args:
        name: As the server shows it: any string.
        types: What it gives; several if the server declares a union. ``("*",)`` for anything.
        options: If it gives one of a closed list of options: those, at least one; `types` is then
            ``("COMBO",)``. A list of files is just ``COMBO``.
        template: The match type's template, if it follows one that an input of the node itself (or
            the item of its autogrow) has; `types` is then what is allowed.
        is_list: It gives a list, of which the nodes that take it run once for each item.
    """

    name: str
    types: tuple[str, ...]
    options: tuple[Option, ...] | None = None
    template: str | None = None
    is_list: bool = False
    tooltip: str = ""


@attrs.frozen(kw_only=True)
class NodeDeclaration:
    """A class of nodes.

    Args:
        class_type: As the server knows it: any string.
        display_name: As the canvas shows it; empty if that is the class type.
        module: The Python module at the server, like ``custom_nodes.ComfyUI-Impact-Pack``.
        category: The path in the canvas's menu, like ``model/sampling``.
        inputs: The required ones first, each group in the server's order.
        is_output_node: It can be what a graph is run for.
        shows: It may show something in the browser without being an output node.
        is_input_list: It takes lists whole instead of running once for each item.
        oddities: What made no sense, in words, for a person to read.
    """

    class_type: str
    display_name: str = ""
    description: str = ""
    module: str = ""
    category: str = ""
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    is_output_node: bool = False
    shows: bool = False
    is_input_list: bool = False
    deprecated: bool = False
    experimental: bool = False
    api_node: bool = False
    oddities: tuple[str, ...] = ()
