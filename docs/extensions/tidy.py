"""Take out of pages what mkdocstrings puts there and nobody is to see."""

from __future__ import annotations

import re
from typing import Any

PRIVATE_NAME = re.compile(r' title="comfy_trio\.(?:\w+\.)*_[^"]*"')
"""A tooltip that tells of a module from which nobody is to import."""
NOTHING_SAID = re.compile(r'\s*\u2013\s*<div class="doc-md-description">\s*</div>')
"""The dash before what is said of a field, where nothing is."""


def on_post_page(output: str, **_: Any) -> str:
    """Tidy a page up."""
    return NOTHING_SAID.sub("", PRIVATE_NAME.sub("", output))
