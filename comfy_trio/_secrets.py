"""Keys of paid services, which no value, error or log of this library shows.

Servers tell them in more places than one: before 0.3.68 in the queue, those of everybody's jobs;
and among the inputs of a node that raised, if it takes them as hidden inputs (execution.py of
ComfyUI, ``get_input_data``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._util import JSONObject

API_KEY: Final = "api_key_comfy_org"
"""Where in ``extra_data`` a server looks for the key."""

SECRETS: Final = frozenset({API_KEY, "auth_token_comfy_org", "comfy_api_key", "auth_token"})
"""As ``extra_data`` calls them, and as ComfyUI's own nodes call the inputs that get them."""

_IN_JSON: Final = re.compile(
    rf'("(?:{"|".join(sorted(SECRETS))})"\s*:\s*)(?:"(?:[^"\\]|\\.)*"?|\[[^\]]*\]?)'
)


def without_secrets(values: Mapping[str, Any]) -> JSONObject:
    """Return a JSON object without the secrets among its own keys."""
    return {key: value for key, value in values.items() if key not in SECRETS}


def hide_secrets(text: str) -> str:
    """Return JSON, or a piece of it, with other texts in the places of secrets."""
    return _IN_JSON.sub(r'\1"(hidden)"', text)
