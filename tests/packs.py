"""A pack of custom nodes' files on an embedded server: templates, subgraphs, translations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comfy_trio.testing import EmbeddedServer

CANVAS: dict[str, Any] = {"nodes": [], "links": [], "version": 0.4}


def store(server: EmbeddedServer, path: str, content: Any) -> None:
    """Store a file below the server's root, with a text or what becomes JSON."""
    file = server.files.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    file.write_text(text, encoding="utf-8")


def store_pack(server: EmbeddedServer) -> None:
    """Store what a pack may bring along, and an index of the server's own templates."""
    store(server, "custom_nodes/my_pack/example_workflows/first one.json", CANVAS)
    store(server, "custom_nodes/my_pack/example_workflows/ü%20#.json", {"1": {"class_type": "X"}})
    store(server, "custom_nodes/my_pack/example_workflows/broken.json", '{"nodes": [')
    store(server, "custom_nodes/my_pack/workflows/second.json", CANVAS)
    store(server, "custom_nodes/spaced pack/workflow/only.json", CANVAS)
    store(server, "custom_nodes/my_pack/subgraphs/my sub.json", {**CANVAS, "id": "7"})
    store(server, "custom_nodes/my_pack/subgraphs/broken.json", '{"nodes": [')
    store(server, "custom_nodes/my_pack/locales/en/main.json", {"a": "b", "both": {"x": 1}})
    store(server, "custom_nodes/other/locales/en/main.json", {"both": {"y": 2}})
    store(server, "custom_nodes/my_pack/locales/de/nodeDefs.json", {"X": {"display_name": "Ü"}})
    store(server, "custom_nodes/my_pack/locales/fr/main.json", "no JSON")
    index = [{"title": "Basics", "new": 1, "templates": [{"name": "default", "title": "Default"}]}]
    store(server, "templates/index.json", index)
    store(server, "templates/default.json", CANVAS)
