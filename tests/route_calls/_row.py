"""A row of ``docs/routes.md``, and how to try it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from comfy_trio import Comfy
    from comfy_trio.testing import EmbeddedServer

    Call: TypeAlias = Callable[[Comfy, EmbeddedServer], Awaitable[object]]


@attrs.frozen
class Row:
    """A route and the method that serves it.

    Args:
        route: As the embedded server counts it: ``"GET /history/{prompt_id}"``.
        method: On the client: ``"history.entry"``.
        call: Calls the method so that it asks for the route.
        options: Of the embedded server, such as its version, where the default does not do.
    """

    route: str
    method: str
    call: Call
    options: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
