"""What flows between the embedded server's nodes, in place of tensors and models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from PIL import Image

LATENT_SCALE = 8
"""Pixels to a side of one latent cell."""


@attrs.frozen
class Images:
    """An ``IMAGE``: a batch of pictures of one size, in mode RGB."""

    frames: tuple[Image.Image, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.frames[0].size


@attrs.frozen
class Masks:
    """A ``MASK``: a batch of pictures in mode L; 255 is 1.0, what the mask selects."""

    frames: tuple[Image.Image, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.frames[0].size


@attrs.frozen
class Latent:
    """A ``LATENT``.

    Args:
        width: In cells, of `LATENT_SCALE` pixels each.
        height: Likewise.
        samples: The pictures of the batch at full size; None where nothing is drawn yet.
        mask: Where alone they are to be painted anew, in mode L at full size; None for all over.
    """

    width: int
    height: int
    samples: tuple[Image.Image | None, ...]
    mask: Image.Image | None = None

    @property
    def pixel_size(self) -> tuple[int, int]:
        """Width and height in pixels of what it decodes to."""
        return self.width * LATENT_SCALE, self.height * LATENT_SCALE


@attrs.frozen
class Conditioning:
    """A ``CONDITIONING``: the words to paint."""

    text: str


@attrs.frozen
class Model:
    """A ``MODEL``, ``CLIP`` or ``VAE``: the name it was loaded by, and what was added to it."""

    name: str
    loras: tuple[tuple[str, float], ...] = ()
