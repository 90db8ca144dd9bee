"""Scripts made of prompts, and what they make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comfy_trio import Graph

TEMPLATES = Path(__file__).parent / "fixtures" / "canvas" / "prompts-0.27.0.json"


def template_prompts() -> dict[str, dict[str, Any]]:
    """What the frontend makes of the official templates, by their names.

    Two have nodes without a class, of packs that were not installed: they are no prompts.
    """
    prompts: dict[str, dict[str, Any]] = json.loads(TEMPLATES.read_text(encoding="utf-8"))
    return {
        name: prompt
        for name, prompt in prompts.items()
        if all("class_type" in node for node in prompt.values())
    }


def run_script(source: str) -> Graph:
    """Import a script, as it were, and return its graph."""
    names: dict[str, Any] = {"__name__": "a_script"}
    exec(compile(source, "<script>", "exec"), names)
    return cast("Graph", names["graph"])


def essence(prompt: Mapping[str, Any]) -> str:
    """A prompt without titles, with 1 and 1.0 and true for different."""
    nodes = {
        node_id: {"class_type": node["class_type"], "inputs": node["inputs"]}
        for node_id, node in prompt.items()
    }
    return json.dumps(nodes, sort_keys=True)
