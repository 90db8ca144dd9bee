"""``docs/routes.md`` lists every route; here each of its rows is tried."""

from __future__ import annotations

import inspect
import re
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from route_calls import ROWS

from comfy_trio import Comfy, open_comfy
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from route_calls._row import Row
    from trio.testing import MockClock

PAGE = Path(__file__).parent.parent / "docs" / "routes.md"
ROW = re.compile(r"^\| `(?P<route>[A-Z]+ [^`]+)` \| `(?P<method>[\w.]+)` \| .+ \|$", re.MULTILINE)


# Of ComfyUI itself, 0.3.40 to 0.27, without those of the web page's own files.
COMFYUI = """
GET /prompt, POST /prompt, GET /queue, POST /queue, POST /interrupt, POST /free,
GET /history, GET /history/{}, POST /history,
GET /jobs, GET /jobs/{}, POST /jobs/cancel, POST /jobs/{}/cancel,
POST /upload/image, POST /upload/mask, GET /view, GET /view_metadata/{},
GET /system_stats, GET /features, GET /object_info, GET /object_info/{}, GET /docs/{},
GET /embeddings, GET /models, GET /models/{}, GET /experiment/models, GET /experiment/models/{},
GET /experiment/models/preview/{}/{}/{}, GET /extensions, GET /i18n, GET /node_replacements,
GET /workflow_templates, GET /workflow_templates/{}/{}, GET /templates/{},
GET /global_subgraphs, GET /global_subgraphs/{},
GET /users, POST /users, GET /settings, POST /settings, GET /settings/{}, POST /settings/{},
GET /userdata, GET /v2/userdata, GET /userdata/{}, POST /userdata/{}, DELETE /userdata/{},
POST /userdata/{}/move/{},
GET /internal/logs, GET /internal/logs/raw, PATCH /internal/logs/subscribe,
GET /internal/folder_paths, GET /internal/files/{},
GET /assets, POST /assets, POST /assets/from-hash, HEAD /assets/hash/{},
GET /assets/{}, PUT /assets/{}, DELETE /assets/{}, GET /assets/{}/content,
POST /assets/{}/tags, DELETE /assets/{}/tags, GET /tags, GET /assets/tags/refine,
POST /assets/seed, GET /assets/seed/status, POST /assets/seed/cancel, POST /assets/prune,
GET /ws
"""


def pattern_of(route: str) -> str:
    """A route whatever it calls its parameters."""
    return re.sub(r"\{[^}]*\}", "{}", route)


def rows_of_the_page() -> list[tuple[str, str]]:
    text = PAGE.read_text(encoding="utf-8")
    rows = [(match["route"], match["method"]) for match in ROW.finditer(text)]
    assert len(rows) == text.count("\n| `"), "a row has another form"
    return rows


def test_the_page_lists_what_is_tried() -> None:
    tried = [(row.route, row.method) for row in ROWS]
    assert sorted(rows_of_the_page()) == sorted(tried)
    assert len(set(tried)) == len(tried)


def test_the_page_speaks_of_every_route_of_comfyui() -> None:
    text = PAGE.read_text(encoding="utf-8")
    mentioned = {pattern_of(route) for route in re.findall(r"`([A-Z]+ /[^` ]*)`", text)}
    missing = {route.strip() for route in COMFYUI.split(",")} - mentioned
    assert not missing


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.route} {row.method}")
async def test_a_row(row: Row, autojump_clock: MockClock) -> None:
    async with open_embedded_server(**row.options) as server:
        async with open_comfy(server.url, transport=server.transport) as comfy:
            method = attrgetter(row.method)(comfy)
            assert inspect.getdoc(method)
            assert method.__qualname__.startswith(type(method.__self__).__name__)
            before = server.statistics().requests.get(row.route, 0)
            await row.call(comfy, server)
            assert server.statistics().requests[row.route] > before


def test_every_public_method_of_a_namespace_is_listed() -> None:
    from comfy_trio._namespaces._all import Namespaces

    listed = {row.method for row in ROWS}
    assert Namespaces in Comfy.__mro__
    for name, value in vars(Namespaces).items():
        if not name.startswith("_"):
            assert any(method.startswith(f"{name}.") for method in listed), name
            assert inspect.getdoc(value), name
