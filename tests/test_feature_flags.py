"""`Comfy.feature_flags`, and the handshake."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
import trio

from comfy_trio import Comfy, open_comfy, wire
from comfy_trio._handshake import announced_flags
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer

ALWAYS = {"supports_preview_metadata": True}


def test_what_is_announced() -> None:
    assert announced_flags() == announced_flags(None) == announced_flags(ALWAYS) == ALWAYS
    mine = {"my_pack": {"levels": [1, 2]}}
    announced = announced_flags(mine)
    assert announced == {**ALWAYS, **mine}
    mine["my_pack"]["levels"].append(3)
    assert announced["my_pack"]["levels"] == [1, 2]
    assert json.loads(wire.feature_flags_frame({"a": 1}))["data"] == {**ALWAYS, "a": 1}


@pytest.mark.parametrize("value", [False, None, 1, "true"])
def test_previews_with_metadata_cannot_be_switched_off(value: object) -> None:
    with pytest.raises(ValueError, match=r"^feature_flags may not have 'supports_preview_metadata"):
        announced_flags({"supports_preview_metadata": value})


@pytest.mark.parametrize("flags", [{"a": math.nan}, {"a": {1, 2}}, {"a": object()}])
def test_flags_that_cannot_be_sent(flags: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="feature_flags"):
        announced_flags(flags)


async def test_flags_are_checked_before_anything_is_sent(server: EmbeddedServer) -> None:
    with pytest.raises(ValueError, match=r"^feature_flags must be JSON: "):
        async with open_comfy(
            server.url, transport=server.transport, feature_flags={"a": math.inf}
        ):
            pytest.fail("the client was opened")
    assert not server.statistics().requests


async def test_flags_reach_the_server_on_every_socket(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    async with open_comfy(
        server.url, transport=server.transport, feature_flags={"my_pack": True}
    ) as comfy:
        hub = server._engine.hub
        assert comfy.feature_flags.announced == {**ALWAYS, "my_pack": True}
        comfy.feature_flags.announced.clear()
        assert comfy.feature_flags.announced == {**ALWAYS, "my_pack": True}
        for _ in range(2):
            await trio.sleep(5)
            assert hub.has_flag(comfy.client_id, "supports_preview_metadata")
            assert hub.has_flag(comfy.client_id, "my_pack")
            assert not hub.has_flag(comfy.client_id, "other")
            server.faults.drop_sockets()


async def test_features_of_the_server(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    features = await comfy.feature_flags.of_server()
    assert features.get("max_upload_size") == 100 * 2**20
    features["max_upload_size"] = 0
    assert (await comfy.feature_flags.of_server()).get("max_upload_size") == 100 * 2**20
    assert await comfy.feature_flags.supports("supports_preview_metadata")
    assert await comfy.feature_flags.supports("extension.manager.supports_v4")
    assert not await comfy.feature_flags.supports("assets")
    assert server.statistics().requests["GET /features"] == 1


async def test_features_of_an_old_server(autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server(version="0.3.64") as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        assert not await comfy.feature_flags.supports("node_replacements")
        server.faults.answer("GET /features", 404)
        assert (await comfy.system.info(refresh=True)).features == {}
        assert await comfy.feature_flags.of_server() == {}
        assert not await comfy.feature_flags.supports("supports_preview_metadata")
