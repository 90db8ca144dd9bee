"""Generated nodes under mypy and pyright: what must pass does, and each crossing is an error."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import comfy_nodes
import pytest
from prompts import node
from readme import readme_blocks, readme_examples
from scripts import template_prompts

from codegen.nodes import generate_package
from codegen.package import write
from comfy_trio import transpile

ROOT = Path(__file__).parent.parent
PROGRAMS = Path(__file__).parent / "type_tests"
STUBS = ROOT / "stubs"
GOLDEN = ROOT / "tests" / "golden" / "nodes"
WORKFLOW = ROOT / "tests" / "golden" / "portrait.py"
OLD_SERVER = ROOT / "tests" / "fixtures" / "servers" / "object_info-0.3.64.json"

PATH = os.pathsep.join(map(str, (STUBS, GOLDEN.parent)))
"""Where programs find generated nodes, and the module of a workflow."""

pytestmark = pytest.mark.types

ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "")}

Errors = set[tuple[str, int, str]]
"""Each as the name of the file, the line, and the code."""


def run_mypy(*arguments: str, path: str | Path = PATH) -> Errors:
    """Check programs under ``--strict``, with no configuration of the project's.

    Args:
        arguments: Of mypy: files, or ``-p`` and a package.
        path: Where packages are looked for.
    """
    told = mypy_output(*arguments, path=path)
    lines = re.findall(r"^(.+?):(\d+): error: .*\[([\w-]+)\]$", told, flags=re.MULTILINE)
    assert len(lines) == told.count(" error: "), told
    return {(Path(path).name, int(line), code) for path, line, code in lines}


def mypy_output(*arguments: str, path: str | Path = PATH) -> str:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--hide-error-context"]
    command += ["--no-error-summary", "--no-pretty", "--cache-dir=.mypy_cache/types"]
    done = subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**ENVIRONMENT, "MYPYPATH": str(path)},
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.stdout


def run_pyright(project: Path, *paths: Path) -> Errors:
    """Check files under ``strict``, with no configuration of the project's."""
    relative = [os.path.relpath(path, project.parent) for path in paths]
    settings = {"include": relative, "extraPaths": [str(STUBS), str(GOLDEN.parent), str(ROOT)]}
    project.write_text(json.dumps({**settings, "typeCheckingMode": "strict"}))
    command = ["pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(project)]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},  # or it may look for a newer one
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return {
        (Path(found["file"]).name, found["range"]["start"]["line"] + 1, found.get("rule", "syntax"))
        for found in json.loads(done.stdout)["generalDiagnostics"]
        if found["severity"] == "error"
    }


def marked(path: Path, *, column: int) -> dict[tuple[str, int], set[str]]:
    """The codes of which a checker must report at least one, by file and line.

    Args:
        path: The program.
        column: 0 for the codes of mypy, 1 for the rules of pyright.
    """
    found: dict[tuple[str, int], set[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if mark := re.search(r"# error: (\S+) (\S+)", line):
            found[path.name, number] = set(mark.group(column + 1).split(",")) - {"-"}
    return {place: codes for place, codes in found.items() if codes}


def check(errors: Errors, path: Path, *, column: int) -> None:
    expected = marked(path, column=column)
    for place, codes in sorted(expected.items()):
        reported = {code for file, line, code in errors if (file, line) == place}
        assert reported & codes, f"{place} must be an error: {codes}, not {reported}"
    assert {(file, line) for file, line, _ in errors} == expected.keys()


@pytest.mark.parametrize("program", ["accepted.py", "accepted_workflow.py"])
def test_mypy_accepts(program: str) -> None:
    assert run_mypy(str(PROGRAMS / program)) == set()


@pytest.mark.parametrize("program", ["rejected.py", "rejected_workflow.py"])
def test_mypy_rejects(program: str) -> None:
    path = PROGRAMS / program
    check(run_mypy(str(path)), path, column=0)


@pytest.mark.parametrize("program", ["accepted.py", "accepted_workflow.py"])
def test_pyright_accepts(program: str, tmp_path: Path) -> None:
    assert run_pyright(tmp_path / "pyrightconfig.json", PROGRAMS / program) == set()


@pytest.mark.parametrize("program", ["rejected.py", "rejected_workflow.py"])
def test_pyright_rejects(program: str, tmp_path: Path) -> None:
    path = PROGRAMS / program
    check(run_pyright(tmp_path / "pyrightconfig.json", path), path, column=1)


def test_checkers_find_nothing_in_the_module_of_a_workflow(tmp_path: Path) -> None:
    assert run_mypy(str(WORKFLOW)) == set()
    assert run_pyright(tmp_path / "pyrightconfig.json", WORKFLOW) == set()


def test_mypy_on_the_readmes_example(tmp_path: Path) -> None:
    """It is clean; and what the README says of wrong ones is what mypy says."""
    [example] = readme_examples("from comfy_nodes import")
    program = (
        "from comfy_trio import Comfy\n\n\nasync def main(comfy: Comfy) -> None:\n"
        + textwrap.indent(example, "    ")
    )
    path = tmp_path / "readme.py"
    path.write_text(program)
    assert run_mypy(str(path)) == set()
    wrong = program.replace("vae=ckpt.vae", "vae=ckpt.clip").replace('["images"]', '["image"]')
    # Not the same file: of one that kept its size within a second mypy asks its cache.
    wrong_path = tmp_path / "wrong.py"
    wrong_path.write_text(wrong)
    told = mypy_output(str(wrong_path))
    [errors] = [block for block in readme_blocks("") if "incompatible type" in block]
    for line in errors.splitlines():
        assert line in told


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of scripts: of all templates, and of a prompt that is wrong throughout."""
    directory = tmp_path_factory.mktemp("scripts")
    wrong = {
        "1": node("KSamplerSelect", sampler_name="gone"),
        "2": node("EmptyImage", width=64.0, height="64", color=True),
        "3": node("ImageScale", image=["1", 0], upscale_method=["2", 0], width=1, height=1, crop=5),
        "4": node("SaveImage", images=["2", 3], more={"a": [1, None]}),
        "5": node("Nobody Knows", "Who?", image=["4", 1]),
        "6": node("VAEDecode", samples=["5", 1], vae=["5", 0]),
        "7": node("ComfySwitchNode", switch=["3", 0], on_true=["5", 2], on_false=["1", 0]),
        "8": node("ImageInvert", image=["7", 0]),
        "9": node("BatchImagesNode", **{"images.image0": ["7", 0], "images.image1": ["1", 0]}),
    }
    prompts = {**template_prompts(), "wrong": wrong}
    for number, (name, prompt) in enumerate(prompts.items()):
        made = transpile(prompt, comfy_nodes, name=name)
        # The names of some templates are none of modules.
        (directory / f"script_{number}.py").write_text(made, encoding="utf-8")
    return directory


def test_mypy_on_scripts(scripts: Path) -> None:
    assert run_mypy(*map(str, sorted(scripts.glob("*.py")))) == set()


def test_pyright_on_scripts(scripts: Path) -> None:
    paths = sorted(scripts.glob("*.py"), key=lambda path: path.stat().st_size)[-60:]
    paths.append(max(scripts.glob("*.py"), key=lambda path: int(path.stem.partition("_")[2])))
    assert run_pyright(scripts / "pyrightconfig.json", *paths) == set()


@pytest.fixture(scope="module", params=["stubs", "golden", "0.3.64"])
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a generated package."""
    if request.param == "stubs":
        return STUBS / "comfy_nodes"
    if request.param == "golden":
        return GOLDEN
    directory = tmp_path_factory.mktemp("generated") / "old_nodes"
    object_info = json.loads(OLD_SERVER.read_text(encoding="utf-8"))
    package = generate_package(object_info, generator_version="0", server_version="0.3.64")
    write(directory, package.sources)
    return directory


def test_mypy_finds_nothing_in_generated_packages(package: Path) -> None:
    assert run_mypy("-p", package.name, path=package.parent) == set()


def test_pyright_finds_nothing_in_generated_packages(package: Path, tmp_path: Path) -> None:
    assert run_pyright(tmp_path / "pyrightconfig.json", package) == set()
