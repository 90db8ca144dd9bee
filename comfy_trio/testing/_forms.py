"""Forms with files (``multipart/form-data``), whose files go to disk while they come in.

starlette has a parser of its own, which writes what is large in a thread.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import attrs
from python_multipart.multipart import MultipartParser, parse_options_header

from ._http import take_body

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from io import BufferedWriter
    from pathlib import Path

    from starlette.requests import Request

    from ._files import FileStore


@attrs.frozen
class FormFile:
    """A file in a form.

    Args:
        filename: As the client calls it; may be empty.
        content: Where it is for now.
    """

    filename: str
    content: Path


@attrs.frozen
class Form:
    """A form, by the names of its fields; of several with one name it has the last.

    Args:
        fields: Those that are no files.
        files: Those that are.
        texts: All that are no files, in their order.
    """

    fields: dict[str, str] = attrs.field(factory=dict[str, str])
    files: dict[str, FormFile] = attrs.field(factory=dict[str, FormFile])
    texts: list[tuple[str, str]] = attrs.field(factory=list[tuple[str, str]])

    def field(self, name: str, default: str | None = None) -> str:
        """A field that is no file.

        Raises:
            KeyError: There is none, and no `default`.
        """
        return self.fields[name] if default is None else self.fields.get(name, default)


@asynccontextmanager
async def read_form(request: Request, store: FileStore, limit: int) -> AsyncGenerator[Form, None]:
    """Read a form; its files are there for the block, or until they are moved away.

    Args:
        request: Whose body. One that is no form is read as an empty one.
        store: Where the files are put meanwhile, below no folder that anybody asks for.
        limit: Of the body, in bytes.

    Raises:
        PayloadTooLarge: It is longer than `limit`.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    reader = _Reader(store)
    try:
        if kind == b"multipart/form-data":
            parser = MultipartParser(options[b"boundary"], cast("Any", reader.callbacks()))
            await take_body(request, limit, parser.write)
            parser.finalize()
        yield reader.form
    finally:
        reader.close()


class _Reader:
    """Takes the parser's calls."""

    def __init__(self, store: FileStore) -> None:
        self.form = Form()
        self._store = store
        self._header = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._text = bytearray()
        self._file: BufferedWriter | None = None
        self._paths: list[Path] = []

    def callbacks(self) -> dict[str, Any]:
        names = (
            "part_begin",
            "part_data",
            "part_end",
            "header_field",
            "header_value",
            "header_end",
            "headers_finished",
        )
        return {f"on_{name}": getattr(self, name) for name in names}

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        for path in self._paths:
            path.unlink(missing_ok=True)

    def part_begin(self) -> None:
        self._headers = {}
        self._text = bytearray()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def headers_finished(self) -> None:
        _, self._options = parse_options_header(self._headers[b"content-disposition"])
        if b"filename" in self._options:
            path = self._store.incoming()
            self._file = path.open("xb")
            self._paths.append(path)

    def part_data(self, data: bytes, start: int, end: int) -> None:
        piece = memoryview(data)[start:end]
        if self._file is None:
            self._text += piece
        else:
            self._file.write(piece)

    def part_end(self) -> None:
        name = self._options[b"name"].decode()
        if self._file is None:
            self.form.fields[name] = self._text.decode()
            self.form.texts.append((name, self.form.fields[name]))
            return
        self._file.close()
        self._file = None
        filename = self._options[b"filename"].decode()
        self.form.files[name] = FormFile(filename, self._paths[-1])
