"""What a node of the embedded server is: a declaration, as `/object_info` shows it, and code."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from PIL import Image

    from comfy_trio._util import JSONObject

    from ._files import FileStore


RETITLED: Final = (0, 20)
"""The version from which our nodes show the categories and titles of 0.27.

They changed class by class between 0.3.64 and 0.27; when exactly makes no difference to clients.
"""


class InputFiles(Enum):
    """Stands in a declaration where a server lists files of its input folder.

    ``{"image": [InputFiles.IMAGES, {"image_upload": True}]}`` is shown as the list of the names
    at the top of the folder at that moment.
    """

    IMAGES = "images"
    ALL = "all"


@attrs.frozen
class ExecutionBlocked:
    """A value that stops the nodes it reaches, and theirs in turn, but not the rest of the run.

    It stands among the `values` of a `NodeResult`.

    Args:
        message: Told to the client as an ``execution_error`` by the first node it reaches;
            with None nobody hears of it.
    """

    message: str | None = None


@attrs.frozen
class NodeResult:
    """What one run of a node gave.

    Args:
        values: The values of the node's output slots, in order.
        ui: What `/history` and the ``executed`` frame show of it; None for nodes that show nothing.
    """

    values: tuple[object, ...] = ()
    ui: JSONObject | None = None


class NodeRun(Protocol):
    """What a running node may do: report, wait, and use the server's files."""

    node_id: str
    prompt: JSONObject
    extra_pnginfo: JSONObject | None
    files: FileStore

    async def progress(
        self, value: float, maximum: float, preview: Image.Image | None = None
    ) -> None:
        """Report progress, with a preview picture if there is one. Raises when interrupted."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Take time, as real work would. Raises when interrupted."""
        ...

    async def send_image(self, image: Image.Image, value: float, maximum: float) -> None:
        """Report progress with a whole picture, as PNG, rather than a small preview of it.

        That is how SaveImageWebsocket gives its results.
        """
        ...

    async def send_text(self, text: str) -> None:
        """Show a line of text at the node (a binary frame of type 3)."""
        ...


@attrs.frozen(kw_only=True)
class NodeType:
    """One class of nodes.

    Args:
        class_type: The name by which prompts ask for it.
        run: The work. Called as ``await run(node_run, **inputs)`` with the inputs by wire name.
        required, optional, hidden: Input declarations exactly as in `/object_info`:
            ``{"width": ["INT", {"default": 512, "min": 1}]}``; `InputFiles` for lists of files.
        outputs: Type of each output slot.
        output_names: Name of each output slot; the types when empty.
        output_is_list: Which output slots hold lists, over which the nodes below are mapped.
        output_node: Whether a prompt may end here.
        display_name: The title people see; the class type when empty.
        v3: Whether `/object_info` shows it as it shows nodes of the newer declaration API.
        flags: Further keys of `/object_info`, such as ``deprecated``, as they are shown.
        validate: ``VALIDATE_INPUTS``, called as ``validate(files, **inputs)`` with the file store
            and those inputs of `validated` that the prompt has (None for links);
            True, or the reason for refusal.
        validated: Names of the inputs that `validate` takes; the built-in checks skip these.
        fingerprint: ``IS_CHANGED``, called as ``fingerprint(files, **inputs)`` with all inputs of
            the node (None for links): a value that differs when the node must run again although
            its inputs are the same.
        revisions: What later servers declare otherwise: by the first version, the changed fields
            of this class. See `at`.
    """

    class_type: str
    run: Callable[..., Awaitable[NodeResult]]
    required: Mapping[str, list[Any]] = attrs.field(factory=dict[str, "list[Any]"])
    optional: Mapping[str, list[Any]] = attrs.field(factory=dict[str, "list[Any]"])
    hidden: Mapping[str, str] = attrs.field(factory=dict[str, str])
    outputs: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    output_is_list: tuple[bool, ...] = ()
    output_node: bool = False
    display_name: str | None = ""
    description: str = ""
    category: str = ""
    python_module: str = "nodes"
    v3: bool = False
    flags: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    validated: tuple[str, ...] = ()
    validate: Callable[..., bool | str] | None = None
    fingerprint: Callable[..., object] | None = None
    revisions: Mapping[tuple[int, ...], Mapping[str, Any]] = attrs.field(
        factory=dict["tuple[int, ...]", "Mapping[str, Any]"]
    )

    def at(self, version: tuple[int, ...]) -> NodeType:
        """This class as a server of `version` declares it."""
        changes: dict[str, Any] = {}
        for since in sorted(self.revisions):
            if since <= version:
                changes |= self.revisions[since]
        return attrs.evolve(self, **changes, revisions={}) if self.revisions else self
