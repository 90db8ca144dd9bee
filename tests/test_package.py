"""What is published: the sdist, the wheel, and what each extra brings (`nox -s package`).

Environments are made by uv, each with the wheel alone, and programs run in an empty directory.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

import comfy_trio

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message

pytestmark = pytest.mark.package

ROOT = Path(__file__).parent.parent
PUBLIC = ["comfy_trio", *(f"comfy_trio.{name}" for name in ("graph", "pool", "types", "wire"))]
NOT_FOR_USERS = {"codegen/__main__.py", "codegen/wire_types.py"}
PROGRAM = """\
from comfy_trio import Workflow
reveal_type(Workflow.from_json({}).structure_hash)
Workflow.from_json(1)
"""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that sees no package but those that are installed."""
    hidden = {"PYTHONPATH", "MYPYPATH", "VIRTUAL_ENV"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**environment, "SOURCE_DATE_EPOCH": "1700000000"},
    )


def must(*command: str | Path, cwd: Path) -> str:
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, so that what is built leaves nothing in it."""
    target = tmp_path_factory.mktemp("sources") / "comfy_trio"
    hidden = shutil.ignore_patterns(".git", ".nox", ".venv", ".*cache", "__pycache__", "dist")
    return Path(shutil.copytree(ROOT, target, ignore=hidden))


@pytest.fixture(scope="module")
def built(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel that is built from it."""
    directory = tmp_path_factory.mktemp("built")
    must(sys.executable, "-m", "build", "--outdir", directory, sources, cwd=directory)
    return directory


@pytest.fixture(scope="module")
def sdist(built: Path) -> Path:
    [path] = built.glob("*.tar.gz")
    return path


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [path] = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    info = f"comfy_trio-{comfy_trio.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(f"{info}/METADATA").decode())


@pytest.fixture
def install(wheel: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Make an environment that has the wheel with an extra, or with none; return its Python."""

    def install(extra: str) -> Path:
        environment = tmp_path / "environment"
        uv = [sys.executable, "-m", "uv", "--quiet"]
        must(*uv, "venv", "--python", sys.executable, environment, cwd=tmp_path)
        python = environment / "bin" / "python"
        wanted = f"comfy-trio{extra} @ {wheel.as_uri()}"
        must(*uv, "pip", "install", "--python", python, wanted, cwd=tmp_path)
        return python

    return install


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    directory = tmp_path / "empty"
    directory.mkdir()
    return directory


def tracked(*folders: str) -> set[str]:
    """The files of the repository in these folders."""
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


# --- The wheel and the sdist ----------------------------------------------------------------------


def test_the_wheel_of_the_tree_is_that_of_the_sdist(
    sources: Path, wheel: Path, tmp_path: Path
) -> None:
    """Byte for byte: the sdist lacks nothing, and a build can be repeated."""
    command = (sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, sources)
    must(*command, cwd=tmp_path)
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_wheel_has_the_package_and_nothing_else(names: set[str]) -> None:
    info = f"comfy_trio-{comfy_trio.__version__}.dist-info"
    assert {PurePosixPath(name).parts[0] for name in names} == {"comfy_trio", info}
    generator = tracked("codegen") - NOT_FOR_USERS
    expected = tracked("comfy_trio") | {
        name.replace("codegen/", "comfy_trio/_codegen/", 1)
        for name in generator
        if not name.startswith("codegen/schemas/")
    }
    assert {name for name in names if not name.startswith(info)} == expected
    assert "comfy_trio/py.typed" in names
    assert f"{info}/licenses/LICENSE" in names


def test_the_sdist_has_what_its_tests_need(sdist: Path, tmp_path: Path) -> None:
    must("tar", "-xzf", sdist, cwd=tmp_path)
    root = tmp_path / f"comfy_trio-{comfy_trio.__version__}"
    for name in tracked("comfy_trio", "codegen", "docs", "examples", "stubs", "tests"):
        if "/.hypothesis/" not in name:
            assert (root / name).is_file(), name
    for name in (
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "mkdocs.yml",
        "noxfile.py",
        "pyproject.toml",
    ):
        assert (root / name).is_file(), name
    assert not (root / ".ci").exists()


def test_the_tools_find_no_fault(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    must(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel, cwd=tmp_path)
    must(sys.executable, "-m", "check_wheel_contents", wheel, cwd=tmp_path)
    must(sys.executable, "-m", "validate_pyproject", ROOT / "pyproject.toml", cwd=tmp_path)


def test_metadata(metadata: Message) -> None:
    assert metadata["Name"] == "comfy-trio"
    assert metadata["Version"] == comfy_trio.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert metadata.get_all("Provides-Extra") == ["cli", "codegen", "server", "telemetry"]
    needed = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert [line.partition(">")[0] for line in needed] == [
        "attrs",
        "httpx<1,",
        "trio-websocket",
        "trio",
    ]


# --- What each extra brings, in an environment of its own -----------------------------------------


def test_the_core_alone(install: Callable[[str], Path], empty: Path) -> None:
    python = install("")
    for module in PUBLIC:
        statement = f"import {module} as m; [getattr(m, name) for name in dir(m)]"
        must(python, "-W", "error", "-c", statement, cwd=empty)
    done = run(python, "-m", "comfy_trio", cwd=empty)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "The command line needs cyclopts, which is not installed:"
        ' run  pip install "comfy-trio[cli]"\n'
    )
    done = run(python, "-c", "import comfy_trio.testing", cwd=empty)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: The embedded server needs starlette, which is not installed:"
        ' run  pip install "comfy-trio[server]"'
    )


def test_types_are_seen(install: Callable[[str], Path], empty: Path) -> None:
    """By checkers of the programs of users."""
    (empty / "program.py").write_text(PROGRAM)
    strict = ("--strict", "--no-incremental", "--python-executable", install(""))
    done = run(sys.executable, "-m", "mypy", *strict, "program.py", cwd=empty)
    assert 'program.py:2: note: Revealed type is "str"' in done.stdout
    assert "program.py:3: error: " in done.stdout
    assert "Found 1 error in 1 file" in done.stdout


def test_the_extra_server(install: Callable[[str], Path], empty: Path) -> None:
    program = (
        "import trio\n"
        "from comfy_trio import open_comfy\n"
        "from comfy_trio.testing import open_embedded_server\n"
        "async def main():\n"
        "    async with open_embedded_server() as server, server.listen() as url:\n"
        "        async with open_comfy(url) as comfy:\n"
        "            print((await comfy.system.info()).version)\n"
        "trio.run(main)\n"
    )
    assert must(install("[server]"), "-W", "error", "-c", program, cwd=empty) == "0.27.0\n"


def test_the_extra_cli(install: Callable[[str], Path], empty: Path) -> None:
    python = install("[cli]")
    command = python.with_name("comfy-trio")
    assert must(command, "--version", cwd=empty) == f"{comfy_trio.__version__}\n"
    must(python, "-m", "comfy_trio", "demo", cwd=empty)
    assert list(empty.rglob("*.png"))
    done = run(command, "codegen", "--object-info", ROOT / "README.md", "--out", "n", cwd=empty)
    assert done.returncode == 1
    assert 'run  pip install "comfy-trio[codegen]"' in done.stderr


def test_the_extra_codegen(install: Callable[[str], Path], empty: Path) -> None:
    python = install("[codegen]")
    info = ROOT / "stubs" / "object_info-0.27.0.json"
    out = ("--object-info", info, "--out", "comfy_nodes")
    must(python, "-m", "comfy_trio", "codegen", *out, cwd=empty)
    must(python, "-W", "error", "-c", "from comfy_nodes import KSampler", cwd=empty)


def test_the_extra_telemetry(install: Callable[[str], Path], empty: Path) -> None:
    program = "from comfy_trio.telemetry import OpenTelemetry; OpenTelemetry()"
    must(install("[telemetry]"), "-W", "error", "-c", program, cwd=empty)
