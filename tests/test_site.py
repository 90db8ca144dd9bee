"""The documentation as it is built: complete, and of nobody else's making."""

from __future__ import annotations

import enum
import html
import inspect
import re
from functools import cache, cached_property
from typing import Any, is_typeddict

import attrs
import pytest
from pages import ROOT
from test_exports import NAMESPACES, public_items

SITE = ROOT / "site"
ITEM = re.compile(r'<h[23] id="(comfy_trio[\w.]*)" class="doc')
TAG = re.compile(r"<[^>]+>")
LOADED = re.compile(
    r'<(?:script|img|iframe|source)\b[^>]*\bsrc="(?:https?:)?//[^"]*"'
    r'|<link\b(?![^>]*rel="canonical")[^>]*\bhref="(?:https?:)?//[^"]*"'
    r"|url\((?:https?:)?//[^)]*\)"
)

METHODS = (classmethod, staticmethod, property, cached_property)

pytestmark = pytest.mark.site


@cache
def reference() -> dict[str, str]:
    """What the reference's pages say, by the name in whose section it stands."""
    said: dict[str, str] = {}
    for page in (SITE / "reference").glob("*.html"):
        _, *parts = ITEM.split(page.read_text(encoding="utf-8"))
        said |= dict(zip(parts[::2], parts[1::2], strict=True))
    return {name: html.unescape(TAG.sub("", text)) for name, text in said.items()}


def is_ours(item: type[Any]) -> bool:
    return item.__module__.startswith("comfy_trio")


def parts_of(item: type[Any]) -> list[str]:
    """The public parts of a class, but for those of bases that are public themselves."""
    public = CLASSES.values()
    own = [item, *(base for base in item.__mro__ if is_ours(base) and base not in public)]
    names = [
        name
        for each in own
        for name, value in vars(each).items()
        if isinstance(value, METHODS) or inspect.isfunction(value)
    ]
    if attrs.has(item):
        names += [field.name for field in attrs.fields(item)]
    elif is_typeddict(item):
        names += item.__annotations__
    elif issubclass(item, enum.Enum):
        names += item.__members__
    return sorted({name for name in names if not name.startswith("_")})


CLASSES = {
    f"{namespace}.{name}": item
    for namespace in NAMESPACES
    for name, item in public_items(namespace)
    if inspect.isclass(item)
}


@pytest.mark.parametrize("name", CLASSES)
def test_all_of_a_class_is_in_the_reference(name: str) -> None:
    inside = f"{name}."
    there = {each.removeprefix(inside) for each in reference() if each.startswith(inside)}
    there |= set(re.findall(r"\w+", reference()[name]))
    assert set(parts_of(CLASSES[name])) <= there


def test_no_page_loads_anything_from_elsewhere() -> None:
    pages = [*SITE.rglob("*.html"), *SITE.rglob("*.css")]
    assert len(pages) > 30
    assert LOADED.search('<link rel="stylesheet" href="https://fonts.example/a.css">')
    assert LOADED.search('<script async src="//cdn.example/a.js">')
    for page in pages:
        assert not LOADED.findall(page.read_text(encoding="utf-8")), page


def test_no_page_tells_of_private_modules() -> None:
    for page in (SITE / "reference").glob("*.html"):
        shown = re.sub(r'(id|href|for)="[^"]*"', "", page.read_text(encoding="utf-8"))
        assert not re.findall(r"comfy_trio\.(?:\w+\.)*_\w+", shown), page


def test_every_command_is_in_the_reference() -> None:
    from comfy_trio._cli._app import app

    page = (SITE / "reference" / "command-line.html").read_text(encoding="utf-8")
    text = html.unescape(TAG.sub("", page))
    for command in app:
        if not command.startswith("-"):
            for argument in app[command].assemble_argument_collection():
                assert argument.name in text, f"{command} {argument.name}"
            assert f"comfy-trio {command}" in text
