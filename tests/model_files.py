"""Files of models that hold nothing but a header, and pictures to put beside them."""

from __future__ import annotations

import io
import json
import struct
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Mapping


def safetensors(metadata: Mapping[str, str] | None) -> bytes:
    """A safetensors file of one number, with metadata or without."""
    tensors = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    text = json.dumps({**header, **tensors}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(4)


def picture(color: str, file_format: str = "PNG") -> bytes:
    """A small picture of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(stream, file_format)
    return stream.getvalue()
