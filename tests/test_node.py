"""`Comfy.node`: what the server declares of its classes."""

from __future__ import annotations

from collections.abc import AsyncGenerator  # noqa: TC003  # pytest reads the annotations
from typing import TYPE_CHECKING, Any

import pytest
from bad_replies import check_refuses, check_refuses_bad_replies, reply_to
from packs import store

from comfy_trio import Comfy, NotFoundError, ResponseError, open_comfy
from comfy_trio._replies import Request, get
from comfy_trio._routes._node import (
    RemoteChoice,
    definitions_request,
    help_page_request,
    names_offered,
    read_choice,
    read_definitions,
    read_help_page,
    read_remote_choice,
    require_definition,
)
from comfy_trio.testing import NodeResult, NodeType, open_embedded_server

if TYPE_CHECKING:
    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer


# Reading

EVERYTHING = definitions_request()
ONE = definitions_request("KSampler")

CHOICES: list[tuple[Any, tuple[Any, ...] | RemoteChoice | None]] = [
    ([["a", "b"], {"tooltip": "..."}], ("a", "b")),
    ([["a", "b"]], ("a", "b")),
    (["COMBO", {"options": ["a", "b"], "multiselect": False}], ("a", "b")),
    ([[], {}], ()),
    (["COMBO", {"options": []}], ()),
    (["COMBO", {"options": "odd"}], ()),
    (["COMBO", []], ()),
    (["COMBO"], ()),
    ([["a", 1, 2.5, True, None]], ("a", 1, 2.5, True, None)),
    (
        ["COMBO", {"remote": {"route": "/internal/files/output", "refresh_button": True}}],
        RemoteChoice(Request("GET", "/internal/files/output")),
    ),
    (
        [
            ["stale"],
            {
                "remote": {
                    "route": "api/x%20y?a=b%20c&d=",
                    "query_params": {"n": 1},
                    "response_key": "items",
                }
            },
        ],
        RemoteChoice(Request("GET", "/api/x%20y", (("a", "b c"), ("d", ""), ("n", "1"))), "items"),
    ),
    (["COMBO", {"remote": {"route": "https://elsewhere.org/list"}}], None),
    (["COMBO", {"remote": {"route": "//elsewhere.org/list"}}], None),
    (["COMBO", {"remote": {"route": None}}], None),
    (["COMBO", {"remote": {}}], None),
    (["COMBO", {"remote": None, "options": ["a"]}], ("a",)),
    (["COMBO", {"remote_combo": {"route": "/voices"}}], None),
    (
        ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "a", "inputs": {}}, {}, None, {"key": 2}]}],
        ("a", 2),
    ),
    (["COMFY_DYNAMICCOMBO_V3"], ()),
    (["STRING", {"multiline": True}], None),
    (["INT", {"options": [1, 2]}], None),
    ([], None),
    ("odd", None),
    (None, None),
]


@pytest.mark.parametrize(("spec", "expected"), CHOICES)
def test_choices(spec: Any, expected: object) -> None:
    assert read_choice(spec) == expected


@pytest.mark.parametrize("section", ["required", "optional"])
def test_names_offered(section: str) -> None:
    for spec, expected in CHOICES:
        names = names_offered({"input": {section: {"ckpt_name": spec}}}, "ckpt_name")
        offered = expected if isinstance(expected, tuple) else ()
        assert names == tuple(each for each in offered if isinstance(each, str))


@pytest.mark.parametrize(
    "declaration",
    [
        {},
        {"input": None},
        {"input": {"required": []}},
        {"input": {"hidden": {"ckpt_name": [["a"]]}}},
    ],
)
def test_names_of_odd_declarations(declaration: dict[str, Any]) -> None:
    assert names_offered(declaration, "ckpt_name") == ()


def test_bad_replies() -> None:
    check_refuses_bad_replies(read_definitions, EVERYTHING)
    check_refuses_bad_replies(lambda reply: read_definitions(reply, "KSampler"), ONE)
    check_refuses_bad_replies(lambda reply: require_definition(reply, "KSampler"), ONE)
    check_refuses(read_definitions, EVERYTHING, [])
    remote = RemoteChoice(get("/list"))
    check_refuses_bad_replies(lambda reply: read_remote_choice(reply, remote), remote.request)
    check_refuses(lambda reply: read_remote_choice(reply, remote), remote.request, {"a": []})
    keyed = RemoteChoice(get("/list"), "items")
    check_refuses_bad_replies(lambda reply: read_remote_choice(reply, keyed), keyed.request)
    bodies: list[Any] = [[], {}, {"items": {}}, {"items": None}]
    for body in bodies:
        check_refuses(lambda reply: read_remote_choice(reply, keyed), keyed.request, body)
    assert read_remote_choice(reply_to(keyed.request, {"items": ["a", 1]}), keyed) == ("a", 1)


@pytest.mark.parametrize("body", [{}, {"KSampler": None}, {"KSampler": {}}, {"Other": {"a": 1}}])
def test_a_class_that_is_not_there(body: Any) -> None:
    with pytest.raises(NotFoundError) as caught:
        require_definition(reply_to(ONE, body), "KSampler", ["KSamplr", "VAEDecode"])
    assert str(caught.value).endswith("no class of nodes 'KSampler'. Did you mean 'KSamplr'?")
    with pytest.raises(NotFoundError, match=r"Is the pack of custom nodes installed there\?$"):
        require_definition(reply_to(ONE, body), "KSampler")


def test_a_class_that_fails_to_describe_itself() -> None:
    with pytest.raises(ResponseError, match="fails to describe its class 'KSampler'") as caught:
        read_definitions(reply_to(ONE, b"500 Internal Server Error", 500), "KSampler")
    assert caught.value.status == 500
    assert type(caught.value) is ResponseError


# Asking


@pytest.mark.parametrize("version", ["0.3.64", "0.27.0"])
async def test_definitions_and_names(version: str, autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server(version=version) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        one = await comfy.node.definitions("KSampler")
        assert list(one) == ["KSampler"]
        assert one["KSampler"]["output"] == ["LATENT"]
        assert await comfy.node.definition("KSampler") == one["KSampler"]
        everything = await comfy.node.definitions()
        assert len(everything) > 20
        assert everything["KSampler"] == one["KSampler"]
        assert await comfy.node.definitions("No/Such Class") == {}
        assert "sd15.safetensors" in await comfy.node.checkpoints()
        assert "euler" in await comfy.node.samplers()
        assert "karras" in await comfy.node.schedulers()
        assert await comfy.node.choices("KSampler", "sampler_name") == await comfy.node.samplers()


async def run_nothing(_run: object, **_inputs: object) -> NodeResult:
    return NodeResult()


def odd_node(class_type: str) -> NodeType:
    return NodeType(
        class_type=class_type,
        run=run_nothing,
        required={
            "old": [["a", 1], {}],
            "new": ["COMBO", {"options": ["c", "d"]}],
            "remote": ["COMBO", {"remote": {"route": "/api/models"}}],
            "elsewhere": ["COMBO", {"remote": {"route": "https://elsewhere.org/list"}}],
            "size": ["INT", {}],
        },
        optional={"more": [["e"], {}]},
    )


ODD_NAMES = [
    "Odd Name (Test)",
    "odd/slash",
    "/odd",
    "odd|pipe|pysssss",
    "ödd ☃ 文",
    "odd%20percent",
    "odd?query#frag",
    "odd+plus&amp",
    "odd\\back",
    "odd:colon;semi",
    "Odd \"quote'",
    "odd..",
    "..",
    ".",
]


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_names_are_quoted(name: str, autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server(nodes=[odd_node(name)]) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        assert (await comfy.node.definition(name))["name"] == name


@pytest.fixture
async def odd_server_comfy() -> AsyncGenerator[Comfy, None]:
    async with (
        open_embedded_server(nodes=[odd_node("Odd")]) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        yield comfy


async def test_choices_of_an_input(odd_server_comfy: Comfy, autojump_clock: MockClock) -> None:
    choices = odd_server_comfy.node.choices
    assert await choices("Odd", "old") == ("a", 1)
    assert await choices("Odd", "new") == ("c", "d")
    assert await choices("Odd", "more") == ("e",)
    assert "checkpoints" in await choices("Odd", "remote")
    for name, message in (
        ("sizes", r"^Odd has no input 'sizes'\. Did you mean 'size'\?$"),
        ("size", r"^the input 'size' of Odd offers no choice: it is of type 'INT'$"),
        ("elsewhere", r"^the input 'elsewhere' .*: its options are not at this server$"),
    ):
        with pytest.raises(NotFoundError, match=message):
            await choices("Odd", name)
    with pytest.raises(NotFoundError, match="no class of nodes 'Od'"):
        await choices("Od", "old")


async def test_what_is_asked_for_one_class_is_gone_by_too(
    odd_server_comfy: Comfy, autojump_clock: MockClock
) -> None:
    node = odd_server_comfy.node
    with pytest.raises(NotFoundError, match="Is the pack"):
        await node.definition("KSamplr")
    await node.definitions()
    with pytest.raises(NotFoundError, match="Did you mean 'KSampler'"):
        await node.definition("KSamplr")
    latest = node._latest
    await node.choices("Odd", "old")
    assert node._latest is not latest
    assert node._latest == latest


async def test_names_on_a_server_without_the_class(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    node = comfy.node
    asks = (node.checkpoints, node.loras, node.vaes, node.upscale_models, node.samplers)
    for ask in (*asks, node.schedulers):
        server.faults.answer("GET /object_info/{node_class}", 200, b"{}")
        assert await ask() == ()
        server.faults.answer("GET /object_info/{node_class}", 502, "<html>")
        with pytest.raises(ResponseError):
            await ask()


# Pages of help


async def test_help_pages(comfy: Comfy, server: EmbeddedServer, autojump_clock: MockClock) -> None:
    store(server, "docs/Epsilon Scaling/pt-BR.md", "# Escala \u00e9psilon")
    assert await comfy.node.help_page("Epsilon Scaling", "pt-BR") == "# Escala \u00e9psilon"
    assert await comfy.node.help_page("Epsilon Scaling") is None
    assert await comfy.node.help_page("../Epsilon Scaling", "pt-BR") is None


def test_what_is_no_page_of_help() -> None:
    request = help_page_request("a/b", "en")
    assert request.path == "/docs/a%2Fb/en.md"
    for reply in (
        reply_to(request, b"<html>", content_type="text/html"),
        reply_to(request, b"\xff\xfe\x00", content_type="text/markdown"),
    ):
        with pytest.raises(ResponseError, match="should have been answered with a page"):
            read_help_page(reply)
    with pytest.raises(ResponseError, match="HTTP status 500"):
        read_help_page(reply_to(request, b"", 500))
