"""The pages of the documentation do what they say."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from cyclopts import CycloptsError
from pages import PAGES, ROOT, Block, agrees, blocks_of, read_page
from test_exports import LAYER_OF, NAMESPACES, public_items
from test_types import run_mypy

from comfy_trio._capabilities import SINCE, parse_release
from comfy_trio._cli._app import app
from comfy_trio._failover import Verdict
from comfy_trio._state import Phase
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from collections.abc import Sequence

README = ROOT / "README.md"
PLACES = ("127.0.0.1:8188", "127.0.0.1:8189")


async def do_what_it_says(
    blocks: Sequence[Block], directory: Path, *, checkers: bool = False
) -> None:
    """Write and run the blocks of a page, and compare what they print with what it tells."""
    async with (
        open_embedded_server() as first,
        open_embedded_server() as second,
        first.listen() as first_url,
        second.listen() as second_url,
    ):
        urls = [url.removeprefix("http://") for url in (first_url, second_url)]
        binaries = str(Path(sys.executable).parent)
        environment = {
            **os.environ,
            "COMFY_HOST": first_url,
            "COLUMNS": "80",
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(map(str, (directory, ROOT / "stubs"))),
        }
        for block in blocks:
            if not block.is_run(checkers=checkers):
                continue
            text = block.text
            for place, url in zip(PLACES, urls, strict=True):
                text = text.replace(place, url)
            if block.title:
                path = directory / block.title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                continue
            done = await trio.run_process(
                ["sh", "-eu", "-c", text],
                capture_stdout=True,
                stderr=subprocess.STDOUT,
                check=False,
                cwd=directory,
                env=environment,
            )
            printed = done.stdout.decode()
            for place, url in zip(PLACES, urls, strict=True):
                printed = printed.replace(url, place)
            wanted = int(block.remarks.get("exit", "0"))
            assert done.returncode == wanted, f"{block} ended with {done.returncode}:\n{printed}"
            if block.told is not None:
                assert agrees(block.told, printed), f"{block} printed:\n{printed}"


def type_errors(blocks: Sequence[Block], directory: Path) -> set[tuple[str, int, str]]:
    """Return what mypy says against the Python in pages: the page, the line there, and the code."""
    by_name: dict[str, Block] = {}
    for block in blocks:
        if block.is_checked:
            name = f"page_{len(by_name)}.py"
            by_name[name] = block
            (directory / name).write_text(block.as_module(), encoding="utf-8")
            if block.title:  # another file of the page may import it
                (directory / block.page).mkdir(parents=True, exist_ok=True)
                (directory / block.page / block.title).write_text(block.text, encoding="utf-8")
    pages = {str(directory / block.page) for block in by_name.values()}
    path = os.pathsep.join([str(ROOT / "stubs"), str(ROOT / "tests" / "golden"), *sorted(pages)])
    errors = run_mypy(*(str(directory / name) for name in by_name), path=path)
    return {(by_name[name].page, by_name[name].line_of(line), code) for name, line, code in errors}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
async def test_a_page(path: Path, tmp_path: Path) -> None:
    await do_what_it_says(read_page(path), tmp_path)


@pytest.mark.types
@pytest.mark.parametrize("path", [PAGES[0].parent / "tutorial.md"], ids=["docs/tutorial.md"])
async def test_a_page_with_checkers(path: Path, tmp_path: Path) -> None:
    await do_what_it_says(read_page(path), tmp_path, checkers=True)


@pytest.mark.types
def test_the_python_in_pages(tmp_path: Path) -> None:
    blocks = [block for path in (README, *PAGES) for block in read_page(path)]
    assert len(blocks) > 40
    assert type_errors(blocks, tmp_path) == set()


def commands_in(blocks: Sequence[Block]) -> list[str]:
    """Return the commands of this library in what is to be typed in a shell."""
    script = "\n".join(block.text for block in blocks if block.language == "sh")
    pieces = re.split(r"\n|&&|\||&|#.*", script.replace("python -m comfy_trio", "comfy-trio"))
    found = (re.fullmatch(r"(?:\w+=\S+ )*comfy-trio (.+)", piece.strip()) for piece in pieces)
    return [command[1] for command in found if command is not None]


@pytest.mark.parametrize("path", [README, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_can_be_typed(path: Path) -> None:
    """Those, too, that cannot be run here: of other machines' servers, or without end."""
    for command in commands_in(read_page(path)):
        app.parse_args(shlex.split(command), exit_on_error=False, print_error=False)


def test_commands_are_found() -> None:
    assert len(commands_in(read_page(README))) > 15
    page = "```sh\nA=b comfy-trio serve --port 1 &\npython -m comfy_trio nope | jq .x  # y\n```\n"
    assert commands_in(blocks_of("page.md", page)) == ["serve --port 1", "nope"]
    with pytest.raises(CycloptsError):
        app.parse_args(["nope"], exit_on_error=False, print_error=False)


def test_every_public_name_has_its_place_in_the_reference() -> None:
    text = "".join(path.read_text() for path in (ROOT / "docs" / "reference").glob("*.md"))
    listed = Counter(re.findall(r"^::: (comfy_trio(?:\.[a-zA-Z]\w*)*)$", text, re.MULTILINE))
    public = {f"{module}.{name}" for module in NAMESPACES for name, _ in public_items(module)}
    assert listed == Counter(public)


def test_the_layers_are_drawn_as_they_are() -> None:
    drawing = read_page(ROOT / "docs" / "architecture.md")[0].text
    layers = [LAYER_OF[name] for name in re.findall(r"\b_\w+", drawing)]
    assert layers == sorted(layers, reverse=True)
    assert {*layers} == {*LAYER_OF.values()} - {LAYER_OF["testing"]}


def cells_of(page: str, section: str) -> list[list[str]]:
    """The cells of the first table in a section of a page, without its head."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").partition(f"{section}\n")[2]
    table = text[text.index("\n|") :].strip().partition("\n\n")[0]
    return [row.strip("| ").split(" | ") for row in table.splitlines()[2:]]


def test_the_map_names_modules_that_there_are() -> None:
    rows = cells_of("architecture.md", "# How it is built")
    names = {name for _, where in rows for name in re.findall(r"`(_\w+)`", where)}
    assert len(names) > 30
    assert names <= LAYER_OF.keys()


def test_the_phases_of_a_job_are_those_that_there_are() -> None:
    rows = cells_of("architecture.md", "## The life of a job")
    assert [name for name, _, _ in rows] == [phase.value for phase in Phase]


def test_the_verdicts_are_those_that_there_are() -> None:
    rows = cells_of("architecture.md", "## The pool")
    told = {name: (elsewhere, counts) for name, _, elsewhere, counts in rows}
    said = ("no", "yes")
    assert told == {each: (said[each.may_go_elsewhere], said[each.counts]) for each in Verdict}


def test_the_sessions_are_those_that_there_are() -> None:
    chores = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    [default] = re.findall(r"^nox.options.sessions = (.*)$", chores, re.MULTILINE)
    rows = cells_of("contributing.md", "# Contributing")
    assert [name.strip("`") for name, _ in rows] == ast.literal_eval(default)
    text = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    sessions = re.findall(r"^@nox\.session.*\ndef (\w+)", chores, re.MULTILINE)
    assert {*sessions} <= {*re.findall(r"`(\w+)`", text)}


def test_what_differs_between_servers_is_what_is_known() -> None:
    rows = cells_of("protocol.md", "## What differs between servers")
    assert {name.strip("`"): parse_release(since) for since, name, _ in rows} == SINCE


PAGE = """
```python title="hello.py"
print("hello", 17)
```

<!-- exit: 3 -->
```sh
python hello.py
exit 3
```

```text
hello ...
```
"""


async def test_what_a_page_says_is_held_against_what_is(tmp_path: Path) -> None:
    await do_what_it_says(blocks_of("page.md", PAGE), tmp_path)
    for right, wrong, told in [
        ("exit 3\n", "exit 4\n", "page.md:7 ended with 4"),
        ("hello ...", "goodbye ...", "page.md:7 printed"),
        ("print(", "printed(", "NameError"),
    ]:
        with pytest.raises(AssertionError, match=told):
            await do_what_it_says(blocks_of("page.md", PAGE.replace(right, wrong)), tmp_path)


@pytest.mark.types
def test_wrong_types_in_a_page_are_found(tmp_path: Path) -> None:
    page = """
```python
result = await comfy.run(workflow)
print(result.prompt_idd)
```

<!-- given: path: str -->
```python
print(path.upper())
```

```python title="whole.py"
number: int = "one"
```
"""
    errors = type_errors(blocks_of("page.md", page), tmp_path)
    assert errors == {("page.md", 4, "attr-defined"), ("page.md", 13, "assignment")}
