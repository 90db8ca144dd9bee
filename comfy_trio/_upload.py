"""Uploads as values: a file to be sent, and where the server put it."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, final

import attrs

from ._errors import FileError, WorkflowError
from ._picture_metadata import is_webp
from ._replies import FileForm, Request, raise_for_status, require_object, unexpected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._replies import Reply
    from ._wire_types import OutputFile

FileSource: TypeAlias = "bytes | bytearray | str | os.PathLike[str]"
"""A file's content, or the path of a file here."""

FolderType: TypeAlias = Literal["input", "output", "temp"]
"""One of a server's folders."""

_SUFFIXES = (
    (b"\x89PNG\r\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF8", ".gif"),
)


@final
@attrs.frozen
class UploadedFile:
    """A file where the server put it.

    Args:
        filename: Its name there, which differs from the one sent if another file had that.
        subfolder: Where in the folder; empty for its top.
        type: The folder: ``input``, ``output`` or ``temp``.
    """

    filename: str
    subfolder: str
    type: str

    @property
    def reference(self) -> str:
        """What a node's input calls the file: ``"sub/a.png"``, or ``"a.png [temp]"``."""
        name = f"{self.subfolder}/{self.filename}" if self.subfolder else self.filename
        return name if self.type == "input" else f"{name} [{self.type}]"

    def as_output(self) -> OutputFile:
        """Return the file as a node's output names it, for `Comfy.file`."""
        return {"filename": self.filename, "subfolder": self.subfolder, "type": self.type}


@attrs.frozen
class Upload:
    """A file to be sent. Equal ones need to be sent but once.

    Args:
        source: Its content, or its path.
        filename: Its name for the server.
        subfolder: Where in the folder.
        overwrite: Whether it takes the place of another file of the name.
        type: The folder.
    """

    source: bytes | str = attrs.field(repr=False)
    filename: str
    subfolder: str = ""
    overwrite: bool = False
    type: FolderType = "input"

    @property
    def wanted_place(self) -> UploadedFile:
        """Where the server puts it, unless there is another file of its name."""
        return UploadedFile(self.filename, self.subfolder, self.type)

    def request(self) -> Request:
        """Return the request that sends it."""
        fields = (
            ("type", self.type),
            ("subfolder", self.subfolder),
            ("overwrite", "true" if self.overwrite else "false"),
        )
        # For all kinds of files, whatever its name says.
        return Request(
            "POST",
            "/api/upload/image",
            form=FileForm(fields, "image", self.filename, self.source),
        )

    def read_reply(self, reply: Reply) -> UploadedFile:
        """Return where the server put it.

        Raises:
            FileError: the server does not take a file of this name.
            ResponseError: it answers otherwise.
        """
        if reply.status == 400:
            raise FileError(
                f"the server refuses to store {self.filename!r} (subfolder {self.subfolder!r}, type"
                f" {self.type!r}): the name may lead out of the folder, or be none"
            )
        raise_for_status(reply)
        match require_object(reply, "the name of the uploaded file"):
            case {"name": str() as name, **more} if name:
                subfolder = str(more.get("subfolder") or "").replace("\\", "/")
                return UploadedFile(name, subfolder, str(more.get("type") or self.type))
            case _:
                raise unexpected(reply, "the name of the uploaded file")


def make_upload(
    source: FileSource, filename: str | None = None, *, subfolder: str = "", **more: Any
) -> Upload:
    """Return the upload of a file; its name is that of the path, or follows from the content.

    Args:
        source: A file's content, or the path of one here. A path is not looked at yet.
        filename: Its name for the server.
        subfolder: Where in the folder, with the separators of either system: servers take slashes.
        more: See `Upload`.

    Raises:
        FileError: there is no name, it has folders in it, or it cannot be sent.
    """
    content = bytes(source) if isinstance(source, bytes | bytearray) else os.fspath(source)
    if filename is None:
        filename = os.path.basename(content) if isinstance(content, str) else _name_of(content)
    if not filename or "/" in filename or "\\" in filename or "\0" in filename:
        raise FileError(
            f"a file cannot be uploaded as {filename!r}: give its name alone, as filename=..., and"
            " the folder as subfolder=..."
        )
    upload = Upload(content, filename, subfolder.replace("\\", "/"), **more)
    try:
        upload.wanted_place.reference.encode()
    except UnicodeEncodeError:  # such names has who wrote them in another encoding
        raise FileError(
            f"a file cannot be uploaded as {upload.wanted_place.reference!r}, which is not all"
            " text: give another name, as filename=..."
        ) from None
    return upload


def check_places(uploads: Iterable[Upload]) -> None:
    """Refuse uploads of which one would take the place of another, whichever comes last.

    Raises:
        WorkflowError: it names the file.
    """
    places: dict[tuple[str, str, str], Upload] = {}
    for upload in uploads:
        other = places.setdefault((upload.type, upload.subfolder, upload.filename), upload)
        if other is not upload and (upload.overwrite or other.overwrite):
            raise WorkflowError(
                f"two different files are attached as {upload.filename!r}, and one would overwrite"
                " the other: give them filenames of their own, or do not overwrite"
            )


def _name_of(content: bytes) -> str:
    """Name a picture by its content, so that sending it again adds no second file."""
    suffix = next((suffix for start, suffix in _SUFFIXES if content.startswith(start)), None)
    if is_webp(content):
        suffix = ".webp"
    if suffix is None:
        raise FileError(
            "bytes that are no PNG, JPEG, GIF or WEBP picture have no name; give filename=...,"
            " whose ending tells nodes what it is"
        )
    return hashlib.sha256(content).hexdigest()[:16] + suffix
