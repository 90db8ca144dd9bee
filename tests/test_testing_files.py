from __future__ import annotations

import io
import os
import time
from typing import TYPE_CHECKING

import pytest
from PIL import Image, PngImagePlugin

from comfy_trio.testing._files import FOLDERS, FileStore, StoredFile, UnsafePathError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "server")


def png(color: tuple[int, int, int, int], size: tuple[int, int] = (4, 3), **text: str) -> bytes:
    chunks = PngImagePlugin.PngInfo()
    for key, value in text.items():
        chunks.add_text(key, value)
    stream = io.BytesIO()
    Image.new("RGBA", size, color).save(stream, "PNG", pnginfo=chunks, dpi=(72, 72))
    return stream.getvalue()


def test_folders_are_made(tmp_path: Path) -> None:
    files = FileStore(tmp_path / "a" / "b")
    for name in FOLDERS:
        assert files.folder(name).is_dir()
    assert repr(files) == f"<FileStore {(tmp_path / 'a' / 'b').resolve()}>"
    with pytest.raises(ValueError, match=r"^type must be one of input, output, temp, not 'x'$"):
        files.folder("x")


def test_shapes_of_replies() -> None:
    file = StoredFile("x.png", "sub", "temp")
    assert file.as_ui() == {"filename": "x.png", "subfolder": "sub", "type": "temp"}
    assert file.as_upload() == {"name": "x.png", "subfolder": "sub", "type": "temp"}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("x.png", ("x.png", "input")),
        ("x.png [temp]", ("x.png", "temp")),
        ("sub/x.png [output]", ("sub/x.png", "output")),
        ("x[input]", ("x", "input")),
        ("x.png [other]", ("x.png [other]", "input")),
        ("[temp] x.png", ("[temp] x.png", "input")),
    ],
)
def test_annotations(files: FileStore, name: str, parts: tuple[str, str]) -> None:
    assert files.split_annotation(name) == parts
    assert files.annotated(name) == files.root / parts[1] / parts[0]


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "x\0y", "../output/x"])
def test_names_that_escape_are_refused(files: FileStore, name: str) -> None:
    with pytest.raises(UnsafePathError):
        files.annotated(name)
    with pytest.raises(UnsafePathError):
        files.path(StoredFile("x", name, "input"))
    with pytest.raises(UnsafePathError):
        files.upload(name, b"x")
    with pytest.raises(UnsafePathError):
        files.upload("x", b"x", subfolder=name)
    with pytest.raises(UnsafePathError):
        files.save_slot(name + "/x", "temp")


def test_links_that_escape_are_refused(files: FileStore, tmp_path: Path) -> None:
    (files.root / "input" / "out").symlink_to(tmp_path)
    with pytest.raises(UnsafePathError, match=r"^'out/x' is outside 'input'$"):
        files.annotated("out/x")


def test_save_numbers_count_on(files: FileStore) -> None:
    slot = files.save_slot("owl")
    names = [slot.file(index, ".png").filename for index in range(2)]
    assert names == ["owl_00001_.png", "owl_00002_.png"]
    for name in ("owl_00007_.webp", "owl_x_.png", "owls_00009_.png", "owl_00011"):
        (files.folder("output") / name).write_bytes(b"")
    assert files.save_slot("owl").counter == 12
    assert files.save_slot("owl", "temp").counter == 1


def test_save_prefix_with_a_subfolder_and_a_batch_number(files: FileStore) -> None:
    file = files.save_slot("birds/./owl-%batch_num%").file(3, ".png")
    assert file == StoredFile("owl-3_00004_.png", "birds", "output")
    assert files.path(file).parent.is_dir()


def test_save_placeholders(files: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = time.struct_time((2025, 3, 4, 5, 6, 7, 0, 0, 0))
    monkeypatch.setattr(time, "localtime", lambda: moment)
    prefix = "%year%-%month%-%day%/%hour%%minute%%second%_%width%x%height%_%other%"
    slot = files.save_slot(prefix, width=8, height=9)
    assert (slot.subfolder, slot.stem) == ("2025-03-04", "050607_8x9_%other%")


def test_upload_never_replaces_a_different_file(files: FileStore) -> None:
    assert files.upload("x.png", b"one") == StoredFile("x.png", "", "input")
    assert files.upload("x.png", b"one") == StoredFile("x.png", "", "input")
    assert files.upload("x.png", b"two") == StoredFile("x (1).png", "", "input")
    assert files.upload("x.png", b"two") == StoredFile("x (1).png", "", "input")
    assert files.upload("x.png", b"three").filename == "x (2).png"
    assert files.upload("x.png", b"new", overwrite=True).filename == "x.png"
    assert files.annotated("x.png").read_bytes() == b"new"


def test_upload_to_another_folder(files: FileStore) -> None:
    stored = files.upload("x.bin", b"1", kind="temp", subfolder="a/b")
    assert stored == StoredFile("x.bin", "a/b", "temp")
    assert files.path(stored).read_bytes() == b"1"


def test_upload_needs_a_name(files: FileStore) -> None:
    with pytest.raises(UnsafePathError, match="needs a filename"):
        files.upload("", b"x")


def test_mask_upload_puts_alpha_into_the_original(files: FileStore) -> None:
    original = files.upload("o.png", png((1, 2, 3, 255), prompt="{}"), kind="output")
    stored = files.upload_mask("m.png", png((9, 9, 9, 40)), original)
    assert stored == StoredFile("m.png", "", "input")
    with Image.open(files.path(stored)) as picture:
        assert picture.getpixel((0, 0)) == (1, 2, 3, 40)
        assert picture.info["prompt"] == "{}"


@pytest.mark.parametrize(
    "original",
    [StoredFile("none.png", "", "output"), StoredFile("../x", "", "output")],
)
def test_mask_upload_without_its_original_writes_nothing(
    files: FileStore, original: StoredFile
) -> None:
    stored = files.upload_mask("m.png", png((9, 9, 9, 40)), original)
    assert stored == StoredFile("m.png", "", "input")
    assert files.names("input") == []


def test_listing(files: FileStore) -> None:
    for age, name in enumerate(("b.png", "a.jpg", "c.txt", "d")):
        path = files.path(files.upload(name, b"x"))
        os.utime(path, (1000 - age, 1000 - age))
    files.upload("hidden.png", b"x", subfolder="sub")
    assert files.names("input") == ["b.png", "a.jpg", "c.txt", "d"]
    assert files.images() == ["a.jpg", "b.png"]


def test_clear(files: FileStore) -> None:
    files.upload("x", b"1", kind="temp", subfolder="deep")
    files.clear("temp")
    assert list(files.folder("temp").iterdir()) == []
