from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_trio.testing import ComfyUIManager

from ._row import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from comfy_trio import Comfy, ManagerNamespace
    from comfy_trio.testing import EmbeddedServer

    Call = Callable[[ManagerNamespace], Coroutine[Any, Any, object]]

PACK = "comfyui-crystools"

SERVERS: dict[str, tuple[str, bool]] = {
    "3": ("3.41", False),
    "3.39": ("3.39.3", False),
    "4": ("4.3", False),
    "4.1": ("4.1", False),
    "old": ("4.3", True),
}
"""By a name: the version of the Manager, and whether it has its old interface."""


def rows(name: str, call: Call, routes: dict[str, str]) -> list[Row]:
    """Rows of a method: the route that it asks each of these Managers for."""

    async def check(comfy: Comfy, server: EmbeddedServer) -> None:
        await call(comfy.manager)

    def options(which: str) -> dict[str, Any]:
        version, old_interface = SERVERS[which]
        manager = ComfyUIManager(
            version=version,
            old_interface=old_interface,
            security_level="weak",
            allow_direct_installs=True,
        )
        return {"extensions": [manager], "version": "0.4.0"}

    return [Row(route, f"manager.{name}", check, options(which)) for which, route in routes.items()]


def both(how: str, path: str) -> dict[str, str]:
    return {"3": f"{how} {path}", "4": f"{how} /v2{path}"}


def all_four(path: str) -> dict[str, str]:
    return {
        "3": f"POST {path}",
        "3.39": f"GET {path}",
        "4": f"POST /v2{path}",
        "4.1": f"GET /v2{path}",
    }


def listed(how: str, path: str) -> dict[str, str]:
    return {"3": f"{how} {path}", "old": f"{how} /v2{path}"}


async def saved(manager: ManagerNamespace) -> str:
    await manager.save_snapshot()
    return (await manager.snapshots())[0]


async def remove_snapshot(manager: ManagerNamespace) -> None:
    await manager.remove_snapshot(await saved(manager))


async def restore_snapshot(manager: ManagerNamespace) -> None:
    await manager.restore_snapshot(await saved(manager))


async def install_model(manager: ManagerNamespace) -> None:
    model = {"filename": "taesd_decoder.safetensors", "name": "x", "type": "TAESD", "url": "..."}
    await manager.install_model(model)


async def queue_of_old_interface(manager: ManagerNamespace) -> None:
    await manager.update(PACK)
    assert (await manager.queue_status()).pending == 1
    await manager.start_queue()


async def run_of_old_interface(manager: ManagerNamespace) -> None:
    task_id = await manager.update(PACK)
    assert (await manager.run_queue())[task_id].ok


def task(kind: str) -> dict[str, str]:
    route = "install" if kind == "enable" else kind
    return {"3": f"POST /manager/queue/{route}", "4": "POST /v2/manager/queue/task"}


TABLE: Sequence[tuple[str, Call, dict[str, str]]] = [
    ("supported", lambda m: m.supported(), both("GET", "/manager/version")),
    ("version", lambda m: m.version(), both("GET", "/manager/version")),
    ("generation", lambda m: m.generation(), {"4": "GET /v2/manager/is_legacy_manager_ui"}),
    ("feature_flags", lambda m: m.feature_flags(), {"4": "GET /features"}),
    ("node_map", lambda m: m.node_map(), both("GET", "/customnode/getmappings")),
    ("packs", lambda m: m.packs(), listed("GET", "/customnode/getlist")),
    ("installed", lambda m: m.installed(), both("GET", "/customnode/installed")),
    ("models", lambda m: m.models(), listed("GET", "/externalmodel/getlist")),
    (
        "updates_available",
        lambda m: m.updates_available(),
        {
            "3": "POST /customnode/fetch_updates",
            "3.39": "GET /customnode/fetch_updates",
            "old": "GET /v2/customnode/fetch_updates",
        },
    ),
    (
        "import_failure",
        lambda m: m.import_failure(PACK),
        both("POST", "/customnode/import_fail_info"),
    ),
    ("install", lambda m: m.install(PACK), task("install")),
    ("fix", lambda m: m.fix(PACK), task("fix")),
    ("update", lambda m: m.update(PACK), task("update")),
    ("uninstall", lambda m: m.uninstall(PACK), task("uninstall")),
    ("disable", lambda m: m.disable(PACK), task("disable")),
    ("enable", lambda m: m.enable(PACK), task("enable")),
    ("install_model", install_model, both("POST", "/manager/queue/install_model")),
    ("update_all", lambda m: m.update_all(), all_four("/manager/queue/update_all")),
    ("update_comfyui", lambda m: m.update_comfyui(), all_four("/manager/queue/update_comfyui")),
    ("start_queue", lambda m: m.start_queue(), all_four("/manager/queue/start")),
    ("start_queue", queue_of_old_interface, {"old": "POST /v2/manager/queue/batch"}),
    ("run_queue", lambda m: m.run_queue(), all_four("/manager/queue/start")),
    ("run_queue", run_of_old_interface, {"old": "POST /v2/manager/queue/batch"}),
    ("queue_status", lambda m: m.queue_status(), both("GET", "/manager/queue/status")),
    ("reset_queue", lambda m: m.reset_queue(), all_four("/manager/queue/reset")),
    ("history", lambda m: m.history(), {"4": "GET /v2/manager/queue/history"}),
    (
        "install_from_git",
        lambda m: m.install_from_git("https://example.invalid/x/y"),
        listed("POST", "/customnode/install/git_url"),
    ),
    (
        "install_pip_packages",
        lambda m: m.install_pip_packages("attrs"),
        listed("POST", "/customnode/install/pip"),
    ),
    (
        "comfyui_versions",
        lambda m: m.comfyui_versions(),
        both("GET", "/comfyui_manager/comfyui_versions"),
    ),
    (
        "switch_comfyui",
        lambda m: m.switch_comfyui("v0.27.0"),
        all_four("/comfyui_manager/comfyui_switch_version"),
    ),
    ("reboot", lambda m: m.reboot(), all_four("/manager/reboot")),
    ("snapshots", lambda m: m.snapshots(), both("GET", "/snapshot/getlist")),
    ("current_snapshot", lambda m: m.current_snapshot(), both("GET", "/snapshot/get_current")),
    ("save_snapshot", lambda m: m.save_snapshot(), all_four("/snapshot/save")),
    ("remove_snapshot", remove_snapshot, all_four("/snapshot/remove")),
    ("restore_snapshot", restore_snapshot, all_four("/snapshot/restore")),
    ("preview_method", lambda m: m.preview_method(), {"3": "GET /manager/preview_method"}),
    (
        "set_preview_method",
        lambda m: m.set_preview_method("auto"),
        {"3": "POST /manager/preview_method", "3.39": "GET /manager/preview_method"},
    ),
    ("channels", lambda m: m.channels(), both("GET", "/manager/channel_url_list")),
    ("set_channel", lambda m: m.set_channel("dev"), all_four("/manager/channel_url_list")),
    ("database_mode", lambda m: m.database_mode(), both("GET", "/manager/db_mode")),
    ("set_database_mode", lambda m: m.set_database_mode("local"), all_four("/manager/db_mode")),
    ("update_policy", lambda m: m.update_policy(), both("GET", "/manager/policy/update")),
    (
        "set_update_policy",
        lambda m: m.set_update_policy("nightly-comfyui"),
        all_four("/manager/policy/update"),
    ),
]

ROWS = [row for name, call, routes in TABLE for row in rows(name, call, routes)]
