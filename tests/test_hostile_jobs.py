"""Jobs at servers whose frames and replies are wrong: they end rightly, or with a typed error."""

from __future__ import annotations

import json
import math
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio
from mutants import mutants
from tampered import Spoiled, open_tampered

from comfy_trio import (
    Comfy,
    ComfyError,
    ExecutionFailedError,
    ExecutionInterruptedError,
    Failed,
    Finished,
    ImageReceived,
    JobEvent,
    JobResult,
    NotFoundError,
    ProgressPercent,
    WentMissingError,
    open_comfy,
)
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from tampered import Message, Tamper
    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer

FOREVER = 3600
"""Seconds of the virtual clock after which a job hangs."""


async def end_of(
    comfy: Comfy, prompt: dict[str, Any], meanwhile: Callable[[], Awaitable[object]] | None = None
) -> JobResult | ComfyError:
    """Run a job, and return how it ended; see that it tells that once, and in order."""
    with trio.fail_after(FOREVER):
        job = await comfy.submit(prompt)
        if meanwhile is not None:
            await meanwhile()
        events: list[JobEvent] = [event async for event in job.events()]
        percents = [event.percent for event in events if isinstance(event, ProgressPercent)]
        assert percents == sorted(percents)
        ends = [event for event in events if isinstance(event, Finished | Failed)]
        assert ends == events[-1:]
        try:
            return await job.wait()
        except ComfyError as error:
            return error


# --- Frames ---------------------------------------------------------------------------------------


async def try_all_ends(server: EmbeddedServer, comfy: Comfy) -> None:
    """Run jobs that end in every way."""
    finished = await end_of(comfy, prompts.slow(4))
    assert isinstance(finished, JobResult)
    assert finished["9"]["images"]
    failed = await end_of(comfy, prompts.failing("boom"))
    assert isinstance(failed, ExecutionFailedError)
    assert (failed.node_id, failed.exception_message) == ("3", "boom\n")
    async with open_comfy(server.url, transport=server.transport) as stranger:

        async def interrupt() -> None:
            await trio.sleep(0.5)
            await stranger.queue.interrupt_whatever_runs()

        interrupted = await end_of(comfy, prompts.slow(100), interrupt)
    assert isinstance(interrupted, ExecutionInterruptedError)
    assert not interrupted.by_us
    cached = prompts.image()
    first = await end_of(comfy, cached)
    second = await end_of(comfy, cached)
    assert isinstance(first, JobResult)
    assert isinstance(second, JobResult)
    assert second["9"] == first["9"]
    assert len(second.cached) == 3


def all_mutants(message: Message) -> Iterable[Message]:
    """All that can be made of a frame, but not the frame."""
    if isinstance(message, bytes):
        yield from (message[:size] for size in (0, 3, 4, 7, 8, len(message) // 2))
        yield from (message[:4] + length + message[8:] for length in (b"\0\0\0\0", b"\xff" * 4))
        yield message[:8] + b"\xff" * 20 + message[28:]
        return
    yield from (message[:size] for size in (0, 1, len(message) // 2, len(message) - 1))
    yield "\ufeff" + message
    yield message + message
    frame = json.loads(message)
    if "prompt_id" in (frame["data"] or {}):
        for _, text in mutants(frame):
            yield text


def before_and_after(message: Message) -> Iterable[Message]:
    """The frame between all that can be made of it."""
    spoiled = [*all_mutants(message)]
    return [*spoiled, message, *spoiled]


TAMPERS: dict[str, Tamper] = {
    "nothing arrives": lambda message: [],
    "all twice": lambda message: [message, message],
    "spoiled ones between": before_and_after,
    "spoiled ones only": all_mutants,
}


@pytest.mark.parametrize("tamper", TAMPERS.values(), ids=TAMPERS)
async def test_frames(
    autojump_clock: MockClock, tamper: Tamper, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "comfy_trio")
    async with open_embedded_server() as server, open_tampered(server, tamper) as comfy:
        await try_all_ends(server, comfy)


class Shuffle:
    """Holds frames back, and lets them go in any order, some of them twice.

    Args:
        seed: Which order.
        most: How many are held back.
    """

    def __init__(self, seed: int, most: float) -> None:
        self._random = random.Random(seed)
        self._most = most
        self._held: list[Message] = []

    def __call__(self, message: Message) -> Iterable[Message]:
        self._held.append(message)
        last = isinstance(message, str) and '"status"' in message[:20]  # comes after all of a job
        while self._held and (last or len(self._held) > self._most):
            index = self._random.randrange(len(self._held))
            again = self._random.random() < 0.3
            yield self._held[index] if again else self._held.pop(index)


@pytest.mark.parametrize("seed", range(24))
async def test_frames_out_of_order(autojump_clock: MockClock, seed: int) -> None:
    tamper = Shuffle(seed, (3, 10, math.inf)[seed % 3])
    async with open_embedded_server() as server, open_tampered(server, tamper) as comfy:
        await try_all_ends(server, comfy)


async def test_pictures_that_come_twice(autojump_clock: MockClock, server: EmbeddedServer) -> None:
    """Nobody can tell two of the same from one that came twice. There are none too few."""
    prompt = prompts.slow(3)
    prompt["9"] = prompts.node("SaveImageWebsocket", images=["2", 0])
    async with open_tampered(server, lambda message: [message] * 2) as comfy:
        async with comfy.open_job(prompt) as job:
            received = [event async for event in job.events() if isinstance(event, ImageReceived)]
            assert len(received) == 2
            assert len((await job.wait()).received["9"]) == 2


@pytest.mark.parametrize("kind", ["execution_success", "executing"])
async def test_an_end_that_is_told_too_early(
    autojump_clock: MockClock, server: EmbeddedServer, kind: str
) -> None:
    """It is a hint: a job that still runs is not taken for gone, nor asked for often."""

    def tamper(frame: Message) -> Iterable[Message]:
        yield frame
        if isinstance(frame, str) and '"execution_start"' in frame:
            data = {"prompt_id": json.loads(frame)["data"]["prompt_id"], "node": None}
            yield json.dumps({"type": kind, "data": data})

    async with open_tampered(server, tamper) as comfy:
        assert isinstance(await end_of(comfy, prompts.slow(300)), JobResult)
        assert server.statistics().requests["GET /queue"] < 40


# --- Replies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/prompt"), ("GET", "/api/history/"), ("GET", "/api/queue")],
)
async def test_replies(
    autojump_clock: MockClock,
    server: EmbeddedServer,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
) -> None:
    """No reply to a job's requests ends the client, nor keeps a job from ending."""
    caplog.set_level("CRITICAL", "comfy_trio")
    http = Spoiled(server, method, path)
    # Deaf, so that the queue is asked.
    async with open_tampered(server, lambda message: [], http) as comfy:
        assert isinstance(await end_of(comfy, prompts.slow(120)), JobResult)
        good = max(http.replies, key=lambda reply: len(json.dumps(reply)))
        spoiled = [*mutants(good)]
        random.Random(path).shuffle(spoiled)
        for _, text in spoiled[:100]:
            http.replacement = text
            with trio.fail_after(FOREVER), suppress(ComfyError):
                await (await comfy.submit(prompts.image())).wait()
            http.replacement = None
        assert isinstance(await end_of(comfy, prompts.image()), JobResult)


async def test_one_id_for_all_jobs(autojump_clock: MockClock, server: EmbeddedServer) -> None:
    """Only one job can be the one of that id; the others keep their own."""
    http = Spoiled(server, "POST", "/api/prompt")
    async with open_tampered(server, lambda message: [message], http) as comfy:
        http.replacement = json.dumps({"prompt_id": "everybody's", "number": 1})
        jobs = [await comfy.submit(prompts.image()) for _ in range(3)]
        with trio.fail_after(FOREVER):
            with pytest.raises(WentMissingError):
                await jobs[0].wait()
            for job in jobs[1:]:
                assert (await job.wait())["9"]


@pytest.mark.parametrize("reply", ["<html>", "[]", '{"queue_running": 1, "queue_pending": 2}'])
async def test_a_queue_that_cannot_be_read(
    autojump_clock: MockClock, server: EmbeddedServer, reply: str
) -> None:
    """The history tells, even where no frame does."""
    http = Spoiled(server, "GET", "/api/queue")
    async with open_tampered(server, lambda message: [], http) as comfy:
        http.replacement = reply
        assert isinstance(await end_of(comfy, prompts.image()), JobResult)
        assert isinstance(await end_of(comfy, prompts.failing()), ExecutionFailedError)


async def test_half_a_surrogate_pair(autojump_clock: MockClock, comfy: Comfy) -> None:
    """JSON has such texts, as Python has, and UTF-8 has not: file names may become ones."""
    odd = "\ud800"
    prompt = prompts.image()
    prompt["9"]["_meta"]["title"] = odd
    assert (await comfy.run(prompt))["9"]["images"]
    assert await comfy.history.entry(odd) is None
    with pytest.raises(NotFoundError):
        await comfy.node.definition(odd)
    with pytest.raises(ComfyError):
        await comfy.file.read({"filename": odd})
    await comfy.queue.cancel(odd)
