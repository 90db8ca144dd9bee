"""Generated packages on disk: compared, written, and kept apart from what people wrote."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest

from codegen.nodes import generate_package
from codegen.package import Difference, NotGeneratedError, compare, write
from codegen.render import HEADER


def node(category: str = "a", **inputs: Any) -> dict[str, Any]:
    return {"input": {"required": inputs}, "output": ["IMAGE"], "category": category}


INFO: dict[str, Any] = {
    "One": node(x=["INT"]),
    "Two": node(y=["FLOAT"]),
    "Odd One": node("b", ckpt_name=[["a.safetensors"], {}]),
    "Far": {**node(), "python_module": "custom_nodes.far"},
}


def sources(info: dict[str, Any] = INFO, *, server: str = "1") -> dict[str, str]:
    return dict(generate_package(info, generator_version="1", server_version=server).sources)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "deep" / "nodes"
    write(directory, sources())
    return directory


def changed(**nodes: Any) -> dict[str, str]:
    info = {**copy.deepcopy(INFO), **nodes}
    return sources({name: entry for name, entry in info.items() if entry is not None})


def times(directory: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}


def test_a_new_package(tmp_path: Path) -> None:
    (tmp_path / "nodes").mkdir()
    for directory in (tmp_path / "nodes", tmp_path / "a" / "b"):
        difference = compare(directory, sources())
        assert difference == Difference(
            new=tuple(sorted(sources())), added=("Far", "Odd One", "One", "Two")
        )
        assert not list(directory.glob("*"))
        assert write(directory, sources()) == difference
        assert {
            path.relative_to(directory).as_posix(): path.read_text(encoding="utf-8")
            for path in directory.rglob("*")
            if path.is_file()
        } == sources()


def test_what_is_right_is_left_alone(directory: Path) -> None:
    before = times(directory)
    assert not compare(directory, sources())
    assert not write(directory, sources())
    assert times(directory) == before


def test_only_what_differs_is_written(directory: Path) -> None:
    before = times(directory)
    after = changed(One=node(x=["INT", {"min": 1}]))
    difference = write(directory, after)
    assert difference == Difference(changed=("__init__.py", "core/a.py"), altered=("One",))
    untouched = {path for path, time in times(directory).items() if before[path] == time}
    assert {path.relative_to(directory).as_posix() for path in before.keys() - untouched} == {
        "__init__.py",
        "core/a.py",
    }
    assert not compare(directory, after)


def test_nodes_that_come_go_and_move(directory: Path) -> None:
    after = changed(Far=None, New=node(), Two=node("c", y=["FLOAT"]))
    difference = compare(directory, after)
    assert difference.added == ("New",)
    assert difference.removed == ("Far",)
    assert difference.altered == ()  # it is the same class, elsewhere
    assert difference.new == ("core/c.py",)
    assert difference.stale == ("far/__init__.py", "far/a.py")
    (directory / "far" / "__pycache__").mkdir()
    (directory / "far" / "__pycache__" / "a.cpython-311.pyc").touch()
    assert write(directory, after) == difference
    assert not (directory / "far").exists()
    assert not compare(directory, after)


def test_what_people_wrote_is_not_removed(directory: Path) -> None:
    own = [directory / "far" / "own.py", directory / "notes.txt", directory / "mine" / "x.py"]
    for path in own:
        path.parent.mkdir(exist_ok=True)
        path.write_text("x = 1\n", encoding="utf-8")
    assert not compare(directory, sources())
    write(directory, changed(Far=None))
    assert all(path.read_text(encoding="utf-8") == "x = 1\n" for path in own)
    assert not (directory / "far" / "a.py").exists()


def test_edits_are_found_and_undone(directory: Path) -> None:
    path = directory / "core" / "a.py"
    path.write_text("class One: ...\n", encoding="utf-8")
    difference = compare(directory, sources())
    assert (difference.changed, difference.altered) == (("core/a.py",), ("One", "Two"))
    path.write_text("not Python", encoding="utf-8")
    (directory / "_index.py").write_bytes(b"\xff\0")
    difference = compare(directory, sources())
    assert difference.changed == ("_index.py", "core/a.py")
    write(directory, sources())
    assert not compare(directory, sources())


def test_files_and_versions_do_not_count_as_differences(directory: Path) -> None:
    info = copy.deepcopy(INFO)
    info["Odd One"]["input"]["required"]["ckpt_name"][0].append("b.safetensors")
    after = sources(info, server="2")
    assert not compare(directory, after, strict_files=False)
    assert compare(directory, after).changed == ("files.py",)
    assert write(directory, after).changed == ("__init__.py", "files.py")


def test_line_ends_do_not_count_as_differences(directory: Path) -> None:
    for path in directory.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert not compare(directory, sources())


@pytest.mark.parametrize("init", [None, "", "x = 1\n", f"\n{HEADER}\n"])
def test_a_directory_of_something_else_is_refused(init: str | None, tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    if init is not None:
        (tmp_path / "__init__.py").write_text(init, encoding="utf-8")
    for function in (compare, write):
        with pytest.raises(NotGeneratedError, match="is not empty, and holds no generated package"):
            function(tmp_path, sources())
    assert sorted(path.name for path in tmp_path.iterdir()) == (
        ["core"] if init is None else ["__init__.py", "core"]
    )


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    path = tmp_path / "nodes"
    path.touch()
    with pytest.raises(NotGeneratedError, match="nodes is no directory"):
        write(path, sources())


def test_whatever_ends_it_leaves_no_half_a_file_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace
    for count in range(len(sources())):
        directory = tmp_path / str(count)
        left = count

        def fail(self: Path, target: Path) -> Path:
            nonlocal left
            if not left:
                raise KeyboardInterrupt
            left -= 1
            return replace(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", fail)
            with pytest.raises(KeyboardInterrupt):
                write(directory, sources())
        found = {
            path.relative_to(directory).as_posix(): path.read_text(encoding="utf-8")
            for path in directory.rglob("*")
            if path.is_file()
        }
        assert len(found) == count
        assert found.items() <= sources().items()
        write(directory, sources())
        assert not compare(directory, sources())


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_links_are_not_followed_to_what_is_removed(directory: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x.py").write_text(f"{HEADER}\n", encoding="utf-8")
    (directory / "linked").symlink_to(elsewhere, target_is_directory=True)
    (directory / "x.py").symlink_to(elsewhere / "x.py")
    assert not compare(directory, sources())
    write(directory, sources())
    assert (elsewhere / "x.py").exists()
