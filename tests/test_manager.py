"""`Comfy.manager`: one set of methods for all generations of ComfyUI-Manager."""

from __future__ import annotations

import json
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from comfy_trio import (
    Comfy,
    DisconnectedError,
    ForbiddenError,
    ManagerGeneration,
    ManagerQueueStatus,
    ReconnectPolicy,
    ResponseError,
    ServerUnreachableError,
    UnsupportedError,
    open_comfy,
)
from comfy_trio._replies import Reply, get
from comfy_trio._routes import _manager as routes
from comfy_trio._routes._manager_protocol import ManagerProtocol, ManagerTask
from comfy_trio._wire import RawEvent, Status
from comfy_trio.testing import ComfyUIManager, EmbeddedServer, KnownPack, open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from trio.testing import MockClock

PACK = "comfyui-crystools"
IMPACT = "comfyui-impact-pack"
GENERATIONS: dict[str, dict[str, Any]] = {
    "3": {"version": "3.41"},
    "3.39": {"version": "3.39.3"},
    "4": {"version": "4.3"},
    "4.1": {"version": "4.1"},
    "4 old": {"version": "4.3", "old_interface": True},
}
each_generation = pytest.mark.parametrize("options", GENERATIONS.values(), ids=GENERATIONS)


@asynccontextmanager
async def opened(
    options: dict[str, Any], **client: Any
) -> AsyncGenerator[tuple[Comfy, EmbeddedServer, ComfyUIManager], None]:
    settings: dict[str, Any] = {"security_level": "normal-", **options}
    manager = ComfyUIManager(**settings)
    async with (
        open_embedded_server(extensions=[manager]) as server,
        open_comfy(server.url, transport=server.transport, **client) as comfy,
    ):
        yield comfy, server, manager


def reply(body: object = b"", status: int = 200) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(get("/manager"), "http://h/api/manager", status, content, "text/plain")


# What replies say.

READERS: list[Callable[[Reply], object]] = [
    routes.read_node_map,
    routes.read_packs,
    routes.read_installed,
    routes.read_models,
    routes.read_refused,
    routes.read_queue_status,
    routes.read_history,
    routes.read_snapshots,
    routes.read_snapshot,
    routes.read_comfyui_versions,
    routes.read_channels,
    routes.read_import_failure,
    routes.read_is_old_interface,
    lambda reply: routes.read_setting(reply, "tell"),
    routes.read_manager_version,
    routes.read_manager_flags,
]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("body", [b"", b'{"node_packs": ', b"<html>", [], "text"])
def test_replies_that_hold_something_else(read: Callable[[Reply], object], body: object) -> None:
    with pytest.raises(ResponseError, match="http://h/api/manager should have been answered with"):
        read(reply(body))


WRONG: list[tuple[Callable[[Reply], object], object]] = [
    (routes.read_node_map, {"x": [[], []]}),
    (routes.read_node_map, {"x": {}}),
    (routes.read_packs, {"node_packs": {"x": 1}}),
    (routes.read_packs, {}),
    (routes.read_installed, {"x": "1.0"}),
    (routes.read_models, {"models": {}}),
    (routes.read_models, {"models": [1]}),
    (routes.read_queue_status, {"done_count": 1}),
    (routes.read_queue_status, {"done_count": "x", "total_count": 1}),
    (routes.read_history, {"history": []}),
    (routes.read_snapshots, {"items": [1]}),
    (routes.read_comfyui_versions, {"versions": None}),
    (routes.read_channels, {"list": "x"}),
]


@pytest.mark.parametrize(("read", "body"), WRONG)
def test_wrong_shapes(read: Callable[[Reply], object], body: object) -> None:
    with pytest.raises(ResponseError, match="should have been answered with"):
        read(reply(body))


REFUSALS: list[tuple[int, object, type[ResponseError], str]] = [
    (403, b"", ForbiddenError, "is not allowed to do it: its security level forbids it"),
    (403, {"error": "security_level"}, ForbiddenError, "security_level in the section"),
    (403, {"error": "comfyui_outdated"}, ForbiddenError, "ComfyUI is too old for this Manager"),
    (403, {"error": "allow_pip_install"}, ForbiddenError, "takes allow_pip_install = true"),
    (403, {"reason": "allow_git_url_install"}, ForbiddenError, "allow_git_url_install = true"),
    (404, b"A security error has occurred.", ForbiddenError, "its security level forbids it"),
    (404, b"", UnsupportedError, "this generation of ComfyUI-Manager cannot do it"),
    (404, b"404: Not Found", UnsupportedError, "cannot do it"),
    (405, b"405: Method Not Allowed", UnsupportedError, "cannot do it"),
    (410, {"deprecated": True}, UnsupportedError, "cannot do it"),
    (404, b"no nightly version", ResponseError, "did not do it: no nightly version"),
    (400, b"Invalid target", ResponseError, "did not do it: Invalid target"),
    (400, b"", ResponseError, r"did not do it: it does not say why, .* \(comfy.terminal\)"),
    (401, b"", ResponseError, "does not do it while its queue is at work"),
    (500, b"500: trouble", ResponseError, "HTTP status 500: 500: trouble"),
]


@pytest.mark.parametrize(("status", "body", "error", "message"), REFUSALS)
def test_refusals(status: int, body: object, error: type[ResponseError], message: str) -> None:
    with pytest.raises(ResponseError, match=message) as caught:
        routes.settle(reply(body, status), "do it")
    assert type(caught.value) is error
    assert caught.value.status == status


@pytest.mark.parametrize("status", [200, 201])
def test_good_statuses(status: int) -> None:
    routes.settle(reply(b"", status), "do it")
    assert routes.read_updates(reply(b"", status)) is (status == 201)
    assert routes.read_started(reply(b"", status)) is (status == 200)


def test_missing_fields_are_tolerated() -> None:
    (pack,) = routes.read_packs(reply({"node_packs": {"x": {"new": 1}}})).values()
    assert (pack.id, pack.title, pack.update_available, pack.raw) == ("x", "x", None, {"new": 1})
    (installed,) = routes.read_installed(reply({"x": {"ver": "abc\n"}})).values()
    assert (installed.version, installed.registry_id, installed.enabled) == ("abc", None, True)
    (model,) = routes.read_models(reply({"models": [{"installed": "True"}]}))
    assert (model.name, model.installed) == ("", True)
    mapped: dict[str, Any] = {"x": [["A"], {}]}
    (nodes,) = routes.read_node_map(reply(mapped)).values()
    assert (nodes.nodes, nodes.title) == (("A",), None)


def test_both_ways_to_count() -> None:
    old = {"total_count": 6, "done_count": 3, "in_progress_count": 1, "is_processing": True}
    new = {**old, "total_count": 3, "pending_count": 2}
    for body in (old, new):
        status = routes.read_queue_status(reply(body))
        assert status == ManagerQueueStatus(pending=2, running=1, done=3, processing=True)
        assert status.at_work


@pytest.mark.parametrize(
    ("said", "ok"),
    [
        ("success", True),
        ("skip", True),
        ("success-nightly", True),
        ("failed", False),
        (None, False),
    ],
)
def test_results(said: object, ok: bool) -> None:
    data = {"status": "done", "nodepack_result": {"1": said, "2": {"msg": said}}}
    news = routes.queue_news(RawEvent("cm-queue-status", data))
    assert news is not None
    assert [result.ok for result in news.results.values()] == [ok, ok]
    assert news.over


def test_events_that_tell_nothing_of_the_queue() -> None:
    assert routes.queue_news(Status(1)) is None
    assert routes.queue_news(RawEvent("cm-queue-status", [])) is None
    assert routes.queue_news(RawEvent("other", {})) is None


# What is asked.


def protocol(version: str, generation: ManagerGeneration) -> ManagerProtocol:
    return ManagerProtocol(version, generation, "me")


def test_packs_that_are_in_no_registry() -> None:
    url = "https://github.com/somebody/Some-Pack.git"
    task = ManagerTask("1", "uninstall", url)
    assert task.params() == {"node_name": "Some-Pack", "is_unknown": True}
    assert task.item()["version"] == "unknown"
    assert task.item()["files"] == [url]
    assert ManagerTask("1", "update", url).params() == {
        "node_name": "Some-Pack",
        "node_ver": "unknown",
    }


def test_a_nightly_version() -> None:
    task = ManagerTask("1", "install", "x", "nightly", repository="https://h/x")
    item, params = task.item(), task.params()
    assert (item["selected_version"], item["repository"]) == ("nightly", "https://h/x")
    assert (params["selected_version"], params["repository"]) == ("nightly", "https://h/x")


@pytest.mark.parametrize(
    ("version", "generation", "how", "query", "body"),
    [
        ("V3.39.3", ManagerGeneration.QUEUE, "GET", (("target", "x"),), None),
        ("V3.40", ManagerGeneration.QUEUE, "POST", (), {"target": "x"}),
        ("V4.1b5", ManagerGeneration.TASKS, "GET", (("target", "x"),), None),
        ("V4.2.1", ManagerGeneration.TASKS, "POST", (("target", "x"),), None),
        ("V4.3", ManagerGeneration.BATCHES, "POST", (("target", "x"),), None),
    ],
)
def test_where_values_go(
    version: str, generation: ManagerGeneration, how: str, query: object, body: object
) -> None:
    request = protocol(version, generation).act("/snapshot/remove", target="x")
    assert (request.method, request.params, request.json) == (how, query, body)
    setting = protocol(version, generation).configure("/manager/db_mode", value="local")
    assert setting.json == ({"value": "local"} if how == "POST" else None)


@pytest.mark.parametrize(("version", "sent"), [("V3.40", b"u"), ("V3.41", None), ("V4.3", b"u")])
def test_a_repository_is_sent_as_text_or_as_json(version: str, sent: bytes | None) -> None:
    request = protocol(version, ManagerGeneration.QUEUE).install_from_git("u")
    assert request.content == sent
    assert request.json == (None if sent else {"url": "u"})


# With servers.


@each_generation
async def test_what_there_is(options: dict[str, Any], autojump_clock: MockClock) -> None:
    async with opened(options) as (comfy, server, _):
        manager = comfy.manager
        assert await manager.supported()
        assert await manager.version() == f"V{options['version']}"
        assert (await manager.installed())[PACK].version == "1.27.0"
        assert (await manager.node_map())[
            "https://github.com/crystian/comfyui-crystools"
        ].nodes == ("Primitive boolean [Crystools]",)
        flags = await manager.feature_flags()
        assert flags.get("supports_csrf_post", False) is (options["version"] == "4.3")
        if await manager.generation() is ManagerGeneration.TASKS:
            for call in (manager.packs, manager.models, manager.updates_available):
                with pytest.raises(UnsupportedError, match="this generation of ComfyUI-Manager"):
                    await call()
        else:
            packs = await manager.packs()
            assert (packs[PACK].state, packs[PACK].update_available) == ("enabled", True)
            assert (packs[IMPACT].state, packs[IMPACT].version) == ("not-installed", "8.22.2")
            assert (await manager.models())[0].filename == "taesd_decoder.safetensors"
            assert await manager.updates_available()
        assert await manager.import_failure(PACK) is None
        assert server.statistics().requests.get("GET /object_info", 0) == 0


@each_generation
async def test_tasks(options: dict[str, Any], autojump_clock: MockClock) -> None:
    async with opened(options) as (comfy, _, _double):
        manager = comfy.manager
        ids = {
            "install": await manager.install(IMPACT),
            "unknown": await manager.install("no-such-pack"),
            "update": await manager.update(PACK),
            "again": await manager.update(PACK),
            "fix": await manager.fix("no-such-pack"),
            "disable": await manager.disable(PACK),
            "comfyui": await manager.update_comfyui(),
        }
        assert (await manager.queue_status()).pending == 7
        results = await manager.run_queue()
        assert {name: results[task_id].ok for name, task_id in ids.items()} == {
            "install": True,
            "unknown": False,
            "update": True,
            "again": True,
            "fix": False,
            "disable": True,
            "comfyui": True,
        }
        assert "no-such-pack@latest" in results[ids["unknown"]].message
        assert results[ids["again"]].message == "skip"
        installed = await manager.installed()
        assert installed[IMPACT].version == "8.22.2"
        assert (installed[PACK].version, installed[PACK].enabled) == ("1.27.4", False)
        await manager.enable(PACK)
        removal = await manager.uninstall(IMPACT)
        assert (await manager.run_queue())[removal].ok
        installed = await manager.installed()
        assert list(installed) == [PACK]
        assert installed[PACK].enabled
        assert await manager.run_queue() == {}


@each_generation
async def test_updating_all(options: dict[str, Any], autojump_clock: MockClock) -> None:
    async with opened(options) as (comfy, _, _double):
        whole = await comfy.manager.update_all()
        ((task_id, result),) = (await comfy.manager.run_queue()).items()
        assert task_id == (
            PACK if options["version"] < "4" or "old_interface" in options else f"{whole}_{PACK}"
        )
        assert result.ok
        assert (await comfy.manager.installed())[PACK].version == "1.27.4"


@each_generation
async def test_a_model(options: dict[str, Any], autojump_clock: MockClock) -> None:
    async with opened(options) as (comfy, _, double):
        task_id = await comfy.manager.install_model(double.models[0])
        assert (await comfy.manager.run_queue())[task_id].ok
        if await comfy.manager.generation() is ManagerGeneration.QUEUE:
            with pytest.raises(ResponseError, match="did not install a model 'x': Invalid model"):
                await comfy.manager.install_model({"name": "x", "filename": "y"})


@each_generation
async def test_starting_and_resetting(options: dict[str, Any], autojump_clock: MockClock) -> None:
    async with opened(options) as (comfy, _, _double):
        manager = comfy.manager
        for _ in range(3):
            await manager.update(PACK)
        await manager.reset_queue()
        assert (await manager.queue_status()).pending == 0
        for _ in range(3):
            await manager.update(PACK)
        assert await manager.start_queue()
        await trio.sleep(0.5)
        assert not await manager.start_queue()
        status = await manager.queue_status()
        assert (status.pending, status.running, status.at_work) == (2, 1, True)


async def test_a_queue_that_is_at_work_for_an_update_of_all(autojump_clock: MockClock) -> None:
    async with opened({"version": "3.41"}) as (comfy, _, _double):
        await comfy.manager.update(PACK)
        await comfy.manager.start_queue()
        await trio.sleep(0.5)
        with pytest.raises(ResponseError, match="does not update all packs while its queue is at"):
            await comfy.manager.update_all()


async def test_tasks_that_begin_before_anybody_waits(autojump_clock: MockClock) -> None:
    async with opened({"version": "4.3"}) as (comfy, _, _double):
        first = await comfy.manager.update(PACK)
        await comfy.manager.start_queue()
        await trio.sleep(1.5)
        whole = await comfy.manager.update_all()
        await trio.sleep(1.5)
        results = await comfy.manager.run_queue()
        assert set(results) == {first, f"{whole}_{PACK}"}
        assert results == await comfy.manager.history()


@pytest.mark.parametrize("version", ["4.3", "4.1"])
async def test_results_while_the_socket_is_away(version: str, autojump_clock: MockClock) -> None:
    async with opened({"version": version, "task_seconds": 3}) as (comfy, server, _):
        ids = [await comfy.manager.update(PACK) for _ in range(3)]
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def lose() -> None:
                await trio.sleep(4)
                server.faults.answer("GET /ws", 503, times=3)
                server.faults.drop_sockets()

            if version == "4.3":
                results = await comfy.manager.run_queue()
                assert list(results) == ids
            else:  # its history is broken
                with pytest.raises(DisconnectedError, match="what became of the tasks"):
                    await comfy.manager.run_queue()


async def test_version_3_tells_of_all_tasks_in_the_end(autojump_clock: MockClock) -> None:
    async with opened({"version": "3.41"}) as (comfy, server, _):
        ids = [await comfy.manager.update(PACK) for _ in range(9)]
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def lose() -> None:
                await trio.sleep(2.5)
                server.faults.drop_sockets()

            assert list(await comfy.manager.run_queue()) == ids


async def test_results_that_are_lost(autojump_clock: MockClock) -> None:
    async with opened({"version": "3.41"}, reconnect=ReconnectPolicy(attempts=1)) as (
        comfy,
        server,
        _,
    ):
        await comfy.manager.update(PACK)
        server.faults.answer("GET /ws", 503, times=math.inf)
        server.faults.drop_sockets()
        await trio.sleep(5)
        with trio.fail_after(60), pytest.raises(DisconnectedError, match="See what is installed"):
            await comfy.manager.run_queue()
        assert (await comfy.manager.installed())[PACK].version == "1.27.4"


async def test_a_wait_that_is_cancelled_leaves_the_tasks_alone(autojump_clock: MockClock) -> None:
    async with opened({"version": "3.41"}) as (comfy, _, _double):
        await comfy.manager.update(PACK)
        with trio.move_on_after(0.5) as waiting:
            await comfy.manager.run_queue()
        assert waiting.cancelled_caught
        await trio.sleep(5)
        assert (await comfy.manager.installed())[PACK].version == "1.27.4"


# What is forbidden.


@each_generation
async def test_a_strong_security_level(options: dict[str, Any], autojump_clock: MockClock) -> None:
    async with opened({**options, "security_level": "strong"}) as (comfy, _, _double):
        manager = comfy.manager
        calls = [manager.update_all(), manager.remove_snapshot("x"), manager.reboot()]
        if await manager.generation() is ManagerGeneration.QUEUE:
            calls += [manager.install(IMPACT), manager.update(PACK), manager.fix(PACK)]
        for call in calls:
            with pytest.raises(ForbiddenError, match="its security level forbids it"):
                await call


async def test_tasks_that_a_batch_refuses(autojump_clock: MockClock) -> None:
    options = {**GENERATIONS["4 old"], "security_level": "strong"}
    async with opened(options) as (comfy, _, _double):
        refused = await comfy.manager.install(IMPACT)
        done = await comfy.manager.disable(PACK)
        with pytest.raises(ForbiddenError, match=f"these are refused: .*: {refused}$"):
            await comfy.manager.start_queue()
        await trio.sleep(5)
        assert not (await comfy.manager.installed())[PACK].enabled
        refused = await comfy.manager.install(IMPACT)
        done = await comfy.manager.disable(PACK)
        results = await comfy.manager.run_queue()
        assert {k: result.ok for k, result in results.items()} == {refused: False, done: True}


@pytest.mark.parametrize("name", ["3", "3.39", "4 old"])
async def test_direct_installs(name: str, autojump_clock: MockClock) -> None:
    url = "https://example.invalid/somebody/some-pack"
    async with opened(GENERATIONS[name]) as (comfy, _, double):
        with pytest.raises(ForbiddenError, match="allow_git_url_install = true in the section"):
            await comfy.manager.install_from_git(url)
        with pytest.raises(ForbiddenError, match="allow_pip_install = true in the section"):
            await comfy.manager.install_pip_packages("attrs", "trio")
        double.allow_direct_installs = True
        await comfy.manager.install_from_git(url)
        assert (await comfy.manager.installed())["some-pack"].repository == "somebody/some-pack"
        await comfy.manager.install_pip_packages("attrs", "trio")


async def test_a_comfyui_that_is_too_old(autojump_clock: MockClock) -> None:
    async with opened({"version": "3.41", "outdated": True}) as (comfy, _, _double):
        with pytest.raises(ForbiddenError, match="the server's ComfyUI is too old"):
            await comfy.manager.restore_snapshot("x")


# Snapshots, settings, reboots.


@each_generation
async def test_snapshots(options: dict[str, Any], autojump_clock: MockClock) -> None:
    async with opened(options) as (comfy, _, _double):
        manager = comfy.manager
        assert await manager.snapshots() == ()
        await manager.save_snapshot()
        await manager.save_snapshot()
        latest, first = await manager.snapshots()
        await manager.restore_snapshot(first)
        await manager.remove_snapshot(first)
        await manager.remove_snapshot(first)
        assert await manager.snapshots() == (latest,)
        with pytest.raises(ResponseError, match=f"did not restore the snapshot '{first}'"):
            await manager.restore_snapshot(first)
        assert PACK in str(await manager.current_snapshot())


@each_generation
async def test_settings(options: dict[str, Any], autojump_clock: MockClock) -> None:
    async with opened(options) as (comfy, _, _double):
        manager = comfy.manager
        await manager.set_channel("dev")
        channels = await manager.channels()
        assert channels.selected == "dev"
        assert channels.urls["default"] == "https://example.invalid/default"
        await manager.set_database_mode("local")
        assert await manager.database_mode() == "local"
        await manager.set_update_policy("nightly-comfyui")
        assert await manager.update_policy() == "nightly-comfyui"
        assert (await manager.comfyui_versions()).current == "v0.27.0"


@pytest.mark.parametrize("version", ["3.41", "3.39.3"])
async def test_the_preview_method(version: str, autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server(
            version="0.4.0", extensions=[ComfyUIManager(version=version)]
        ) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        assert await comfy.manager.preview_method() == "none"
        await comfy.manager.set_preview_method("taesd")
        assert await comfy.manager.preview_method() == "taesd"
    async with opened({"version": version}) as (comfy, _, _double):
        assert await comfy.manager.preview_method() is None
        with pytest.raises(UnsupportedError, match="ComfyUI itself decides how previews are made"):
            await comfy.manager.set_preview_method("taesd")


@each_generation
async def test_a_reboot(options: dict[str, Any], autojump_clock: MockClock) -> None:
    async with opened(options) as (comfy, server, _):
        await comfy.manager.version()
        before = server.statistics().requests["GET /ws"]
        began = trio.current_time()
        await comfy.manager.reboot(wait=True)
        assert trio.current_time() - began >= 3
        assert comfy.connection_state.value == "connected"
        assert server.statistics().requests["GET /ws"] > before
        asked = [n for route, n in server.statistics().requests.items() if "reboot" in route]
        assert asked == [1]
        assert await comfy.manager.supported()


async def test_a_reboot_that_nobody_waits_for(autojump_clock: MockClock) -> None:
    async with opened({}) as (comfy, _, _double):
        began = trio.current_time()
        await comfy.manager.reboot()
        assert trio.current_time() == began
        with pytest.raises((DisconnectedError, ServerUnreachableError)):
            await comfy.terminal.logs()


async def test_a_reboot_that_outlasts_the_client(autojump_clock: MockClock) -> None:
    policy = ReconnectPolicy(attempts=2)
    async with opened({"reboot_seconds": 100}, reconnect=policy) as (comfy, _, _double):
        await comfy.manager.reboot(wait=True)
        assert trio.current_time() >= 100
        assert comfy.connection_state.value == "failed"
        assert await comfy.manager.supported()


@pytest.mark.parametrize("status", [200, 502, 504])
async def test_a_reboot_that_is_answered(status: int, autojump_clock: MockClock) -> None:
    async with opened({}) as (comfy, server, _):
        server.faults.answer("POST /v2/manager/reboot", status)
        await comfy.manager.reboot()


# Finding out.


async def test_it_is_found_out_once(autojump_clock: MockClock) -> None:
    async with opened({"version": "3.41"}) as (comfy, server, _):
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(comfy.manager.installed)
        asked = server.statistics().requests
        assert asked["GET /manager/version"] == 1
        assert asked["unknown"] == 1
        server.faults.drop_sockets()
        await trio.sleep(5)
        await comfy.manager.installed()
        assert server.statistics().requests["GET /manager/version"] == 2


async def test_a_server_without_it(autojump_clock: MockClock, comfy: Comfy) -> None:
    assert not await comfy.manager.supported()
    with pytest.raises(UnsupportedError, match=r"^the server does not have ComfyUI-Manager$"):
        await comfy.manager.installed()
    with pytest.raises(UnsupportedError):
        await comfy.manager.run_queue()
    assert await comfy.manager.feature_flags() == {"supports_v4": True}


async def test_a_server_of_one_s_own(autojump_clock: MockClock) -> None:
    pack = KnownPack(id="x", title="X", repository="https://example.invalid/x")
    async with opened({"version": "3.41", "packs": [pack]}) as (comfy, server, double):
        await comfy.manager.install("x", version="0.9")
        await comfy.manager.run_queue()
        assert double.installed["x"]["ver"] == "0.9"
        server.restart()
        await trio.sleep(5)
        assert (await comfy.manager.installed())["x"].version == "0.9"
        assert (await comfy.manager.queue_status()).done == 0
