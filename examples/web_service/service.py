"""A web service: visitors ask for pictures, and see them come into being.

    python examples/web_service/service.py http://127.0.0.1:8188 http://127.0.0.1:8189

Then open http://127.0.0.1:8000, or what $BIND says. One request is one job: while it runs, its
reply tells how it goes, a line of JSON each. A visitor who cancels, or closes the tab, ends the
request, and with it the job, at its server too.
"""

import base64
import json
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import trio
from hypercorn.config import Config
from hypercorn.trio import serve  # pyright: ignore[reportUnknownVariableType]
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from comfy_trio import (
    Comfy,
    ComfyError,
    Finished,
    NodeStarted,
    Pool,
    Preview,
    ProgressPercent,
    Workflow,
    open_pool,
)

HERE = Path(__file__).parent
WORKFLOW = HERE.parent / "workflows" / "text_to_image.json"
MOST_WAITING = 20
"""Visitors who may wait; more are told to come again."""

Message: TypeAlias = MutableMapping[str, Any]
Tell: TypeAlias = Callable[..., Awaitable[None]]


def data_url(media_type: str, data: bytes) -> str:
    """Return a picture as a page can show it."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


async def draw(comfy: Comfy, *, prompt: str, tell: Tell) -> None:
    """Run one job at a server, and tell how it goes."""
    workflow = Workflow.from_file(WORKFLOW).set("6.inputs.text", prompt)
    async with comfy.open_job(workflow) as job:
        # A visitor with a slow line gets the latest preview, and holds up nobody.
        async for event in job.events():
            match event:
                case NodeStarted(title=title):
                    await tell(doing=title)
                case ProgressPercent(percent=percent):
                    await tell(percent=percent)
                case Preview(data=data, media_type=media_type):
                    await tell(picture=data_url(media_type, data))
                case Finished(result=result):
                    picture = await comfy.file.read(result.files()[0])
                    await tell(picture=data_url("image/png", picture), done=True)
                case _:
                    pass


class Drawing(Response):
    """The reply to a visitor, for as long as the picture is drawn.

    Args:
        pool: The servers.
        prompt: What to draw.
    """

    def __init__(self, pool: Pool, prompt: str) -> None:
        super().__init__(media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]  # it is not known yet
        self._pool = pool
        self._prompt = prompt

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Draw, until that is done or the visitor is gone; see ASGI."""

        async def tell(**news: object) -> None:
            line = f"{json.dumps(news)}\n".encode()
            await send({"type": "http.response.body", "body": line, "more_body": True})

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_when_gone, receive, nursery.cancel_scope)
            await tell(doing="Wait for a server")
            try:
                await self._pool.run(partial(draw, prompt=self._prompt, tell=tell))
            except ComfyError as error:
                await tell(failed=str(error))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            nursery.cancel_scope.cancel("the picture is done")

    async def _cancel_when_gone(
        self, receive: Callable[[], Awaitable[Message]], scope: trio.CancelScope
    ) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel("the visitor is gone")


def make_app(pool: Pool) -> Starlette:
    """Return the service, over the servers of a pool."""

    async def page(request: Request) -> Response:
        return FileResponse(HERE / "page.html")

    async def pictures(request: Request) -> Response:
        prompt = str((await request.json()).get("prompt", "")).strip()
        if not prompt:
            return JSONResponse({"failed": "Say what to draw."}, 400)
        if pool.statistics().waiting >= MOST_WAITING:
            told = "Too many pictures are asked for right now. Try again in a minute."
            return JSONResponse({"failed": told}, 503)
        return Drawing(pool, prompt)

    return Starlette(
        routes=[Route("/", page), Route("/pictures", pictures, methods=["POST"])],
    )


async def main(urls: list[str], address: str) -> None:
    """Serve until Ctrl-C."""
    config = Config()
    config.bind = [address]
    config.graceful_timeout = 1.0
    async with open_pool(urls) as pool:
        print(f"Serving http://{address}", flush=True)
        await serve(make_app(pool), config)  # type: ignore[arg-type]


if __name__ == "__main__":
    trio.run(
        main, sys.argv[1:] or ["http://127.0.0.1:8188"], os.environ.get("BIND", "127.0.0.1:8000")
    )
