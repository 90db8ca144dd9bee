"""What a ComfyUI of a given version can do, as one table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from comfy_trio._util import JSONObject

DEFAULT_VERSION: Final = "0.27.0"
"""The version that an embedded server plays unless told otherwise."""

OLDEST_VERSION: Final = (0, 3, 45)
"""Before it there was no ``feature_flags`` handshake, which the server takes for granted."""


@attrs.frozen(kw_only=True)
class Capabilities:
    """Where the servers of different versions differ, as far as a client can tell.

    Args:
        version: The version as a tuple, for comparing.
        text: The version as `/system_stats` tells it.
        targeted_interrupt: ``POST /interrupt`` heeds a ``prompt_id`` in its body. Without it,
            whatever runs is interrupted.
        hides_secrets: API keys do not show in `/queue`.
        own_outputs_only: History holds the outputs of the nodes that this run executed or
            replayed, not of every cached node of the prompt.
        create_time: ``extra_data.create_time`` is set on posting.
        sys_platform: ``system.os`` is `sys.platform`, not `os.name`.
        manager_feature: Features tell of the manager extension.
        preview_method: ``extra_data.preview_method`` chooses previews for one prompt.
        jobs: `/api/jobs` and `/api/jobs/{id}` exist.
        cancelled_status: An interrupted job is ``cancelled``, not ``failed``.
        missing_node_type: That is the error for an unknown class; ``invalid_prompt`` without it.
        node_replacements: Features and `/node_replacements` tell of renamed nodes.
        assets: Assets can be listed.
        asset_writing: Assets can be made, changed and fetched.
        assets_feature: Features tell whether assets are on, which before they always were; scans
            for them can be watched.
        asset_refining: `/api/assets/tags/refine` exists, uploads of files tell their asset, and
            `/view` finds contents by their hashes.
        asset_hash: An asset has its hash as ``hash``, too.
        asset_cursors: Pages of assets tell where the next begins. The files of outputs tell
            their asset.
        refuses_cross_site: Requests that a browser marks as cross-site get 403.
        annotated_names: `/internal/files` lists ``"a.png [output]"``, and nothing hidden.
        uuid_prompt_ids: ``prompt_id`` must be a canonical UUID.
        deploy_environment: `/system_stats` has that key.
        job_cancel: ``POST /api/jobs/{id}/cancel`` and ``POST /api/jobs/cancel`` exist.
        assets_enabled: Assets are on, for they always are or ``--enable-assets`` is given.
    """

    version: tuple[int, ...]
    text: str
    targeted_interrupt: bool
    hides_secrets: bool
    own_outputs_only: bool
    create_time: bool
    sys_platform: bool
    manager_feature: bool
    preview_method: bool
    jobs: bool
    cancelled_status: bool
    missing_node_type: bool
    node_replacements: bool
    assets: bool
    asset_writing: bool
    assets_feature: bool
    asset_refining: bool
    asset_hash: bool
    asset_cursors: bool
    refuses_cross_site: bool
    annotated_names: bool
    uuid_prompt_ids: bool
    deploy_environment: bool
    job_cancel: bool
    assets_enabled: bool

    def features(self, max_upload_size: int) -> JSONObject:
        """The flags that `/features` and the ``feature_flags`` frame tell."""
        flags: JSONObject = {
            "supports_preview_metadata": True,
            "max_upload_size": max_upload_size,
        }
        if self.manager_feature:
            flags["extension"] = {"manager": {"supports_v4": True}}
        if self.node_replacements:
            flags["node_replacements"] = True
        if self.assets_feature:
            flags["assets"] = self.assets_enabled
        return flags


_SINCE: Final[dict[str, tuple[int, ...]]] = {
    "targeted_interrupt": (0, 3, 57),
    "hides_secrets": (0, 3, 68),
    "own_outputs_only": (0, 3, 68),
    "create_time": (0, 3, 69),
    "sys_platform": (0, 4, 0),
    "manager_feature": (0, 4, 0),
    "preview_method": (0, 5, 0),
    "jobs": (0, 6, 0),
    "cancelled_status": (0, 9, 0),
    "missing_node_type": (0, 12, 0),
    "node_replacements": (0, 14, 0),
    "assets": (0, 9, 0),
    "asset_writing": (0, 12, 0),
    "assets_feature": (0, 17, 0),
    "asset_refining": (0, 18, 0),
    "asset_hash": (0, 23, 0),
    "asset_cursors": (0, 25, 0),
    "refuses_cross_site": (0, 19, 0),
    "annotated_names": (0, 20, 0),
    "uuid_prompt_ids": (0, 25, 0),
    "deploy_environment": (0, 25, 0),
    "job_cancel": (0, 26, 0),
}
"""The first release that has each capability."""


def capabilities(version: str, *, assets: bool = False) -> Capabilities:
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
    number = tuple(int(part) for part in match.groups())
    if number < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise ValueError(f"version must be at least {oldest}, not {version!r}")
    flags = {name: number >= since for name, since in _SINCE.items()}
    flags["assets_enabled"] = assets if flags["assets_feature"] else flags["assets"]
    return Capabilities(version=number, text=version.removeprefix("v"), **flags)
