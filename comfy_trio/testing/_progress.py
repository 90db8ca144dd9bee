"""How far the nodes of the running prompt are, and what of it is sent to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import attrs

from ._frames import (
    ImageFormat,
    encode_picture,
    metadata_preview_frame,
    preview_frame,
    text_frame,
)

if TYPE_CHECKING:
    from PIL import Image

    from comfy_trio._util import JSON, JSONObject


class Publisher(Protocol):
    """Where frames go: to one client, or to all that are connected. Never blocks."""

    def publish(self, event: str, data: JSON, sid: str | None) -> None:
        """Send a JSON frame to the client `sid`; to everybody if it is None."""
        ...

    def publish_bytes(self, frame: bytes, sid: str | None) -> None:
        """Send a binary frame to the client `sid`; to everybody if it is None."""
        ...

    def has_flag(self, sid: str | None, flag: str) -> bool:
        """Whether the client has told that it supports `flag`."""
        ...


@attrs.define
class _NodeProgress:
    value: float
    maximum: float
    state: str = "pending"


class Progress:
    """The progress of one prompt.

    Args:
        publisher: Where the frames go.
        prompt_id: The prompt.
        client_id: Who gets them; None for everybody.
        previews: Whether pictures are sent.
    """

    def __init__(
        self, publisher: Publisher, prompt_id: str, client_id: str | None, *, previews: bool
    ) -> None:
        self._publisher = publisher
        self._prompt_id = prompt_id
        self._client_id = client_id
        self._previews = previews
        self._nodes: dict[str, _NodeProgress] = {}

    def start(self, node_id: str) -> None:
        """A node begins."""
        self._nodes[node_id] = _NodeProgress(0.0, 1.0, "running")
        self._send_state()

    def update(
        self,
        node_id: str,
        value: float,
        maximum: float,
        picture: Image.Image | None,
        image_format: ImageFormat = ImageFormat.JPEG,
    ) -> None:
        """A node has come some way; the picture is a small preview, or as PNG the whole of it."""
        self._nodes[node_id] = _NodeProgress(value, maximum, "running")
        self._send_state()
        # The two kinds of frames stand on either side of the bare progress.
        if self._knows_metadata() and picture is not None:
            self._send_picture(node_id, picture, image_format)
        report: JSONObject = {
            "value": value,
            "max": maximum,
            "prompt_id": self._prompt_id,
            "node": node_id,
        }
        self._publisher.publish("progress", report, self._client_id)
        if not self._knows_metadata() and picture is not None:
            self._send_picture(node_id, picture, image_format)

    def finish(self, node_id: str) -> None:
        """A node is done, or its output was at hand."""
        entry = self._nodes.setdefault(node_id, _NodeProgress(0, 1))
        entry.state = "finished"
        entry.value = entry.maximum
        self._send_state()

    def text(self, node_id: str, text: str) -> None:
        """Show a line of text at a node; everybody gets it, as from the real server."""
        self._publisher.publish_bytes(text_frame(node_id, text), None)

    def _knows_metadata(self) -> bool:
        return self._publisher.has_flag(self._client_id, "supports_preview_metadata")

    def _send_picture(self, node_id: str, image: Image.Image, image_format: ImageFormat) -> None:
        if not self._previews and image_format is ImageFormat.JPEG:
            return
        picture = encode_picture(image, image_format)
        if self._knows_metadata():
            metadata = {
                "node_id": node_id,
                "prompt_id": self._prompt_id,
                "display_node_id": node_id,
                "parent_node_id": None,
                "real_node_id": node_id,
            }
            frame = metadata_preview_frame(picture, image_format, metadata)
        else:
            frame = preview_frame(picture, image_format)
        self._publisher.publish_bytes(frame, self._client_id)

    def _send_state(self) -> None:
        nodes: dict[str, Any] = {
            node_id: {
                "value": entry.value,
                "max": entry.maximum,
                "state": entry.state,
                "node_id": node_id,
                "prompt_id": self._prompt_id,
                "display_node_id": node_id,
                "parent_node_id": None,
                "real_node_id": node_id,
            }
            for node_id, entry in self._nodes.items()
        }
        state = {"prompt_id": self._prompt_id, "nodes": nodes}
        self._publisher.publish("progress_state", state, self._client_id)
