"""When the rest of a file may be put behind the part that came: never if the file has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ._util import as_size

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen
class ContentVersion:
    """What tells one content of a file from another.

    Args:
        size: In bytes; None if it is not known before the end.
        validator: The server's name for just this content (its ``ETag``), or else when it was
            last changed; empty if the server tells neither.
    """

    size: int | None
    validator: str

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> ContentVersion:
        """Read a reply's headers, whose names may be in any case."""
        validator = headers.get("etag", "")
        if not validator or validator.startswith("W/"):  # a weak one is for similar contents
            validator = headers.get("last-modified", "")
        encoded = "content-encoding" in headers
        return cls(None if encoded else as_size(headers.get("content-length", "")), validator)

    @property
    def recognizable(self) -> bool:
        """Whether another reply can be told to have the same content."""
        return self.size is not None and bool(self.validator)

    def headers_for_rest(self, start: int) -> tuple[tuple[str, str], ...]:
        """Return the headers that ask for all from an offset on, or for the whole if it changed."""
        return (("Range", f"bytes={start}-"), ("If-Range", self.validator))

    def has_rest(self, start: int, status: int, headers: Mapping[str, str]) -> bool:
        """Tell whether a reply has the rest of this very content.

        aiohttp heeds no ``ETag`` in ``If-Range``: it sends a part of whatever is there, so that a
        reply with a part needs as close a look as one with the whole.
        """
        other = ContentVersion.of(headers)
        return (
            status == 206
            and self.size is not None
            and headers.get("content-range") == f"bytes {start}-{self.size - 1}/{self.size}"
            and other.size in {None, self.size - start}
            and other.validator == self.validator
        )
