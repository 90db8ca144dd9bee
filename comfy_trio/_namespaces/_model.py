"""The files of models that a server has."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import attrs

from .._replies import require_route
from .._routes._model import (
    FOLDER_NAMES,
    FOLDERS,
    file_names_request,
    files_request,
    metadata_request,
    preview_request,
    read_files,
    read_folders,
    read_metadata,
    read_preview,
    unknown_folder,
)
from .._util import NoPublicConstructor

if TYPE_CHECKING:
    from .._http import HttpClient
    from .._routes._model import ModelFile, ModelFolder, ModelPreview
    from .._util import JSONObject


@final
@attrs.define(eq=False, slots=False)
class ModelNamespace(metaclass=NoPublicConstructor):
    """`Comfy.model`: the files of models at the server, and what is known of them."""

    _http: HttpClient = attrs.field(repr=False)

    async def folders(self) -> tuple[ModelFolder, ...]:
        """Return the folders that the server has for models, in its order.

        Servers that lack ``/experiment/models`` tell their names only.

        Raises:
            UnsupportedError: the server has no route for this at all.
            ResponseError, ServerUnreachableError, DisconnectedError: a request failed.
        """
        reply = await self._http.request(FOLDERS)
        if reply.status == 404:
            reply = await self._http.request(FOLDER_NAMES)
            require_route(reply, "lists of models")
        return read_folders(reply)

    async def files(self, folder: str) -> tuple[ModelFile, ...]:
        """Return the files in a folder and its subfolders, in the server's order.

        Servers that lack ``/experiment/models`` tell their names only.

        Args:
            folder: Its name: see `folders`.

        Raises:
            NotFoundError: the server has no such folder.
            UnsupportedError: it has no route for this at all.
            ResponseError, ServerUnreachableError, DisconnectedError: a request failed.
        """
        reply = await self._http.request(files_request(folder))
        if reply.status == 404:  # no such folder, or no such route
            reply = await self._http.request(file_names_request(folder))
            if reply.status == 404:
                known = [each.name for each in await self.folders()]
                raise unknown_folder(reply, folder, known)
        return read_files(reply, folder)

    async def preview(self, file: ModelFile) -> ModelPreview | None:
        """Return the picture that shows what a model does; None if there is none.

        It is a picture beside the model's file and of its name, or the cover within a safetensors
        file. If the server does not have the file or its folder, there is none either.

        Args:
            file: As `files` returned it, or ``ModelFile("loras", "style.safetensors")``.

        Raises:
            ResponseError: the request failed, as it does if the server cannot read the file.
            ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_preview(await self._http.request(preview_request(file)))

    def preview_url(self, file: ModelFile) -> str:
        """Return the URL of a model's preview, whether there is one or not."""
        return self._http.address.http_url(preview_request(file).path)

    async def metadata(self, file: ModelFile) -> JSONObject | None:
        """Return the metadata in the header of a safetensors file; None if there is none.

        Values are texts, some of them JSON: whoever trained the model chose them. There is none
        either if the file is of another format, if its header is longer than 1 MiB, or if the
        server does not have it.

        Args:
            file: As `files` returned it, or ``ModelFile("loras", "style.safetensors")``.

        Raises:
            ResponseError: the request failed, as it does if the server cannot read the file.
            ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_metadata(await self._http.request(metadata_request(file)))
