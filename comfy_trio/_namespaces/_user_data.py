"""The files that the server keeps for each user."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import attrs

from .._routes._user_data import (
    delete_request,
    file_request,
    list_request,
    move_request,
    read_content,
    read_deleted,
    read_files,
    read_moved,
    read_names,
    read_tree,
    read_written,
    tree_request,
    write_request,
)
from .._util import NoPublicConstructor
from ._as_user import request_as_user

if TYPE_CHECKING:
    from .._http import HttpClient
    from .._routes._user_data import UserDataEntry


@final
@attrs.define(eq=False, slots=False)
class UserDataNamespace(metaclass=NoPublicConstructor):
    """`Comfy.file.user_data`: the files that the server keeps for this client's user.

    The web page saves workflows there, which can be listed, read and run::

        for path in await comfy.file.user_data.names("workflows", recursive=True):
            workflow = await comfy.load(await comfy.file.user_data.read(path))

    Paths are from the top of the user's data, with slashes; white space, percent signs, ``#`` and
    whatever else a file's name may have are taken as they are. A path that would leave the user's
    data is refused before anything is sent. Files are in memory whole, here and at the server; one
    over the server's limit on requests (``--max-upload-size``, 100 MiB by default) cannot be
    written.
    """

    _http: HttpClient = attrs.field(repr=False)

    async def names(self, directory: str = "", *, recursive: bool = False) -> tuple[str, ...]:
        """Return the paths of the files in a directory, in no order.

        Nothing is in a directory that does not exist: servers make one for the first file in it
        (and those above it when they are asked for it).
        Files and directories whose names begin with a dot are left out; `tree` has them.

        Args:
            directory: Its path. Default: the top.
            recursive: Whether to go into the directories in it, too.

        Raises:
            FileError: the directory's path would leave the user's data.
            UnknownUserError: the server does not have this client's user.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        request = list_request(directory, recursive=recursive, full_info=False)
        return read_names(await request_as_user(self._http, request), directory)

    async def files(
        self, directory: str = "", *, recursive: bool = False
    ) -> tuple[UserDataEntry, ...]:
        """Return the files in a directory as `names` does, with their sizes and times.

        Raises:
            FileError: the directory's path would leave the user's data.
            UnknownUserError: the server does not have this client's user.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        request = list_request(directory, recursive=recursive, full_info=True)
        return read_files(await request_as_user(self._http, request), directory)

    async def tree(self, directory: str = "") -> tuple[UserDataEntry, ...]:
        """Return all directories and files below a directory, directories first, each by name.

        Those whose names begin with a dot are among them. Nothing is in a directory that does not
        exist. Times of creation are not told.

        Args:
            directory: Its path. Default: the top.

        Raises:
            FileError: the directory's path would leave the user's data.
            UnknownUserError: the server does not have this client's user.
            ResponseError: the path is that of a file, or the request failed.
            ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_tree(await request_as_user(self._http, tree_request(directory)))

    async def read(self, path: str) -> bytes:
        """Return a file's content.

        Raises:
            FileError: the server does not have the file, or the path would leave the user's data.
            UnknownUserError: the server does not have this client's user.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_content(await request_as_user(self._http, file_request(path)), path)

    async def write(
        self, path: str, content: bytes | str, *, overwrite: bool = True
    ) -> UserDataEntry:
        """Write a file, and return it as the server then has it. Its directories are made.

        Args:
            path: Its path.
            content: What to write; text is written in UTF-8.
            overwrite: Whether to take the place of a file of this path.

        Raises:
            AlreadyExistsError: there is such a file, which was not to be overwritten.
            FileError: the server cannot write it, or the path would leave the user's data.
            UnknownUserError: the server does not have this client's user.
            RequestTooLargeError: it is larger than the server takes.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        request = write_request(path, content, overwrite=overwrite)
        return read_written(await request_as_user(self._http, request), path)

    async def move(self, path: str, destination: str, *, overwrite: bool = False) -> UserDataEntry:
        """Move a file, and return it as the server then has it. Its directories are made.

        Args:
            path: Its path. May be that of a directory.
            destination: Its path from then on.
            overwrite: Whether to take the place of a file that is there. If a directory is there,
                the file goes into it.

        Raises:
            AlreadyExistsError: something is there, which was not to be overwritten.
            FileError: the server does not have the file, or a path would leave the user's data.
            UnknownUserError: the server does not have this client's user.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        request = move_request(path, destination, overwrite=overwrite)
        return read_moved(await request_as_user(self._http, request), path, destination)

    async def delete(self, path: str) -> None:
        """Delete a file. Servers do not delete directories.

        Raises:
            FileError: the server does not have the file, or the path would leave the user's data.
            UnknownUserError: the server does not have this client's user.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_deleted(await request_as_user(self._http, delete_request(path)), path)
