"""Pictures as Pillow has them. Pillow is imported when one is asked for, and need not be there."""

from __future__ import annotations

import io
from importlib import import_module
from typing import TYPE_CHECKING

from ._errors import FileError

if TYPE_CHECKING:
    from PIL import Image


def require_pillow() -> None:
    """Import Pillow.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import_module("PIL.Image")
    except ImportError as error:
        raise ImportError(
            "pictures are decoded by Pillow, which is not installed: pip install pillow"
        ) from error


def decode_picture(content: bytes, name: str) -> Image.Image:
    """Decode a picture wholly.

    Args:
        content: Of a file.
        name: The file's, for messages.

    Raises:
        FileError: it is no picture that Pillow can read.
    """
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(content))
        picture.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FileError(f"{name!r} is no picture that Pillow can read: {error}") from error
    return picture
