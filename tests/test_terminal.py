"""`Comfy.terminal`: the server's log, once and in order, however the socket fares."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

import prompts
import pytest
import trio

from comfy_trio import (
    Comfy,
    ForbiddenError,
    ReconnectPolicy,
    ResponseError,
    TerminalEntry,
    UnsupportedError,
    open_comfy,
)
from comfy_trio._replies import Reply
from comfy_trio._routes._terminal import (
    LOGS,
    REMEMBERED,
    UntoldEntries,
    entries_of,
    read_log,
    read_log_as_text,
)
from comfy_trio._wire import Logs, decode_frame
from comfy_trio.testing import EmbeddedServer, open_embedded_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from comfy_trio import Subscription

SUBSCRIBE = "PATCH /internal/logs/subscribe"
RAW = "GET /internal/logs/raw"


def reply(body: object, status: int = 200) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(LOGS, "http://h/internal/logs/raw", status, content, "application/json")


def entry(text: str, second: int = 0) -> TerminalEntry:
    return TerminalEntry(datetime(2026, 1, 2, 3, 4, second), text)  # as servers do


def test_reading_a_log() -> None:
    entries = [
        {"t": "2026-01-02T03:04:05.000678", "m": "\x1b[32m[INFO]\x1b[0m got prompt\n"},
        {"t": "2026-01-02T03:04:06", "m": "\r 50%"},
        {"t": "yesterday", "m": "", "more": 1},
    ]
    log = read_log(reply({"entries": entries, "size": {"cols": 80, "rows": 24}}))
    assert [each.time for each in log.entries] == [
        datetime(2026, 1, 2, 3, 4, 5, 678),
        datetime(2026, 1, 2, 3, 4, 6),
        None,
    ]
    assert [each.plain for each in log.entries] == ["[INFO] got prompt", " 50%", ""]
    assert (log.columns, log.rows) == (80, 24)
    assert read_log(reply({"entries": []})).columns is None


WRONG: list[object] = [
    b"",
    b'{"entries": [',
    b"<html>",
    [],
    None,
    {},
    {"entries": {}},
    {"entries": [1]},
    {"entries": [{"m": 1}]},
    {"entries": [{"t": "x"}]},
]


@pytest.mark.parametrize("body", WRONG)
def test_a_log_that_is_none(body: object) -> None:
    with pytest.raises(ResponseError, match=r"/internal/logs/raw should have been answered with"):
        read_log(reply(body))
    with pytest.raises(ResponseError, match="the terminal's log as one string"):
        read_log_as_text(reply(body))


@pytest.mark.parametrize("read", [read_log, read_log_as_text])
def test_servers_that_keep_it_to_themselves(read: Callable[[Reply], object]) -> None:
    for status in (404, 405):
        with pytest.raises(UnsupportedError, match="a proxy before it does not pass them on"):
            read(reply(b"", status))
    with pytest.raises(ForbiddenError, match="A proxy before the server may keep /internal"):
        read(reply(b"", 403))
    with pytest.raises(ResponseError, match="HTTP status 500"):
        read(reply(b"", 500))


def test_what_is_told_twice_is_picked_once() -> None:
    a, b, c, d, e = (entry(text + "\n", at) for at, text in enumerate("abcde"))
    untold = UntoldEntries()
    untold.skip([a, b])
    assert untold.of_frame([b, c]) == [c]
    assert untold.of_log([a, b, c, d, e]) == [d, e]
    assert untold.of_frame([e]) == []
    assert untold.of_frame([e]) == [e]  # the same again, within the clock's resolution
    assert untold.of_log([c, d, e, e]) == []


def test_a_server_that_began_anew() -> None:
    untold = UntoldEntries()
    untold.skip([entry("old\n", 1)])
    assert untold.of_log([entry("new\n", 2)]) == [entry("new\n", 2)]


def test_progress_bars_do_not_push_out_what_is_told() -> None:
    untold = UntoldEntries()
    start, bar = entry("start\n"), [entry(f"\r{n}%", n % 60) for n in range(2 * REMEMBERED)]
    untold.skip([start])
    assert untold.of_frame(bar) == bar
    assert untold.of_log([start, bar[-1]]) == []


def test_a_frame_of_the_log() -> None:
    frame = decode_frame(
        '{"type": "logs", "data": {"entries": [{"t": "2026-01-02T03:04:07", "m": "x"}]}}'
    )
    assert isinstance(frame, Logs)
    assert entries_of(frame) == (entry("x", 7),)


async def read_some(entries: Subscription[TerminalEntry], count: int) -> list[str]:
    found: list[str] = []
    with trio.fail_after(60):
        async for each in entries:
            found.append(each.plain)
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize("version", ["0.3.64", "0.27.0"])
async def test_a_job_in_the_log(version: str, autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server(version=version) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
        comfy.terminal.subscribe() as entries,
    ):
        await comfy.run(prompts.slow(2))
        mark = "[INFO] " if version == "0.27.0" else ""
        first, last = await read_some(entries, 2)
        assert first == f"{mark}got prompt"
        assert last.startswith(f"{mark}Prompt executed in ")
        log = await comfy.terminal.logs()
        assert [each.plain for each in log.entries] == [f"{mark}Starting server", first, last]
        assert (await comfy.terminal.text()).count("\n") == 4


async def test_several_readers(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.terminal.subscribe() as first:
        server.log("1")
        async with comfy.terminal.subscribe() as second:
            server.log("2")
            assert await read_some(second, 1) == ["[INFO] 2"]
        server.log("3")
        assert await read_some(first, 3) == ["[INFO] 1", "[INFO] 2", "[INFO] 3"]
        assert server.statistics().log_subscribers == 1
    assert server.statistics().log_subscribers == 0


async def test_readers_that_come_and_go_at_once(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.slow(SUBSCRIBE, 0.1)
    async with trio.open_nursery() as nursery:

        async def read(number: int) -> None:
            await trio.sleep(number * 0.15)
            async with comfy.terminal.subscribe() as entries:
                server.log("x")
                assert await read_some(entries, 1) == ["[INFO] x"]

        for number in range(10):
            nursery.start_soon(read, number)
    assert server.statistics().log_subscribers == 0


@pytest.mark.parametrize("noticed", [True, False])
async def test_a_socket_that_is_lost(
    noticed: bool, autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.terminal.subscribe() as entries:
        for number in range(5):
            server.log(f"before {number}")
            server.faults.drop_sockets(noticed=noticed)
            server.log(f"away {number}")
            await trio.sleep(5)
            server.log(f"back {number}")
            assert await read_some(entries, 3) == [
                f"[INFO] {word} {number}" for word in ("before", "away", "back")
            ]
    assert entries.missed == 0


async def test_a_server_that_is_restarted(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.terminal.subscribe() as entries:
        await trio.sleep(1)
        server.restart()
        await trio.sleep(5)
        assert server.statistics().log_subscribers == 1
        server.log("again")
        assert await read_some(entries, 2) == ["[INFO] Starting server", "[INFO] again"]


async def test_a_request_that_breaks_when_the_socket_is_back(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.terminal.subscribe() as entries:
        server.faults.break_connection(SUBSCRIBE, times=3)
        server.faults.drop_sockets()
        server.log("away")
        assert await read_some(entries, 1) == ["[INFO] away"]


async def test_a_server_that_forbids_it_later(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.terminal.subscribe() as entries:
        server.log("before")
        await trio.sleep(1)
        server.faults.answer(SUBSCRIBE, 403)
        server.faults.drop_sockets()
        await trio.sleep(5)
        assert await read_some(entries, 1) == ["[INFO] before"]
        with pytest.raises(ForbiddenError):
            await read_some(entries, 1)


@pytest.mark.parametrize(
    ("status", "error"), [(403, ForbiddenError), (404, UnsupportedError), (500, ResponseError)]
)
@pytest.mark.parametrize("route", [SUBSCRIBE, RAW])
async def test_a_server_that_refuses(
    route: str,
    status: int,
    error: type[Exception],
    autojump_clock: MockClock,
    comfy: Comfy,
    server: EmbeddedServer,
) -> None:
    server.faults.answer(route, status)
    with pytest.raises(error):
        async with comfy.terminal.subscribe():
            pytest.fail("entered")
    assert server.statistics().log_subscribers == 0


async def test_the_iteration_ends_when_the_client_gives_up(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    options: dict[str, Any] = {"reconnect": ReconnectPolicy(attempts=2)}
    async with open_comfy(server.url, transport=server.transport, **options) as comfy:
        async with comfy.terminal.subscribe() as entries:
            server.log("before")
            await trio.sleep(1)
            server.faults.answer("GET /ws", 503, times=math.inf)
            server.faults.drop_sockets()
            with trio.fail_after(60):
                assert [each.plain async for each in entries] == ["[INFO] before"]
        with trio.fail_after(60):
            assert [each async for each in comfy.server_events()] == []


async def test_a_slow_reader_misses_the_oldest(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.terminal.subscribe() as entries:
        for number in range(1200):
            server.log(str(number))
            if number % 100 == 0:
                await trio.sleep(1)
        await trio.sleep(1)
        assert await read_some(entries, 1) == ["[INFO] 200"]
        assert entries.missed == 200


async def test_more_than_the_server_keeps(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.terminal.subscribe() as entries:
        server.faults.drop_sockets()
        for number in range(500):
            server.log(str(number))
        await trio.sleep(5)
        assert await read_some(entries, 300) == [f"[INFO] {n}" for n in range(200, 500)]


async def test_a_cancelled_reader_unsubscribes(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    with trio.move_on_after(1):
        async with comfy.terminal.subscribe() as entries:
            await read_some(entries, 1)
    assert server.statistics().log_subscribers == 0


async def test_a_goodbye_that_is_not_answered_takes_no_longer_than_the_bound(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    async with comfy.terminal.subscribe():
        server.faults.hang(SUBSCRIBE)
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(5)


async def test_errors_of_the_block_come_out_as_themselves(comfy: Comfy) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with comfy.terminal.subscribe():
            raise ValueError("mine")
