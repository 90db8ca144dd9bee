"""Let griffe take the ``Args`` of an attrs class for what they are: its fields."""

from __future__ import annotations

import re
from typing import Any

import griffe

ATTRS = re.compile(r"attrs?\.(frozen|define|mutable)\b")


class AttrsFields(griffe.Extension):
    """Renames the section, so that types come from the fields."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """See `griffe.Extension`: called with each class that was read."""
        made_by = [str(decorator.value) for decorator in cls.decorators]
        if cls.docstring is not None and any(map(ATTRS.match, made_by)):
            cls.docstring.value = cls.docstring.value.replace("\nArgs:\n", "\nAttributes:\n")
