"""All namespaces of a client. Each is imported when it is first used, not with every client."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._session import Session
    from ._assets import AssetNamespace
    from ._file import FileNamespace
    from ._node import NodeNamespace


class Namespaces:
    """What `Comfy` offers of its server, by groups of routes."""

    _session: Session

    @cached_property
    def assets(self) -> AssetNamespace:
        """Files that the server keeps track of, by content and with tags."""
        from ._assets import AssetNamespace

        return AssetNamespace._create(self._session.http)

    @cached_property
    def file(self) -> FileNamespace:
        """Files at the server."""
        from ._file import FileNamespace

        return FileNamespace._create(self._session.http)

    @cached_property
    def node(self) -> NodeNamespace:
        """The classes of nodes that the server has."""
        from ._node import NodeNamespace

        return NodeNamespace._create(self._session.http)
