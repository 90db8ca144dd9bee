"""Through the door of a real ComfyUI server at $COMFY_HOST: a reverse proxy, TLS, tokens, limits.

The server may speak TLS itself: ``COMFY_HOST=https://...``, and ``SSL_CERT_FILE`` says whom to
trust, to Python as to every other program.
"""

from __future__ import annotations

import base64
import io
import os
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
import trustme
from PIL import Image
from prompts import node
from reverse_proxy import ReverseProxy
from test_real import image, slow, wait_until_running
from wsproto_websocket import open_wsproto_websocket

from comfy_trio import (
    AuthenticationError,
    AuthHeaders,
    BasicCredentials,
    Comfy,
    PicturesLostError,
    TokenCredentials,
    open_comfy,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real

DEADLINE = 120


def host() -> str:
    assert "COMFY_HOST" in os.environ, "say where the real server is: COMFY_HOST=http://..."
    return os.environ["COMFY_HOST"]


async def use(comfy: Comfy, directory: Path) -> None:
    """Run a job with an upload and a download, and cancel another."""
    picture = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(picture, "PNG")
    uploaded = await comfy.file.upload_image(picture.getvalue())
    prompt = image(prefix="comfy_trio_door")
    prompt["1"] = node("LoadImage", image=uploaded.reference)
    prompt["10"] = node("SaveImageWebsocket", images=["1", 0])
    result = await comfy.run(prompt)
    path = await comfy.file.download(result["9"]["images"][0], directory)
    with Image.open(io.BytesIO(await path.read_bytes())) as downloaded:
        assert downloaded.size == (32, 32)
    assert len(result.received["10"]) == 1
    async with trio.open_nursery() as nursery:
        job = await comfy.submit(slow())
        await wait_until_running(job)
        nursery.start_soon(job.cancel)
    assert job.done


async def test_a_reverse_proxy_with_tls_and_a_password(tmp_path: Path) -> None:
    ca = trustme.CA()
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)  # pyright: ignore[reportUnknownMemberType]
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(serving)  # pyright: ignore[reportUnknownMemberType]
    login = "Basic " + base64.b64encode(b"me:pa:ss word").decode()
    proxy = ReverseProxy(host(), "/my/comfy", lambda header: header == login, serving)
    with trio.fail_after(DEADLINE):
        async with proxy.listen() as url:
            credentials = BasicCredentials("me", "pa:ss word")
            async with open_comfy(url, credentials=credentials, ssl_context=trusting) as comfy:
                await use(comfy, tmp_path)
            assert proxy.refused == 0
            in_url = url.replace("https://", "https://me:pa%3Ass%20word@") + "/"
            async with open_comfy(in_url, ssl_context=trusting) as comfy:
                await comfy.run(image())
            wrong = BasicCredentials("me", "pass-of-mine")
            with pytest.raises(AuthenticationError, match=r"You said \*\*\*") as caught:
                async with open_comfy(url, credentials=wrong, ssl_context=trusting):
                    pytest.fail("entered")
            assert "pass-of-mine" not in str(caught.value)


async def test_a_token_that_expires_every_second(tmp_path: Path) -> None:
    """Known by its lifetime, and else by the proxy's 401."""
    issued: dict[str, float] = {}

    def lets_in(header: str) -> bool:
        return issued.get(header.removeprefix("Bearer "), -1) >= trio.current_time()

    proxy = ReverseProxy(host(), "/comfy", lets_in)
    for lifetime in (None, 0.5):
        issued.clear()
        proxy.refused = 0

        async def fetch(lifetime: float | None = lifetime) -> AuthHeaders:
            await trio.sleep(0.01)
            token = f"token-{len(issued)}"
            issued[token] = trio.current_time() + 1
            return AuthHeaders([("Authorization", f"Bearer {token}")], lifetime)

        with trio.fail_after(DEADLINE):
            async with proxy.listen() as url:
                async with open_comfy(url, credentials=TokenCredentials(fetch)) as comfy:
                    for _ in range(3):
                        await use(comfy, tmp_path)
                        await trio.sleep(1.1)
        assert len(issued) >= 3
        assert proxy.refused == (0 if lifetime else len(issued) - 1)


async def test_ways_of_ones_own(tmp_path: Path) -> None:
    proxy = ReverseProxy(host())
    transport = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None))
    with trio.fail_after(DEADLINE):
        async with proxy.listen() as url:
            async with open_comfy(
                url, http_transport=transport, websocket=open_wsproto_websocket
            ) as comfy:
                await use(comfy, tmp_path)


async def test_pictures_over_the_limit() -> None:
    prompt: dict[str, Any] = image(size=4096)
    prompt["10"] = node("SaveImageWebsocket", images=["2", 0])
    with trio.fail_after(DEADLINE):
        async with open_comfy(max_message_size=20_000) as comfy:
            with pytest.raises(PicturesLostError, match="larger than 20000 bytes") as caught:
                await comfy.run(prompt)
            assert caught.value.node_ids == ("10",)
            assert caught.value.result["9"]["images"]
            small = image()
            small["10"] = node("SaveImageWebsocket", images=["2", 0])
            assert len((await comfy.run(small)).received["10"]) == 1
            assert comfy.connection_state.value == "connected"
