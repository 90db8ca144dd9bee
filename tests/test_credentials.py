"""Credentials: as values, asked for when they are needed, and shown until they are refused."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import httpx
import prompts
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from comfy_trio import (
    AuthenticationError,
    AuthHeaders,
    BasicCredentials,
    BearerCredentials,
    ComfyCloudCredentials,
    ComfyError,
    CredentialsError,
    HeaderCredentials,
    ReconnectPolicy,
    TokenCredentials,
    open_comfy,
)
from comfy_trio._address import parse_address
from comfy_trio._credentials import check_headers, read_headers
from comfy_trio._door import Door
from comfy_trio._routes._queue import QUEUE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from trio.testing import MockClock

    from comfy_trio import Comfy, Credentials
    from comfy_trio.testing import EmbeddedServer


# --- As values ------------------------------------------------------------------------------------


def test_credentials() -> None:
    _, credentials = parse_address("http://me:p%40ss@h")
    assert credentials == BasicCredentials("me", "p@ss")
    assert parse_address("http://h")[1] is None
    assert BasicCredentials("Aladdin", "open sesame").headers() == [
        ("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    ]
    assert BearerCredentials("t").headers() == [("Authorization", "Bearer t")]
    assert HeaderCredentials({"X-API-Key": "k"}).headers() == [("X-API-Key", "k")]
    cloud = ComfyCloudCredentials("comfyui-k").headers()
    assert cloud.headers == [("X-API-Key", "comfyui-k")]
    assert cloud.websocket_params == [("token", "comfyui-k")]


@pytest.mark.parametrize(
    "credentials",
    [
        BasicCredentials("me", "secret"),
        BearerCredentials("secret"),
        HeaderCredentials({"a": "secret"}),
        ComfyCloudCredentials("secret"),
        TokenCredentials(functools.partial(str, "secret")),
        AuthHeaders([("a", "secret")], websocket_params=[("token", "secret")]),
        Door(BearerCredentials("secret"), [("b", "secret")]),
    ],
)
def test_credentials_do_not_show(credentials: object) -> None:
    assert "secret" not in repr(credentials)


BAD_HEADERS = [
    ("Host", "secret", "not for the caller to set"),
    ("content-LENGTH", "secret", "not for the caller to set"),
    ("X-Key", "secret\n", "characters that no header may have"),
    ("X-Key", "secret\0", "characters that no header may have"),
    ("X-Key", "secrät", "characters that no header may have"),
    ("X-Key", "secret\x7f", "characters that no header may have"),
    ("X-Key", "secret ", "begins or ends with white space"),
    ("X-Key", "\tsecret", "begins or ends with white space"),
    ("X Key", "secret", "a name that no header may have"),
    ("X-Key: secret", "", "a name that no header may have"),
    ("", "secret", "a name that no header may have"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD_HEADERS)
def test_headers_that_may_not_be_sent(name: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_headers([(name, value)])
    assert "secr" not in str(caught.value)
    with pytest.raises(ValueError, match=message):
        HeaderCredentials({name: value})


@given(st.text(max_size=20))
def test_headers_that_pass_are_taken_by_who_sends_them(value: str) -> None:
    import h11

    try:
        check_headers([("X-Key", value)])
    except ValueError:
        return
    h11.Request(method="GET", target="/", headers=[("Host", "h"), ("X-Key", value)])


@pytest.mark.parametrize("answer", [None, "Bearer x", 7, {"a": "b"}, b"x", [("a",)], [("a", None)]])
def test_what_is_no_answer_of_credentials(answer: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        read_headers(answer)


# --- One question for all -------------------------------------------------------------------------


class Tokens:
    """Gives tokens t1, t2, ...; counts how often it is asked."""

    def __init__(self, *, delay: float = 1.0, lifetime: float | None = None) -> None:
        self.asked = self.answered = 0
        self.delay = delay
        self.lifetime = lifetime
        self.failure: Exception | None = None

    async def __call__(self) -> AuthHeaders:
        self.asked += 1
        await trio.sleep(self.delay)
        if self.failure is not None:
            raise self.failure
        self.answered += 1
        return AuthHeaders([("Authorization", f"Bearer t{self.answered}")], self.lifetime)


def token_of(shown: AuthHeaders) -> str:
    return dict(shown.headers)["Authorization"].removeprefix("Bearer ")


async def test_who_comes_while_it_is_asked_waits_for_the_answer(autojump_clock: MockClock) -> None:
    tokens = Tokens()
    door = Door(TokenCredentials(tokens), [("X-More", "m")])
    shown: list[AuthHeaders] = []

    async def enter(delay: float) -> None:
        await trio.sleep(delay)
        shown.append(await door.show())

    async with trio.open_nursery() as nursery:
        for delay in (0, 0, 0.5, 0.9, 1.5, 100):
            nursery.start_soon(enter, delay)
    assert tokens.asked == 1
    assert {token_of(each) for each in shown} == {"t1"}
    assert dict(shown[0].headers)["X-More"] == "m"


@pytest.mark.parametrize("cancelled", [0, 1, 2])
async def test_a_waiter_that_is_cancelled_spoils_nothing(
    autojump_clock: MockClock, cancelled: int
) -> None:
    tokens = Tokens()
    door = Door(TokenCredentials(tokens))
    shown: list[str] = []

    async def enter(number: int) -> None:
        with trio.move_on_after(0.5 if number == cancelled else 100):
            shown.append(token_of(await door.show()))

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(enter, number)
    assert shown == ["t1", "t1"]
    assert tokens.answered == 1
    assert tokens.asked <= 2
    assert trio.current_time() <= 1.5


async def test_a_failure_is_told_to_all_who_waited_and_not_kept(autojump_clock: MockClock) -> None:
    tokens = Tokens()
    tokens.failure = OSError("the vault is closed")
    door = Door(TokenCredentials(tokens))
    failures: list[CredentialsError] = []

    async def enter() -> None:
        with pytest.raises(CredentialsError, match="TokenCredentials raised OSError") as caught:
            await door.show()
        failures.append(caught.value)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(enter)
    assert len({id(failure) for failure in failures}) == 5
    assert all(failure.__cause__ is tokens.failure for failure in failures)
    assert tokens.asked == 1
    tokens.failure = None
    assert token_of(await door.show()) == "t1"


async def test_a_token_is_shown_until_it_expires(autojump_clock: MockClock) -> None:
    tokens = Tokens(delay=1, lifetime=10)
    door = Door(TokenCredentials(tokens))
    told: list[tuple[float, str]] = []
    for _ in range(8):
        told.append((trio.current_time(), token_of(await door.show())))
        await trio.sleep(3)
    # The lifetime counts from when it was asked for: at 0, 13, ...
    assert [token for _, token in told] == ["t1", "t1", "t1", "t2", "t2", "t2", "t3", "t3"]
    assert tokens.asked == 3


async def test_a_lifetime_shorter_than_the_answer_takes(autojump_clock: MockClock) -> None:
    """Each who asks gets an answer, rather than asking for ever."""
    tokens = Tokens(delay=2, lifetime=1)
    door = Door(TokenCredentials(tokens))
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(door.show)
    assert tokens.asked == 1
    assert token_of(await door.show()) == "t2"


async def test_a_refused_token_is_renewed_once_for_all(autojump_clock: MockClock) -> None:
    tokens = Tokens()
    door = Door(TokenCredentials(tokens))
    shown = await door.show()
    renewed: list[AuthHeaders | None] = []

    async def renew() -> None:
        renewed.append(await door.renew(shown))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(renew)
    assert tokens.asked == 2
    assert [token_of(each) for each in renewed if each is not None] == ["t2"] * 5
    late = await door.renew(shown)  # a reply that comes late refuses the old one
    assert late is not None
    assert token_of(late) == "t2"
    assert tokens.asked == 2


async def test_what_stays_the_same_is_not_shown_again() -> None:
    for credentials in (None, BearerCredentials("t"), TokenCredentials(lambda: "t")):
        door = Door(credentials, [("X-More", "m")])
        assert await door.renew(await door.show()) is None


async def _headers() -> Sequence[tuple[str, str]]:
    await trio.lowlevel.checkpoint()
    return [("Authorization", "Bearer t")]


class Own:
    """Credentials of a program's own, in a few lines."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.headers = answer


KINDS: list[Credentials] = [
    Own(lambda: [("Authorization", "Bearer t")]),
    Own(lambda: AuthHeaders([("Authorization", "Bearer t")], lifetime=5)),
    Own(_headers),
    TokenCredentials(lambda: "t"),
    TokenCredentials(lambda: {"Authorization": "Bearer t"}, lifetime=3),
    TokenCredentials(Tokens.__call__.__get__(Tokens())),  # a bound method that is async
]


@pytest.mark.parametrize("credentials", KINDS)
async def test_kinds_of_credentials(autojump_clock: MockClock, credentials: Credentials) -> None:
    assert token_of(await Door(credentials).show()) in {"t", "t1"}


@pytest.mark.parametrize("answer", [None, {"a": "b"}, "text", [("X-Key", "bad\n")]])
async def test_credentials_that_give_nonsense(answer: object) -> None:
    with pytest.raises(CredentialsError, match=r"Own raised (Type|Value)Error") as caught:
        await Door(Own(lambda: answer)).show()
    assert isinstance(caught.value.__cause__, (TypeError, ValueError))


# --- On both channels of a client -----------------------------------------------------------------


async def nothing(comfy: Comfy) -> None:
    await trio.lowlevel.checkpoint()


def require(server: EmbeddedServer, token: str) -> None:
    server.faults.required_headers["Authorization"] = f"Bearer {token}"


async def open_with(
    server: EmbeddedServer, credentials: Credentials, use: Callable[[Comfy], Awaitable[object]]
) -> None:
    async with open_comfy(server.url, transport=server.transport, credentials=credentials) as comfy:
        await use(comfy)


async def test_a_token_for_http_and_the_websocket(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    tokens = Tokens()
    require(server, "t1")
    await open_with(server, TokenCredentials(tokens), lambda comfy: comfy.run(prompts.slow(20)))
    assert tokens.asked == 1


@pytest.mark.parametrize("route", ["POST /prompt", "GET /history/{prompt_id}", "GET /view"])
async def test_a_token_that_expires_at_the_server_is_renewed(
    autojump_clock: MockClock, server: EmbeddedServer, route: str
) -> None:
    """Whatever the request is: a 401 says that the server has not acted on it."""
    tokens = Tokens()
    require(server, "t1")

    async def run(comfy: Comfy) -> None:
        if route == "POST /prompt":
            require(server, "t2")
        result = await comfy.run(prompts.image())
        if route == "GET /view":
            require(server, "t2")
        assert await comfy.file.read(result["9"]["images"][0])

    if route == "GET /history/{prompt_id}":
        server.faults.required_headers.clear()
        server.faults.answer(route, 401)
    await open_with(server, TokenCredentials(tokens), run)
    assert tokens.asked == 2
    assert server.statistics().history == 1


async def test_an_upload_is_sent_again_with_a_new_token(
    autojump_clock: MockClock, server: EmbeddedServer, tmp_path: Any
) -> None:
    tokens = Tokens()
    require(server, "t1")
    picture = tmp_path / "a.bin"
    picture.write_bytes(b"picture" * 1000)

    async def upload(comfy: Comfy) -> None:
        require(server, "t2")
        uploaded = await comfy.file.upload_image(picture)
        assert await comfy.file.read(uploaded.as_output()) == picture.read_bytes()

    await open_with(server, TokenCredentials(tokens), upload)
    assert tokens.asked == 2


async def test_what_can_be_read_but_once_is_not_sent_again(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    """The next request fetches a token."""
    tokens = Tokens()
    require(server, "t1")

    async def upload(comfy: Comfy) -> None:
        require(server, "t2")
        with pytest.raises(AuthenticationError):
            await comfy.file.upload_image(iter([b"picture"]), filename="a.bin")
        assert tokens.asked == 1
        await comfy._session.http.request(QUEUE)
        await comfy.file.upload_image(iter([b"picture"]), filename="a.bin")

    await open_with(server, TokenCredentials(tokens), upload)
    assert tokens.asked == 2


async def test_a_token_that_is_refused_for_good(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    tokens = Tokens()
    require(server, "another")
    with pytest.raises(AuthenticationError, match="wants other credentials"):
        await open_with(server, TokenCredentials(tokens), nothing)
    assert tokens.asked == 2
    assert server.statistics().requests == {"GET /prompt": 2}


async def test_static_credentials_are_not_tried_twice(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    require(server, "another")
    with pytest.raises(AuthenticationError):
        await open_with(server, BearerCredentials("t"), nothing)
    assert server.statistics().requests == {"GET /prompt": 1}


async def test_a_websocket_that_wants_a_new_token(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    tokens = Tokens()
    server.faults.answer("GET /ws", 401)
    await open_with(server, TokenCredentials(tokens), lambda comfy: comfy.run(prompts.image()))
    assert tokens.asked == 2
    server.faults.answer("GET /ws", 401, times=2)
    with pytest.raises(AuthenticationError, match=r"the WebSocket at .* is refused"):
        await open_with(server, TokenCredentials(tokens), nothing)


async def test_reconnecting_with_a_new_token(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    tokens = Tokens()
    require(server, "t1")

    async def run(comfy: Comfy) -> None:
        async with comfy.open_job(prompts.slow(20)) as job:
            await trio.sleep(0.5)
            require(server, "t2")
            server.faults.drop_sockets()
            assert (await job.wait())["9"]
        assert comfy.connection_state.value == "connected"

    await open_with(server, TokenCredentials(tokens), run)
    assert tokens.asked == 2


async def test_a_vault_that_is_closed_at_first(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    tokens = Tokens()
    tokens.failure = LookupError("no such secret")
    with pytest.raises(CredentialsError, match="Nothing was sent") as caught:
        await open_with(server, TokenCredentials(tokens), nothing)
    assert caught.value.__cause__ is tokens.failure
    assert not server.statistics().requests


async def test_a_vault_that_closes_later_crashes_nothing(
    autojump_clock: MockClock, server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Not the reconnection, not the tasks that follow jobs, not the end of the client."""
    tokens = Tokens(delay=0.1, lifetime=10)

    async def run(comfy: Comfy) -> None:
        async with comfy.open_job(prompts.slow(20)) as job:
            await trio.sleep(1)
            tokens.failure = LookupError("no such secret")
            await trio.sleep(15)
            server.faults.drop_sockets()
            await trio.sleep(3)
            with pytest.raises(CredentialsError):
                await comfy._session.http.request(QUEUE)
            with pytest.raises(CredentialsError):
                await comfy.submit(prompts.image())
            assert comfy.connection_state.value == "reconnecting"
            tokens.failure = None
            assert (await job.wait())["9"]
            await trio.sleep(20)
            assert comfy.connection_state.value == "connected"
        assert (await comfy.run(prompts.image()))["9"]

    await open_with(server, TokenCredentials(tokens), run)
    assert "TokenCredentials raised LookupError" in caplog.text
    assert "no such secret" not in caplog.text


async def test_a_vault_that_stays_closed(autojump_clock: MockClock, server: EmbeddedServer) -> None:
    """A job whose server can be asked no more ends; it does not hang."""
    tokens = Tokens(delay=0.1, lifetime=10)

    async def run(comfy: Comfy) -> None:
        job = await comfy.submit(prompts.slow(1000, delay=1))
        await trio.sleep(5)
        tokens.failure = LookupError("no such secret")
        await trio.sleep(10)
        server.faults.drop_sockets()
        with pytest.raises(ComfyError):
            await job.wait()
        assert trio.current_time() < 600

    async with open_comfy(
        server.url,
        transport=server.transport,
        credentials=TokenCredentials(tokens),
        reconnect=ReconnectPolicy(attempts=3),
    ) as comfy:
        await run(comfy)


async def test_a_vault_that_never_answers(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    tokens = Tokens(delay=1e6)
    with pytest.raises(ComfyError, match="did not answer within 30"):
        await open_with(server, TokenCredentials(tokens), nothing)
    assert trio.current_time() < 40


async def test_both_http_clients_and_the_websocket_share_one_answer(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    tokens = Tokens()

    async def run(comfy: Comfy) -> None:
        with trio.move_on_after(1):
            await comfy.run(prompts.slow(100))
        server.faults.drop_sockets()
        await trio.sleep(5)
        assert comfy.connection_state.value == "connected"

    await open_with(server, TokenCredentials(tokens), run)
    assert tokens.asked == 1


async def test_params_for_the_websocket_alone(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    urls: list[str] = []

    class Spy(httpx.AsyncBaseTransport):
        def __init__(self) -> None:
            self._transport = server.transport.http_transport()

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            urls.append(str(request.url))
            return await self._transport.handle_async_request(request)

    def open_websocket(url: str, **more: Any) -> Any:
        urls.append(url)
        return server.transport.open_websocket(url, **more)

    def tokens() -> Mapping[str, str] | AuthHeaders:
        return AuthHeaders([], websocket_params=[("token", "a/b")])

    async with open_comfy(
        server.url,
        credentials=TokenCredentials(tokens),
        http_transport=Spy(),
        websocket=open_websocket,
    ) as comfy:
        await comfy.run(prompts.image())
    assert [url for url in urls if "token" in url] == [url for url in urls if "/ws?" in url]
    assert urls[1].endswith("&token=a%2Fb")
