"""Files at the server: pictures and whatever else nodes read and write."""

from __future__ import annotations

import secrets
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

import attrs
import trio

from .._errors import FileError
from .._replies import get, raise_for_status
from .._upload import make_upload
from .._util import NoPublicConstructor, raise_saving_context

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from .._http import HttpClient, ReplyStream
    from .._replies import Reply, Request
    from .._upload import FileSource, FolderType, Upload, UploadedFile
    from ._user_data import UserDataNamespace


def view_request(file: Mapping[str, Any]) -> Request:
    """Return the request for a file's content.

    Raises:
        FileError: `file` names none.
    """
    filename = file.get("filename")
    if not isinstance(filename, str) or not filename:
        raise FileError(f"{dict(file)!r:.200} names no file: it has no 'filename'")
    return get(
        "/view",
        filename=filename,
        subfolder=str(file.get("subfolder", "")),
        type=str(file.get("type", "output")),
    )


def local_name(filename: str) -> str:
    """Return the name under which a server's file is safe to write into a directory.

    Raises:
        FileError: there is none.
    """
    name = filename.replace("\\", "/").rpartition("/")[2]
    if name in {"", ".", ".."} or "\0" in name:
        raise FileError(f"the server names a file {filename!r}, which is no name for one here")
    return name


@final
@attrs.define(eq=False, slots=False)
class FileNamespace(metaclass=NoPublicConstructor):
    """`Comfy.file`: download what nodes wrote, upload what they are to read."""

    _http: HttpClient = attrs.field(repr=False)

    @cached_property
    def user_data(self) -> UserDataNamespace:
        """The files that the server keeps for each user, such as saved workflows."""
        from ._user_data import UserDataNamespace

        return UserDataNamespace._create(self._http)

    def url(self, file: Mapping[str, Any]) -> str:
        """Return the URL of a file's content.

        Raises:
            FileError: `file` names none.
        """
        request = view_request(file)
        return self._http.address.http_url(request.path, request.params)

    async def read(self, file: Mapping[str, Any]) -> bytes:
        """Return a file's content.

        Args:
            file: As a node's output names it: ``{"filename": ..., "subfolder": ..., "type": ...}``.

        Raises:
            FileError: `file` names none, or the server does not have it.
            ResponseError, DisconnectedError: the request failed.
        """
        reply = await self._http.request(view_request(file))
        _require_content(reply, file)
        return reply.content

    async def download(
        self, file: Mapping[str, Any], destination: str | os.PathLike[str]
    ) -> trio.Path:
        """Write a file's content to disk, and return where.

        The file appears under its name only when it is whole, in place of one that was there.
        Memory use does not depend on its size.

        Args:
            file: As a node's output names it: ``{"filename": ..., "subfolder": ..., "type": ...}``.
            destination: A directory if it is one or ends with a slash (it is made if need be), or
                else the path to write. In a directory, the server's file name is used, without
                whatever path is in it.

        Raises:
            FileError: `file` names none, or the server does not have it.
            OSError: it cannot be written.
            ResponseError, DisconnectedError: the request failed.
        """
        request = view_request(file)
        path = trio.Path(destination)
        if str(destination).endswith(("/", "\\")) or await path.is_dir():
            path /= local_name(file["filename"])
        await path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            async with self._http.stream(request) as stream:
                if stream.status >= 300:
                    _require_content(await stream.read(), file)
                await _write(stream, part)
            await part.replace(path)
        finally:
            with trio.move_on_after(1, shield=True):
                await part.unlink(missing_ok=True)
        return path

    async def upload_image(
        self,
        source: FileSource,
        *,
        filename: str | None = None,
        subfolder: str = "",
        overwrite: bool = False,
        type: FolderType = "input",  # noqa: A002  # as the server calls it
    ) -> UploadedFile:
        """Upload a picture, or any other file that nodes read; return where the server put it.

        Memory use does not depend on the size of a file given by its path.

        Args:
            source: The file's content, or the path of a file here.
            filename: Its name for the server. Default: that of the path; of a picture's content,
                one that follows from it.
            subfolder: Where in the folder. Default: its top.
            overwrite: Whether to take the place of another file of this name. Default: the server
                finds another name, as the result tells, unless the content is the same.
            type: The server's folder. Default: ``input``, where nodes look for files.

        Raises:
            FileError: the file has no name, or the server does not take it under this.
            OSError: the file cannot be read.
            ResponseError, DisconnectedError: the request failed.
        """
        upload = make_upload(source, filename, subfolder=subfolder, overwrite=overwrite, type=type)
        return await self._upload(upload)

    async def _upload(self, upload: Upload) -> UploadedFile:
        return upload.read_reply(await self._http.request(upload.request()))

    async def _upload_all(self, uploads: Iterable[Upload]) -> dict[Upload, UploadedFile]:
        """Upload files, as many at once as requests may be. The first that fails ends it."""
        uploaded: dict[Upload, UploadedFile] = {}
        failures: list[Exception] = []

        async def upload_one(upload: Upload) -> None:
            try:
                uploaded[upload] = await self._upload(upload)
            except Exception as error:  # raised again below, in no group
                failures.append(error)
                nursery.cancel_scope.cancel("an upload failed")

        async with trio.open_nursery() as nursery:
            for upload in uploads:
                nursery.start_soon(upload_one, upload)
        if failures:
            raise_saving_context(failures[0])
        return uploaded


async def _write(stream: ReplyStream, part: trio.Path) -> None:
    async with await part.open("wb") as file:
        while chunk := await stream.read_chunk():
            await file.write(chunk)


def _require_content(reply: Reply, file: Mapping[str, Any]) -> None:
    if reply.status != 404:
        raise_for_status(reply)
        return
    raise FileError(
        f"the server has no file {file.get('filename')!r} (subfolder {file.get('subfolder', '')!r},"
        f" type {file.get('type', 'output')!r}). It may have been deleted or, in temp, wiped at a"
        " restart; a run answered from the server's cache names the old files"
    )
