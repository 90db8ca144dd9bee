"""Bodies of HTTP replies that come compressed, piece by piece, whatever they swell to."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE: Final = 2**20
"""How much is decompressed at a time, in bytes."""

_WINDOW_BITS: Final = {
    "gzip": zlib.MAX_WBITS | 16,
    "x-gzip": zlib.MAX_WBITS | 16,
    "deflate": zlib.MAX_WBITS,
}


class Decoder:
    """Undoes a ``Content-Encoding`` (RFC 9110, section 8.4). The client asks for none.

    Args:
        encoding: As the header says; empty for none.

    Raises:
        ValueError: no such encoding is known.
    """

    def __init__(self, encoding: str) -> None:
        name = encoding.strip().lower()
        self._inflater: zlib._Decompress | None = None
        if name not in {"", "identity"}:
            if name not in _WINDOW_BITS:
                raise ValueError("that encoding was not asked for, and is not known here")
            self._inflater = zlib.decompressobj(_WINDOW_BITS[name])

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what there is by a piece of the body.

        Raises:
            ValueError: it is not so encoded.
        """
        if self._inflater is None:
            yield data
            return
        try:
            while data and not self._inflater.eof:
                yield self._inflater.decompress(data, PIECE)
                data = self._inflater.unconsumed_tail
        except zlib.error as error:
            raise ValueError(str(error)) from None

    def finish(self) -> None:
        """Tell that there is no more.

        Raises:
            ValueError: there should be.
        """
        if self._inflater is not None and not self._inflater.eof:
            raise ValueError("its end is missing")
