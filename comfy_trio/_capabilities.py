"""What the releases of ComfyUI can do, as one table: for clients, and for the embedded server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

Release: TypeAlias = tuple[int, int, int]
"""A release of ComfyUI, such as ``(0, 27, 0)``."""

_VERSION: Final = re.compile(r"\s*v?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(?!\d)", re.ASCII)


def parse_release(version: object) -> Release | None:
    """Return the release that a server's version begins with; None if it is no version.

    Servers that run from a checkout, and forks, say more behind it: ``v0.3.64-2-gabc``,
    ``0.27.0-dev``.
    """
    match = _VERSION.match(version) if isinstance(version, str) else None
    if match is None:
        return None
    major, minor, patch = match.groups(default="0")
    return int(major), int(minor), int(patch)


@attrs.frozen(kw_only=True)
class Capabilities:
    """Where ComfyUI servers of different releases differ, as far as a client can tell.

    Routes and reports that a release has may still be switched off; see `ServerInfo`.

    Args:
        targeted_interrupt: ``POST /interrupt`` heeds a ``prompt_id`` in its body. Without it,
            whatever runs is interrupted.
        global_subgraphs: `/global_subgraphs` exists.
        hides_secrets: API keys do not show in `/queue`.
        own_outputs_only: History holds the outputs of the nodes that this run executed or
            replayed, not of every cached node of the prompt.
        create_time: ``extra_data.create_time`` is set on posting.
        sys_platform: ``system.os`` is `sys.platform`, not `os.name`.
        manager_feature: Features tell of the manager extension.
        preview_method: ``extra_data.preview_method`` chooses previews for one prompt.
        jobs: `/api/jobs` and `/api/jobs/{id}` exist.
        cancelled_status: An interrupted job is ``cancelled``, not ``failed``.
        assets: Assets can be listed.
        missing_node_type: That is the error for an unknown class; ``invalid_prompt`` without it.
        asset_writing: Assets can be made, changed and fetched.
        node_replacements: Features and `/node_replacements` tell of renamed nodes.
        assets_feature: Features tell whether assets are on, which before they always were; scans
            for them can be watched.
        asset_refining: `/api/assets/tags/refine` exists, uploads of files tell their asset, and
            `/view` finds contents by their hashes.
        refuses_cross_site: Requests that a browser marks as cross-site get 403.
        annotated_names: `/internal/files` lists ``"a.png [output]"``, and nothing hidden.
        package_versions: `/system_stats` tells the versions of ComfyUI's own packages.
        colored_logs: Lines of the terminal's log begin with their level, in color.
        asset_hash: An asset has its hash as ``hash``, too.
        asset_cursors: Pages of assets tell where the next begins. The files of outputs tell
            their asset.
        uuid_prompt_ids: ``prompt_id`` must be a canonical UUID.
        deploy_environment: `/system_stats` has that key.
        job_cancel: ``POST /api/jobs/{id}/cancel`` and ``POST /api/jobs/cancel`` exist: they cancel
            a job whether it waits or runs, and never another.
    """

    targeted_interrupt: bool
    global_subgraphs: bool
    hides_secrets: bool
    own_outputs_only: bool
    create_time: bool
    sys_platform: bool
    manager_feature: bool
    preview_method: bool
    jobs: bool
    cancelled_status: bool
    assets: bool
    missing_node_type: bool
    asset_writing: bool
    node_replacements: bool
    assets_feature: bool
    asset_refining: bool
    refuses_cross_site: bool
    annotated_names: bool
    package_versions: bool
    colored_logs: bool
    asset_hash: bool
    asset_cursors: bool
    uuid_prompt_ids: bool
    deploy_environment: bool
    job_cancel: bool


SINCE: Final[Mapping[str, Release]] = {
    "targeted_interrupt": (0, 3, 57),
    "global_subgraphs": (0, 3, 67),
    "hides_secrets": (0, 3, 68),
    "own_outputs_only": (0, 3, 68),
    "create_time": (0, 3, 69),
    "sys_platform": (0, 4, 0),
    "manager_feature": (0, 4, 0),
    "preview_method": (0, 5, 0),
    "jobs": (0, 6, 0),
    "cancelled_status": (0, 9, 0),
    "assets": (0, 9, 0),
    "missing_node_type": (0, 12, 0),
    "asset_writing": (0, 12, 0),
    "node_replacements": (0, 14, 0),
    "assets_feature": (0, 17, 0),
    "asset_refining": (0, 18, 0),
    "refuses_cross_site": (0, 19, 0),
    "annotated_names": (0, 20, 0),
    "package_versions": (0, 22, 0),
    "colored_logs": (0, 23, 0),
    "asset_hash": (0, 23, 0),
    "asset_cursors": (0, 25, 0),
    "uuid_prompt_ids": (0, 25, 0),
    "deploy_environment": (0, 25, 0),
    "job_cancel": (0, 26, 0),
}
"""The first release that has each capability."""


def flags_of(release: Release | None) -> dict[str, bool]:
    """Tell by name which capabilities a release has. An unknown one is taken to be the newest."""
    return {name: release is None or release >= since for name, since in SINCE.items()}
