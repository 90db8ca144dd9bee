"""ComfyUI-Manager: what its answers and messages say, of all its generations.

From manager_server.py of ComfyUI-Manager 3.37 to 4.3; what it is asked, and how the generations
differ, is in `_manager_protocol`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from .._errors import ForbiddenError, ResponseError, UnsupportedError
from .._replies import raise_for_status, require_object, unexpected
from .._util import as_list, as_object, is_list, is_object, one_line
from .._wire import RawEvent
from ._manager_values import (
    ComfyUIVersions,
    InstalledPack,
    ManagerChannels,
    ManagerModel,
    ManagerPack,
    ManagerQueueStatus,
    ManagerTaskResult,
    PackNodes,
    QueueNews,
)

if TYPE_CHECKING:
    from .._replies import Reply
    from .._util import JSONObject
    from .._wire import ServerEvent


def settle(reply: Reply, action: str) -> None:
    """Raise what a reply of bad status means, by Manager's own habits.

    Args:
        reply: To the request.
        action: What was asked for: "install the pack 'x'".

    Raises:
        UnsupportedError: this Manager has no such route.
        ForbiddenError: its settings forbid it.
        ResponseError: it says no for another reason.
    """
    if reply.status < 300:
        return
    summary = reply.summary()
    said = one_line(summary.snippet)[:200]
    request = f"({summary.method} {summary.url}: HTTP status {summary.status})"
    if reply.status == 403 or (reply.status == 404 and "security error" in said):
        raise ForbiddenError(
            f"ComfyUI-Manager is not allowed to {action}: {_prohibition(reply)} {request}", summary
        )
    # A route that does not exist is answered by ComfyUI, with no or with its usual text.
    if reply.status in {405, 410} or (reply.status == 404 and said in {"", "404: Not Found"}):
        raise UnsupportedError(
            f"this generation of ComfyUI-Manager cannot {action} {request}", summary
        )
    if reply.status == 401:
        raise ResponseError(
            f"ComfyUI-Manager does not {action} while its queue is at work: wait for it, or reset"
            f" it {request}",
            summary,
        )
    if reply.status in {400, 404}:
        reason = said or "it does not say why, but the server's log may (comfy.terminal)"
        raise ResponseError(f"ComfyUI-Manager did not {action}: {reason} {request}", summary)
    raise_for_status(reply)


_SETTINGS: Final = "in the section [default] of Manager's config.ini, read when the server starts"


def _prohibition(reply: Reply) -> str:
    body = as_object(reply.json())
    reason = body.get("error") or body.get("reason")
    if reason == "comfyui_outdated":
        return "the server's ComfyUI is too old for this Manager, which then allows next to nothing"
    if isinstance(reason, str) and reason.startswith("allow_"):
        return (
            f"that takes {reason} = true {_SETTINGS}, and a server that listens at a loopback"
            " address"
        )
    return (
        f"its security level forbids it. That is security_level {_SETTINGS}; the server's address"
        " (--listen) counts, too"
    )


def read_manager_version(reply: Reply) -> str:
    """Read the reply to GET [/v2]/manager/version: ``V3.41``.

    Raises:
        UnsupportedError: the server has no Manager of this generation.
        ResponseError: it is something else.
    """
    if reply.status in {404, 405}:
        raise UnsupportedError("the server does not have ComfyUI-Manager", reply.summary())
    raise_for_status(reply)
    text = _text(reply)
    if not re.fullmatch(r"V?\d+(\.\w+)*", text):
        raise unexpected(reply, "the version of ComfyUI-Manager")
    return text


def read_is_old_interface(reply: Reply) -> bool:
    """Read the reply to GET /v2/manager/is_legacy_manager_ui.

    Raises:
        ResponseError: it is something else.
    """
    body = require_object(reply, "whether ComfyUI-Manager has its old interface")
    return body.get("is_legacy_manager_ui") is True


def read_manager_flags(reply: Reply) -> JSONObject:
    """Read what the reply to GET /features tells of Manager; empty if nothing.

    Raises:
        ResponseError: it is something else.
    """
    if reply.status == 404:
        return {}  # a server before this route
    features = require_object(reply, "the server's features")
    return as_object(as_object(features.get("extension")).get("manager"))


def read_node_map(reply: Reply) -> dict[str, PackNodes]:
    """Read the reply to GET [/v2]/customnode/getmappings.

    Raises:
        UnsupportedError, ForbiddenError, ResponseError: see `settle`; or it is something else.
    """
    settle(reply, "tell the nodes of packs")
    expected = "the nodes of packs"
    found: dict[str, PackNodes] = {}
    for pack, value in require_object(reply, expected).items():
        match value:
            case [[*nodes], about] if is_object(about):
                names = tuple(map(str, as_list(nodes)))
                found[pack] = PackNodes(names, _text_or_none(about.get("title_aux")), about)
            case _:
                raise unexpected(reply, expected)
    return found


def read_packs(reply: Reply) -> dict[str, ManagerPack]:
    """Read the reply to GET [/v2]/customnode/getlist.

    Raises:
        UnsupportedError, ForbiddenError, ResponseError: see `settle`; or it is something else.
    """
    settle(reply, "list the packs that it knows")
    expected = "the list of packs"
    packs = require_object(reply, expected).get("node_packs")
    if not is_object(packs) or not all(map(is_object, packs.values())):
        raise unexpected(reply, expected)
    return {pack_id: _pack(pack_id, about) for pack_id, about in packs.items()}


def _pack(pack_id: str, about: JSONObject) -> ManagerPack:
    update = about.get("update-state")
    return ManagerPack(
        id=pack_id,
        title=str(about.get("title") or about.get("name") or pack_id),
        version=str(about.get("active_version") or about.get("version") or ""),
        state=str(about.get("state") or ""),
        repository=_text_or_none(about.get("repository")),
        update_available=None if update is None else update in ("true", True),
        raw=about,
    )


def read_installed(reply: Reply) -> dict[str, InstalledPack]:
    """Read the reply to GET [/v2]/customnode/installed.

    Raises:
        UnsupportedError, ForbiddenError, ResponseError: see `settle`; or it is something else.
    """
    settle(reply, "list the packs that are installed")
    expected = "the packs that are installed"
    packs = require_object(reply, expected)
    if not all(map(is_object, packs.values())):
        raise unexpected(reply, expected)
    return {
        name: InstalledPack(
            name=name,
            version=str(about.get("ver") or "").strip(),
            registry_id=_text_or_none(about.get("cnr_id")),
            repository=_text_or_none(about.get("aux_id")),
            enabled=about.get("enabled") is not False,
            raw=about,
        )
        for name, about in packs.items()
    }


def read_models(reply: Reply) -> tuple[ManagerModel, ...]:
    """Read the reply to GET [/v2]/externalmodel/getlist.

    Raises:
        UnsupportedError, ForbiddenError, ResponseError: see `settle`; or it is something else.
    """
    settle(reply, "list the models that it can download")
    expected = "the list of models"
    models = require_object(reply, expected).get("models")
    if not is_list(models) or not all(map(is_object, models)):
        raise unexpected(reply, expected)
    return tuple(
        ManagerModel(
            name=str(about.get("name") or ""),
            type=str(about.get("type") or ""),
            filename=str(about.get("filename") or ""),
            url=str(about.get("url") or ""),
            installed=about.get("installed") in ("True", True),
            raw=about,
        )
        for about in models
    )


def read_updates(reply: Reply) -> bool:
    """Read the reply to [/v2]/customnode/fetch_updates: whether there are updates.

    Raises:
        UnsupportedError, ForbiddenError, ResponseError: see `settle`.
    """
    settle(reply, "look for updates")
    return reply.status == 201


def read_started(reply: Reply) -> bool:
    """Read the reply to [/v2]/manager/queue/start: False if the queue was at work already.

    Raises:
        UnsupportedError, ForbiddenError, ResponseError: see `settle`.
    """
    settle(reply, "start its queue")
    return reply.status != 201


def read_refused(reply: Reply) -> frozenset[str]:
    """Read the reply to POST /v2/manager/queue/batch: the packs and models that it refuses.

    Raises:
        UnsupportedError, ForbiddenError, ResponseError: see `settle`; or it is something else.
    """
    settle(reply, "start its queue")
    failed = require_object(reply, "what is refused").get("failed")
    return frozenset(map(str, as_list(failed)))


def read_queue_status(reply: Reply) -> ManagerQueueStatus:
    """Read the reply to GET [/v2]/manager/queue/status.

    Raises:
        UnsupportedError, ForbiddenError, ResponseError: see `settle`; or it is something else.
    """
    settle(reply, "tell the state of its queue")
    expected = "the state of Manager's queue"
    body = require_object(reply, expected)
    try:
        done = int(body["done_count"])
        running = int(body.get("in_progress_count", 0))
        # Manager 3 counts what is done into the total; Manager 4 tells what is pending.
        pending = int(body.get("pending_count", int(body["total_count"]) - done - running))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise unexpected(reply, expected) from None
    return ManagerQueueStatus(max(pending, 0), running, done, body.get("is_processing") is True)


def read_history(reply: Reply) -> dict[str, ManagerTaskResult]:
    """Read the reply to GET /v2/manager/queue/history.

    Raises:
        UnsupportedError, ForbiddenError, ResponseError: see `settle`; or it is something else.
    """
    settle(reply, "tell what became of its tasks")
    expected = "what became of Manager's tasks"
    history = require_object(reply, expected).get("history")
    if not is_object(history):
        raise unexpected(reply, expected)
    return {
        task_id: _result(task_id, item.get("result"))
        for task_id, item in history.items()
        if is_object(item)
    }


def queue_news(event: ServerEvent) -> QueueNews | None:
    """Return what an event tells of the queue; None if it tells nothing of it."""
    if not (isinstance(event, RawEvent) and is_object(event.data)):
        return None
    data = event.data
    if event.type == "cm-task-completed":
        task_id = str(data.get("ui_id"))
        return QueueNews({task_id: _result(task_id, data.get("result"))}, over=False)
    if event.type != "cm-queue-status":
        return None
    told = {**as_object(data.get("nodepack_result")), **as_object(data.get("model_result"))}
    results = {task_id: _result(task_id, message) for task_id, message in told.items()}
    return QueueNews(results, over=data.get("status") in ("done", "all-done"))


def _result(task_id: str, message: object) -> ManagerTaskResult:
    if is_object(message):  # of an update of all packs
        message = message.get("msg")
    text = str(message)
    ok = text in {"success", "skip"} or text.startswith("success-")
    return ManagerTaskResult(task_id, ok, text)


def read_snapshots(reply: Reply) -> tuple[str, ...]:
    """Read the reply to GET [/v2]/snapshot/getlist.

    Raises:
        UnsupportedError, ForbiddenError, ResponseError: see `settle`; or it is something else.
    """
    settle(reply, "list its snapshots")
    return _names(reply, "items", "the list of snapshots")


def read_snapshot(reply: Reply) -> JSONObject:
    """Read the reply to GET [/v2]/snapshot/get_current.

    Raises:
        UnsupportedError, ForbiddenError, ResponseError: see `settle`; or it is something else.
    """
    settle(reply, "take a snapshot")
    return require_object(reply, "a snapshot")


def read_comfyui_versions(reply: Reply) -> ComfyUIVersions:
    """Read the reply to GET [/v2]/comfyui_manager/comfyui_versions.

    Raises:
        UnsupportedError, ForbiddenError, ResponseError: see `settle`; or it is something else.
    """
    settle(reply, "list the versions of ComfyUI")
    expected = "the versions of ComfyUI"
    versions = _names(reply, "versions", expected)
    return ComfyUIVersions(versions, str(as_object(reply.json()).get("current") or ""))


def read_channels(reply: Reply) -> ManagerChannels:
    """Read the reply to GET [/v2]/manager/channel_url_list.

    Raises:
        UnsupportedError, ForbiddenError, ResponseError: see `settle`; or it is something else.
    """
    settle(reply, "list its channels")
    channels = _names(reply, "list", "the list of channels")
    urls = {name: url for name, _, url in (channel.partition("::") for channel in channels)}
    return ManagerChannels(str(as_object(reply.json()).get("selected") or ""), urls)


def read_setting(reply: Reply, action: str) -> str:
    """Read the reply to a GET of one of Manager's settings.

    Raises:
        UnsupportedError, ForbiddenError, ResponseError: see `settle`; or it is something else.
    """
    settle(reply, action)
    text = _text(reply)
    if not re.fullmatch(r"[\w-]+", text):
        raise unexpected(reply, "one word, which is a setting of ComfyUI-Manager")
    return text


def read_import_failure(reply: Reply) -> JSONObject | None:
    """Read the reply to POST [/v2]/customnode/import_fail_info; None if nothing failed.

    Raises:
        UnsupportedError, ForbiddenError, ResponseError: see `settle`; or it is something else.
    """
    if reply.status == 400 and not reply.content:
        return None
    settle(reply, "tell why a pack was not imported")
    return require_object(reply, "why a pack was not imported")


def _names(reply: Reply, key: str, expected: str) -> tuple[str, ...]:
    names: Any = require_object(reply, expected).get(key)
    if not is_list(names) or not all(isinstance(name, str) for name in names):
        raise unexpected(reply, expected)
    return tuple(names)


def _text(reply: Reply) -> str:
    return reply.content.decode(errors="replace").strip()


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
