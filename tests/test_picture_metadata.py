"""Reading what ComfyUI writes into pictures, from pictures of all kinds and from no pictures."""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from comfy_trio import WorkflowError
from comfy_trio._picture_metadata import MAX_TEXT, PictureMetadata, is_picture, read_metadata

PROMPT = {"1": {"class_type": "EmptyImage", "inputs": {"text": "Grün ☃"}}}
CANVAS = {"nodes": [{"id": 1}], "links": [], "version": 0.4}
BOTH = PictureMetadata(PROMPT, CANVAS)
TEXTS = {"prompt": json.dumps(PROMPT), "workflow": json.dumps(CANVAS)}
RAW = {"prompt": json.dumps(PROMPT, ensure_ascii=False), "workflow": json.dumps(CANVAS)}

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes, *, checksum: int | None = None) -> bytes:
    crc = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def png(*chunks: bytes) -> bytes:
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND", b"")


def text_chunk(key: str, text: str, kind: str) -> bytes:
    name = key.encode() + b"\0"
    match kind:
        case "tEXt" | "comf":
            return chunk(kind.encode(), name + text.encode())
        case "zTXt":
            return chunk(b"zTXt", name + b"\0" + zlib.compress(text.encode()))
        case "iTXt":
            return chunk(b"iTXt", name + b"\0\0de\0Wort\0" + text.encode())
        case _:
            return chunk(b"iTXt", name + b"\1\0\0\0" + zlib.compress(text.encode()))


def exif(entries: list[tuple[int, str]], order: str = "<", kind: int = 2) -> bytes:
    """A TIFF header and one directory of texts."""
    directory = struct.pack(f"{order}H", len(entries))
    end = 8 + 2 + 12 * len(entries) + 4
    values = b""
    for tag, text in entries:
        value = text.encode() + b"\0"
        directory += struct.pack(f"{order}HHII", tag, kind, len(value), end + len(values))
        values += value
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    return head + directory + bytes(4) + values


def webp(data: bytes) -> bytes:
    body = b"WEBP"
    for kind, content in ((b"VP8 ", b"odd"), (b"EXIF", data)):
        body += kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg(data: bytes) -> bytes:
    segments = [(0xE0, b"JFIF\0"), (0xE1, b"http://ns.adobe.com/"), (0xE1, b"Exif\0\0" + data)]
    body = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
        for marker, content in segments
    )
    return b"\xff\xd8" + body + b"\xff\xda\x00\x04" + b"\xff\xe1"


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt", "iTXt, compressed", "comf"])
@pytest.mark.parametrize("texts", [TEXTS, RAW], ids=["escaped", "raw"])
def test_png(kind: str, texts: dict[str, str]) -> None:
    chunks = [text_chunk(key, text, kind) for key, text in texts.items()]
    assert read_metadata(png(*chunks)) == BOTH
    after_the_picture = [chunk(b"IDAT", bytes(100)), text_chunk("other", "{}", kind), *chunks]
    assert read_metadata(png(*after_the_picture)) == BOTH


def test_latin_1_is_what_png_asks_for() -> None:
    data = png(chunk(b"tEXt", b"prompt\0" + '{"1": "Grün"}'.encode("latin-1")))
    assert read_metadata(data).prompt == {"1": "Grün"}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
@pytest.mark.parametrize("tags", [(0x0110, 0x010F), (0x010F, 0x010E)])
@pytest.mark.parametrize("kind", [2, 7])
def test_webp(order: str, prefix: bytes, tags: tuple[int, int], kind: int) -> None:
    entries = [
        (0x0100, "x"),
        (tags[0], f"prompt:{RAW['prompt']}"),
        (tags[1], f"Workflow:{RAW['workflow']}"),
        (0x0200, "prompts: none"),
    ]
    assert read_metadata(webp(prefix + exif(entries, order, kind))) == BOTH


def test_jpeg() -> None:
    entries = [(0x0110, f"prompt:{TEXTS['prompt']}"), (0x010F, f"workflow:{TEXTS['workflow']}")]
    assert read_metadata(jpeg(exif(entries))) == BOTH


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "JPEG"])
def test_what_pillow_writes(file_format: str) -> None:
    stream = io.BytesIO()
    options: dict[str, Any]
    if file_format == "PNG":
        info = PngImagePlugin.PngInfo()
        for key, text in TEXTS.items():
            info.add_text(key, text)
        options = {"pnginfo": info}
    else:
        made = Image.Exif()
        made[0x0110] = f"prompt:{TEXTS['prompt']}"
        made[0x010F] = f"workflow:{TEXTS['workflow']}"
        options = {"exif": made}
    Image.new("RGB", (8, 8)).save(stream, file_format, **options)
    assert is_picture(stream.getvalue())
    assert read_metadata(stream.getvalue()) == BOTH


def test_numbers_that_are_no_json_become_null() -> None:
    text = '{"1": {"inputs": {"a": NaN, "b": -Infinity, "c": 1e999, "d": 1.5, "e": 2}}}'
    assert read_metadata(png(text_chunk("prompt", text, "tEXt"))).prompt == {
        "1": {"inputs": {"a": None, "b": None, "c": None, "d": 1.5, "e": 2}}
    }


def test_what_other_programs_write_counts_for_nothing() -> None:
    chunks = [
        text_chunk("parameters", "a cat, Steps: 20", "tEXt"),
        text_chunk("prompt", "a cat", "tEXt"),
        text_chunk("workflow", "[" * 100_000, "tEXt"),
    ]
    assert read_metadata(png(*chunks)) == PictureMetadata()
    assert read_metadata(webp(exif([(0x010F, "Canon"), (0x0110, "EOS")]))) == PictureMetadata()


def test_the_first_text_of_a_name_counts() -> None:
    chunks = [text_chunk("prompt", TEXTS["prompt"], "tEXt"), text_chunk("prompt", "{}", "tEXt")]
    assert read_metadata(png(*chunks)) == PictureMetadata(PROMPT)


def test_damage_is_survived() -> None:
    good = text_chunk("prompt", TEXTS["prompt"], "tEXt")
    wrong_checksum = chunk(b"tEXt", b"workflow\0" + TEXTS["workflow"].encode(), checksum=1)
    assert read_metadata(png(good, wrong_checksum)) == BOTH
    cut = png(good, text_chunk("workflow", TEXTS["workflow"], "tEXt"))[:-20]
    assert read_metadata(cut) == PictureMetadata(PROMPT)
    corrupt = chunk(b"zTXt", b"workflow\0\0not zlib at all")
    assert read_metadata(png(corrupt, good)) == PictureMetadata(PROMPT)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = zlib.compress(bytes(65 * 2**20), 1)
    with pytest.raises(
        WorkflowError, match=r"a\.png holds compressed metadata of more than 64 MiB"
    ):
        read_metadata(png(chunk(b"zTXt", b"prompt\0\0" + bomb)), source="a.png")


def test_many_entries_that_name_one_long_text() -> None:
    size, count = 2**20, 60_000
    head = b"II*\0" + struct.pack("<IH", 8, count)
    offset = 8 + 2 + 12 * count
    entries = struct.pack("<HHII", 0x0110, 2, size, offset) * count
    text = b"prompt:" + b"x" * (size - 7)
    assert read_metadata(webp(head + entries + text)) == PictureMetadata()


WHOLE = [
    png(*(text_chunk(key, text, "zTXt") for key, text in TEXTS.items())),
    webp(exif([(0x0110, f"prompt:{TEXTS['prompt']}")])),
    webp(exif([(0x0110, f"prompt:{TEXTS['prompt']}")], ">")),
    jpeg(exif([(0x0110, f"prompt:{TEXTS['prompt']}")])),
]


@given(st.sampled_from(WHOLE), st.data())
def test_any_damage_is_survived(whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 5)) if damaged else 0):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    read_metadata(bytes(damaged))


@pytest.mark.parametrize("data", [b"", b"{}", b"GIF89a", b"RIFF", b"RIFF....WAVE", b"\x89PN"])
def test_what_is_no_picture(data: bytes) -> None:
    assert not is_picture(data)
    assert read_metadata(data) == PictureMetadata()


@pytest.mark.parametrize("kind", ["zTXt", "iTXt, compressed"])
def test_only_the_first_text_of_a_name_is_looked_at(kind: str) -> None:
    bomb = text_chunk("prompt", " " * (MAX_TEXT + 1), kind)
    first = text_chunk("prompt", TEXTS["prompt"], "tEXt")
    assert read_metadata(png(first, bomb)) == PictureMetadata(PROMPT)


def test_many_names_of_one_long_text() -> None:
    """A copy of the text for each would take minutes."""
    text = b"prompt:" + b" " * 20_000_000
    count = 60_000
    entry = struct.pack("<HHII", 0x010F, 2, len(text), 8 + 2 + 12 * count)
    tiff = b"II*\0" + struct.pack("<IH", 8, count) + entry * count + text
    webp = b"RIFF\0\0\0\0WEBPEXIF" + struct.pack("<I", len(tiff)) + tiff
    assert read_metadata(webp) == PictureMetadata()
