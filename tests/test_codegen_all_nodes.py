"""Every node of two real servers: generated, made, and judged as the server would."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from plausible import FILE, source_classes, variants

from codegen.names import resolve
from codegen.nodes import generate_package
from codegen.parse import parse_object_info
from codegen.values import as_object, is_list, is_object
from comfy_trio import Graph, UnknownNode
from comfy_trio._validation import ValidationRules, validate_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from comfy_trio.graph import Node

ROOT = Path(__file__).parent.parent
COUNTS = {"0.27.0": 804, "0.3.64": 500}
SOURCES = {
    "0.27.0": ROOT / "stubs" / "object_info-0.27.0.json",
    "0.3.64": ROOT / "tests" / "fixtures" / "servers" / "object_info-0.3.64.json",
}


@pytest.fixture(params=COUNTS, scope="module")
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def object_info(version: str) -> dict[str, Any]:
    text = SOURCES[version].read_text(encoding="utf-8")
    info: dict[str, Any] = json.loads(text)
    return info


@pytest.fixture(scope="module")
def package(
    version: str, object_info: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModuleType]:
    """The generated package, imported for as long as the tests of a version last."""
    name = f"generated_{version.replace('.', '_')}"
    directory = tmp_path_factory.mktemp("generated")
    generated = generate_package(object_info, generator_version="0", server_version=version)
    for path, source in generated.sources.items():
        file = directory / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
    sys.path.insert(0, str(directory))
    yield import_module(name)
    sys.path.remove(str(directory))
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        del sys.modules[module]


def with_files(value: object) -> object:
    """Return declarations in which every list of options has some; real servers may have none."""
    if is_list(value):
        if not value:
            return [FILE]
        if value[0] == "COMBO" and "remote" in as_object(value[-1]):
            return ["COMBO", {**as_object(value[-1]), "options": [FILE]}]
        return list(map(with_files, value))
    if is_object(value):
        return {key: with_files(item) for key, item in value.items()}
    return value


def test_every_node(package: ModuleType, object_info: dict[str, Any], version: str) -> None:
    named = {
        node.declaration.class_type: (f"{pack.name}.{module.name}", node)
        for pack in resolve(parse_object_info(object_info)).packs
        for module in pack.modules
        for node in module.nodes
    }
    assert named.keys() == object_info.keys()
    assert len(named) == COUNTS[version]
    rules = ValidationRules.for_version(tuple(map(int, version.split("."))))
    for class_type, (home, node) in named.items():
        node_class: type[Node] = getattr(
            import_module(f"{package.__name__}.{home}"), node.class_name
        )
        declared = as_object(with_files(object_info[class_type]))
        for made in variants(node_class, node):
            check(made, {class_type: {**declared, "output_node": True}}, rules, package)


def check(
    made: Node, object_info: dict[str, Any], rules: ValidationRules, package: ModuleType
) -> None:
    """See that a node is what its server wants, and can be read back."""
    prompt = Graph(UnknownNode("Sink", {"link": made._output(0)})).to_prompt()
    prompt = {key: node for key, node in prompt.items() if node["class_type"] != "Sink"}
    [node_id] = [key for key, node in prompt.items() if node["class_type"] == made.class_type]
    sections = object_info[made.class_type]["input"]
    declared = {*sections.get("required", {}), *sections.get("optional", {})}
    for name in prompt[node_id]["inputs"]:
        assert name in declared or name.partition(".")[0] in declared, made
    verdict = validate_prompt(prompt, {**object_info, **source_classes(prompt)}, rules=rules)
    assert verdict.error is None, (made, verdict)
    assert not verdict.node_errors, (made, verdict.node_errors)
    read = Graph.from_prompt(prompt, package)
    assert isinstance(read.nodes[node_id], type(made))
    assert read.to_prompt() == prompt
