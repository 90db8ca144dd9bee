"""What a workflow may be read from: JSON of three formats, and pictures; told apart by content.

The formats are the prompt in API format, the canvas file, and what `Workflow.to_json` writes. This
is the one place where canvas files are met on the way to a `Workflow`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from ._canvas import is_canvas
from ._errors import WorkflowError
from ._logging import logger
from ._picture_metadata import is_picture, read_metadata
from ._prompt import canvas_error, require_prompt
from ._util import as_object, from_mapping, is_list, is_object, load_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._util import JSONObject

FORMAT = "comfy_trio"
"""The key by which `Workflow.to_json`'s own format is known; its value is the format's version."""
FORMAT_VERSION = 1


@attrs.frozen
class WorkflowSource:
    """What was read, before a server's definitions are asked for.

    Args:
        name: What to call it in messages.
        prompt: The prompt in API format; None if there is only a canvas.
        canvas: The canvas file, if there is one.
        outputs: The outputs to collect: node id by alias.
        bypassed: The nodes that are bypassed.
    """

    name: str
    prompt: JSONObject | None
    canvas: JSONObject | None = None
    outputs: Mapping[str, str] = attrs.field(factory=dict[str, str])
    bypassed: tuple[str, ...] = ()

    @property
    def needs_definitions(self) -> bool:
        """Whether the prompt that a server runs follows only with what it declares."""
        return self.prompt is None or bool(self.bypassed)

    def to_prompt(self, object_info: Mapping[str, Any] | None) -> JSONObject:
        """Return the prompt, made from the canvas if there is no other.

        What a canvas has that a prompt cannot say is logged.

        Args:
            object_info: What the server declares of its nodes; used for a canvas alone.

        Raises:
            WorkflowError: there is only a canvas, and it has nothing to run; or no `object_info`.
        """
        if self.prompt is not None:
            return self.prompt
        if self.canvas is None or object_info is None:
            raise canvas_error(self.name)
        # Programs that read no canvas are spared the time that this takes to import.
        from ._canvas_prompt import convert_canvas

        converted = convert_canvas(self.canvas, object_info, source=self.name)
        for warning in converted.warnings:
            logger.warning("%s: %s", self.name, warning)
        return converted.prompt


def read_json(content: object, name: str) -> WorkflowSource:
    """Read a workflow from JSON, as text or parsed.

    Raises:
        WorkflowError: it is no JSON, or no workflow.
    """
    value = from_mapping(content)
    if isinstance(content, str | bytes | bytearray):
        value = _parse(content, name)
    if is_object(value) and is_canvas(value):
        return WorkflowSource(name, None, value)
    if is_object(value) and FORMAT in value and "class_type" not in as_object(value[FORMAT]):
        return _read_own_format(value, name)
    return WorkflowSource(name, require_prompt(value, source=name))


def read_content(content: bytes, name: str) -> WorkflowSource:
    """Read a workflow from a file's content: JSON, or a picture that a server saved.

    Raises:
        WorkflowError: it is neither, or there is no workflow in it.
    """
    if not is_picture(content):
        return read_json(content, name)
    metadata = read_metadata(content, source=name)
    if metadata.prompt is None and metadata.workflow is None:
        raise WorkflowError(
            f"{name} is a picture without a workflow. It was not saved by ComfyUI, or by one that"
            " runs with --disable-metadata, or what ComfyUI wrote into it was lost since, as it is"
            " where messengers, websites and editors rewrite pictures. The original file is needed"
        )
    if metadata.prompt is None:
        return WorkflowSource(name, None, metadata.workflow)
    prompt = require_prompt(metadata.prompt, source=f"the prompt in {name}")
    # The server keeps there, too, what told it whether to run a node anew.
    nodes = {
        node_id: {key: value for key, value in node.items() if key != "is_changed"}
        for node_id, node in prompt.items()
    }
    return WorkflowSource(name, nodes, metadata.workflow)


def _parse(text: str | bytes | bytearray, name: str) -> Any:
    try:
        return load_json(text)
    except UnicodeDecodeError:
        raise WorkflowError(
            f"{name} is not text, so it is no JSON file; pictures are read if they are PNG, WEBP or"
            " JPEG"
        ) from None
    except (ValueError, RecursionError) as error:
        raise WorkflowError(f"{name} is not JSON: {error}") from None


def _read_own_format(value: JSONObject, name: str) -> WorkflowSource:
    if value[FORMAT] != FORMAT_VERSION:
        raise WorkflowError(
            f"{name} was written by another version of comfy_trio (format {value[FORMAT]!r}; this"
            f" one reads {FORMAT_VERSION})"
        )
    outputs, bypassed = value.get("outputs", {}), value.get("bypassed", [])
    if not (
        is_object(outputs)
        and is_list(bypassed)
        and all(isinstance(each, str) for each in [*outputs.values(), *bypassed])
    ):
        raise WorkflowError(
            f"{name} is damaged: its 'outputs' are no names of nodes, or its 'bypassed' no list"
        )
    prompt = require_prompt(value.get("prompt"), source=f"the prompt in {name}")
    return WorkflowSource(name, prompt, None, outputs, tuple(bypassed))
