"""The versions of ComfyUI that an embedded server can play."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import attrs

from comfy_trio._capabilities import Capabilities, Release, flags_of

if TYPE_CHECKING:
    from comfy_trio._util import JSONObject

DEFAULT_VERSION: Final = "0.27.0"
"""The version that an embedded server plays unless told otherwise."""

OLDEST_VERSION: Final = (0, 3, 45)
"""Before it there was no ``feature_flags`` handshake, which the server takes for granted."""


@attrs.frozen(kw_only=True)
class PlayedVersion(Capabilities):
    """A version, and what servers of it can do.

    Args:
        version: The version as a tuple, for comparing.
        text: The version as `/system_stats` tells it.
        assets_enabled: Assets are on, for they always are or ``--enable-assets`` is given.
        manager_features: What ComfyUI-Manager adds to the features, if it is installed.
    """

    version: Release
    text: str
    assets_enabled: bool
    manager_features: JSONObject = attrs.field(factory=dict[str, Any])

    def features(self, max_upload_size: int) -> JSONObject:
        """The flags that `/features` and the ``feature_flags`` frame tell."""
        flags: JSONObject = {
            "supports_preview_metadata": True,
            "max_upload_size": max_upload_size,
        }
        if self.manager_feature:
            flags["extension"] = {"manager": {"supports_v4": True, **self.manager_features}}
        if self.node_replacements:
            flags["node_replacements"] = True
        if self.assets_feature:
            flags["assets"] = self.assets_enabled
        return flags


def capabilities(version: str, *, assets: bool = False) -> PlayedVersion:
    """Look up what ComfyUI `version` can do.

    Args:
        version: Like ``"0.27.0"``; a leading ``v`` is allowed.
        assets: Whether ``--enable-assets`` is given, if there is such an option.

    Raises:
        ValueError: That is no version, or one older than the server can play.
    """
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", version)
    if match is None:
        raise ValueError(f"version must look like '0.27.0', not {version!r}")
    number = (int(match[1]), int(match[2]), int(match[3]))
    if number < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise ValueError(f"version must be at least {oldest}, not {version!r}")
    flags: dict[str, Any] = {**flags_of(number)}
    flags["assets_enabled"] = assets if flags["assets_feature"] else flags["assets"]
    return PlayedVersion(version=number, text=version.removeprefix("v"), **flags)
