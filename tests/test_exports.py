"""The public surface, and the layers beneath it."""

from __future__ import annotations

import ast
import enum
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any

import pytest

import comfy_trio

PACKAGE = Path(comfy_trio.__file__).parent
NAMESPACES = [
    "comfy_trio",
    "comfy_trio.graph",
    "comfy_trio.pool",
    "comfy_trio.telemetry",
    "comfy_trio.testing",
    "comfy_trio.types",
    "comfy_trio.wire",
]

# Layer by module, from the bottom: a module imports only from layers below, or from its own.
LAYERS: list[set[str]] = [
    {
        "_address",
        "_attachments",
        "_backoff",
        "_breaker",
        "_bypass",
        "_canvas",
        "_canvas_alignment",
        "_canvas_groups",
        "_canvas_ids",
        "_canvas_links",
        "_canvas_prompt",
        "_canvas_widgets",
        "_capabilities",
        "_check",
        "_credentials",
        "_decoding",
        "_disappearance",
        "_dynamic_inputs",
        "_effects",
        "_errors",
        "_events",
        "_failover",
        "_file_choices",
        "_find",
        "_generator",
        "_graph",
        "_graph_reader",
        "_handshake",
        "_job_log",
        "_lazy_package",
        "_learned",
        "_local_command",
        "_local_names",
        "_logging",
        "_machine",
        "_masking",
        "_node_fields",
        "_on_demand",
        "_out",
        "_outcomes",
        "_output_files",
        "_overlooked",
        "_pick",
        "_picture_metadata",
        "_pictures",
        "_pool_events",
        "_profile",
        "_prompt",
        "_prompt_builder",
        "_prompt_json",
        "_queue_time",
        "_ranges",
        "_reference",
        "_replies",
        "_requirements",
        "_result",
        "_routes",
        "_runnable",
        "_secrets",
        "_seeds",
        "_server_findings",
        "_slot_types",
        "_state",
        "_structure_hash",
        "_submission",
        "_suggestions",
        "_survey",
        "_targets",
        "_transpile",
        "_typed_node",
        "_unknown_node",
        "_unpublished_checks",
        "_upload",
        "_util",
        "_validation",
        "_validation_errors",
        "_validation_report",
        "_version",
        "_weighted_queue",
        "_wire",
        "_wire_types",
        "_workflow",
        "_workflow_source",
        "graph",
        "pool",
        "types",
        "wire",
    },
    {
        "_content",
        "_download",
        "_door",
        "_http",
        "_multipart",
        "_network",
        "_nursery",
        "_part_file",
        "_transport",
        "_tunnel",
        "_websocket",
        "_weighted_channel",
    },
    {
        "_asked_once",
        "_connection",
        "_connection_state",
        "_lookup",
        "_mailbox",
        "_session",
        "_settler",
        "_stopper",
        "_supervisor",
        "_tracker",
        "telemetry",
    },
    {"_client", "_foresight", "_job", "_local", "_local_process", "_namespaces", "_submitter"},
    {
        "_batch",
        "_dispatcher",
        "_local_server",
        "_open_pool",
        "_pool",
        "_pool_endings",
        "_pool_job",
        "_pool_server",
        "_pool_statistics",
        "_pool_worker",
        "_seat",
        "_ticket_office",
    },
    {"__init__", "testing"},
    {"__main__", "_cli", "_codegen"},
]
LAYER_OF = {module: number for number, layer in enumerate(LAYERS) for module in layer}
IO_MODULES = {"httpx", "trio", "trio_websocket"}


def imports_of(path: Path) -> set[str]:
    """The modules that a file imports at run time or for its types, by their full names."""
    names: set[str] = set()
    package = path.relative_to(PACKAGE.parent).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base = (*base, *(node.module.split(".") if node.module else ()))
            if base == ("comfy_trio",):
                names |= {f"comfy_trio.{alias.name}" for alias in node.names}
            else:
                names.add(".".join(base))
    return names


def modules_of(names: set[str]) -> list[Path]:
    """The files of modules and packages in the package, by their names there."""
    found = [PACKAGE / f"{name}.py" for name in names if (PACKAGE / f"{name}.py").exists()]
    found += [path for name in names for path in (PACKAGE / name).rglob("*.py")]
    return sorted(found)


MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))


def test_every_module_has_a_layer() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {*MODULES, *packages} <= LAYER_OF.keys()


@pytest.mark.parametrize("module", sorted(LAYER_OF.keys() - {"__init__"}))
def test_imports_flow_downwards(module: str) -> None:
    for path in modules_of({module}):
        for name in imports_of(path):
            if name.startswith("comfy_trio."):
                layer = LAYER_OF.get(name.split(".")[1], LAYER_OF["__init__"])  # a public name
                assert layer <= LAYER_OF[module], f"{path.name} imports {name}"


def test_the_core_does_no_io() -> None:
    for path in modules_of(LAYERS[0]):
        assert not {name.split(".")[0] for name in imports_of(path)} & IO_MODULES, path.name


def test_only_one_module_sees_httpx_exceptions() -> None:
    users = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "except" in path.read_text(encoding="utf-8")
        and "except httpx" in path.read_text(encoding="utf-8")
    }
    assert users <= {"_http.py"}


def test_the_core_is_importable_without_trio() -> None:
    paths = [path.relative_to(PACKAGE.parent).with_suffix("") for path in modules_of(LAYERS[0])]
    names = [".".join(path.parts).removesuffix(".__init__") for path in paths]
    code = (
        "import sys\n"
        "for name in ('trio', 'httpx', 'trio_websocket'): sys.modules[name] = None\n"
        + "".join(f"import {name}\n" for name in names)
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_two_lists_of_public_names_agree() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = next(
        node for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    )
    for_checkers = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert for_checkers == comfy_trio._HOME_OF
    assert dir(comfy_trio) == sorted([*for_checkers, "__version__"])


def test_a_star_brings_every_public_name() -> None:
    found: dict[str, object] = {}
    exec("from comfy_trio import *", found)
    assert found.keys() - {"__builtins__"} == comfy_trio._HOME_OF.keys()


def public_items(namespace: str) -> list[tuple[str, Any]]:
    module = import_module(namespace)
    return [
        (name, getattr(module, name))
        for name in dir(module)
        if not name.startswith("_") and not inspect.ismodule(getattr(module, name))
    ]


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_everything_public_has_a_docstring(namespace: str) -> None:
    for name, item in public_items(namespace):
        if inspect.isclass(item) or inspect.isfunction(item):
            assert inspect.getdoc(item), name


def is_value(item: type[Any]) -> bool:
    """Whether a class is attrs-frozen, an enumeration, an exception or a protocol."""
    return (
        issubclass(item, BaseException | enum.Enum | dict)
        or getattr(item, "_is_protocol", False)
        or hasattr(item, "__attrs_attrs__")
    )


@pytest.mark.parametrize("namespace", ["comfy_trio", "comfy_trio.testing"])
def test_classes_are_final_values_or_exceptions(namespace: str) -> None:
    for name, item in public_items(namespace):
        if inspect.isclass(item):
            assert is_value(item) or getattr(item, "__final__", False), name


def test_handles_are_final() -> None:
    for _, item in public_items("comfy_trio"):
        if type(item).__name__ == "NoPublicConstructor":
            assert item.__final__


def test_public_names_say_where_they_are_found() -> None:
    for name, item in public_items("comfy_trio"):
        if inspect.isclass(item):
            assert item.__module__ == "comfy_trio", name
        elif not isinstance(item, UnionType):
            assert callable(item)


def test_tracebacks_tell_where_errors_are_found() -> None:
    code = (
        "from comfy_trio._errors import DisconnectedError\n"
        "class Own(DisconnectedError): pass\n"
        "assert Own.__module__ == '__main__'\n"
        "raise DisconnectedError('gone')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "comfy_trio.DisconnectedError: gone"


def test_unknown_names() -> None:
    with pytest.raises(AttributeError, match="module 'comfy_trio' has no attribute 'nope'"):
        getattr(comfy_trio, "nope")  # noqa: B009  # checkers know that it is none


def test_error_codes_are_stable_and_one_a_class() -> None:
    classes = [
        item
        for _, item in public_items("comfy_trio")
        if inspect.isclass(item) and issubclass(item, comfy_trio.ComfyError)
    ]
    abstract = {comfy_trio.ComfyError, comfy_trio.JobError}
    codes = [item.code for item in classes if item not in abstract]
    assert sorted(codes) == sorted(comfy_trio.ErrorCode)
    assert all(code.startswith("E_") for code in codes)
