"""ComfyUI-Manager: packs of custom nodes and models, where it is installed."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, final

import attrs
import trio

from .._errors import (
    DisconnectedError,
    NotComfyUIError,
    ServerUnreachableError,
    UnsupportedError,
)
from .._replies import QUEUE_LENGTH, get, require_comfyui
from .._routes._manager import (
    read_channels,
    read_comfyui_versions,
    read_import_failure,
    read_installed,
    read_is_old_interface,
    read_manager_flags,
    read_manager_version,
    read_models,
    read_node_map,
    read_packs,
    read_setting,
    read_snapshot,
    read_snapshots,
    read_updates,
    settle,
)
from .._routes._manager_protocol import (
    INTERFACE_OF_4,
    VERSION_OF_3,
    VERSION_OF_4,
    ManagerGeneration,
    ManagerProtocol,
    ManagerTask,
)
from .._routes._manager_values import ManagerModel
from .._util import NoPublicConstructor
from ._manager_queue import ManagerQueue, new_task_id
from ._probe import Probe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._replies import Reply, Request
    from .._routes._manager_values import (
        ComfyUIVersions,
        InstalledPack,
        ManagerChannels,
        ManagerPack,
        ManagerQueueStatus,
        ManagerTaskResult,
        PackNodes,
    )
    from .._session import Session
    from .._util import JSONObject

REBOOT_POLL = 1.0
"""Seconds between two looks whether a server is back."""


@final
@attrs.define(eq=False, slots=False)
class ManagerNamespace(metaclass=NoPublicConstructor):
    """`Comfy.manager`: what ComfyUI-Manager does, in whichever generation the server has it.

    What is to be done with packs and models is queued, and done by `run_queue`; the server has to
    be rebooted before it uses new packs. Which generation there is, is found out by one to three
    small requests, once and after each lost connection.

    All methods but `supported` and `feature_flags` may raise these, and so these alone are not
    repeated with each: `UnsupportedError`, if the server has no ComfyUI-Manager, or one that
    cannot do this; `ForbiddenError`, if its security level forbids it; `ResponseError`, if it says
    no for another reason; `ServerUnreachableError` and `DisconnectedError`.
    """

    _session: Session = attrs.field(repr=False)

    @cached_property
    def _probe(self) -> Probe[ManagerProtocol]:
        return Probe(self._session, self._find_out)

    @cached_property
    def _queue(self) -> ManagerQueue:
        return ManagerQueue(self._session, self._probe)

    async def _find_out(self) -> ManagerProtocol:
        http = self._session.http
        generation = ManagerGeneration.QUEUE
        try:
            version = read_manager_version(await http.request(VERSION_OF_4))
        except UnsupportedError:
            version = read_manager_version(await http.request(VERSION_OF_3))
        else:
            is_old = read_is_old_interface(await http.request(INTERFACE_OF_4))
            generation = ManagerGeneration.BATCHES if is_old else ManagerGeneration.TASKS
        return ManagerProtocol(version, generation, self._session.options.client_id)

    async def _read(self, path: str, **params: str) -> Reply:
        protocol = await self._probe.answer()
        return await self._session.http.request(protocol.read(path, **params))

    async def _do(self, request: Request, action: str) -> None:
        settle(await self._session.http.request(request), action)

    # What there is.

    async def supported(self) -> bool:
        """Tell whether the server has ComfyUI-Manager.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: a request failed.
        """
        return await self._probe.has_answer()

    async def version(self) -> str:
        """Return the version of ComfyUI-Manager, as it tells it: ``V3.41``."""
        return (await self._probe.answer()).version

    async def generation(self) -> ManagerGeneration:
        """Return how this ComfyUI-Manager works, which decides on what it can do."""
        return (await self._probe.answer()).generation

    async def feature_flags(self) -> JSONObject:
        """Return what the server's features tell of ComfyUI-Manager; empty before ComfyUI 0.4.

        ``supports_v4`` only means that this ComfyUI could have Manager 4; see `supported`.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_manager_flags(await self._session.http.request(get("/features")))

    async def node_map(self, *, source: str = "cache") -> dict[str, PackNodes]:
        """Return which classes of nodes are in which pack, by its id or its repository's URL.

        Args:
            source: Where Manager looks: ``cache``, ``local`` (the list that came with it),
                ``remote``, or ``nickname``, which is ``local`` without packs that others replace.
        """
        return read_node_map(await self._read("/customnode/getmappings", mode=source))

    async def packs(
        self, *, source: str = "cache", check_updates: bool = False
    ) -> dict[str, ManagerPack]:
        """Return the packs that Manager knows, by their ids. Manager 4 needs its old interface.

        Args:
            source: Where Manager looks: ``cache``, ``local`` or ``remote``.
            check_updates: Whether to fetch the repository of each that is installed.
        """
        skip = "false" if check_updates else "true"
        return read_packs(await self._read("/customnode/getlist", mode=source, skip_update=skip))

    async def installed(self) -> dict[str, InstalledPack]:
        """Return the packs that are installed, by the names of their directories."""
        return read_installed(await self._read("/customnode/installed"))

    async def models(self, *, source: str = "cache") -> tuple[ManagerModel, ...]:
        """Return the models that Manager can download. Manager 4 needs its old interface.

        Args:
            source: Where Manager looks: ``cache``, ``local`` or ``remote``.
        """
        return read_models(await self._read("/externalmodel/getlist", mode=source))

    async def updates_available(self, *, source: str = "cache") -> bool:
        """Fetch the repositories of installed packs; tell whether any has news.

        Manager 4 needs its old interface.

        Args:
            source: Where Manager looks packs up: ``cache``, ``local`` or ``remote``.
        """
        request = (await self._probe.answer()).look_for_updates(source)
        return read_updates(await self._session.http.request(request))

    async def import_failure(self, pack: str) -> JSONObject | None:
        """Return why the server could not import a pack; None if it could, or does not have it.

        Args:
            pack: Its id in the registry, or its repository's URL.
        """
        request = (await self._probe.answer()).import_failure(pack)
        return read_import_failure(await self._session.http.request(request))

    # Tasks.

    async def install(
        self,
        pack: str,
        *,
        version: str = "latest",
        repository: str | None = None,
        channel: str = "default",
        source: str = "cache",
    ) -> str:
        """Queue the installation of a pack, or the switch to another version; return the task's id.

        Args:
            pack: Its id in the registry, or, if Manager's lists have it without one, the URL of its
                repository. See `install_from_git` for one that no list has.
            version: ``latest``, ``nightly``, or a number.
            repository: The URL of its repository; Manager 3 needs it for ``nightly``.
            channel: The list that has the pack.
            source: Where Manager reads the list: ``cache``, ``local`` or ``remote``.
        """
        task = ManagerTask(
            new_task_id(),
            "install",
            pack,
            version,
            channel=channel,
            source=source,
            repository=repository,
        )
        return await self._queue.add(task)

    async def fix(self, pack: str) -> str:
        """Queue another installation of what a pack depends on; return the task's id."""
        return await self._queue.add(ManagerTask(new_task_id(), "fix", pack))

    async def update(self, pack: str) -> str:
        """Queue the update of a pack; return the task's id."""
        return await self._queue.add(ManagerTask(new_task_id(), "update", pack))

    async def uninstall(self, pack: str) -> str:
        """Queue the removal of a pack; return the task's id."""
        return await self._queue.add(ManagerTask(new_task_id(), "uninstall", pack))

    async def disable(self, pack: str) -> str:
        """Queue that a pack is kept, but not loaded; return the task's id."""
        return await self._queue.add(ManagerTask(new_task_id(), "disable", pack))

    async def enable(self, pack: str) -> str:
        """Queue that a disabled pack is loaded again; return the task's id.

        Manager 3 does it at once, and if the pack is given by a URL and not there, installs it.
        """
        return await self._queue.add(ManagerTask(new_task_id(), "enable", pack))

    async def install_model(self, model: ManagerModel | Mapping[str, Any]) -> str:
        """Queue the download of a model; return the task's id.

        Args:
            model: One of `models`, or what Manager's list tells of it.
        """
        about = model.raw if isinstance(model, ManagerModel) else model
        return await self._queue.add(ManagerTask(new_task_id(), "install_model", model=about))

    async def update_all(self, *, source: str = "cache") -> str:
        """Queue the update of all packs; return the task's id.

        Each pack is a task of its own. Its id is the pack's; with Manager 4, the one returned here,
        an underscore, and the pack's.

        Args:
            source: Where Manager looks packs up: ``cache``, ``local`` or ``remote``.
        """
        task_id = new_task_id()
        request = (await self._probe.answer()).update_all(task_id, source)
        await self._do(request, "update all packs")
        return self._queue.note(task_id)

    async def update_comfyui(self) -> str:
        """Queue the update of ComfyUI itself; return the task's id, which may be ``comfyui``.

        To which version, Manager's update policy says; Manager 4 takes the latest stable one.
        """
        protocol = await self._probe.answer()
        is_named = protocol.generation is ManagerGeneration.TASKS
        task_id = new_task_id() if is_named else "comfyui"
        await self._do(protocol.update_comfyui(task_id), "update ComfyUI")
        return self._queue.note(task_id)

    async def start_queue(self) -> bool:
        """Let Manager begin to work its queue off. Returns False if it was at work already.

        Raises:
            ForbiddenError: tasks are refused. Manager 4 with its old interface says so only now.
        """
        return await self._queue.start()

    async def run_queue(self) -> dict[str, ManagerTaskResult]:
        """Start the queue and wait until it is worked off; return what became of its tasks.

        Tasks of others that are in the queue are worked off, and returned, too. A task that fails
        raises nothing: see `ManagerTaskResult.ok`. A queue that is at work begins what is added at
        once, and Manager 3 tells of what was over before this call no more. Cancelling this call
        ends the waiting alone.

        Raises:
            DisconnectedError: the WebSocket was away when Manager told of its tasks; only Manager 4
                can be asked for that again, and is.
        """
        return await self._queue.run()

    async def queue_status(self) -> ManagerQueueStatus:
        """Return how far Manager is with its queue."""
        return await self._queue.status()

    async def reset_queue(self) -> None:
        """Drop all tasks that wait, also those of others. What is worked at goes on."""
        await self._queue.reset()

    async def history(self) -> dict[str, ManagerTaskResult]:
        """Return what became of all tasks since the server's start, by their ids.

        Only Manager 4 knows, without its old interface.
        """
        return await self._queue.history()

    # What is done at once.

    async def install_from_git(self, url: str) -> None:
        """Install a pack from any git repository. Manager 4 needs its old interface.

        Args:
            url: The repository's.

        Raises:
            ForbiddenError: Manager's settings do not allow that, as is the default.
        """
        request = (await self._probe.answer()).install_from_git(url)
        await self._do(request, f"install from {url!r}")

    async def install_pip_packages(self, *packages: str) -> None:
        """Install packages of Python into the server's environment. Manager 4: see above.

        Args:
            packages: As pip wants them: ``"httpx"``, ``"attrs>=24"``.

        Raises:
            ForbiddenError: Manager's settings do not allow that, as is the default.
        """
        request = (await self._probe.answer()).install_pip(packages)
        await self._do(request, f"install {', '.join(packages)} with pip")

    async def comfyui_versions(self) -> ComfyUIVersions:
        """Return the versions of ComfyUI that Manager can switch to."""
        return read_comfyui_versions(await self._read("/comfyui_manager/comfyui_versions"))

    async def switch_comfyui(self, version: str) -> None:
        """Switch ComfyUI to a version. Manager 4 queues that.

        Args:
            version: One of `comfyui_versions`.
        """
        request = (await self._probe.answer()).switch_comfyui(new_task_id(), version)
        await self._do(request, f"switch ComfyUI to {version!r}")

    async def reboot(self, *, wait: bool = False) -> None:
        """Start the server anew; whatever runs or waits there is lost.

        A server that goes down without an answer does what it should.

        Args:
            wait: Whether to wait until the server is back, and with it the WebSocket, unless the
                client gives up reconnecting before.

        Raises:
            ForbiddenError: Manager's security level forbids it.
            ServerUnreachableError: the server is down already.
        """
        protocol = await self._probe.answer()
        events = self._session.subscribe()
        reconnections = self._session.reconnections
        try:
            # Not request(), which repeats a GET when the connection breaks.
            async with self._session.http.stream(protocol.act("/manager/reboot")) as stream:
                reply = await stream.read()
        except DisconnectedError:
            pass  # it went down
        else:
            if reply.status not in {502, 504}:  # a proxy tells that it went down
                settle(reply, "start the server anew")
        if wait:
            async for _ in events.subscription():
                if self._session.reconnections > reconnections:
                    break
            await self._wait_answering()

    async def _wait_answering(self) -> None:
        while True:
            try:
                require_comfyui(await self._session.http.request(QUEUE_LENGTH))
            except (DisconnectedError, NotComfyUIError, ServerUnreachableError):
                await trio.sleep(REBOOT_POLL)
            else:
                return

    # Snapshots.

    async def snapshots(self) -> tuple[str, ...]:
        """Return the names of the snapshots that Manager keeps, the latest first."""
        return read_snapshots(await self._read("/snapshot/getlist"))

    async def current_snapshot(self) -> JSONObject:
        """Return what a snapshot would hold now: the versions of ComfyUI and all packs."""
        return read_snapshot(await self._read("/snapshot/get_current"))

    async def save_snapshot(self) -> None:
        """Take a snapshot, under a name that Manager chooses."""
        await self._do((await self._probe.answer()).act("/snapshot/save"), "save a snapshot")

    async def remove_snapshot(self, name: str) -> None:
        """Delete a snapshot; nothing happens if there is none of this name."""
        request = (await self._probe.answer()).act("/snapshot/remove", target=name)
        await self._do(request, f"remove the snapshot {name!r}")

    async def restore_snapshot(self, name: str) -> None:
        """Let the server go back to a snapshot when it is started next; see `reboot`.

        Raises:
            ResponseError: there is no such snapshot, among other things.
        """
        request = (await self._probe.answer()).act("/snapshot/restore", target=name)
        await self._do(request, f"restore the snapshot {name!r}")

    # Settings.

    async def preview_method(self) -> str | None:
        """Return how previews are made; None if ComfyUI itself decides, as from 0.5 on.

        Manager 4 has nothing to do with it.
        """
        found = read_setting(
            await self._read("/manager/preview_method"), "tell how previews are made"
        )
        return None if found == "DISABLED" else found

    async def set_preview_method(self, method: str) -> None:
        """Choose how previews are made; see `preview_method`.

        Args:
            method: ``none``, ``auto``, ``latent2rgb`` or ``taesd``.

        Raises:
            UnsupportedError: ComfyUI itself decides.
        """
        request = (await self._probe.answer()).configure("/manager/preview_method", value=method)
        reply = await self._session.http.request(request)
        if reply.status == 403 and reply.content == b"DISABLED":
            raise UnsupportedError(
                "ComfyUI itself decides how previews are made, by --preview-method or the"
                " preview_method of a prompt; ComfyUI-Manager has no say in it any more",
                reply.summary(),
            )
        settle(reply, f"set the preview method to {method!r}")

    async def channels(self) -> ManagerChannels:
        """Return where Manager gets its lists from, and from where else it could."""
        return read_channels(await self._read("/manager/channel_url_list"))

    async def set_channel(self, name: str) -> None:
        """Choose one of `channels`. Manager 3 ignores a name that it does not know."""
        request = (await self._probe.answer()).configure("/manager/channel_url_list", value=name)
        await self._do(request, f"switch to the channel {name!r}")

    async def database_mode(self) -> str:
        """Return where Manager's own page looks: ``cache``, ``local`` or ``remote``."""
        return read_setting(await self._read("/manager/db_mode"), "tell its database mode")

    async def set_database_mode(self, mode: str) -> None:
        """Choose where Manager's own page looks; see `database_mode`."""
        request = (await self._probe.answer()).configure("/manager/db_mode", value=mode)
        await self._do(request, f"set its database mode to {mode!r}")

    async def update_policy(self) -> str:
        """Return to what ComfyUI is updated: ``stable-comfyui`` or ``nightly-comfyui``."""
        return read_setting(await self._read("/manager/policy/update"), "tell its update policy")

    async def set_update_policy(self, policy: str) -> None:
        """Choose to what ComfyUI is updated; see `update_policy`."""
        request = (await self._probe.answer()).configure("/manager/policy/update", value=policy)
        await self._do(request, f"set its update policy to {policy!r}")
