"""`Comfy.system`: what the server is, how it is, and what it can do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio
from bad_replies import check_refuses, check_refuses_bad_replies, reply_to
from trio.testing import Sequencer, wait_all_tasks_blocked

from comfy_trio import Comfy, NotComfyUIError, ResponseError, open_comfy
from comfy_trio._capabilities import SINCE
from comfy_trio._routes._system import (
    FEATURES,
    STATS,
    has_feature,
    read_features,
    read_info,
    read_stats,
)
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from trio.testing import MockClock

    from comfy_trio import ServerInfo
    from comfy_trio.testing import EmbeddedServer


# Reading


def info_of(system: Any, features: Any = None, features_status: int = 200) -> ServerInfo:
    return read_info(
        reply_to(STATS, {"system": system, "devices": []}),
        reply_to(FEATURES, features or {}, features_status),
    )


def test_bad_replies() -> None:
    check_refuses_bad_replies(read_stats, STATS)
    check_refuses_bad_replies(read_features, FEATURES)
    good = reply_to(STATS, {"system": {}})
    check_refuses_bad_replies(lambda reply: read_info(reply, reply), STATS)
    check_refuses_bad_replies(lambda reply: read_info(good, reply), FEATURES)


@pytest.mark.parametrize(
    "body", [[], {}, {"system": {}}, {"devices": []}, {"system": [], "devices": []}]
)
def test_what_is_no_state(body: Any) -> None:
    check_refuses(read_stats, STATS, body)


def test_unknown_fields_of_the_state_are_kept() -> None:
    body = {"system": {"os": "linux", "new": 1}, "devices": [], "newer": [2]}
    assert read_stats(reply_to(STATS, body)) == body


def test_servers_without_features() -> None:
    for status in (404, 405):
        assert read_features(reply_to(FEATURES, b"", status)) == {}
    info = info_of({"comfyui_version": "0.3.40"}, features_status=404)
    assert info.features == {}
    assert info.max_upload_size is None
    assert not info.preview_metadata


def test_what_a_version_says() -> None:
    info = info_of({"comfyui_version": "v0.3.64-2-gabc", "os": "posix", "argv": ["main.py"]})
    assert (info.version, info.release) == ("v0.3.64-2-gabc", (0, 3, 64))
    assert info.can.targeted_interrupt
    assert not info.can.jobs
    assert info.system["argv"] == ["main.py"]


@pytest.mark.parametrize("system", [{}, {"comfyui_version": "nightly"}, None, []])
def test_an_unknown_version_is_taken_to_be_the_newest(system: Any) -> None:
    info = info_of(system)
    assert info.release is None
    assert info.version == ("nightly" if system and isinstance(system, dict) else None)
    assert all(getattr(info.can, name) for name in SINCE)


@pytest.mark.parametrize("version", [None, 27, ["0.27.0"]])
def test_a_version_that_is_no_text(version: object) -> None:
    assert info_of({"comfyui_version": version}).version is None


def test_features_outrank_the_release() -> None:
    old = {"comfyui_version": "0.3.64"}
    assert info_of(old, {"node_replacements": True}).can.node_replacements
    assert not info_of({}, {"node_replacements": False}).can.node_replacements


FLAGS: dict[str, Any] = {
    "on": True,
    "off": False,
    "one": 1,
    "text": "true",
    "extension": {"manager": {"supports_v4": True}, "deep.dots": True},
    "a.b": True,
    "on.off": False,
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("on", True),
        ("off", False),
        ("one", False),
        ("text", False),
        ("none", False),
        ("extension", False),
        ("extension.manager.supports_v4", True),
        ("extension.manager.supports_v5", False),
        ("extension.none.supports_v4", False),
        ("on.more", False),
        ("a.b", True),
        ("on.off", False),
        ("", False),
        (".", False),
    ],
)
def test_features_by_name(name: str, expected: bool) -> None:
    assert has_feature(FLAGS, name) is expected
    assert info_of({}, FLAGS).supports(name) is expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (104857600.0, 104857600),
        (7, 7),
        (1.5, 1),
        (-1, None),
        (True, None),
        ("7", None),
        (None, None),
        (math.inf, None),
        (math.nan, None),
    ],
)
def test_the_largest_request(told: object, expected: int | None) -> None:
    assert info_of({}, {"max_upload_size": told}).max_upload_size == expected


def test_what_is_switched_on() -> None:
    info = info_of({}, {"assets": True, "supports_preview_metadata": True})
    assert info.assets_enabled
    assert info.preview_metadata
    assert not info_of({}, {"assets": "yes"}).assets_enabled


# Asking


@pytest.mark.parametrize("version", ["0.3.45", "0.3.64", "0.22.0", "0.27.0"])
async def test_a_server(version: str, autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server(version=version, max_upload_size=12345) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        info = await comfy.system.info()
        assert info.version == version
        assert {name: getattr(info.can, name) for name in SINCE} == {
            name: info.release is not None and info.release >= since
            for name, since in SINCE.items()
        }
        assert info.max_upload_size == 12345
        assert info.preview_metadata
        assert not info.assets_enabled
        assert repr(info).startswith(f"ServerInfo(version='{version}', release=(0, ")
        stats = await comfy.system.stats()
        assert stats["system"]["comfyui_version"] == version
        assert ("comfy_package_versions" in stats["system"]) == info.can.package_versions
        assert stats["devices"][0]["vram_total"] > 0


async def test_ping(autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer) -> None:
    assert await comfy.system.ping() == 0
    server.faults.slow("GET /prompt", 1.5)
    assert await comfy.system.ping() == pytest.approx(1.5)
    server.faults.clear()
    server.faults.answer("GET /prompt", 200, "<html>")
    with pytest.raises(NotComfyUIError):
        await comfy.system.ping()


async def test_free_memory(autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer) -> None:
    await comfy.run(prompts.image())
    cached = server.statistics().cached
    assert cached
    await comfy.system.free_memory(free_memory=False)
    await wait_all_tasks_blocked()
    assert server.statistics().cached == cached
    await comfy.system.free_memory()
    await wait_all_tasks_blocked()
    assert server.statistics().cached == 0
    server.faults.answer("POST /free", 500)
    with pytest.raises(ResponseError, match=r"POST .*/api/free was answered with HTTP status 500"):
        await comfy.system.free_memory()


# Asked once


def asked(server: EmbeddedServer) -> tuple[int, int]:
    requests = server.statistics().requests
    return requests.get("GET /system_stats", 0), requests.get("GET /features", 0)


async def test_who_does_not_ask_pays_nothing(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    await comfy.run(prompts.image())
    assert asked(server) == (0, 0)


async def test_the_server_is_asked_once(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    first = await comfy.system.info()
    assert await comfy.system.info() is first
    await comfy.validate(prompts.image())
    assert asked(server) == (1, 1)
    assert await comfy.system.info(refresh=True) is not first
    assert asked(server) == (2, 2)


async def test_after_a_lost_connection_it_is_asked_again(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    first = await comfy.system.info()
    server.faults.drop_sockets()
    assert await comfy.system.info() is first
    await trio.sleep(5)
    assert comfy.connection_state.value == "connected"
    assert await comfy.system.info() is not first
    assert asked(server) == (2, 2)


async def test_an_answer_from_before_a_reconnection_is_not_kept(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.slow("GET /system_stats", 10, times=1)
    answers: list[ServerInfo] = []

    async def ask() -> None:
        answers.append(await comfy.system.info())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        server.faults.drop_sockets()
        await trio.sleep(5)
        answers.append(await comfy.system.info())
        assert len(answers) == 1
    assert len(answers) == 2
    assert await comfy.system.info() is answers[0]
    assert asked(server) == (2, 2)


async def test_calls_at_the_same_time_share_one_asking(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.slow("GET /system_stats", 1)
    answers: list[ServerInfo] = []

    async def ask() -> None:
        answers.append(await comfy.system.info())

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask)
    assert len(answers) == 20
    assert len(set(map(id, answers))) == 1
    assert asked(server) == (1, 1)


async def test_cancelling_one_call_does_the_others_no_harm(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.slow("GET /system_stats", 1)
    answers: list[ServerInfo] = []
    first = trio.CancelScope()
    sequence = Sequencer()

    async def ask_first() -> None:
        with first:
            async with sequence(0):
                pass
            await comfy.system.info()
        assert first.cancelled_caught

    async def ask(number: int) -> None:
        async with sequence(number):
            pass
        answers.append(await comfy.system.info())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_first)
        for number in range(1, 4):
            nursery.start_soon(ask, number)
        await wait_all_tasks_blocked()
        first.cancel()
    assert len(answers) == 3
    assert len(set(map(id, answers))) == 1
    assert asked(server) == (2, 1)


async def test_an_error_is_everybodys_and_not_kept(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.answer("GET /features", 502, "<html>Bad Gateway</html>")
    errors: list[ResponseError] = []

    async def ask() -> None:
        with pytest.raises(ResponseError) as caught:
            await comfy.system.info()
        errors.append(caught.value)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
    assert [each.status for each in errors] == [502] * 3
    assert asked(server) == (1, 1)
    assert (await comfy.system.info()).version == server.version


async def test_a_server_without_features(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.answer("GET /features", 404)
    assert (await comfy.system.info()).features == {}


async def test_a_call_ends_with_the_client(autojump_clock: MockClock) -> None:
    async with open_embedded_server() as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            pass
        with pytest.raises(trio.ClosedResourceError):
            await comfy.system.info()
