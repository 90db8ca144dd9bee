"""The embedded server's folders: `input`, `output` and `temp`, and the names of files in them.

Access is synchronous on purpose: under a virtual clock a test must not depend on when a thread
finishes, and most files here are small.
"""

from __future__ import annotations

import filecmp
import io
import mimetypes
import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import Final

import attrs
from PIL import Image, PngImagePlugin

FOLDERS: Final = ("input", "output", "temp")
"""The folders by the name that requests and results use as ``type``."""

_ANNOTATION = re.compile(rf"^(?P<name>.*?) ?\[(?P<folder>{'|'.join(FOLDERS)})\]$", re.DOTALL)


class UnsafePathError(ValueError):
    """A name that leads out of its folder, or that no file can have."""


@attrs.frozen
class StoredFile:
    """Where one file is, in the terms of the protocol.

    Args:
        filename: Its name, without folders.
        subfolder: The folder within `type`; empty for the top.
        type: ``input``, ``output`` or ``temp``.
    """

    filename: str
    subfolder: str
    type: str

    def as_ui(self) -> dict[str, str]:
        """The item that a node's ui lists: ``{"filename", "subfolder", "type"}``."""
        return {"filename": self.filename, "subfolder": self.subfolder, "type": self.type}

    def as_upload(self) -> dict[str, str]:
        """The reply to an upload: ``{"name", "subfolder", "type"}``."""
        return {"name": self.filename, "subfolder": self.subfolder, "type": self.type}


@attrs.frozen
class SaveSlot:
    """The next free names for a prefix; see `FileStore.save_slot`."""

    stem: str
    counter: int
    subfolder: str
    type: str

    def file(self, index: int, suffix: str) -> StoredFile:
        """The file for picture number `index` of a batch, ``stem_00001_.png`` and on.

        Args:
            index: Position in the batch, from 0; replaces ``%batch_num%`` in the stem.
            suffix: The file's ending with its dot.
        """
        stem = self.stem.replace("%batch_num%", str(index))
        return StoredFile(f"{stem}_{self.counter + index:05}_{suffix}", self.subfolder, self.type)


class FileStore:
    """The three folders of one server, made on construction.

    No name reaches outside its folder: every method raises `UnsafePathError` first.

    Args:
        root: The folder that holds, or will hold, the three.
    """

    def __init__(self, root: Path) -> None:
        self.root: Path = root.resolve()
        for folder in FOLDERS:
            (self.root / folder).mkdir(parents=True, exist_ok=True)

    def __repr__(self) -> str:
        return f"<FileStore {self.root}>"

    def folder(self, kind: str) -> Path:
        """The folder for a ``type``: ``input``, ``output`` or ``temp``.

        Raises:
            ValueError: There is no such folder.
        """
        if kind not in FOLDERS:
            raise ValueError(f"type must be one of {', '.join(FOLDERS)}, not {kind!r}")
        return self.root / kind

    def path(self, file: StoredFile) -> Path:
        """Where `file` is on disk, whether or not it exists."""
        return self._inside(self.folder(file.type), file.subfolder, file.filename)

    def split_annotation(self, name: str, default: str = "input") -> tuple[str, str]:
        """Part ``"x.png [temp]"`` into the name and its folder; `default` if it names none."""
        match = _ANNOTATION.match(name)
        return (match["name"], match["folder"]) if match else (name, default)

    def annotated(self, name: str, default: str = "input") -> Path:
        """Where ``"sub/x.png"`` or ``"x.png [output]"`` is on disk, whether or not it exists."""
        name, folder = self.split_annotation(name, default)
        return self._inside(self.folder(folder), name)

    def save_slot(
        self,
        prefix: str,
        kind: str = "output",
        *,
        width: int = 0,
        height: int = 0,
    ) -> SaveSlot:
        """Find the first free number for `prefix`, and make its folder.

        The number is one above the highest that any file ``stem_N_…`` in the folder has.

        Args:
            prefix: May hold a subfolder (``"birds/owl"``) and the placeholders ``%width%``,
                ``%height%``, ``%year%``, ``%month%``, ``%day%``, ``%hour%``, ``%minute%``,
                ``%second%``. ``%batch_num%`` stays, for `SaveSlot.file`.
            kind: The folder to save to.
            width: Replaces ``%width%``.
            height: Replaces ``%height%``.
        """
        normal = os.path.normpath(_fill_placeholders(prefix, width, height))
        subfolder, stem = os.path.split(normal)
        folder = self._inside(self.folder(kind), subfolder)
        folder.mkdir(parents=True, exist_ok=True)
        taken = (_save_number(entry.name, stem) for entry in folder.iterdir())
        return SaveSlot(stem, max(taken, default=0) + 1, subfolder, kind)

    def incoming(self) -> Path:
        """A name for a file that is still coming in, outside of all folders that can be asked for.

        It is on the same disk as they are, so that it can be moved there at once.
        """
        return self.root / f".{secrets.token_hex(8)}.incoming"

    def upload(
        self,
        name: str,
        content: bytes | Path,
        *,
        kind: str = "input",
        subfolder: str = "",
        overwrite: bool = False,
    ) -> StoredFile:
        """Store an uploaded file, without ever replacing a different one unasked.

        A file of the same name and content is kept as it is; one of other content makes the new
        one ``"x (1).png"``, and so on.

        Args:
            name: Its name, as the client has it.
            content: It, or where it is for now; that file is moved away.
            kind: The folder.
            subfolder: Where in the folder; made if need be.
            overwrite: Replace a different one.
        """
        return self._store(name, content, content, kind, subfolder, overwrite)

    def upload_mask(
        self,
        name: str,
        content: bytes | Path,
        original: StoredFile,
        *,
        kind: str = "input",
        subfolder: str = "",
        overwrite: bool = False,
    ) -> StoredFile:
        """Store `original` with the alpha channel of the uploaded picture, as PNG.

        The original's text chunks are kept. As on the real server, an original that is missing
        or outside its folder is no error: the reply is the same and nothing is written.
        """
        try:
            source = self.path(original)
        except ValueError:
            source = None
        if source is None or not source.is_file():
            return self._free_name(name, content, kind, subfolder, overwrite)[0]
        return self._store(
            name, content, _with_alpha_of(source, content), kind, subfolder, overwrite
        )

    def names(self, kind: str) -> list[str]:
        """Names of the files at the top of a folder, newest first."""
        files = [entry for entry in self.folder(kind).iterdir() if entry.is_file()]
        files.sort(key=lambda entry: (-entry.stat().st_mtime_ns, entry.name))
        return [entry.name for entry in files]

    def images(self, kind: str = "input") -> list[str]:
        """Names of the pictures at the top of a folder, sorted: what LoadImage offers."""
        return sorted(name for name in self.names(kind) if _is_image(name))

    def clear(self, kind: str) -> None:
        """Delete everything in a folder, as the server does with ``temp`` when it starts."""
        folder = self.folder(kind)
        shutil.rmtree(folder)
        folder.mkdir()

    def _store(
        self,
        name: str,
        uploaded: bytes | Path,
        stored: bytes | Path,
        kind: str,
        subfolder: str,
        overwrite: bool,
    ) -> StoredFile:
        target, present = self._free_name(name, uploaded, kind, subfolder, overwrite)
        if not present:
            path = self.path(target)
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(stored, Path):
                stored.replace(path)
            else:
                path.write_bytes(stored)
        return target

    def _free_name(
        self,
        name: str,
        content: bytes | Path,
        kind: str,
        subfolder: str,
        overwrite: bool,
    ) -> tuple[StoredFile, bool]:
        """The name to store `content` under, and whether that very content is there already."""
        if not name:
            raise UnsafePathError("an upload needs a filename")
        stem, suffix = os.path.splitext(name)
        candidate, number = StoredFile(name, subfolder, kind), 0
        while not overwrite and (path := self.path(candidate)).exists():
            if path.is_file() and _holds(path, content):
                return candidate, True
            number += 1
            candidate = attrs.evolve(candidate, filename=f"{stem} ({number}){suffix}")
        self.path(candidate)
        return candidate, False

    def _inside(self, folder: Path, *parts: str) -> Path:
        try:
            path = folder.joinpath(*parts).resolve()
        except (ValueError, OSError) as exc:  # a NUL, or links in a circle
            raise UnsafePathError(f"not a path: {'/'.join(parts)!r}") from exc
        if not path.is_relative_to(folder):
            raise UnsafePathError(f"{'/'.join(parts)!r} is outside {folder.name!r}")
        return path


def _fill_placeholders(prefix: str, width: int, height: int) -> str:
    if "%" not in prefix:
        return prefix
    now = time.localtime()
    values = {
        "width": str(width),
        "height": str(height),
        "year": str(now.tm_year),
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }
    return re.sub(r"%(\w+)%", lambda match: values.get(match[1], match[0]), prefix)


def _save_number(name: str, stem: str) -> int:
    """The number in ``stem_00012_.png``; 0 for names of other shapes."""
    match = re.match(rf"{re.escape(stem)}_(\d+)(?=[_.]|$)", name)
    return int(match[1]) if match else 0


def _holds(path: Path, content: bytes | Path) -> bool:
    if isinstance(content, Path):
        return filecmp.cmp(path, content, shallow=False)
    return path.read_bytes() == content


def _with_alpha_of(original: Path, mask: bytes | Path) -> bytes:
    source = mask if isinstance(mask, Path) else io.BytesIO(mask)
    with Image.open(original) as picture, Image.open(source) as masked:
        chunks = PngImagePlugin.PngInfo()
        for key, text in picture.info.items():
            if isinstance(key, str) and isinstance(text, str):
                chunks.add_text(key, text)
        result = picture.convert("RGBA")
        alpha = masked.convert("RGBA").getchannel("A")
    result.putalpha(alpha)
    stream = io.BytesIO()
    result.save(stream, "PNG", compress_level=4, pnginfo=chunks)
    return stream.getvalue()


def _is_image(name: str) -> bool:
    kind, _ = mimetypes.guess_type(name, strict=False)
    return kind is not None and kind.startswith("image/")
