"""``/experiment/models``, ``/models``, ``/view_metadata``: the files of models at the server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from .._errors import NotFoundError
from .._replies import (
    get,
    quote_segment,
    raise_for_status,
    require_list,
    require_object,
    unexpected,
)
from .._suggestions import did_you_mean
from .._util import as_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._replies import Reply, Request
    from .._util import JSONObject

FOLDERS: Final = get("/experiment/models")
FOLDER_NAMES: Final = get("/models")


def files_request(folder: str) -> Request:
    """Return the request for the files in a folder."""
    return get(f"/experiment/models/{quote_segment(folder)}")


def file_names_request(folder: str) -> Request:
    """Return the request for their names alone, to servers that lack the other."""
    return get(f"/models/{quote_segment(folder)}")


@attrs.frozen
class ModelFolder:
    """A folder of models.

    Args:
        name: By which the server knows it, such as ``loras``.
        paths: Where it is at the server; there may be several, as if they were one. Empty if the
            server does not tell.
        raw: What the server says of it.
    """

    name: str
    paths: tuple[str, ...] = ()
    raw: JSONObject = attrs.field(factory=dict[str, Any], eq=False, repr=False, kw_only=True)


@attrs.frozen
class ModelFile:
    """A file of a model at the server.

    One that you make yourself does to ask for the model's preview or metadata.

    Args:
        folder: The name of its folder, such as ``loras``.
        name: Its name in the folder, as nodes take it: with the subfolder, if it is in one.
        path_index: Which of the folder's `ModelFolder.paths` it is in.
        size: In bytes; None if the server does not tell.
        modified: When it was last changed, in UTC; None likewise.
        created: When its entry in the directory was last changed, in UTC (on Windows, when it was
            made); None likewise.
        raw: What the server says of it.
    """

    folder: str
    name: str
    path_index: int = 0
    size: int | None = None
    modified: datetime | None = None
    created: datetime | None = None
    raw: JSONObject = attrs.field(factory=dict[str, Any], eq=False, repr=False, kw_only=True)


@attrs.frozen
class ModelPreview:
    """A picture that shows what a model does.

    Args:
        content: The picture.
        content_type: Its format: ``image/webp``, if it comes from ComfyUI itself.
    """

    content: bytes = attrs.field(repr=False)
    content_type: str


def read_folders(reply: Reply) -> tuple[ModelFolder, ...]:
    """Read the reply to `FOLDERS` or `FOLDER_NAMES`.

    Raises:
        ResponseError: it is something else.
    """
    folders: list[ModelFolder] = []
    for entry in require_list(reply, "the folders of models"):
        described = _described(reply, entry, "the folders of models")
        paths = tuple(path for path in as_list(described.get("folders")) if isinstance(path, str))
        folders.append(ModelFolder(described["name"], paths, raw=described))
    return tuple(folders)


def read_files(reply: Reply, folder: str) -> tuple[ModelFile, ...]:
    """Read the reply to `files_request` or `file_names_request`.

    Raises:
        ResponseError: it is something else.
    """
    files: list[ModelFile] = []
    for entry in require_list(reply, "the files of a folder of models"):
        described = _described(reply, entry, "the files of a folder of models")
        path_index = _number(described.get("pathIndex"))
        size = _number(described.get("size"))
        files.append(
            ModelFile(
                folder,
                described["name"],
                path_index=0 if path_index is None else int(path_index),
                size=None if size is None else int(size),
                modified=_time(described.get("modified")),
                created=_time(described.get("created")),
                raw=described,
            )
        )
    return tuple(files)


def _described(reply: Reply, entry: object, expected: str) -> JSONObject:
    """Return what a server says of a folder or a file; some say the name and nothing else."""
    if isinstance(entry, str):
        return {"name": entry}
    if not is_object(entry) or not isinstance(entry.get("name"), str):
        raise unexpected(reply, expected)
    return entry


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 2**63 else None


def _time(value: object) -> datetime | None:
    """Read seconds since 1970."""
    seconds = _number(value)
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def unknown_folder(reply: Reply, folder: str, known: Iterable[str]) -> NotFoundError:
    """Return the error for a folder that a server does not have.

    Args:
        reply: The server's.
        folder: The name.
        known: The names that it has.
    """
    names = list(known)
    suggestion = did_you_mean(folder, names) or f" It has {', '.join(names)}."
    return NotFoundError(
        f"the server has no folder of models {folder!r}.{suggestion}", reply.summary()
    )


def preview_request(file: ModelFile) -> Request:
    """Return the request for a model's preview."""
    name = "/".join(map(quote_segment, file.name.split("/")))
    folder = quote_segment(file.folder)
    return get(f"/experiment/models/preview/{folder}/{file.path_index}/{name}")


def read_preview(reply: Reply) -> ModelPreview | None:
    """Read the reply to `preview_request`; None if there is none.

    Raises:
        ResponseError: it is something else.
    """
    if reply.status == 404:
        return None
    raise_for_status(reply)
    content_type = reply.content_type.partition(";")[0].strip().lower()
    if not reply.content or not content_type.startswith("image/"):
        raise unexpected(reply, "a picture")
    return ModelPreview(reply.content, content_type)


def metadata_request(file: ModelFile) -> Request:
    """Return the request for the metadata in a model's file."""
    return get(f"/view_metadata/{quote_segment(file.folder)}", filename=file.name)


def read_metadata(reply: Reply) -> JSONObject | None:
    """Read the reply to `metadata_request`; None if there is none.

    Raises:
        ResponseError: it is something else.
    """
    if reply.status == 404:
        return None
    return require_object(reply, "the metadata of a model")
