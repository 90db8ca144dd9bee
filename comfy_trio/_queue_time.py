"""What the browser does to texts when it queues a workflow, and the server does not.

Dynamic prompts, ``a {red|green} boat // or any``, and file names of other inputs' values and of the
date, ``%KSampler.seed%/%date:yyyy-MM-dd%``. The rules are those of ComfyUI_frontend
(``formatUtil.ts``, ``searchAndReplace.ts``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ._prompt import as_link, title_of
from ._util import as_list, as_object

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from ._util import JSONObject

FILE_NAME_INPUT: Final = "filename_prefix"

_COMMENTS = re.compile(r"/\*[\s\S]*?(?:\*/|(?P<unclosed>\Z))|//.*")
_LINE_COMMENTS = re.compile(r"//.*")
_ESCAPED = re.compile(r"\\([{}|])")
_MARKS = re.compile(r"\\[\s\S]|[{}|]")
"""An escaped character, or what a choice is made of."""
_PLACEHOLDER = re.compile(r"%([^%]+)%")
_DATE_PARTS = re.compile(r"dd?|MM?|hh?|mm?|ss?|yyy?y?")
_NOT_IN_FILE_NAMES = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')


def expand_prompt(
    prompt: JSONObject, object_info: Mapping[str, Any], chance: random.Random, now: datetime
) -> None:
    """Do to the texts of a prompt what the browser does when it queues it.

    Dynamic prompts are chosen in the inputs that are declared to have them; placeholders are filled
    in in the names of files to save. A placeholder that nothing fits stays as it is, for servers
    know more of them.

    Args:
        prompt: In API format. Will be changed.
        object_info: What the server declares of its nodes.
        chance: What the choices are drawn from.
        now: The date for file names.
    """
    for node in prompt.values():
        for name in _dynamic_inputs(as_object(object_info.get(node["class_type"]))):
            text = node["inputs"].get(name)
            if isinstance(text, str):
                node["inputs"][name] = choose(text, chance)
    nodes = nodes_by_name(prompt)
    for node in prompt.values():
        text = node["inputs"].get(FILE_NAME_INPUT)
        if isinstance(text, str):
            node["inputs"][FILE_NAME_INPUT] = fill_in(text, nodes, now)


def _dynamic_inputs(declaration: JSONObject) -> Iterator[str]:
    for section in as_object(declaration.get("input")).values():
        for name, spec in as_object(section).items():
            if any(as_object(part).get("dynamicPrompts") for part in as_list(spec)):
                yield name


def choose(text: str, chance: random.Random) -> str:
    r"""Choose among the alternatives of a dynamic prompt, and drop its comments.

    ``{a|b}`` becomes one of them, and may hold others. ``\{``, ``\|`` and ``\}`` stand for
    themselves. Comments are ``/* ... */`` and ``// ...``, even in an address.
    """
    plain = _COMMENTS.sub(_without_comment, text)
    choices = _find_choices(plain)
    done: list[str] = []
    pending = [(0, len(plain))]
    while pending:
        start, end = pending.pop()
        opening = start
        while opening < end and opening not in choices:
            opening += 1
        done.append(plain[start:opening])
        if opening < end:
            alternatives, closing = choices[opening]
            pending += [(min(closing + 1, end), end), chance.choice(alternatives)]
    return _ESCAPED.sub(r"\1", "".join(done))


def _without_comment(match: re.Match[str]) -> str:
    """Return what is left of a comment. One that is never closed is none, but may hold others."""
    return "" if match["unclosed"] is None else _LINE_COMMENTS.sub("", match[0])


def _find_choices(text: str) -> dict[int, tuple[list[tuple[int, int]], int]]:
    """Return the choices of a text by where they open: their alternatives, and where they close.

    A choice that is never closed ends with the text.
    """
    choices: dict[int, tuple[list[tuple[int, int]], int]] = {}
    open_ones: list[tuple[int, list[int]]] = []  # where it opens, and where its parts begin

    def close(place: int) -> None:
        opening, starts = open_ones.pop()
        ends = [start - 1 for start in starts[1:]]
        choices[opening] = (list(zip(starts, [*ends, place], strict=True)), place)

    for match in _MARKS.finditer(text):
        place = match.start()
        if match[0] == "{":
            open_ones.append((place, [place + 1]))
        elif match[0] == "|" and open_ones:
            open_ones[-1][1].append(place + 1)
        elif match[0] == "}" and open_ones:
            close(place)
    while open_ones:
        close(len(text))
    return choices


def nodes_by_name(prompt: JSONObject) -> Mapping[str, JSONObject]:
    """Return a prompt's nodes by class type, or else by title; of equal ones the first."""
    nodes: list[JSONObject] = list(prompt.values())
    by_title = {title_of(node): node for node in reversed(nodes)}
    return by_title | {node["class_type"]: node for node in reversed(nodes)}


def fill_in(text: str, nodes: Mapping[str, JSONObject], now: datetime) -> str:
    """Fill in ``%date:yyyy-MM-dd%`` and ``%Node.input%`` in the name of a file.

    Args:
        text: The name.
        nodes: By what it may call them. An input that is linked has no value to fill in.
        now: The date.
    """

    def replace(match: re.Match[str]) -> str:
        node_name, *rest = match[1].split(".")
        if len(rest) == 1:
            value = _value_of(nodes.get(node_name), rest[0])
            return match[0] if value is None else _NOT_IN_FILE_NAMES.sub("_", value)
        if node_name.startswith("date:"):
            return format_date(node_name.removeprefix("date:"), now)
        return match[0]

    return _PLACEHOLDER.sub(replace, text)


def format_date(pattern: str, now: datetime) -> str:
    """Write a date as the frontend does: ``yyyy yy MM M dd d hh h mm m ss s``, hours up to 23."""
    parts = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}

    def replace(match: re.Match[str]) -> str:
        part = match[0]
        if part[0] in parts:
            return f"{parts[part[0]]:0{len(part)}}"
        year = f"{now.year:04}"
        return {"yy": year[2:], "yyyy": year}.get(part, part)

    return _DATE_PARTS.sub(replace, pattern)


def _value_of(node: JSONObject | None, input_name: str) -> str | None:
    """Return an input's value as JavaScript writes it; None if there is none."""
    if node is None or input_name not in node["inputs"]:
        return None
    match node["inputs"][input_name]:
        case None:
            return ""
        case bool() as value:
            return str(value).lower()
        case float() as value if value.is_integer():
            return str(int(value))
        case value if as_link(value) is not None:
            return None
        case value:
            return str(value)
