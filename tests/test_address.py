from __future__ import annotations

import pytest

from comfy_trio import BasicCredentials, BearerCredentials, HeaderCredentials
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
    "url", ["ftp://me:secret@h", "http://me:secret@h?x", "http://me:secret@:1"]
)
def test_no_message_shows_a_password(url: str) -> None:
    with pytest.raises(ValueError, match="http") as caught:
        parse_address(url)
    assert "secret" not in str(caught.value)


def test_urls_of_routes() -> None:
    address, _ = parse_address("https://h/comfy/")
    assert address.http_url("/api/prompt") == "https://h/comfy/api/prompt"
    assert (
        address.http_url("/api/view", [("filename", "a b&c%.png"), ("type", "output")])
        == "https://h/comfy/api/view?filename=a%20b%26c%25.png&type=output"
    )
    assert address.websocket_url("me/1") == "wss://h/comfy/ws?clientId=me%2F1"
    assert parse_address("h:1")[0].websocket_url("x") == "ws://h:1/ws?clientId=x"


def test_credentials() -> None:
    _, credentials = parse_address("http://me:p%40ss@h")
    assert credentials == BasicCredentials("me", "p@ss")
    assert parse_address("http://h")[1] is None
    assert BasicCredentials("Aladdin", "open sesame").headers() == [
        ("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    ]
    assert BearerCredentials("t").headers() == [("Authorization", "Bearer t")]
    assert HeaderCredentials({"X-API-Key": "k"}).headers() == [("X-API-Key", "k")]


@pytest.mark.parametrize(
    "credentials",
    [
        BasicCredentials("me", "secret"),
        BearerCredentials("secret"),
        HeaderCredentials({"a": "secret"}),
    ],
)
def test_credentials_do_not_show(credentials: object) -> None:
    assert "secret" not in repr(credentials)
