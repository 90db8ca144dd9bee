"""Scripts made of prompts, and what they make."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from templates import canvas, object_info, prompts

from comfy_trio._canvas_prompt import convert_canvas

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comfy_trio import Graph


def template_prompts() -> dict[str, dict[str, Any]]:
    """The prompts of all official templates of 0.27.0, made of their canvas files, by name."""
    version = "0.27.0"
    declared = object_info(version)
    return {
        name: convert_canvas(canvas(name, version), declared).prompt for name in prompts(version)
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
