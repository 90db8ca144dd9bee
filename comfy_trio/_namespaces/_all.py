"""All namespaces of a client. Each is imported when it is first used, not with every client."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._session import Session
    from ._file import FileNamespace
    from ._node import NodeNamespace
    from ._user import UserNamespace


class Namespaces:
    """What `Comfy` offers of its server, by groups of routes."""

    _session: Session

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

    @cached_property
    def user(self) -> UserNamespace:
        """The server's users, and their settings."""
        from ._user import UserNamespace

        return UserNamespace._create(self._session.http)
