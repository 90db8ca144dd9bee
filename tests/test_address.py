from __future__ import annotations

import traceback

import pytest

from comfy_trio._address import parse_address

ADDRESSES = [
    ("http://127.0.0.1:8188", "http://127.0.0.1:8188"),
    ("127.0.0.1:8188", "http://127.0.0.1:8188"),
    ("gpu-box", "http://gpu-box"),
    ("localhost:8188/", "http://localhost:8188"),
    (" http://h:1 ", "http://h:1"),
    ("https://h/comfy/", "https://h/comfy"),
    ("https://h/a//", "https://h/a"),
    ("https://h/my comfy", "https://h/my%20comfy"),
    ("https://h/my%20comfy", "https://h/my%20comfy"),
    ("http://[::1]:8188", "http://[::1]:8188"),
    ("HTTP://Host:8188", "http://host:8188"),
    ("http://me:secret@h:1/x", "http://h:1/x"),
]


@pytest.mark.parametrize(("url", "shown"), ADDRESSES)
def test_addresses_as_people_write_them(url: str, shown: str) -> None:
    assert str(parse_address(url)[0]) == shown


BAD_ADDRESSES = [
    ("ftp://h", "begins with http:// or https://"),
    ("http://", "names no host"),
    ("", "names no host"),
    ("http://h:port", "is not a URL"),
    ("http://h:99999", "is not a URL"),
    ("http://h?x=1", "no query"),
    ("http://h#x", "no fragment"),
]


@pytest.mark.parametrize(("url", "message"), BAD_ADDRESSES)
def test_what_is_no_address(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://me:secret@h",
        "http://me:secret@h?x",
        "http://me:secret@:1",
        "http://me:secret/x@h",
        "http://me:12/secret@h",
        "http://me:a#secret@h",
        "http://me:a?secret@h",
        "http://me:a://secret@h?x",
        "me:secret://b@h?x",
        "http://me:secret@h\u2100",
        "http://[me:secret@h",
        "http://h?token=secret",
        "http://h#secret",
        "ftp://h/?token=secret",
    ],
)
def test_no_message_shows_a_password(url: str) -> None:
    with pytest.raises(ValueError, match="http") as caught:
        parse_address(url)
    assert "secret" not in "".join(traceback.format_exception(caught.value)).replace(repr(url), "")
    assert caught.value.__context__ is None


def test_urls_of_routes() -> None:
    address, _ = parse_address("https://h/comfy/")
    assert address.http_url("/api/prompt") == "https://h/comfy/api/prompt"
    assert (
        address.http_url("/api/view", [("filename", "a b&c%.png"), ("type", "output")])
        == "https://h/comfy/api/view?filename=a%20b%26c%25.png&type=output"
    )
    assert address.websocket_url("me/1") == "wss://h/comfy/ws?clientId=me%2F1"
    assert parse_address("h:1")[0].websocket_url("x") == "ws://h:1/ws?clientId=x"
    assert parse_address("h")[0].websocket_url("x", [("token", "a/b")]) == (
        "ws://h/ws?clientId=x&token=a%2Fb"
    )
