"""Uploads as values: a file to be sent, and where the server put it."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, final

import attrs

from ._errors import FileError, ResponseError, WorkflowError
from ._picture_metadata import is_webp
from ._replies import FileForm, Request, raise_for_status, require_object, unexpected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._replies import FileSource, Progress, Reply, UploadSource
    from ._wire_types import OutputFile

FolderType: TypeAlias = Literal["input", "output", "temp"]
"""One of a server's folders."""

FOLDERS: Final = ("input", "output", "temp")

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
        source: What its content is read from; see `comfy_trio._content`.
        filename: Its name for the server.
        subfolder: Where in the folder.
        overwrite: Whether it takes the place of another file of the name.
        type: The folder.
        original: The picture that gets its transparency, if it is a mask.
    """

    source: UploadSource = attrs.field(repr=False)
    filename: str
    subfolder: str = ""
    overwrite: bool = False
    type: FolderType = "input"
    original: UploadedFile | None = None

    @property
    def wanted_place(self) -> UploadedFile:
        """Where the server puts it, unless there is another file of its name."""
        return UploadedFile(self.filename, self.subfolder, self.type)

    def request(self, progress: Progress | None = None) -> Request:
        """Return the request that sends it."""
        fields: tuple[tuple[str, str], ...] = (
            ("type", self.type),
            ("subfolder", self.subfolder),
            ("overwrite", "true" if self.overwrite else "false"),
        )
        route = "/api/upload/image"  # for all kinds of files, whatever its name says
        if self.original is not None:
            route = "/api/upload/mask"
            fields = (*fields, ("original_ref", json.dumps(self.original.as_output())))
        form = FileForm(fields, "image", self.filename, self.source, progress)
        return Request("POST", route, form=form)

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
        if reply.status == 500 and self.original is not None:
            raise ResponseError(
                f"the server could not give {self.original.reference!r} the transparency of"
                f" {self.filename!r}: one of them may be no picture, or their sizes may differ"
                f" ({reply.request.method} {reply.url} was answered with HTTP status 500)",
                reply.summary(),
            )
        raise_for_status(reply)
        match require_object(reply, "the name of the uploaded file"):
            case {"name": str() as name, **more} if name:
                subfolder = str(more.get("subfolder") or "").replace("\\", "/")
                return UploadedFile(name, subfolder, str(more.get("type") or self.type))
            case _:
                raise unexpected(reply, "the name of the uploaded file")


def make_upload(
    source: UploadSource, filename: str | None = None, *, subfolder: str = "", **more: Any
) -> Upload:
    """Return the upload of a file; its name is that of the path, or follows from the content.

    Args:
        source: What its content is read from. A path is not looked at yet.
        filename: Its name for the server.
        subfolder: Where in the folder, with the separators of either system: servers take slashes.
        more: See `Upload`.

    Raises:
        FileError: there is no name, it has folders in it, or it cannot be sent; or there is no such
            folder.
    """
    content = plain_source(source)
    if filename is None:
        filename = _name_of(content)
    if not filename or "/" in filename or "\\" in filename or "\0" in filename:
        raise FileError(
            f"a file cannot be uploaded as {filename!r}: give its name alone, as filename=..., and"
            " the folder as subfolder=..."
        )
    upload = Upload(content, filename, subfolder.replace("\\", "/"), **more)
    if upload.type not in FOLDERS:
        raise FileError(f"there is no folder {upload.type!r}: the type is {', '.join(FOLDERS)}")
    try:
        upload.wanted_place.reference.encode()
    except UnicodeEncodeError:  # such names has who wrote them in another encoding
        raise FileError(
            f"a file cannot be uploaded as {upload.wanted_place.reference!r}, which is not all"
            " text: give another name, as filename=..."
        ) from None
    return upload


def plain_source(source: UploadSource) -> UploadSource:
    """Return a file's content as bytes and its path as a string; other sources as they are."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return source


def make_attachment(source: FileSource, filename: str | None = None, **more: Any) -> Upload:
    """Return an upload as `make_upload` does, of what can be read as often as a workflow is run.

    Raises:
        FileError: see `make_upload`; or the source can be read but once.
    """
    if not isinstance(plain_source(source), bytes | str):
        raise FileError(
            f"a {type(source).__name__} cannot be attached, since a workflow may be run again: give"
            " the file's path or content, or upload it by Comfy.file and set the input to"
            " uploaded.reference"
        )
    return make_upload(source, filename, **more)


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


def _name_of(source: UploadSource) -> str:
    """Return the name of a file; of a picture's content, so that sending it again adds no second.

    Raises:
        FileError: nothing gives it one.
    """
    if isinstance(source, bytes):
        return _name_of_content(source)
    path = source if isinstance(source, str) else getattr(source, "name", None)
    if isinstance(path, str):
        return os.path.basename(path)
    raise FileError(
        f"a {type(source).__name__} has no name; give filename=..., whose ending tells nodes what"
        " it is"
    )


def _name_of_content(content: bytes) -> str:
    suffix = next((suffix for start, suffix in _SUFFIXES if content.startswith(start)), None)
    if is_webp(content):
        suffix = ".webp"
    if suffix is None:
        raise FileError(
            "bytes that are no PNG, JPEG, GIF or WEBP picture have no name; give filename=...,"
            " whose ending tells nodes what it is"
        )
    return hashlib.sha256(content).hexdigest()[:16] + suffix
