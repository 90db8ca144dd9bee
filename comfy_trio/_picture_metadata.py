"""What ComfyUI writes into the pictures it saves: the prompt, and the canvas it was drawn on.

It is read from PNG (the chunks ``tEXt``, ``zTXt`` and ``iTXt``, and the ``comf`` of animations),
and from the Exif data of WEBP and JPEG, whatever the tags that hold it. Pictures come from
anywhere: nothing that a file says of itself is believed, and reading it takes time and memory in
proportion to its size, up to a bound where it is compressed.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import attrs

from ._errors import WorkflowError
from ._util import is_object, load_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ._util import JSONObject

MAX_TEXT = 64 * 2**20
"""How long a compressed text may be, in bytes; the largest real ones take some hundred kB."""

KEYS = ("prompt", "workflow")

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_EXIF = b"Exif\0\0"
_ASCII_TYPES = frozenset({1, 2, 7})
"""The types of Exif values that hold text: BYTE, ASCII and UNDEFINED."""


@attrs.frozen
class PictureMetadata:
    """What a picture tells of its origin.

    Args:
        prompt: The API-format prompt that made it, as the server ran it.
        workflow: The canvas file that a person sees.
    """

    prompt: JSONObject | None = None
    workflow: JSONObject | None = None


def is_picture(data: bytes) -> bool:
    """Tell whether data is a picture that may hold metadata: PNG, WEBP or JPEG."""
    return data.startswith((_PNG, _JPEG)) or is_webp(data)


def read_metadata(data: bytes, *, source: str = "the picture") -> PictureMetadata:
    """Read what ComfyUI wrote into a picture; nothing if it wrote nothing.

    Of a damaged picture, what comes before the damage is read. A text under ComfyUI's names that is
    no JSON object is another program's, and counts for nothing.

    Raises:
        WorkflowError: the metadata is compressed and absurdly long.
    """
    texts: dict[str, bytes] = {}
    wanted = set(KEYS)
    if data.startswith(_PNG):
        found = _png_texts(data, wanted, source)
    else:
        exifs = _webp_exifs(data) if is_webp(data) else _jpeg_exifs(data)
        found = (text for exif in exifs for text in _exif_texts(exif, wanted))
    for key, text in found:
        texts[key] = text
        wanted.discard(key)  # others of this name are not looked at: there may be many, and long
        if not wanted:
            break
    return PictureMetadata(
        **{key: parsed for key, text in texts.items() if (parsed := _parse(text)) is not None}
    )


def _parse(text: bytes) -> JSONObject | None:
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        decoded = text.decode("latin-1")
    try:
        value = load_json(decoded.rstrip("\0"))
    except (ValueError, RecursionError):
        return None
    return value if is_object(value) else None


def _png_texts(data: bytes, wanted: Collection[str], source: str) -> Iterator[tuple[str, bytes]]:
    position = len(_PNG)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        position = start + length + 4  # the checksum: some editors get it wrong
        if kind not in {b"tEXt", b"zTXt", b"iTXt", b"comf"} or start + length > len(data):
            continue
        keyword, _, rest = data[start : start + length].partition(b"\0")
        key = keyword.decode("latin-1")
        if key not in wanted:
            continue
        if kind == b"zTXt":
            rest = _decompress(rest[1:], source)
        elif kind == b"iTXt":
            is_compressed, tail = rest[:1] == b"\1", rest[2:]
            rest = tail.partition(b"\0")[2].partition(b"\0")[2]  # language, translated keyword
            rest = _decompress(rest, source) if is_compressed else rest
        yield key, rest


def _decompress(data: bytes, source: str) -> bytes:
    try:
        text = zlib.decompressobj().decompress(data, MAX_TEXT + 1)
    except zlib.error:
        return b""
    if len(text) > MAX_TEXT:
        raise WorkflowError(
            f"{source} holds compressed metadata of more than {MAX_TEXT // 2**20} MiB, which no"
            " workflow needs; the file may be meant to do harm"
        )
    return text


def is_webp(data: bytes) -> bool:
    """Tell whether data is a WEBP picture."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def _webp_exifs(data: bytes) -> Iterator[bytes]:
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        start = position + 8
        if kind == b"EXIF":
            yield data[start : start + length]
        position = start + length + length % 2


def _jpeg_exifs(data: bytes) -> Iterator[bytes]:
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        _, marker, length = struct.unpack_from(">BBH", data, position)
        if marker == 0xDA or length < 2:  # the picture itself begins, or nonsense
            return
        segment = data[position + 4 : position + 2 + length]
        if marker == 0xE1 and segment.startswith(_EXIF):
            yield segment
        position += 2 + length


def _exif_texts(exif: bytes, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the texts of the first directory that are ``key:...`` of a key that is wanted."""
    tiff = exif.removeprefix(_EXIF)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    if directory + 2 > len(tiff):
        return
    (count,) = struct.unpack_from(f"{order}H", tiff, directory)
    for number in range(count):
        position = directory + 2 + 12 * number
        if position + 12 > len(tiff):
            return
        _, kind, length, offset = struct.unpack_from(f"{order}HHII", tiff, position)
        if kind not in _ASCII_TYPES or length <= 4:  # the shortest key takes more
            continue
        # Only as much as is needed to know it: many entries may name the same long text.
        for key in KEYS:
            prefix = f"{key}:".encode()
            is_text = tiff[offset : offset + len(prefix)].lower() == prefix
            if is_text and key in wanted:
                yield key, tiff[offset + len(prefix) : offset + length]
