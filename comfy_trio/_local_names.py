"""Names that a server gives files, made safe to write to here."""

from __future__ import annotations

import os
import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from ._errors import FileError
from ._routes._file import file_reference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._routes._file import FileReference


def forbidden_in_names(system: str) -> re.Pattern[str]:
    """Return what no file's name may have in it, by the system's name as `os.name` has it."""
    return re.compile(r'[\x00-\x1f<>:"|?*]' if system == "nt" else r"\x00")


_NO_NAME: Final = forbidden_in_names(os.name)


def local_name(filename: str) -> str:
    """Return the name under which a server's file is safe to write into a directory.

    Whatever path is in it, with the separators of either system, is left out.

    Raises:
        FileError: there is none.
    """
    name = filename.replace("\\", "/").rpartition("/")[2]
    return _checked(name, filename)


def local_folders(subfolder: str) -> tuple[str, ...]:
    """Return the folders that a server's subfolder names, each safe to make in a directory.

    Raises:
        FileError: it leads elsewhere.
    """
    names = subfolder.replace("\\", "/").split("/")
    return tuple(_checked(name, subfolder) for name in names if name not in {"", "."})


def _checked(name: str, whole: str) -> str:
    if name in {"", ".", ".."} or "\0" in name:
        raise FileError(f"the server names a file {whole!r}, which is no name for one here")
    return _NO_NAME.sub("_", name)


def local_places(
    files: Iterable[FileReference], *, keep_subfolders: bool = False
) -> list[tuple[str, ...]]:
    """Return where in a directory to write each of several files, as folders and a name.

    Different files never get one place, on no file system: a name that another one has, or one
    that differs in case alone, is numbered like ``"a (1).png"``. One file that is listed twice has
    one place. The same files in the same order always get the same places.

    Args:
        files: As nodes' outputs name them.
        keep_subfolders: Whether to put them into folders as the server has them.

    Raises:
        FileError: one has no name that is safe.
    """
    places: list[tuple[str, ...]] = []
    place_of: dict[Any, tuple[str, ...]] = {}
    taken: set[str] = set()
    for file in files:
        reference = file_reference(file)
        place = place_of.get(reference)
        if place is None:
            folders = local_folders(reference.subfolder) if keep_subfolders else ()
            place = _free(folders, local_name(reference.filename), taken)
            place_of[reference] = place
        places.append(place)
    return places


def _free(folders: tuple[str, ...], name: str, taken: set[str]) -> tuple[str, ...]:
    stem, suffix = os.path.splitext(name)
    place, number = (*folders, name), 0
    while (key := unicodedata.normalize("NFC", "/".join(place)).casefold()) in taken:
        number += 1
        place = (*folders, f"{stem} ({number}){suffix}")
    taken.add(key)
    return place
