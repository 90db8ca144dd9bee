"""Workflows that a client judges before it sends them, on the embedded server in memory."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio
from prompts import node

from comfy_trio import (
    Comfy,
    EnqueueFailedError,
    FindingKind,
    Graph,
    MissingNodeError,
    UnknownNode,
    Workflow,
    open_comfy,
    validate,
)
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer


def wrong() -> dict[str, Any]:
    prompt = prompts.image()
    prompt["1"]["inputs"]["width"] = 0
    return prompt


def posts(server: EmbeddedServer) -> int:
    return server.statistics().requests.get("POST /prompt", 0)


async def test_nothing_is_sent(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    assert (await comfy.validate(prompts.image())).accepted
    validation = await comfy.validate(Workflow(wrong()))
    assert validation.errors[0].kind == "value_smaller_than_min"
    image = UnknownNode("EmptyImage", {"width": 64, "height": 64, "batch_size": 1, "color": 0})
    save = UnknownNode("SaveImage", {"images": image, "filename_prefix": "a"})
    preview = UnknownNode("PreviewImage", {"images": image})
    assert str(await comfy.validate(Graph(save))) == "accepted"
    assert (await comfy.validate(save, preview)).outputs == ("2", "3")
    assert posts(server) == 0


async def test_definitions_and_version_are_asked_for_once(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    for _ in range(3):
        await comfy.validate(prompts.image())
    asked = server.statistics().requests
    assert (asked["GET /object_info"], asked["GET /system_stats"]) == (1, 1)
    await comfy.validate(prompts.image(), refresh=True)
    assert server.statistics().requests["GET /object_info"] == 2


async def test_the_version_decides(autojump_clock: MockClock) -> None:
    prompt = {**prompts.image(), "5": node("Nope")}
    for version, reason in (("0.3.64", "invalid_prompt"), ("0.27.0", "missing_node_type")):
        async with (
            open_embedded_server(version=version) as server,
            open_comfy(server.url, transport=server.transport) as comfy,
        ):
            validation = await comfy.validate(prompt)
            assert validation.reason == reason


async def test_who_never_validates_pays_nothing(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    with pytest.raises(EnqueueFailedError) as caught:
        await comfy.run(wrong())
    assert str(caught.value).startswith("the server refused")
    await comfy.node.definitions()
    with pytest.raises(EnqueueFailedError):
        await comfy.run(wrong())
    assert posts(server) == 2
    assert "GET /system_stats" not in server.statistics().requests


async def test_what_is_certain_to_be_refused_is_not_sent(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    with pytest.raises(EnqueueFailedError) as refused:
        await comfy.run(wrong())
    await comfy.validate(wrong())
    before = posts(server)
    with pytest.raises(EnqueueFailedError) as foreseen:
        await comfy.run(wrong())
    with pytest.raises(EnqueueFailedError):
        await comfy.submit(wrong())
    with pytest.raises(EnqueueFailedError):
        async with comfy.open_job(wrong()):
            pytest.fail("the block was entered")
    assert posts(server) == before
    assert foreseen.value.reason == refused.value.reason
    assert foreseen.value.node_errors == refused.value.node_errors
    assert foreseen.value.url == refused.value.url
    assert (await comfy.run(prompts.image())).prompt_id


async def test_what_may_be_stale_is_left_to_the_server(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    await comfy.validate(prompts.image())
    unknown = {**prompts.image(), "5": node("Nope")}
    with pytest.raises(MissingNodeError):
        await comfy.run(unknown)
    unlisted = prompts.image()
    scale = {"upscale_method": "best", "width": 8, "height": 8, "crop": "disabled"}
    unlisted["2"] = node("ImageScale", image=["1", 0], **scale)
    with pytest.raises(EnqueueFailedError):
        await comfy.run(unlisted)
    assert posts(server) == 2


async def test_what_the_server_overlooks_is_logged_once(
    autojump_clock: MockClock, comfy: Comfy, caplog: pytest.LogCaptureFixture
) -> None:
    def misspelt() -> dict[str, Any]:
        prompt = prompts.image()
        prompt["9"]["inputs"]["filename_prefx"] = "mine"
        return prompt

    await comfy.run(misspelt())
    assert not caplog.records
    validation = await comfy.validate(misspelt())
    assert validation.warnings[0].kind == FindingKind.UNDECLARED_INPUT
    assert not caplog.records
    for _ in range(3):
        await comfy.run(misspelt())
    [record] = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "Did you mean" not in record.getMessage()  # the right one is there too
    assert "'filename_prefx'" in record.getMessage()


async def test_files_that_came_later_are_no_matter(
    autojump_clock: MockClock,
    comfy: Comfy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await comfy.validate(prompts.image())
    saved = await comfy.run(prompts.image())
    picture = saved["9"]["images"][0]["filename"]
    prompt = prompts.image()
    prompt["1"] = node("LoadImage", image=f"{picture} [output]")
    await comfy.run(prompt)
    assert not caplog.records


async def test_after_a_lost_connection_the_server_may_be_another(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    await comfy.validate(prompts.image())
    server.faults.drop_sockets()
    await trio.sleep(5)
    assert comfy.connection_state.value == "connected"
    with pytest.raises(EnqueueFailedError) as caught:
        await comfy.run(wrong())
    assert str(caught.value).startswith("the server refused")
    await comfy.validate(wrong())
    assert server.statistics().requests["GET /object_info"] == 2
    with pytest.raises(EnqueueFailedError) as caught:
        await comfy.run(wrong())
    assert str(caught.value).startswith("the workflow was not sent")


async def test_definitions_asked_for_anew_are_those_to_go_by(
    autojump_clock: MockClock, comfy: Comfy
) -> None:
    await comfy.validate(prompts.image())
    latest = comfy.node._latest
    await comfy.node.definitions()
    assert comfy.node._latest is not latest
    assert comfy.node._latest == latest
    comfy.node._latest = {}
    await comfy.node.definitions("SaveImage")
    assert comfy.node._latest == {}


async def test_bypassed_nodes_are_judged_as_they_are_sent(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    prompt = prompts.image()
    prompt["5"] = node("ImageScale", image=["1", 0], width="wide")
    prompt["6"] = node("PreviewImage", images=["5", 0])
    workflow = Workflow(prompt)
    assert not (await comfy.validate(workflow)).certain
    assert (await comfy.validate(workflow)).left_out == ("6",)
    workflow.bypass("5")
    assert str(await comfy.validate(workflow)) == "accepted"
    object_info = await comfy.node.definitions()
    assert str(validate(workflow, object_info)) == "accepted"
    assert posts(server) == 0


async def test_an_attached_file_is_not_missed(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    """It is at the server before the prompt is."""
    prompt = {"1": node("LoadImage", image=""), "2": node("PreviewImage", images=["1", 0])}
    named = Workflow(prompt).input("1", "image", "new.png")
    assert [each.kind for each in (await comfy.validate(named)).warnings] == ["unlisted_file"]
    attached = Workflow(prompt).attach_image("1", "image", b"content", filename="new.png")
    assert str(await comfy.validate(attached)) == "accepted"
    assert str(validate(attached, await comfy.node.definitions())) == "accepted"
