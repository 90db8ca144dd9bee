"""The page of troubles tells errors as the library says them."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prompts
import pytest
from pages import agrees

from comfy_trio import Comfy, ComfyError, PoolServer, Workflow, open_comfy, open_pool
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer

PAGE = (Path(__file__).parent.parent / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
TOLD = [
    told
    for told in re.findall(r"^\| `([^`]+)`", PAGE, re.MULTILINE)
    if re.match(r"\w+Error: ", told)
]


def is_told(error: BaseException) -> bool:
    """Whether the page has the error, by its class and as much of its text as it quotes."""
    said = f"{type(error).__name__}: {error}"
    return any(agrees(f"{told}...", said) for told in TOLD)


async def refused(server: EmbeddedServer, comfy: Comfy) -> None:
    await comfy.run({"1": prompts.node("Nope"), "2": prompts.node("PreviewImage", images=["1", 0])})


async def not_in_list(server: EmbeddedServer, comfy: Comfy) -> None:
    loader = prompts.node("CheckpointLoaderSimple", ckpt_name="nope.safetensors")
    latent = prompts.node("EmptyLatentImage", width=64, height=64, batch_size=1)
    decode = prompts.node("VAEDecode", vae=["1", 2], samples=["2", 0])
    show = prompts.node("PreviewImage", images=["3", 0])
    await comfy.run({"1": loader, "2": latent, "3": decode, "4": show})


async def no_such_picture(server: EmbeddedServer, comfy: Comfy) -> None:
    loader = prompts.node("LoadImage", image="nope.png")
    await comfy.run({"1": loader, "2": prompts.node("PreviewImage", images=["1", 0])})


async def no_outputs(server: EmbeddedServer, comfy: Comfy) -> None:
    await comfy.run({"1": prompts.image()["1"]})


async def a_link_to_nowhere(server: EmbeddedServer, comfy: Comfy) -> None:
    await comfy.run({"2": prompts.node("PreviewImage", images=["1", 0])})


async def a_canvas_alone(server: EmbeddedServer, comfy: Comfy) -> None:
    node: dict[str, Any] = {"id": 1, "type": "EmptyImage", "mode": 0, "inputs": [], "outputs": []}
    Workflow.from_json({"nodes": [{**node, "widgets_values": [8, 8, 1, 0]}], "links": []})


async def too_large(server: EmbeddedServer, comfy: Comfy) -> None:
    server.faults.answer("POST /prompt", 413)
    await comfy.run(prompts.image())


async def no_such_node(server: EmbeddedServer, comfy: Comfy) -> None:
    Workflow(prompts.image()).set("77.inputs.color", 1)


async def no_such_option(server: EmbeddedServer, comfy: Comfy) -> None:
    await comfy.run(prompts.image(), priority=1)  # type: ignore[call-overload]


async def a_node_that_raises(server: EmbeddedServer, comfy: Comfy) -> None:
    await comfy.run(prompts.failing())


async def a_job_that_is_gone(server: EmbeddedServer, comfy: Comfy) -> None:
    await comfy.attach("no-such-job")


async def a_pool_that_cannot(server: EmbeddedServer, comfy: Comfy) -> None:
    async with open_pool([PoolServer(server.url, transport=server.transport)]) as pool:
        await pool.run({"1": prompts.node("Nope")})


async def a_file_that_is_not_there(server: EmbeddedServer, comfy: Comfy) -> None:
    await comfy.file.read({"filename": "nope.png", "subfolder": "", "type": "output"})


@pytest.mark.parametrize(
    "provoke",
    [
        refused,
        not_in_list,
        no_such_picture,
        a_canvas_alone,
        no_outputs,
        a_link_to_nowhere,
        too_large,
        no_such_node,
        no_such_option,
        a_node_that_raises,
        a_job_that_is_gone,
        a_pool_that_cannot,
        a_file_that_is_not_there,
    ],
)
async def test_what_goes_wrong_is_on_the_page(
    provoke: Callable[[EmbeddedServer, Comfy], Awaitable[None]],
    autojump_clock: MockClock,
    server: EmbeddedServer,
    comfy: Comfy,
) -> None:
    with pytest.raises((ComfyError, TypeError)) as raised:
        await provoke(server, comfy)
    assert is_told(raised.value), str(raised.value)


@asynccontextmanager
async def at_fault(*plan: Any) -> AsyncGenerator[EmbeddedServer, None]:
    async with open_embedded_server() as server:
        for route, status in plan:
            server.faults.answer(route, status, "<html>", times=100)
        yield server


@pytest.mark.parametrize(
    "plan",
    [("GET /prompt", 404), ("GET /prompt", 401), ("GET /ws", 404)],
    ids=["not-comfyui", "who-are-you", "no-websocket"],
)
async def test_who_cannot_connect_finds_it_on_the_page(
    plan: tuple[str, int], autojump_clock: MockClock
) -> None:
    async with at_fault(plan) as server:
        with pytest.raises(ComfyError) as raised:
            async with open_comfy(server.url, transport=server.transport):
                pass
    assert is_told(raised.value), f"{type(raised.value).__name__}: {raised.value}"


async def test_nobody_there() -> None:
    with pytest.raises(ComfyError) as raised:
        async with open_comfy("http://127.0.0.1:9"):
            pass
    assert is_told(raised.value), str(raised.value)


def test_a_url_of_the_browsers() -> None:
    with pytest.raises(ValueError, match="has no query and no fragment") as raised:
        PoolServer("http://127.0.0.1:8188/?a=b")
    assert is_told(raised.value)
