"""Files at the server: pictures and whatever else nodes read and write."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, final

import attrs
import trio

from .._download import open_file_stream
from .._errors import FileError
from .._local_names import local_name, local_places
from .._nursery import map_concurrently
from .._part_file import open_part_file
from .._pictures import decode_picture, require_pillow
from .._routes._file import (
    FOLDER_PATHS,
    file_reference,
    names_request,
    read_folder_paths,
    read_names,
    require_content,
    view_request,
)
from .._upload import make_upload
from .._util import NoPublicConstructor

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Callable, Iterable

    from PIL import Image

    from .._download import FileStream
    from .._http import HttpClient
    from .._replies import Progress, UploadSource
    from .._routes._file import Channel, FileReference
    from .._upload import FolderType, Upload, UploadedFile
    from ._user_data import UserDataNamespace


@final
@attrs.define(eq=False, slots=False)
class FileNamespace(metaclass=NoPublicConstructor):
    """`Comfy.file`: download what nodes wrote, upload what they are to read.

    A file at the server is named as a node's output names it, ``{"filename": ..., "subfolder":
    ..., "type": ...}``, or by what an upload returned. Its filename may be ``blake3:`` and a hash
    where the server keeps assets (ComfyUI 0.18 and newer).

    Of a picture, the server sends something made from it on request. `preview` is a smaller
    encoding: ``"webp"``, ``"jpeg"``, or ``"jpeg;80"`` with a quality from 1 to 100. `channel` is
    ``"rgb"`` for the picture without its transparency, ``"a"`` for that alone, both as PNG.
    """

    _http: HttpClient = attrs.field(repr=False)

    @cached_property
    def user_data(self) -> UserDataNamespace:
        """The files that the server keeps for each user, such as saved workflows."""
        from ._user_data import UserDataNamespace

        return UserDataNamespace._create(self._http)

    def url(
        self,
        file: FileReference,
        *,
        preview: str | None = None,
        channel: Channel | None = None,
    ) -> str:
        """Return the URL of a file's content.

        Args:
            file: Which.
            preview: See `FileNamespace`.
            channel: See `FileNamespace`.

        Raises:
            FileError: `file` names none, or there is no such preview or channel.
        """
        request = view_request(file, preview=preview, channel=channel)
        return self._http.address.http_url(request.path, request.params)

    async def exists(self, file: FileReference) -> bool:
        """Tell whether the server has a file, without fetching it.

        A run that is answered from the server's cache may name files that were deleted since.

        Raises:
            FileError: `file` names none.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        reply = await self._http.request(view_request(file, method="HEAD"))
        if reply.status == 404:
            return False
        if not 300 <= reply.status < 400:  # Comfy Cloud says where it is
            require_content(reply, file)
        return True

    @asynccontextmanager
    async def open_stream(
        self,
        file: FileReference,
        *,
        preview: str | None = None,
        channel: Channel | None = None,
        progress: Progress | None = None,
    ) -> AsyncGenerator[FileStream, None]:
        """Open a file's content; in the block, iterating yields it piece by piece.

        When the connection breaks, it asks for the rest, with growing pauses, until five tries in
        a row gave nothing; if the file has changed by then, that is an error. It counts as one
        of the requests that may be under way at once.

        Example::

            async with comfy.file.open_stream(file) as stream:
                async for chunk in stream:
                    ...

        Args:
            file: Which.
            preview: See `FileNamespace`.
            channel: See `FileNamespace`.
            progress: Is called with how many bytes have come, and of how many; None if the server
                does not tell.

        Raises:
            FileError: `file` names none, or the server does not have it.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        request = view_request(file, preview=preview, channel=channel)
        async with open_file_stream(self._http, request, file, progress=progress) as stream:
            yield stream

    async def read(
        self,
        file: FileReference,
        *,
        preview: str | None = None,
        channel: Channel | None = None,
        progress: Progress | None = None,
    ) -> bytes:
        """Return a file's content, whole; see `download` for what is larger than memory.

        Args:
            file: Which.
            preview: See `FileNamespace`.
            channel: See `FileNamespace`.
            progress: See `open_stream`.

        Raises:
            FileError: `file` names none, or the server does not have it.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        chunks: list[bytes] = []

        async def rewind() -> None:
            chunks.clear()

        request = view_request(file, preview=preview, channel=channel)
        async with open_file_stream(self._http, request, file, progress=progress) as stream:
            stream._start_again_after(rewind)
            async for chunk in stream:
                chunks.append(chunk)  # noqa: PERF401  # they may be cleared meanwhile
        return b"".join(chunks)

    async def image(
        self,
        file: FileReference,
        *,
        preview: str | None = None,
        channel: Channel | None = None,
    ) -> Image.Image:
        """Return a picture, decoded in a thread. Needs Pillow (``pip install pillow``).

        Args:
            file: Which.
            preview: See `FileNamespace`.
            channel: See `FileNamespace`.

        Raises:
            ImportError: Pillow is not installed.
            FileError: `file` names none, the server does not have it, or it is no picture.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        await trio.to_thread.run_sync(require_pillow)
        content = await self.read(file, preview=preview, channel=channel)
        name = file_reference(file).reference
        return await trio.to_thread.run_sync(decode_picture, content, name)

    async def download(
        self,
        file: FileReference,
        destination: str | os.PathLike[str],
        *,
        preview: str | None = None,
        channel: Channel | None = None,
        progress: Progress | None = None,
    ) -> trio.Path:
        """Write a file's content to disk, and return where.

        The file appears under its name only when it is whole, in place of one that was there;
        whatever happens, nothing else is left. Memory use does not depend on its size. When the
        connection breaks, it goes on as `open_stream` does, or starts anew if the file has changed.

        Args:
            file: Which.
            destination: A directory if it is one or ends with a slash (it is made if need be), or
                else the path to write. In a directory, the server's file name is used, without
                whatever path is in it.
            preview: See `FileNamespace`.
            channel: See `FileNamespace`.
            progress: See `open_stream`.

        Raises:
            FileError: `file` names none, or the server does not have it.
            OSError: it cannot be written.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        path = trio.Path(destination)
        is_directory = str(destination).endswith(("/", "\\")) or await path.is_dir()
        request = view_request(file, preview=preview, channel=channel)
        async with open_file_stream(self._http, request, file, progress=progress) as stream:
            if is_directory:
                path /= local_name(stream.name)
            async with open_part_file(path) as part:
                stream._start_again_after(part.rewind)
                async for chunk in stream:
                    await part.write(chunk)
        return path

    async def download_all(
        self,
        files: Iterable[FileReference],
        directory: str | os.PathLike[str],
        *,
        keep_subfolders: bool = False,
        max_at_once: int = 4,
        progress: Callable[[int, int], object] | None = None,
    ) -> list[trio.Path]:
        """Write several files into a directory, and return where, in their order.

        Different files get different names, whatever the server calls them: of two that are both
        ``a.png``, the second one listed becomes ``a (1).png``. Files that were in the directory
        before are replaced. The first download that fails ends the others; files that are whole by
        then stay.

        Args:
            files: Which: ``result.files()``, for one.
            directory: Where; it is made if need be.
            keep_subfolders: Whether to put them into folders as the server has them. Nothing is
                ever written outside of the directory.
            max_at_once: How many to fetch at once, at most.
            progress: Is called with how many files are there, and of how many.

        Raises:
            FileError: one of them names no file, the server does not have it, or its name leads out
                of the directory.
            OSError: one cannot be written.
            ResponseError, ServerUnreachableError, DisconnectedError: a request failed.
        """
        files = list(files)
        top = trio.Path(directory)
        await top.mkdir(parents=True, exist_ok=True)
        places = local_places(files, keep_subfolders=keep_subfolders)
        wanted = dict(zip(places, files, strict=True))
        done = 0

        async def fetch(place: tuple[str, ...]) -> trio.Path:
            nonlocal done
            path = top.joinpath(*place)
            # A link in the directory must not lead a server out of it.
            if not (await path.parent.resolve()).is_relative_to(await top.resolve()):
                raise FileError(
                    f"{str(path)!r} is outside of {str(directory)!r}: a link leads there"
                )
            await path.parent.mkdir(parents=True, exist_ok=True)
            if await path.is_dir():
                raise IsADirectoryError(f"there is a directory in the place of {str(path)!r}")
            await self.download(wanted[place], path)
            done += 1
            if progress is not None:
                progress(done, len(wanted))
            return path

        paths = await map_concurrently(fetch, wanted, max_at_once)
        return [paths[place] for place in places]

    async def upload(
        self,
        source: UploadSource,
        *,
        filename: str | None = None,
        subfolder: str = "",
        overwrite: bool = False,
        type: FolderType = "input",  # noqa: A002  # as the server calls it
        progress: Progress | None = None,
    ) -> UploadedFile:
        """Upload a file of any kind that nodes read; return where the server put it.

        Memory use does not depend on its size, unless it is given as bytes. What cannot be read
        is told before anything is sent. If the upload fails, the server has stored nothing of it.

        Args:
            source: The file's content, the path of a file here, a file that is open for reading
                bytes (one of Python's, of trio's, or any other with such a ``read``; it is read
                from where it stands, and left open), or an iterable of bytes, asynchronous or not.
                What blocks is read in threads. An asynchronous generator is closed in the end.
            filename: Its name for the server. Default: that of the path or the open file; of a
                picture's content, one that follows from it.
            subfolder: Where in the folder. Default: its top.
            overwrite: Whether to take the place of another file of this name. Default: the server
                finds another name, as the result tells, unless the content is the same.
            type: The server's folder. Default: ``input``, where nodes look for files.
            progress: Is called with how many bytes of the file have been sent, and of how many;
                None if that is not known before the end.

        Raises:
            FileError: the file has no name, cannot be read, or changes while it is sent; or the
                server does not take it under its name.
            OSError: the file cannot be read.
            RequestTooLargeError: it is larger than the server allows.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        upload = make_upload(source, filename, subfolder=subfolder, overwrite=overwrite, type=type)
        return await self._upload(upload, progress)

    upload_image = upload
    """The same, by the name that the server's route has: pictures are files like others."""

    async def upload_mask(
        self,
        source: UploadSource,
        original: FileReference,
        *,
        filename: str | None = None,
        subfolder: str = "",
        overwrite: bool = False,
        type: FolderType = "input",  # noqa: A002  # as the server calls it
        progress: Progress | None = None,
    ) -> UploadedFile:
        """Give a picture at the server the transparency of one here, as a new picture there.

        That is what the browser's editor of masks does; LoadImage gives the transparency as a mask.
        The new picture is a PNG, with the workflow that is in the original.

        Args:
            source: The picture whose transparency is wanted, of the original's size; see `upload`.
            original: The picture at the server. It stays as it is.
            filename: The name for the new picture; see `upload`.
            subfolder: See `upload`.
            overwrite: See `upload`.
            type: See `upload`.
            progress: See `upload`.

        Raises:
            FileError: see `upload`; or the server does not have the original. ComfyUI itself
                answers then as if all were well.
            OSError: the file cannot be read.
            ResponseError, ServerUnreachableError, DisconnectedError: a request failed; or one of
                the files is no picture, or their sizes differ.
        """
        upload = make_upload(
            source,
            filename,
            subfolder=subfolder,
            overwrite=overwrite,
            type=type,
            original=file_reference(original),
        )
        if not await self.exists(original):
            raise FileError(
                f"the server has no file {file_reference(original).reference!r} to put a mask into"
            )
        uploaded = await self._upload(upload, progress)
        if not await self.exists(uploaded):
            raise FileError(
                f"the server says that it stored {uploaded.reference!r}, but has not: it could not"
                f" put the mask into {file_reference(original).reference!r}"
            )
        return uploaded

    async def names(self, type: FolderType = "output") -> tuple[str, ...]:  # noqa: A002
        """Return the names of the files at the top of one of the server's folders, newest first.

        ComfyUI means this for its own web page, and may change it.

        Args:
            type: The folder.

        Raises:
            FileError: there is no such folder.
            UnsupportedError: the server has no such route.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_names(await self._http.request(names_request(type)), type)

    async def folder_paths(self) -> dict[str, tuple[str, ...]]:
        """Return where the server's models and nodes are on its disks, by their kind.

        ComfyUI means this for its own web page, and may change it.

        Raises:
            UnsupportedError: the server has no such route.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_folder_paths(await self._http.request(FOLDER_PATHS))

    async def _upload(self, upload: Upload, progress: Progress | None = None) -> UploadedFile:
        return upload.read_reply(await self._http.request(upload.request(progress)))

    async def _upload_all(self, uploads: Iterable[Upload]) -> dict[Upload, UploadedFile]:
        """Upload files, as many at once as requests may be. The first that fails ends it."""
        return await map_concurrently(self._upload, uploads)
