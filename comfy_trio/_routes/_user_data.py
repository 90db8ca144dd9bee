"""``/userdata``: the files that a server keeps for each user, such as saved workflows.

In a route, a file's path is one segment, its slashes percent-encoded. Servers decode it once more
if a ``%`` is left in it, and match no braces there; see `encode_path`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from .._errors import AlreadyExistsError, FileError
from .._replies import (
    Request,
    delete,
    get,
    quote_segment,
    raise_for_status,
    require_list,
    require_object,
    require_route,
    unexpected,
)
from .._util import is_object

if TYPE_CHECKING:
    from .._replies import Reply
    from .._util import JSONObject

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NO_DIRECTORY: Final = frozenset({b"Directory not found", b"Requested path not found"})
"""The bodies of ComfyUI's 404 for a directory; that of a server without the route is another."""
ROUTE: Final = "user data (/userdata)"
ROUTE_V2: Final = "the tree of user data (/v2/userdata, ComfyUI 0.3.31 and newer)"


@attrs.frozen
class UserDataEntry:
    """A file, or a directory, of a user's data at the server.

    Args:
        path: Its path from the top of the user's data, with slashes: ``workflows/a.json``.
        is_directory: Whether it is a directory.
        size: In bytes; None if the server does not tell.
        modified: When it was last written, in UTC; None if the server does not tell.
        created: When it was made, in UTC; of a server on Linux, when it or its name last changed.
            None if the server does not tell.
        raw: What the server says of it.
    """

    path: str
    is_directory: bool = False
    size: int | None = None
    modified: datetime | None = None
    created: datetime | None = None
    raw: JSONObject = attrs.field(factory=dict[str, Any], repr=False)


def check_path(path: str) -> str:
    """Return a file's path as it was given, if it is one that stays in the user's directory.

    A server would refuse most others, and take some for another file than the one named.

    Raises:
        FileError: it leaves the directory, or no file can have it.
    """
    if path.startswith("/") or ".." in re.split(r"[/\\]", path):  # of Windows, too
        raise FileError(
            f"{path!r} would leave the user's directory at the server. Nothing was sent"
        )
    if not {"", "."}.isdisjoint(path.split("/")) or "\0" in path or not _is_text(path):
        raise FileError(
            f"{path!r} is no path of a file in the user's data at the server. Write it as from the"
            " top of these, like 'workflows/a.json'. Nothing was sent"
        )
    return path


def check_directory(directory: str) -> str:
    """Return a directory's path without a slash at its end, if `check_path` lets it pass.

    Raises:
        FileError: it leaves the user's directory, or no directory can have it.
    """
    return directory and check_path(directory.removesuffix("/"))


def _is_text(path: str) -> bool:
    """Tell whether this can be sent at all: halves of surrogate pairs have no UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _encode_once_more(path: str) -> str:
    """Encode a path so that what servers decode once more, if a ``%`` is in it, comes out right."""
    return quote(path, safe="") if re.search("[%{}]", path) else path


def encode_path(path: str) -> str:
    """Encode a file's path for a route, such that every server takes it for this file.

    Raises:
        FileError: see `check_path`.
    """
    return quote_segment(_encode_once_more(check_path(path)))


def list_request(directory: str, *, recursive: bool, full_info: bool) -> Request:
    """Return the request for the files in a directory; the top is called ``.`` there.

    Raises:
        FileError: see `check_directory`.
    """
    options = {"recurse": recursive, "full_info": full_info}
    return get(
        "/userdata",
        dir=_encode_once_more(check_directory(directory)) or ".",
        **{name: "true" for name, wanted in options.items() if wanted},
    )


def tree_request(directory: str) -> Request:
    """Return the request for all below a directory, which servers decode once more than others.

    Raises:
        FileError: see `check_directory`.
    """
    path = _encode_once_more(_encode_once_more(check_directory(directory)))
    return get("/v2/userdata", path=path)


def file_request(path: str) -> Request:
    """Return the request for a file's content.

    Raises:
        FileError: see `check_path`.
    """
    return get(f"/userdata/{encode_path(path)}")


def delete_request(path: str) -> Request:
    """Return the request that deletes a file.

    Raises:
        FileError: see `check_path`.
    """
    return delete(f"/userdata/{encode_path(path)}")


def write_request(path: str, content: bytes | str, *, overwrite: bool) -> Request:
    """Return the request that writes a file.

    Raises:
        FileError: see `check_path`.
    """
    body = content.encode() if isinstance(content, str) else content
    return _writing(f"/api/userdata/{encode_path(path)}", overwrite, body)


def move_request(path: str, destination: str, *, overwrite: bool) -> Request:
    """Return the request that moves a file.

    Raises:
        FileError: see `check_path`.
    """
    route = f"/api/userdata/{encode_path(path)}/move/{encode_path(destination)}"
    return _writing(route, overwrite, None)


def _writing(route: str, overwrite: bool, content: bytes | None) -> Request:
    params = (("overwrite", "true" if overwrite else "false"), ("full_info", "true"))
    return Request("POST", route, params, content=content)


def read_names(reply: Reply, directory: str) -> tuple[str, ...]:
    """Read the reply to GET /userdata without ``full_info``: paths from the top.

    Raises:
        UnsupportedError, ResponseError: it is something else.
    """
    names = _require_listing(reply, "the names of user data", ROUTE)
    if not all(isinstance(name, str) for name in names):
        raise unexpected(reply, "the names of user data")
    return tuple(_from_top(directory, name) for name in names)


def read_files(reply: Reply, directory: str) -> tuple[UserDataEntry, ...]:
    """Read the reply to GET /userdata with ``full_info``.

    Raises:
        UnsupportedError, ResponseError: it is something else.
    """
    entries = _read_entries(reply, ROUTE)
    return tuple(attrs.evolve(each, path=_from_top(directory, each.path)) for each in entries)


def read_tree(reply: Reply) -> tuple[UserDataEntry, ...]:
    """Read the reply to GET /v2/userdata, whose paths are from the top.

    Raises:
        UnsupportedError, ResponseError: it is something else.
    """
    return tuple(_read_entries(reply, ROUTE_V2))


def _read_entries(reply: Reply, feature: str) -> list[UserDataEntry]:
    items = _require_listing(reply, "the files of a user", feature)
    return [_read_entry(reply, item, "the files of a user") for item in items]


def _require_listing(reply: Reply, expected: str, feature: str) -> list[Any]:
    """Return the list that a reply is; empty if there is no such directory."""
    if reply.status == 404 and reply.content.strip() in NO_DIRECTORY:
        return []
    require_route(reply, feature)
    return require_list(reply, expected)


def _from_top(directory: str, path: str) -> str:
    return f"{directory.removesuffix('/')}/{path}" if directory else path


def _read_entry(reply: Reply, item: object, expected: str) -> UserDataEntry:
    if not is_object(item) or not isinstance(item.get("path"), str):
        raise unexpected(reply, expected)
    size = item.get("size")
    return UserDataEntry(
        item["path"],
        is_directory=item.get("type") == "directory",
        size=size if isinstance(size, int) else None,
        modified=read_time(item.get("modified")),
        created=read_time(item.get("created")),
        raw=item,
    )


def read_time(value: object) -> datetime | None:
    """Read a time of a file: whole milliseconds, or seconds as a float; None for what is neither.

    ComfyUI tells milliseconds since 0.21, seconds before and in ``/v2/userdata``.
    """
    try:
        match value:
            case bool():
                return None
            case int():
                return EPOCH + timedelta(milliseconds=value)
            case float():
                return EPOCH + timedelta(seconds=value)
            case _:
                return None
    except (OverflowError, ValueError):  # no time that a file has; not a number
        return None


def read_content(reply: Reply, path: str) -> bytes:
    """Read the reply to GET /userdata/{file}.

    Raises:
        FileError: the server does not have the file.
        ResponseError: it is something else.
    """
    _raise_if_no_file(reply, path)
    raise_for_status(reply)
    return reply.content


def read_written(reply: Reply, path: str) -> UserDataEntry:
    """Read the reply to POST /userdata/{file}.

    Raises:
        AlreadyExistsError: there is such a file, which was not to be overwritten.
        FileError: the server cannot store a file under the path.
        ResponseError: it is something else.
    """
    require_route(reply, ROUTE)
    if reply.status == 400:
        raise FileError(
            f"the server cannot write {path!r}: its file system does not take the name, or has a"
            " directory there, or is full"
        )
    return _read_stored(reply, path)


def read_moved(reply: Reply, path: str, destination: str) -> UserDataEntry:
    """Read the reply to POST /userdata/{file}/move/{dest}.

    Raises:
        AlreadyExistsError: there is a file at the destination, which was not to be overwritten.
        FileError: the server does not have the file.
        ResponseError: it is something else.
    """
    _raise_if_no_file(reply, path)
    return _read_stored(reply, destination)


def _read_stored(reply: Reply, path: str) -> UserDataEntry:
    if reply.status == 409:
        raise AlreadyExistsError(
            f"the server has {path!r} already, which stays as it is unless overwrite=True is"
            " passed",
            reply.summary(),
        )
    _raise_if_refused(reply, path)
    return _read_entry(reply, require_object(reply, "the file's path"), "the file's path")


def read_deleted(reply: Reply, path: str) -> None:
    """Read the reply to DELETE /userdata/{file}.

    Raises:
        FileError: the server does not have the file.
        ResponseError: it is something else.
    """
    _raise_if_no_file(reply, path)
    raise_for_status(reply)


def _raise_if_no_file(reply: Reply, path: str) -> None:
    if reply.status == 404:
        raise FileError(f"the server has no {path!r} among the user's data")
    if reply.status == 405:
        require_route(reply, ROUTE)
    _raise_if_refused(reply, path)


def _raise_if_refused(reply: Reply, path: str) -> None:
    """Raise for ComfyUI's own 403, whose body is empty; a proxy's means something else."""
    if reply.status == 403 and not reply.content:
        raise FileError(f"the server gives no access to {path!r}: it is a directory, or no file")
