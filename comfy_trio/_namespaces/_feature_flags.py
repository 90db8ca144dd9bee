"""What the server and this client tell each other that they can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import attrs

from .._util import NoPublicConstructor, copy_json

if TYPE_CHECKING:
    from .._session import Session
    from .._util import JSONObject
    from .._wire_types import Features
    from ._system import SystemNamespace


@final
@attrs.define(eq=False, slots=False)
class FeatureFlagsNamespace(metaclass=NoPublicConstructor):
    """`Comfy.feature_flags`: what the server and this client say that they can do."""

    _session: Session = attrs.field(repr=False)
    _system: SystemNamespace = attrs.field(repr=False)

    @property
    def announced(self) -> JSONObject:
        """What this client announces whenever its WebSocket is opened.

        ``{"supports_preview_metadata": True}``, by which ComfyUI sends with each preview whose it
        is, and the ``feature_flags`` that `open_comfy` was given. ComfyUI itself asks clients for
        no other flag; extensions may, with ``comfy_api.feature_flags.get_connection_feature``.
        """
        return copy_json(self._session.options.feature_flags)

    async def of_server(self) -> Features:
        """Return what the server says that it can do; empty if it is too old to say so.

        It is asked once, and again after the connection was lost; see `SystemNamespace.info`.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return copy_json((await self._system.info()).features)

    async def supports(self, feature: str) -> bool:
        """Tell whether the server says that a feature is on.

        Args:
            feature: Its name, with dots for one within another: ``extension.manager.supports_v4``.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return (await self._system.info()).supports(feature)
