"""What generated nodes are made of, and what programs say about them in annotations.

``python -m comfy_trio codegen`` writes a package of node classes for a server; these are their base
classes and the functions that they call. A program needs `Out` and `OutputNode` to annotate its own
functions::

    def upscale(image: Out[IMAGE]) -> Out[IMAGE]:
        return ImageScaleBy(image=image, scale_by=2.0, upscale_method="lanczos")

Importable without Trio.
"""

from ._graph import Graph as Graph
from ._lazy_package import lazy_exports as lazy_exports
from ._lazy_package import require_format as require_format
from ._node_fields import autogrow as autogrow
from ._node_fields import dynamic as dynamic
from ._node_fields import wire as wire
from ._node_fields import within as within
from ._on_demand import frozen as frozen
from ._out import BOOLEAN as BOOLEAN
from ._out import COMBO as COMBO
from ._out import FLOAT as FLOAT
from ._out import INT as INT
from ._out import JSON as JSON
from ._out import STRING as STRING
from ._out import Options as Options
from ._out import Out as Out
from ._out import Slot as Slot
from ._typed_node import Choice as Choice
from ._typed_node import Node as Node
from ._typed_node import OutputNode as OutputNode
from ._typed_node import UINode as UINode
from ._unknown_node import UnknownNode as UnknownNode
