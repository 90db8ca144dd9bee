"""The handshake: what a client announces of itself on each new WebSocket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._util import JSONObject

PREVIEW_METADATA: Final = "supports_preview_metadata"
"""The flag by which ComfyUI sends previews with metadata. It must be exactly ``true``."""


def announced_flags(more: Mapping[str, Any] | None = None) -> JSONObject:
    """Return all flags that a client announces.

    Args:
        more: What it announces besides what the library needs.

    Raises:
        ValueError: they cannot be sent, or switch off what the library needs.
    """
    flags = {PREVIEW_METADATA: True, **(more or {})}
    if flags[PREVIEW_METADATA] is not True:
        raise ValueError(
            f"feature_flags may not have {PREVIEW_METADATA!r} as {flags[PREVIEW_METADATA]!r}:"
            " without it, previews do not tell whose they are"
        )
    try:
        sent: JSONObject = json.loads(json.dumps(flags, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"feature_flags must be JSON: {error}") from None
    return sent


def feature_flags_frame(more: Mapping[str, Any] | None = None) -> str:
    """Return the handshake: the first text frame that a client sends.

    It asks for previews with metadata, and counts per socket.

    Args:
        more: Other flags to announce.

    Raises:
        ValueError: they cannot be sent, or switch off what the library needs.
    """
    return json.dumps({"type": "feature_flags", "data": announced_flags(more)})
