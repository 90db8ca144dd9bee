"""Opening and leaving a client, on the embedded server in memory."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio

from comfy_trio import (
    AuthenticationError,
    BasicCredentials,
    BearerCredentials,
    Comfy,
    Credentials,
    DisconnectedError,
    HeaderCredentials,
    Job,
    NotComfyUIError,
    ServerUnreachableError,
    WorkflowError,
    open_comfy,
    wire,
)
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer


async def test_in_the_block_the_server_has_been_reached(autojump_clock: MockClock) -> None:
    async with open_embedded_server() as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            assert comfy.connection_state.value == "connected"
            assert server.statistics().sockets == 1
            assert repr(comfy) == f"<Comfy {server.url} connected, 0 live jobs>"
        assert server.statistics().sockets == 0
        assert server.statistics().connections == 0
        assert comfy.connection_state.value == "disconnected"


async def test_opening_asks_for_little(autojump_clock: MockClock) -> None:
    async with open_embedded_server() as server:
        async with open_comfy(server.url, transport=server.transport):
            pass
        assert server.statistics().requests == {"GET /prompt": 1, "GET /ws": 1}


async def test_two_clients_have_two_names(autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server() as server,
        open_comfy(server.url, transport=server.transport) as one,
        open_comfy(server.url, transport=server.transport, client_id="mine") as two,
    ):
        assert one.client_id != two.client_id == "mine"


async def test_every_event_of_the_server_can_be_heard(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    ours, others = comfy.server_events(), comfy.server_events()
    result = await comfy.run(prompts.image())
    heard: list[wire.ServerEvent] = []
    async for event in ours:
        heard.append(event)
        if isinstance(event, wire.Executing) and event.node is None:
            break
    assert {type(event) for event in heard} >= {
        wire.Status,
        wire.ExecutionStart,
        wire.ExecutionSuccess,
        wire.ProgressState,
    }
    assert wire.Executed(result.prompt_id, "9", "9", result["9"]) in heard
    assert ours.missed == 0
    for _ in range(100):
        await comfy.run(prompts.image())
    assert others.missed > 0
    assert len(heard) + len(others._mailbox) > 1000


async def test_errors_of_the_block_come_out_as_themselves(autojump_clock: MockClock) -> None:
    error = RuntimeError("mine")
    async with open_embedded_server() as server:
        with pytest.raises(RuntimeError) as caught:
            async with open_comfy(server.url, transport=server.transport):
                raise error
        assert caught.value is error
        group = ExceptionGroup("ours", [ValueError("one"), KeyError("two")])
        with pytest.raises(ExceptionGroup) as caught_group:  # noqa: ASYNC401  # identity counts
            async with open_comfy(server.url, transport=server.transport):
                raise group
        assert caught_group.value is group
        assert server.statistics().sockets == 0


async def test_a_deadline_around_the_block(autojump_clock: MockClock) -> None:
    async with open_embedded_server() as server:
        with trio.move_on_after(3) as deadline:
            async with open_comfy(server.url, transport=server.transport):
                await trio.sleep_forever()
        assert deadline.cancelled_caught
        assert server.statistics().sockets == 0


async def test_entering_under_a_cancelled_scope(autojump_clock: MockClock) -> None:
    async with open_embedded_server() as server:
        with trio.CancelScope() as scope:
            scope.cancel()
            async with open_comfy(server.url, transport=server.transport):
                pytest.fail("entered")
        assert scope.cancelled_caught
        assert server.statistics().connections == 0


async def test_a_handle_outlives_its_block_but_does_nothing(autojump_clock: MockClock) -> None:
    async with open_embedded_server() as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            pass
        for attempt in (comfy.run(prompts.image()), comfy.file.read({"filename": "a.png"})):
            with pytest.raises(trio.ClosedResourceError, match="block is over"):
                await attempt
        assert server.statistics().connections == 0


def test_handles_are_not_made_by_hand() -> None:
    handles: list[Any] = [Comfy, Job]
    for handle in handles:
        with pytest.raises(TypeError, match=f"comfy_trio.{handle.__name__} has no public constr"):
            handle()


async def test_iterators_end_with_the_client(autojump_clock: MockClock) -> None:
    async with open_embedded_server() as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            events = comfy.server_events()
            job = await comfy.submit(prompts.slow(100))
        assert [event async for event in events]
        assert [event async for event in job.events()]


# --- What does not open ---------------------------------------------------------------------------


async def test_a_server_that_is_not_comfyui(autojump_clock: MockClock) -> None:
    async with open_embedded_server() as server:
        server.faults.answer("GET /prompt", 200, "<html>It works!</html>")
        with pytest.raises(NotComfyUIError, match="It works!") as caught:
            async with open_comfy(server.url, transport=server.transport):
                pytest.fail("entered")
        assert caught.value.status == 200
        assert caught.value.url == f"{server.url}/api/prompt"


async def test_the_wrong_path_behind_a_proxy(autojump_clock: MockClock) -> None:
    async with open_embedded_server(base_path="/comfy") as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            result = await comfy.run(prompts.image())
            assert await comfy.file.read(result["9"]["images"][0])
            assert comfy.file.url(result["9"]["images"][0]).startswith(server.url + "/api/view?")
        bare = server.url.removesuffix("/comfy")
        with pytest.raises(NotComfyUIError, match="HTTP status 404"):
            async with open_comfy(bare, transport=server.transport):
                pytest.fail("entered")


async def test_a_proxy_that_does_not_pass_websockets_on(autojump_clock: MockClock) -> None:
    async with open_embedded_server() as server:
        server.faults.answer("GET /ws", 404, "no such page", times=math.inf)
        with pytest.raises(NotComfyUIError, match="must pass WebSocket upgrades"):
            async with open_comfy(server.url, transport=server.transport):
                pytest.fail("entered")


async def test_a_greeting_that_never_comes(autojump_clock: MockClock) -> None:
    async with open_embedded_server() as server:
        server.faults.hang("GET /ws")
        with pytest.raises(ServerUnreachableError, match="did not answer within 7 s"):
            async with open_comfy(server.url, transport=server.transport, connect_timeout=7):
                pytest.fail("entered")
        assert trio.current_time() == pytest.approx(7, abs=0.5)


async def test_a_server_that_hangs(autojump_clock: MockClock) -> None:
    async with open_embedded_server() as server:
        server.faults.hang("GET /prompt")
        with pytest.raises(ServerUnreachableError, match="did not answer within 30"):
            async with open_comfy(server.url, transport=server.transport):
                pytest.fail("entered")


async def test_a_connection_that_breaks_while_opening(autojump_clock: MockClock) -> None:
    async with open_embedded_server() as server:
        server.faults.break_connection("GET /prompt", times=math.inf)
        with pytest.raises(DisconnectedError, match="the connection broke during GET"):
            async with open_comfy(server.url, transport=server.transport):
                pytest.fail("entered")


CREDENTIALS: list[tuple[Credentials, dict[str, str]]] = [
    (BasicCredentials("me", "secret"), {"Authorization": "Basic bWU6c2VjcmV0"}),
    (BearerCredentials("secret"), {"Authorization": "Bearer secret"}),
    (HeaderCredentials({"X-API-Key": "secret", "Cookie": "a=b"}), {"X-API-Key": "secret"}),
]


@pytest.mark.parametrize(("credentials", "required"), CREDENTIALS)
async def test_credentials_are_shown_on_both_channels(
    autojump_clock: MockClock, credentials: Credentials, required: dict[str, str]
) -> None:
    async with open_embedded_server() as server:
        server.faults.required_headers |= required
        async with open_comfy(
            server.url, transport=server.transport, credentials=credentials
        ) as comfy:
            await comfy.run(prompts.image())
        with pytest.raises(AuthenticationError, match="HTTP status 401") as caught:
            async with open_comfy(server.url, transport=server.transport):
                pytest.fail("entered")
        assert caught.value.status == 401


async def test_credentials_in_the_url_are_used_and_never_shown(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_embedded_server() as server:
        server.faults.required_headers["Authorization"] = "Basic bWU6c2VjcmV0"
        url = server.url.replace("://", "://me:secret@")
        async with open_comfy(url, transport=server.transport) as comfy:
            await comfy.run(prompts.image())
            server.faults.drop_sockets()
            await comfy.run(prompts.image())
            assert "secret" not in comfy.url + repr(comfy)
        server.faults.required_headers["Authorization"] = "other"
        with pytest.raises(AuthenticationError) as caught:
            async with open_comfy(url, transport=server.transport):
                pytest.fail("entered")
    assert "secret" not in str(caught.value) + repr(caught.value.reply) + caplog.text


async def test_an_upgrade_that_wants_more_than_the_rest(autojump_clock: MockClock) -> None:
    async with open_embedded_server() as server:
        server.faults.answer("GET /ws", 401)
        with pytest.raises(AuthenticationError, match=r"WebSocket .* HTTP status 401"):
            async with open_comfy(server.url, transport=server.transport):
                pytest.fail("entered")


@pytest.mark.parametrize("headers", [{"Origin": "http://x"}, {"Host": "x"}, {"a": "b\r\nc: d"}])
async def test_headers_that_are_not_the_callers(
    autojump_clock: MockClock, headers: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match="the header"):
        async with open_comfy("http://h", headers=headers):
            pytest.fail("entered")


async def test_the_default_address(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_embedded_server() as server:
        monkeypatch.setenv("COMFY_HOST", server.url)
        async with open_comfy(transport=server.transport) as comfy:
            assert comfy.url == server.url


# --- Bad input is told before anything is sent ----------------------------------------------------


async def test_nothing_is_sent_of_a_workflow_that_cannot_run(autojump_clock: MockClock) -> None:
    dangling = prompts.image()
    dangling["9"]["inputs"]["undeclared"] = ["77", 0]
    cycle = prompts.image()
    cycle["1"]["inputs"]["width"] = ["9", 0]
    async with open_embedded_server() as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            bad: list[dict[str, Any]] = [dangling, cycle, {"nodes": []}, {}]
            for prompt in bad:
                with pytest.raises(WorkflowError):
                    await comfy.run(prompt)
        assert "POST /prompt" not in server.statistics().requests


async def test_the_library_is_silent(
    autojump_clock: MockClock, capfd: pytest.CaptureFixture[str]
) -> None:
    async with open_embedded_server() as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            await comfy.run(prompts.image())
            server.faults.drop_sockets()
            await comfy.run(prompts.image())
    assert capfd.readouterr() == ("", "")
    (handler,) = logging.getLogger("comfy_trio").handlers
    assert isinstance(handler, logging.NullHandler)
