"""Files at the server: ``/view``, and what ``/internal`` tells of its folders."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from .._errors import FileError
from .._replies import (
    Request,
    get,
    raise_for_status,
    require_list,
    require_object,
    require_route,
    unexpected,
)
from .._upload import FOLDERS, UploadedFile
from .._util import as_list

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._replies import Reply

FileReference: TypeAlias = "Mapping[str, Any] | UploadedFile"
"""A file at the server: as a node's output names it, or as an upload gave it."""

Channel: TypeAlias = Literal["rgb", "a"]
"""Of a picture: its colours without its transparency, or the transparency alone."""

_PREVIEW: Final = re.compile(r"(webp|jpeg)(;([1-9]\d?|100))?")

FOLDER_PATHS: Final = Request("GET", "/internal/folder_paths")


def file_reference(file: FileReference) -> UploadedFile:
    """Return what names a file at the server, and nothing else that is said of it.

    Raises:
        FileError: `file` names none.
    """
    if isinstance(file, UploadedFile):
        return file
    filename = file.get("filename")
    if not isinstance(filename, str) or not filename:
        raise FileError(f"{dict(file)!r:.200} names no file: it has no 'filename'")
    return UploadedFile(
        filename, str(file.get("subfolder") or ""), str(file.get("type") or "output")
    )


def view_request(
    file: FileReference,
    *,
    preview: str | None = None,
    channel: Channel | None = None,
    method: Literal["GET", "HEAD"] = "GET",
) -> Request:
    """Return the request for a file's content, or for a picture that the server makes of it.

    Args:
        file: The file.
        preview: A smaller encoding: ``"webp"`` or ``"jpeg"``, or ``"jpeg;80"`` with a quality from
            1 to 100.
        channel: Of a picture, as PNG: without its transparency, or that alone.
        method: ``HEAD`` asks whether it is there.

    Raises:
        FileError: `file` names none, or there is no such preview or channel.
    """
    reference = file_reference(file)
    more: dict[str, str] = {}
    if preview is not None:
        if not _PREVIEW.fullmatch(preview):
            raise FileError(
                f"there is no preview {preview!r}: it is 'webp' or 'jpeg', or with a quality from 1"
                " to 100 like 'jpeg;80'"
            )
        more["preview"] = preview
    if channel is not None:
        if channel not in {"rgb", "a"}:
            raise FileError(f"there is no channel {channel!r}: it is 'rgb' or 'a'")
        more["channel"] = channel
    request = get(
        "/view",
        filename=reference.filename,
        subfolder=reference.subfolder,
        type=reference.type,
        **more,
    )
    return attrs.evolve(request, method=method)


def require_content(reply: Reply, file: FileReference) -> None:
    """Raise if a reply to `view_request` is no good.

    Raises:
        FileError: the server does not have the file.
        ResponseError: the status is another one.
    """
    reference = file_reference(file)
    where = f"{reference.filename!r} (subfolder {reference.subfolder!r}, type {reference.type!r})"
    if reply.status == 404:
        raise FileError(
            f"the server has no file {where}. It may have been deleted or, in temp, wiped at a"
            " restart; a run answered from the server's cache names the old files"
        )
    leads_out = reference.subfolder.startswith("/") or ".." in reference.subfolder
    if not reply.content and (reply.status == 400 or (reply.status == 403 and leads_out)):
        raise FileError(
            f"the server takes {where} for no file of its: the type is input, output or temp, the"
            " name has no folders in it, and the subfolder does not lead out"
        )
    raise_for_status(reply)


def is_html(content_type: str) -> bool:
    """Tell whether a reply is a web page, which ComfyUI never calls a file's content."""
    return content_type.partition(";")[0].strip().lower() == "text/html"


def names_request(folder: str) -> Request:
    """Return the request for the names of the files in one of the server's folders.

    Raises:
        FileError: there is no such folder.
    """
    if folder not in FOLDERS:
        raise FileError(f"there is no folder {folder!r}: it is {', '.join(FOLDERS)}")
    return Request("GET", f"/internal/files/{folder}")


def read_names(reply: Reply, folder: str) -> tuple[str, ...]:
    """Read the reply to `names_request`.

    Servers from 0.20 on write ``"a.png [output]"``; what is returned has the name alone.

    Raises:
        UnsupportedError: the server has no such route.
        ResponseError: it is something else.
    """
    require_route(reply, "the list of its files, /internal/files")
    names = require_list(reply, "a list of names")
    if not all(isinstance(name, str) for name in names):
        raise unexpected(reply, "a list of names")
    suffix = f" [{folder}]"
    if all(name.endswith(suffix) for name in names):
        return tuple(name.removesuffix(suffix) for name in names)
    return tuple(names)


def read_folder_paths(reply: Reply) -> dict[str, tuple[str, ...]]:
    """Read the reply to `FOLDER_PATHS`.

    Raises:
        UnsupportedError: the server has no such route.
        ResponseError: it is something else.
    """
    require_route(reply, "the list of its folders, /internal/folder_paths")
    body = require_object(reply, "lists of paths")
    return {
        name: tuple(path for path in as_list(paths) if isinstance(path, str))
        for name, paths in body.items()
    }
