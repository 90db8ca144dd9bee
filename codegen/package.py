"""A generated package on disk: compared with what it should be, and written.

Nothing is imported from it, and nothing is removed from it that the generator has not made.
"""

from __future__ import annotations

import ast
import os
from typing import TYPE_CHECKING, final

import attrs

from .render import FILES, HEADER, INDEX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_INIT = "__init__.py"
_VERSIONS = "# generator: "
"""How the line begins that may differ between packages of the same nodes."""


class NotGeneratedError(FileExistsError):
    """A directory holds something else than a generated package; the message says what to do."""


@final
@attrs.frozen
class Difference:
    """How a package on disk differs from what it should be; empty if it does not.

    Args:
        changed: Files that should have other content.
        new: Files that are missing.
        stale: Generated files that should not be there.
        added: Class types that the package on disk lacks.
        removed: Class types that it should not have.
        altered: Class types whose class should be another one.
    """

    changed: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.new or self.stale)


def compare(
    directory: Path, sources: Mapping[str, str], *, strict_files: bool = True
) -> Difference:
    """Compare a package on disk with what it should be.

    The versions in its header do not count: others may have made the same nodes.

    Args:
        directory: Of the package; need not exist.
        sources: What each file should be, by its path in the directory.
        strict_files: Whether the files that the server has count, too.

    Raises:
        NotGeneratedError: the directory holds something else.
        OSError: it cannot be read.
    """
    found = _read_package(directory, sources)
    return _difference(
        found,
        sources,
        changed=[
            path
            for path, source in sources.items()
            if path in found
            and (strict_files or path != FILES)
            and _without_versions(path, found[path]) != _without_versions(path, source)
        ],
    )


def write(directory: Path, sources: Mapping[str, str]) -> Difference:
    """Make a package on disk what it should be, and return how it differed.

    What is right already is left alone. Each file is replaced as a whole, so that whatever ends
    this leaves no half a file, and doing it again completes the package.

    Args:
        directory: Of the package; it is made if need be.
        sources: What each file should be, by its path in the directory.

    Raises:
        NotGeneratedError: the directory holds something else; nothing was written.
        OSError: it cannot be read or written.
    """
    found = _read_package(directory, sources)
    changed = [path for path, source in sources.items() if path in found and found[path] != source]
    difference = _difference(found, sources, changed=changed)
    # First the file by which the directory is known to be ours.
    for path in sorted({*difference.changed, *difference.new}, key=lambda path: path != _INIT):
        replace_file(directory / path, sources[path])
    for path in difference.stale:
        _remove(directory, directory / path)
    return difference


def _difference(
    found: Mapping[str, str], sources: Mapping[str, str], *, changed: list[str]
) -> Difference:
    before, after = _homes(found.get(INDEX, "")), _homes(sources[INDEX])
    same = {path for path, source in sources.items() if path in found and found[path] == source}
    parsed_before, parsed_after = _Classes(found), _Classes(sources)
    return Difference(
        changed=tuple(sorted(changed)),
        new=tuple(sorted(sources.keys() - found.keys())),
        stale=tuple(sorted(found.keys() - sources.keys())),
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        altered=tuple(
            class_type
            for class_type, home in sorted(after.items())
            if class_type in before
            and not (before[class_type] == home and _path(home) in same)
            and parsed_before.source(before[class_type]) != parsed_after.source(home)
        ),
    )


def _without_versions(path: str, source: str) -> str:
    if path != _INIT:
        return source
    return "\n".join(line for line in source.split("\n") if not line.startswith(_VERSIONS))


# --- what the files hold --------------------------------------------------------------------------


def _homes(index: str) -> dict[str, str]:
    """Return where the class of each class type is, as the source of `_index.py` tells it."""
    try:
        body = ast.parse(index).body
    except (SyntaxError, ValueError):
        return {}
    for statement in body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id="NODES"), value=ast.Dict(keys, values)):
                return {
                    key.value: value.value
                    for key, value in zip(keys, values, strict=True)
                    if isinstance(key, ast.Constant)
                    and isinstance(value, ast.Constant)
                    and isinstance(key.value, str)
                    and isinstance(value.value, str)
                }
            case _:
                pass
    return {}


def _path(home: str) -> str:
    return home.partition(":")[0].replace(".", "/") + ".py"


@final
class _Classes:
    """The source of each class of a package, parsed when it is asked for."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._modules: dict[str, dict[str, str]] = {}

    def source(self, home: str) -> str | None:
        path = _path(home)
        if path not in self._modules:
            self._modules[path] = dict(_classes_in(self._sources.get(path, "")))
        return self._modules[path].get(home.partition(":")[2])


def _classes_in(source: str) -> Iterator[tuple[str, str]]:
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return
    lines = source.split("\n")
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            yield statement.name, "\n".join(lines[statement.lineno - 1 : statement.end_lineno])


# --- the disk -------------------------------------------------------------------------------------


def _read_package(directory: Path, sources: Mapping[str, str]) -> dict[str, str]:
    """Return the files of a package that the generator has made, or is to make.

    Raises:
        NotGeneratedError: the directory holds something else.
    """
    if not directory.exists():
        return {}
    if not directory.is_dir():
        raise NotGeneratedError(f"{directory} is no directory: choose another")
    if not any(directory.iterdir()):
        return {}
    if not _is_ours(directory / _INIT):
        raise NotGeneratedError(
            f"{directory} is not empty, and holds no generated package:"
            " choose a directory for the package alone"
        )
    found: dict[str, str] = {}
    folders = [directory, *(path for path in directory.iterdir() if _is_folder(path))]
    for folder in folders:
        for path in folder.glob("*.py"):
            name = path.relative_to(directory).as_posix()
            if _is_ours(path) or name in sources:
                found[name] = _read(path)
    return {**found, **_read_others(directory, sources.keys() - found.keys())}


def _read_others(directory: Path, names: set[str]) -> dict[str, str]:
    return {name: _read(directory / name) for name in names if (directory / name).is_file()}


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_ours(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and _read(path).startswith(HEADER)


def _read(path: Path) -> str:
    # Any line ends will do: version control may have changed them.
    return path.read_text(encoding="utf-8", errors="replace")


def replace_file(path: Path, source: str) -> None:
    """Write a file as a whole, so that whatever ends this leaves no half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as file:
            file.write(source)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove(directory: Path, path: Path) -> None:
    """Remove a file, and its folder if nothing else is left in that."""
    path.unlink()
    folder = path.parent
    if folder == directory:
        return
    cache = folder / "__pycache__"
    if set(folder.iterdir()) <= {cache} and not cache.is_symlink():
        for compiled in cache.glob("*.pyc"):
            compiled.unlink()
        for empty in (cache, folder):
            if empty.exists() and not any(empty.iterdir()):
                empty.rmdir()
