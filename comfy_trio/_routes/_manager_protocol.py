"""ComfyUI-Manager: what it is asked, in the form that its generation wants.

=========  ===========================  ============================================================
Version    Is                           Tasks are queued by
=========  ===========================  ============================================================
3.13 on    a custom node                ``POST /manager/queue/install``, ``/update``, ...
4          a package, started by        ``POST /v2/manager/queue/task``
           ``--enable-manager``
4          the same, with               ``POST /v2/manager/queue/batch``: all at once, and started
           ``--enable-manager-legacy-ui``
=========  ===========================  ============================================================

Up to 3.39 and 4.1, whatever changes something without a body is a GET; later ones, which guard
against forged requests, want a POST. Their bodies then hold what was in the query, but in most
routes of version 4, where it stayed there.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import attrs

from .._replies import Request, get, post

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .._util import JSONObject


VERSION_OF_4: Final = get("/v2/manager/version")
VERSION_OF_3: Final = get("/manager/version")
INTERFACE_OF_4: Final = get("/v2/manager/is_legacy_manager_ui")


class ManagerGeneration(Enum):
    """How ComfyUI-Manager is asked for work."""

    QUEUE = "queue"
    """Version 3: one route for each kind of task."""
    TASKS = "tasks"
    """Version 4: one route for all kinds of tasks."""
    BATCHES = "batches"
    """Version 4 with its old interface: many tasks at once."""


@attrs.frozen
class ManagerTask:
    """Something that ComfyUI-Manager is to do with a pack or a model.

    Args:
        task_id: By which its result is told.
        kind: ``install``, ``fix``, ``update``, ``uninstall``, ``disable``, ``enable``, or
            ``install_model``.
        pack: Its name in the registry, or the URL of its repository if it is not in there.
        version: To install: ``latest``, ``nightly`` or a number. Of others: the one installed; None
            lets Manager find out.
        channel: The list that has the pack.
        source: Where Manager reads that list: ``cache``, ``local`` or ``remote``.
        repository: Of a nightly version.
        model: What Manager tells of the model.
    """

    task_id: str
    kind: str
    pack: str = ""
    version: str | None = None
    channel: str = "default"
    source: str = "cache"
    repository: str | None = None
    model: Mapping[str, Any] = attrs.field(factory=dict[str, Any])

    @property
    def batch_key(self) -> str:
        """Under what it stands in a batch."""
        return "install" if self.kind == "enable" else self.kind

    @property
    def batch_id(self) -> str:
        """By what a batch tells that it is refused."""
        return self.task_id if self.kind == "install_model" else self.pack

    def item(self) -> JSONObject:
        """The body that version 3 wants, and an item in a batch."""
        if self.kind == "install_model":
            return {**self.model, "id": self.task_id, "ui_id": self.task_id}
        item: JSONObject = {
            "id": self.pack,
            "ui_id": self.task_id,
            "version": "unknown" if self._is_unregistered() else self.version,
            "channel": self.channel,
            "mode": self.source,
        }
        if self._is_unregistered():
            item["files"] = [self.pack]
        elif self.kind == "install":
            item["selected_version"] = self.version
        if self.repository is not None:
            item["repository"] = self.repository
        if self.kind == "enable":  # to install without installing is to enable
            item["skip_post_install"] = True
        return item

    def params(self) -> JSONObject:
        """The parameters that version 4 wants."""
        unregistered = self._is_unregistered()
        name = _directory_of(self.pack) if unregistered else self.pack
        version = "unknown" if unregistered else self.version
        match self.kind:
            case "install":
                params: JSONObject = {
                    "id": name,
                    "version": version,
                    "selected_version": version,
                    "mode": self.source,
                    "channel": self.channel,
                }
                if self.repository is not None:
                    params["repository"] = self.repository
                return params
            case "enable":
                return {"cnr_id": name}
            case "uninstall" | "disable":
                return {"node_name": name, "is_unknown": unregistered}
            case _:
                return {"node_name": name, "node_ver": version}

    def _is_unregistered(self) -> bool:
        return "/" in self.pack


def _directory_of(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2].removesuffix(".git")


@attrs.frozen
class ManagerProtocol:
    """How the ComfyUI-Manager of one server is asked.

    Args:
        version: As it tells it: ``V3.41``.
        generation: How it is asked for work.
        client_id: Who hears of the tasks' ends.
    """

    version: str
    generation: ManagerGeneration
    client_id: str

    @property
    def number(self) -> tuple[int, ...]:
        """The version, for comparing."""
        return tuple(int(part) for part in re.findall(r"\d+", self.version))

    @property
    def _posts(self) -> bool:
        return self.number >= ((3, 40) if self.number < (4,) else (4, 2))

    def read(self, path: str, **params: str) -> Request:
        """Return the request to read something."""
        return get(self._path(path), **params)

    def act(self, path: str, **values: str) -> Request:
        """Return the request to do something."""
        return self._change(path, values, in_body=self.generation is ManagerGeneration.QUEUE)

    def configure(self, path: str, **values: str) -> Request:
        """Return the request to change a setting."""
        return self._change(path, values, in_body=True)

    def _change(self, path: str, values: Mapping[str, str], *, in_body: bool) -> Request:
        path = "/api" + self._path(path)
        query = tuple(values.items())
        if not self._posts:
            return Request("GET", path, query)
        if in_body and values:
            return Request("POST", path, json=dict(values))
        return Request("POST", path, query)

    def _path(self, path: str) -> str:
        return path if self.generation is ManagerGeneration.QUEUE else f"/v2{path}"

    def queue_task(self, task: ManagerTask) -> Request | None:
        """Return the request that queues a task; None if it takes a batch."""
        if self.generation is ManagerGeneration.BATCHES:
            return None
        if task.kind == "install_model":
            body = {**task.item(), "client_id": self.client_id}
            return post(self._path("/manager/queue/install_model"), body)
        if self.generation is ManagerGeneration.QUEUE:
            return post(f"/manager/queue/{task.batch_key}", task.item())
        return post(
            "/v2/manager/queue/task",
            {
                "ui_id": task.task_id,
                "client_id": self.client_id,
                "kind": task.kind,
                "params": task.params(),
            },
        )

    def queue_batch(self, tasks: Sequence[ManagerTask]) -> Request:
        """Return the request that queues tasks, and starts the queue."""
        batch: dict[str, list[JSONObject]] = {}
        for task in tasks:
            batch.setdefault(task.batch_key, []).append(task.item())
        return post("/v2/manager/queue/batch", batch)

    def update_all(self, task_id: str, source: str) -> Request:
        """Return the request that queues an update of every pack."""
        values = {"mode": source}
        if self.generation is ManagerGeneration.TASKS:
            values |= {"client_id": self.client_id, "ui_id": task_id}
        return self.act("/manager/queue/update_all", **values)

    def update_comfyui(self, task_id: str) -> Request:
        """Return the request that queues an update of ComfyUI."""
        values: dict[str, str] = {}
        if self.generation is ManagerGeneration.TASKS:
            values = {"client_id": self.client_id, "ui_id": task_id}
        return self.act("/manager/queue/update_comfyui", **values)

    def switch_comfyui(self, task_id: str, version: str) -> Request:
        """Return the request that switches ComfyUI to a version."""
        values = {"ver": version}
        if self.generation is ManagerGeneration.TASKS:
            values |= {"client_id": self.client_id, "ui_id": task_id}
        return self.configure("/comfyui_manager/comfyui_switch_version", **values)

    def look_for_updates(self, source: str) -> Request:
        """Return the request that fetches the packs' repositories."""
        if self.generation is ManagerGeneration.QUEUE:
            return self.act("/customnode/fetch_updates", mode=source)
        return self.read("/customnode/fetch_updates", mode=source)

    def import_failure(self, pack: str) -> Request:
        """Return the request to tell why a pack was not imported."""
        key = "url" if "/" in pack else "cnr_id"
        return post(self._path("/customnode/import_fail_info"), {key: pack})

    def install_from_git(self, url: str) -> Request:
        """Return the request that clones a repository."""
        return self._install("/customnode/install/git_url", "url", url)

    def install_pip(self, packages: Sequence[str]) -> Request:
        """Return the request that installs packages of Python."""
        return self._install("/customnode/install/pip", "packages", " ".join(packages))

    def _install(self, path: str, key: str, value: str) -> Request:
        if (3, 41) <= self.number < (4,):
            return post(path, {key: value})
        return Request("POST", "/api" + self._path(path), content=value.encode())
