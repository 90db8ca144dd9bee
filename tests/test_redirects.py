"""Where redirects lead, and what goes along: no secret to any other origin, no POST anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import httpx
import pytest

from comfy_trio import BearerCredentials, ResponseError
from comfy_trio._address import parse_address
from comfy_trio._door import Door
from comfy_trio._http import HttpClient
from comfy_trio._network import NetworkTransport, OwnTransport
from comfy_trio._replies import Reply, Request, get, post, raise_for_status

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRETS = {
    "authorization": "Bearer token-secret",
    "x-api-key": "key-secret",
    "comfy-user": "user-secret",
    "cookie": "session=cookie-secret",
    "x-custom": "custom-secret",
}
STATUSES = [301, 302, 303, 307, 308]


@attrs.define
class Web:
    """Some hosts: each URL's reply. Remembers who was asked what, and with which headers."""

    pages: Mapping[str, tuple[int, str]]
    seen: list[httpx.Request] = attrs.field(factory=list[httpx.Request])

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        status, location = self.pages.get(str(request.url), (200, ""))
        headers = {"location": location} if location else {}
        return httpx.Response(status, headers=headers, content=b"content")


async def ask(web: Web, request: Request, *, address: str = "http://home:8188") -> Reply:
    server, _ = parse_address(address)
    network = NetworkTransport.to(server, None)
    headers = [pair for pair in SECRETS.items() if pair[0] != "authorization"]
    client = HttpClient(
        server,
        door=Door(BearerCredentials("token-secret"), headers),
        transport=OwnTransport(network, httpx.MockTransport(web.answer), None),
        max_requests=1,
    )
    try:
        return await client.request(request)
    finally:
        await client.aclose()


def secrets_in(request: httpx.Request) -> set[str]:
    found = {name for name, value in request.headers.items() if "secret" in value}
    return found | ({"url"} if "secret" in str(request.url) else set())


VIEW = get("/view", filename="a")
VIEW_URL = "http://home:8188/api/view?filename=a"

HOME = [
    "/elsewhere",
    "elsewhere?x=1",
    "?x=1",
    "//home:8188/x",
    "http://home:8188/x",
    "HTTP://HOME:8188/x",
    "http://someone:password@home:8188/x",
    "http:///x",
]
AWAY = [
    "https://home:8188/x",
    "http://home/x",
    "http://home:8189/x",
    "http://home.evil:8188/x",
    "http://sub.home:8188/x",
    "http://evil:8188/home:8188",
    "http://home:8188@evil/x",
    "http://home:8188\\@evil/x",
    "//evil/x",
    "//evil:8188/x",
    "http://127.0.0.1:8188/x",
    "http://home.:8188/x",
]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("location", HOME)
async def test_redirects_within_the_server_carry_all(location: str, status: int) -> None:
    web = Web({VIEW_URL: (status, location)})
    assert (await ask(web, VIEW)).content == b"content"
    assert secrets_in(web.seen[1]) == SECRETS.keys()
    assert "someone" not in str(web.seen[1].url)
    assert dict(web.seen[1].headers)["authorization"] == SECRETS["authorization"]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("location", AWAY)
async def test_redirects_elsewhere_carry_nothing(location: str, status: int) -> None:
    web = Web({VIEW_URL: (status, location)})
    assert (await ask(web, VIEW)).content == b"content"
    (_, request) = web.seen
    assert secrets_in(request) == set()
    assert request.url.userinfo == b""
    assert set(request.headers) == {"host", "accept", "user-agent"}


@pytest.mark.parametrize(
    ("address", "location", "is_home"),
    [
        ("https://home", "https://home:443/x", True),
        ("https://home:443", "https://home/x", True),
        ("https://Home:443/base", "https://HOME/x", True),
        ("http://home:80", "http://home/x", True),
        ("http://home", "http://home:80/x", True),
        ("http://[::1]:8188", "http://[::1]:8188/x", True),
        ("https://home", "http://home/x", False),
        ("https://home", "http://home:443/x", False),
        ("https://home:8443", "http://home:8443/x", False),
        ("http://home", "https://home/x", False),
        ("http://home:443", "https://home/x", False),
        ("http://[::1]:8188", "http://[::2]:8188/x", False),
    ],
)
async def test_origins(address: str, location: str, is_home: bool) -> None:
    base = "/base" if address.endswith("/base") else ""
    start = str(httpx.URL(f"{address.removesuffix('/base')}{base}/api/view?filename=a"))
    web = Web({start: (302, location)})
    await ask(web, VIEW, address=address)
    assert secrets_in(web.seen[1]) == (SECRETS.keys() if is_home else set())


async def test_who_leads_away_and_back_gets_nothing() -> None:
    """Or else a stranger could have anything fetched that is behind the door."""
    web = Web(
        {
            VIEW_URL: (302, "http://store/x"),
            "http://store/x": (302, "http://home:8188/api/queue"),
            "http://home:8188/api/queue": (302, "/api/history"),
        }
    )
    await ask(web, VIEW)
    assert [bool(secrets_in(request)) for request in web.seen] == [True, False, False, False]
    assert str(web.seen[-1].url) == "http://home:8188/api/history"


@pytest.mark.parametrize(
    "location",
    [
        "ftp://home/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/plain,x",
        "http://home:99999/x",
        "http://home:port/x",
        "http://home:8188%40evil/x",
        "http://[::1/x",
        "https://",
        "\x01",
        "mailto:me@home",
    ],
)
async def test_redirects_to_no_address(location: str) -> None:
    web = Web({VIEW_URL: (302, location)})
    with pytest.raises(ResponseError, match=r"GET .*/api/view.*a redirect, which is no address"):
        await ask(web, VIEW)
    assert len(web.seen) == 1


async def test_redirects_in_circles() -> None:
    web = Web({VIEW_URL: (302, "/b"), "http://home:8188/b": (302, VIEW_URL)})
    with pytest.raises(ResponseError, match="after 5 others, which is not followed") as caught:
        await ask(web, VIEW)
    assert caught.value.status == 302
    assert len(web.seen) == 6


async def test_five_redirects_are_fine() -> None:
    pages = {f"http://home:8188/{number}": (302, f"/{number + 1}") for number in range(4)}
    assert (await ask(Web({VIEW_URL: (302, "/0"), **pages}), VIEW)).status == 200


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(
    "request_",
    [
        post("/prompt", {"prompt": {}, "extra_data": {"api_key_comfy_org": "secret"}}),
        Request("DELETE", "/api/userdata/a"),
        Request("PUT", "/api/x", content=b"secret"),
        Request("PATCH", "/api/x", json={"secret": 1}),
    ],
)
@pytest.mark.parametrize("location", ["/other", "http://evil/x?signature=hidden", "https://home/"])
async def test_nothing_but_a_get_is_sent_twice(
    location: str, request_: Request, status: int
) -> None:
    web = Web({f"http://home:8188{request_.path}": (status, location)})
    reply = await ask(web, request_)
    assert len(web.seen) == 1
    with pytest.raises(ResponseError, match="is not followed: use the address") as caught:
        raise_for_status(reply)
    target = {"/other": "http://home:8188/other"}.get(location, location.partition("?")[0])
    assert f"a redirect to {target}, which" in str(caught.value)
    assert "hidden" not in str(caught.value)


async def test_the_signature_of_a_signed_url_is_told_to_nobody() -> None:
    web = Web(
        {
            VIEW_URL: (302, "https://store/x?signature=hidden"),
            "https://store/x?signature=hidden": (403, ""),
        }
    )
    with pytest.raises(ResponseError, match="https://store/x was answered") as caught:
        raise_for_status(await ask(web, VIEW))
    assert "hidden" not in f"{caught.value} {caught.value.reply}"


async def test_a_401_of_another_origin_is_none_of_the_server() -> None:
    web = Web({VIEW_URL: (302, "http://store/x"), "http://store/x": (401, "")})
    assert (await ask(web, VIEW)).status == 401
    assert len(web.seen) == 2


async def test_a_redirect_without_location_is_a_reply() -> None:
    web = Web({VIEW_URL: (302, "")})
    with pytest.raises(ResponseError, match="a redirect, which is not followed"):
        raise_for_status(await ask(web, VIEW))
