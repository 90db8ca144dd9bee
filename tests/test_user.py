"""`Comfy.user`: users, their settings, and whom a client acts for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from users import ask_all

from comfy_trio import (
    AlreadyExistsError,
    AuthenticationError,
    Comfy,
    ResponseError,
    UnknownUserError,
    Users,
    open_comfy,
)
from comfy_trio._replies import Reply, Request, get
from comfy_trio._routes._user import (
    create_user_request,
    fits_route,
    raise_if_user_unknown,
    read_created_user,
    read_setting,
    read_settings,
    read_users,
    set_setting_request,
    setting_request,
)
from comfy_trio.testing import EmbeddedServer, open_embedded_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock


def reply(body: object, status: int = 200, request: Request | None = None) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = request or get("/settings")
    return Reply(request, f"http://h{request.path}", status, content, "application/json")


USERS: list[tuple[dict[str, Any], Users]] = [
    ({"storage": "server", "users": {"Ann_1": "Ann"}}, Users(True, {"Ann_1": "Ann"})),
    ({"storage": "server", "users": {}}, Users(True)),
    ({"storage": "server", "migrated": True}, Users(False, has_data=True)),
    ({"storage": "server", "migrated": False, "new": 1}, Users(False, has_data=False)),
    ({"migrated": True}, Users(False, has_data=True)),
]


@pytest.mark.parametrize(("body", "expected"), USERS)
def test_users(body: dict[str, Any], expected: Users) -> None:
    users = read_users(reply(body))
    assert (users.multi_user, users.names, users.has_data) == (
        expected.multi_user,
        expected.names,
        expected.has_data,
    )
    assert users.raw == body


READERS: dict[str, Callable[[Reply], object]] = {
    "users": read_users,
    "created": lambda reply: read_created_user(reply, "Ann"),
    "settings": read_settings,
    "setting": read_setting,
}
BAD: list[tuple[str, object]] = [
    *((name, body) for name in READERS for body in (b"", b"<html></html>", b'{"us', b"\xff")),
    ("users", []),
    ("users", {}),
    ("users", {"users": []}),
    ("users", {"migrated": "yes"}),
    ("created", None),
    ("created", ""),
    ("created", {"id": "Ann_1"}),
    ("settings", [1]),
    ("settings", None),
]


@pytest.mark.parametrize(("name", "body"), BAD)
def test_replies_that_are_something_else(name: str, body: object) -> None:
    with pytest.raises(ResponseError, match=r"GET http://h/api/settings should have been answered"):
        READERS[name](reply(body))


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("status", "error"), [(302, ResponseError), (401, AuthenticationError), (500, ResponseError)]
)
def test_statuses(name: str, status: int, error: type[ResponseError]) -> None:
    with pytest.raises(ResponseError, match=f"HTTP status {status}") as caught:
        READERS[name](reply(b"", status))
    assert type(caught.value) is error


@pytest.mark.parametrize("value", [None, 0, False, "", [], {"a": None}])
def test_a_setting_is_any_json(value: Any) -> None:
    assert read_setting(reply(value)) == value
    sent = set_setting_request("a", value)
    assert (b"null" if sent.json is None else json.dumps(sent.json).encode()) == (
        sent.content or json.dumps(value).encode()
    )


IDS = {
    "Comfy.ColorPalette": "Comfy.ColorPalette",
    "a/b.c": "a%2Fb.c",
    "100%": "100%25",
    "a%2Fb": "a%252Fb",
    "ü #?": "%C3%BC%20%23%3F",
}


@pytest.mark.parametrize("setting_id", IDS)
def test_ids_of_settings_are_one_segment(setting_id: str) -> None:
    assert fits_route(setting_id)
    path = f"/api/settings/{IDS[setting_id]}"
    assert setting_request(setting_id).path == path
    assert set_setting_request(setting_id, 1).path == path


@pytest.mark.parametrize("setting_id", ["", ".", "..", "{a}", "a{", "}"])
def test_ids_that_are_no_segment(setting_id: str) -> None:
    assert not fits_route(setting_id)


def test_names_of_users() -> None:
    assert create_user_request(" Ann B\n").json == {"username": "Ann B"}
    for name in ("", " \t"):
        with pytest.raises(ValueError, match="a user needs a name"):
            create_user_request(name)
    assert read_created_user(reply("Ann_1"), "Ann") == "Ann_1"
    with pytest.raises(ResponseError, match=r"'__x' as a user's name: System User prefix not"):
        read_created_user(reply({"error": "System User prefix not allowed"}, 400), "__x")
    with pytest.raises(ResponseError, match="HTTP status 400"):
        read_created_user(reply(b"", 400), "Ann")


MULTI = reply({"users": {"Ann_1": "Ann"}})
UNKNOWN: list[tuple[str | None, str]] = [
    ("nobody", r"GET http://h/api/settings .* HTTP status 403: the server has no user 'nobody'"),
    ("Ann", "the server has no user 'Ann'; that is the name of the user whose id is 'Ann_1'"),
    (None, r"was not told who asks\. Pass user=\.\.\. to open_comfy"),
]


@pytest.mark.parametrize(("user", "message"), UNKNOWN)
def test_unknown_users(user: str | None, message: str) -> None:
    with pytest.raises(UnknownUserError, match=message) as caught:
        raise_if_user_unknown(reply(b"", 403), MULTI, user)
    assert caught.value.user == user
    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("users", "user"),
    [
        (MULTI, "Ann_1"),
        (reply({"migrated": True}), "nobody"),
        (reply({"users": {"default": "default"}}), None),
        (reply(b"", 401), "nobody"),
        (reply(b"<html>", 200), "nobody"),
    ],
)
def test_what_is_not_the_users_fault(users: Reply, user: str | None) -> None:
    raise_if_user_unknown(reply(b"", 403), users, user)


async def test_settings(autojump_clock: MockClock, comfy: Comfy) -> None:
    assert await comfy.user.settings() == {}
    assert await comfy.user.setting("a.b") is None
    await comfy.user.merge_settings({"a.b": [1, None], "c": None})
    await comfy.user.merge_settings({"d": {}})
    await comfy.user.set_setting("c/d", None)
    await comfy.user.set_setting("d", "x")
    assert await comfy.user.settings() == {"a.b": [1, None], "c": None, "c/d": None, "d": "x"}
    assert await comfy.user.setting("a.b") == [1, None]
    assert await comfy.user.setting("c/d") is None


async def test_values_that_json_does_not_have(autojump_clock: MockClock, comfy: Comfy) -> None:
    for value, error in ((float("nan"), ValueError), ({1, 2}, TypeError)):
        with pytest.raises(error):
            await comfy.user.set_setting("a", value)  # type: ignore[arg-type]
        with pytest.raises(error):
            await comfy.user.merge_settings({"a": value})
    assert await comfy.user.settings() == {}


IDS_OF_SETTINGS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["", ".", "..", "a/b", "100%", "a%2Fb", "{a}", "a/../b"]
)


@hypothesis.settings(max_examples=50)
@given(settings=st.dictionaries(IDS_OF_SETTINGS, st.integers() | st.none(), max_size=3))
async def test_settings_of_any_id_come_back(settings: dict[str, Any]) -> None:
    async with (
        open_embedded_server() as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        for setting_id, value in settings.items():
            await comfy.user.set_setting(setting_id, value)
            assert await comfy.user.setting(setting_id) == value
        assert await comfy.user.settings() == settings


@pytest.mark.parametrize("version", ["0.3.64", "0.27.0"])
async def test_a_server_that_keeps_its_users_apart(autojump_clock: MockClock, version: str) -> None:
    async with open_embedded_server(version=version, multi_user=True) as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            assert await comfy.user.users() == Users(True, raw={"storage": "server", "users": {}})
            ann = await comfy.user.create(" Ann ")
            bob = await comfy.user.create("Bob & Söhne")
            with pytest.raises(AlreadyExistsError, match="a user called 'Ann' already"):
                await comfy.user.create("Ann")
            assert (await comfy.user.users()).names == {ann: "Ann", bob: "Bob & Söhne"}
            for user in (ann, bob):
                async with open_comfy(server.url, user=user, transport=server.transport) as theirs:
                    assert await theirs.user.settings() == {}
                    await theirs.user.set_setting("me", user)
                    await theirs.file.user_data.write("me", user)
            for user in (ann, bob):
                async with open_comfy(server.url, user=user, transport=server.transport) as theirs:
                    assert await theirs.user.setting("me") == user
                    assert await theirs.file.user_data.read("me") == user.encode()
            with pytest.raises(UnknownUserError, match="was not told who asks"):
                await comfy.user.settings()


@pytest.mark.parametrize("version", ["0.3.64", "0.27.0"])
@pytest.mark.parametrize("user", [None, "", "nobody", "default", "__system"])
async def test_an_unknown_user_is_told_wherever_it_matters(
    autojump_clock: MockClock, version: str, user: str | None
) -> None:
    async with (
        open_embedded_server(version=version, multi_user=True) as server,
        open_comfy(server.url, user=user, transport=server.transport) as comfy,
    ):
        assert set(await ask_all(comfy)) == {UnknownUserError}


async def test_wrong_credentials_are_still_those(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    async with open_comfy(server.url, user="Ann_1", transport=server.transport) as comfy:
        server.faults.required_headers["authorization"] = "Bearer x"
        assert set(await ask_all(comfy)) == {AuthenticationError}


async def test_the_user_is_in_every_request_and_in_the_upgrade(
    autojump_clock: MockClock, server: EmbeddedServer
) -> None:
    server.faults.required_headers["comfy-user"] = "Ann_1"
    async with open_comfy(server.url, user="Ann_1", transport=server.transport) as comfy:
        assert await comfy.user.settings() == {}
    with pytest.raises(AuthenticationError):
        async with open_comfy(server.url, transport=server.transport):
            pass
    with pytest.raises(ValueError, match="'comfy-user' has characters that no header may have"):
        async with open_comfy(server.url, user="Ann\n", transport=server.transport):
            pass
