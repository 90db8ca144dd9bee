"""A double of ComfyUI-Manager: what it knows, keeps and does, without an internet to do it with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, final

import attrs
import trio

from ._manager_routes import ManagerRoutes
from ._manager_state import MODELS, PACKS, KnownPack, ManagerMemory, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import Route

    from comfy_trio._util import JSONObject

    from ._engine import Engine

IDLE_SECONDS: Final = 4.0
"""How long version 4 waits for more tasks before it says that it is done."""


@final
@attrs.define(eq=False, kw_only=True)
class ComfyUIManager:
    """ComfyUI-Manager in one of its generations, with a few packs and models that it knows.

    Args:
        version: ``3.13`` or later. Version 4 is started by ``--enable-manager``.
        old_interface: Whether by ``--enable-manager-legacy-ui``, which has other routes.
        packs: What its lists have.
        models: Likewise, as its list has them.
        security_level: ``strong`` forbids most, ``normal`` some, ``normal-`` and ``weak`` nothing.
        allow_direct_installs: Whether any repository and any package of Python may be installed.
        outdated: Whether this ComfyUI is too old for it.
        task_seconds: How long a task takes.
        reboot_seconds: How long the server is down when it is started anew.
    """

    version: str = "4.3"
    old_interface: bool = False
    packs: Sequence[KnownPack] = PACKS
    models: Sequence[JSONObject] = MODELS
    security_level: str = "normal"
    allow_direct_installs: bool = False
    outdated: bool = False
    task_seconds: float = 1.0
    reboot_seconds: float = 3.0
    installed: dict[str, JSONObject] = attrs.field(init=False, repr=False)
    """The packs that are there, as it lists them, by their ids."""
    snapshots: list[str] = attrs.field(factory=list[str], init=False, repr=False)
    settings: dict[str, str] = attrs.field(init=False, repr=False)
    """By the names of their routes."""
    _engine: Engine = attrs.field(init=False, repr=False)
    _memory: ManagerMemory = attrs.field(factory=ManagerMemory, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.installed = {
            pack.id: _entry(pack.id, pack.installed) for pack in self.packs if pack.installed
        }
        self.settings = {
            "preview_method": "none",
            "db_mode": "cache",
            "policy/update": "stable-comfyui",
            "channel_url_list": "default",
        }

    @property
    def number(self) -> tuple[int, ...]:
        """The version, for comparing."""
        return tuple(int(part) for part in self.version.split("."))

    @property
    def is_package(self) -> bool:
        """Whether it is version 4, a package, rather than a custom node."""
        return self.number >= (4,)

    @property
    def memory(self) -> ManagerMemory:
        """What it holds for now."""
        return self._memory

    @property
    def engine(self) -> Engine:
        """Of the server that it is part of."""
        return self._engine

    def routes(self, engine: Engine) -> list[Route]:
        """See `Extension.routes`."""
        self._engine = engine
        return ManagerRoutes(self).routes()

    def manager_features(self) -> JSONObject:
        """See `Extension.manager_features`."""
        return {"supports_csrf_post": True} if self.number >= (4, 2) else {}

    def restart(self) -> None:
        """See `Extension.restart`."""
        self._memory.wake.set()
        self._memory = ManagerMemory()

    def allows(self, level: str) -> bool:
        """Whether the security level is low enough for a risk: ``middle`` or ``high``."""
        if self.outdated or self.security_level == "strong":
            return False
        return level == "middle" or self.security_level in {"normal-", "weak"}

    def start(self) -> bool:
        """Work the queue off. False if that is under way."""
        memory = self._memory
        if memory.at_work:
            return False
        memory.at_work = True
        memory.results.clear()
        memory.model_results.clear()
        memory.wake.set()
        return True

    async def run(self) -> None:
        """See `Extension.run`."""
        while True:
            await trio.lowlevel.checkpoint()
            memory = self._memory
            if not memory.at_work:
                await memory.wake.wait()
                memory.wake = trio.Event()
            elif memory.tasks:
                await self._do(memory, memory.tasks.popleft())
            else:
                await self._finish(memory)

    async def _finish(self, memory: ManagerMemory) -> None:
        if not self.is_package:
            self._tell(memory, {"status": "done", **_told(memory)})
        else:
            if self.old_interface:
                self._tell(memory, {"status": "batch-done", **_told(memory)})
            else:
                await trio.sleep(IDLE_SECONDS)
                if memory.tasks:
                    return
            self._tell(memory, {"status": "all-done"})
        memory.at_work = False

    def _tell(self, memory: ManagerMemory, status: JSONObject) -> None:
        if memory is self._memory:  # or else the server was started anew meanwhile
            self._engine.hub.publish("cm-queue-status", status, None)

    async def _do(self, memory: ManagerMemory, task: Task) -> None:
        memory.running = task
        named = self.is_package and not self.old_interface
        about = {"ui_id": task.task_id, "kind": task.kind, "timestamp": _now()}
        if named:
            self._engine.hub.publish("cm-task-started", about, task.client_id)
        await trio.sleep(self.task_seconds)
        memory.running = None
        if memory is not self._memory:
            return
        result = self._result(task)
        if not named:
            results = memory.model_results if task.kind == "install-model" else memory.results
            results[task.task_id] = result
            self._tell(memory, {"status": "in_progress", "target": task.task_id})
            return
        status = result if result in {"success", "skip"} else "error"
        done: JSONObject = {
            **about,
            "result": result,
            "client_id": task.client_id,
            "status": {"status_str": status, "completed": True, "messages": []},
        }
        memory.history[task.task_id] = done
        self._engine.hub.publish("cm-task-completed", done, task.client_id)

    def _result(self, task: Task) -> str:
        """Do it, and tell what became of it in Manager's words."""
        name, at = task.target.partition("@")[::2]
        known = {pack.id: pack for pack in self.packs}
        entry = self.installed.get(name)
        if task.kind in {"install-model", "enable", "disable"}:
            if entry is not None:
                entry["enabled"] = task.kind == "enable"
            return "success"
        if task.kind == "install":
            if name not in known:
                return f"Cannot resolve install target: '{task.target}'"
            self.installed[name] = _entry(name, known[name].latest if at == "latest" else at)
            return "success"
        if task.kind == "uninstall":
            self.installed.pop(name, None)
            return "success"
        if task.kind == "update-comfyui":
            return "skip"
        doing = "fixing" if task.kind == "fix" else "updating"
        if task.kind == "fix" and self.is_package and not self.allows("high"):
            return "failed"
        if entry is None:
            return f"An error occurred while {doing} '{name}'."
        if task.kind == "update" and name in known:
            if entry["ver"] == known[name].latest:
                return "skip"
            entry["ver"] = known[name].latest
        return "success"


def _entry(pack_id: str, version: str) -> JSONObject:
    return {"ver": version, "cnr_id": pack_id, "aux_id": None, "enabled": True}


def _told(memory: ManagerMemory) -> dict[str, Any]:
    return {
        "nodepack_result": dict(memory.results),
        "model_result": dict(memory.model_results),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat()
