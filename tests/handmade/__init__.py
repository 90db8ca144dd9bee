"""A package of nodes as the generator writes them, but small and by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_trio.graph import lazy_exports, require_format

from ._index import NODES

require_format(1, __name__)

if TYPE_CHECKING:
    from .nodes import CheckpointLoaderSimple as CheckpointLoaderSimple
    from .nodes import EmptyImage as EmptyImage
    from .nodes import ImageInvert as ImageInvert
    from .nodes import ImageStitch as ImageStitch
    from .nodes import KSampler as KSampler
    from .nodes import LoraLoader as LoraLoader
    from .nodes import PreviewImage as PreviewImage
    from .nodes import ResizeImage as ResizeImage
    from .nodes import SaveImage as SaveImage
    from .nodes import StringFormat as StringFormat
else:
    __getattr__, __dir__ = lazy_exports(__name__, NODES)
