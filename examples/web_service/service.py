"""A web service: visitors ask for pictures, and see them come into being.

    python examples/web_service/service.py http://127.0.0.1:8188 http://127.0.0.1:8189

Then open http://127.0.0.1:8000. One request is one job: while it runs, its reply tells how it goes,
a line of JSON each. A visitor who cancels, or closes the tab, ends the request, and with it the
job, at its server too. So does whoever ends the service. With a workflow of your own, and the input
of it that takes the visitor's words:

    python examples/web_service/service.py --workflow mine.json --input 6.inputs.text
"""

import argparse
import base64
import json
import mimetypes
import os
import signal
from contextlib import aclosing
from functools import partial
from pathlib import Path

import trio
from hypercorn.config import Config
from hypercorn.trio import serve  # pyright: ignore[reportUnknownVariableType]
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from comfy_trio import (
    Comfy,
    ComfyError,
    ExecutionFailedError,
    Finished,
    JobResult,
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
"""Visitors who may wait for a server; more are told to come again."""
LONGEST_PROMPT = 4000
"""Bytes."""
LONGEST_SILENCE = 15.0
"""Seconds after which a line is sent that tells nothing, so that no proxy takes us for dead."""
PATIENCE = 600.0
"""Seconds after which a picture is given up, its waiting included."""


class News:
    """What a visitor is yet to be told: of each kind the latest, so that it does not grow."""

    def __init__(self) -> None:
        self._news: dict[str, object] = {}
        self._are_there = trio.Event()

    def tell(self, **news: object) -> None:
        """Have something told; it waits for nobody."""
        self._news |= news
        self._are_there.set()

    async def receive(self) -> dict[str, object]:
        """Return what there is to tell; after a long silence, nothing."""
        with trio.move_on_after(LONGEST_SILENCE):
            await self._are_there.wait()
        news, self._news, self._are_there = self._news, {}, trio.Event()
        return news


def data_url(data: bytes, media_type: str) -> str:
    """Return a picture as a page can show it."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


async def read_picture(comfy: Comfy, result: JobResult) -> dict[str, object]:
    """Return what there is to tell of a result: the first picture of it."""
    for file in result.files():
        media_type, _ = mimetypes.guess_type(file["filename"], strict=False)
        if media_type is not None and media_type.startswith("image/"):
            return {"done": data_url(await comfy.file.read(file), media_type)}
    return {"failed": "The workflow made no picture."}


async def draw(comfy: Comfy, *, workflow: Workflow, news: News) -> None:
    """Run one job at a server, and tell how it goes."""
    async with comfy.open_job(workflow) as job:
        async for event in job.events():
            match event:
                case NodeStarted(title=title):
                    news.tell(doing=title)
                case ProgressPercent(percent=percent):
                    news.tell(percent=percent)
                case Preview(data=data, media_type=media_type):
                    news.tell(preview=data_url(data, media_type))
                case Finished(result=result):
                    news.tell(**await read_picture(comfy, result))
                case _:
                    pass


class Drawing(Response):
    """The reply to a visitor, for as long as the picture is drawn.

    Args:
        pool: The servers.
        workflow: What to run.
    """

    def __init__(self, pool: Pool, workflow: Workflow) -> None:
        super().__init__(media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]  # it is not known yet
        self._pool = pool
        self._workflow = workflow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Draw, until that is done or the visitor is gone; see ASGI."""
        news = News()
        news.tell(doing="Waiting for a server")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_when_gone, receive, nursery.cancel_scope)
            # A task of its own: a visitor who reads slowly, or not at all, holds up no server.
            nursery.start_soon(self._draw, news)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            told: dict[str, object] = {}
            while not told.keys() & {"done", "failed"}:
                told = await news.receive()
                line = f"{json.dumps(told)}\n".encode()
                await send({"type": "http.response.body", "body": line, "more_body": True})
            await send({"type": "http.response.body"})
            nursery.cancel_scope.cancel("the picture is done")

    async def _cancel_when_gone(self, receive: Receive, scope: trio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel("the visitor is gone")

    async def _draw(self, news: News) -> None:
        try:
            with trio.fail_after(PATIENCE):
                await self._pool.run(partial(draw, workflow=self._workflow, news=news))
        except trio.TooSlowError:
            news.tell(failed="It took too long.")
        except ExecutionFailedError as error:  # what else it says is for programmers
            what = error.exception_message.strip()
            news.tell(failed=f"{error.title or error.class_type}: {what}")
        except ComfyError as error:
            news.tell(failed=str(error))


async def read_prompt(request: Request) -> str | None:
    """Return what to draw; None if it is too long, of which no more is read."""
    body = b""
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > LONGEST_PROMPT:
                return None
    return body.decode(errors="replace").strip()


def refusal(status: int, why: str) -> Response:
    """Return a reply that the page shows as it shows a failure."""
    return JSONResponse({"failed": why}, status)


def make_app(pool: Pool, workflow: Workflow, input_path: str) -> Starlette:
    """Return the service.

    Args:
        pool: The servers.
        workflow: What to run.
        input_path: Where in it the visitor's words go.
    """

    async def page(request: Request) -> Response:
        return FileResponse(HERE / "page.html")

    async def pictures(request: Request) -> Response:
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":  # browsers say
            return refusal(403, "Another site's page may not ask for pictures here.")
        prompt = await read_prompt(request)
        if prompt is None:
            return refusal(413, "These are too many words.")
        if not prompt:
            return refusal(400, "Say what to draw.")
        if pool.statistics().waiting >= MOST_WAITING:
            return refusal(503, "Too many pictures are asked for right now. Try again in a minute.")
        return Drawing(pool, workflow.copy().set(input_path, prompt))

    return Starlette(routes=[Route("/", page), Route("/pictures", pictures, methods=["POST"])])


async def told_to_end() -> None:
    """Wait for Ctrl-C, or for whoever runs this as a service."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            return


async def main(urls: list[str], workflow: Workflow, input_path: str, address: str) -> None:
    """Serve until told to end; then what is being drawn has a second to be done."""
    config = Config()
    config.bind = [address]
    config.graceful_timeout = 1.0
    async with open_pool(urls) as pool, trio.open_nursery() as nursery:
        app = make_app(pool, workflow, input_path)
        run = partial(serve, app, config, shutdown_trigger=told_to_end)  # type: ignore[arg-type]
        (url,) = await nursery.start(run)
        print(f"Serving {url}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw what visitors of a page ask for.")
    host = os.environ.get("COMFY_HOST") or "http://127.0.0.1:8188"
    parser.add_argument("urls", nargs="*", default=[host], metavar="SERVER")
    parser.add_argument("--bind", default="127.0.0.1:8000", metavar="HOST:PORT")
    parser.add_argument("--workflow", type=Path, default=WORKFLOW, metavar="FILE")
    parser.add_argument("--input", default="6.inputs.text", metavar="PATH")
    options = parser.parse_args()
    what = Workflow.from_file(options.workflow).set(options.input, "")  # is it there?
    trio.run(main, options.urls, what, options.input, options.bind)
