"""`Comfy.misc`: what a server has besides nodes and models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from bad_replies import check_refuses, check_refuses_bad_replies, reply_to
from packs import CANVAS, store, store_pack

from comfy_trio import (
    Comfy,
    GlobalSubgraph,
    NotFoundError,
    ResponseError,
    UnsupportedError,
    open_comfy,
)
from comfy_trio._routes._misc import (
    CORE_TEMPLATES,
    EMBEDDINGS,
    EXTENSIONS,
    GLOBAL_SUBGRAPHS,
    NODE_REPLACEMENTS,
    TRANSLATIONS,
    WORKFLOW_TEMPLATES,
    core_template_request,
    embeddings_page_request,
    global_subgraph_request,
    is_page,
    read_core_templates,
    read_embeddings_page,
    read_global_subgraph,
    read_global_subgraphs,
    read_node_replacements,
    read_template,
    read_texts,
    read_translations,
    read_workflow_templates,
    workflow_template_request,
)
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from comfy_trio._replies import Reply, Request
    from comfy_trio.testing import EmbeddedServer

ONE = global_subgraph_request("7")
TEMPLATE = core_template_request("default")
PAGE = embeddings_page_request(1)


# Requests


def test_requests() -> None:
    assert CORE_TEMPLATES.path == "/templates/index.json"
    assert core_template_request("../a b").path == "/templates/..%2Fa%20b.json"
    assert workflow_template_request("my pack/..", "ü%20#").path == (
        "/api/workflow_templates/my%20pack%2F../%C3%BC%2520%23.json"
    )
    assert global_subgraph_request("a/b").path == "/api/global_subgraphs/a%2Fb"
    assert PAGE.params == (("page", "1"), ("page_size", "100"))


# Reading


def read_one(reply: Reply) -> object:
    return read_global_subgraph(reply, "7")


def read_default(reply: Reply) -> object:
    return read_template(reply, "there is none")


def read_names(reply: Reply) -> object:
    return read_texts(reply, "names")


READERS: list[tuple[Callable[[Reply], object], Request, list[Any]]] = [
    (read_names, EXTENSIONS, [{}, [1], ["a", None], [["a"]]]),
    (read_translations, TRANSLATIONS, [[], {"en": []}, {"en": None}]),
    (read_node_replacements, NODE_REPLACEMENTS, [[], {"a": {}}, {"a": [None]}, {"a": [{}, 1]}]),
    (read_workflow_templates, WORKFLOW_TEMPLATES, [[], {"a": "b"}, {"a": [1]}, {"a": None}]),
    (
        read_core_templates,
        CORE_TEMPLATES,
        [{}, [1], [{}], [{"templates": {}}], [{"templates": [1]}]],
    ),
    (read_default, TEMPLATE, [[], [CANVAS]]),
    (read_global_subgraphs, GLOBAL_SUBGRAPHS, [[], {"a": []}, {"a": None}]),
    (read_one, ONE, [[], {}, {"data": None}, {"data": "["}, {"data": "[]"}, {"data": "null"}]),
    (read_embeddings_page, PAGE, [[], {}, {"items": {}}, {"items": [1]}, {"items": [{"a": "b"}]}]),
]


@pytest.mark.parametrize(("read", "request_", "odd"), READERS, ids=lambda value: str(value)[:40])
def test_bad_replies(read: Callable[[Reply], object], request_: Request, odd: list[Any]) -> None:
    check_refuses_bad_replies(read, request_)
    for body in odd:
        check_refuses(read, request_, body)


def test_texts() -> None:
    assert read_texts(reply_to(EXTENSIONS, ["/a.js", "/ü.js"]), "") == ("/a.js", "/ü.js")
    assert read_texts(reply_to(EXTENSIONS, []), "") == ()


def test_unknown_fields_are_kept() -> None:
    replacement = {"new_node_id": "B", "old_node_id": "A", "input_mapping": None, "new": 1}
    body: Any = {"A": [replacement], "C": []}
    assert read_node_replacements(reply_to(NODE_REPLACEMENTS, body)) == body
    index: Any = [{"title": "Basics", "new": [], "templates": [{"name": "a", "newer": {}}]}]
    assert read_core_templates(reply_to(CORE_TEMPLATES, index)) == index


def test_subgraphs() -> None:
    body = {
        "1": {"source": "custom_node", "name": "a", "info": {"node_pack": "p"}, "new": 1},
        "2": {},
    }
    first, second = read_global_subgraphs(reply_to(GLOBAL_SUBGRAPHS, body))
    assert first == GlobalSubgraph("1", "a", "custom_node", "p")
    assert (first.raw, first.data) == (body["1"], None)
    assert second == GlobalSubgraph("2", "")
    entry: dict[str, Any] = {**body["1"], "data": json.dumps(CANVAS)}
    one = read_global_subgraph(reply_to(ONE, entry), "1")
    assert one == first
    assert one is not None
    assert (one.data, one.raw) == (CANVAS, body["1"])
    parsed_already = read_global_subgraph(reply_to(ONE, {**entry, "data": CANVAS}), "1")
    assert parsed_already is not None
    assert parsed_already.data == CANVAS


def test_files_with_numbers_that_are_no_json() -> None:
    text = '{"a": NaN, "b": [Infinity]}'
    expected = {"a": None, "b": [None]}
    assert read_template(reply_to(TEMPLATE, text.encode()), "") == expected
    one = read_global_subgraph(reply_to(ONE, {"data": text}), "7")
    assert one is not None
    assert one.data == expected


def test_a_subgraph_that_is_not_there() -> None:
    assert read_global_subgraph(reply_to(ONE, None), "7") is None
    assert read_global_subgraph(reply_to(ONE, b" null\n"), "7") is None
    assert read_global_subgraph(reply_to(ONE, {"error": "not found"}, 404), "7") is None


@pytest.mark.parametrize("status", [404, 405])
def test_servers_without_the_route(status: int) -> None:
    assert read_node_replacements(reply_to(NODE_REPLACEMENTS, b"", status)) == {}
    assert read_global_subgraphs(reply_to(GLOBAL_SUBGRAPHS, b"", status)) == ()
    assert read_core_templates(reply_to(CORE_TEMPLATES, b"", status)) == []


def test_embeddings_of_an_extension() -> None:
    page = {
        "items": [
            {"file_name": "easy", "folder": "", "model_name": "Easy!"},
            {"file_name": "hands", "folder": "bad/very"},
            {"file_name": "odd", "folder": 7},
            {"file_name": "", "model_name": "nameless"},
            {"model_name": "plain"},
        ],
        "total": 5,
    }
    reply = reply_to(PAGE, page)
    assert is_page(reply)
    names = ("easy", "bad/very/hands", "odd", "nameless", "plain")
    assert read_embeddings_page(reply) == names
    bodies: list[Any] = [[], {}, {"items": None}, None, 7]
    for body in bodies:
        assert not is_page(reply_to(EMBEDDINGS, body))
    assert not is_page(reply_to(EMBEDDINGS, page, 500))


# Asking


@pytest.mark.parametrize("version", ["0.3.45", "0.3.64", "0.3.67", "0.14.0", "0.27.0"])
async def test_what_a_pack_brings(version: str, autojump_clock: MockClock) -> None:
    async with (
        open_embedded_server(version=version) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        store_pack(server)
        templates = await comfy.misc.workflow_templates()
        assert templates == {
            "my_pack": ("broken", "first one", "ü%20#", "second"),
            "spaced pack": ("only",),
        }
        canvas = await comfy.misc.workflow_template("my_pack", "first one")
        assert canvas == CANVAS
        assert await comfy.misc.workflow_template("my_pack", "ü%20#") == {"1": {"class_type": "X"}}
        for pack, name in (
            ("my_pack", "second"),
            ("my_pack", "nothing"),
            ("my_pack", ""),
            ("my_pack", "../subgraphs/my sub"),
            ("nothing", "first one"),
            ("..", "templates/default"),
            ("spaced pack", "only"),
        ):
            with pytest.raises(NotFoundError, match="hands out no template") as caught:
                await comfy.misc.workflow_template(pack, name)
            assert f"{name!r} of the pack {pack!r}" in str(caught.value)
        with pytest.raises(ResponseError, match="should have been answered with a workflow"):
            await comfy.misc.workflow_template("my_pack", "broken")
        assert await comfy.misc.translations() == {
            "de": {"nodeDefs": {"X": {"display_name": "Ü"}}},
            "en": {"a": "b", "both": {"x": 1, "y": 2}},
        }
        subgraphs = {each.name: each for each in await comfy.misc.global_subgraphs()}
        can = (await comfy.system.info()).can
        if not can.global_subgraphs:
            assert subgraphs == {}
            assert await comfy.misc.global_subgraph("7") is None
        else:
            assert set(subgraphs) == {"broken", "my sub"}
            mine = subgraphs["my sub"]
            assert (mine.source, mine.node_pack) == ("custom_node", "custom_nodes.my_pack")
            one = await comfy.misc.global_subgraph(mine.id)
            assert one == mine
            assert one is not None
            assert one.data == {**CANVAS, "id": "7"}
            assert await comfy.misc.global_subgraph("nothing") is None
            with pytest.raises(ResponseError, match="JSON in its data"):
                await comfy.misc.global_subgraph(subgraphs["broken"].id)
        assert await comfy.misc.node_replacements() == {}
        asked = server.statistics().requests
        assert ("GET /node_replacements" in asked) == can.node_replacements


async def test_core_templates(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    assert await comfy.misc.core_templates() == []
    with pytest.raises(NotFoundError, match=r"^the server has no workflow template 'default'$"):
        await comfy.misc.core_template("default")
    store_pack(server)
    (category,) = await comfy.misc.core_templates()
    assert category["templates"][0].get("title") == "Default"
    assert await comfy.misc.core_template("default") == CANVAS
    with pytest.raises(NotFoundError):
        await comfy.misc.core_template("../custom_nodes/my_pack/workflows/second")


async def test_a_template_can_be_loaded(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    prompt = {"1": {"class_type": "EmptyImage", "inputs": {"width": 8}}}
    store(server, "templates/prompt.json", prompt)
    workflow = await comfy.load(await comfy.misc.core_template("prompt"))
    assert workflow.to_dict() == prompt


# Embeddings


def embedding(server: EmbeddedServer, name: str) -> None:
    path = server.files.root / "models" / "embeddings" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def page_of(*names: str) -> bytes:
    return json.dumps({"items": [{"model_name": name} for name in names]}).encode()


async def test_embeddings(autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer) -> None:
    embedding(server, "sub/bad.hand.safetensors")
    embedding(server, "easy.pt")
    assert await comfy.misc.embeddings() == ("easy", "sub/bad.hand")
    assert server.statistics().requests["GET /embeddings"] == 1


@pytest.mark.parametrize("status", [200, 404])
async def test_where_the_older_path_must_be_asked(
    status: int, autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    embedding(server, "easy.pt")
    server.faults.answer("GET /embeddings", status, page_of("Easy!") if status == 200 else b"")
    assert await comfy.misc.embeddings() == ("easy",)


async def test_where_only_pages_are_let_through(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    first = [f"e{number}" for number in range(100)]
    for body in (page_of(*first), b"<html>", page_of(*first), page_of("last", "e99"), page_of()):
        server.faults.answer("GET /embeddings", 200, body)
    assert await comfy.misc.embeddings() == (*first, "last")
    assert server.statistics().requests["GET /embeddings"] == 5


async def test_pages_that_repeat_themselves_come_to_an_end(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.answer("GET /embeddings", 200, page_of("a", "b"), times=10**6)
    assert await comfy.misc.embeddings() == ("a", "b")


async def test_embeddings_that_cannot_be_had(
    autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    server.faults.answer("GET /embeddings", 404, times=2)
    with pytest.raises(UnsupportedError, match="does not have lists of embeddings"):
        await comfy.misc.embeddings()
    server.faults.answer("GET /embeddings", 502, "<html>")
    with pytest.raises(ResponseError, match="502"):
        await comfy.misc.embeddings()
    assert server.statistics().requests["GET /embeddings"] == 3
