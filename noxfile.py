"""The project's chores. `nox` alone runs what a change must pass; `nox -l` lists the rest."""

import re
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "codegen", "docs", "package", "browser", "tests"]

ASYNC = re.compile(r"\b(async|await|trio)\b")
PYPROJECT = nox.project.load_toml("pyproject.toml")
ALL_EXTRAS = ".[cli,codegen,telemetry]"
PYTHONS = ["3.11", "3.12", "3.13"]


def groups(*names: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PYPROJECT, *names)


def leave_the_sources(session: nox.Session) -> None:
    """Go where all is that the tests read, but for the package: they import the installed one."""
    target = Path(session.create_tmp()).resolve() / "repository"
    shutil.rmtree(target, ignore_errors=True)
    unwanted = shutil.ignore_patterns("comfy_trio", ".*", "__pycache__", "build", "dist")
    shutil.copytree(Path(), target, ignore=unwanted)
    session.chdir(target)


def pytest_installed(session: nox.Session) -> None:
    leave_the_sources(session)
    session.run("pytest", *session.posargs, env={"COMFY_TRIO_INSTALLED": "1"})


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, and the structured-concurrency rules of flake8-async."""
    session.install(*groups("lint"))
    session.run("ruff", "check", ".", *session.posargs)
    session.run("ruff", "format", "--check", ".")
    patterns = (
        "comfy_trio/**/*.py",
        "codegen/*.py",
        "examples/**/*.py",
        "tests/*.py",
        "tests/benchmarks/*.py",
    )
    paths = [path for pattern in patterns for path in Path().glob(pattern)]
    # It takes a second or two a file, and what is neither async nor speaks of trio breaks no rule.
    sources = [str(path) for path in paths if ASYNC.search(path.read_text(encoding="utf-8"))]
    # ASYNC127: httpx is the chosen HTTP layer (see comfy_trio/_http.py, and the test that holds
    # its one hazard out). ASYNC910 to 912: a private helper need not be a checkpoint.
    # ASYNC124: the embedded server's nodes are async by their interface.
    disabled = "ASYNC124,ASYNC127,ASYNC910,ASYNC911,ASYNC912"
    session.run("flake8-async", f"--disable={disabled}", *sources)


@nox.session
def types(session: nox.Session) -> None:
    """Mypy strict, pyright strict, the public names, and programs of generated nodes."""
    session.install("-e", ALL_EXTRAS, *groups("types", "templates"))
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "comfy_trio")
    session.run("pytest", "-m", "types")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, on the installed package; every server they talk to is embedded."""
    session.install(ALL_EXTRAS, *groups("test", "templates"))
    pytest_installed(session)


@nox.session(python=PYTHONS)
def pythons(session: nox.Session) -> None:
    """The tests on each Python that is here; those that are not are skipped."""
    tests(session)


@nox.session(python=PYTHONS[0])
def oldest(session: nox.Session) -> None:
    """The tests on the oldest Python, and the oldest versions of all that pyproject.toml allows."""
    session.install("uv>=0.13")
    here = ("--python", session.virtualenv.location, "--resolution", "lowest-direct")
    session.run("uv", "pip", "install", *here, "--reinstall", ALL_EXTRAS)
    # After it, so that what the tests themselves need is new only where it is nothing of that.
    session.install(*groups("test", "templates"))
    pytest_installed(session)


@nox.session
def package(session: nox.Session) -> None:
    """The sdist and the wheel: contents, metadata, types, and what each extra brings."""
    session.install(ALL_EXTRAS, *groups("package"))
    session.run("pytest", "-m", "package", "tests/test_package.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """What servers may send, drawn at random, for long (`-- -k decoder` for a part of it)."""
    session.install(ALL_EXTRAS, *groups("test"))
    patience = ("-o", "faulthandler_timeout=0")
    session.run(
        "pytest", "tests/test_fuzz.py", "--hypothesis-profile=long", *patience, *session.posargs
    )


@nox.session
def codegen(session: nox.Session) -> None:
    """Compare all that is generated here with its sources (`-- --write` to regenerate).

    With `-- --url URL --out DIR`, generate a package of a server's nodes.
    """
    session.install("-e", ".[codegen]")
    if "--out" in session.posargs:
        session.run("python", "-m", "comfy_trio", "codegen", *session.posargs)
    else:
        session.run("python", "-m", "codegen", *(session.posargs or ["--check"]))


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, into site/; any warning fails (`-- --open` shows it in a browser)."""
    session.install("-e", ALL_EXTRAS, *groups("docs"))
    session.env["NO_MKDOCS_2_WARNING"] = "1"
    if "--open" in session.posargs:
        session.run("mkdocs", "serve", "--open")
    else:
        session.run("mkdocs", "build", "--strict")
        session.run("pytest", "-m", "site", "tests/test_site.py")


@nox.session
def browser(session: nox.Session) -> None:
    """The web service of the examples, in Chromium (on Debian: apt-get install chromium)."""
    if shutil.which("chromium") is None:
        session.error("there is no chromium; on Debian: apt-get install chromium")
    session.install(ALL_EXTRAS, *groups("browser"))
    session.run("pytest", "-m", "browser", "tests/test_browser.py", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """The README's first command, as a newcomer runs it (`-- --url URL` for a real server)."""
    session.install(".[cli]")
    session.run("python", "-m", "comfy_trio", "demo", *session.posargs)


@nox.session
def real(session: nox.Session) -> None:
    """The tests that need a real ComfyUI server at $COMFY_HOST."""
    session.install(ALL_EXTRAS, *groups("test", "templates"))
    session.run("pytest", "-m", "real", *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """The client in a hard world: `-- --seeds 10000` worlds, each from its seed."""
    session.install(ALL_EXTRAS, *groups("test"))
    session.chdir("tests")
    session.run("python", "-m", "simulation", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Numbers: each beside the barest code, as a ratio (`-- pool --json FILE` for some of them)."""
    session.install("-e", ALL_EXTRAS, *groups("types", "templates"))
    tests = str(Path("tests").resolve())
    session.run("python", "-m", "benchmarks", *session.posargs, env={"PYTHONPATH": tests})
