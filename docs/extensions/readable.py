"""Let the reference show what a reader would write: fields of attrs classes, context managers."""

from __future__ import annotations

import re
from typing import Any

import griffe

ATTRS = re.compile(r"attrs?\.(frozen|define|mutable)\b")


class Readable(griffe.Extension):
    """Tells griffe what decorators make of classes and of functions."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Take the ``Args`` of an attrs class for what they are: its fields have their types."""
        made_by = [str(decorator.value) for decorator in cls.decorators]
        if cls.docstring is not None and any(map(ATTRS.match, made_by)):
            cls.docstring.value = cls.docstring.value.replace("\nArgs:\n", "\nAttributes:\n")

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Show what ``async with`` gives, rather than the generator behind it."""
        made_by = [str(decorator.value) for decorator in func.decorators]
        if "asynccontextmanager" in made_by and isinstance(func.returns, griffe.ExprSubscript):
            given = func.returns.slice
            func.returns = given.elements[0] if isinstance(given, griffe.ExprTuple) else given
            func.labels = {"async with"}
