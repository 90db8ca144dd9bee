"""The files that a workflow needs at the server, and the inputs that are to name them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from ._errors import WorkflowError
from ._upload import check_places, make_attachment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ._replies import FileSource
    from ._upload import Upload, UploadedFile
    from ._util import JSONObject


class Attachments:
    """What is attached to one workflow: files for inputs, and files for folders."""

    def __init__(self) -> None:
        self._for_inputs: dict[tuple[str, str], Upload] = {}
        self._for_folders: dict[Upload, None] = {}

    def __bool__(self) -> bool:
        return bool(self._for_inputs or self._for_folders)

    def copy(self) -> Attachments:
        """Return attachments that are equal, and change independently."""
        twin = Attachments()
        twin._for_inputs = dict(self._for_inputs)
        twin._for_folders = dict(self._for_folders)
        return twin

    @property
    def inputs(self) -> Collection[tuple[str, str]]:
        """The inputs that have a file, each as a node's id and its name."""
        return self._for_inputs.keys()

    def attach(self, node_id: str, input_name: str, upload: Upload) -> None:
        """Attach a file to an input, in place of another if there is one."""
        self._for_inputs[node_id, input_name] = upload

    def detach(self, node_id: str, input_name: str) -> None:
        """Undo `attach`, if there was any."""
        self._for_inputs.pop((node_id, input_name), None)

    def add(self, uploads: Iterable[Upload]) -> None:
        """Attach files that no input names."""
        self._for_folders.update(dict.fromkeys(uploads))

    def needed_by(self, prompt: JSONObject) -> Collection[Upload]:
        """Return the files that a run of the prompt needs, each once.

        Raises:
            WorkflowError: one would take the place of another.
        """
        needed = [upload for (node_id, _), upload in self._for_inputs.items() if node_id in prompt]
        uploads = dict.fromkeys([*needed, *self._for_folders])
        check_places(uploads)
        return uploads

    def name_in(self, prompt: JSONObject, uploaded: Mapping[Upload, UploadedFile]) -> None:
        """Let the inputs of a prompt name their files.

        Args:
            prompt: Will be changed. Nodes that are not in it need no file.
            uploaded: Where files are at the server. The others have the places that were asked for.
        """
        for (node_id, name), upload in self._for_inputs.items():
            if node_id in prompt:
                place = uploaded.get(upload, upload.wanted_place)
                prompt[node_id]["inputs"][name] = place.reference


def uploads_into(
    subfolder: str,
    files: Mapping[str, FileSource] | Iterable[str | os.PathLike[str]],
    *,
    overwrite: bool,
) -> list[Upload]:
    """Return the uploads of several files into one folder; see `Workflow.attach_folder`.

    Raises:
        FileError: a file has no name.
        WorkflowError: the files are one path.
    """
    if isinstance(files, Mapping):
        named: Iterable[tuple[str | None, Any]] = cast("Mapping[str, FileSource]", files).items()
    elif isinstance(files, str | bytes | os.PathLike):
        raise WorkflowError(
            f"attach_folder({subfolder!r}, ...): files are several paths, not {files!r:.100}. Of a"
            " folder, give what is in it: sorted(Path(folder).iterdir())"
        )
    else:
        named = [(None, path) for path in files]
    return [
        make_attachment(source, filename, subfolder=subfolder, overwrite=overwrite)
        for filename, source in named
    ]
