"""Frames that the server sends: their bytes, and the pictures in them."""

from __future__ import annotations

import io
import json
import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from PIL import Image

if TYPE_CHECKING:
    from comfy_trio._util import JSON, JSONObject

PREVIEW_SIZE: Final = 512
"""Longest side of a preview, in pixels."""

PREVIEW_QUALITY: Final = 95
"""JPEG quality of previews."""


class BinaryEvent(IntEnum):
    """The first four bytes of a binary frame."""

    PREVIEW_IMAGE = 1
    TEXT = 3
    PREVIEW_IMAGE_WITH_METADATA = 4


class ImageFormat(IntEnum):
    """The second four bytes of a plain preview."""

    JPEG = 1
    PNG = 2


def encode_json(event: str, data: JSON) -> str:
    """The text of a JSON frame, with the ``NaN`` and ``Infinity`` tokens that the real one sends.

    Raises:
        TypeError: `data` is no JSON.
    """
    return json.dumps({"type": event, "data": data})


def encode_picture(image: Image.Image, image_format: ImageFormat) -> bytes:
    """A picture as a preview carries it: a small JPEG, or the whole of it as PNG."""
    stream = io.BytesIO()
    if image_format is ImageFormat.PNG:
        image.save(stream, "PNG", compress_level=1)
    else:
        small = image.convert("RGB")
        small.thumbnail((PREVIEW_SIZE, PREVIEW_SIZE), Image.Resampling.BILINEAR)
        small.save(stream, "JPEG", quality=PREVIEW_QUALITY)
    return stream.getvalue()


def preview_frame(picture: bytes, image_format: ImageFormat) -> bytes:
    """A preview without metadata."""
    return struct.pack(">II", BinaryEvent.PREVIEW_IMAGE, image_format) + picture


def metadata_preview_frame(
    picture: bytes, image_format: ImageFormat, metadata: JSONObject
) -> bytes:
    """A preview that tells whose it is."""
    mimetype = "image/png" if image_format is ImageFormat.PNG else "image/jpeg"
    head = json.dumps({**metadata, "image_type": mimetype}).encode()
    return struct.pack(">II", BinaryEvent.PREVIEW_IMAGE_WITH_METADATA, len(head)) + head + picture


def text_frame(node_id: str, text: str) -> bytes:
    """A line of text for a node."""
    head = node_id.encode()
    return struct.pack(">II", BinaryEvent.TEXT, len(head)) + head + text.encode()
