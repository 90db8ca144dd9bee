"""Generated nodes: a server whose declarations are as odd and as hostile as can be.

`golden/object_info.json` is written by hand, `golden/nodes` is what is generated from it:
`python -m codegen --write` makes it anew, and its differences are there to be read.
"""

from __future__ import annotations

import ast
import copy
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_declarations import core_and_packs

from codegen.__main__ import make_golden
from codegen.identifiers import is_free
from codegen.nodes import generate_package
from codegen.render import HEADER
from codegen.ui_types import UI_TYPES
from comfy_trio import types

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GOLDEN = Path(__file__).parent / "golden"
HEADER_LENGTH = 3

# All that generated modules may do. What a server sends is in it as constants only.
STATEMENTS = (
    ast.AnnAssign,
    ast.Assign,
    ast.ClassDef,
    ast.FunctionDef,
    ast.If,
    ast.ImportFrom,
    ast.Pass,
    ast.Return,
    ast.Expr,
)
CALLS = {
    "TypeVar",
    "autogrow",
    "cast",
    "dynamic",
    "field",
    "frozen",
    "lazy_exports",
    "require_format",
    "self._output",
    "wire",
    "within",
}
CALLS_OF_EXPORTS = {
    "NODES.items",
    "NODES.values",
    "home.endswith",
    "home.partition",
    "home.removeprefix",
    "home.startswith",
}
DECORATORS = {"frozen(kw_only=True)", "property"}
IMPORTED = {
    "__future__",
    "attrs",
    "collections.abc",
    "comfy_trio.graph",
    "comfy_trio.types",
    "typing",
}
GRAPH = {
    *("BOOLEAN", "COMBO", "FLOAT", "INT", "JSON", "STRING"),
    *("Choice", "Node", "Options", "Out", "OutputNode", "UINode"),
    *("autogrow", "dynamic", "frozen", "lazy_exports", "require_format", "wire", "within"),
}


@cache
def object_info() -> dict[str, Any]:
    info: dict[str, Any] = json.loads((GOLDEN / "object_info.json").read_text(encoding="utf-8"))
    return info


@cache
def golden() -> Mapping[str, str]:
    return make_golden(object_info())


def modules() -> dict[str, ast.Module]:
    return {path: ast.parse(source) for path, source in golden().items() if path.endswith(".py")}


def generate(info: dict[str, Any], *, strict_files: bool = False) -> Mapping[str, str]:
    return generate_package(
        info, generator_version="0", server_version="0", strict_files=strict_files
    ).sources


def test_the_golden_package_is_what_is_generated() -> None:
    found = {
        path.relative_to(GOLDEN / "nodes").as_posix(): path.read_text(encoding="utf-8")
        for path in (GOLDEN / "nodes").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert found.keys() == golden().keys()
    assert [path for path, source in golden().items() if found[path] != source] == []


def test_every_module_compiles_and_is_marked() -> None:
    for path, source in golden().items():
        if path.endswith(".py"):
            compile(source, path, "exec", dont_inherit=True)
            assert source.startswith(HEADER)


def test_ruff_has_nothing_to_format() -> None:
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length=100", "--diff"]
    subprocess.run([*command, str(GOLDEN / "nodes")], check=True, capture_output=True)


# --- nothing of the server's becomes code ---------------------------------------------------------


def hold_nothing_but_declarations(trees: Mapping[str, ast.Module]) -> None:
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.stmt):
                assert isinstance(node, STATEMENTS), (path, ast.unparse(node))
            match node:
                case ast.Expr(value=ast.Constant(value=str())):
                    pass
                case ast.Expr(value=ast.Call()):
                    assert ast.unparse(node) == "require_format(1, __name__)"
                case ast.Expr():
                    pytest.fail(f"{path}: {ast.unparse(node)}")
                case ast.Call():
                    allowed = CALLS | CALLS_OF_EXPORTS if path.endswith("__init__.py") else CALLS
                    assert ast.unparse(node.func) in allowed, (path, ast.unparse(node))
                case ast.If():
                    assert ast.unparse(node.test) == "TYPE_CHECKING"
                case ast.ClassDef() | ast.FunctionDef():
                    assert {ast.unparse(each) for each in node.decorator_list} <= DECORATORS
                case ast.Lambda():
                    assert ast.unparse(node).startswith("lambda: cast('JSON', ")
                case ast.Attribute():
                    text = ast.unparse(node)
                    assert text == "self._output" or text in CALLS_OF_EXPORTS
                case ast.Await() | ast.Yield() | ast.NamedExpr() | ast.JoinedStr():
                    assert ast.unparse(node) == "f':{name}'"
                case _:
                    pass


def import_nothing_but_the_runtime_and_each_other(trees: Mapping[str, ast.Module]) -> None:
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom):
                continue
            names = {alias.name for alias in node.names}
            if node.level:
                base = Path(path).parents[node.level - 1]
                target = base.joinpath(*(node.module or "").split(".")).as_posix()
                assert names <= defined(trees[f"{target}.py"]), (path, ast.unparse(node))
            else:
                assert node.module in IMPORTED
                assert node.module != "comfy_trio.graph" or names <= GRAPH
                assert node.module != "attrs" or names == {"field"}


def defined(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case _:
                pass
    return found


def test_modules_hold_nothing_but_declarations() -> None:
    hold_nothing_but_declarations(modules())


def test_modules_import_nothing_but_the_runtime_and_each_other() -> None:
    import_nothing_but_the_runtime_and_each_other(modules())


@given(core_and_packs, st.booleans())
def test_so_it_is_whatever_a_server_declares(info: dict[str, Any], strict: bool) -> None:
    sources = generate(info, strict_files=strict)
    trees = {path: ast.parse(text) for path, text in sources.items() if path.endswith(".py")}
    hold_nothing_but_declarations(trees)
    import_nothing_but_the_runtime_and_each_other(trees)


def test_no_class_is_called_like_what_modules_import_of_others() -> None:
    imported = {
        alias.name
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in IMPORTED - {"comfy_trio.types"}
        for alias in node.names
    }
    assert {"cast", "field", "Node", "TypeVar"} <= imported
    assert [name for name in sorted(imported) if is_free(name)] == []


def test_names_of_the_server_are_kept() -> None:
    index = ast.parse(golden()["_index.py"]).body[-1]
    assert isinstance(index, ast.AnnAssign)
    assert index.value is not None
    assert ast.literal_eval(index.value).keys() == object_info().keys()
    for class_type, home in ast.literal_eval(index.value).items():
        module, _, name = home.partition(":")
        tree = ast.parse(golden()[module.replace(".", "/") + ".py"])
        [found] = [
            each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == name
        ]
        told = {each.arg: each.value for each in found.keywords}
        if "class_type" in told:
            assert ast.literal_eval(told["class_type"]) == class_type
        else:
            assert name == class_type


def test_headers_take_no_line_of_their_own() -> None:
    package = generate_package({}, generator_version="1\nimport os", server_version='"""\r\u2028x')
    assert package.sources["__init__.py"].splitlines()[1] == (
        "# generator: comfy_trio 1?import?os, server: ComfyUI ?????x"
    )


def test_no_nodes_at_all() -> None:
    sources = generate({})
    assert set(sources) == {"__init__.py", "_index.py", "files.py", "py.typed", "types.py"}
    for path, source in sources.items():
        compile(source, path, "exec", dont_inherit=True)


# --- the same for the same declarations -----------------------------------------------------------


def test_order_does_not_matter() -> None:
    assert generate(dict(reversed(object_info().items()))) == golden()


def header_of(sources: Mapping[str, str]) -> list[str]:
    return sources["__init__.py"].splitlines()[:HEADER_LENGTH]


def changed(change: Callable[[Any], None], *, strict_files: bool = False) -> set[str]:
    """The files that differ after a change to the declarations."""
    info = copy.deepcopy(object_info())
    change(info)
    before = generate(object_info(), strict_files=strict_files)
    after = generate(info, strict_files=strict_files)
    assert before.keys() == after.keys()
    return {path for path in before if before[path] != after[path]}


def test_another_model_file_changes_the_list_of_files_only() -> None:
    def add(info: Any) -> None:
        info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0].append("new.ckpt")

    assert changed(add) == {"files.py"}
    assert changed(add, strict_files=True) == {"files.py", "__init__.py"}


def test_the_digest_tells_of_every_other_change() -> None:
    def change(info: Any) -> None:
        info["KSampler"]["input"]["required"]["steps"][1]["max"] = 9

    assert changed(change) == {"core/sampling.py", "__init__.py"}
    # What no class shows is no change.
    assert changed(lambda info: info["KSampler"].update(search_aliases=["x"])) == set()


def test_strict_files_let_nothing_else_pass() -> None:
    closed = generate(object_info(), strict_files=True)["files.py"]
    assert 'CkptName: TypeAlias = Literal["sd15.safetensors", "sdxl/base.safetensors"]\n' in closed
    assert "| str" not in closed
    assert '"sdxl/base.safetensors"] | str\n' in golden()["files.py"]


def test_oddities_are_told_by_class_type() -> None:
    package = generate_package(object_info(), generator_version="0", server_version="0")
    assert "Null" in package.oddities
    assert "KSampler" not in package.oddities
    assert list(package.oddities) == sorted(package.oddities)


def test_what_nodes_show_is_a_public_type() -> None:
    assert UI_TYPES["SaveImage"] == "ImagesOutput"
    assert all(hasattr(types, name) for name in UI_TYPES.values())
    assert "class SaveImage(OutputNode[ImagesOutput]):" in golden()["core/image.py"]
    assert "class PreviewImage(UINode[ImagesOutput]):" in golden()["core/image.py"]


def test_modules_import_at_run_time_only_what_they_run() -> None:
    # Importing KSampler loads the markers, but no choices, no files and no other category.
    tree = ast.parse(golden()["core/sampling.py"])
    imported = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert imported == {"__future__", "typing", "attrs", "comfy_trio.graph", "types"}


def test_no_line_is_too_long_where_many_outputs_are_lists() -> None:
    info = {"Many": {"output": ["INT"] * 16, "output_is_list": [True] * 16}}
    source = generate(info)["core/uncategorized.py"]
    assert "    output_is_list=(\n        True,\n" in source
    assert max(map(len, source.splitlines())) <= 100


def test_checkers_take_no_powers_for_literals() -> None:
    spec = [[2**31 - 1, 2**63 - 1, "x"], {"default": 2**63 - 1}]
    source = generate({"N": {"input": {"required": {"seed": spec}}}})["core/uncategorized.py"]
    assert 'Literal[2_147_483_647, 9_223_372_036_854_775_807, "x"]' in source
    assert source.endswith(" = 9_223_372_036_854_775_807\n")
    assert "**" not in source


def test_a_slot_of_options_that_are_not_known_imports_what_there_is() -> None:
    slot: list[object] = ["COMFY_DYNAMICSLOT_V3", {"slotType": "COMBO", "inputs": {}}]
    sources = generate({"N": {"input": {"required": {"lora": slot}}}})
    assert "    from ..files import Lora\n" in sources["core/uncategorized.py"]
    assert "\nLora: TypeAlias = str\n" in sources["files.py"]
