"""``/system_stats``, ``/features``, ``/free``: what the server is, and its memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from .._capabilities import Capabilities, flags_of, parse_release
from .._replies import get, post, require_object, unexpected
from .._util import as_object, copy_json, is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._capabilities import Release
    from .._replies import Reply, Request
    from .._wire_types import Features, SystemStats

STATS: Final = get("/system_stats")
FEATURES: Final = get("/features")


def free_request(*, unload_models: bool, free_memory: bool) -> Request:
    """Return the request for freeing the server's memory."""
    return post("/free", {"unload_models": unload_models, "free_memory": free_memory})


def read_stats(reply: Reply) -> SystemStats:
    """Read the reply to `STATS`.

    Raises:
        ResponseError: it is something else.
    """
    body = require_object(reply, "the state of the server")
    if not is_object(body.get("system")) or not is_list(body.get("devices")):
        raise unexpected(reply, "the state of the server")
    return cast("SystemStats", body)


def read_features(reply: Reply) -> Features:
    """Read the reply to `FEATURES`; empty for the oldest servers, which do not have the route.

    Raises:
        ResponseError: it is something else.
    """
    if reply.status in {404, 405}:
        return {}
    expected = "the features of the server"
    features = require_object(reply, expected)
    try:
        return cast("Features", copy_json(features))  # as those who ask for them get them
    except RecursionError:
        raise unexpected(reply, expected) from None


def has_feature(features: Mapping[str, Any], name: str) -> bool:
    """Tell whether a feature is on: whether its flag is exactly ``true``.

    Args:
        features: By name, as a server tells them.
        name: With dots for flags within flags: ``extension.manager.supports_v4``.
    """
    flag: object = features
    for part in () if name in features else name.split("."):
        flag = as_object(flag).get(part)
    return features.get(name, flag) is True


@attrs.frozen(kw_only=True)
class ServerInfo:
    """What a server is and can do.

    Args:
        version: Its version, as it tells it; None if it does not.
        release: The release of ComfyUI that this is, or is made from; None if that is not clear.
        can: What that release can do. A release that is not known is taken to be the newest.
        features: What the server says that it can do; empty if it is too old to say so.
        system: What else it tells of itself: the machine, the versions of what it runs on.
    """

    version: str | None
    release: Release | None
    can: Capabilities = attrs.field(repr=False)
    features: Features = attrs.field(repr=False)
    system: Mapping[str, Any] = attrs.field(repr=False)

    def supports(self, feature: str) -> bool:
        """Tell whether the server says that a feature is on.

        Args:
            feature: Its name, with dots for one within another: ``extension.manager.supports_v4``.
        """
        return has_feature(cast("Mapping[str, Any]", self.features), feature)

    @property
    def max_upload_size(self) -> int | None:
        """The largest request that the server takes, in bytes; None if it does not tell."""
        size: object = self.features.get("max_upload_size")
        if isinstance(size, bool) or not isinstance(size, int | float):
            return None
        return int(size) if 0 <= size < 2**63 else None

    @property
    def preview_metadata(self) -> bool:
        """Whether previews tell which job and node they are of."""
        return self.supports("supports_preview_metadata")

    @property
    def assets_enabled(self) -> bool:
        """Whether the server's assets are switched on; servers before 0.17 do not tell."""
        return self.supports("assets")


def read_info(stats: Reply, features: Reply) -> ServerInfo:
    """Read the replies to `STATS` and `FEATURES`.

    What the server says of itself outranks what its release tells.

    Raises:
        ResponseError: they are something else.
    """
    system = as_object(require_object(stats, "the state of the server").get("system"))
    told = read_features(features)
    version = system.get("comfyui_version")
    release = parse_release(version)
    flags = flags_of(release)
    if "node_replacements" in told:
        flags["node_replacements"] = has_feature(
            cast("Mapping[str, Any]", told), "node_replacements"
        )
    return ServerInfo(
        version=version if isinstance(version, str) else None,
        release=release,
        can=Capabilities(**flags),
        features=told,
        system=system,
    )
