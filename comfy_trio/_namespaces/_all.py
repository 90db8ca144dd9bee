"""All namespaces of a client. Each is imported when it is first used, not with every client."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._session import Session
    from ._file import FileNamespace
    from ._manager import ManagerNamespace
    from ._monitor import MonitorNamespace
    from ._node import NodeNamespace
    from ._terminal import TerminalNamespace


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
    def manager(self) -> ManagerNamespace:
        """Packs of custom nodes, where ComfyUI-Manager is installed."""
        from ._manager import ManagerNamespace

        return ManagerNamespace._create(self._session)

    @cached_property
    def monitor(self) -> MonitorNamespace:
        """What the server's machine is busy with, where Crystools is installed."""
        from ._monitor import MonitorNamespace

        return MonitorNamespace._create(self._session)

    @cached_property
    def terminal(self) -> TerminalNamespace:
        """The server's log."""
        from ._terminal import TerminalNamespace

        return TerminalNamespace._create(self._session)
