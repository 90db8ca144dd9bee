"""The routes of the double of ComfyUI-Manager, of the generation that it plays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import attrs
from starlette.routing import Route

from ._http import ServerGoesDown, empty_reply, json_reply, read_body, read_json, text_reply
from ._manager_state import Task

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from comfy_trio._util import JSONObject

    from ._manager import ComfyUIManager

    Handler = Callable[[Request], Awaitable[Response]]

MAX_BODY: Final = 2**20
CHANNELS: Final = ("default", "recent", "dev")
SECURITY_ERROR: Final = "A security error has occurred. Please check the terminal logs"

_KINDS: Final = ("install", "fix", "uninstall", "update", "disable")
_NAMES: Final = {"install": "id", "enable": "cnr_id"}


@attrs.define(eq=False)
class ManagerRoutes:
    """The handlers.

    Args:
        manager: Whose state they read and change.
    """

    manager: ComfyUIManager

    def routes(self) -> list[Route]:
        """The routes of this generation, without ``/api``."""
        manager = self.manager
        act = "POST" if manager.number >= ((4, 2) if manager.is_package else (3, 40)) else "GET"
        routes = [*self._common(act)]
        if manager.is_package:
            routes.append(("GET", "/manager/is_legacy_manager_ui", self.get_interface))
            routes += self._of_old_interface() if manager.old_interface else self._of_tasks()
        else:
            routes += self._of_version_3(act)
        prefix = "/v2" if manager.is_package else ""
        return [Route(prefix + path, handler, methods=[how]) for how, path, handler in routes]

    def _common(self, act: str) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", "/manager/version", self.get_version),
            ("GET", "/customnode/getmappings", self.get_mappings),
            ("GET", "/customnode/installed", self.get_installed),
            ("POST", "/customnode/import_fail_info", self.post_import_failure),
            ("GET", "/comfyui_manager/comfyui_versions", self.get_comfyui_versions),
            (act, "/comfyui_manager/comfyui_switch_version", self.switch_comfyui),
            ("GET", "/manager/queue/status", self.get_status),
            (act, "/manager/queue/start", self.start),
            (act, "/manager/queue/reset", self.reset),
            (act, "/manager/queue/update_all", self.update_all),
            (act, "/manager/queue/update_comfyui", self.update_comfyui),
            ("GET", "/snapshot/getlist", self.get_snapshots),
            ("GET", "/snapshot/get_current", self.get_snapshot),
            (act, "/snapshot/save", self.save_snapshot),
            (act, "/snapshot/remove", self.remove_snapshot),
            (act, "/snapshot/restore", self.restore_snapshot),
            *self._setting(act, "db_mode"),
            *self._setting(act, "policy/update"),
            *self._setting(act, "channel_url_list"),
            (act, "/manager/reboot", self.reboot),
        ]

    def _setting(self, act: str, name: str) -> list[tuple[str, str, Handler]]:
        async def get_or_set(request: Request) -> Response:
            if request.method == "POST" or "value" in request.query_params:
                return await self._set(name, await _values(request))
            return self._get(name)

        return [(how, f"/manager/{name}", get_or_set) for how in sorted({"GET", act})]

    def _of_version_3(self, act: str) -> list[tuple[str, str, Handler]]:
        install_model = ("POST", "/manager/queue/install_model", self.queue_item)
        return [
            *(("POST", f"/manager/queue/{kind}", self.queue_item) for kind in _KINDS),
            install_model,
            *self._lists(act),
            *self._setting(act, "preview_method"),
        ]

    def _of_old_interface(self) -> list[tuple[str, str, Handler]]:
        return [("POST", "/manager/queue/batch", self.post_batch), *self._lists("GET")]

    def _of_tasks(self) -> list[tuple[str, str, Handler]]:
        return [
            ("POST", "/manager/queue/task", self.post_task),
            ("POST", "/manager/queue/install_model", self.post_model),
            ("GET", "/manager/queue/history", self.get_history),
            ("GET", "/customnode/fetch_updates", self.refuse_updates),
        ]

    def _lists(self, act: str) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", "/customnode/getlist", self.get_packs),
            ("GET", "/externalmodel/getlist", self.get_models),
            (act, "/customnode/fetch_updates", self.fetch_updates),
            ("POST", "/customnode/install/git_url", self.install_directly),
            ("POST", "/customnode/install/pip", self.install_directly),
        ]

    # What there is.

    async def get_version(self, request: Request) -> Response:
        """As ``V4.3``."""
        return text_reply(f"V{self.manager.version}", 200)

    async def get_interface(self, request: Request) -> Response:
        """Whether it has its old interface."""
        return json_reply({"is_legacy_manager_ui": self.manager.old_interface})

    async def get_mappings(self, request: Request) -> Response:
        """The nodes of each pack."""
        request.query_params["mode"]
        return json_reply(
            {p.repository: [list(p.nodes), {"title_aux": p.title}] for p in self.manager.packs}
        )

    async def get_packs(self, request: Request) -> Response:
        """The packs that it knows."""
        request.query_params["mode"]
        packs: JSONObject = {}
        for pack in self.manager.packs:
            entry = self.manager.installed.get(pack.id)
            packs[pack.id] = {
                "id": pack.id,
                "title": pack.title,
                "author": "somebody",
                "description": "...",
                "repository": pack.repository,
                "reference": pack.repository,
                "files": [pack.repository],
                "version": pack.latest,
                "cnr_latest": pack.latest,
                "state": "not-installed",
            }
            if entry is not None:
                packs[pack.id]["active_version"] = entry["ver"]
                packs[pack.id]["state"] = "enabled" if entry["enabled"] else "disabled"
                packs[pack.id]["update-state"] = str(entry["ver"] != pack.latest).lower()
        return json_reply({"channel": "default", "node_packs": packs})

    async def get_models(self, request: Request) -> Response:
        """The models that it knows."""
        request.query_params["mode"]
        return json_reply(
            {"models": [{**each, "installed": "False"} for each in self.manager.models]}
        )

    async def get_installed(self, request: Request) -> Response:
        """The packs that are installed."""
        return json_reply(self.manager.installed)

    async def post_import_failure(self, request: Request) -> Response:
        """Why a pack was not imported: each was."""
        await read_json(request, MAX_BODY)
        return empty_reply(400)

    async def get_comfyui_versions(self, request: Request) -> Response:
        """The versions of ComfyUI."""
        current = f"v{self.manager.engine.version.text}"
        return json_reply({"versions": ["nightly", current], "current": current})

    async def switch_comfyui(self, request: Request) -> Response:
        """Switch to another version of ComfyUI; only the lowest security level allows it."""
        if self.manager.is_package and not self.manager.allows("high"):
            return self._forbidden()
        values = await _values(request)
        if self._has_tasks():
            self._queue("update-comfyui", values["ui_id"], values["ver"], values["client_id"])
        return empty_reply()

    async def fetch_updates(self, request: Request) -> Response:
        """Whether any pack has a later version."""
        (await _values(request))["mode"]
        latest = {pack.id: pack.latest for pack in self.manager.packs}
        installed = self.manager.installed.items()
        news = any(entry["ver"] != latest.get(pack_id) for pack_id, entry in installed)
        return empty_reply(201 if news else 200)

    async def refuse_updates(self, request: Request) -> Response:
        """Version 4 does not do that any more."""
        return json_reply({"error": "This endpoint has been deprecated", "deprecated": True}, 410)

    # Tasks.

    def _has_tasks(self) -> bool:
        return self.manager.is_package and not self.manager.old_interface

    def _queue(self, kind: str, task_id: str, target: str, client_id: str | None = None) -> None:
        self.manager.memory.tasks.append(Task(kind, task_id, target, client_id))

    async def queue_item(self, request: Request) -> Response:
        """Queue a task, of the kind that the path tells."""
        kind = request.url.path.rpartition("/")[2]
        return self._queue_item(kind, await read_json(request, MAX_BODY))

    def _queue_item(self, kind: str, item: JSONObject) -> Response:
        if kind == "install" and not {"channel", "mode"} <= item.keys():
            raise KeyError("channel")
        manager = self.manager
        if kind != "disable" and not manager.allows("middle"):
            return text_reply(SECURITY_ERROR, 403)
        if kind == "install_model":
            if not any(model["filename"] == item["filename"] for model in manager.models):
                return text_reply("Invalid model install request is detected", 400)
            self._queue("install-model", item["ui_id"], item["filename"])
            return empty_reply()
        target = item["id"]
        if item["version"] == "unknown":
            target = item["files"][0].rpartition("/")[2]
        if kind == "install":
            entry = manager.installed.get(target)
            if item.get("skip_post_install") and entry is not None and not entry["enabled"]:
                if manager.is_package:
                    self._queue("enable", item["ui_id"], target)
                else:
                    entry["enabled"] = True
                return empty_reply()
            if item["version"] == "unknown" and not manager.allow_direct_installs:
                return text_reply(SECURITY_ERROR, 404)
            target += f"@{item.get('selected_version')}"
        self._queue(kind, item["ui_id"], target)
        return empty_reply()

    async def post_batch(self, request: Request) -> Response:
        """Queue many tasks, and start."""
        failed: list[str] = []
        for kind, items in (await read_json(request, MAX_BODY)).items():
            failed += [
                item["id"] for item in items if self._queue_item(kind, item).status_code != 200
            ]
        self.manager.start()
        return json_reply({"failed": failed})

    async def post_task(self, request: Request) -> Response:
        """Queue a task of any kind."""
        task = await read_json(request, MAX_BODY)
        params = task["params"]
        target = params[_NAMES.get(task["kind"], "node_name")]
        if task["kind"] == "install":
            target += f"@{params['selected_version']}"
        self._queue(task["kind"], task["ui_id"], target, task["client_id"])
        return empty_reply()

    async def post_model(self, request: Request) -> Response:
        """Queue the download of a model."""
        model = await read_json(request, MAX_BODY)
        if "client_id" not in model:
            return text_reply("Missing required field: client_id", 400)
        self._queue("install-model", model["ui_id"], model["filename"], model["client_id"])
        return empty_reply()

    async def update_all(self, request: Request) -> Response:
        """Queue the update of each pack."""
        values = await _values(request)
        if not self.manager.allows("middle"):
            return self._forbidden()
        if not self._has_tasks() and self.manager.memory.at_work:
            return empty_reply(401)
        for pack_id in self.manager.installed:
            if self._has_tasks():
                task_id = f"{values['ui_id']}_{pack_id}"
                self._queue("update", task_id, pack_id, values["client_id"])
            else:
                self._queue("update", pack_id, pack_id)
        return empty_reply()

    async def update_comfyui(self, request: Request) -> Response:
        """Queue the update of ComfyUI."""
        values = await _values(request)
        if self._has_tasks():
            self._queue("update-comfyui", values["ui_id"], "comfyui", values["client_id"])
        else:
            self._queue("update-comfyui", "comfyui", "comfyui")
        return empty_reply()

    async def start(self, request: Request) -> Response:
        """Start the queue; 201 if it is at work."""
        return empty_reply(200 if self.manager.start() else 201)

    async def reset(self, request: Request) -> Response:
        """Drop what waits."""
        self.manager.memory.tasks.clear()
        return empty_reply()

    async def get_status(self, request: Request) -> Response:
        """How far the queue is."""
        memory = self.manager.memory
        running = int(memory.running is not None)
        pending = len(memory.tasks)
        done = len(memory.results) + len(memory.model_results)
        status: JSONObject = {
            "total_count": done + running + pending,
            "done_count": done,
            "in_progress_count": running,
            "is_processing": memory.at_work,
        }
        if self._has_tasks():
            status |= {"total_count": running + pending, "done_count": len(memory.history)}
            status["pending_count"] = pending
        return json_reply(status)

    async def get_history(self, request: Request) -> Response:
        """What became of all tasks; versions before 4.2 stumble over it."""
        history = self.manager.memory.history
        if history and self.manager.number < (4, 2):
            return empty_reply(400)
        return json_reply({"history": history})

    async def install_directly(self, request: Request) -> Response:
        """Install a repository, or packages of Python."""
        is_git = request.url.path.endswith("git_url")
        if not self.manager.allow_direct_installs:
            flag = "allow_git_url_install" if is_git else "allow_pip_install"
            return json_reply({"reason" if self.manager.is_package else "error": flag}, 403)
        if (3, 41) <= self.manager.number < (4,):
            what = (await read_json(request, MAX_BODY))["url" if is_git else "packages"]
        else:
            what = (await read_body(request, MAX_BODY)).decode()
        if is_git:
            name = what.rpartition("/")[2]
            entry = {"ver": "0123abc", "cnr_id": "", "aux_id": f"somebody/{name}", "enabled": True}
            self.manager.installed[name] = entry
        return empty_reply()

    # Snapshots, settings and the rest.

    async def get_snapshots(self, request: Request) -> Response:
        """Their names."""
        return json_reply({"items": sorted(self.manager.snapshots, reverse=True)})

    async def get_snapshot(self, request: Request) -> Response:
        """What one would hold now."""
        packs = {k: entry["ver"] for k, entry in self.manager.installed.items()}
        return json_reply({"comfyui": "0123abc", "git_custom_nodes": {}, "cnr_custom_nodes": packs})

    async def save_snapshot(self, request: Request) -> Response:
        """Take one."""
        number = len(self.manager.snapshots)
        self.manager.snapshots.append(f"2026-01-01_00-00-{number:02}_snapshot")
        return empty_reply()

    async def remove_snapshot(self, request: Request) -> Response:
        """Delete one."""
        if not self.manager.allows("middle"):
            return self._forbidden()
        target = (await _values(request))["target"]
        if target in self.manager.snapshots:
            self.manager.snapshots.remove(target)
        return empty_reply()

    async def restore_snapshot(self, request: Request) -> Response:
        """Go back to one at the next start."""
        if not self.manager.allows("middle"):
            return self._forbidden()
        target = (await _values(request))["target"]
        return empty_reply(200 if target in self.manager.snapshots else 400)

    def _get(self, name: str) -> Response:
        value = self.manager.settings[name]
        if name == "channel_url_list":
            channels = [f"{each}::https://example.invalid/{each}" for each in CHANNELS]
            return json_reply({"selected": value, "list": channels})
        return text_reply("DISABLED" if self._is_comfyuis(name) else value, 200)

    async def _set(self, name: str, values: dict[str, Any]) -> Response:
        if self._is_comfyuis(name):
            return text_reply("DISABLED", 403)
        is_known = name != "channel_url_list" or values["value"] in CHANNELS
        if self.manager.number >= (4, 2):
            if not self.manager.allows("middle"):
                return self._forbidden()
            if not is_known:
                return text_reply(f"Invalid channel name {values['value']!r}", 400)
        if is_known:
            self.manager.settings[name] = values["value"]
        return empty_reply()

    def _is_comfyuis(self, name: str) -> bool:
        return name == "preview_method" and self.manager.engine.version.preview_method

    async def reboot(self, request: Request) -> Response:
        """Start the server anew, without an answer."""
        if not self.manager.allows("middle"):
            return self._forbidden()
        raise ServerGoesDown(self.manager.reboot_seconds)

    def _forbidden(self) -> Response:
        if self.manager.is_package:
            return empty_reply(403)
        reason = "comfyui_outdated" if self.manager.outdated else "security_level"
        return json_reply({"error": reason}, 403)


async def _values(request: Request) -> dict[str, Any]:
    """What was sent, in the query or as JSON."""
    body = await read_body(request, MAX_BODY)
    posted: dict[str, Any] = json.loads(body) if body else {}
    return {**request.query_params, **posted}
