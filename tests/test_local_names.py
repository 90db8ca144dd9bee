from __future__ import annotations

import os
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from comfy_trio import FileError, _local_names
from comfy_trio._local_names import local_folders, local_name, local_places

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

names = st.text(st.sampled_from("aAb./\\:\0 ()1"), min_size=1, max_size=8)
files = st.fixed_dictionaries({"filename": names, "subfolder": names | st.just("")})


def or_none(function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except FileError:
        return None


@given(names, names)
def test_no_name_leads_anywhere(filename: str, subfolder: str) -> None:
    name = or_none(local_name, filename)
    folders = or_none(local_folders, subfolder)
    for part in [name, *(folders or ())]:
        if part is not None:
            assert part not in {"", ".", ".."}
            assert PurePosixPath(part).parts == (part,)
            assert "\\" not in part
            assert "\0" not in part


@given(st.lists(files, max_size=12), st.booleans())
def test_different_files_have_different_places(listed: list[Any], keep: bool) -> None:
    good = [
        file
        for file in listed
        if or_none(local_name, file["filename"])
        and or_none(local_folders, file["subfolder"]) is not None
    ]
    places = local_places(good, keep_subfolders=keep)
    assert places == local_places(good, keep_subfolders=keep)
    of_file: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    for file, place in zip(good, places, strict=True):
        of_file.setdefault((file["filename"], file["subfolder"]), set()).add(place)
    assert all(len(own) == 1 for own in of_file.values())
    on_disk = {tuple(part.casefold() for part in place) for place in places}
    assert len(on_disk) == len(of_file)


def test_names_that_differ_in_their_encoding_alone() -> None:
    composed, decomposed = "\u00e9.png", "e\u0301.png"
    places = local_places([{"filename": composed}, {"filename": decomposed}])
    assert places == [(composed,), ("e\u0301 (1).png",)]


def test_names_for_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_local_names, "_NO_NAME", _local_names.forbidden_in_names("nt"))
    for filename, name in (
        ("C:evil.png", "C_evil.png"),
        ("C:\\evil.png", "evil.png"),
        ('a<>|?*"\t.png', "a_______.png"),
        ("\\\\server\\share\\x", "x"),
    ):
        assert local_name(filename) == name
        assert PureWindowsPath(name).parts == (name,)
    assert local_folders("C:\\x:y") == ("C_", "x_y")
    if os.name != "nt":
        monkeypatch.undo()
        assert local_name("12:30.png") == "12:30.png"
