"""ComfyUI-Manager: what its answers become."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._util import JSONObject


@attrs.frozen
class ManagerPack:
    """A pack of custom nodes that ComfyUI-Manager knows, installed or not.

    Args:
        id: Its name in the registry; of a pack that is not in it, the URL of its repository.
        title: For people.
        version: The one that is installed, or else the latest. ``nightly`` is the repository's
            state, ``unknown`` that of a pack that is not in the registry.
        state: ``not-installed``, ``enabled``, ``disabled``, or what else Manager says.
        repository: Its URL; None if it has none.
        update_available: None if it was not looked for.
        raw: All that Manager tells of it. The description is HTML.
    """

    id: str
    title: str
    version: str
    state: str
    repository: str | None
    update_available: bool | None
    raw: JSONObject = attrs.field(eq=False, repr=False)


@attrs.frozen
class InstalledPack:
    """A pack of custom nodes that is installed.

    Args:
        name: Of its directory.
        version: A version of the registry, or a commit.
        registry_id: Its name in the registry; None if it did not come from there.
        repository: As ``author/name``; None if it came from the registry.
        enabled: Whether the server loads it.
        raw: All that Manager tells of it.
    """

    name: str
    version: str
    registry_id: str | None
    repository: str | None
    enabled: bool
    raw: JSONObject = attrs.field(eq=False, repr=False)


@attrs.frozen
class PackNodes:
    """The classes of nodes in a pack.

    Args:
        nodes: Their names.
        title: Of the pack; None if Manager does not know it.
        raw: What else Manager tells of the pack.
    """

    nodes: tuple[str, ...]
    title: str | None
    raw: JSONObject = attrs.field(eq=False, repr=False)


@attrs.frozen
class ManagerModel:
    """A model that ComfyUI-Manager can download.

    Args:
        name: For people.
        type: Such as ``checkpoint``.
        filename: Under which it is stored.
        url: Where it comes from.
        installed: Whether it is there already.
        raw: All that Manager tells of it, and wants to be told to install it.
    """

    name: str
    type: str
    filename: str
    url: str
    installed: bool
    raw: JSONObject = attrs.field(eq=False, repr=False)


@attrs.frozen
class ManagerQueueStatus:
    """How far ComfyUI-Manager is with its tasks.

    Args:
        pending: Tasks that wait.
        running: Tasks that are worked at.
        done: Tasks that are over; which of them are counted depends on the generation.
        processing: Whether the queue is worked off. Manager 4 waits for 4 more seconds in the end.
    """

    pending: int
    running: int
    done: int
    processing: bool

    @property
    def at_work(self) -> bool:
        """Whether a task is worked at, or will be without anybody starting the queue."""
        return self.processing and self.pending + self.running > 0


@attrs.frozen
class ManagerTaskResult:
    """What became of a task of ComfyUI-Manager.

    Args:
        task_id: The task. Of an update of all packs, each pack is a task with an id of its own.
        ok: Whether Manager says that it is so now, as it does of removing or disabling what is not
            there.
        message: ``success``, ``skip`` if there was nothing to do, or what went wrong; for some
            things Manager says only ``failed``, and why in the server's log (`Comfy.terminal`).
    """

    task_id: str
    ok: bool
    message: str


@attrs.frozen
class QueueNews:
    """What a message of the server tells of the queue.

    Args:
        results: Of tasks that are over, by their ids.
        over: Whether the queue is worked off.
    """

    results: Mapping[str, ManagerTaskResult]
    over: bool


@attrs.frozen
class ComfyUIVersions:
    """The versions of ComfyUI that ComfyUI-Manager can switch to.

    Args:
        versions: The latest first; ``nightly`` is the repository's state.
        current: The one that runs.
    """

    versions: tuple[str, ...]
    current: str


@attrs.frozen
class ManagerChannels:
    """Where ComfyUI-Manager gets its lists of packs from.

    Args:
        selected: The channel in use; ``custom`` for a URL that has no name.
        urls: All channels, by their names.
    """

    selected: str
    urls: Mapping[str, str]
