"""What a server's nodes are: their classes, as it declares them in `/object_info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import attrs

from .._replies import get, quote_segment, require_object
from .._util import NoPublicConstructor, as_list, as_object

if TYPE_CHECKING:
    from .._http import HttpClient
    from .._util import JSONObject

CHECKPOINT_LOADER = "CheckpointLoaderSimple"
"""The class that every server loads a checkpoint with; it names those that are there."""


def choices(declaration: JSONObject, input_name: str) -> tuple[str, ...]:
    """Return the names that an input of a class lets one choose from; empty if it is no choice.

    Servers write ``[["a", "b"], {...}]`` or, for nodes in the newer form,
    ``["COMBO", {"options": ["a", "b"], ...}]``.

    Args:
        declaration: The class's entry in `/object_info`. May be odd or empty.
        input_name: The input, required or optional.
    """
    for section in as_object(declaration.get("input")).values():
        match as_object(section).get(input_name):
            case [[*options], *_] | ["COMBO", {"options": [*options]}, *_]:
                return tuple(option for option in as_list(options) if isinstance(option, str))
            case _:
                pass
    return ()


@final
@attrs.define(eq=False, slots=False)
class NodeNamespace(metaclass=NoPublicConstructor):
    """`Comfy.node`: the classes of nodes that the server has."""

    _http: HttpClient = attrs.field(repr=False)
    _latest: dict[str, JSONObject] = attrs.field(
        factory=dict[str, "JSONObject"], init=False, repr=False
    )

    async def definitions(self, class_type: str | None = None) -> dict[str, JSONObject]:
        """Return what the server declares of its classes of nodes, by class.

        Each is asked for anew: choices such as file names change while a server runs. What comes
        is also what `Comfy.validate` goes by from then on.

        Args:
            class_type: The class to ask for; the result is empty if the server does not have it.
                Default: all of them, which is some megabytes on a server with many custom nodes.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        one = "" if class_type is None else f"/{quote_segment(class_type)}"
        reply = await self._http.request(get(f"/object_info{one}"))
        body = require_object(reply, "the declarations of nodes")
        found = {name: as_object(declaration) for name, declaration in body.items()}
        if class_type is None:
            self._latest = dict(found)
        elif self._latest:
            self._latest = {**self._latest, **found}
        return found

    async def checkpoints(self) -> tuple[str, ...]:
        """Return the names of the checkpoints that the server can load, in its order.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        definitions = await self.definitions(CHECKPOINT_LOADER)
        return choices(definitions.get(CHECKPOINT_LOADER, {}), "ckpt_name")
