"""ComfyUI's official workflows as canvas files, and what the real frontend makes of each.

The files come from PyPI. `prompts-0.27.0.json` was captured from frontend 1.45.20 on a real
server 0.27.0, `prompts-0.3.64.json` from frontend 1.27.10 on a real server 0.3.64.
"""

from __future__ import annotations

import json
import math
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from comfy_trio._util import is_list, is_object

FIXTURES = Path(__file__).parent / "fixtures"
STUBS = Path(__file__).parent.parent / "stubs"


@cache
def load(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def object_info(version: str) -> dict[str, Any]:
    """What a server of a version declares."""
    if version == "0.27.0":
        return load(STUBS / "object_info-0.27.0.json")
    return load(FIXTURES / "servers" / f"object_info-{version}.json")


def prompts(version: str) -> dict[str, Any]:
    """The frontend's prompts by the templates' names."""
    return load(FIXTURES / "canvas" / f"prompts-{version}.json")


def canvas(name: str, version: str) -> dict[str, Any]:
    """A template as a canvas file."""
    package = {
        "0.27.0": "comfyui_workflow_templates_json",
        "0.3.64": "comfyui_workflow_templates",
    }[version]
    text = (files(package) / "templates" / f"{name}.json").read_text(encoding="utf-8")
    value: dict[str, Any] = json.loads(text)
    return value


def differences(
    expected: dict[str, Any], got: dict[str, Any], declared: dict[str, Any]
) -> set[tuple[str, str]]:
    """Where two prompts differ: node id and input, ``class_type``, or ``node`` for a whole one.

    Literals in inputs that the class does not declare are not compared: they are widgets of the
    browser's own.
    """
    found = {(node_id, "node") for node_id in expected.keys() ^ got.keys()}
    for node_id in expected.keys() & got.keys():
        theirs, ours = expected[node_id], got[node_id]
        class_type = theirs.get("class_type")
        if class_type != ours["class_type"]:
            found.add((node_id, "class_type"))
        sections = declared.get(class_type, {}).get("input", {})
        names = {*sections.get("required", {}), *sections.get("optional", {})}
        for name in theirs["inputs"].keys() | ours["inputs"].keys():
            values = [side["inputs"].get(name, ...) for side in (theirs, ours)]
            is_declared = name in names or name.split(".")[0] in names
            is_link = any(isinstance(value, list) for value in values)
            if (is_declared or is_link) and not same(*values):
                found.add((node_id, name))
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal, numbers within 1e-9."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    if is_object(one) and is_object(other):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if is_list(one) and is_list(other):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
