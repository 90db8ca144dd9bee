"""Lay out Python source the way that ``ruff format`` would, so that it has nothing left to do.

Expressions are values (`Doc`), which fit on one line or are broken at their brackets: one item a
line, with a comma after the last, which also tells formatters to leave them so.

What a server sends gets into source by `quote` and `docstring` only: as what it is, never as code.
"""

from __future__ import annotations

import math
import re
import textwrap
import unicodedata
from typing import TYPE_CHECKING, TypeAlias, final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LINE_LENGTH = 100
INDENT = 4

Doc: TypeAlias = "str | Union | Bracket | Keyword | Text | Chain"


@final
@attrs.frozen
class Union:
    """``A | B``: at least two operands."""

    operands: tuple[Doc, ...]


@final
@attrs.frozen
class Bracket:
    """Items in brackets, with what is before them: a call, a subscript, a list, a dictionary."""

    opening: str
    items: tuple[Doc, ...]

    @property
    def closing(self) -> str:
        """The bracket at the end."""
        return {"(": ")", "[": "]", "{": "}"}[self.opening[-1]]


@final
@attrs.frozen
class Keyword:
    """Something with a word before it: ``name=value`` in a call, ``"key": value``."""

    word: str
    value: Doc


@final
@attrs.frozen
class Text:
    """A string that is broken after its line breaks, and between words; after a `Keyword` only."""

    text: str


@final
@attrs.frozen
class Chain:
    """An expression, and the calls of methods that follow: ``f(...).g(...).h(...)``."""

    first: Doc
    methods: tuple[Bracket, ...]


def call(function: str, *items: Doc) -> Doc:
    """Return the call of a function."""
    return Bracket(f"{function}(", items)


def subscript(name: str, *items: Doc) -> Doc:
    """Return ``name[items]``."""
    return Bracket(f"{name}[", items)


def union(operands: Sequence[Doc]) -> Doc:
    """Return the union of types: each once, those of unions among them on their own."""
    flattened: dict[str, Doc] = {}
    for operand in operands:
        for part in operand.operands if isinstance(operand, Union) else (operand,):
            flattened.setdefault(flat(part), part)
    parts = tuple(flattened.values())
    return parts[0] if len(parts) == 1 else Union(parts)


# --- literals -------------------------------------------------------------------------------------


def quote(text: str) -> str:
    """Return a string as a literal, printable characters only, in the quotes that ruff prefers."""
    mark = "'" if text.count('"') > text.count("'") else '"'
    escaped = escape(text).replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return f"{mark}{escaped.replace(mark, chr(92) + mark)}{mark}"


def escape(text: str, *, keep: str = "\n\r\t") -> str:
    """Return a string with backslashes doubled, and in their place what cannot be printed.

    So are lone surrogates, and what would reverse the order of what follows.
    """
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        "\\\\"
        if character == "\\"
        else character
        if character.isprintable() or character in keep
        else _escaped(ord(character))
        for character in text
    )


def _escaped(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def number(value: float, *, floating: bool = False) -> str:
    """Return a number as a literal that is readable: digits in groups, ``2**64 - 1``.

    Args:
        value: Finite.
        floating: Whether it is to be a float, where it is no limit of integers.
    """
    if power := _power_of_two(value):
        return power
    if isinstance(value, int) and not floating:
        return _grouped(value)
    return repr(float(value)).replace("e+", "e")


def _grouped(value: int) -> str:
    return str(value) if abs(value) < 10_000 else f"{value:_}"


def _power_of_two(value: float) -> str | None:
    """Return ``2**64 - 1`` and its like for limits of that kind."""
    if abs(value) < 2**31 - 1 or int(value) != value:
        return None
    whole = abs(int(value))
    for offset, text in ((0, ""), (1, " - 1")):
        bits = (whole + offset).bit_length() - 1
        if whole + offset == 2**bits:
            return f"2**{bits}{text}" if value > 0 else f"-(2**{bits}{text})"
    return None


def literal(value: object) -> Doc | None:
    """Return a value of JSON as an expression; None if there is no good one."""
    match value:
        case None | bool():
            return repr(value)
        case str():
            return quote(value)
        case int():
            return number(value)
        case float() if math.isfinite(value):
            return number(value)
        case _:
            return None


def option(value: object) -> Doc | None:
    """Return one of the values of a ``Literal``: as `literal` does, but never to be calculated."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _grouped(value)
    return literal(value)


_LINE = re.compile(r"[^\n]*\n+|[^\n]+")
# Also after the marks that end sentences and phrases where no space follows them.
_WORD = re.compile(r"[^\s\u3001\u3002\uff0c\uff1b]*[\s\u3001\u3002\uff0c\uff1b]*")


def _lines_of(text: str, room: int) -> list[str]:
    """Return a string as literals that follow one another, as many in a line as have room."""
    lines: list[str] = []
    for line in _LINE.findall(text):
        part = ""
        used = len('""')
        for word in _WORD.findall(line):
            needed = width(quote(word)) - len('""')
            if part and used + needed > room:
                lines.append(quote(part))
                part, used = "", len('""')
            part += word
            used += needed
        lines.append(quote(part))
    return lines


# --- docstrings -----------------------------------------------------------------------------------


def docstring(text: str, *, indent: int) -> str:
    """Return a text as a docstring with no indentation before it, and no line break after it.

    Lines stay lines, and are broken between words where they are too long.

    Args:
        text: Anything. Must hold more than white space.
        indent: The indentation of what it belongs to.
    """
    room = LINE_LENGTH - indent
    # Python makes no class whose docstring has a lone surrogate: it is told, not held.
    text = text.encode(errors="backslashreplace").decode()
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(line.strip() for line in text.splitlines())).strip()
    text = escape(text, keep="\n").replace('"""', r"\"\"\"")
    if text.startswith('"'):
        text = "\\" + text
    whole = f'"""{_closed(text)}"""'
    if "\n" not in text and width(whole) <= room:
        return whole
    # The quotes before the text take room, too; those after it do not make a line of one word two.
    lines = _wrap(f'"""{text}', room)
    if len(lines) == 1:
        lines = _wrap(f'"""{text}', room - len('"""'))
    if len(lines) == 1:
        return whole
    margin = " " * indent
    return f"\n{margin}".join([*lines, '"""']).replace(f"\n{margin}\n", "\n\n")


def _wrap(text: str, room: int) -> list[str]:
    return [
        part
        for line in text.split("\n")
        for part in textwrap.wrap(line, room, break_long_words=False, break_on_hyphens=False)
        or [""]
    ]


def _closed(text: str) -> str:
    """Return an escaped text such that the quotes after it are not taken for a part of it."""
    before = text[:-1]
    backslashes = len(before) - len(before.rstrip("\\"))
    return f'{before}\\"' if text.endswith('"') and backslashes % 2 == 0 else text


# --- layout ---------------------------------------------------------------------------------------


def width(text: str) -> int:
    """Return how many columns a text takes on the screen."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.category(character) in {"Mn", "Me", "Cf"}
        else 1 + (unicodedata.east_asian_width(character) in {"W", "F"})
        for character in text
    )


def flat(doc: Doc) -> str:
    """Return an expression in one line."""
    match doc:
        case str():
            return doc
        case Union():
            return " | ".join(map(flat, doc.operands))
        case Keyword():
            return doc.word + flat(doc.value)
        case Bracket():
            return doc.opening + ", ".join(map(flat, doc.items)) + doc.closing
        case Text():
            return quote(doc.text)
        case Chain():
            return "".join(map(flat, (doc.first, *doc.methods)))


def lay_out(doc: Doc, *, indent: int, before: int, after: int = 0) -> str:
    """Return an expression in one line if there is room for it, else in several.

    Args:
        doc: The expression.
        indent: The indentation of the line that it begins in.
        before: The columns in use before it.
        after: The columns needed after it.
    """
    line = flat(doc)
    if before + width(line) + after <= LINE_LENGTH:
        return line
    margin = " " * indent
    match doc:
        case str():
            return line
        case Union():
            parts = (
                lay_out(operand, indent=indent, before=indent + 2 * (index > 0))
                for index, operand in enumerate(doc.operands)
            )
            return f"\n{margin}| ".join(parts)
        case Keyword():
            value = lay_out(doc.value, indent=indent, before=before + width(doc.word), after=after)
            return doc.word + value
        case Text():
            room = LINE_LENGTH - indent - INDENT
            # What has room on a line of its own would be joined.
            lines = [line] if width(line) <= room else _lines_of(doc.text, room)
            if len(lines) == 1 and width(line) > room:
                return line
            return _in_parentheses(lines, indent=indent)
        case Chain():
            return _lay_out_chain(doc, indent=indent, before=before)
        case Bracket() if not doc.items:
            return line
        case Bracket():
            inner = indent + INDENT
            # A comma would make a tuple of the only item of a subscript.
            comma = "" if doc.opening.endswith("[") and len(doc.items) == 1 else ","
            items = "".join(
                f"{' ' * inner}{lay_out(item, indent=inner, before=inner, after=len(comma))}"
                f"{comma}\n"
                for item in doc.items
            )
            return f"{doc.opening}\n{items}{margin}{doc.closing}"


def _lay_out_chain(doc: Chain, *, indent: int, before: int) -> str:
    """Return calls that have no room in one line: three and more are set one below the other."""
    if len(doc.methods) == 1:
        first = lay_out(doc.first, indent=indent, before=LINE_LENGTH)
        used = width(first) + before if "\n" not in first else indent + len(")")
        return first + lay_out(doc.methods[0], indent=indent, before=used)
    inner = indent + INDENT
    calls = (lay_out(each, indent=inner, before=inner) for each in (doc.first, *doc.methods))
    return _in_parentheses(calls, indent=indent)


def assignment(name: str, annotation: Doc, value: Doc | None = None, *, indent: int) -> str:
    """Return ``name: annotation = value``, without the indentation of the first line.

    Where there is no room the value is broken, and the annotation if that does not help.
    """
    start = f"{name}: "
    typed = flat(annotation)
    used = indent + width(start) + width(typed)
    if value is None:
        if isinstance(annotation, Bracket) or used <= LINE_LENGTH:
            return start + lay_out(annotation, indent=indent, before=indent + width(start))
        return start + _parenthesized(annotation, indent=indent)
    if used + len(" = ") + width(flat(value)) <= LINE_LENGTH:
        return f"{start}{typed} = {flat(value)}"
    breakable = isinstance(value, Bracket) and len(value.items) > 0
    opening = value.opening if isinstance(value, Bracket) and breakable else ""
    if breakable and used + len(" = ") + width(opening) <= LINE_LENGTH:
        return f"{start}{typed} = {lay_out(value, indent=indent, before=used + len(' = '))}"
    if isinstance(value, Union) or used + len(" = (") <= LINE_LENGTH:
        return f"{start}{typed} = {_parenthesized(value, indent=indent)}"
    if isinstance(annotation, Union):
        typed = _parenthesized(annotation, indent=indent)
    else:
        typed = lay_out(annotation, indent=indent, before=LINE_LENGTH)
    last = width(typed.rpartition("\n")[2])
    return f"{start}{typed} = {lay_out(value, indent=indent, before=last + len(' = '))}"


def _parenthesized(doc: Doc, *, indent: int) -> str:
    """Return an expression in parentheses, on lines of its own."""
    inner = indent + INDENT
    return _in_parentheses([lay_out(doc, indent=inner, before=inner)], indent=indent)


def _in_parentheses(lines: Iterable[str], *, indent: int) -> str:
    inner = " " * (indent + INDENT)
    return "(\n" + "".join(f"{inner}{line}\n" for line in lines) + f"{' ' * indent})"
